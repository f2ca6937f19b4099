//! Device memory: round trips, views, copies within and between devices, and running out of it.

mod support;

use ascendcl::{DeviceBuffer, DeviceCopy, DeviceView, Error, ErrorKind, MallocPolicy, Result};
use ascendcl_sim::Config;
use std::{mem::size_of, ptr};
use support::{code, kind, with_config};

fn refused_for_its_length<T>(result: Result<T>) -> (usize, usize) {
    match result {
        Err(Error::Length { expected, actual, .. }) => (expected, actual),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is not refused"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
struct Detection {
    corners: [f32; 4],
    score: f32,
    class: u32,
}

// SAFETY: all fields are `DeviceCopy`, of the same size, so there is no padding.
unsafe impl DeviceCopy for Detection {}

backend_test! {
    fn round_trips_of_all_kinds(acl) {
        fn check<T: DeviceCopy + PartialEq + std::fmt::Debug>(context: &ascendcl::Context, values: &[T]) -> Result<()> {
            let buffer = context.alloc_from(values)?;
            assert_eq!((buffer.len(), buffer.byte_len()), (values.len(), size_of_val(values)));
            assert_eq!(buffer.is_empty(), values.is_empty());
            assert_eq!(buffer.to_vec()?, values);
            let mut back = values.to_vec();
            back.reverse();
            buffer.copy_from_slice(&back)?;
            let mut read = values.to_vec();
            buffer.copy_to_slice(&mut read)?;
            assert_eq!(read, back);
            Ok(())
        }
        let context = acl.device(0)?.create_context()?;
        check(&context, &[1_u8, 2, 255])?;
        check(&context, &[i8::MIN, 0, i8::MAX])?;
        check(&context, &[u16::MAX, 7])?;
        check(&context, &[i16::MIN, 7])?;
        check(&context, &[u32::MAX, 1, 2, 3])?;
        check(&context, &[i32::MIN])?;
        check(&context, &[u64::MAX, 1])?;
        check(&context, &[i64::MIN, 1])?;
        check(&context, &[u128::MAX, 1])?;
        check(&context, &[i128::MIN, 1])?;
        check(&context, &[usize::MAX, 1])?;
        check(&context, &[isize::MIN, 1])?;
        check(&context, &[1.5_f32, -0.0, f32::INFINITY])?;
        check(&context, &[1.5_f64, f64::MIN_POSITIVE])?;
        check(&context, &[[1_u16, 2, 3], [4, 5, 6]])?;
        check(&context, &[Detection { corners: [0.0, 1.0, 2.0, 3.0], score: 0.5, class: 3 }; 5])?;
        check::<u32>(&context, &[])?;
        let many: Vec<u64> = (0..100_000).collect();
        check(&context, &many)?;
    }
}

backend_test! {
    fn all_policies(acl) {
        let context = acl.device(0)?.create_context()?;
        for policy in [
            MallocPolicy::HugeFirst,
            MallocPolicy::HugeOnly,
            MallocPolicy::NormalOnly,
            MallocPolicy::HugeFirstPeer,
            MallocPolicy::HugeOnlyPeer,
            MallocPolicy::NormalOnlyPeer,
        ] {
            let buffer = match context.alloc_with::<u16>(3000, policy) {
                // Ascend 310 has no memory for copies between devices.
                Err(error) if format!("{policy:?}").ends_with("Peer") => {
                    assert_eq!(error.code().map(|code| code.kind()), Some(ErrorKind::NotSupported), "{error}");
                    continue;
                }
                allocated => allocated?,
            };
            buffer.memset(0x11)?;
            assert_eq!(buffer.to_vec()?, [0x1111; 3000], "{policy:?}");
        }
    }
}

backend_test! {
    fn views(acl) {
        let context = acl.device(0)?.create_context()?;
        let buffer = context.alloc_from(&(0..100_u32).collect::<Vec<_>>())?;
        let expect = |view: Result<DeviceView<u32>>, range: std::ops::Range<u32>| {
            let view = view.unwrap();
            assert_eq!(view.len(), range.len());
            assert_eq!(view.to_vec().unwrap(), range.collect::<Vec<_>>());
        };
        expect(buffer.view(..), 0..100);
        expect(buffer.view(10..20), 10..20);
        expect(buffer.view(10..=20), 10..21);
        expect(buffer.view(..5), 0..5);
        expect(buffer.view(..=5), 0..6);
        expect(buffer.view(95..), 95..100);
        expect(buffer.view(100..), 0..0);
        expect(buffer.view(50..50), 0..0);
        expect(buffer.view((std::ops::Bound::Excluded(3), std::ops::Bound::Unbounded)), 4..100);
        expect(buffer.view(10..90).and_then(|view| view.view(5..10)), 15..20);
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = buffer.view(20..10);
        assert_eq!(refused_for_its_length(reversed), (20, 10));
        assert_eq!(refused_for_its_length(buffer.view(..101)), (100, 101));
        assert_eq!(refused_for_its_length(buffer.view(101..)), (100, 101));
        assert_eq!(refused_for_its_length(buffer.view(..=usize::MAX)), (100, usize::MAX));
        let beyond = (std::ops::Bound::Excluded(usize::MAX), std::ops::Bound::Unbounded);
        assert_eq!(refused_for_its_length(buffer.view(beyond)), (100, usize::MAX));
        // A view writes through, and owns the memory too.
        let view = buffer.view(10..12)?;
        view.copy_from_slice(&[7, 8])?;
        let address = buffer.as_raw();
        drop(buffer);
        assert_eq!(view.to_vec()?, [7, 8]);
        assert_eq!(view.as_raw() as usize, address as usize + 40);
        let again = view.clone();
        drop(view);
        assert_eq!(again.to_vec()?, [7, 8]);
        assert!(format!("{again:?}").contains("len: 2"), "{again:?}");
    }
}

backend_test! {
    fn casts(acl) {
        let context = acl.device(0)?.create_context()?;
        let buffer = context.alloc_from(&[0x0403_0201_u32, 0x0807_0605])?;
        assert_eq!(buffer.as_bytes().to_vec()?, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(buffer.cast::<u64>()?.to_vec()?, [0x0807_0605_0403_0201]);
        assert_eq!(buffer.cast::<u16>()?.view(1..3)?.to_vec()?, [0x0403, 0x0605]);
        assert_eq!(buffer.cast::<[u8; 8]>()?.len(), 1);
        assert_eq!(buffer.as_bytes().cast::<u32>()?.to_vec()?, buffer.to_vec()?);
        assert_eq!(refused_for_its_length(buffer.cast::<[u8; 3]>()), (6, 8));
        assert_eq!(refused_for_its_length(buffer.cast::<u128>()), (0, 8));
        // Values that take no space stand for no bytes.
        assert_eq!(refused_for_its_length(buffer.cast::<[u8; 0]>()), (0, 8));
        match buffer.as_bytes().view(1..5)?.cast::<u32>() {
            Err(Error::Mismatch { what, .. }) => assert!(what.contains("aligned to 4 bytes"), "{what}"),
            other => panic!("{other:?}"),
        }
        let bytes: DeviceView<u8> = context.alloc::<u8>(16)?.into();
        assert_eq!(bytes.cast::<u64>()?.len(), 2);
    }
}

backend_test! {
    fn nothing_is_copied_from_and_to_nothing(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let empty = context.alloc::<f32>(0)?;
        assert!(empty.is_empty() && empty.as_raw().is_null());
        empty.copy_from_slice(&[])?;
        empty.copy_to_slice(&mut [])?;
        assert_eq!(empty.to_vec()?, [0.0; 0]);
        empty.memset(1)?;
        stream.memset(&empty, 1)?;
        stream.copy(&empty, &context.alloc::<f32>(4)?.view(2..2)?)?;
        let other = context.alloc_from::<f32>(&[])?;
        empty.copy_from(&other)?;
        assert_eq!(empty.cast::<u64>()?.len(), 0);
        assert_eq!(empty.view(..)?.len(), 0);
        let pinned = context.alloc_pinned::<f32>(0)?;
        assert!(pinned.is_empty());
        let pinned = stream.upload(pinned, &empty)?.wait()?;
        let pinned = stream.download(&empty, pinned)?.wait()?;
        assert_eq!(pinned[..], [0.0; 0]);
        let none = context.alloc::<[u8; 0]>(1000)?;
        assert_eq!((none.len(), none.byte_len()), (1000, 0));
        assert_eq!(none.to_vec()?.len(), 1000);
        assert_eq!(context.alloc_pinned::<[u8; 0]>(1000)?.len(), 1000);
    }
}

sim_test! {
    fn values_without_bytes_never_reach_acl() {
        with_config(Config::new().count_calls(true), |acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let none = context.alloc::<[u8; 0]>(1000)?;
            none.copy_from_slice(&[[]; 1000])?;
            none.copy_to_slice(&mut [[]; 1000])?;
            none.copy_from(&none)?;
            none.memset(1)?;
            stream.memset(&none, 1)?;
            stream.copy(&none, &none)?;
            let pinned = stream.upload(context.alloc_pinned(1000)?, &none)?.wait()?;
            assert_eq!(stream.download(&none, pinned)?.wait()?.len(), 1000);
            let called = ascendcl_sim::calls();
            let copied = called.iter().find(|call| {
                ["aclrtMemcpy", "aclrtMemset", "aclrtMalloc"].iter().any(|name| call.function.starts_with(name))
            });
            assert!(copied.is_none(), "{copied:?}");
            Ok(())
        })?;
    }
}

backend_test! {
    fn lengths_that_differ_are_refused(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let (three, four) = (context.alloc::<u8>(3)?, context.alloc::<u8>(4)?);
        assert_eq!(refused_for_its_length(three.copy_from_slice(&[0; 4])), (3, 4));
        assert_eq!(refused_for_its_length(three.copy_to_slice(&mut [0; 2])), (3, 2));
        assert_eq!(refused_for_its_length(three.copy_from(&four)), (3, 4));
        assert_eq!(refused_for_its_length(stream.copy(&three, &four)), (4, 3));
        let rejected = stream.upload(context.alloc_pinned::<u8>(5)?, &four).unwrap_err();
        assert_eq!(rejected.returned.expect("nothing was enqueued").len(), 5);
        let rejected = stream.download(&four, context.alloc_pinned::<u8>(5)?).unwrap_err();
        assert_eq!(refused_for_its_length::<()>(Err(rejected.error)), (4, 5));
    }
}

backend_test! {
    fn lengths_beyond_memory_are_refused(acl) {
        let context = acl.device(0)?.create_context()?;
        // More than an address space has: refused before ACL hears of it.
        for len in [usize::MAX, usize::MAX / 8 + 1, isize::MAX as usize / 8 + 1] {
            refused_for_its_length(context.alloc::<u64>(len));
            refused_for_its_length(context.alloc_pinned::<u64>(len));
        }
        // More than a device has.
        for len in [isize::MAX as usize, 1 << 50, acl.device(0)?.memory_info()?.total + 1] {
            let error = context.alloc::<u8>(len).unwrap_err();
            assert!(error.to_string().contains("free device or pinned memory"), "{error}");
            assert_eq!(kind(Err::<(), _>(error)), ErrorKind::OutOfMemory);
        }
        assert_eq!(kind(context.alloc_pinned::<u8>(isize::MAX as usize)), ErrorKind::OutOfMemory);
        context.alloc::<u8>(100)?.memset(0)?;
    }
}

sim_test! {
    fn a_device_that_is_out_of_memory_recovers() {
        with_config(Config::new().memory(16 << 20), |acl| {
            let device = acl.device(0)?;
            let context = device.create_context()?;
            let before = device.memory_info()?;
            assert!(before.total <= 16 << 20 && before.free > 8 << 20, "{before:?}");
            let mut buffers = Vec::new();
            while let Ok(buffer) = context.alloc::<u8>(1 << 20) {
                buffers.push(buffer);
                assert!(buffers.len() < 20);
            }
            assert!(buffers.len() >= 5);
            assert!(device.memory_info()?.free < 3 << 20, "{:?}", device.memory_info()?);
            assert_eq!(kind(context.alloc::<u8>(8 << 20)), ErrorKind::OutOfMemory);
            // The other devices have their own.
            acl.device(1)?.create_context()?.alloc::<u8>(8 << 20)?.memset(1)?;
            drop(buffers);
            context.alloc::<u8>(8 << 20)?.memset(1)?;
            assert_eq!(device.memory_info()?.free, before.free);
            Ok(())
        })?;
    }
}

backend_test! {
    fn memset(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let buffer = context.alloc::<u8>(100)?;
        buffer.memset(1)?;
        buffer.view(10..20)?.memset(2)?;
        stream.memset(&buffer.view(15..30)?, 3)?;
        stream.memset(&buffer.view(99..)?, 4)?;
        stream.synchronize()?;
        let mut expected = [1; 100];
        expected[10..15].fill(2);
        expected[15..30].fill(3);
        expected[99] = 4;
        assert_eq!(buffer.to_vec()?, expected);
    }
}

backend_test! {
    fn device_to_device(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let from = context.alloc_from(&(0..1000_u16).collect::<Vec<_>>())?;
        let to = context.alloc::<u16>(1000)?;
        to.copy_from(&from)?;
        assert_eq!(to.to_vec()?, from.to_vec()?);
        to.memset(0)?;
        stream.copy(&from.view(100..200)?, &to.view(500..600)?)?;
        stream.synchronize()?;
        let mut expected = vec![0; 1000];
        expected[500..600].copy_from_slice(&(100..200).collect::<Vec<_>>());
        assert_eq!(to.to_vec()?, expected);
        // Between contexts of one device.
        let other = acl.device(0)?.create_context()?;
        let there = other.alloc::<u16>(1000)?;
        there.copy_from(&from)?;
        assert_eq!(there.to_vec()?, from.to_vec()?);
        other.create_stream()?.copy(&to, &there)?;
        other.synchronize()?;
        assert_eq!(there.to_vec()?, expected);
    }
}

backend_test! {
    fn copies_between_devices_need_access(acl) {
        if acl.device_count()? < 2 {
            return Ok(());
        }
        let devices = [acl.device(0)?, acl.device(1)?];
        assert!(devices[0].can_access_peer(&devices[0])?);
        if !devices[0].can_access_peer(&devices[1])? || !devices[1].can_access_peer(&devices[0])? {
            return Ok(());
        }
        let contexts = [devices[0].create_context()?, devices[1].create_context()?];
        let streams = [contexts[0].create_stream()?, contexts[1].create_stream()?];
        let here = contexts[0].alloc_from(&[1_u32, 2, 3])?;
        let there = contexts[1].alloc_from(&[4_u32, 5, 6])?;
        if support::is_simulator(acl) {
            assert!(here.copy_from(&there).is_err(), "not enabled yet");
            assert!(there.copy_from(&here).is_err(), "not enabled yet");
            let late = streams[0].copy(&there, &here).and_then(|()| streams[0].synchronize());
            assert!(late.is_err(), "not enabled yet");
            assert_eq!((here.to_vec()?, there.to_vec()?), (vec![1, 2, 3], vec![4, 5, 6]));
        }
        for (device, peer) in [(0, 1), (1, 0), (0, 1), (0, 0)] {
            devices[device].enable_peer_access(&devices[peer])?;
        }
        here.copy_from(&there)?;
        assert_eq!(here.to_vec()?, [4, 5, 6]);
        there.copy_from_slice(&[7, 8, 9])?;
        contexts[0].create_stream()?.copy(&there, &here)?;
        contexts[0].synchronize()?;
        assert_eq!(here.to_vec()?, [7, 8, 9]);
        streams[1].copy(&here.view(..1)?, &there.view(2..)?)?;
        streams[1].synchronize()?;
        assert_eq!(there.to_vec()?, [7, 8, 7]);
        devices[0].disable_peer_access(&devices[1])?;
        devices[1].disable_peer_access(&devices[0])?;
        devices[0].disable_peer_access(&devices[0])?;
    }
}

sim_test! {
    fn devices_without_access_to_each_other() {
        with_config(Config::new().peer_access(false), |acl| {
            let (a, b) = (acl.device(0)?, acl.device(1)?);
            assert!(!a.can_access_peer(&b)?);
            assert_eq!(kind(a.enable_peer_access(&b)), ErrorKind::NotSupported);
            let (here, there) = (a.create_context()?.alloc::<u8>(8)?, b.create_context()?.alloc::<u8>(8)?);
            assert!(here.copy_from(&there).is_err());
            Ok(())
        })?;
    }
}

backend_test! {
    fn memory_of_another_device_than_the_streams_is_refused(acl) {
        if acl.device_count()? < 3 {
            return Ok(());
        }
        let contexts = [acl.device(0)?, acl.device(1)?, acl.device(2)?].map(|device| device.create_context().unwrap());
        let stream = contexts[0].create_stream()?;
        let foreign = contexts[1].alloc::<u8>(8)?;
        let mismatch = |result: Result<()>| assert!(matches!(result, Err(Error::Mismatch { .. })), "{result:?}");
        mismatch(stream.memset(&foreign, 1));
        let third = contexts[2].alloc::<u8>(8)?;
        mismatch(stream.copy(&foreign, &third));
        let rejected = stream.upload(contexts[0].alloc_pinned::<u8>(8)?, &foreign).unwrap_err();
        assert!(rejected.returned.is_some());
        mismatch(Err(rejected.error));
        let rejected = stream.download(&foreign, contexts[0].alloc_pinned::<u8>(8)?).unwrap_err();
        mismatch(Err(rejected.into()));
    }
}

backend_test! {
    fn memory_of_another_context_of_the_device_is_fine(acl) {
        let device = acl.device(0)?;
        let (a, b) = (device.create_context()?, device.create_context()?);
        let stream = a.create_stream()?;
        let buffer = b.alloc::<u8>(8)?;
        stream.memset(&buffer, 5)?;
        let pinned = stream.download(&buffer, b.alloc_pinned(8)?)?.wait()?;
        assert_eq!(pinned[..], [5; 8]);
    }
}

backend_test! {
    fn pinned_memory_is_a_slice(acl) {
        let context = acl.device(0)?.create_context()?;
        let mut pinned = context.alloc_pinned::<u32>(1000)?;
        assert!(pinned.iter().all(|&value| value == 0), "all zero at first");
        pinned.iter_mut().zip(0..).for_each(|(value, number)| *value = number);
        pinned[3..5].fill(9);
        assert_eq!((pinned.len(), pinned[2], pinned[4], pinned[999]), (1000, 2, 9, 999));
        assert_eq!(pinned.context(), &context);
        assert!(format!("{pinned:?}").contains("len: 1000"), "{pinned:?}");
        let copy = context.alloc_pinned_from(&pinned[..10])?;
        assert_eq!(copy[..], pinned[..10]);
        // It outlives nothing: the context goes with it.
        drop((context, pinned));
        assert_eq!(copy[9], 9);
    }
}

backend_test! {
    fn pinned_memory_is_aligned_or_refused(acl) {
        #[derive(Clone, Copy)]
        #[repr(C, align(64))]
        struct Line([u8; 64]);
        // SAFETY: bytes, as many as its alignment, so without padding.
        unsafe impl DeviceCopy for Line {}

        #[derive(Clone, Copy)]
        #[repr(C, align(1048576))]
        struct Huge([u8; 1 << 20]);
        // SAFETY: as above.
        unsafe impl DeviceCopy for Huge {}

        let context = acl.device(0)?.create_context()?;
        let pinned = context.alloc_pinned::<Line>(3)?;
        assert!((pinned.as_ptr() as usize).is_multiple_of(64) && pinned.iter().all(|line| line.0 == [0; 64]));
        match context.alloc_pinned::<Huge>(1) {
            Ok(pinned) => assert!((pinned.as_ptr() as usize).is_multiple_of(size_of::<Huge>())),
            Err(error) => assert!(matches!(error, Error::Mismatch { .. }), "{error:?}"),
        }
    }
}

backend_test! {
    fn memory_of_other_code_is_borrowed_or_taken_over(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let api = acl.raw();
        let entered = context.enter()?;
        let malloc = || {
            let mut raw = ptr::null_mut();
            let policy = ascendcl::sys::ACL_MEM_MALLOC_HUGE_FIRST;
            // SAFETY: a valid place for the answer; the context is current.
            assert_eq!(unsafe { api.aclrtMalloc.unwrap()(&mut raw, 64, policy) }, 0);
            raw
        };
        let (borrowed, owned) = (malloc(), malloc());
        // SAFETY: 16 numbers each; nobody else frees them while their owners live.
        let buffers: [DeviceBuffer<u32>; 2] = unsafe {
            [
                DeviceBuffer::from_raw(&context, borrowed.cast(), 16, false),
                DeviceBuffer::from_raw(&context, owned.cast(), 16, true),
            ]
        };
        for buffer in buffers {
            stream.memset(&buffer, 1)?;
            stream.synchronize()?;
            assert_eq!(buffer.to_vec()?, [0x0101_0101; 16]);
        }
        // SAFETY: nothing uses it any more.
        assert_eq!(unsafe { api.aclrtFree.unwrap()(borrowed) }, 0);
        drop(entered);
        assert_eq!(code(stream.synchronize()), 0);
    }
}
