//! Copies of rectangles: where their values end up, what does not fit, and that they own memory as other copies do.

mod support;

use ascendcl::{Context, Error, ErrorKind, PinnedBuffer, Rectangle, Result, Stream};
use ascendcl_sim::{LiveKind, Profile};
use std::ffi::{c_int, c_void};
use support::{Gate, Random, kind, with_profile, with_table};

/// Of an image of rows of `pitch` values, those of a rectangle, row by row.
fn cut(image: &[u32], pitch: usize, [column, row]: [usize; 2], [width, height]: [usize; 2]) -> Vec<u32> {
    let rows = (row..row + height).map(|row| row * pitch + column);
    rows.flat_map(|start| image[start..start + width].to_vec()).collect()
}

fn numbers(context: &Context, len: u32) -> Result<PinnedBuffer<u32>> {
    context.alloc_pinned_from(&(0..len).collect::<Vec<_>>())
}

fn pinned_allocations() -> usize {
    ascendcl_sim::live().iter().filter(|live| live.kind == LiveKind::PinnedMemory).count()
}

fn misfit<T>(result: Result<T>) -> (usize, usize) {
    match result {
        Err(Error::Length { expected, actual, .. }) => (expected, actual),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is not refused"),
    }
}

backend_test! {
    fn random_rectangles_there_and_back(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let mut random = Random::new(7);
        for round in 0..60 {
            let (width, height) = (1 + random.below(40), 1 + random.below(20));
            let mut side = || {
                let (column, row) = (random.below(9), random.below(5));
                let pitch = column + width + random.below(7);
                // Not one value more than there has to be: the last row ends with the rectangle.
                let len = (row + height - 1) * pitch + column + width;
                (pitch, column, row, len)
            };
            let (from, to) = (side(), side());
            let there = Rectangle::new(width, height).source(from.0, from.1, from.2).target(to.0, to.1, to.2);
            let back = Rectangle::new(width, height).source(to.0, to.1, to.2).target(from.0, from.1, from.2);
            let image: Vec<u32> = (0..from.3 as u32).map(|number| number * 3 + round).collect();
            let expected = cut(&image, from.0, [from.1, from.2], [width, height]);

            let device = context.alloc_from(&vec![u32::MAX; to.3])?;
            device.copy_rectangle_from_slice(&image, there)?;
            let copied = device.to_vec()?;
            assert_eq!(cut(&copied, to.0, [to.1, to.2], [width, height]), expected, "{there:?}");
            let others = copied.iter().filter(|&&value| value == u32::MAX).count();
            assert_eq!(others, to.3 - width * height, "only the rectangle is written: {there:?}");
            let mut returned = vec![u32::MAX; from.3];
            device.copy_rectangle_to_slice(&mut returned, back)?;
            assert_eq!(cut(&returned, from.0, [from.1, from.2], [width, height]), expected, "{back:?}");
            let others = returned.iter().filter(|&&value| value == u32::MAX).count();
            assert_eq!(others, from.3 - width * height, "only the rectangle is written: {back:?}");

            device.memset(0xff)?;
            let upload = stream.upload_rectangle(context.alloc_pinned_from(&image)?, &device, there)?;
            let pinned = context.alloc_pinned_from(&vec![u32::MAX; from.3])?;
            let download = stream.download_rectangle(&device, pinned, back)?;
            assert_eq!(download.wait()?[..], returned);
            assert_eq!(upload.wait()?[..], image, "an upload leaves its source as it is");
            assert_eq!(device.to_vec()?, copied);
        }
    }
}

