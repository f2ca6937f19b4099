//! Argument lists of kernels.

#[macro_use]
mod common;

use core::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex};
use std::thread;

use ascendcl_sim::{KernelLaunch, KernelRegistration, register_kernel};
use ascendcl_sys::{aclrtArgsHandle, aclrtFuncHandle, aclrtParamHandle};
use common::*;

/// A kernel that keeps its arguments, loaded.
struct Kept {
    _kernel: KernelRegistration,
    binary: *mut c_void,
    function: aclrtFuncHandle,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Kept {
    fn new() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let kernel = register_kernel("keep", move |launch: &KernelLaunch<'_>| {
            *kept.lock().unwrap() = launch.arguments().to_vec();
            Ok(())
        });
        let (mut binary, mut function) = (ptr::null_mut(), ptr::null_mut());
        ok!(aclrtBinaryLoadFromData, c"any".as_ptr().cast(), 3, ptr::null(), &mut binary);
        ok!(aclrtBinaryGetFunction, binary, c"keep".as_ptr(), &mut function);
        Self { _kernel: kernel, binary, function, seen }
    }

    fn init(&self) -> aclrtArgsHandle {
        let mut list = ptr::null_mut();
        ok!(aclrtKernelArgsInit, self.function, &mut list);
        list
    }

    fn launch(&self, list: aclrtArgsHandle) -> i32 {
        let (stream, config) = (ptr::null_mut(), ptr::null_mut());
        acl!(aclrtLaunchKernelWithConfig, self.function, 1, stream, config, list, ptr::null_mut())
    }

    fn run(&self, list: aclrtArgsHandle) -> Vec<u8> {
        assert_eq!(self.launch(list), 0);
        ok!(aclrtSynchronizeStream, ptr::null_mut());
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !thread::panicking() {
            ok!(aclrtBinaryUnLoad, self.binary);
        }
    }
}

fn append(list: aclrtArgsHandle, bytes: &mut [u8], param: &mut aclrtParamHandle) -> i32 {
    acl!(aclrtKernelArgsAppend, list, bytes.as_mut_ptr().cast(), bytes.len(), param)
}

#[test]
fn parameters_are_put_at_multiples_of_eight_and_can_be_updated() {
    let _card = card();
    let kept = Kept::new();
    let list = kept.init();
    let (mut first, mut second) = (ptr::null_mut(), ptr::null_mut());
    assert_eq!(append(list, &mut [1, 2, 3], &mut first), 0);
    assert_eq!(append(list, &mut [4; 4], &mut second), 0);
    assert_ne!(first, second);
    assert_eq!(kept.launch(list), 107_000);
    ok!(aclrtKernelArgsFinalize, list);
    ok!(aclrtKernelArgsFinalize, list);
    assert_eq!(append(list, &mut [5], &mut second), 207_000);
    assert_eq!(acl!(aclrtKernelArgsAppendPlaceHolder, list, &mut second), 207_000);
    assert_eq!(kept.run(list), [1, 2, 3, 0, 0, 0, 0, 0, 4, 4, 4, 4]);

    let mut new = [9u8; 4];
    let new: *mut c_void = new.as_mut_ptr().cast();
    assert_eq!(acl!(aclrtKernelArgsParaUpdate, list, first, new, 4), 107_000);
    assert_eq!(acl!(aclrtKernelArgsParaUpdate, list, list, new, 3), 107_017);
    ok!(aclrtKernelArgsParaUpdate, list, first, new, 3);
    assert_eq!(kept.launch(list), 107_000);
    ok!(aclrtKernelArgsFinalize, list);
    assert_eq!(kept.run(list)[..4], [9, 9, 9, 0]);

    // The same list again, empty.
    assert_eq!(kept.init(), list);
    assert_eq!(acl!(aclrtKernelArgsParaUpdate, list, first, new, 3), 107_017);
    ok!(aclrtKernelArgsFinalize, list);
    assert_eq!(kept.launch(list), 107_000);
}

#[test]
fn placeholders_get_data_behind_the_parameters() {
    let _card = card();
    let kept = Kept::new();
    let list = kept.init();
    let (mut holder, mut plain, mut buffer) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    ok!(aclrtKernelArgsAppendPlaceHolder, list, &mut holder);
    assert_eq!(append(list, &mut [7], &mut plain), 0);
    assert_eq!(acl!(aclrtKernelArgsGetPlaceHolderBuffer, list, plain, 4, &mut buffer), 107_000);
    assert_eq!(acl!(aclrtKernelArgsGetPlaceHolderBuffer, list, holder, 1 << 20, &mut buffer), 107_000);
    ok!(aclrtKernelArgsGetPlaceHolderBuffer, list, holder, 3, &mut buffer);
    assert_eq!(append(list, &mut [8], &mut plain), 207_000);
    assert_eq!(acl!(aclrtKernelArgsParaUpdate, list, holder, buffer, 8), 107_000);
    // Written by the program up to the launch.
    ok!(aclrtKernelArgsFinalize, list);
    // SAFETY: the buffer has three bytes.
    unsafe { ptr::copy_nonoverlapping([1u8, 2, 3].as_ptr(), buffer.cast(), 3) };
    assert_eq!(acl!(aclrtKernelArgsGetPlaceHolderBuffer, list, holder, 4, &mut buffer), 207_000);
    let bytes = kept.run(list);
    assert_eq!(bytes[8], 7);
    assert_eq!(bytes[16..], [1, 2, 3]);
    // What stands in the placeholder leads to the data.
    assert_eq!(u64::from_ne_bytes(bytes[..8].try_into().unwrap()) & 0xffff, 16);
}

