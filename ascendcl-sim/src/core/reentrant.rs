//! A lock that its holder may take again: what serialises initialisation, whose callbacks may call back in.

use crate::lock::{Condvar, Mutex};

#[derive(Debug)]
pub(crate) struct Gate {
    holder: Mutex<Holder>,
    free: Condvar,
}

#[derive(Debug)]
struct Holder {
    thread: u64,
    depth: usize,
}

/// Inside; the outermost one opens the gate for others when dropped.
pub(crate) struct Inside<'a>(&'a Gate, usize);

impl Gate {
    pub(crate) const fn new() -> Self {
        Self { holder: Mutex::new(Holder { thread: 0, depth: 0 }), free: Condvar::new() }
    }

    pub(crate) fn enter(&self) -> Inside<'_> {
        // SAFETY: [os] no preconditions. A thread id of the standard library is not to be had while a thread ends.
        let thread = unsafe { libc::pthread_self() } as u64;
        let (mut holder, _) = self
            .free
            .wait_while(self.holder.lock(), None, |holder| holder.depth > 0 && holder.thread != thread);
        holder.thread = thread;
        holder.depth += 1;
        Inside(self, holder.depth)
    }
}

impl Inside<'_> {
    /// Whether this thread was inside already.
    pub(crate) fn is_nested(&self) -> bool {
        self.1 > 1
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut holder = self.0.holder.lock();
        holder.depth -= 1;
        let open = holder.depth == 0;
        drop(holder);
        if open {
            self.0.free.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_enters_again_and_others_wait() {
        static GATE: Gate = Gate::new();
        let outer = GATE.enter();
        assert!(!outer.is_nested());
        assert!(GATE.enter().is_nested());
        let other = std::thread::spawn(|| GATE.enter().is_nested());
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!other.is_finished());
        drop(outer);
        assert!(!other.join().unwrap());
    }
}