backend_test! {
    fn parts_of_values_of_several_bytes(acl) {
        let context = acl.device(0)?.create_context()?;
        let image: Vec<[u8; 3]> = (0..12).map(|number| [number, number + 100, number + 200]).collect();
        let device = context.alloc_from(&image)?;
        let mut part = [[0; 3]; 4];
        device.copy_rectangle_to_slice(&mut part, Rectangle::new(2, 2).source(4, 1, 1))?;
        assert_eq!(part, [[5, 105, 205], [6, 106, 206], [9, 109, 209], [10, 110, 210]]);
        // Of a view, from where it starts.
        device.view(4..)?.copy_rectangle_to_slice(&mut part, Rectangle::new(2, 2).source(4, 1, 0))?;
        assert_eq!(part, [[5, 105, 205], [6, 106, 206], [9, 109, 209], [10, 110, 210]]);
    }
}

backend_test! {
    fn what_does_not_fit_is_refused(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc_from(&[9_u32; 20])?;
        let wide = Rectangle::new(3, 2).source(6, 2, 1);
        assert_eq!(misfit(device.copy_rectangle_from_slice(&[0; 16], wide)), (17, 16));
        assert_eq!(misfit(device.view(..5)?.copy_rectangle_from_slice(&[0; 17], wide)), (6, 5));
        assert_eq!(misfit(device.view(..16)?.copy_rectangle_to_slice(&mut [0; 6], wide)), (17, 16));
        assert_eq!(misfit(device.copy_rectangle_to_slice(&mut [0; 5], wide)), (6, 5));
        assert_eq!(misfit(stream.copy_rectangle(&device, &device.view(..5)?, wide)), (6, 5));
        let narrow = Rectangle::new(3, 2).source(4, 2, 0);
        assert_eq!(misfit(device.copy_rectangle_from_slice(&[0; 100], narrow)), (5, 4));
        let high = Rectangle::new(1, 2).source(2, 0, usize::MAX);
        assert_eq!(misfit(device.copy_rectangle_from_slice(&[0; 100], high)), (usize::MAX, 100));
        let text = device.copy_rectangle_from_slice(&[0; 16], wide).unwrap_err().to_string();
        assert!(text.contains("17 elements") && text.contains("in the source") && text.contains("got 16"), "{text}");
        let text = device.copy_rectangle_to_slice(&mut [0; 5], wide).unwrap_err().to_string();
        assert!(text.contains("6 elements") && text.contains("in the target") && text.contains("got 5"), "{text}");
        // Asynchronous copies give back what they had taken.
        let rejected = stream.upload_rectangle(numbers(&context, 16)?, &device, wide).unwrap_err();
        assert!(matches!(rejected.error, Error::Length { expected: 17, actual: 16, .. }), "{rejected}");
        assert!(rejected.returned.expect("the memory comes back").iter().copied().eq(0..16));
        let rejected = stream.download_rectangle(&device, numbers(&context, 5)?, wide).unwrap_err();
        assert!(matches!(rejected.error, Error::Length { expected: 6, actual: 5, .. }), "{rejected}");
        assert!(rejected.returned.expect("the memory comes back").iter().copied().eq(0..5));
        assert_eq!(device.to_vec()?, [9; 20]);
    }
}

backend_test! {
    fn more_than_acl_copies_is_refused(acl) {
        let context = acl.device(0)?.create_context()?;
        let device = context.alloc::<u8>(5_242_881)?;
        let mut values = vec![1; 5_242_881];
        let wide = |width| Rectangle::new(width, 1);
        device.copy_rectangle_from_slice(&values, wide(5_000_000))?;
        device.copy_rectangle_to_slice(&mut values, wide(5_000_000))?;
        assert_eq!(misfit(device.copy_rectangle_from_slice(&values, wide(5_000_001))), (5_000_000, 5_000_001));
        let high = Rectangle::new(1, 5_242_881);
        assert_eq!(misfit(device.copy_rectangle_to_slice(&mut values, high)), (5_242_880, 5_242_881));
    }
}

