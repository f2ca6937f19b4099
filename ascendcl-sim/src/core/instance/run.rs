//! Executing an instance.
//!
//! The stream that executes gets a task that starts the run and a wait for its end. The run puts the nodes of each lane into the queue
//! of the lane's stream, up to the next node that decides where to go on; that one goes in as work that, when the stream gets there,
//! looks at device memory and continues. Runs of one instance follow each other, whichever streams execute them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use ascendcl_sys::{self as sys, aclError};

use super::super::event::Until;
use super::super::task::Task;
use super::super::wait::Waitable;
use super::super::{Context, Event, Stream};
use super::condition::Next;
use super::lane::Lane;
use super::node::{Node, Step, Switch};
use super::{Instance, Member, Status, code};
use crate::check::{self, Access, Origin};
use crate::error::{SUCCESS, fail};
use crate::lock::Mutex;
use crate::memory::DeviceRange;

/// What was settled when the execution was submitted.
enum Early {
    Record(Arc<Event>, u64),
    Wait(Arc<Event>, Option<Until>),
}

type Then = Box<dyn FnOnce(&Arc<Run>) + Send>;

pub(super) struct Run {
    instance: Arc<Instance>,
    lanes: Vec<(Member, Vec<Arc<Node>>)>,
    /// What lanes signal to each other.
    dependencies: Vec<Arc<Event>>,
    /// Reached when it starts; lanes begin by waiting for it.
    start: Arc<Event>,
    end: Arc<Event>,
    /// By the address of the node.
    early: Mutex<BTreeMap<usize, Early>>,
    state: Mutex<State>,
    failure: AtomicI32,
    /// What goes on when a branch is over.
    then: Mutex<Option<Then>>,
}

#[derive(Default)]
struct State {
    started: bool,
    /// Lanes that run.
    active: usize,
    /// The end was reached.
    ended: bool,
    over: bool,
    /// It does not count as running any more.
    released: bool,
}

impl Run {
    fn new(instance: &Arc<Instance>, then: Option<Then>) -> Result<Arc<Self>, aclError> {
        let device = instance.device();
        let (members, dependencies) = {
            let mut state = instance.state.lock();
            state.launched += 1;
            (state.members.clone(), state.dependencies.len())
        };
        let lanes: Vec<_> = members
            .into_iter()
            .map(|member| {
                let nodes = member.lane.nodes();
                (member, nodes)
            })
            .collect();
        let run = Arc::new(Self {
            instance: Arc::clone(instance),
            lanes,
            dependencies: (0..dependencies).map(|_| Event::detached(device)).collect(),
            start: Event::detached(device),
            end: Event::detached(device),
            early: Mutex::default(),
            state: Mutex::default(),
            failure: AtomicI32::new(SUCCESS),
            then: Mutex::new(then),
        });
        for node in run.lanes.iter().flat_map(|(_, nodes)| nodes) {
            let early = match node.step() {
                _ if node.is_disabled() => continue,
                Step::Record { event, external: true } => {
                    let number = event.issue_record()?;
                    event.submitted(number);
                    Early::Record(event, number)
                }
                Step::Wait { event, external: true, .. } => {
                    let until = event.capture()?;
                    Early::Wait(event, until)
                }
                _ => continue,
            };
            run.early.lock().insert(key(node), early);
        }
        Ok(run)
    }

    fn start(self: &Arc<Self>) {
        if !self.instance.is_branch() {
            self.instance.set_defaults();
        }
        let heads: Vec<usize> = (0..self.lanes.len()).filter(|&lane| self.lanes[lane].0.head).collect();
        {
            let mut state = self.state.lock();
            state.started = true;
            // One more, so that the run is not over before all heads have started.
            state.active = heads.len() + 1;
        }
        for (member, _) in &self.lanes {
            member.stream.trail().learn(self.instance.over.race(), 0);
        }
        self.start.complete(1);
        for lane in heads {
            self.advance_after(lane, 0, &self.start);
        }
        self.lane_done();
    }

