//! Memory that streams still use: kept as long as they do, and no longer.

mod support;

use ascendcl::Result;
use ascendcl_sim::LiveKind;
use support::{Gate, Random, until};

/// How much device memory the embedded simulator has given out.
fn device_allocations() -> usize {
    ascendcl_sim::live().iter().filter(|live| live.kind == LiveKind::DeviceMemory).count()
}

backend_test! {
    fn buffers_dropped_while_work_waits_are_freed_behind_it(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let result = context.alloc::<u8>(1 << 16)?;
        let embedded = acl.is_simulated();
        for round in 0..20_u8 {
            let before = device_allocations();
            let gate = Gate::close(&stream)?;
            let (a, b) = (context.alloc::<u8>(1 << 16)?, context.alloc::<u8>(1 << 16)?);
            a.memset(round)?;
            stream.copy(&a, &b)?;
            drop(a);
            stream.copy(&b.view(..1000)?, &result.view(..1000)?)?;
            stream.memset(&b, 255)?;
            stream.copy(&b.view(1000..)?, &result.view(1000..)?)?;
            drop(b);
            // Memory that was freed too early would be given out again and overwritten now.
            let others = (0..4).map(|_| context.alloc::<u8>(1 << 16)).collect::<Result<Vec<_>>>()?;
            for other in &others {
                other.memset(99)?;
            }
            if embedded {
                assert_eq!(device_allocations(), before + 6, "the stream keeps both");
            }
            drop(others);
            gate.open()?;
            stream.synchronize()?;
            if embedded {
                assert_eq!(device_allocations(), before, "the stream keeps nothing any more");
            }
            let values = result.to_vec()?;
            assert!(values[..1000].iter().all(|&value| value == round));
            assert!(values[1000..].iter().all(|&value| value == 255));
        }
    }
}

backend_test! {
    fn a_stream_dropped_with_work_frees_what_it_used(acl) {
        let context = acl.device(0)?.create_context()?;
        let before = device_allocations();
        let stream = context.create_stream()?;
        let gate = Gate::close(&stream)?;
        for _ in 0..300 {
            let buffer = context.alloc::<u8>(64)?;
            stream.memset(&buffer, 1)?;
        }
        drop(stream);
        gate.open()?;
        if acl.is_simulated() {
            until(|| device_allocations() == before);
        }
    }
}

backend_test! {
    fn a_stream_that_is_never_waited_for_frees_what_it_used(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let before = device_allocations();
        for round in 0..4 {
            // Far ahead of the device: more than the fences of a stream cover.
            let gate = Gate::close(&stream)?;
            for _ in 0..1000 {
                let buffer = context.alloc::<u8>(64)?;
                stream.memset(&buffer, round)?;
            }
            gate.open()?;
            // Callbacks say when it is done, as in a program that streams and never synchronises.
            stream.launch_callback(|| ())?.wait()?;
        }
        for _ in 0..300 {
            let buffer = context.alloc::<u8>(64)?;
            stream.memset(&buffer, 9)?;
            stream.launch_callback(|| ())?.wait()?;
        }
        if acl.is_simulated() {
            let kept = device_allocations() - before;
            assert!(kept <= 200, "{kept} buffers are kept though the stream has passed them all");
        }
        stream.synchronize()?;
        if acl.is_simulated() {
            assert_eq!(device_allocations(), before);
        }
    }
}

backend_test! {
    fn large_buffers_are_not_hoarded(acl) {
        const LARGE: usize = 20 << 20;
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let before = device_allocations();
        for round in 0..30 {
            let buffer = context.alloc::<u8>(LARGE)?;
            stream.memset(&buffer, round)?;
            drop(buffer);
            stream.launch_callback(|| ())?.wait()?;
            if acl.is_simulated() {
                let kept = device_allocations() - before;
                assert!(kept <= 3, "{kept} large buffers are kept");
            }
        }
    }
}

backend_test! {
    fn many_threads_allocate_copy_and_free(acl) {
        let context = acl.device(0)?.create_context()?;
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let context = &context;
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    let stream = context.create_stream().unwrap();
                    for _ in 0..100 {
                        let len = 1 + random.below(5000);
                        let byte = random.below(256) as u8;
                        let (a, b) = (context.alloc::<u8>(len).unwrap(), context.alloc::<u8>(len).unwrap());
                        stream.memset(&a, byte).unwrap();
                        stream.copy(&a, &b).unwrap();
                        drop(a);
                        if random.below(2) == 0 {
                            let pinned = context.alloc_pinned::<u8>(len).unwrap();
                            let pinned = stream.download(&b, pinned).unwrap().wait().unwrap();
                            assert!(pinned.iter().all(|&value| value == byte));
                        }
                    }
                });
            }
        });
    }
}