backend_test! {
    fn nothing_is_copied_by_doing_nothing(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let (device, empty) = (context.alloc_from(&[1_u32; 4])?, context.alloc::<u32>(0)?);
        for nothing in [Rectangle::new(0, 3), Rectangle::new(3, 0), Rectangle::new(0, 0).source(0, 5, 5)] {
            device.copy_rectangle_from_slice(&[], nothing)?;
            empty.copy_rectangle_to_slice(&mut [], nothing)?;
            stream.copy_rectangle(&device, &empty, nothing)?;
            let pinned = stream.upload_rectangle(numbers(&context, 3)?, &device, nothing)?.wait()?;
            assert_eq!(stream.download_rectangle(&device, pinned, nothing)?.wait()?[..], [0, 1, 2]);
        }
        assert_eq!(device.to_vec()?, [1; 4]);
    }
}

backend_test! {
    fn a_dropped_copy_keeps_its_memory_until_it_is_done(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc_from(&[0_u32; 100])?;
        let before = pinned_allocations();
        let gate = Gate::close(&stream)?;
        drop(stream.upload_rectangle(numbers(&context, 50)?, &device, Rectangle::new(5, 10).target(10, 5, 0))?);
        drop(stream.download_rectangle(&device, numbers(&context, 50)?, Rectangle::new(5, 10).source(10, 5, 0))?);
        let others = (0..5).map(|_| context.alloc_pinned_from(&[77; 50])).collect::<Result<Vec<_>>>()?;
        if acl.is_simulated() {
            assert_eq!(pinned_allocations(), before + 7, "the stream keeps both");
        }
        gate.open()?;
        stream.synchronize()?;
        assert_eq!(cut(&device.to_vec()?, 10, [5, 0], [5, 10]), (0..50).collect::<Vec<_>>());
        assert!(others.iter().all(|other| other[..] == [77; 50]));
        drop(others);
        if acl.is_simulated() {
            assert_eq!(pinned_allocations(), before, "the stream keeps nothing any more");
        }
    }
}

backend_test! {
    fn memory_of_another_device_is_refused(acl) {
        if acl.device_count()? < 2 {
            return Ok(());
        }
        let (here, there) = (acl.device(0)?.create_context()?, acl.device(1)?.create_context()?);
        let stream = here.create_stream()?;
        let (near, far) = (here.alloc::<u32>(4)?, there.alloc::<u32>(4)?);
        let all = Rectangle::new(2, 2);
        let rejected = stream.upload_rectangle(numbers(&here, 4)?, &far, all).unwrap_err();
        assert!(matches!(rejected.error, Error::Mismatch { .. }), "{rejected}");
        assert_eq!(rejected.returned.expect("the memory comes back")[..], [0, 1, 2, 3]);
        for (from, to) in [(&near, &far), (&far, &near)] {
            assert!(matches!(stream.copy_rectangle(from, to, all), Err(Error::Mismatch { .. })));
        }
    }
}

/// What a copy within the device comes to.
fn within_the_device(context: &Context, stream: &Stream) -> Result<Vec<u32>> {
    let (from, to) = (context.alloc_from(&(0..30).collect::<Vec<u32>>())?, context.alloc_from(&[99; 12])?);
    stream.copy_rectangle(&from, &to, Rectangle::new(2, 3).source(10, 7, 0).target(4, 1, 0))?;
    // Both stay alive until it is done.
    drop(from);
    stream.synchronize()?;
    to.to_vec()
}

