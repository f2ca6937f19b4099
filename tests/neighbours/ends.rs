//! The neighbour initialises or finalises ACL, resets devices, destroys contexts.

use crate::{
    Neighbour, c,
    ours::{Failures, Ours},
    support::{Target, TestResult},
};
use ascendcl::{Acl, Error, Result};
use std::{ptr, thread};

/// ACL belongs to this crate again, and all works.
fn starts_over(target: Target) -> Result<()> {
    let acl = target.open()?;
    let stream = acl.device(0)?.create_context()?.create_stream()?;
    let buffer = stream.context().alloc_from(&[9_u8; 10])?;
    assert_eq!(stream.launch_callback(|| 9)?.wait()?, 9);
    assert_eq!(buffer.to_vec()?, [9; 10]);
    drop((stream, buffer));
    // What other code has ended under earlier handles may count for ever.
    match acl.finalize() {
        Ok(_) | Err(Error::InUse { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

pub fn initialised_first(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    assert_eq!(c!(neighbour, aclInit(ptr::null())), 0);
    for _ in 0..3 {
        let acl = target.open()?;
        Ours::new(acl.device(0)?.create_context()?)?.goes_on()?;
        assert!(!acl.finalize()?, "ACL is the neighbour's");
    }
    assert_eq!(c!(neighbour, aclFinalize()), 0, "it is initialised as before");
    let acl = target.open()?;
    assert!(acl.finalize()?, "now it was ours");
    Ok(())
}

pub fn finalised_under_us(target: Target) -> TestResult {
    let (neighbour, failures) = (Neighbour::of(target), Failures::watch());
    let acl = target.open()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    assert_eq!(stream.launch_callback(|| 1)?.wait()?, 1);
    assert_eq!(c!(neighbour, aclFinalize()), 0);
    // ACL does not ask whether it is initialised.
    assert_eq!(stream.launch_callback(|| 2)?.wait()?, 2);
    drop((stream, context));
    assert!(!acl.finalize()?, "it was finalised already, by other code");
    assert_eq!(failures.list(), [""; 0]);
    // It must not be taken for initialised.
    let acl = target.open()?;
    assert_eq!(c!(neighbour, aclInit(ptr::null())), 100_002, "opening it has initialised it again");
    assert!(acl.finalize()?);
    Ok(())
}

pub fn finalised_while_threads_wait(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let mut ours = Ours::new(acl.device(0)?.create_context()?)?;
    assert_eq!(c!(neighbour, aclFinalize()), 0);
    match acl.clone().finalize() {
        Err(Error::InUse { .. }) => {}
        other => panic!("{other:?}"),
    }
    ours.goes_on()?;
    drop(ours);
    assert!(!acl.finalize()?);
    Ok(starts_over(target)?)
}

pub fn finalised_and_initialised_again(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let mut ours = Ours::new(acl.device(0)?.create_context()?)?;
    for _ in 0..3 {
        assert_eq!(c!(neighbour, aclFinalize()), 0);
        assert_eq!(c!(neighbour, aclInit(ptr::null())), 0);
    }
    ours.goes_on()?;
    drop(ours);
    // There is one initialisation, and no telling whose: it ends, and the second time there is nothing to end.
    acl.finalize()?;
    assert_eq!(c!(neighbour, aclFinalize()), 100_037);
    Ok(starts_over(target)?)
}

/// Something ends the context of all that is ours.
fn context_ends(target: Target, primary: bool, end: impl FnOnce(&Neighbour, &Ours)) -> Result<Acl> {
    let (neighbour, failures) = (Neighbour::of(target), Failures::watch());
    let acl = target.open()?;
    let device = acl.device(0)?;
    let context = if primary { device.primary_context() } else { device.create_context()? };
    let mut ours = Ours::new(context)?;
    end(&neighbour, &ours);
    ours.callbacks_are_abandoned();
    ours.context_is_dead();
    drop((ours, device));
    assert!(!failures.list().is_empty(), "destructors say what they could not do");
    // What its streams had may be in use for ever, as far as this crate can tell.
    if let Err(error) = acl.clone().finalize() {
        assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    }
    Ok(acl)
}

pub fn device_reset(target: Target) -> TestResult {
    context_ends(target, true, |neighbour, _| assert_eq!(c!(neighbour, aclrtResetDevice(0)), 0))?;
    Ok(starts_over(target)?)
}

pub fn device_reset_by_force(target: Target) -> TestResult {
    context_ends(target, true, |neighbour, _| assert_eq!(c!(neighbour, aclrtResetDeviceForce(0)), 0))?;
    Ok(starts_over(target)?)
}

pub fn device_reset_under_a_context_of_our_own(target: Target) -> TestResult {
    let (neighbour, failures) = (Neighbour::of(target), Failures::watch());
    let acl = target.open()?;
    let mut ours = Ours::new(acl.device(0)?.create_context()?)?;
    assert_eq!(c!(neighbour, aclrtResetDevice(0)), 0);
    // Only the primary context ends with it.
    let device = ours.context.device().clone();
    assert!(device.memory_info().is_err() && device.synchronize().is_err());
    assert!(device.primary_context().create_stream().is_err());
    ours.goes_on()?;
    drop((ours, device));
    assert!(acl.finalize()?);
    assert!(failures.list().iter().any(|text| text.contains("aclrtResetDevice")), "{:?}", failures.list());
    Ok(starts_over(target)?)
}

pub fn context_destroyed(target: Target) -> TestResult {
    context_ends(target, false, |neighbour, ours| {
        assert_eq!(c!(neighbour, aclrtDestroyContext(ours.context.as_raw())), 0);
    })?;
    Ok(starts_over(target)?)
}

pub fn reset_inside_a_callback(target: Target) -> TestResult {
    let neighbour = Neighbour::of(target);
    let acl = target.open()?;
    let stream = acl.device(0)?.primary_context().create_stream()?;
    let reset = stream.launch_callback(move || c!(neighbour, aclrtResetDeviceForce(0)))?;
    let behind = stream.launch_callback(|| ());
    // It has reset the device on which it runs, and returns.
    assert_eq!(reset.wait()?, 0);
    if let Ok(behind) = behind {
        assert!(matches!(behind.wait(), Err(Error::Abandoned { .. })));
    }
    thread::spawn(move || drop(stream)).join().unwrap();
    drop(acl);
    Ok(starts_over(target)?)
}
