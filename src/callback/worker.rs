//! The report thread of a context: it runs the callbacks of the context's streams.
//!
//! It is started by the first callback, and asks ACL for reports while a callback is outstanding, and for a moment longer: who launches
//! callbacks again and again finds it where the report comes, and nobody wakes it first. Otherwise it sleeps in its [`Mailbox`].

use super::{
    Listening, StreamCallbacks,
    lookout::{Lookout, Served},
    mailbox::{Mailbox, Next},
};
use crate::{
    AclCode, AclError, Error, Result,
    exit::Busy,
    guard, quiet,
    runtime::{SendRaw, recent_message},
};
use ascendcl_sys::{self as sys, AclApi, aclError};
use std::{
    mem,
    os::unix::thread::JoinHandleExt,
    ptr,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long one call waits for reports. A report ends the wait at once, so this only bounds how long the thread takes to notice
/// that its callbacks were abandoned.
const SLICE_MILLIS: i32 = 100;

/// The same while no closure is outstanding, and somebody waits for a stream that may be held up. When that wait is over the context may go,
/// and its end waits for this thread.
const LISTENING_MILLIS: i32 = 5;

/// How long to go on asking when nothing is outstanding any more, counted from the last report. The next callback may come soon: a thread
/// that already waits for its report is woken once, by the report. And a report that is delivered twice has run its closure the first time, and its
/// stream still waits for the second. Who waits for that stream listens ([`Listening`]), but others may stand behind it, by an event, in any
/// context. A report ends these waits too, so they delay no callback; they are short, so that the thread still ends promptly: none is
/// much longer than the thread has already been idle.
const AGAIN_MILLIS: [i32; 12] = [1, 1, 2, 2, 4, 4, 8, 8, 8, 8, 8, 8];

/// Pauses after answers that come at once and may come again: none is subscribed yet, or the device is in trouble.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// `aclrtProcessReport`.
type ProcessReport = unsafe extern "C" fn(i32) -> aclError;

/// The thread, and how to wake and stop it.
pub(crate) struct ReportThread {
    mailbox: Arc<Mailbox>,
    served: Arc<Served>,
    /// What ACL knows the thread by: its `pthread_self()`.
    id: u64,
    join: Mutex<Option<Unjoined>>,
}

impl ReportThread {
    /// Starts the thread for a context, and waits until it is in it.
    pub(crate) fn start(api: &'static AclApi, context: sys::aclrtContext) -> Result<Self> {
        if api.aclrtProcessReport.is_none() {
            return Err(Error::MissingSymbol { function: "aclrtProcessReport" });
        }
        let (mailbox, served) = (Arc::new(Mailbox::new()), Arc::new(Served::default()));
        let (ready, started) = mpsc::channel();
        let context = SendRaw::new(context);
        let join = guard::start_own_thread("ascendcl-report", {
            let (mailbox, served) = (mailbox.clone(), served.clone());
            move || {
                let entered = enter(api, context.get());
                let go = entered.is_ok();
                // SAFETY: [os] the function takes nothing and cannot fail.
                let id = unsafe { libc::pthread_self() };
                // The starter waits for this.
                let _ = ready.send(entered.map(|()| id as u64));
                if go {
                    run(api, &mailbox, served);
                }
            }
        })
        .map_err(|error| Error::Os { op: "starting the report thread", message: error.to_string() })?;
        let id = started.recv().unwrap_or_else(|_| {
            Err(Error::Os { op: "starting the report thread", message: "it ended at once".into() })
        });
        // The new thread is told at once that the process exits, this one is held.
        guard::check_over("starting the report thread")?;
        Ok(ReportThread { mailbox, served, id: id?, join: Mutex::new(Some(Unjoined::new(join))) })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The stream is subscribed to this thread.
    pub(super) fn serve(&self, callbacks: &Arc<StreamCallbacks>) {
        self.served.add(callbacks);
    }

    /// Lets the thread ask for reports until the answer is dropped, unless all streams have left their callbacks behind.
    pub(crate) fn listen(&self) -> Option<Listening> {
        self.served.any_unsettled().then(|| self.mailbox.listen())
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Tells the thread to end, and waits for that, but no longer than `patience`: a closure may be running on it beside its stream
    /// ([`CallbackMode::NonBlocking`](crate::CallbackMode::NonBlocking)), or the destructor of a thread-local value of the program, for
    /// as long as it likes. True when the thread has ended.
    pub(crate) fn stop(&self, patience: Duration) -> bool {
        self.mailbox.stop();
        let mut join = self.join.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        let mut pause = FIRST_PAUSE / 4;
        loop {
            *join = join.take().and_then(Unjoined::try_join);
            if join.is_none() {
                return true;
            }
            if start.elapsed() >= patience {
                return false;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE / 20);
        }
    }
}

/// A thread that is joined without waiting. The standard library knows when a thread's function has returned, but its destructors
/// of thread-local values run after that, and `join` waits for them.
struct Unjoined(libc::pthread_t);

impl Unjoined {
    fn new(join: JoinHandle<()>) -> Self {
        Unjoined(join.into_pthread_t())
    }

    /// Joins the thread if it has ended, destructors and all. Gives it back if it has not, which is also what a thread hears of itself.
    fn try_join(self) -> Option<Self> {
        // SAFETY: [os] the thread was neither joined nor detached: either is the end of this value.
        match unsafe { libc::pthread_tryjoin_np(self.0, ptr::null_mut()) } {
            0 => {
                mem::forget(self);
                None
            }
            _ => Some(self),
        }
    }
}

impl Drop for Unjoined {
    fn drop(&mut self) {
        // SAFETY: [os] the thread was neither joined nor detached before, and nobody names it any more.
        unsafe { libc::pthread_detach(self.0) };
    }
}

/// Makes the context current in this thread, for ACL calls of the callbacks' C code and for chips that want it.
fn enter(api: &'static AclApi, context: sys::aclrtContext) -> Result<()> {
    const OP: &str = "aclrtSetCurrentContext";
    let Some(set) = api.aclrtSetCurrentContext else {
        return Err(Error::MissingSymbol { function: OP });
    };
    guard::check_over(OP)?;
    // SAFETY: [handle] the context is alive: its handle starts this thread, and stops it before the context is destroyed.
    match unsafe { set(context) } {
        0 => Ok(()),
        // The process has begun to exit meanwhile, and the answer means nothing.
        status => guard::check_over(OP).and(Err(Error::Acl(Box::new(AclError {
            code: AclCode(status),
            op: OP,
            device: None,
            message: recent_message(api),
        })))),
    }
}

fn run(api: &'static AclApi, mailbox: &Mailbox, served: Arc<Served>) {
    let Some(process) = api.aclrtProcessReport else { return };
    let mut pause = FIRST_PAUSE;
    let mut last: aclError = 0;
    let mut lookout = Lookout::new(served.clone());
    while mailbox.next() == Next::Process {
        // The process exits: the thread ends with it.
        let Some(busy) = Busy::enter() else { return };
        let slice = if mailbox.has_closures() { SLICE_MILLIS } else { LISTENING_MILLIS };
        // SAFETY: [key] a plain integer; reports run `trampoline`, which takes any key and does not unwind.
        let status = unsafe { process(slice) };
        // A process that exits has no use for this thread.
        if guard::is_over() {
            return;
        }
        match status {
            0 | sys::ACL_ERROR_RT_REPORT_TIMEOUT | sys::ACL_ERROR_WAIT_CALLBACK_TIMEOUT => {
                pause = FIRST_PAUSE;
                if status == 0 {
                    lookout.served();
                } else {
                    recent_message(api);
                    // It waits for streams, which runs a subscriber of the program's.
                    quiet::guarded(|| lookout.nothing_came());
                }
                if status == 0 || served.any_unsettled() {
                    linger(process, mailbox, &mut lookout);
                    if guard::is_over() {
                        return;
                    }
                }
            }
            status => {
                let message = recent_message(api);
                // Not subscribed: a launch is about to subscribe, or its stream has just gone. Everything else is worth a line.
                let quiet = [sys::ACL_ERROR_RT_THREAD_SUBSCRIBE, sys::ACL_ERROR_THREAD_NOT_SUBSCRIBE];
                if !quiet.contains(&status) && status != last {
                    quiet::log_error(format_args!(
                        "aclrtProcessReport failed with {}: {message}",
                        AclCode(status)
                    ));
                }
                let (code, op) = (AclCode(status), "aclrtProcessReport");
                let failure = Error::Acl(Box::new(AclError { code, op, device: None, message }));
                quiet::guarded(|| lookout.failed(failure));
                drop(busy);
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        last = status;
    }
}

/// Goes on asking for a while although nothing is outstanding. To be called while the thread counts as [`Busy`].
fn linger(process: ProcessReport, mailbox: &Mailbox, lookout: &mut Lookout) {
    let mut waits = AGAIN_MILLIS.iter();
    while mailbox.is_quiet()
        && !guard::is_over()
        && let Some(&millis) = waits.next()
    {
        // SAFETY: [key] a plain integer; reports run `trampoline`, which takes any key and does not unwind.
        match unsafe { process(millis) } {
            0 => {
                waits = AGAIN_MILLIS.iter();
                lookout.served();
            }
            sys::ACL_ERROR_RT_REPORT_TIMEOUT | sys::ACL_ERROR_WAIT_CALLBACK_TIMEOUT => {}
            _ => return,
        }
    }
}
