//! Host callbacks: threads that serve streams, and the reports that wait for them.
//!
//! All streams that one thread serves share a group with one queue of reports. A group lives as long as it has streams: when the last
//! one goes, reports that nobody has fetched go too and their functions never run.
//!
//! Locks: the map of groups comes before a stream's, a group's own is a leaf. No lock is held while a callback runs.

use core::ffi::c_void;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ascendcl_sys::{self as sys, aclError};

use super::stream::{Stream, Subscription};
use super::task::Task;
use super::{Context, Device, clock, host_thread, over, seeded};
use crate::check::leak::{LiveKind, Registration, register};
use crate::check::{self, Knowledge};
use crate::error::{fail, quiet};
use crate::lock::{Condvar, Mutex, RwLock};
use crate::own_thread;

/// Processing reports inside of a callback enters the same callback again, without end on a card; here this often.
const NESTING: usize = 8;

pub(crate) type Function = unsafe extern "C" fn(*mut c_void);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Streams that wait for the callbacks this thread is inside of.
    static WAITING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Threads that serve streams, by `pthread_self`.
static GROUPS: RwLock<BTreeMap<u64, Arc<Group>>> = RwLock::new(BTreeMap::new());

pub(crate) struct Group {
    thread: u64,
    device: i32,
    state: Mutex<State>,
    posted: Condvar,
}

struct State {
    reports: VecDeque<Report>,
    next: u64,
    members: Vec<(usize, Registration)>,
    /// Threads that wait for reports.
    waiting: usize,
    /// A stream that has a callback for them, and may be at it.
    offered: Option<Arc<Stream>>,
    closed: bool,
}

/// A function to call with the program's data.
#[derive(Clone, Copy)]
struct Call {
    function: Function,
    data: *mut c_void,
}

// SAFETY: [threads] the simulator never looks at `data`; the program that launched the callback allows it to be passed to another thread.
unsafe impl Send for Call {}
// SAFETY: [threads] as above; nothing in it changes.
unsafe impl Sync for Call {}

#[derive(Clone)]
struct Report {
    number: u64,
    call: Call,
    /// The stream that waits until the function has returned.
    answer: Option<(Arc<Stream>, u64)>,
    /// What its stream had done, which the host knows when the function runs.
    knowledge: Knowledge,
    /// In a run with a seed: a thread is there to run it at once.
    _out: Option<Arc<seeded::Out>>,
}

/// A callback in a stream's queue.
#[derive(Clone)]
pub(crate) struct Launch {
    group: Arc<Group>,
    call: Call,
    blocking: bool,
}

impl Launch {
    pub(super) fn is_blocking(&self) -> bool {
        self.blocking
    }

    /// [`post`](Self::post) after some time, as an injected fault wants it.
    pub(super) fn post_late(&self, by: Duration, answer: Option<(Arc<Stream>, u64)>, knowledge: Knowledge) {
        let launch = self.clone();
        let spawned = own_thread::start("ascendcl-sim-late", move || {
            thread::sleep(by);
            launch.post(answer, knowledge);
        });
        if let Err(error) = spawned {
            log::error!("cannot start a thread for a late report, which is lost: {error}");
        }
    }

    /// The stream reached it: hands it to the thread that serves the stream.
    pub(super) fn post(&self, answer: Option<(Arc<Stream>, u64)>, knowledge: Knowledge) {
        self.group.post(self.call, answer, knowledge);
    }
}

impl Group {
    pub(super) fn new(thread: u64, device: i32) -> Arc<Self> {
        let state = State {
            reports: VecDeque::new(),
            next: 0,
            members: Vec::new(),
            waiting: 0,
            offered: None,
            closed: false,
        };
        Arc::new(Self { thread, device, state: Mutex::new(state), posted: Condvar::new() })
    }

