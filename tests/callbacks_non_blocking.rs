//! Callbacks beside their stream, on chips that have them and on those that have not.

mod support;

use ascendcl::{CallbackMode, ErrorKind, Result, Stream};
use ascendcl_sim::Profile;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
    mpsc,
};
use support::{Bomb, kind, with_profile};

fn stream(acl: &ascendcl::Acl) -> Result<Stream> {
    acl.device(0)?.create_context()?.create_stream()
}

/// Sets a flag when it is dropped.
struct Tell(Arc<AtomicBool>);

impl Tell {
    fn new() -> (Tell, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(false));
        (Tell(flag.clone()), flag)
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

backend_test! {
    fn non_blocking_callbacks_on_a_chip_without_them(acl) {
        if acl.soc_name()?.as_deref() != Some("Ascend310") {
            return Ok(());
        }
        let stream = stream(acl)?;
        let ((tell, dropped), ran) = (Tell::new(), Arc::new(AtomicBool::new(false)));
        let result = stream.launch_callback_with(CallbackMode::NonBlocking, {
            let ran = ran.clone();
            move || {
                let _tell = tell;
                ran.store(true, Ordering::SeqCst);
            }
        });
        assert_eq!(kind(result.map(drop)), ErrorKind::NotSupported);
        assert!(dropped.load(Ordering::SeqCst) && !ran.load(Ordering::SeqCst));
        // A closure that panics when it is dropped: the error comes all the same.
        let bomb = Bomb;
        let result = stream.launch_callback_with(CallbackMode::NonBlocking, move || drop(bomb));
        assert_eq!(kind(result.map(drop)), ErrorKind::NotSupported);
        assert_eq!(stream.launch_callback_with(CallbackMode::Blocking, || 1)?.wait()?, 1);
    }
}

sim_test! {
    fn non_blocking_callbacks_do_not_hold_up_their_stream() {
        with_profile(Profile::full(), |acl| {
            let stream = stream(acl)?;
            let (open, gate) = mpsc::channel::<()>();
            let callback = stream.launch_callback_with(CallbackMode::NonBlocking, move || gate.recv().is_err())?;
            stream.synchronize()?;
            assert!(stream.is_idle()? && !callback.is_finished());
            drop(open);
            assert!(callback.wait()?);
            Ok(())
        })?;
    }
}

sim_test! {
    fn non_blocking_callbacks_run_though_their_stream_was_dropped() {
        with_profile(Profile::full(), |acl| {
            for synchronise in [true, false] {
                let stream = stream(acl)?;
                let (open, gate) = mpsc::channel::<()>();
                let first = stream.launch_callback_with(CallbackMode::NonBlocking, move || gate.recv().is_err())?;
                let rest = (0..10)
                    .map(|number| stream.launch_callback_with(CallbackMode::NonBlocking, move || number))
                    .collect::<Result<Vec<_>>>()?;
                if synchronise {
                    stream.synchronize()?;
                }
                drop(stream);
                drop(open);
                assert!(first.wait()?);
                for (number, callback) in rest.into_iter().enumerate() {
                    assert_eq!(callback.wait()?, number);
                }
            }
            Ok(())
        })?;
    }
}

sim_test! {
    fn exactly_once_when_blocking_and_non_blocking_are_mixed() {
        with_profile(Profile::full(), |acl| {
            let stream = stream(acl)?;
            let log = Arc::new(Mutex::new(Vec::new()));
            for number in 0..1000 {
                let mode = if number % 3 == 0 { CallbackMode::Blocking } else { CallbackMode::NonBlocking };
                let log = log.clone();
                drop(stream.launch_callback_with(mode, move || log.lock().unwrap().push(number))?);
            }
            stream.launch_callback(|| ())?.wait()?;
            assert!(log.lock().unwrap().iter().copied().eq(0..1000));
            Ok(())
        })?;
    }
}

sim_test! {
    fn a_stream_that_is_dropped_in_a_non_blocking_callback() {
        with_profile(Profile::full(), |acl| {
            for _ in 0..20 {
                let stream = stream(acl)?;
                let own = stream.clone();
                let callback = stream.launch_callback_with(CallbackMode::NonBlocking, move || drop(own))?;
                drop(stream);
                callback.wait()?;
            }
            Ok(())
        })?;
    }
}
