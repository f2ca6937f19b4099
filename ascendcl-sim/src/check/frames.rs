//! Recognises a place in the program by its return addresses, without unwinding the stack each time.
//!
//! To unwind takes microseconds: tables are searched for each frame. But where the return addresses of a stack lie depends on nothing
//! but the frames below them. A thread that was here before, with its stack as high as now, therefore looks whether the same addresses still
//! lie where they lay: then it was called from the same places.

/// Frames that tell one place from another. The first ones are the simulator's own.
pub(super) const FRAMES: usize = 64;

/// The return addresses of a stack, the innermost first.
#[cfg(target_env = "gnu")]
pub(super) fn return_addresses() -> [usize; FRAMES] {
    let mut addresses = [0usize; FRAMES];
    // SAFETY: [memory] the array has room for as many addresses as are asked for; a pointer is as large as a usize.
    unsafe { libc::backtrace(addresses.as_mut_ptr().cast(), FRAMES as libc::c_int) };
    addresses
}

/// Without a cheap way to find the addresses places are told apart by what is printed of them.
#[cfg(not(target_env = "gnu"))]
pub(super) fn return_addresses() -> [usize; FRAMES] {
    use std::backtrace::Backtrace;
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    Backtrace::force_capture().to_string().hash(&mut hash);
    let mut addresses = [0usize; FRAMES];
    addresses[0] = hash.finish() as usize;
    addresses
}

pub(super) use imp::Frames;

/// Return addresses lie right below where a frame's caller had its stack pointer: so the ABI of x86-64 says, and no other one.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod imp {
    use core::ffi::{c_int, c_void};
    use std::cell::Cell;
    use std::mem::MaybeUninit;
    use std::ptr;

    use super::FRAMES;

    /// Of the unwinder that every program of Rust has in it.
    mod unwinder {
        use core::ffi::{c_int, c_void};

        pub(super) type Trace = extern "C" fn(*mut c_void, *mut c_void) -> c_int;

        pub(super) const GO_ON: c_int = 0;
        /// Any other value ends the walk.
        pub(super) const ENOUGH: c_int = 5;

        // SAFETY: [os] declared as in the C++ ABI that the unwinder follows.
        unsafe extern "C" {
            pub(super) fn _Unwind_Backtrace(trace: Trace, argument: *mut c_void) -> c_int;
            pub(super) fn _Unwind_GetIP(frame: *mut c_void) -> usize;
            pub(super) fn _Unwind_GetCFA(frame: *mut c_void) -> usize;
        }
    }

    /// Where the return addresses lay on the stack of this thread, and what they were.
    pub(in crate::check) struct Frames {
        /// An address in the innermost frame.
        at: usize,
        slots: Vec<(usize, usize)>,
    }

    struct Walk {
        frames: Frames,
        /// All of them were where they were expected.
        found: bool,
        end: usize,
    }

    thread_local! {
        /// The addresses of this thread's stack; empty if it could not be found out.
        static STACK: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
    }

    impl Frames {
        /// Those above `at`, an address in the frame of a caller; `None` if they cannot be recognised later.
        pub(in crate::check) fn above(at: usize) -> Option<Self> {
            let (start, end) = stack();
            if !(start..end).contains(&at) {
                // Not the stack that the system gave this thread: a coroutine's, or a signal handler's.
                return None;
            }
            let frames = Self { at, slots: Vec::with_capacity(FRAMES) };
            let mut walk = Walk { frames, found: true, end };
            // SAFETY: [os] `note` does not unwind, and `walk` is what it takes its argument for.
            unsafe { unwinder::_Unwind_Backtrace(note, (&raw mut walk).cast()) };
            (walk.found && !walk.frames.slots.is_empty()).then_some(walk.frames)
        }

        /// Whether this thread, with `at` an address in the same frame as then, has come here from the same places.
        pub(in crate::check) fn hold(&self, at: usize) -> bool {
            // SAFETY: [os] all slots lie between `at` and the end of this thread's own stack (`note` saw to that), where everything is mapped
            // and only this thread writes. What is there now need not be a return address: it is a number and is compared.
            at == self.at && self.slots.iter().all(|&(slot, value)| unsafe { read(slot) } == value)
        }
    }

    /// # Safety
    /// `slot` is an aligned address in a part of the calling thread's stack that is in use.
    unsafe fn read(slot: usize) -> usize {
        // SAFETY: [caller] mapped and aligned (contract). Volatile: it belongs to a frame that Rust knows nothing of.
        unsafe { ptr::with_exposed_provenance::<usize>(slot).read_volatile() }
    }

    extern "C" fn note(frame: *mut c_void, walk: *mut c_void) -> c_int {
        // SAFETY: [caller] what `above` passes, which nobody else uses meanwhile.
        let walk = unsafe { &mut *walk.cast::<Walk>() };
        // SAFETY: [caller] the unwinder passes a frame of its own.
        let (address, stack) = unsafe { (unwinder::_Unwind_GetIP(frame), unwinder::_Unwind_GetCFA(frame)) };
        let slot = stack.wrapping_sub(size_of::<usize>());
        if slot <= walk.frames.at {
            // Frames of this search.
            return unwinder::GO_ON;
        }
        if address == 0 || walk.frames.slots.len() == FRAMES {
            return unwinder::ENOUGH;
        }
        let inside = slot.is_multiple_of(size_of::<usize>()) && stack <= walk.end;
        // SAFETY: [os] aligned, and inside the part of this thread's stack that is in use (just checked).
        walk.found = inside && unsafe { read(slot) } == address;
        walk.frames.slots.push((slot, address));
        if walk.found { unwinder::GO_ON } else { unwinder::ENOUGH }
    }

    /// The stack that the system gave this thread.
    fn stack() -> (usize, usize) {
        if let Some(stack) = STACK.get() {
            return stack;
        }
        let stack = look_up().unwrap_or((0, 0));
        STACK.set(Some(stack));
        stack
    }

    fn look_up() -> Option<(usize, usize)> {
        let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
        let (mut start, mut len) = (ptr::null_mut(), 0);
        // SAFETY: [os] the attributes are written by the first call, used if that went well, and destroyed once.
        let failed = unsafe {
            if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
                return None;
            }
            let failed = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut len) != 0;
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            failed
        };
        (!failed).then(|| (start.addr(), start.addr() + len))
    }
}

