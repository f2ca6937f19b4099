//! Memory of the program that is registered with a device: it comes back, and is freed only when nothing uses it.

mod support;

use ascendcl::{Acl, Error, ErrorKind, HostPages, PinnedBuffer, Rectangle, Rejected, Stream, sys};
use ascendcl_sim::{Config, LiveKind, Profile};
use std::{
    ffi::{c_int, c_void},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use support::{Gate, TestResult, until, with_profile, with_table};

fn registrations() -> usize {
    ascendcl_sim::live().iter().filter(|live| live.kind == LiveKind::HostRegistration).count()
}

fn counted(len: u32) -> ascendcl::Result<HostPages<u32>> {
    let mut pages = HostPages::new(len as usize)?;
    pages.iter_mut().zip(0..).for_each(|(value, number)| *value = number);
    Ok(pages)
}

/// Owns pages, and says when it is dropped.
struct Lender {
    pages: Option<HostPages<u32>>,
    gone: Arc<AtomicBool>,
}

impl Drop for Lender {
    fn drop(&mut self) {
        // What it owns goes first, so that a device that still used it would be found out.
        drop(self.pages.take());
        self.gone.store(true, Ordering::SeqCst);
    }
}

/// Pages of somebody else, and whether that one is gone.
fn lent(len: u32) -> ascendcl::Result<(HostPages<u32>, Arc<AtomicBool>)> {
    let mut pages = counted(len)?;
    let ptr = NonNull::new(pages.as_mut_ptr()).expect("a slice has an address");
    let gone = Arc::new(AtomicBool::new(false));
    let lender = Lender { pages: Some(pages), gone: gone.clone() };
    // SAFETY: the lender has the pages, wherever it is moved, and does not touch them.
    Ok((unsafe { HostPages::from_owner(lender, ptr, len as usize) }, gone))
}

fn rejected<T>(result: Result<T, Rejected<HostPages<u32>>>) -> (Error, HostPages<u32>) {
    let Err(rejected) = result else { panic!("it is not refused") };
    (rejected.error, rejected.returned.expect("the pages come back"))
}

backend_test! {
    fn pages_are_registered_or_come_back(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u32>(3000)?;
        match context.register_host(counted(3000)?) {
            Ok(pinned) => {
                let pinned = stream.upload(pinned, &device)?.wait()?;
                assert!(pinned.unregister()?.iter().copied().eq(0..3000));
            }
            Err(Rejected { error, returned }) => {
                let not_supported = error.code().is_some_and(|code| code.kind() == ErrorKind::NotSupported);
                // An old kernel of the machine that runs the tests.
                assert!(not_supported || matches!(error, Error::Os { .. }), "{error}");
                device.copy_from_slice(&returned.expect("the pages come back"))?;
            }
        }
        assert!(device.to_vec()?.into_iter().eq(0..3000));
    }
}

backend_test! {
    fn only_what_was_registered_is_unregistered(acl) {
        let context = acl.device(0)?.create_context()?;
        let pinned = context.alloc_pinned_from(&[1_u8, 2, 3])?;
        assert!(pinned.device_address().is_none());
        let rejected = pinned.unregister().unwrap_err();
        assert!(matches!(rejected.error, Error::Mismatch { op: "aclrtHostUnregister", .. }), "{rejected}");
        assert_eq!(rejected.returned.expect("the buffer comes back")[..], [1, 2, 3]);
    }
}

sim_test! {
    fn on_every_chip() {
        for name in Profile::NAMES {
            with_profile(Profile::by_name(name).expect("it has a profile"), |acl| {
                let context = acl.device(0)?.create_context()?;
                let stream = context.create_stream()?;
                let registered = context.register_host(counted(3000)?);
                if name.starts_with("ascend310") {
                    let (error, pages) = rejected(registered);
                    assert_eq!(error.code().map(|code| code.kind()), Some(ErrorKind::NotSupported), "{name}");
                    assert!(pages.iter().copied().eq(0..3000));
                    assert_eq!(registrations(), 0);
                    return Ok(());
                }
                let mut pinned = registered?;
                assert_eq!(registrations(), 1, "{name}");
                assert!(pinned.device_address().is_some_and(|address| address != pinned.as_mut_ptr().cast()));
                let device = context.alloc::<u32>(3000)?;
                // It is read when the stream gets there, as pinned memory is: a copy from plain memory would wait for the gate.
                let gate = Gate::close(&stream)?;
                let upload = stream.upload(pinned, &device)?;
                assert!(!upload.is_done()?, "{name}");
                gate.open()?;
                let mut pinned = upload.wait()?;
                pinned.fill(0);
                let mut pinned = stream.download(&device, pinned)?.wait()?;
                assert!(pinned.iter().copied().eq(0..3000));
                pinned[5] = 55;
                let moved = Rectangle::new(2, 1).source(10, 4, 0);
                let pages = stream.upload_rectangle(pinned, &device, moved)?.wait()?.unregister()?;
                assert_eq!(registrations(), 0);
                assert_eq!(device.view(..3)?.to_vec()?, [4, 55, 2]);
                // Ordinary memory again, which may be registered once more.
                assert_eq!((pages[5], pages[2999]), (55, 2999));
                drop(context.register_host(pages)?);
                assert_eq!(registrations(), 0);
                Ok(())
            })?;
        }
    }
}

fn on_910b(body: impl FnOnce(&Acl) -> TestResult) -> TestResult {
    with_profile(Profile::ascend910b(), body)
}

sim_test! {
    fn the_owner_goes_when_the_stream_has_passed() {
        on_910b(|acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let device = context.alloc::<u32>(2000)?;
            let (pages, gone) = lent(2000)?;
            let gate = Gate::close(&stream)?;
            drop(stream.upload(context.register_host(pages)?, &device)?);
            assert!(!gone.load(Ordering::SeqCst), "the stream still reads it");
            assert_eq!(registrations(), 1);
            gate.open()?;
            stream.synchronize()?;
            assert!(gone.load(Ordering::SeqCst));
            assert_eq!(registrations(), 0);
            assert!(device.to_vec()?.into_iter().eq(0..2000));
            // Without any work on it, at once.
            let (pages, gone) = lent(10)?;
            drop(context.register_host(pages)?);
            assert!(gone.load(Ordering::SeqCst));
            // It goes with the pages that come back, too.
            let (pages, gone) = lent(10)?;
            let pages = context.register_host(pages)?.unregister()?;
            assert!(!gone.load(Ordering::SeqCst));
            drop(pages);
            assert!(gone.load(Ordering::SeqCst));
            Ok(())
        })?;
    }
}