    /// As [`advance`](Self::advance), once `event` is reached.
    fn advance_after(self: &Arc<Self>, lane: usize, next: usize, event: &Arc<Event>) {
        let queued = self.lanes[lane].0.stream.queue(await_once(event), Origin::default());
        match queued {
            Ok(()) => self.advance(lane, next),
            Err(code) => {
                self.fail(code);
                self.abort();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.state.lock().over
    }

    /// Queues the nodes of a lane from number `next` on.
    fn advance(self: &Arc<Self>, lane: usize, next: usize) {
        if self.is_over() {
            return;
        }
        if let Err(code) = self.try_advance(lane, next) {
            self.fail(code);
            self.abort();
        }
    }

    fn try_advance(self: &Arc<Self>, lane: usize, mut next: usize) -> Result<(), aclError> {
        let (member, nodes) = &self.lanes[lane];
        let stream = &member.stream;
        while let Some(node) = nodes.get(next) {
            if node.is_disabled() {
                next += 1;
                continue;
            }
            let step = node.step();
            let mut pause = false;
            let task = match &step {
                Step::Task(task) => Some(task.clone()),
                Step::Signal { dependency, .. } => {
                    Some(Task::Record { event: Arc::clone(&self.dependencies[*dependency]), number: 1 })
                }
                Step::Await { dependency, .. } => Some(await_once(&self.dependencies[*dependency])),
                Step::Record { event, .. } => {
                    let number = match self.early.lock().remove(&key(node)) {
                        Some(Early::Record(_, number)) => Some(number),
                        _ => None,
                    };
                    let number = number.map_or_else(|| event.issue_record(), Ok)?;
                    event.submitted(number);
                    Some(Task::Record { event: Arc::clone(event), number })
                }
                Step::Wait { event, timeout, .. } => {
                    // What comes after may be updated until the event is there.
                    pause = true;
                    let until = match self.early.lock().remove(&key(node)) {
                        Some(Early::Wait(_, until)) => until,
                        _ => event.capture()?,
                    };
                    until.map(|until| Task::Wait {
                        on: Arc::clone(event) as Arc<dyn Waitable>,
                        key: until.key(),
                        timeout: *timeout,
                    })
                }
                Step::Reset { event } => Some(Task::Reset { event: Arc::clone(event) }),
                Step::Label(_) => None,
                Step::Jump { .. }
                | Step::Activate { .. }
                | Step::Switch(_)
                | Step::Condition(_)
                | Step::End => {
                    return self.later(stream, move |run| run.decide(lane, next));
                }
            };
            if let Some(task) = task {
                stream.queue(task, node.origin.clone())?;
            }
            next += 1;
            if pause {
                return self.later(stream, move |run| run.advance(lane, next));
            }
        }
        let origin = member.origin;
        self.later(stream, move |run| {
            if origin {
                run.reach_end(lane);
            }
            run.lane_done();
        })
    }

    /// Goes on when `stream` gets there.
    fn later(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        then: impl Fn(&Arc<Self>) + Send + Sync + 'static,
    ) -> Result<(), aclError> {
        let run = Arc::clone(self);
        let work = move || {
            then(&run);
            Ok(())
        };
        stream.queue(Task::Work { operation: "model control", work: Arc::new(work) }, Origin::default())
    }

    /// A lane is at a node that decides where to go on.
    fn decide(self: &Arc<Self>, lane: usize, at: usize) {
        if self.is_over() {
            return;
        }
        if let Err(code) = self.try_decide(lane, at) {
            self.fail(code);
            // On a card too the stream goes on behind a task that failed.
            self.advance(lane, at + 1);
        }
    }

    fn try_decide(self: &Arc<Self>, lane: usize, at: usize) -> Result<(), aclError> {
        match self.lanes[lane].1[at].step() {
            Step::Jump { index, count, labels } => {
                let place = labels.pick(read(&index, false)? as u32, count).and_then(|label| label.place());
                let (target, number) = place.ok_or_else(|| lost("the label was not set"))?;
                let target = self.find(&target)?;
                if target == lane {
                    self.advance(lane, number + 1);
                } else {
                    self.activate(lane, target, number + 1);
                    self.lane_done();
                }
            }
            Step::Activate { lane: target, .. } => {
                let target = target.upgrade().ok_or_else(|| lost("the stream to activate is gone"))?;
                self.activate(lane, self.find(&target)?, 0);
                self.advance(lane, at + 1);
            }
            Step::Switch(switch) => {
                if switch.holds()? {
                    let target = switch.lane.upgrade().ok_or_else(|| lost("the stream to run is gone"))?;
                    self.activate(lane, self.find(&target)?, 0);
                    self.lane_done();
                } else {
                    self.advance(lane, at + 1);
                }
            }
            Step::Condition(condition) => match condition.next()? {
                Next::Nothing => self.advance(lane, at + 1),
                Next::Once(branch) => self.nest(&branch, lane, at + 1, false)?,
                Next::Again(body) => self.nest(&body, lane, at, true)?,
            },
            Step::End => {
                self.reach_end(lane);
                self.advance(lane, at + 1);
            }
            _ => self.advance(lane, at + 1),
        }
        Ok(())
    }

    /// Runs another instance as a part of this one.
    fn nest(
        self: &Arc<Self>,
        branch: &Arc<Instance>,
        lane: usize,
        next: usize,
        again: bool,
    ) -> Result<(), aclError> {
        let parent = Arc::clone(self);
        let then = move |run: &Arc<Run>| {
            let code = run.failure.load(Ordering::SeqCst);
            if code != SUCCESS {
                parent.fail(code);
            }
            let stream = &parent.lanes[lane].0.stream;
            let queued = stream.queue(await_once(&run.end), Origin::default()).and_then(|()| {
                parent.later(stream, move |parent| {
                    if again {
                        parent.decide(lane, next);
                    } else {
                        parent.advance(lane, next);
                    }
                })
            });
            if let Err(code) = queued {
                parent.fail(code);
                parent.abort();
            }
        };
        let run = Run::new(branch, Some(Box::new(then)))?;
        check::passes_on(&self.lanes[lane].0.stream, run.start.mark());
        branch.begin(run);
        Ok(())
    }

    fn find(&self, lane: &Arc<Lane>) -> Result<usize, aclError> {
        self.lanes
            .iter()
            .position(|(member, _)| Arc::ptr_eq(&member.lane, lane))
            .ok_or_else(|| lost("the stream to go on with is not one of this instance"))
    }

    /// Lane `from` starts another one.
    fn activate(self: &Arc<Self>, from: usize, lane: usize, next: usize) {
        self.state.lock().active += 1;
        let reached = Event::detached(self.instance.device());
        check::passes_on(&self.lanes[from].0.stream, reached.mark());
        reached.complete(1);
        self.advance_after(lane, next, &reached);
    }

    fn fail(&self, code: aclError) {
        let _ = self.failure.compare_exchange(SUCCESS, code, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// The instance is done, as far as the stream that executes it is concerned: a lane came to the end.
    fn reach_end(&self, lane: usize) {
        for (member, _) in &self.lanes {
            if let Some(code) = member.stream.take_failure() {
                self.fail(code);
            }
        }
        let ended = std::mem::replace(&mut self.state.lock().ended, true);
        if !ended {
            // Whoever sees the end may edit the instance at once.
            self.release();
            check::passes_on(&self.lanes[lane].0.stream, self.end.mark());
            self.end.complete(1);
        }
    }

    /// A lane came to its end.
    fn lane_done(self: &Arc<Self>) {
        let ended = {
            let mut state = self.state.lock();
            state.active -= 1;
            if state.active > 0 || std::mem::replace(&mut state.over, true) {
                return;
            }
            state.ended
        };
        if !ended {
            // On a card the execution would never be over.
            self.fail(fail(
                sys::ACL_ERROR_RT_MODEL_EXECUTE,
                format_args!(
                    "running instance {} ran out of tasks without reaching its end",
                    self.instance.id
                ),
            ));
            self.release();
            let ended = std::mem::replace(&mut self.state.lock().ended, true);
            if !ended {
                self.end.abandon(1);
            }
        }
        self.finish();
    }

    fn release(&self) {
        if !std::mem::replace(&mut self.state.lock().released, true) {
            self.instance.state.lock().launched -= 1;
            self.instance.changed.notify_all();
        }
    }

    /// Makes room for the next run.
    fn finish(self: &Arc<Self>) {
        self.release();
        for (member, _) in &self.lanes {
            member.stream.trail().post(self.instance.over.race());
        }
        self.instance.finished(self);
        let then = self.then.lock().take();
        if let Some(then) = then {
            then(self);
        }
    }

    /// Ends it at once; what it queued is for the caller to throw away.
    pub(super) fn abort(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state.lock().over, true) {
            return;
        }
        // A run whose end was reached has its result, which the stream that executes it may read later.
        let ended = std::mem::replace(&mut self.state.lock().ended, true);
        if !ended {
            self.fail(sys::ACL_ERROR_RT_MODEL_ABORT_NORMAL);
            self.release();
            self.end.abandon(1);
        }
        // What is queued already must not wait for what will not come.
        self.dependencies.iter().for_each(|dependency| dependency.abandon(1));
        self.finish();
    }

    fn result(&self) -> Result<(), aclError> {
        match self.failure.load(Ordering::SeqCst) {
            SUCCESS => Ok(()),
            code => Err(fail(code, format_args!("running instance {} failed", self.instance.id))),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let early = std::mem::take(&mut *self.early.lock());
        for (_, early) in early {
            match early {
                Early::Record(event, number) => event.abandon(number),
                Early::Wait(event, Some(_)) => event.wait_over(),
                Early::Wait(_, None) => {}
            }
        }
        // If it never started.
        self.release();
    }
}

impl Instance {
    /// Starts a run, or lets it wait for those before it.
    fn begin(self: &Arc<Self>, run: Arc<Run>) {
        {
            let mut state = self.state.lock();
            if state.current.is_some() {
                state.waiting.push_back(run);
                return;
            }
            state.current = Some(Arc::clone(&run));
        }
        run.start();
    }

    fn finished(self: &Arc<Self>, run: &Arc<Run>) {
        let (before, next) = {
            let mut state = self.state.lock();
            let is_current = state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, run));
            if is_current {
                let next = state.waiting.pop_front();
                (std::mem::replace(&mut state.current, next.clone()), next)
            } else {
                (None, None)
            }
        };
        drop(before);
        if let Some(next) = next {
            next.start();
        }
    }

    /// 107026 while it is captured, 507011 if it is not ready.
    pub(crate) fn check_ready(&self) -> Result<(), aclError> {
        let state = self.state.lock();
        let (status, has_end, complete) = (state.status, state.has_end, state.complete);
        drop(state);
        let not = |why: &str| {
            Err(fail(sys::ACL_ERROR_RT_MODEL_EXECUTE, format_args!("running instance {} {why}", self.id)))
        };
        match status {
            Status::Capturing | Status::Invalidated => Err(fail(
                sys::ACL_ERROR_RT_MODEL_CAPTURED,
                format_args!("running instance {} is being captured", self.id),
            )),
            _ if self.is_built() && !has_end => not("has no end: call aclmdlRIEndTask"),
            _ if self.is_built() && !complete => not("is not complete: call aclmdlRIBuildEnd"),
            Status::Ready => Ok(()),
            _ => not("is not ready: call aclmdlRIUpdate"),
        }
    }
}

/// `aclmdlRIExecuteAsync` after the checks of its arguments.
pub(crate) fn execute(instance: &Arc<Instance>, stream: &Arc<Stream>) -> Result<(), aclError> {
    instance.check_ready()?;
    stream.device().check_present()?;
    let run = Run::new(instance, None)?;
    let (start, report) = (Mutex::new(Some(Arc::clone(&run))), Arc::clone(&run));
    let executing = Arc::downgrade(stream);
    let begin = move || {
        if let Some(run) = start.lock().take() {
            let instance = Arc::clone(&run.instance);
            if let Some(stream) = executing.upgrade() {
                check::passes_on(&stream, run.start.mark());
            }
            instance.begin(run);
        }
        Ok(())
    };
    stream.push(Task::Work { operation: "model execute", work: Arc::new(begin) })?;
    stream.push(await_once(&run.end))?;
    stream.push(Task::Work { operation: "model end", work: Arc::new(move || report.result()) })
}

/// `aclmdlRIExecute`
pub(crate) fn execute_and_wait(
    instance: &Arc<Instance>,
    context: &Context,
    timeout: Option<Duration>,
) -> Result<(), aclError> {
    let stream = context.default_stream();
    execute(instance, stream)?;
    code(stream.synchronize(timeout))
}

fn await_once(event: &Arc<Event>) -> Task {
    Task::Wait { on: Arc::clone(event) as Arc<dyn Waitable>, key: 1, timeout: None }
}

fn key(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node).addr()
}

fn lost(why: &str) -> aclError {
    fail(sys::ACL_ERROR_RT_MODEL_EXECUTE, why)
}

/// The number in device memory: 64 bits, or 32 with their sign.
fn read(range: &DeviceRange, wide: bool) -> Result<i64, aclError> {
    let bytes = range.open(Access::READ)?.read_to_vec();
    let number = |len: usize| bytes.get(..len).unwrap_or_default();
    Ok(if wide {
        number(8).try_into().map_or(0, i64::from_le_bytes)
    } else {
        number(4).try_into().map_or(0, |bytes| i32::from_le_bytes(bytes).into())
    })
}

impl Switch {
    fn holds(&self) -> Result<bool, aclError> {
        let (left, right) = (read(&self.left, self.wide)?, read(&self.right, self.wide)?);
        Ok(match self.condition {
            sys::ACL_RT_EQUAL => left == right,
            sys::ACL_RT_NOT_EQUAL => left != right,
            sys::ACL_RT_GREATER => left > right,
            sys::ACL_RT_GREATER_OR_EQUAL => left >= right,
            sys::ACL_RT_LESS => left < right,
            _ => left <= right,
        })
    }
}
