//! A bounded queue from threads that must not wait to one that takes its time. When it is full, what comes is counted and dropped. Knows no ACL, so
//! that loom can check it.

use crate::{
    process::is_over,
    quiet::guarded,
    sync::{Condvar, Mutex, lock, wait_for},
};
use std::{collections::VecDeque, mem, task::Waker, time::Duration};

struct Inner<E> {
    waiting: VecDeque<E>,
    missed: u64,
    /// How many threads wait: telling nobody is a system call too.
    sleepers: usize,
    waker: Option<Waker>,
}

/// The queue.
pub(crate) struct Channel<E> {
    capacity: usize,
    inner: Mutex<Inner<E>>,
    came: Condvar,
}

impl<E> Channel<E> {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { waiting: VecDeque::with_capacity(capacity), missed: 0, sleepers: 0, waker: None };
        Channel { capacity, inner: Mutex::new(inner), came: Condvar::new() }
    }

    /// Puts something in, or counts it as missed. Waits for nobody; a waker runs here.
    pub(crate) fn send(&self, thing: E) {
        let (waker, sleepers) = {
            let mut inner = lock(&self.inner);
            if inner.waiting.len() >= self.capacity {
                inner.missed += 1;
                return;
            }
            inner.waiting.push_back(thing);
            (inner.waker.take(), inner.sleepers > 0)
        };
        if sleepers {
            self.came.notify_all();
        }
        // Outside the lock: a waker is code of the program.
        if let Some(waker) = waker {
            guarded(|| waker.wake());
        }
    }

    /// What came first, if anything is there.
    pub(crate) fn try_receive(&self) -> Option<E> {
        lock(&self.inner).waiting.pop_front()
    }

    /// What came first. `None` when the time is over, or the process exits.
    pub(crate) fn receive(&self, timeout: Option<Duration>) -> Option<E> {
        #[cfg(not(loom))]
        let deadline = timeout.and_then(|timeout| std::time::Instant::now().checked_add(timeout));
        #[cfg(not(loom))]
        let left = || deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
        #[cfg(loom)]
        let left = || timeout;
        let mut inner = lock(&self.inner);
        loop {
            if let Some(thing) = inner.waiting.pop_front() {
                return Some(thing);
            }
            let left = left();
            if is_over() || left == Some(Duration::ZERO) {
                return None;
            }
            inner.sleepers += 1;
            inner = wait_for(&self.came, inner, left);
            inner.sleepers -= 1;
        }
    }

    /// What came first; otherwise keeps the waker for what comes next.
    pub(crate) fn poll_receive(&self, waker: &Waker) -> Option<E> {
        let mut inner = lock(&self.inner);
        let thing = inner.waiting.pop_front();
        if thing.is_some() || inner.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            return thing;
        }
        drop(inner);
        // Cloning a waker and dropping one runs code of the program: not under the lock.
        let mut other = Some(waker.clone());
        let mut inner = lock(&self.inner);
        let thing = inner.waiting.pop_front();
        if thing.is_none() {
            mem::swap(&mut inner.waker, &mut other);
        }
        drop(inner);
        drop(other);
        thing
    }

    /// How much was dropped because the queue was full.
    pub(crate) fn missed(&self) -> u64 {
        lock(&self.inner).missed
    }

    /// Wakes who waits, so that they see that the process exits.
    #[cfg(not(loom))]
    pub(crate) fn nudge(&self) {
        let waker = crate::sync::lock_soon(&self.inner).and_then(|mut inner| inner.waker.take());
        self.came.notify_all();
        if let Some(waker) = waker {
            guarded(|| waker.wake());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_a_full_queue_is_counted() {
        let channel = Channel::new(2);
        (1..=5).for_each(|thing| channel.send(thing));
        assert_eq!((channel.try_receive(), channel.missed()), (Some(1), 3));
        channel.send(6);
        assert_eq!(
            [channel.try_receive(), channel.try_receive(), channel.try_receive()],
            [Some(2), Some(6), None]
        );
        assert_eq!((channel.receive(Some(Duration::from_millis(1))), channel.missed()), (None, 3));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::explore;
    use loom::thread;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    /// Two threads send while one receives: nothing is lost, nothing comes twice, and nobody sleeps for ever.
    #[test]
    fn what_is_sent_is_received_once() {
        explore(3, || {
            let channel = Arc::new(Channel::new(2));
            let senders: Vec<_> = [1, 2]
                .map(|thing| {
                    let channel = channel.clone();
                    thread::spawn(move || channel.send(thing))
                })
                .into();
            let received = channel.receive(None).unwrap() + channel.receive(None).unwrap();
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            assert_eq!((received, channel.try_receive(), channel.missed()), (3, None, 0));
        });
    }

    /// A full queue drops what comes, and never more than that.
    #[test]
    fn each_thing_is_received_or_missed() {
        explore(3, || {
            let channel = Arc::new(Channel::new(1));
            let senders: Vec<_> = [1, 2]
                .map(|thing| {
                    let channel = channel.clone();
                    thread::spawn(move || channel.send(thing))
                })
                .into();
            let mut received = usize::from(channel.try_receive().is_some());
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            received += usize::from(channel.try_receive().is_some());
            assert_eq!(received as u64 + channel.missed(), 2);
        });
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_polled_in_vain_is_woken() {
        loom::model(|| {
            let channel = Arc::new(Channel::new(1));
            let sender = {
                let channel = channel.clone();
                thread::spawn(move || channel.send(7))
            };
            let count = Arc::new(Count(AtomicUsize::new(0)));
            let polled = channel.poll_receive(&Waker::from(count.clone()));
            sender.join().unwrap();
            if polled.is_none() {
                assert_eq!((count.0.load(Ordering::SeqCst), channel.try_receive()), (1, Some(7)));
            }
        });
    }
}