    fn post(&self, call: Call, answer: Option<(Arc<Stream>, u64)>, knowledge: Knowledge) {
        let mut state = self.state.lock();
        if !state.closed {
            let number = state.next;
            state.next += 1;
            let served = self.thread == 0 || state.waiting > 0;
            let _out = (served && seeded::is_on()).then(seeded::Out::new);
            state.reports.push_back(Report { number, call, answer, knowledge, _out });
            drop(state);
            self.posted.notify_all();
        }
    }

    /// Nobody serves it any more: reports that wait are lost.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let reports = std::mem::take(&mut state.reports);
        let members = std::mem::take(&mut state.members);
        let offered = state.offered.take();
        drop(state);
        // Threads of the program that wait in `aclrtProcessReport` are not woken: on a card they are not either.
        self.posted.notify_all();
        drop((reports, members, offered));
    }

    /// A callback was put into `stream`. A thread that waits for reports is woken to bring it about: two threads, one behind the other, would
    /// have to be otherwise.
    fn offer(&self, stream: &Arc<Stream>) {
        let mut state = self.state.lock();
        if state.waiting > 0 && state.offered.is_none() {
            state.offered = Some(Arc::clone(stream));
            drop(state);
            self.posted.notify_all();
        }
    }

    /// Waits until a report is there and gives the number of reports; `None` when the deadline has passed.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Option<usize> {
        let mut state = self.state.lock();
        state.waiting += 1;
        let expired = loop {
            let (woken, expired) = self
                .posted
                .wait_while(state, deadline, |state| state.reports.is_empty() && state.offered.is_none());
            state = woken;
            let Some(stream) = state.offered.take() else { break expired };
            drop(state);
            stream.bring_report();
            drop(stream);
            state = self.state.lock();
        };
        state.waiting -= 1;
        (!expired).then_some(state.reports.len())
    }

    /// Runs the reports that are there, which were `count` a moment ago.
    pub(super) fn run(&self, count: usize) {
        for _ in 0..count {
            if !self.run_first() {
                break;
            }
        }
    }

    /// Runs the first report. It stays in the queue until its function has returned, as on a card.
    fn run_first(&self) -> bool {
        let Some(report) = self.state.lock().reports.front().cloned() else { return false };
        DEPTH.set(DEPTH.get() + 1);
        let waits = report.answer.as_ref().map(|(stream, _)| address(stream));
        let _ = WAITING.try_with(|waiting| waiting.borrow_mut().extend(waits));
        check::run_callback(&report.knowledge, || {
            // SAFETY: [program] the program launched this function with this data, and keeps both good until the function has run.
            unsafe { (report.call.function)(report.call.data) };
        });
        // The child of a fork inside the function, if the function returns there: locks may be held for ever.
        if over::in_child() {
            return false;
        }
        DEPTH.set(DEPTH.get() - 1);
        if waits.is_some() {
            let _ = WAITING.try_with(|waiting| waiting.borrow_mut().pop());
        }
        let mut state = self.state.lock();
        let done = if state.reports.front().is_some_and(|first| first.number == report.number) {
            state.reports.pop_front()
        } else {
            None
        };
        drop(state);
        drop(done);
        if let Some((stream, ticket)) = &report.answer {
            stream.reach(clock::now());
            stream.answer(*ticket);
        }
        true
    }

    fn leave(&self, stream: &Stream) -> bool {
        let mut state = self.state.lock();
        let at = state.members.iter().position(|(member, _)| *member == address(stream));
        let gone = at.map(|at| state.members.swap_remove(at));
        let empty = state.members.is_empty();
        drop(state);
        drop(gone);
        empty
    }
}

/// Whether the calling thread is inside of a callback.
pub(super) fn is_inside() -> bool {
    DEPTH.get() > 0
}

/// Whether `stream` waits for a callback that the calling thread is inside of.
pub(super) fn waits_for_us(stream: &Stream) -> bool {
    // A thread that is ending is inside of no callback.
    WAITING.try_with(|waiting| waiting.borrow().contains(&address(stream))).unwrap_or(false)
}

