//! Allocators of the program for the work memory of a stream: who asks them, when, what is checked, and what comes too late.

mod adverse;
mod program;
#[path = "../support/mod.rs"]
mod support;

use ascendcl::{
    Acl, DeviceView, Error, Model, Result,
    sys::{self, AclApi},
};
use ascendcl_sim::{Config, Fault, FaultKind, Profile};
use program::{Asker, Dynamic, FAILED, Pool, answers, asked, device_memory};
use std::{
    ptr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use support::{Gate, TestResult};

/// What the children do. In the process of the tests it is nothing.
#[test]
fn child() {
    adverse::play();
}

fn a_pool_serves(acl: &Acl) -> TestResult {
    let context = acl.device(0)?.create_context()?;
    let Some(model) = Dynamic::load(acl, &context)? else { return Ok(()) };
    let stream = context.create_stream()?;
    let pool = Pool::new(&context);
    assert!(model.works(&stream)?, "without an allocator");
    stream.set_allocator(pool.clone())?;
    assert!(model.works(&stream)?);
    let (asked, allocated, returned) = pool.counts();
    assert!(asked > 0 && asked == allocated && asked == returned, "{asked} {allocated} {returned}");
    for _ in 0..10 {
        assert!(model.works(&stream)?);
    }
    assert_eq!(pool.counts(), (11 * asked, allocated, 11 * asked), "what came back is used again");
    stream.remove_allocator()?;
    assert!(model.works(&stream)?);
    assert_eq!(pool.counts().0, 11 * asked);
    assert_eq!(Arc::strong_count(&pool), 1, "the stream has dropped its own");
    Ok(())
}

backend_test! {
    fn operators_work_in_memory_of_the_program(acl) {
        a_pool_serves(acl)?;
    }
}

sim_test! {
    fn every_chip_asks() {
        for profile in [Profile::ascend310(), Profile::ascend310p(), Profile::ascend910b()] {
            support::with_profile(profile, a_pool_serves)?;
        }
    }
}

backend_test! {
    fn what_comes_back_is_kept_until_the_stream_has_passed(acl) {
        let context = acl.device(0)?.create_context()?;
        let Some(model) = Dynamic::load(acl, &context)? else { return Ok(()) };
        let stream = context.create_stream()?;
        let own = context.clone();
        // Drops what comes back at once, although the device has not used it.
        stream.set_allocator(answers(move |bytes| Ok(own.alloc(bytes)?.into())))?;
        let before = device_memory();
        let gate = Gate::close(&stream)?;
        assert_eq!(model.enqueue(&stream), 0);
        if acl.is_simulated() {
            assert!(device_memory() > before, "the device has not used it yet");
        }
        gate.open()?;
        // The simulator lets the task fail if its memory is gone.
        stream.synchronize()?;
        assert_eq!(model.y.to_vec()?, [0.0, 2.0, 0.0, 4.0]);
        if acl.is_simulated() {
            assert_eq!(device_memory(), before);
        }
    }
}

backend_test! {
    fn a_stream_without_handles_keeps_it_too(acl) {
        let context = acl.device(0)?.create_context()?;
        let Some(model) = Dynamic::load(acl, &context)? else { return Ok(()) };
        let stream = context.create_stream()?;
        let own = context.clone();
        stream.set_allocator(answers(move |bytes| Ok(own.alloc(bytes)?.into())))?;
        let gate = Gate::close(&stream)?;
        assert_eq!(model.enqueue(&stream), 0);
        let done = context.create_event()?;
        stream.record(&done)?;
        drop(stream);
        gate.open()?;
        done.synchronize()?;
        assert_eq!(model.y.to_vec()?, [0.0, 2.0, 0.0, 4.0]);
    }
}

backend_test! {
    fn a_bad_answer_is_a_failed_allocation(acl) {
        let context = acl.device(0)?.create_context()?;
        let Some(model) = Dynamic::load(acl, &context)? else { return Ok(()) };
        let other = acl.device(1)?.create_context()?;
        let stream = context.create_stream()?;
        let one: DeviceView<u8> = context.alloc(1 << 20)?.into();
        let fails = |allocator: Box<dyn Fn(usize) -> Result<DeviceView<u8>> + Send + Sync>| -> TestResult {
            stream.set_allocator(answers(allocator))?;
            assert_eq!(model.enqueue(&stream), FAILED);
            Ok(stream.synchronize()?)
        };
        fails(Box::new(|_| panic!("on purpose")))?;
        fails(Box::new(|_| Err(Error::Model("on purpose".into()))))?;
        let own = context.clone();
        fails(Box::new(move |bytes| Ok(own.alloc(bytes - 1)?.into())))?;
        let own = context.clone();
        fails(Box::new(move |bytes| own.alloc(bytes + 8)?.view(8..)))?;
        fails(Box::new(move |bytes| Ok(other.alloc(bytes)?.into())))?;
        // The same memory again and again, while it is in use.
        let same = one.clone();
        fails(Box::new(move |_| Ok(same.clone())))?;
        let (parts, given) = (one.clone(), AtomicUsize::new(0));
        fails(Box::new(move |bytes| {
            let start = 64 * given.fetch_add(1, Ordering::SeqCst);
            parts.view(start..start + bytes)
        }))?;
        // A part that nothing else has is as good as an allocation.
        let (parts, given) = (one, AtomicUsize::new(0));
        stream.set_allocator(answers(move |bytes| {
            let start = given.fetch_add(bytes.next_multiple_of(64), Ordering::SeqCst);
            parts.view(start..start + bytes)
        }))?;
        assert!(model.works(&stream)?);
    }
}

backend_test! {
    fn what_comes_too_late_is_harmless(acl) {
        if !acl.supports("aclrtAllocatorGetByStream") {
            return Ok(());
        }
        let (stream, pool, asker) = asked(acl)?;
        let (first, second) = (asker.allocate(100), asker.allocate(100));
        assert!(!asker.address(first).is_null() && asker.address(first) != asker.address(second));
        stream.remove_allocator()?;
        assert!(asker.allocate(100).is_null(), "it was removed");
        assert!(!asker.address(first).is_null(), "ACL may use what it has");
        asker.free(first);
        assert!(asker.address(first).is_null());
        asker.free(first);
        asker.free(ptr::null_mut());
        asker.free(ptr::without_provenance_mut(usize::MAX));
        assert_eq!(pool.counts().2, 1, "given back once");
        assert_eq!(asker.address(ptr::null_mut()), ptr::null_mut());
        drop(stream);
        asker.free(second);
        assert_eq!(pool.counts().2, 2, "and with the stream gone too");
        assert_eq!(Arc::strong_count(&pool), 1);
    }
}

backend_test! {
    fn the_last_one_counts(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        stream.remove_allocator()?;
        let (first, second) = (Pool::new(&context), Pool::new(&context));
        if acl.supports("aclrtAllocatorGetByStream") {
            assert!(!stream.has_allocator()?);
        }
        stream.set_allocator(first.clone())?;
        stream.set_allocator(second.clone())?;
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 2));
        if acl.supports("aclrtAllocatorGetByStream") {
            assert!(stream.has_allocator()?);
            let asker = Asker::of(&stream);
            asker.free(asker.allocate(10));
            assert_eq!((first.counts().0, second.counts()), (0, (1, 1, 1)));
        }
        // Another stream has another one.
        let other = context.create_stream()?;
        other.set_allocator(first.clone())?;
        drop(stream);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 1));
        other.remove_allocator()?;
        if acl.supports("aclrtAllocatorGetByStream") {
            assert!(!other.has_allocator()?);
        }
    }
}

