//! Streams that are stopped from outside.

use std::sync::Arc;

use super::super::task::Task;
use super::{Run, State, Stream};

impl Stream {
    /// `aclrtStreamAbort`: throws away what is queued and waits for what runs. Threads that synchronise get 107023, and so does who
    /// queues something meanwhile. Afterwards the stream is as new.
    pub(crate) fn abort(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            state.aborting += 1;
            state.aborts += 1;
            self.changed.notify_all();
        }
        for task in self.take_all() {
            match task {
                Task::Record { event, number } => event.abort(number),
                task => task.abandon(),
            }
        }
        let running = |state: &mut State| matches!(state.run, Run::Ready | Run::Running);
        let (mut state, _) = self.changed.wait_for_device(&self.state, self.state.lock(), None, running);
        state.aborting -= 1;
        state.stopped = false;
        state.failure = None;
        drop(state);
        self.changed.notify_all();
    }

    /// `aclrtStreamStop`: what is running ends, a wait included, and what is queued behind it stays there.
    pub(crate) fn stop(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.stopped = true;
        let ticket = state.ticket;
        let parked = state.run == Run::Parked;
        drop(state);
        if parked {
            self.signal(ticket, super::Signal::Cancelled);
        }
        let running = |state: &mut State| matches!(state.run, Run::Ready | Run::Running);
        drop(self.changed.wait_for_device(&self.state, self.state.lock(), None, running));
    }
}