sim_test! {
    fn dropped_inside_a_callback() {
        on_910b(|acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let (pages, gone) = lent(100)?;
            let pinned = context.register_host(pages)?;
            let inside = stream.launch_callback(move || {
                let rejected = pinned.unregister().unwrap_err();
                assert!(matches!(rejected.error, Error::InCallback { .. }), "{rejected}");
                drop(rejected.returned.expect("the buffer comes back"));
            })?;
            inside.wait()?;
            until(|| gone.load(Ordering::SeqCst));
            assert_eq!(registrations(), 0);
            Ok(())
        })?;
    }
}

sim_test! {
    fn what_cannot_be_registered_comes_back() {
        on_910b(|acl| {
            let context = acl.device(0)?.create_context()?;
            let (mut pages, gone) = lent(2048)?;
            let start = pages.as_mut_ptr();
            // SAFETY: inside of the pages, which are not used as such any more.
            let odd = unsafe { HostPages::from_owner((), NonNull::new(start.add(1)).unwrap(), 100) };
            let (error, odd) = rejected(context.register_host(odd));
            assert!(matches!(error, Error::Mismatch { .. }) && error.to_string().contains("4096"), "{error}");
            assert_eq!(odd[0], 1);
            drop(odd);
            // SAFETY: as above.
            let twice = [0; 2].map(|_| unsafe { HostPages::from_owner((), NonNull::new(start).unwrap(), 100) });
            let [first, second] = twice.map(|pages| context.register_host(pages));
            let (error, second) = rejected(second);
            assert_eq!(error.code().map(|code| code.kind()), Some(ErrorKind::AlreadyDone), "{error}");
            assert_eq!(registrations(), 1, "the first stays");
            drop((second, first?));
            assert_eq!(registrations(), 0);
            drop(pages);
            assert!(gone.load(Ordering::SeqCst));
            Ok(())
        })?;
    }
}