backend_test! {
    fn a_stream_that_is_gone_has_none(acl) {
        let context = acl.device(0)?.create_context()?;
        let Some(find) = acl.raw().aclrtAllocatorGetByStream else { return Ok(()) };
        let pool = Pool::new(&context);
        let stream = context.create_stream()?;
        stream.set_allocator(pool.clone())?;
        let raw = stream.as_raw();
        drop(stream);
        support::until(|| Arc::strong_count(&pool) == 1);
        let mut desc = ptr::null_mut();
        let none = ptr::null_mut;
        // SAFETY: the handle is only compared: the next stream may have it.
        let found = unsafe {
            find(raw, &mut desc, none(), none().cast(), none().cast(), none().cast(), none().cast())
        };
        assert_eq!(found, sys::ACL_ERROR_INVALID_PARAM);
    }
}

backend_test! {
    fn an_allocator_may_use_acl_but_not_execute(acl) {
        let context = acl.device(0)?.create_context()?;
        let Some(model) = Dynamic::load(acl, &context)? else { return Ok(()) };
        let elsewhere = acl.device(1)?.create_context()?;
        let stream = context.create_stream()?;
        let digits = Model::load(&context, "examples/assets/digits/digits.onnx")?;
        let refusals = Arc::new(AtomicUsize::new(0));
        let (own, counted, waits) = (context.clone(), refusals.clone(), stream.clone());
        stream.set_allocator(answers(move |bytes| {
            let (inputs, outputs) = (digits.create_inputs()?, digits.create_outputs()?);
            let refused = [digits.execute(&inputs, &outputs), digits.execute_async(&waits, &inputs, &outputs)];
            for refused in refused {
                assert!(matches!(refused, Err(Error::InCallback { .. })), "{refused:?}");
                counted.fetch_add(1, Ordering::SeqCst);
            }
            waits.synchronize()?;
            // Leaves another context behind.
            elsewhere.alloc::<u8>(1)?;
            Ok(own.alloc(bytes)?.into())
        }))?;
        // Works in the context that is current, which is still this one behind each question.
        assert!(model.works(&stream)?);
        assert!(refusals.load(Ordering::SeqCst) > 0);
        // It holds the stream.
        stream.remove_allocator()?;
    }
}

