//! What is alive: each object that a C program has to give back, with the function that made it and the thread it ran on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use super::call_site::CallSite;
use super::report::{self, ReportKind, Reporting};
use crate::core::{over, process};
use crate::error;
use crate::lock::Mutex;

/// Names the kinds once, for the type and for what is printed.
macro_rules! live_kinds {
    ($($(#[doc = $doc:literal])* $kind:ident $name:literal,)*) => {
        /// What a program has to give back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum LiveKind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl fmt::Display for LiveKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$kind => $name,)*
                })
            }
        }
    };
}

live_kinds! {
    /// One `aclrtSetDevice` without its `aclrtResetDevice`.
    DeviceReference "device reference",
    /// A context made by `aclrtCreateContext`.
    Context "context",
    /// A stream.
    Stream "stream",
    /// `aclrtStreamConfigHandle`.
    StreamConfig "stream configuration",
    /// An event.
    Event "event",
    /// A notify.
    Notify "notify",
    /// A label or a list of labels.
    Label "label",
    /// A stream subscribed for callbacks.
    Subscription "callback subscription",
    /// Device memory.
    DeviceMemory "device memory",
    /// Pinned host memory.
    PinnedMemory "pinned memory",
    /// Host memory registered with a device.
    HostRegistration "host registration",
    /// A reserved range of device addresses.
    AddressRange "address range",
    /// Physical device memory without an address of its own.
    PhysicalMemory "physical memory",
    /// Device memory with a key for other processes.
    ExportedMemory "exported memory",
    /// Memory of another process.
    ImportedMemory "imported memory",
    /// A pool of stream-ordered memory.
    MemoryPool "memory pool",
    /// `aclrtAllocatorDesc`.
    AllocatorDesc "allocator description",
    /// A running instance of captured or hand-built work, `aclmdlRI`.
    Capture "captured work",
    /// A kernel binary.
    Binary "kernel binary",
    /// The arguments of a kernel, `aclrtArgsHandle`.
    KernelArgs "kernel arguments",
    /// A loaded model or a bundle of models.
    Model "model",
    /// `aclmdlDesc`.
    ModelDesc "model description",
    /// `aclmdlConfigHandle` or `aclmdlExecConfigHandle`.
    ModelConfig "model configuration",
    /// `aclmdlAIPP`.
    Aipp "AIPP parameters",
    /// `aclmdlDataset`.
    Dataset "dataset",
    /// `aclDataBuffer`.
    DataBuffer "data buffer",
    /// `aclTensorDesc`.
    TensorDesc "tensor description",
    /// `acltdtChannelHandle`.
    Channel "tensor channel",
    /// `acltdtDataset` or `acltdtDataItem`.
    TensorDataset "tensor dataset",
    /// A queue, its attributes or its routes.
    Queue "queue",
    /// `acltdtBuf` or `aclrtMbuf`.
    SharedBuffer "shared buffer",
    /// A configuration, stamp, step or subscription of the profiler.
    Profiling "profiling object",
    /// `aclrtGroupInfo`.
    GroupInfo "group information",
}

/// One live object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// What it is.
    pub kind: LiveKind,
    /// The C function that made it.
    pub function: &'static str,
    /// Name of the thread that made it, or its number if it has none.
    pub thread: Arc<str>,
    /// More about it, such as the size of a piece of memory.
    pub detail: String,
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        write!(f, " made by {} on thread {}", self.function, self.thread)
    }
}

const SHARDS: usize = 16;

/// A live object, and where it was made if leaks are to be printed.
type Entry = (Live, Option<&'static CallSite>);

static SHARD: [Mutex<BTreeMap<u64, Entry>>; SHARDS] = [const { Mutex::new(BTreeMap::new()) }; SHARDS];
static NEXT: AtomicU64 = AtomicU64::new(0);

fn shard(id: u64) -> &'static Mutex<BTreeMap<u64, Entry>> {
    &SHARD[id as usize % SHARDS]
}

/// Membership in the list of live objects; ends when dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Registration(u64);

/// Notes that the C function this thread is inside of made an object.
pub(crate) fn register(kind: LiveKind, detail: impl Into<String>) -> Registration {
    let site = process::machine().settings().leaks == Reporting::Report;
    let site = site.then(CallSite::here);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let live = Live { kind, function: error::function(), thread: thread_name(), detail: detail.into() };
    shard(id).lock().insert(id, (live, site));
    Registration(id)
}