sim_test! {
    fn nothing_is_registered_by_doing_nothing() {
        on_910b(|acl| {
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let empty: PinnedBuffer<u32> = context.register_host(HostPages::new(0)?)?;
            assert_eq!(registrations(), 0);
            assert!(empty.is_empty() && empty.device_address().is_none());
            let device = context.alloc::<u32>(0)?;
            let empty = stream.upload(empty, &device)?.wait()?;
            assert!(empty.unregister()?.is_empty());
            let none: PinnedBuffer<[u32; 0]> = context.register_host(HostPages::new(5)?)?;
            assert_eq!((registrations(), none.unregister()?.len()), (0, 5));
            Ok(())
        })?;
    }
}

/// A failure after which nobody can tell whether the device can still reach the memory.
unsafe extern "C" fn undecided(_: *mut c_void) -> c_int {
    507_899
}

/// One that says that nothing was done.
unsafe extern "C" fn refused(_: *mut c_void) -> c_int {
    107_000
}

sim_test! {
    fn what_may_still_be_registered_is_never_freed() {
        ascendcl_sim::configure(Config::new().profile(Profile::ascend910b()))?;
        // Ends what the failing table leaves registered, at an address.
        let end = |address: *const u32| {
            let end = ascendcl_sim::api().aclrtHostUnregister.expect("the simulator has it");
            // SAFETY: registered, and never freed.
            assert_eq!(unsafe { end(address.cast_mut().cast()) }, 0);
        };
        let cases: [(unsafe extern "C" fn(*mut c_void) -> c_int, bool); 2] = [(undecided, false), (refused, true)];
        for (fail, is_refusal) in cases {
            with_table(
                |api| api.aclrtHostUnregister = Some(fail),
                |acl| {
                    let context = acl.device(0)?.create_context()?;
                    let _entered = context.enter()?;
                    let (pages, dropped) = lent(100)?;
                    let first = pages.as_ptr();
                    drop(context.register_host(pages)?);
                    assert!(!dropped.load(Ordering::SeqCst), "dropping it has failed");

                    let (pages, given) = lent(100)?;
                    let second = pages.as_ptr();
                    let rejected = context.register_host(pages)?.unregister().unwrap_err();
                    assert!(rejected.error.code().is_some(), "{rejected}");
                    assert_eq!(rejected.returned.is_some(), is_refusal);
                    if let Some(buffer) = &rejected.returned {
                        assert!(buffer.iter().copied().eq(0..100), "it stays as it was");
                        assert!(buffer.device_address().is_some());
                    }
                    drop(rejected);
                    assert!(!given.load(Ordering::SeqCst));
                    assert_eq!(registrations(), 2);
                    end(first);
                    end(second);
                    Ok(())
                },
            )?;
        }
    }
}

/// Registers, and says that nobody can tell whether it did.
unsafe extern "C" fn register_and_fail(
    memory: *mut c_void,
    bytes: u64,
    kind: sys::aclrtHostRegisterType,
    device: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's contract, handed on.
    let code = unsafe { ascendcl_sim::api().aclrtHostRegister.unwrap()(memory, bytes, kind, device) };
    assert_eq!(code, 0);
    507_899
}

/// Says that nobody can tell whether it registered, and did not.
unsafe extern "C" fn fail(
    _: *mut c_void,
    _: u64,
    _: sys::aclrtHostRegisterType,
    _: *mut *mut c_void,
) -> c_int {
    507_899
}

sim_test! {
    fn a_registration_that_may_have_been_made_is_ended() {
        type Patch = fn(&mut sys::AclApi);
        let cases: [(Patch, bool); 3] = [
            (|api| api.aclrtHostRegister = Some(register_and_fail), true),
            (|api| api.aclrtHostRegister = Some(fail), true),
            (
                |api| {
                    api.aclrtHostRegister = Some(register_and_fail);
                    api.aclrtHostUnregister = Some(undecided);
                },
                false,
            ),
        ];
        ascendcl_sim::configure(Config::new().profile(Profile::ascend910b()))?;
        for (patch, comes_back) in cases {
            with_table(patch, |acl| {
                let context = acl.device(0)?.create_context()?;
                let (pages, gone) = lent(100)?;
                let start = pages.as_ptr();
                let Err(rejected) = context.register_host(pages) else { panic!("it has failed") };
                assert_eq!(rejected.error.code().map(|code| code.0), Some(507_899), "{rejected}");
                assert_eq!(rejected.returned.is_some(), comes_back);
                if let Some(pages) = rejected.returned {
                    assert!(pages.iter().copied().eq(0..100));
                    assert_eq!(registrations(), 0, "no device reaches what the program has");
                    drop(pages);
                    assert!(gone.load(Ordering::SeqCst));
                } else {
                    assert!(!gone.load(Ordering::SeqCst), "a device may reach it");
                    let end = ascendcl_sim::api().aclrtHostUnregister.unwrap();
                    let _entered = context.enter()?;
                    // SAFETY: registered, and never freed.
                    assert_eq!(unsafe { end(start.cast_mut().cast()) }, 0);
                }
                Ok(())
            })?;
        }
    }
}

