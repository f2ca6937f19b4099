//! What once went wrong.

mod support;

use ascendcl::{Callback, CallbackMode, Error, Stream, set_drop_error_hook, sys};
use ascendcl_sim::Profile;
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};
use support::{Gate, Target, until, with_profile, with_table};

fn stream(acl: &ascendcl::Acl) -> ascendcl::Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
}

fn is_mismatch<T>(result: ascendcl::Result<T>) -> bool {
    matches!(result, Err(Error::Mismatch { .. }))
}

// To one backend the device memory of another is any address of the host: it would be read and written there.
sim_test! {
    fn memory_of_another_backend_is_refused() {
        let (one, other) = (Target::Embedded.open()?, Target::Cdylib.open()?);
        {
            let (here, there) = (one.device(0)?.create_context()?, other.device(0)?.create_context()?);
            let stream = here.create_stream()?;
            let (own, foreign) = (here.alloc_from(&[1u8; 64])?, there.alloc_from(&[2u8; 64])?);
            assert!(is_mismatch(own.copy_from(&foreign)));
            assert!(is_mismatch(foreign.copy_from(&own)));
            assert!(is_mismatch(stream.copy(&foreign, &own)));
            assert!(is_mismatch(stream.copy(&own, &foreign)));
            assert!(is_mismatch(stream.memset(&foreign, 3)));
            for rejected in [
                stream.upload(there.alloc_pinned(64)?, &own).unwrap_err(),
                stream.download(&own, there.alloc_pinned(64)?).unwrap_err(),
                stream.download(&foreign, here.alloc_pinned(64)?).unwrap_err(),
            ] {
                assert!(matches!(rejected.error, Error::Mismatch { .. }), "{rejected:?}");
                assert!(rejected.returned.is_some());
            }
            stream.synchronize()?;
            assert_eq!((own.to_vec()?, foreign.to_vec()?), (vec![1; 64], vec![2; 64]));
        }
        one.finalize()?;
        other.finalize()?;
    }
}

