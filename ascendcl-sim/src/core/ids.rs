//! Pools of small numbers: stream ids and hardware event ids of a device.

use std::collections::VecDeque;
use std::time::Instant;

use crate::lock::{Condvar, Mutex};

/// Numbers below a limit. The one that was free longest is given out first.
#[derive(Debug)]
pub(crate) struct IdPool {
    limit: u32,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    next: u32,
    free: VecDeque<u32>,
}

impl IdPool {
    pub(crate) fn new(limit: u32) -> Self {
        // All at once: memory that grows while a program gives ids back for the first time looks like a leak of the program's.
        let free = VecDeque::with_capacity(limit as usize);
        Self { limit, state: Mutex::new(State { next: 0, free }), returned: Condvar::new() }
    }

    pub(crate) fn take(&self) -> Option<u32> {
        Self::take_from(&mut self.state.lock(), self.limit)
    }

    /// Waits until `deadline` for an id.
    pub(crate) fn take_until(&self, deadline: Instant) -> Option<u32> {
        let mut taken = None;
        let (guard, _) =
            self.returned.wait_for_device(&self.state, self.state.lock(), Some(deadline), |state| {
                taken = Self::take_from(state, self.limit);
                taken.is_none()
            });
        drop(guard);
        taken
    }

    pub(crate) fn give(&self, id: u32) {
        self.state.lock().free.push_back(id);
        self.returned.notify_one();
    }

    pub(crate) fn available(&self) -> u32 {
        let state = self.state.lock();
        self.limit - state.next + state.free.len() as u32
    }

    fn take_from(state: &mut State, limit: u32) -> Option<u32> {
        if state.next < limit {
            state.next += 1;
            return Some(state.next - 1);
        }
        state.free.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_waiter_gets_a_returned_id() {
        let pool = IdPool::new(2);
        assert_eq!((pool.take(), pool.take(), pool.take()), (Some(0), Some(1), None));
        assert_eq!(pool.take_until(Instant::now() + Duration::from_millis(10)), None);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| pool.take_until(Instant::now() + Duration::from_secs(30)));
            std::thread::sleep(Duration::from_millis(20));
            pool.give(1);
            assert_eq!(waiter.join().unwrap(), Some(1));
        });
        assert_eq!(pool.available(), 0);
    }
}