/// Nothing is recognised.
#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
mod imp {
    pub(in crate::check) struct Frames(std::convert::Infallible);

    impl Frames {
        pub(in crate::check) fn above(_: usize) -> Option<Self> {
            None
        }

        pub(in crate::check) fn hold(&self, _: usize) -> bool {
            match self.0 {}
        }
    }
}

#[cfg(all(test, target_arch = "x86_64", target_env = "gnu"))]
mod tests {
    use std::arch::asm;
    use std::hint::black_box;

    use super::*;

    #[inline(never)]
    fn look(frames: &mut Vec<Frames>) -> Option<usize> {
        // Not the address of a variable: AddressSanitizer keeps those on a stack of its own.
        let at: usize;
        // SAFETY: [os] reads a register.
        unsafe { asm!("mov {}, rsp", out(reg) at, options(nomem, nostack, preserves_flags)) };
        let known = frames.iter().position(|frames| frames.hold(at));
        if known.is_none() {
            frames.push(Frames::above(at).expect("frames on a thread of the system"));
        }
        black_box(known)
    }

    #[inline(never)]
    fn deeper(frames: &mut Vec<Frames>) -> Option<usize> {
        black_box(look(black_box(frames)))
    }

    /// One piece of code for all rounds: an optimiser that takes the first one out of the loop gives it places of its own.
    #[inline(never)]
    fn go_round(rounds: &mut [[Option<usize>; 4]]) {
        let mut frames = Vec::new();
        for found in rounds {
            *found =
                black_box([look(&mut frames), look(&mut frames), deeper(&mut frames), deeper(&mut frames)]);
        }
    }

    #[test]
    fn a_place_is_recognised_and_told_from_others() {
        let mut rounds = [[None; 4]; 3];
        go_round(black_box(&mut rounds));
        let known = [Some(0), Some(1), Some(2), Some(3)];
        assert_eq!(rounds, [[None; 4], known, known]);
    }
}
