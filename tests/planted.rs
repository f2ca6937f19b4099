//! Defects on purpose, each of a kind that safe code cannot have: a leak, a use after free, an uninitialised read, a data race, all on the way
//! of a callback to the report thread and back. `.ci/run` runs each under the tools that have to see it, and fails if one does not.
//!
//! Never run by themselves: what they do is undefined.

mod support;

use ascendcl::{Acl, Result};
use std::{
    cell::UnsafeCell,
    hint::black_box,
    mem::MaybeUninit,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use support::{Raw, Target};

/// Runs a closure as a callback, and `meanwhile` while it may run.
fn in_a_callback<T: Send + 'static>(
    closure: impl FnOnce() -> T + Send + 'static,
    meanwhile: impl FnOnce(),
) -> Result<T> {
    let acl: Acl = Target::Embedded.open()?;
    let stream = acl.device(0)?.create_context()?.create_stream()?;
    let callback = stream.launch_callback(closure)?;
    meanwhile();
    let value = callback.wait();
    drop(stream);
    assert!(acl.finalize()?);
    value
}

#[test]
#[ignore = "a defect on purpose"]
fn nothing() {
    assert_eq!(in_a_callback(|| 3, || ()).unwrap(), 3, "the way there and back is clean");
}

#[test]
#[ignore = "a defect on purpose"]
fn leak() {
    in_a_callback(|| _ = black_box(Box::into_raw(Box::new([7_u64; 40]))), || ()).unwrap();
}

#[test]
#[ignore = "a defect on purpose"]
fn use_after_free() {
    let place = Raw(Box::into_raw(Box::new(5_u32)).cast());
    let read = move || {
        let place = place;
        // SAFETY: none.
        unsafe { black_box(place.0.cast::<u32>()).read_volatile() }
    };
    // SAFETY: it came from a box. It is used once more, which is the defect.
    drop(unsafe { Box::from_raw(place.0.cast::<u32>()) });
    black_box(in_a_callback(read, || ()).unwrap());
}

#[test]
#[ignore = "a defect on purpose"]
fn uninitialised_read() {
    let read = || {
        let place = black_box(Box::new(MaybeUninit::<[u8; 64]>::uninit()));
        // SAFETY: none.
        let value = unsafe { place.as_ptr().cast::<u8>().add(9).read_volatile() };
        if black_box(value) == 77 { 1 } else { 2 }
    };
    black_box(in_a_callback(read, || ()).unwrap());
}

/// Shared with no lock.
struct Shared(UnsafeCell<u64>);

// SAFETY: none.
unsafe impl Sync for Shared {}

#[test]
#[ignore = "a defect on purpose"]
fn data_race() {
    let ours = Arc::new((Shared(UnsafeCell::new(0)), AtomicBool::new(false)));
    let theirs = ours.clone();
    // SAFETY: none: a relaxed flag orders nothing.
    let write = |(shared, _): &(Shared, AtomicBool)| unsafe { *shared.0.get() += 1 };
    in_a_callback(
        move || {
            write(&theirs);
            theirs.1.store(true, Ordering::Relaxed);
        },
        || {
            while !ours.1.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            write(&ours);
        },
    )
    .unwrap();
}