/// A waker that does something when it is dropped.
struct AtDrop(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for AtDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for AtDrop {
    fn drop(&mut self) {
        let action = self.0.lock().unwrap().take();
        if let Some(action) = action {
            action();
        }
    }
}

// The old waker was dropped under the lock that the report thread needs to end the callback.
backend_test! {
    fn a_replaced_waker_may_wait_for_the_callback(acl) {
        let stream = stream(acl)?;
        let gate = Gate::close(&stream)?;
        let mut callback = pin!(stream.launch_callback(|| 7)?);
        let own = stream.clone();
        let waits = move || {
            gate.open().unwrap();
            own.synchronize().unwrap();
        };
        let waker = Waker::from(Arc::new(AtDrop(Mutex::new(Some(Box::new(waits))))));
        assert!(callback.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        // The callback keeps this waker instead, and the last reference to the old one goes.
        let _ = callback.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(pollster::block_on(callback)?, 7);
    }
}

// The sum of seconds and one more for the fraction did not fit, and became a timeout of one second or a panic.
backend_test! {
    fn the_longest_timeouts(acl) {
        let stream = stream(acl)?;
        let event = stream.context().create_event()?;
        stream.record(&event)?;
        for timeout in [Duration::MAX, Duration::ZERO, Duration::from_secs(u64::MAX), Duration::from_nanos(1)] {
            stream.wait_timeout(&event, timeout)?;
        }
        stream.synchronize_timeout(Duration::MAX)?;
        event.synchronize_timeout(Duration::MAX)?;
        assert_eq!(stream.launch_callback(|| 1)?.wait_timeout(Duration::MAX)?, 1);
    }
}

// It panicked.
backend_test! {
    fn a_callback_that_gave_its_result_is_finished(acl) {
        let stream = stream(acl)?;
        let mut callback = stream.launch_callback(|| 1)?;
        assert_eq!(pollster::block_on(&mut callback)?, 1);
        assert!(callback.is_finished());
    }
}

// The closure was never run, and who waited for it waited for ever.
sim_test! {
    fn a_library_without_reports_has_no_callbacks() {
        let patch = |table: &mut sys::AclApi| table.aclrtProcessReport = None;
        with_table(patch, |acl| {
            let error = stream(acl)?.launch_callback(|| ()).unwrap_err();
            assert!(matches!(error, Error::MissingSymbol { function: "aclrtProcessReport" }), "{error}");
            Ok(())
        })?;
    }
}

// The context joined its report thread, on which the closure waited for the thread that dropped the context.
sim_test! {
    fn a_closure_beside_its_stream_does_not_hold_up_the_context() {
        with_profile(Profile::full(), |acl| {
            let stream = stream(acl)?;
            let context = stream.context().clone();
            let (go, wait) = mpsc::channel::<()>();
            let (inside, entered) = mpsc::channel::<()>();
            let callback = stream.launch_callback_with(CallbackMode::NonBlocking, move || {
                inside.send(()).unwrap();
                wait.recv().is_ok()
            })?;
            entered.recv()?;
            stream.synchronize()?;
            drop(stream);
            // Longer than the stream waits for its callbacks: now this is the last handle.
            thread::sleep(Duration::from_secs(6));
            drop(context);
            go.send(())?;
            assert!(callback.wait()?);
            Ok(())
        })?;
    }
}

/// Waits for a callback when it is dropped.
struct WaitsAtDrop(Option<Callback<()>>, mpsc::Sender<bool>);

impl Drop for WaitsAtDrop {
    fn drop(&mut self) {
        let result = self.0.take().map(Callback::wait);
        let _ = self.1.send(matches!(result, Some(Err(Error::InCallback { .. }))));
    }
}

// The thread that drops what abandoned closures own waited for a closure that it had to drop itself.
sim_test! {
    fn a_closure_that_is_abandoned_cannot_wait_for_another() {
        unsafe extern "C" fn no_reports(millis: i32) -> sys::aclError {
            thread::sleep(Duration::from_millis(millis as u64));
            sys::ACL_ERROR_RT_REPORT_TIMEOUT
        }
        ascendcl_sim::configure(ascendcl_sim::Config::new().profile(Profile::full()))?;
        with_table(|table| table.aclrtProcessReport = Some(no_reports), |acl| {
            let first = stream(acl)?;
            let second = first.context().create_stream()?;
            let other = second.launch_callback_with(CallbackMode::NonBlocking, || ())?;
            let (told, tell) = mpsc::channel();
            let waits = WaitsAtDrop(Some(other), told);
            let callback = first.launch_callback_with(CallbackMode::NonBlocking, move || drop(waits))?;
            drop(first);
            drop(second);
            assert!(tell.recv()?, "waiting is refused");
            assert!(matches!(callback.wait(), Err(Error::Abandoned { .. })));
            Ok(())
        })?;
    }
}

/// Counts, and panics when it is dropped.
struct Panics(&'static AtomicUsize);

impl Drop for Panics {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    }
}

// The panic came out of the destructor of the handle.
sim_test! {
    fn a_hook_that_is_replaced_while_it_runs_may_panic_when_dropped() {
        static DROPPED: AtomicUsize = AtomicUsize::new(0);
        unsafe extern "C" fn fails(event: sys::aclrtEvent) -> sys::aclError {
            // SAFETY: the caller's event.
            unsafe { ascendcl_sim::api().aclrtDestroyEvent.unwrap()(event) };
            sys::ACL_ERROR_RT_INTERNAL_ERROR
        }
        let captured = Panics(&DROPPED);
        set_drop_error_hook(move |_| {
            let _captured = &captured;
            set_drop_error_hook(|_| ());
        });
        with_table(|table| table.aclrtDestroyEvent = Some(fails), |acl| {
            let event = acl.device(0)?.create_context()?.create_event()?;
            drop(event);
            until(|| DROPPED.load(Ordering::SeqCst) == 1);
            Ok(())
        })?;
    }
}

// Pages that left the simulator's quarantine were given back to the system when somebody else had them already.
backend_test! {
    fn memory_keeps_its_bytes_while_others_free_theirs(acl) {
        let context = acl.device(0)?.create_context()?;
        thread::scope(|scope| {
            for seed in 1..=4u32 {
                let context = &context;
                scope.spawn(move || {
                    for round in 0..1500u32 {
                        let values = vec![round * 16 + seed; 2048 + (round * seed % 16) as usize * 1024];
                        let buffer = context.alloc_from(&values).unwrap();
                        thread::yield_now();
                        assert!(buffer.to_vec().unwrap() == values, "other bytes in round {round}");
                    }
                });
            }
        });
    }
}

sim_test! {
    fn a_context_that_was_destroyed_is_not_put_back() {
        static SET: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        static DESTROYED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        static STALE: AtomicUsize = AtomicUsize::new(0);
        unsafe extern "C" fn set(context: sys::aclrtContext) -> sys::aclError {
            SET.lock().unwrap().push(context.addr());
            if DESTROYED.lock().unwrap().contains(&context.addr()) {
                STALE.fetch_add(1, Ordering::SeqCst);
            }
            // SAFETY: the caller's contract, handed on.
            unsafe { ascendcl_sim::api().aclrtSetCurrentContext.unwrap()(context) }
        }
        unsafe extern "C" fn destroy(context: sys::aclrtContext) -> sys::aclError {
            DESTROYED.lock().unwrap().push(context.addr());
            // SAFETY: the caller's contract, handed on.
            unsafe { ascendcl_sim::api().aclrtDestroyContext.unwrap()(context) }
        }
        with_table(
            |table| {
                table.aclrtSetCurrentContext = Some(set);
                table.aclrtDestroyContext = Some(destroy);
            },
            |acl| {
                let device = acl.device(0)?;
                let (first, second) = (device.create_context()?, device.create_context()?);
                let outer = first.enter()?;
                let inner = second.enter()?;
                // Out of order: the inner guard remembers the first context, which goes before it.
                drop(outer);
                drop(first);
                drop(inner);
                drop(second);
                assert!(!SET.lock().unwrap().is_empty() && DESTROYED.lock().unwrap().len() == 2);
                assert_eq!(STALE.load(Ordering::SeqCst), 0, "a destroyed context was made current");
                Ok(())
            },
        )?;
    }
}