backend_test! {
    fn questions_come_on_any_thread(acl) {
        if !acl.supports("aclrtAllocatorGetByStream") {
            return Ok(());
        }
        let (stream, pool, asker) = asked(acl)?;
        let ask = move |may_fail: bool| {
            for _ in 0..50 {
                let blocks = [asker.allocate(100), asker.allocate(1000)];
                for block in blocks.into_iter().filter(|block| !may_fail || !block.is_null()) {
                    assert!(!asker.address(block).is_null());
                    asker.free(block);
                }
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(move || ask(false)))));
        assert_eq!((pool.counts().0, pool.counts().2), (400, 400));
        // Who knows the one that was replaced gets no more of it, and gives back what it has.
        thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(move || ask(true))));
            (0..50).for_each(|_| stream.set_allocator(pool.clone()).unwrap());
        });
        assert_eq!(pool.counts().0, pool.counts().2);
        assert!(asker.allocate(100).is_null());
    }
}

sim_test! {
    fn what_the_release_lacks_is_said() {
        let without = |api: &mut AclApi| {
            (api.aclrtAllocatorRegister, api.aclrtAllocatorGetByStream) = (None, None);
        };
        support::with_table(without, |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let pool = Pool::new(&context);
            let missing = stream.set_allocator(pool.clone()).expect_err("there is no such function");
            assert!(matches!(missing, Error::MissingSymbol { function: "aclrtAllocatorRegister" }), "{missing}");
            assert!(matches!(stream.has_allocator(), Err(Error::MissingSymbol { .. })));
            assert_eq!(Arc::strong_count(&pool), 1);
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_registration_that_fails_leaves_the_one_before() {
        for function in [
            "aclrtAllocatorSetObjToDesc", "aclrtAllocatorSetAllocFuncToDesc", "aclrtAllocatorSetFreeFuncToDesc",
            "aclrtAllocatorSetAllocAdviseFuncToDesc", "aclrtAllocatorSetGetAddrFromBlockFuncToDesc", "aclrtAllocatorRegister",
        ] {
            let config = Config::new().fault(Fault::nth(function, 2, FaultKind::Error(100_000)));
            support::with_config(config, |acl| {
                let context = acl.device(0)?.create_context()?;
                let stream = context.create_stream()?;
                let (first, second) = (Pool::new(&context), Pool::new(&context));
                stream.set_allocator(first.clone())?;
                let refused = stream.set_allocator(second.clone()).expect_err(function).to_string();
                assert!(refused.contains(function), "{refused}");
                assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 1));
                let asker = Asker::of(&stream);
                asker.free(asker.allocate(10));
                assert_eq!(first.counts(), (1, 1, 1));
                Ok(())
            })?;
        }
    }
}

sim_test! {
    fn a_registration_that_fails_when_it_is_made_is_taken_back() {
        let config = Config::new().fault(Fault::every("aclrtAllocatorRegister", FaultKind::ErrorAfter(507_000)));
        support::with_config(config, |acl| {
            let context = acl.device(0)?.create_context()?;
            let pool = Pool::new(&context);
            let stream = context.create_stream()?;
            assert_eq!(support::code(stream.set_allocator(pool.clone())), 507_000);
            assert_eq!(Arc::strong_count(&pool), 1);
            stream.remove_allocator()?;
            assert!(!stream.has_allocator()?);
            assert_eq!(support::code(stream.set_allocator(pool)), 507_000);
            // The next stream may get its handle.
            let (raw, find) = (stream.as_raw(), acl.raw().aclrtAllocatorGetByStream.unwrap());
            drop(stream);
            let (mut desc, none) = (ptr::null_mut(), ptr::null_mut);
            // SAFETY: the handle is only compared.
            let found = unsafe {
                find(raw, &mut desc, none(), none().cast(), none().cast(), none().cast(), none().cast())
            };
            assert_eq!(found, sys::ACL_ERROR_INVALID_PARAM);
            Ok(())
        })?;
    }
}