/// Registers, and does not say where.
unsafe extern "C" fn register_nowhere(
    memory: *mut c_void,
    bytes: u64,
    kind: sys::aclrtHostRegisterType,
    device: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's contract, handed on; the place was given to be written.
    unsafe {
        let code = ascendcl_sim::api().aclrtHostRegister.unwrap()(memory, bytes, kind, device);
        *device = std::ptr::null_mut();
        code
    }
}

sim_test! {
    fn a_registration_without_an_address_is_one() {
        ascendcl_sim::configure(Config::new().profile(Profile::ascend910b()))?;
        with_table(
            |api| api.aclrtHostRegister = Some(register_nowhere),
            |acl| {
                let context = acl.device(0)?.create_context()?;
                let (pages, gone) = lent(100)?;
                let pinned = context.register_host(pages)?;
                assert!(pinned.device_address().is_none());
                let pages = pinned.unregister()?;
                assert_eq!(registrations(), 0);
                drop(context.register_host(pages)?);
                assert_eq!((registrations(), gone.load(Ordering::SeqCst)), (0, true));
                Ok(())
            },
        )?;
    }
}

sim_test! {
    fn an_owner_that_meddles_is_refused() {
        on_910b(|acl| {
            /// Dropped, it waits for the stream that drops it, and panics.
            struct Meddler {
                _lender: HostPages<u32>,
                stream: Stream,
                refused: Arc<AtomicBool>,
            }
            impl Drop for Meddler {
                fn drop(&mut self) {
                    let refused = matches!(self.stream.synchronize(), Err(Error::InCallback { .. }));
                    self.refused.store(refused, Ordering::SeqCst);
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
            }
            let context = acl.device(0)?.create_context()?;
            let stream = context.create_stream()?;
            let device = context.alloc::<u32>(100)?;
            let meddled = |stream: &Stream| -> ascendcl::Result<_> {
                let mut lender = counted(100)?;
                let ptr = NonNull::new(lender.as_mut_ptr()).expect("a slice has an address");
                let refused = Arc::new(AtomicBool::new(false));
                let owner = Meddler { _lender: lender, stream: stream.clone(), refused: refused.clone() };
                // SAFETY: the owner has the pages, wherever it is moved, and does not touch them.
                Ok((unsafe { HostPages::from_owner(owner, ptr, 100) }, refused))
            };
            let (pages, by_a_wait) = meddled(&stream)?;
            drop(stream.upload(context.register_host(pages)?, &device)?);
            stream.synchronize()?;
            assert!(by_a_wait.load(Ordering::SeqCst));
            let (pages, at_once) = meddled(&stream)?;
            drop(context.register_host(pages)?);
            assert!(at_once.load(Ordering::SeqCst));
            // By the reaper.
            let last = context.create_stream()?;
            let gate = Gate::close(&last)?;
            let (pages, later) = meddled(&stream)?;
            drop(last.upload(context.register_host(pages)?, &device)?);
            drop(last);
            gate.open()?;
            until(|| later.load(Ordering::SeqCst));
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_release_without_registration_says_so() {
        with_table(
            |api| api.aclrtHostRegister = None,
            |acl| {
                let context = acl.device(0)?.create_context()?;
                let (error, pages) = rejected(context.register_host(counted(10)?));
                assert!(matches!(error, Error::MissingSymbol { function: "aclrtHostRegister" }), "{error}");
                assert!(pages.iter().copied().eq(0..10));
                Ok(())
            },
        )?;
    }
}