#[test]
fn a_list_has_128_parameters_and_64_kib() {
    let _card = card();
    let kept = Kept::new();
    let list = kept.init();
    let mut param = ptr::null_mut();
    for _ in 0..128 {
        assert_eq!(append(list, &mut [1], &mut param), 0);
    }
    assert_eq!(append(list, &mut [1], &mut param), 107_000);
    assert_eq!(acl!(aclrtKernelArgsAppendPlaceHolder, list, &mut param), 107_000);
    let list = kept.init();
    assert_eq!(append(list, &mut vec![1; 65_536], &mut param), 0);
    assert_eq!(append(list, &mut [1], &mut param), 107_000);
}

#[test]
fn lists_in_memory_of_the_program() {
    let _card = card();
    let kept = Kept::new();
    let (mut needed, mut bytes) = (0, 0);
    ok!(aclrtKernelArgsGetHandleMemSize, kept.function, &mut needed);
    ok!(aclrtKernelArgsGetMemSize, kept.function, 20, &mut bytes);
    assert_eq!((needed, bytes), (6240, 20 + 8 * 8 + 128 * 8));
    let mut handle = vec![0u8; needed];
    let mut memory = vec![0u8; 16];
    let list: *mut c_void = handle.as_mut_ptr().cast();
    let place: *mut c_void = memory.as_mut_ptr().cast();
    let mut param = ptr::null_mut();
    assert_eq!(append(list, &mut [1], &mut param), 107_017);
    assert_eq!(acl!(aclrtKernelArgsInitByUserMem, kept.function, list, place, 0), 100_000);
    assert_eq!(acl!(aclrtKernelArgsInitByUserMem, kept.function, ptr::null_mut(), place, 16), 100_000);
    ok!(aclrtKernelArgsInitByUserMem, kept.function, list, place, 16);
    assert_eq!(append(list, &mut [1, 2], &mut param), 0);
    assert_eq!(append(list, &mut [3; 9], &mut param), 107_000);
    assert_eq!(append(list, &mut [3; 8], &mut param), 0);
    ok!(aclrtKernelArgsFinalize, list);
    assert_eq!(kept.run(list), [1, 2, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3]);
    assert_eq!(memory[..2], [1, 2]);
    // A parameter of one list is none of another.
    let own = kept.init();
    assert_eq!(acl!(aclrtKernelArgsParaUpdate, own, param, place, 8), 107_000);
    drop(kept);
    assert_eq!(append(list, &mut [1], &mut param), 107_017);
}

#[test]
fn the_list_of_a_thread_ends_with_it() {
    let _card = card();
    let kept = Kept::new();
    let function = Carry(kept.function);
    let list = thread::spawn(move || {
        let function = function;
        let mut list = ptr::null_mut();
        ok!(aclrtKernelArgsInit, function.0, &mut list);
        Carry(list)
    });
    let mut param = ptr::null_mut();
    let list = list.join().unwrap();
    assert_eq!(append(list.0, &mut [1], &mut param), 107_017);
}

#[test]
fn null_is_noticed_first() {
    let _card = card();
    let kept = Kept::new();
    let list = kept.init();
    let (mut param, mut byte, mut size) = (ptr::null_mut(), [0u8], 0);
    let byte: *mut c_void = byte.as_mut_ptr().cast();
    assert_eq!(acl!(aclrtKernelArgsInit, ptr::null_mut(), &mut param), 100_000);
    assert_eq!(acl!(aclrtKernelArgsInit, kept.function, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtKernelArgsInit, kept.binary, &mut param), 107_017);
    assert_eq!(acl!(aclrtKernelArgsGetMemSize, kept.binary, 1, &mut size), 107_017);
    assert_eq!(acl!(aclrtKernelArgsAppend, list, ptr::null_mut(), 1, &mut param), 100_000);
    assert_eq!(acl!(aclrtKernelArgsAppend, list, byte, 0, &mut param), 100_000);
    assert_eq!(acl!(aclrtKernelArgsAppend, list, byte, 1, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtKernelArgsAppendPlaceHolder, list, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtKernelArgsParaUpdate, list, ptr::null_mut(), byte, 1), 100_000);
    assert_eq!(acl!(aclrtKernelArgsFinalize, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtKernelArgsFinalize, byte), 107_017);
}
