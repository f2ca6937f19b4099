//! What nobody can vouch for: it is never freed, and stays in sight.
//!
//! Memory that a device may still be using must not be freed, nor may what a destructor would tear down with it. Forgetting it
//! would do; but then a leak checker could not tell it from what was lost by mistake. So it hangs in a list that nobody reads.
//!
//! Nothing waits here, so that it may be used in a forked child.

use std::{
    mem::size_of,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// The newest entry; each holds the address of the one before it.
static LIST: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

struct Entry<T> {
    before: *mut (),
    /// Only its existence counts.
    _value: T,
}

/// Keeps `value` for the rest of the process. Its destructor never runs.
pub(crate) fn keep_for_ever<T>(value: T) {
    if size_of::<T>() == 0 {
        std::mem::forget(value);
        return;
    }
    let entry = Box::leak(Box::new(Entry { before: LIST.load(Ordering::Relaxed), _value: value }));
    loop {
        let address = ptr::from_mut(entry).cast();
        // Nobody follows the addresses: a list of them is enough, and there is nothing to publish with them.
        match LIST.compare_exchange_weak(entry.before, address, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(newer) => entry.before = newer,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    #[test]
    fn what_is_kept_is_not_dropped() {
        let thing = Arc::new(5);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| keep_for_ever(thing.clone())));
            }
        });
        assert_eq!(Arc::strong_count(&thing), 401);
    }

    #[test]
    fn what_has_no_size_is_kept_too() {
        struct Fuse;
        impl Drop for Fuse {
            fn drop(&mut self) {
                panic!("it was dropped");
            }
        }
        keep_for_ever(Fuse);
    }
}