impl Drop for Registration {
    fn drop(&mut self) {
        let gone = shard(self.0).lock().remove(&self.0);
        let Some(gone) = gone else { return };
        // A thread that is ending takes nothing back for the program.
        let _ = TAKEN_BACK.try_with(|taken| {
            if let Some(taken) = &mut *taken.borrow_mut() {
                taken.push((self.0, gone));
            }
        });
    }
}

thread_local! {
    /// What this thread takes back for the program, while it does.
    static TAKEN_BACK: RefCell<Option<Vec<(u64, Entry)>>> = const { RefCell::new(None) };
}

/// Runs `reset`, which takes back what the program has not given back, and reports that.
pub(crate) fn taken_back<R>(reset: impl FnOnce() -> R) -> R {
    // Not on a thread that is ending: it still resets, and says nothing.
    let _ = TAKEN_BACK.try_with(|taken| taken.replace(Some(Vec::new())));
    let result = reset();
    let taken = TAKEN_BACK.try_with(RefCell::take).ok().flatten().unwrap_or_default();
    emit(taken, "leaked, and taken back by the reset of their device");
    result
}

/// Everything that is alive, oldest first.
pub(crate) fn live() -> Vec<Live> {
    let mut all: Vec<(u64, Live)> = Vec::new();
    for shard in &SHARD {
        all.extend(shard.lock().iter().map(|(id, (live, _))| (*id, live.clone())));
    }
    all.sort_by_key(|(id, _)| *id);
    all.into_iter().map(|(_, live)| live).collect()
}

/// How many objects are alive.
pub(crate) fn count() -> usize {
    SHARD.iter().map(|shard| shard.lock().len()).sum()
}

/// Says what is alive now that the program is done with ACL.
pub(crate) fn report() {
    if !report::wanted(ReportKind::Leak) {
        return;
    }
    let mut live: Vec<(u64, Entry)> = Vec::new();
    for shard in &SHARD {
        live.extend(shard.lock().iter().map(|(id, entry)| (*id, entry.clone())));
    }
    emit(live, "leaked");
}

fn emit(mut live: Vec<(u64, Entry)>, what: &str) {
    if live.is_empty() {
        return;
    }
    live.sort_by_key(|(id, _)| *id);
    let mut text = format!("{} {what}:", live.len());
    for (_, (live, site)) in live {
        text += &format!("\n  {live}");
        if let Some(site) = site {
            text += format!("\n{site}").trim_end();
        }
    }
    report::emit(ReportKind::Leak, text);
}

/// Reports once more when the process exits, for programs that do not finalise.
pub(crate) fn report_at_exit() {
    extern "C" fn at_exit() {
        // A panic must not leave this function, and at exit there is nobody to tell.
        let _ = std::panic::catch_unwind(|| {
            if !over::in_child() {
                report();
            }
        });
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: [os] the handler touches only locks and memory that live as long as the process.
        unsafe { libc::atexit(at_exit) };
    });
}

/// The calling thread's name, or the number that the system has for it.
pub(super) fn thread_name() -> Arc<str> {
    thread_local! {
        static NAME: Arc<str> = name();
    }
    fn name() -> Arc<str> {
        let thread = std::thread::current();
        match thread.name() {
            Some(name) => name.into(),
            // Threads of C programs are known by the system's number, as debuggers show it.
            // SAFETY: [os] neither call has preconditions.
            None => match unsafe { (libc::gettid(), libc::getpid()) } {
                (thread, process) if thread == process => "main".into(),
                (thread, _) => thread.to_string().into(),
            },
        }
    }
    NAME.try_with(Arc::clone).unwrap_or_else(|_| name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_lasts_until_dropped() {
        let before = error::set_function("aclrtCreateEvent");
        let event = register(LiveKind::Event, "flag 0xe");
        error::set_function(before);
        let found: Vec<_> = live().into_iter().filter(|live| live.detail == "flag 0xe").collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("event (flag 0xe) made by aclrtCreateEvent on thread "));
        drop(event);
        assert!(!live().iter().any(|live| live.detail == "flag 0xe"));
    }
}