sim_test! {
    fn rectangles_on_every_chip() {
        for name in Profile::NAMES {
            let profile = Profile::by_name(name).expect("it has a profile");
            with_profile(profile, |acl| {
                let context = acl.device(0)?.create_context()?;
                let stream = context.create_stream()?;
                let device = context.alloc_from(&[0_u32; 12])?;
                let right = Rectangle::new(2, 2).target(4, 2, 1);
                let pinned = stream.upload_rectangle(numbers(&context, 4)?, &device, right)?.wait()?;
                assert_eq!(device.to_vec()?, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 3], "{name}");
                let back = stream.download_rectangle(&device, pinned, Rectangle::new(1, 3).source(4, 3, 0))?;
                assert_eq!(back.wait()?[..], [0, 1, 3, 3], "{name}");
                device.copy_rectangle_from_slice(&[5, 6], Rectangle::new(1, 2).target(4, 0, 0))?;
                let mut row = [0; 4];
                device.copy_rectangle_to_slice(&mut row, Rectangle::new(4, 1).source(4, 0, 1))?;
                assert_eq!(row, [6, 0, 0, 1], "{name}");
                let copied = within_the_device(&context, &stream);
                if name.starts_with("ascend310") {
                    assert_eq!(kind(copied), ErrorKind::NotSupported, "{name}");
                    // The stream goes on.
                    stream.upload(numbers(&context, 12)?, &device)?.wait()?;
                } else {
                    assert_eq!(copied?, [99, 7, 8, 99, 99, 17, 18, 99, 99, 27, 28, 99], "{name}");
                }
                Ok(())
            })?;
        }
    }
}

sim_test! {
    fn an_error_after_the_first_tasks_gives_nothing_back() {
        /// As a copy of which the last tasks found no room: a shortage, and the first ones are in the stream.
        unsafe extern "C" fn half_submitted(
            to: *mut c_void,
            to_pitch: usize,
            from: *const c_void,
            from_pitch: usize,
            width: usize,
            height: usize,
            kind: ascendcl::sys::aclrtMemcpyKind,
            stream: ascendcl::sys::aclrtStream,
        ) -> c_int {
            let copy = ascendcl_sim::api().aclrtMemcpy2dAsync.expect("the simulator has it");
            // SAFETY: the caller's arguments.
            let answer = unsafe { copy(to, to_pitch, from, from_pitch, width, height, kind, stream) };
            assert_eq!(answer, 0);
            207_001
        }
        with_table(
            |api| api.aclrtMemcpy2dAsync = Some(half_submitted),
            |acl| {
                let context = acl.device(0)?.create_context()?;
                let stream = context.create_stream()?;
                let device = context.alloc_from(&[0_u32; 6])?;
                let gate = Gate::close(&stream)?;
                let before = pinned_allocations();
                let rejected =
                    stream.upload_rectangle(numbers(&context, 6)?, &device, Rectangle::new(2, 3)).unwrap_err();
                assert_eq!(rejected.error.code().map(|code| code.0), Some(207_001));
                assert!(rejected.returned.is_none(), "the copy is running");
                assert_eq!(pinned_allocations(), before + 1, "the stream keeps what it reads");
                assert!(!stream.is_idle()?);
                gate.open()?;
                stream.synchronize()?;
                assert_eq!(pinned_allocations(), before);
                assert_eq!(device.to_vec()?, [0, 1, 2, 3, 4, 5]);
                Ok(())
            },
        )?;
    }
}

sim_test! {
    fn a_release_without_these_copies_says_so() {
        with_table(
            |api| (api.aclrtMemcpy2d, api.aclrtMemcpy2dAsync) = (None, None),
            |acl| {
                let context = acl.device(0)?.create_context()?;
                let stream = context.create_stream()?;
                let device = context.alloc::<u32>(6)?;
                let all = Rectangle::new(2, 3);
                let missing = |error| matches!(error, Error::MissingSymbol { function } if function.starts_with("aclrtMemcpy2d"));
                assert!(missing(device.copy_rectangle_from_slice(&[0; 6], all).unwrap_err()));
                assert!(missing(stream.copy_rectangle(&device, &device, all).unwrap_err()));
                let rejected = stream.upload_rectangle(numbers(&context, 6)?, &device, all).unwrap_err();
                assert!(missing(rejected.error));
                assert_eq!(rejected.returned.expect("the memory comes back")[..], [0, 1, 2, 3, 4, 5]);
                Ok(())
            },
        )?;
    }
}