fn address(stream: &Stream) -> usize {
    std::ptr::from_ref(stream).addr()
}

/// `aclrtSubscribeReport`.
pub(crate) fn subscribe(thread: u64, stream: &Stream) -> Result<(), aclError> {
    let mut groups = GROUPS.write();
    if stream.is_closed() {
        return Err(fail(
            sys::ACL_ERROR_RT_INVALID_HANDLE,
            format_args!("stream {} is being destroyed", stream.id()),
        ));
    }
    if !matches!(stream.subscription(), Subscription::None) {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_SUBSCRIBE,
            format_args!("stream {} already has a thread that serves its callbacks", stream.id()),
        ));
    }
    let device = stream.device();
    let limit = device.profile().report_threads;
    let group = match groups.get(&thread) {
        Some(group) if group.device != device.id() => {
            return Err(fail(
                sys::ACL_ERROR_RT_THREAD_SUBSCRIBE,
                format_args!(
                    "thread {thread:#x} serves streams of device {}, not of device {}",
                    group.device,
                    device.id()
                ),
            ));
        }
        Some(group) => Arc::clone(group),
        None if groups.len() >= limit => {
            return Err(fail(
                sys::ACL_ERROR_RT_INTERNAL_ERROR,
                format_args!("{limit} threads already serve callbacks, which is the limit"),
            ));
        }
        None => {
            let group = Group::new(thread, device.id());
            groups.insert(thread, Arc::clone(&group));
            group
        }
    };
    let registration =
        register(LiveKind::Subscription, format!("stream {} of device {}", stream.id(), device.id()));
    group.state.lock().members.push((address(stream), registration));
    stream.change_subscription(|subscription| *subscription = Subscription::Thread(group));
    Ok(())
}

/// `aclrtUnSubscribeReport`.
pub(crate) fn unsubscribe(thread: u64, stream: &Stream) -> Result<(), aclError> {
    let mut groups = GROUPS.write();
    let Subscription::Thread(group) = stream.subscription() else {
        return Err(fail(
            sys::ACL_ERROR_RT_STREAM_SUBSCRIBE,
            format_args!("stream {} is not subscribed", stream.id()),
        ));
    };
    if group.thread != thread {
        return Err(fail(
            sys::ACL_ERROR_RT_THREAD_SUBSCRIBE,
            format_args!("stream {} is served by thread {:#x}, not {thread:#x}", stream.id(), group.thread),
        ));
    }
    leave(&mut groups, stream, &group);
    Ok(())
}

/// The stream ends, and its subscription with it.
pub(super) fn forget(stream: &Stream) {
    host_thread::forget(stream);
    // Locked before looking: a thread that is subscribing the stream right now must come first or see that it is closed.
    let mut groups = GROUPS.write();
    if let Subscription::Thread(group) = stream.subscription() {
        leave(&mut groups, stream, &group);
    }
}

fn leave(groups: &mut BTreeMap<u64, Arc<Group>>, stream: &Stream, group: &Arc<Group>) {
    stream.change_subscription(|subscription| *subscription = Subscription::None);
    if group.leave(stream) {
        groups.remove(&group.thread);
        group.close();
    }
}

/// `aclrtProcessReport` after its check of the time.
pub(crate) fn process(timeout: Option<Duration>) -> Result<(), aclError> {
    // SAFETY: [os] pthread_self has no preconditions.
    let thread = unsafe { libc::pthread_self() } as u64;
    let Some(group) = GROUPS.read().get(&thread).cloned() else {
        return Err(quiet(sys::ACL_ERROR_RT_THREAD_SUBSCRIBE));
    };
    if DEPTH.get() >= NESTING {
        return Err(fail(
            sys::ACL_ERROR_RT_INTERNAL_ERROR,
            "aclrtProcessReport was called from inside of a callback, which on a card enters that callback again without end",
        ));
    }
    let Some(count) = group.wait(clock::deadline(timeout)) else {
        return Err(quiet(sys::ACL_ERROR_RT_REPORT_TIMEOUT));
    };
    group.run(count);
    Ok(())
}

