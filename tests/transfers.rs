//! Uploads and downloads that own their memory: waiting, awaiting, dropping and forgetting them.

mod support;

use ascendcl::{Context, Error, EventFlags, Result, Stream};
use ascendcl_sim::LiveKind;
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};
use support::{Gate, HostGate, Random, Wakes, until};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// How much pinned memory the embedded simulator has given out.
fn pinned_allocations() -> usize {
    ascendcl_sim::live().iter().filter(|live| live.kind == LiveKind::PinnedMemory).count()
}

fn numbers(context: &Context, from: u32) -> Result<ascendcl::PinnedBuffer<u32>> {
    context.alloc_pinned_from(&(from..from + 1000).collect::<Vec<_>>())
}

backend_test! {
    fn there_and_back(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u32>(1000)?;
        let mut pinned = numbers(&context, 0)?;
        for round in 0..50 {
            pinned.iter_mut().zip(round..).for_each(|(value, number)| *value = number);
            pinned = stream.upload(pinned, &device)?.wait()?;
            pinned.fill(0);
            let download = stream.download(&device, pinned)?;
            assert!(format!("{download:?}").starts_with("Transfer"));
            pinned = download.wait()?;
            assert!(pinned.iter().copied().eq(round..round + 1000));
        }
    }
}

backend_test! {
    fn parts_of_a_buffer(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u8>(100)?;
        device.memset(0)?;
        let upload = stream.upload(context.alloc_pinned_from(&[1_u8; 10])?, &device.view(20..30)?)?;
        let download = stream.download(&device.view(15..25)?, context.alloc_pinned(10)?)?;
        assert_eq!(download.wait()?[..], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
        upload.wait()?;
    }
}

backend_test! {
    fn uploads_and_downloads_ordered_by_events(acl) {
        let context = acl.device(0)?.create_context()?;
        let (up, work, down) = (context.create_stream()?, context.create_stream()?, context.create_stream()?);
        let gate = Gate::close(&up)?;
        let mut rounds = Vec::new();
        for round in 0..30_u32 {
            let (a, b) = (context.alloc::<u32>(1000)?, context.alloc::<u32>(1000)?);
            let upload = up.upload(numbers(&context, round)?, &a)?;
            let uploaded = context.create_event()?;
            up.record(&uploaded)?;
            work.wait(&uploaded)?;
            work.copy(&a, &b)?;
            let worked = context.create_event()?;
            work.record(&worked)?;
            down.wait(&worked)?;
            let download = down.download(&b, context.alloc_pinned(1000)?)?;
            // Buffers and events go while everything is still waiting.
            rounds.push((round, upload, download));
        }
        assert!(!rounds[0].2.is_done()?);
        gate.open()?;
        for (round, upload, download) in rounds {
            assert!(download.wait()?.iter().copied().eq(round..round + 1000));
            upload.wait()?;
        }
    }
}

backend_test! {
    fn the_source_is_read_when_the_stream_gets_there(acl) {
        // So it belongs to the transfer until then: here it is dropped, and its memory must stay what it was.
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u32>(1000)?;
        let gate = Gate::close(&stream)?;
        let before = pinned_allocations();
        drop(stream.upload(numbers(&context, 7)?, &device)?);
        let others = (0..5).map(|_| numbers(&context, 1_000_000)).collect::<Result<Vec<_>>>()?;
        if acl.is_simulated() {
            assert_eq!(pinned_allocations(), before + 6, "the stream keeps it");
        }
        drop(others);
        gate.open()?;
        stream.synchronize()?;
        assert!(device.to_vec()?.into_iter().eq(7..1007));
        if acl.is_simulated() {
            assert_eq!(pinned_allocations(), before, "the stream keeps nothing any more");
        }
    }
}

backend_test! {
    fn a_dropped_download_writes_to_memory_that_nobody_else_has(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc_from(&[0x5555_5555_u32; 1000])?;
        let gate = Gate::close(&stream)?;
        for _ in 0..10 {
            drop(stream.download(&device, context.alloc_pinned(1000)?)?);
        }
        drop(device);
        let others = (0..20).map(|_| numbers(&context, 3)).collect::<Result<Vec<_>>>()?;
        gate.open()?;
        stream.synchronize()?;
        assert!(others.iter().all(|other| other.iter().copied().eq(3..1003)));
    }
}

backend_test! {
    fn a_transfer_outlives_the_other_handles(acl) {
        let download = {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let device = context.alloc_from(&[1_u8, 2, 3])?;
            stream.download(&device, context.alloc_pinned(3)?)?
        };
        assert_eq!(download.wait()?[..], [1, 2, 3]);
    }
}

backend_test! {
    fn a_timeout_gives_the_transfer_back(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc_from(&[5_u8; 100])?;
        let gate = Gate::close(&stream)?;
        let mut download = stream.download(&device, context.alloc_pinned(100)?)?;
        for timeout in [Duration::ZERO, SOON, SOON] {
            let rejected = download.wait_timeout(timeout).unwrap_err();
            assert!(rejected.error.is_timeout(), "{rejected}");
            download = rejected.returned.expect("it may be waited for again");
            assert!(!download.is_done()?);
        }
        gate.open()?;
        let pinned = download.wait_timeout(LONG).map_err(|rejected| rejected.error)?;
        assert_eq!(pinned[..], [5; 100]);
    }
}

backend_test! {
    fn a_transfer_dropped_after_a_timeout_is_kept_until_it_is_done(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u32>(1000)?;
        let gate = Gate::close(&stream)?;
        let upload = stream.upload(numbers(&context, 40)?, &device)?;
        let rejected = upload.wait_timeout(SOON).unwrap_err();
        drop(rejected);
        let overwritten = numbers(&context, 9999)?;
        gate.open()?;
        stream.synchronize()?;
        assert!(device.to_vec()?.into_iter().eq(40..1040));
        drop(overwritten);
    }
}

backend_test! {
    fn is_done(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u8>(10)?;
        let gate = Gate::close(&stream)?;
        let upload = stream.upload(context.alloc_pinned(10)?, &device)?;
        assert!(!upload.is_done()?);
        gate.open()?;
        until(|| upload.is_done().unwrap());
        // More work behind it does not undo that.
        let gate = Gate::close(&stream)?;
        assert!(upload.is_done()?);
        upload.wait()?;
        gate.open()?;
    }
}

backend_test! {
    fn awaiting(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u32>(1000)?;
        pollster::block_on(async {
            let mut pinned = numbers(&context, 0)?;
            for round in 0..20 {
                pinned.iter_mut().zip(round..).for_each(|(value, number)| *value = number);
                pinned = stream.upload(pinned, &device)?.await?;
                pinned.fill(0);
                pinned = stream.download(&device, pinned)?.await?;
                assert!(pinned.iter().copied().eq(round..round + 1000));
            }
            Ok::<_, Error>(())
        })?;
    }
}

backend_test! {
    fn polling_by_hand(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc_from(&[3_u8; 10])?;
        let gate = Gate::close(&stream)?;
        let (old, new) = (Wakes::new(), Wakes::new());
        let mut download = pin!(stream.download(&device, context.alloc_pinned(10)?)?);
        for count in [&old, &old, &new, &new] {
            let waker = count.waker();
            assert!(download.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        }
        gate.open()?;
        until(|| new.count() > 0);
        let waker = new.waker();
        loop {
            let woken = new.count();
            match download.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
                Poll::Ready(pinned) => break assert_eq!(pinned?[..], [3; 10]),
                // The callback behind the copy is about to end, and the stream to say whether the copy failed.
                Poll::Pending => until(|| new.count() > woken),
            }
        }
        assert_eq!(old.count(), 0, "the last waker is woken");
    }
}

backend_test! {
    fn a_future_dropped_while_it_waits(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u32>(1000)?;
        let gate = Gate::close(&stream)?;
        {
            let mut upload = pin!(stream.upload(numbers(&context, 70)?, &device)?);
            let waker = Waker::from(Wakes::new());
            assert!(upload.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        }
        let overwritten = numbers(&context, 9999)?;
        gate.open()?;
        stream.synchronize()?;
        assert!(device.to_vec()?.into_iter().eq(70..1070));
        drop(overwritten);
    }
}

backend_test! {
    fn transfers_are_done_when_a_later_callback_runs(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc_from(&[4_u32, 5, 6])?;
        let gate = Gate::close(&stream)?;
        let download = stream.download(&device, context.alloc_pinned(3)?)?;
        let sum = stream.launch_callback(move || {
            assert!(download.is_done().unwrap());
            download.wait().map(|values| values.iter().sum::<u32>())
        })?;
        // One that comes after the callback is not done in it.
        let (late, behind) = std::sync::mpsc::channel();
        let refused = stream.launch_callback(move || {
            let download: ascendcl::Transfer<u32> = behind.recv().unwrap();
            download.wait().map(drop)
        })?;
        late.send(stream.download(&device, context.alloc_pinned(3)?)?).unwrap();
        gate.open()?;
        assert_eq!(sum.wait()??, 15);
        assert!(matches!(refused.wait()?, Err(Error::InCallback { .. })));
    }
}

backend_test! {
    fn transfers_dropped_in_callbacks_are_kept_until_they_are_done(acl) {
        let context = acl.device(0)?.create_context()?;
        let (stream, other) = (context.create_stream()?, context.create_stream()?);
        let device = context.alloc::<u32>(1000)?;
        let gate = Gate::close(&stream)?;
        let upload = stream.upload(numbers(&context, 11)?, &device)?;
        // The callback of another stream drops it long before it is done.
        other.launch_callback(move || drop(upload))?.wait()?;
        let overwritten = numbers(&context, 9999)?;
        gate.open()?;
        stream.synchronize()?;
        assert!(device.to_vec()?.into_iter().eq(11..1011));
        drop(overwritten);
    }
}

backend_test! {
    fn a_full_queue_and_a_callback_that_drops_transfers_do_not_deadlock(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u8>(16)?;
        let (queue, inside) = std::sync::mpsc::channel();
        // Drops transfers of its own stream for as long as there are any, while others fill the stream's queue behind it.
        let callback = stream.launch_callback(move || {
            inside.into_iter().map(|upload: ascendcl::Transfer<u8>| drop(upload)).count()
        })?;
        for _ in 0..200 {
            queue.send(stream.upload(context.alloc_pinned(16)?, &device)?)?;
        }
        let filler = std::thread::spawn({
            let (stream, context) = (stream.clone(), context.clone());
            move || -> Result<()> {
                for _ in 0..8000 {
                    let large = context.alloc::<u8>(64)?;
                    stream.memset(&large, 1)?;
                }
                Ok(())
            }
        });
        // By now the filler may be blocked, anywhere.
        std::thread::sleep(Duration::from_millis(50));
        drop(queue);
        assert_eq!(callback.wait()?, 200);
        filler.join().unwrap()?;
        stream.synchronize()?;
    }
}

backend_test! {
    fn dropping_transfers_does_not_wait_for_room_in_the_queue(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u8>(16)?;
        let gate = Gate::close(&stream)?;
        let uploads = (0..200).map(|_| Ok(stream.upload(context.alloc_pinned(16)?, &device)?));
        let uploads = uploads.collect::<Result<Vec<_>>>()?;
        let recorded = Arc::new(AtomicUsize::new(0));
        let filler = std::thread::spawn({
            let (stream, event, recorded) = (stream.clone(), context.create_event()?, recorded.clone());
            move || -> Result<()> {
                for _ in 0..5000 {
                    stream.record(&event)?;
                    recorded.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            }
        });
        // Until the queue is full, most likely.
        let mut before = usize::MAX;
        until(|| {
            std::thread::sleep(Duration::from_millis(10));
            let now = recorded.load(Ordering::SeqCst);
            std::mem::replace(&mut before, now) == now
        });
        // Nothing opens the gate before this is over.
        drop(uploads);
        gate.open()?;
        filler.join().unwrap()?;
        stream.synchronize()?;
    }
}

backend_test! {
    fn many_streams_and_threads(acl) {
        let context = acl.device(0)?.create_context()?;
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let context = &context;
                scope.spawn(move || pipeline(context, seed).unwrap());
            }
        });
    }
}

/// Random transfers, half of them not waited for.
fn pipeline(context: &Context, seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    let streams: Vec<Stream> = (0..3).map(|_| context.create_stream()).collect::<Result<_>>()?;
    for round in 0..60_u32 {
        let (up, down) = (&streams[random.below(3)], &streams[random.below(3)]);
        let device = context.alloc::<u32>(1000)?;
        let gate = (random.below(3) == 0).then(|| HostGate::close(up)).transpose()?;
        let upload = up.upload(numbers(context, round)?, &device)?;
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        up.record(&event)?;
        down.wait(&event)?;
        let download = down.download(&device, context.alloc_pinned(1000)?)?;
        drop(device);
        if random.below(2) == 0 {
            drop(upload);
        }
        if let Some(gate) = gate {
            drop(gate.open());
        }
        match random.below(3) {
            0 => drop(download),
            1 => assert!(download.wait()?.iter().copied().eq(round..round + 1000)),
            _ => assert!(pollster::block_on(download)?.iter().copied().eq(round..round + 1000)),
        }
    }
    Ok(())
}
