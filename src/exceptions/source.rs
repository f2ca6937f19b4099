//! Where exceptions come from: the function that ACL calls when a task fails, and who is told.
//!
//! It has no argument of its own, so there is one for each library: what it is given is understood by the library that gives it. It
//! stays in place for the life of the process, and stays harmless: ACL may be about to call it while it is taken away.

use super::Exception;
use crate::{
    Acl, AclCode, Error, Result,
    callback::InCallback,
    channel::Channel,
    guard, quiet,
    runtime::acl,
    sync::{lock, lock_soon},
};
use ascendcl_sys::{AclApi, aclrtExceptionInfo};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// A question about an exception.
type Getter = unsafe extern "C" fn(*const aclrtExceptionInfo) -> u32;

/// What the getters answer when they do not know.
const UNKNOWN: u32 = u32::MAX;

/// The functions of one library.
struct Library {
    /// Their addresses and that of the function that sets the callback: two tables with the same ones are of one library.
    addresses: [usize; 6],
    device: Option<Getter>,
    stream: Option<Getter>,
    task: Option<Getter>,
    thread: Option<Getter>,
    code: Option<Getter>,
}

/// One library, and who is told of its exceptions.
struct Source {
    library: OnceLock<Library>,
    /// Locked for a moment only: neither ACL nor the program is called meanwhile.
    channels: Mutex<Vec<Weak<Channel<Exception>>>>,
}

/// Sources are given away for the life of the process. Programs have one library, tests a few.
static SOURCES: [Source; 8] =
    [const { Source { library: OnceLock::new(), channels: Mutex::new(Vec::new()) } }; 8];

/// What ACL calls, for each source.
const CALLBACKS: [unsafe extern "C" fn(*mut aclrtExceptionInfo); SOURCES.len()] = [
    on_exception::<0>,
    on_exception::<1>,
    on_exception::<2>,
    on_exception::<3>,
    on_exception::<4>,
    on_exception::<5>,
    on_exception::<6>,
    on_exception::<7>,
];

/// A task failed. On a thread of the runtime, or of the program while it waits, and on several at once.
///
/// # Safety
///
/// `info` must be what the library of the source gave, and be good until this returns.
unsafe extern "C" fn on_exception<const SOURCE: usize>(info: *mut aclrtExceptionInfo) {
    let source = &SOURCES[SOURCE];
    // There is nobody to tell, and in a forked child locks may be held for ever.
    if guard::is_over() {
        return;
    }
    // Nothing may unwind into C.
    quiet::guarded(|| {
        let Some(library) = source.library.get() else { return };
        let ask = |getter: Option<Getter>| {
            // SAFETY: [handle] the caller's contract: `info` is of this library and alive.
            getter.map(|getter| unsafe { getter(info) }).filter(|&answer| answer != UNKNOWN)
        };
        let exception = Exception {
            device: ask(library.device).map(u32::cast_signed),
            stream: ask(library.stream).map(u32::cast_signed),
            task: ask(library.task),
            thread: ask(library.thread),
            code: ask(library.code).map(|code| AclCode(code.cast_signed())),
        };
        // Wakers are code of the program, on a thread that everything else may wait for.
        let _inside = InCallback::enter();
        for channel in source.channels() {
            // This may be the last of it, and a waker that it has may panic when it is dropped. The others are told all the same.
            quiet::guarded(move || {
                channel.send(exception);
                drop(channel);
            });
            // The waker has forked, and returned in the child: what comes next are locks that may be held for ever, and frames of the runtime.
            guard::end_forked_child();
        }
    });
    guard::end_forked_child();
}

impl Source {
    /// Those that are alive.
    fn channels(&self) -> Vec<Arc<Channel<Exception>>> {
        lock(&self.channels).iter().filter_map(Weak::upgrade).collect()
    }
}

impl Library {
    fn of(api: &AclApi) -> Library {
        let set = api.aclrtSetExceptionInfoCallback.map_or(0, |function| function as usize);
        let getters = [
            api.aclrtGetDeviceIdFromExceptionInfo,
            api.aclrtGetStreamIdFromExceptionInfo,
            api.aclrtGetTaskIdFromExceptionInfo,
            api.aclrtGetThreadIdFromExceptionInfo,
            api.aclrtGetErrorCodeFromExceptionInfo,
        ];
        let mut addresses = [set; 6];
        for (address, getter) in addresses[1..].iter_mut().zip(getters) {
            *address = getter.map_or(0, |getter| getter as usize);
        }
        let [device, stream, task, thread, code] = getters;
        Library { addresses, device, stream, task, thread, code }
    }
}

/// The source of a library, by its place. `None` when there are too many libraries.
fn source_of(api: &AclApi) -> Option<usize> {
    let mut library = Library::of(api);
    for (place, source) in SOURCES.iter().enumerate() {
        // One that is taken stays with who has it.
        match source.library.set(library) {
            Ok(()) => return Some(place),
            Err(mine) => library = mine,
        }
        if source.library.get().is_some_and(|taken| taken.addresses == library.addresses) {
            return Some(place);
        }
    }
    None
}

/// Lets the channel be told what fails on the devices of `acl`.
pub(super) fn connect(acl: &Acl, channel: &Arc<Channel<Exception>>) -> Result<()> {
    let api = acl.raw();
    if api.aclrtSetExceptionInfoCallback.is_none() {
        return Err(Error::MissingSymbol { function: "aclrtSetExceptionInfoCallback" });
    }
    let Some(place) = source_of(api) else {
        return Err(Error::Backend(format!(
            "exceptions of more than {} libraries cannot be received in one process",
            SOURCES.len()
        )));
    };
    // Before ACL knows the function, so that nothing is lost between.
    let mut channels = lock(&SOURCES[place].channels);
    channels.retain(|channel| channel.strong_count() > 0);
    channels.push(Arc::downgrade(channel));
    drop(channels);
    // SAFETY: [key] the function has no data, belongs to this library, does not unwind, and is never unloaded.
    unsafe { acl!(&**acl.runtime(), aclrtSetExceptionInfoCallback(Some(CALLBACKS[place]))) }
}

/// The process exits: who waits for exceptions is told.
pub(crate) fn wake_all() {
    for source in &SOURCES {
        let channels = lock_soon(&source.channels);
        let alive =
            channels.map_or_else(Vec::new, |channels| channels.iter().filter_map(Weak::upgrade).collect());
        alive.iter().for_each(|channel| channel.nudge());
    }
}
