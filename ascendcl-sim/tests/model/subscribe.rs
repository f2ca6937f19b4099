//! A subscription describes each execution through a pipe.

use std::ffi::{c_char, c_void};
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, RawFd};
use std::ptr;

use ascendcl_sys as sys;

use crate::acl::{Context, Model, acl, floats};
use crate::onnx::{self, unary};

#[test]
fn executions_are_described_through_a_pipe() {
    let context = Context::new(0);
    let model = Model::load(&unary("Neg", onnx::FLOAT, &[2])).unwrap();
    let mut ends: [RawFd; 2] = [0; 2];
    // SAFETY: a place for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the pipe's own end, which nobody else closes.
    let mut reader = unsafe { File::from_raw_fd(ends[0]) };
    let place: *mut c_void = (&raw mut ends[1]).cast();
    let config = acl!(aclprofCreateSubscribeConfig(1, sys::ACL_AICORE_NONE, place));
    let id = model.0;
    assert_eq!(acl!(aclprofModelSubscribe(id, ptr::null())), 100_000);
    assert_eq!(acl!(aclprofModelUnSubscribe(id)), 100_011);
    assert_eq!(acl!(aclprofModelSubscribe(id, config)), 0);
    assert_eq!(acl!(aclprofModelSubscribe(id, config)), 148_046);
    assert_eq!(acl!(aclprofInit(c"/tmp".as_ptr(), 4)), 148_047);
    for _ in 0..2 {
        model.run(&[&floats(&[1.0, 2.0])], &[8]).unwrap();
    }
    // This closes the end that was subscribed.
    assert_eq!(acl!(aclprofModelUnSubscribe(id)), 0);
    assert_eq!(acl!(aclprofDestroySubscribeConfig(config)), 0);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();

    let (data, size): (*const c_void, usize) = (bytes.as_ptr().cast(), bytes.len());
    let (mut count, mut length) = (0, 0);
    assert_eq!(acl!(aclprofGetOpNum(data, size, &mut count)), 0);
    assert_eq!(count, 2);
    assert_eq!(acl!(aclprofGetModelId(data, size, 1)), id as usize);
    assert_eq!(acl!(aclprofGetModelId(data, size, 2)), 100_000);
    assert_eq!(acl!(aclprofGetOpFlag(data, size, 0)), sys::ACL_SUBSCRIBE_OP);
    let (start, end) = (acl!(aclprofGetOpStart(data, size, 0)), acl!(aclprofGetOpEnd(data, size, 0)));
    assert!(start > 0 && start <= end && end <= acl!(aclprofGetOpStart(data, size, 1)));
    assert!(acl!(aclprofGetOpDuration(data, size, 0)) <= end - start + 1);
    assert_eq!(acl!(aclprofGetOpTypeLen(data, size, 0, &mut length)), 0);
    assert_eq!(length, 6);
    let mut kind = [b'x' as c_char; 6];
    assert_eq!(acl!(aclprofGetOpType(data, size, 0, kind.as_mut_ptr(), 3)), 100_000);
    assert_eq!(acl!(aclprofGetOpType(data, size, 0, kind.as_mut_ptr(), length)), 0);
    assert_eq!(kind.map(|c| c as u8), *b"Model\0");
    // Names are given out once.
    assert_eq!(acl!(aclprofGetOpType(data, size, 0, kind.as_mut_ptr(), length)), 100_000);
    assert_eq!(acl!(aclprofGetOpNameLen(data, size, 1, &mut length)), 0);
    drop(model);
    drop(context);
}
