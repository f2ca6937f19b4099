//! A plugin that uses ascendcl: what a host that knows only C opens with `dlopen`, calls, and closes with `dlclose`.
//!
//! Each function takes the path of an ACL library, or NULL for the simulator inside the plugin, and gives 0 when all went well, 11 in a forked child.

use ascendcl::{Acl, BackendChoice, Callback, Context, Error, EventFlags, Stream};
use std::{
    cell::RefCell,
    ffi::{CStr, OsStr, c_char},
    os::unix::ffi::OsStrExt,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{Mutex, PoisonError},
    thread,
};

thread_local! {
    static KEPT: RefCell<Vec<Stream>> = const { RefCell::new(Vec::new()) };
}

/// What [`plugin_hold`] leaves behind.
static HELD: Mutex<Vec<(Stream, Callback<()>)>> = Mutex::new(Vec::new());

/// A panic must not reach the host.
fn answer(action: impl FnOnce() -> Result<i32, Error>) -> i32 {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(answer)) => answer,
        Ok(Err(Error::Forked { .. })) => 11,
        Ok(Err(error)) => {
            eprintln!("the plugin: {error}");
            1
        }
        Err(_) => 2,
    }
}

/// # Safety
///
/// `library` must be NULL or a C string.
unsafe fn open(library: *const c_char) -> Result<Acl, Error> {
    if library.is_null() {
        return Acl::builder().backend(BackendChoice::Sim).build();
    }
    // SAFETY: by contract of this function.
    let path = unsafe { CStr::from_ptr(library) };
    Acl::builder().library(OsStr::from_bytes(path.to_bytes())).build()
}

fn use_context(context: &Context) -> Result<(), Error> {
    let stream = context.create_stream()?;
    let device = context.alloc::<u32>(1000)?;
    let upload = stream.upload(context.alloc_pinned_from(&[7; 1000])?, &device)?;
    let download = stream.download(&device, context.alloc_pinned(1000)?)?;
    let sum = stream.launch_callback(move || download.wait().map(|values| values.iter().sum::<u32>()))?;
    assert_eq!(sum.wait()??, 7000);
    drop(upload);
    // Dropped with work on it, inside of a callback: both go to the thread that releases.
    let other = context.create_stream()?;
    let event = context.create_event()?;
    stream.launch_callback(move || drop((other, event)))?.wait()?;
    Ok(())
}

/// Uses most of what there is, and gives everything back but the initialisation.
///
/// # Safety
///
/// `library` must be NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_work(library: *const c_char) -> i32 {
    answer(|| {
        // SAFETY: by contract of this function.
        let acl = unsafe { open(library) }?;
        use_context(&acl.device(0)?.create_context()?)?;
        Ok(0)
    })
}

/// Initialises ACL and leaves it so. No thread is started yet.
///
/// # Safety
///
/// `library` must be NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_initialise(library: *const c_char) -> i32 {
    answer(|| {
        // SAFETY: by contract of this function.
        unsafe { open(library) }?.device_count().map(|_| 0)
    })
}

/// Leaves a stream that waits for ever, a report thread that looks for its callback, and a stream for the thread that releases.
///
/// # Safety
///
/// `library` must be NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_hold(library: *const c_char) -> i32 {
    answer(|| {
        // SAFETY: by contract of this function.
        let context = unsafe { open(library) }?.device(0)?.create_context()?;
        let never = context.create_event_with_flags(EventFlags::SYNC)?;
        let [kept, dropped] = [context.create_stream()?, context.create_stream()?];
        for stream in [&kept, &dropped] {
            stream.wait(&never)?;
        }
        let callback = kept.launch_callback(|| ())?;
        drop(dropped.launch_callback(|| ())?);
        HELD.lock().unwrap_or_else(PoisonError::into_inner).push((kept, callback));
        Ok(0)
    })
}

/// Leaves a stream with the calling thread, to be dropped when that ends.
///
/// # Safety
///
/// `library` must be NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_keep_for_thread(library: *const c_char) -> i32 {
    answer(|| {
        // SAFETY: by contract of this function.
        let stream = unsafe { open(library) }?.device(0)?.create_context()?.create_stream()?;
        drop(stream.launch_callback(|| ())?);
        KEPT.with_borrow_mut(|kept| kept.push(stream));
        Ok(0)
    })
}

/// Finalises ACL: 0 if that was ours to do, 10 if it is another's.
///
/// # Safety
///
/// `library` must be NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_finalize(library: *const c_char) -> i32 {
    answer(|| {
        // SAFETY: by contract of this function.
        Ok(if unsafe { open(library) }?.finalize()? { 0 } else { 10 })
    })
}

/// How many objects are alive in the simulator inside the plugin.
// SAFETY: nothing else here has this name.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_live() -> i32 {
    ascendcl_sim::live().len().try_into().unwrap_or(i32::MAX)
}

/// Calls the simulator inside the plugin without the crate: what `aclInit` answers.
// SAFETY: nothing else here has this name.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_simulate() -> i32 {
    // SAFETY: NULL means no configuration.
    ascendcl_sim::api().aclInit.map_or(-1, |init| unsafe { init(ptr::null()) })
}

/// Uses nothing of ascendcl; several threads of the plugin come and go.
// SAFETY: nothing else here has this name.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_idle() -> i32 {
    i32::from((0..3).map(|_| thread::spawn(|| ())).any(|thread| thread.join().is_err()))
}