/// `aclrtLaunchCallback` after its checks.
pub(crate) fn launch(
    stream: &Arc<Stream>,
    function: Function,
    data: *mut c_void,
    blocking: bool,
) -> Result<(), aclError> {
    let group = match stream.subscription() {
        Subscription::Thread(group) => group,
        Subscription::HostFunc => return Err(served_by_runtime(stream)),
        Subscription::None => {
            return Err(fail(
                sys::ACL_ERROR_RT_STREAM_NO_CB_REG,
                format_args!(
                    "stream {} has no thread that serves its callbacks: call aclrtSubscribeReport first",
                    stream.id()
                ),
            ));
        }
    };
    if !blocking && !stream.device().profile().features.no_block_callbacks {
        return Err(fail(
            sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            "this chip has no callbacks that do not block their stream: use ACL_CALLBACK_BLOCK",
        ));
    }
    queue(stream, group, Call { function, data }, blocking)
}

/// Puts a callback into the stream for a thread of the program.
fn queue(stream: &Arc<Stream>, group: Arc<Group>, call: Call, blocking: bool) -> Result<(), aclError> {
    stream.push(Task::Callback(Launch { group: Arc::clone(&group), call, blocking }))?;
    group.offer(stream);
    Ok(())
}

/// 107011 if callbacks of the stream are the runtime's.
pub(crate) fn check_not_served_by_runtime(stream: &Stream) -> Result<(), aclError> {
    match stream.subscription() {
        Subscription::HostFunc => Err(served_by_runtime(stream)),
        _ => Ok(()),
    }
}

/// 107011 if a thread of the program serves the stream.
pub(crate) fn check_not_served_by_program(stream: &Stream) -> Result<(), aclError> {
    match stream.subscription() {
        Subscription::Thread(_) => Err(served_by_program(stream)),
        _ => Ok(()),
    }
}

fn served_by_program(stream: &Stream) -> aclError {
    fail(
        sys::ACL_ERROR_RT_STREAM_SUBSCRIBE,
        format_args!("a thread of the program serves the callbacks of stream {}", stream.id()),
    )
}

/// `aclrtLaunchHostFunc` after its checks.
pub(crate) fn launch_host(
    context: &Context,
    stream: &Arc<Stream>,
    function: Function,
    data: *mut c_void,
) -> Result<(), aclError> {
    let call = Call { function, data };
    if let Some(group) = host_thread::group_of(stream) {
        return queue(stream, group, call, true);
    }
    let free = stream.change_subscription(|subscription| {
        let free = !matches!(subscription, Subscription::Thread(_));
        if free {
            *subscription = Subscription::HostFunc;
        }
        free
    });
    if !free {
        return Err(served_by_program(stream));
    }
    let group = Arc::clone(context.host_functions());
    stream.push(Task::Callback(Launch { group, call, blocking: true }))
}

fn served_by_runtime(stream: &Stream) -> aclError {
    fail(
        sys::ACL_ERROR_RT_STREAM_SUBSCRIBE,
        format_args!(
            "the runtime itself serves stream {}, since aclrtLaunchHostFunc was called for it",
            stream.id()
        ),
    )
}

/// Starts the thread that serves `aclrtLaunchHostFunc` for one context; it ends when the group is closed.
pub(super) fn start_host_functions(device: &Device) -> Arc<Group> {
    let group = Group::new(0, device.id());
    let served = Arc::clone(&group);
    let spawned = own_thread::start("ascendcl-sim-host", move || {
        loop {
            let state = served.state.lock();
            let (state, _) =
                served.posted.wait_while(state, None, |state| !state.closed && state.reports.is_empty());
            let closed = state.closed;
            drop(state);
            if closed {
                return;
            }
            served.run_first();
        }
    });
    if let Err(error) = spawned {
        log::error!("cannot start a thread for host functions: {error}");
    }
    group
}
