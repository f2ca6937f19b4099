//! The report thread of a context: it runs the callbacks of the context's streams.
//!
//! It is started by the first callback, and asks ACL for reports only while a callback is outstanding; otherwise it sleeps
//! in its [`Mailbox`].

use super::mailbox::{Mailbox, Next};
use crate::{
    AclCode, AclError, Error, Result,
    runtime::{SendRaw, recent_message},
};
use ascendcl_sys::{self as sys, AclApi, aclError};
use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long one call waits for reports. A report ends the wait at once, so this only bounds how long the thread takes to notice
/// that its callbacks were abandoned.
const SLICE_MILLIS: i32 = 100;

/// Pauses after answers that come at once and may come again: none is subscribed yet, or the device is in trouble.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The thread, and how to wake and stop it.
pub(crate) struct ReportThread {
    mailbox: Arc<Mailbox>,
    /// What ACL knows the thread by: its `pthread_self()`.
    id: u64,
    join: Mutex<Option<JoinHandle<()>>>,
}

impl ReportThread {
    /// Starts the thread for a context, and waits until it is in it.
    pub(crate) fn start(api: &'static AclApi, context: sys::aclrtContext) -> Result<Self> {
        if api.aclrtProcessReport.is_none() {
            return Err(Error::MissingSymbol { function: "aclrtProcessReport" });
        }
        let mailbox = Arc::new(Mailbox::new());
        let (ready, started) = mpsc::channel();
        let context = SendRaw::new(context);
        let join = thread::Builder::new()
            .name("ascendcl-report".into())
            .spawn({
                let mailbox = mailbox.clone();
                move || {
                    let entered = enter(api, context.get());
                    let go = entered.is_ok();
                    // SAFETY: the function takes nothing and cannot fail.
                    let id = unsafe { libc::pthread_self() };
                    // The starter waits for this.
                    let _ = ready.send(entered.map(|()| id as u64));
                    if go {
                        run(api, &mailbox);
                    }
                }
            })
            .map_err(|error| Error::Os { op: "starting the report thread", message: error.to_string() })?;
        let id = started.recv().unwrap_or_else(|_| {
            Err(Error::Os { op: "starting the report thread", message: "it ended at once".into() })
        })?;
        Ok(ReportThread { mailbox, id, join: Mutex::new(Some(join)) })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Tells the thread to end, and waits for that, but no longer than `patience`: a closure may be running on it beside its stream
    /// ([`CallbackMode::NonBlocking`](crate::CallbackMode::NonBlocking)), for as long as it likes. True when the thread has ended.
    pub(crate) fn stop(&self, patience: Duration) -> bool {
        self.mailbox.stop();
        let mut join = self.join.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        let mut pause = FIRST_PAUSE / 4;
        while join.as_ref().is_some_and(|join| !join.is_finished()) {
            if start.elapsed() >= patience {
                return false;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE / 20);
        }
        if let Some(join) = join.take() {
            // The thread catches the panics of callbacks and has none of its own.
            let _ = join.join();
        }
        true
    }
}

/// Makes the context current in this thread, for ACL calls of the callbacks' C code and for chips that want it.
fn enter(api: &'static AclApi, context: sys::aclrtContext) -> Result<()> {
    let Some(set) = api.aclrtSetCurrentContext else {
        return Err(Error::MissingSymbol { function: "aclrtSetCurrentContext" });
    };
    // SAFETY: the context is alive: its handle starts this thread, and stops it before the context is destroyed.
    match unsafe { set(context) } {
        0 => Ok(()),
        status => Err(Error::Acl(Box::new(AclError {
            code: AclCode(status),
            op: "aclrtSetCurrentContext",
            device: None,
            message: recent_message(api),
        }))),
    }
}

fn run(api: &'static AclApi, mailbox: &Mailbox) {
    let Some(process) = api.aclrtProcessReport else { return };
    let mut pause = FIRST_PAUSE;
    let mut last: aclError = 0;
    while mailbox.next() == Next::Process {
        // SAFETY: a plain integer; reports run `trampoline`, which takes any key and does not unwind.
        let status = unsafe { process(SLICE_MILLIS) };
        match status {
            0 | sys::ACL_ERROR_RT_REPORT_TIMEOUT | sys::ACL_ERROR_WAIT_CALLBACK_TIMEOUT => {
                pause = FIRST_PAUSE;
                if status != 0 {
                    recent_message(api);
                }
            }
            status => {
                let message = recent_message(api);
                // Not subscribed: a launch is about to subscribe, or its stream has just gone. Everything else is worth a line.
                let quiet = [sys::ACL_ERROR_RT_THREAD_SUBSCRIBE, sys::ACL_ERROR_THREAD_NOT_SUBSCRIBE];
                if !quiet.contains(&status) && status != last {
                    log::error!("aclrtProcessReport failed with {}: {message}", AclCode(status));
                }
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        last = status;
    }
}
