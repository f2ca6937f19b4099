//! Streams that are stopped from outside.

use std::sync::Arc;
use std::time::Instant;

use ascendcl_sys::{self as sys, aclError};

use super::super::task::Task;
use super::{Run, State, Stream};
use crate::check;

impl Stream {
    /// `aclrtStreamAbort`: throws away what is queued and waits for what runs. Threads that synchronise get 107023, and so does who
    /// queues something meanwhile. Afterwards the stream is as new.
    pub(crate) fn abort(self: &Arc<Self>) {
        self.begin_abort(sys::ACL_ERROR_RT_STREAM_ABORT);
        self.end_abort(None);
    }

    /// Throws away what is queued. Until [`end_abort`](Self::end_abort), who queues or waits for something gets `code`.
    pub(in crate::core) fn begin_abort(self: &Arc<Self>, code: aclError) {
        {
            let mut state = self.state.lock();
            state.aborting += 1;
            state.aborts += 1;
            state.abort_code = code;
            self.changed.notify_all();
        }
        for task in self.take_all() {
            match task {
                Task::Record { event, number } => event.abort(number),
                task => task.abandon(),
            }
        }
    }

    /// Waits for what runs; false if it does not end before `deadline`.
    pub(in crate::core) fn end_abort(self: &Arc<Self>, deadline: Option<Instant>) -> bool {
        let running = |state: &mut State| matches!(state.run, Run::Ready | Run::Running);
        let (mut state, expired) =
            self.changed.wait_for_device(&self.state, self.state.lock(), deadline, running);
        state.aborting -= 1;
        state.stopped = false;
        state.failure = None;
        drop(state);
        self.changed.notify_all();
        if !expired {
            check::host_sees(self);
        }
        !expired
    }

    /// `aclrtStreamStop`: what is running ends, a wait included, and what is queued behind it stays there.
    pub(crate) fn stop(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.stopped = true;
        self.unclaim(&mut state);
        let ticket = state.ticket;
        let parked = state.run == Run::Parked;
        drop(state);
        if parked {
            self.signal(ticket, super::Signal::Cancelled);
        }
        let running = |state: &mut State| matches!(state.run, Run::Ready | Run::Running);
        drop(self.changed.wait_for_device(&self.state, self.state.lock(), None, running));
        check::host_sees(self);
    }
}
