//! Kernels: binaries, functions, host functions that stand in for kernels, launches.

#[macro_use]
mod common;

use core::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use ascendcl_sim::{KernelError, KernelLaunch, KernelRegistration, register_kernel};
use ascendcl_sys::aclrtFuncHandle;
use common::*;

const BYTES: &[u8] = b"not an ELF file, which does not matter";

/// A binary of any bytes.
fn load() -> *mut c_void {
    let mut binary = ptr::null_mut();
    ok!(aclrtBinaryLoadFromData, BYTES.as_ptr().cast(), BYTES.len(), ptr::null(), &mut binary);
    binary
}

fn function(binary: *mut c_void, name: &CStr) -> aclrtFuncHandle {
    let mut function = ptr::null_mut();
    ok!(aclrtBinaryGetFunction, binary, name.as_ptr(), &mut function);
    function
}

/// x[i] += y[i], for `count` numbers.
fn add() -> KernelRegistration {
    register_kernel("add", |launch: &KernelLaunch<'_>| {
        let (x, y): (u64, u64) = (launch.argument(0)?, launch.argument(8)?);
        let count: u32 = launch.argument(16)?;
        let mut sums: Vec<f32> = launch.read_values(x, count as usize)?;
        for (sum, y) in sums.iter_mut().zip(launch.read_values::<f32>(y, count as usize)?) {
            *sum += y;
        }
        launch.write_values(x, &sums)
    })
}

fn floats(values: &[f32]) -> *mut c_void {
    let device = device_memory(size_of_val(values));
    let size = size_of_val(values);
    ok!(aclrtMemcpy, device, size, values.as_ptr().cast(), size, sys::ACL_MEMCPY_HOST_TO_DEVICE);
    device
}

fn read_back(device: *mut c_void, count: usize) -> Vec<f32> {
    let mut values = vec![0f32; count];
    let size = size_of_val(&values[..]);
    ok!(aclrtMemcpy, values.as_mut_ptr().cast(), size, device, size, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    values
}

#[repr(C)]
struct AddArguments {
    x: *mut c_void,
    y: *mut c_void,
    count: u32,
}

#[test]
fn a_host_function_runs_in_stream_order() {
    let _card = card();
    let _kernel = add();
    let binary = load();
    let add = function(binary, c"add");
    let (x, y, stream) = (floats(&[1.0, 2.0, 3.0]), floats(&[10.0, 20.0, 30.0]), stream());
    let gate = Gate::new();
    gate.hold(stream);
    let mut arguments = AddArguments { x, y, count: 3 };
    for _ in 0..2 {
        ok!(
            aclrtLaunchKernelWithHostArgs,
            add,
            8,
            stream,
            ptr::null_mut(),
            (&raw mut arguments).cast(),
            size_of::<AddArguments>(),
            ptr::null_mut(),
            0
        );
    }
    // The arguments were copied at the launch.
    std::hint::black_box(&mut arguments).count = 0;
    assert_eq!(read_back(x, 3), [1.0, 2.0, 3.0]);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(read_back(x, 3), [21.0, 42.0, 63.0]);
    ok!(aclrtFree, x);
    ok!(aclrtFree, y);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn arguments_in_device_memory_are_read_when_the_kernel_runs() {
    let _card = card();
    let _kernel = add();
    let binary = load();
    let add = function(binary, c"add");
    let (x, y, stream) = (floats(&[1.0]), floats(&[10.0]), stream());
    let gate = Gate::new();
    let place = device_memory(32);
    gate.hold(stream);
    ok!(aclrtLaunchKernel, add, 1, place, 20, stream);
    ok!(aclrtLaunchKernelV2, add, 1, place, 20, ptr::null_mut(), stream);
    let arguments = AddArguments { x, y, count: 1 };
    ok!(aclrtMemcpy, place, 32, (&raw const arguments).cast(), 20, sys::ACL_MEMCPY_HOST_TO_DEVICE);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(read_back(x, 1), [21.0]);

    // Freed, or host memory: the kernel traps.
    gate.close();
    gate.hold(stream);
    ok!(aclrtLaunchKernel, add, 1, place, 20, stream);
    ok!(aclrtFree, place);
    gate.open();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_015);
    ok!(aclrtLaunchKernel, add, 1, (&raw const arguments).cast(), 20, stream);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_015);
    assert!(message().contains("in no live device memory"), "{}", message());
    ok!(aclrtFree, x);
    ok!(aclrtFree, y);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn errors_of_a_host_function_are_errors_of_the_stream() {
    let _card = card();
    let traps = register_kernel("traps", |launch: &KernelLaunch<'_>| {
        let how: u32 = launch.argument(0)?;
        match how {
            0 => Err(KernelError::new("out of tune")),
            1 => Err(KernelError::new("out of time").with_code(507_014)),
            2 => launch.write(0x1000, &[1]),
            3 => launch.argument::<u64>(0).map(drop),
            4 => launch.read_values::<u8>(0x77, usize::MAX).map(drop),
            5 => panic!("out of order"),
            _ => {
                assert_eq!((launch.name(), launch.blocks(), launch.device()), ("traps", 24, 0));
                assert_eq!(launch.arguments(), how.to_ne_bytes());
                Ok(())
            }
        }
    });
    let binary = load();
    let (traps_function, stream) = (function(binary, c"traps"), stream());
    let launch = |how: u32| {
        let mut how = how;
        let how = (&raw mut how).cast();
        ok!(
            aclrtLaunchKernelWithHostArgs,
            traps_function,
            24,
            stream,
            ptr::null_mut(),
            how,
            4,
            ptr::null_mut(),
            0
        );
        acl!(aclrtSynchronizeStream, stream)
    };
    assert_eq!(launch(0), 507_015);
    assert!(message().contains("the kernel 'traps' failed: out of tune"), "{}", message());
    assert_eq!(
        [launch(1), launch(2), launch(3), launch(4), launch(5)],
        [507_014, 507_015, 507_015, 507_015, 507_000]
    );
    assert_eq!(launch(6), 0);

    // Without its host function a kernel cannot be launched, and what is queued fails.
    let gate = Gate::new();
    gate.hold(stream);
    let mut how = 6u32;
    let how: *mut c_void = (&raw mut how).cast();
    ok!(
        aclrtLaunchKernelWithHostArgs,
        traps_function,
        24,
        stream,
        ptr::null_mut(),
        how,
        4,
        ptr::null_mut(),
        0
    );
    drop(traps);
    assert_eq!(
        acl!(
            aclrtLaunchKernelWithHostArgs,
            traps_function,
            1,
            stream,
            ptr::null_mut(),
            how,
            4,
            ptr::null_mut(),
            0
        ),
        207_000
    );
    gate.open();
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 207_000);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn unregistering_waits_for_what_runs_and_the_newest_registration_wins() {
    let _card = card();
    let (started, is_started) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let calls = Arc::new(AtomicU32::new(0));
    let (started, may_go_on) = (std::sync::Mutex::new(started), std::sync::Mutex::new(may_go_on));
    let counted = Arc::clone(&calls);
    let slow = register_kernel("k", move |_: &KernelLaunch<'_>| {
        started.lock().unwrap().send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let binary = load();
    let (k, stream) = (function(binary, c"k"), stream());
    let mut byte = [0u8];
    let byte: *mut c_void = byte.as_mut_ptr().cast();
    ok!(aclrtLaunchKernelWithHostArgs, k, 1, stream, ptr::null_mut(), byte, 1, ptr::null_mut(), 0);
    is_started.recv().unwrap();
    let seen = Arc::clone(&calls);
    let unregistered = thread::spawn(move || {
        drop(slow);
        seen.load(Ordering::SeqCst)
    });
    go_on.send(()).unwrap();
    assert_eq!(unregistered.join().unwrap(), 1);
    ok!(aclrtSynchronizeStream, stream);

    let old = register_kernel("k", |_: &KernelLaunch<'_>| Err(KernelError::new("the old one")));
    let new = register_kernel("k", |_: &KernelLaunch<'_>| Ok(()));
    let run = || {
        ok!(aclrtLaunchKernelWithHostArgs, k, 1, stream, ptr::null_mut(), byte, 1, ptr::null_mut(), 0);
        acl!(aclrtSynchronizeStream, stream)
    };
    assert_eq!(run(), 0);
    drop(new);
    assert_eq!(run(), 507_015);
    drop(old);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn placeholders_point_to_data_behind_the_arguments() {
    let _card = card();
    let _kernel = register_kernel("sum", |launch: &KernelLaunch<'_>| {
        let data: u64 = launch.argument(0)?;
        let out: u64 = launch.argument(8)?;
        let sum: u32 = launch.read_values::<u32>(data, 3)?.iter().sum();
        launch.read_values::<u32>(data, 4).unwrap_err();
        launch.write(data, &[0]).unwrap_err();
        launch.write_values(out, &[sum])
    });
    let binary = load();
    let (sum, stream, out) = (function(binary, c"sum"), stream(), device_memory(4));
    let mut arguments = [0u64; 4];
    arguments[1] = out.addr() as u64;
    // Three numbers from byte 16 on.
    arguments[2] = 3 | (4 << 32);
    arguments[3] = 5;
    let mut holder = sys::aclrtPlaceHolderInfo { addrOffset: 0, dataOffset: 16 };
    let data: *mut c_void = arguments.as_mut_ptr().cast();
    let launch = |holders: *mut sys::aclrtPlaceHolderInfo, count, size| {
        acl!(aclrtLaunchKernelWithHostArgs, sum, 1, stream, ptr::null_mut(), data, size, holders, count)
    };
    assert_eq!(launch(&mut holder, 1, 28), 0);
    ok!(aclrtSynchronizeStream, stream);
    let mut answer = 0u32;
    ok!(aclrtMemcpy, (&raw mut answer).cast(), 4, out, 4, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    assert_eq!(answer, 12);
    assert_eq!(launch(ptr::null_mut(), 1, 28), 107_000);
    for (address, at) in [(28, 16), (0, 28), (24, 16)] {
        holder = sys::aclrtPlaceHolderInfo { addrOffset: address, dataOffset: at };
        assert_eq!(launch(&mut holder, 1, 28), 107_000);
    }
    assert_eq!(launch(ptr::null_mut(), 0, 0), 107_000);
    ok!(aclrtFree, out);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn launches_check_their_arguments_in_order() {
    let _card = full();
    let _kernel = add();
    let binary = load();
    let (add, stream) = (function(binary, c"add"), stream());
    let junk: *mut c_void = 64usize as *mut c_void;
    let mut bytes = [0u8; 24];
    let host: *mut c_void = bytes.as_mut_ptr().cast();
    let null = ptr::null_mut();
    assert_eq!(acl!(aclrtLaunchKernel, null, 1, host, 8, stream), 100_000);
    assert_eq!(acl!(aclrtLaunchKernel, add, 0, ptr::null(), 8, stream), 100_000);
    assert_eq!(acl!(aclrtLaunchKernel, junk, 0, host, 0, junk), 107_017);
    assert_eq!(acl!(aclrtLaunchKernel, add, 0, host, 8, junk), 107_017);
    assert_eq!(acl!(aclrtLaunchKernel, add, 0, host, 8, stream), 107_000);
    assert_eq!(acl!(aclrtLaunchKernel, add, 1, host, 0, stream), 107_000);
    assert_eq!(acl!(aclrtLaunchKernel, stream, 1, host, 8, stream), 107_017);
    assert_eq!(acl!(aclrtLaunchKernelV2, add, 0, host, 8, null.cast(), stream), 107_000);
    let with_config = |config: *mut sys::aclrtLaunchKernelCfg| {
        acl!(aclrtLaunchKernelWithHostArgs, add, 1, stream, config, host, 24, ptr::null_mut(), 0)
    };
    let config = |id: u32, value: u8| {
        let value = sys::aclrtLaunchKernelAttrValue { schemMode: value };
        let mut attribute = sys::aclrtLaunchKernelAttr { id: sys::aclrtLaunchKernelAttrId(id), value };
        let mut config = sys::aclrtLaunchKernelCfg { attrs: &mut attribute, numAttrs: 1 };
        with_config(&mut config)
    };
    let mut empty = sys::aclrtLaunchKernelCfg { attrs: ptr::null_mut(), numAttrs: 0 };
    assert_eq!(with_config(&mut empty), 107_000);
    assert_eq!(
        [config(0, 0), config(1, 2), config(5, 2), config(6, 2), config(9, 2), config(10, 0)],
        [107_000; 6]
    );
    assert_eq!([config(1, 1), config(2, 200), config(6, 1), config(7, 9)], [0; 4]);
    // A count of 0.
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(acl!(aclrtLaunchKernelWithConfig, add, 0, stream, null.cast(), null, null), 100_000);
    assert_eq!(acl!(aclrtLaunchKernelWithConfig, add, 1, stream, null.cast(), null, null), 100_000);
    assert_eq!(acl!(aclrtLaunchKernelWithConfig, add, 1, stream, null.cast(), junk, junk), 100_000);
    assert_eq!(acl!(aclrtLaunchKernelWithConfig, add, 1, stream, null.cast(), junk, null), 107_017);
    // Another device than the one it was looked up for.
    ok!(aclrtSetDevice, 1);
    assert_eq!(acl!(aclrtLaunchKernel, add, 1, host, 8, null), 107_017);
    assert_eq!(acl!(aclrtLaunchKernel, add, 1, host, 8, stream), 107_003);
    ok!(aclrtResetDevice, 1);
    assert_eq!(acl!(aclrtLaunchKernel, add, 1, host, 8, null), 107_002);
    ok!(aclrtSetDevice, 0);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
    assert_eq!(acl!(aclrtLaunchKernel, add, 1, host, 8, ptr::null_mut()), 107_017);
}

#[test]
fn an_array_of_arguments_needs_to_know_the_parameters() {
    let _card = card();
    let kernel = add();
    let binary = load();
    let (add, stream) = (function(binary, c"add"), stream());
    let (mut x, mut y, mut count) = (floats(&[1.0, 2.0]), floats(&[5.0, 6.0]), 2u32);
    let mut array: [*mut c_void; 3] = [(&raw mut x).cast(), (&raw mut y).cast(), (&raw mut count).cast()];
    let launch = |blocks, array: *mut *mut c_void| {
        acl!(aclrtLaunchKernelWithArgsArray, add, blocks, stream, ptr::null_mut(), array)
    };
    assert_eq!(launch(0, array.as_mut_ptr()), 100_000);
    assert_eq!(launch(1, array.as_mut_ptr()), 107_000);
    let (mut number, mut offset, mut size) = (0, 0, 0);
    assert_eq!(acl!(aclrtFunctionGetParamCount, add, &mut number), 107_000);
    let _kernel = kernel.with_parameters(&[8, 8, 4]);
    ok!(aclrtFunctionGetParamCount, add, &mut number);
    assert_eq!(number, 3);
    assert_eq!(acl!(aclrtFunctionGetParamInfo, add, 3, &mut offset, &mut size), 107_000);
    assert_eq!(acl!(aclrtFunctionGetParamInfo, add, 2, ptr::null_mut(), ptr::null_mut()), 100_000);
    ok!(aclrtFunctionGetParamInfo, add, 2, &mut offset, ptr::null_mut());
    ok!(aclrtFunctionGetParamInfo, add, 2, ptr::null_mut(), &mut size);
    assert_eq!((offset, size), (16, 4));
    assert_eq!(launch(1, ptr::null_mut()), 107_000);
    assert_eq!(launch(1, array.as_mut_ptr()), 0);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(read_back(x, 2), [6.0, 8.0]);
    ok!(aclrtFree, x);
    ok!(aclrtFree, y);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn nothing_loads_without_a_host_function() {
    let _card = card();
    let mut binary = ptr::null_mut();
    let load = |bytes: &[u8], binary: &mut *mut c_void| {
        acl!(aclrtBinaryLoadFromData, bytes.as_ptr().cast(), bytes.len(), ptr::null(), binary)
    };
    let mut elf = [0u8; 64];
    elf[..4].copy_from_slice(b"\x7fELF");
    assert_eq!(load(BYTES, &mut binary), 107_000);
    assert_eq!(load(&elf[..16], &mut binary), 107_000);
    assert_eq!(load(&elf, &mut binary), 207_000);
    let data = acl!(aclrtCreateBinary, elf.as_ptr().cast(), elf.len());
    assert_eq!(acl!(aclrtBinaryLoad, data, &mut binary), 207_000);
    ok!(aclrtDestroyBinary, data);
    assert_eq!(
        acl!(aclrtBinaryLoadFromFile, c"/nowhere/kernel.o".as_ptr(), ptr::null_mut(), &mut binary),
        107_000
    );
    assert!(message().contains("/nowhere/kernel.o"));
}

#[test]
fn binaries_and_functions_are_checked() {
    let _card = full();
    let _kernel = add();
    let mut out = ptr::null_mut();
    let data = BYTES.as_ptr().cast::<c_void>();
    assert_eq!(acl!(aclrtBinaryLoadFromData, ptr::null(), 1, ptr::null(), &mut out), 100_000);
    assert_eq!(acl!(aclrtBinaryLoadFromData, data, 1, ptr::null(), ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtBinaryLoadFromData, data, 0, ptr::null(), &mut out), 107_000);
    assert!(acl!(aclrtCreateBinary, ptr::null(), 8).is_null());
    let described = acl!(aclrtCreateBinary, data, BYTES.len());
    ok!(aclrtBinaryLoad, described, &mut out);
    ok!(aclrtDestroyBinary, described);
    let binary = out;
    let mut first: aclrtFuncHandle = ptr::null_mut();
    let mut second: aclrtFuncHandle = ptr::null_mut();
    assert_eq!(acl!(aclrtBinaryGetFunction, binary, ptr::null(), &mut first), 100_000);
    assert_eq!(acl!(aclrtBinaryGetFunction, data.cast_mut(), c"add".as_ptr(), &mut first), 107_017);
    assert_eq!(acl!(aclrtBinaryGetFunction, binary, c"sub".as_ptr(), &mut first), 107_000);
    ok!(aclrtBinaryGetFunction, binary, c"add".as_ptr(), &mut first);
    ok!(aclrtBinaryGetFunction, binary, c"add".as_ptr(), &mut second);
    assert_eq!(first, second);
    assert_eq!(acl!(aclrtBinaryGetFunctionByEntry, binary, 0, &mut second), 107_000);

    let mut name = [0 as c_char; 8];
    assert_eq!(acl!(aclrtGetFunctionName, ptr::null_mut(), 8, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtGetFunctionName, ptr::null_mut(), 8, name.as_mut_ptr()), 107_000);
    assert_eq!(acl!(aclrtGetFunctionName, binary, 8, name.as_mut_ptr()), 107_017);
    assert_eq!(acl!(aclrtGetFunctionName, first, 3, name.as_mut_ptr()), 107_000);
    ok!(aclrtGetFunctionName, first, 4, name.as_mut_ptr());
    // SAFETY: a zero was written.
    assert_eq!(unsafe { CStr::from_ptr(name.as_ptr()) }, c"add");

    let (mut address, mut size, mut vector) = (ptr::null_mut(), 0, data.cast_mut());
    ok!(aclrtBinaryGetDevAddress, binary, &mut address, &mut size);
    assert!(!address.is_null());
    assert_eq!(size, BYTES.len());
    let mut entry = ptr::null_mut();
    ok!(aclrtGetFunctionAddr, first, &mut entry, &mut vector);
    assert_eq!(entry, address);
    assert!(vector.is_null());
    let mut value = -1;
    ok!(aclrtGetFunctionAttribute, first, sys::ACL_FUNC_ATTR_KERNEL_TYPE, &mut value);
    assert_eq!(value, 0);
    assert_eq!(acl!(aclrtGetFunctionAttribute, first, sys::aclrtFuncAttribute(0), &mut value), 107_000);
    assert_eq!(acl!(aclrtGetFunctionAttribute, first, sys::aclrtFuncAttribute(4), &mut value), 107_000);
    ok!(aclrtFunctionGetBinary, first, &mut out);
    assert_eq!(out, binary);
    assert_eq!(acl!(aclrtRegisterCpuFunc, binary, c"f".as_ptr(), c"add".as_ptr(), &mut second), 107_000);
    ok!(aclrtFunctionGetAvailDynUbufPerBlock, first, 0, &mut size);
    assert_eq!(size, 0);
    assert_eq!(acl!(aclrtFunctionGetAvailDynUbufPerBlock, first, 1, &mut size), 100_000);
    assert_eq!(acl!(aclrtBinaryGetGlobal, binary, c"g".as_ptr(), ptr::null_mut(), ptr::null_mut()), 100_000);
    assert_ne!(acl!(aclrtBinaryGetGlobal, binary, c"g".as_ptr(), &mut address, &mut size), 0);
    assert_eq!(acl!(aclrtGetFuncBySymbol, data, &mut second), 107_044);
    assert_eq!(acl!(aclrtBinarySetExceptionCallback, binary, None, ptr::null_mut()), 100_000);

    ok!(aclrtBinaryUnLoad, binary);
    assert_eq!(acl!(aclrtBinaryUnLoad, binary), 107_017);
    assert_eq!(acl!(aclrtGetFunctionName, first, 4, name.as_mut_ptr()), 107_017);
}

#[test]
fn cpu_kernels_are_registered_by_hand() {
    let _card = card();
    let _kernel = register_kernel("f", |_: &KernelLaunch<'_>| Err(KernelError::new("no")));
    let mut options = [0i32, 2, 5].map(|mode| {
        let value = sys::aclrtBinaryLoadOptionValue { cpuKernelMode: mode };
        sys::aclrtBinaryLoadOption { type_: sys::ACL_RT_BINARY_LOAD_OPT_CPU_KERNEL_MODE, value }
    });
    let mut binary = ptr::null_mut();
    let mut load = |index: usize, binary: &mut *mut c_void| {
        let options = sys::aclrtBinaryLoadOptions { options: &mut options[index], numOpt: 1 };
        acl!(aclrtBinaryLoadFromData, BYTES.as_ptr().cast(), BYTES.len(), &options, binary)
    };
    assert_eq!([load(0, &mut binary), load(2, &mut binary)], [107_000; 2]);
    assert_eq!(load(1, &mut binary), 0);
    let (mut f, mut again): (aclrtFuncHandle, aclrtFuncHandle) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtRegisterCpuFunc, binary, c"f".as_ptr(), c"F".as_ptr(), &mut f);
    ok!(aclrtRegisterCpuFunc, binary, c"f".as_ptr(), c"F".as_ptr(), &mut again);
    assert_eq!(f, again);
    ok!(aclrtBinaryGetFunction, binary, c"F".as_ptr(), &mut again);
    assert_eq!(f, again);
    let mut value = 0;
    ok!(aclrtGetFunctionAttribute, f, sys::ACL_FUNC_ATTR_KERNEL_TYPE, &mut value);
    assert_eq!(value, 100);
    let mut byte = [0u8];
    let stream = stream();
    ok!(
        aclrtLaunchKernelWithHostArgs,
        f,
        1,
        stream,
        ptr::null_mut(),
        byte.as_mut_ptr().cast(),
        1,
        ptr::null_mut(),
        0
    );
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_018);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

#[test]
fn no_symbol_is_known() {
    let _card = full();
    let (mut value, mut address, mut size) = (0u64, ptr::null_mut(), 0);
    let place: *mut c_void = (&raw mut value).cast();
    assert_eq!(acl!(aclrtGetSymbolAddress, ptr::null(), &mut address), 100_000);
    assert_eq!(acl!(aclrtGetSymbolAddress, place, &mut address), 107_043);
    assert_eq!(acl!(aclrtGetSymbolSize, place, &mut size), 107_043);
    let to = |count, kind| acl!(aclrtMemcpyToSymbol, place, place, count, 0, kind);
    assert_eq!(to(0, sys::ACL_MEMCPY_HOST_TO_HOST), 0);
    assert_eq!(to(8, sys::ACL_MEMCPY_DEVICE_TO_HOST), 100_000);
    assert_eq!(to(8, sys::ACL_MEMCPY_DEFAULT), 107_043);
    let from = |room, kind| acl!(aclrtMemcpyFromSymbolAsync, place, room, place, 8, 0, kind, ptr::null_mut());
    assert_eq!(from(7, sys::ACL_MEMCPY_DEFAULT), 100_000);
    assert_eq!(from(8, sys::ACL_MEMCPY_HOST_TO_DEVICE), 100_000);
    assert_eq!(from(8, sys::ACL_MEMCPY_DEVICE_TO_HOST), 107_043);
    ok!(aclrtResetDevice, 0);
    assert_eq!(from(8, sys::ACL_MEMCPY_DEVICE_TO_HOST), 107_002);
    ok!(aclrtSetDevice, 0);
}

/// What callbacks saw of failed kernels: who was called, the function, the arguments' first bytes.
static SEEN: std::sync::Mutex<Vec<(&'static str, usize, [u8; 4])>> = std::sync::Mutex::new(Vec::new());

fn see(who: &'static str, info: *mut sys::aclrtExceptionInfo) {
    let (mut function, mut address, mut size, mut first) = (ptr::null_mut(), ptr::null_mut(), 0, [0u8; 4]);
    assert_eq!(acl!(aclrtGetErrorCodeFromExceptionInfo, info), 507_015);
    ok!(aclrtGetFuncHandleFromExceptionInfo, info, &mut function);
    ok!(aclrtGetArgsFromExceptionInfo, info, &mut address, &mut size);
    assert_eq!(size, 4);
    ok!(aclrtSetDevice, 0);
    ok!(aclrtMemcpy, first.as_mut_ptr().cast(), 4, address, 4, sys::ACL_MEMCPY_DEVICE_TO_HOST);
    ok!(aclrtResetDevice, 0);
    SEEN.lock().unwrap().push((who, function.addr(), first));
}

unsafe extern "C" fn on_any(info: *mut sys::aclrtExceptionInfo) {
    see("any", info);
}

unsafe extern "C" fn on_binary(info: *mut sys::aclrtExceptionInfo, user: *mut c_void) {
    assert_eq!(user.addr(), 77);
    see("binary", info);
}

#[test]
fn failed_kernels_are_told_to_those_who_asked() {
    let _card = full();
    let _kernel = register_kernel("fails", |_: &KernelLaunch<'_>| Err(KernelError::new("no")));
    let binary = load();
    let (fails, stream) = (function(binary, c"fails"), stream());
    ok!(aclrtSetExceptionInfoCallback, Some(on_any));
    ok!(aclrtBinarySetExceptionCallback, binary, Some(on_binary), 77usize as *mut c_void);
    let mut bytes = [1u8, 2, 3, 4];
    let host: *mut c_void = bytes.as_mut_ptr().cast();
    ok!(aclrtLaunchKernelWithHostArgs, fails, 1, stream, ptr::null_mut(), host, 4, ptr::null_mut(), 0);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_015);
    let place = device_memory(4);
    ok!(aclrtMemcpy, place, 4, host, 4, sys::ACL_MEMCPY_HOST_TO_DEVICE);
    ok!(aclrtSetExceptionInfoCallback, None);
    ok!(aclrtLaunchKernel, fails, 1, place, 4, stream);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_015);
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    let expected = ["any", "binary", "binary"].map(|who| (who, fails.addr(), [1, 2, 3, 4]));
    assert_eq!(seen, expected);
    ok!(aclrtFree, place);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtBinaryUnLoad, binary);
}

/// An event says that everything before it is done, also when its record is thrown away.
#[test]
fn a_record_thrown_away_behind_a_running_kernel_waits_for_its_end() {
    let _card = full();
    let (started, is_started) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let (started, may_go_on) = (std::sync::Mutex::new(started), std::sync::Mutex::new(may_go_on));
    let _slow = register_kernel("slow", move |_: &KernelLaunch<'_>| {
        started.lock().unwrap().send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        Ok(())
    });
    let _fails = register_kernel("fails", |_: &KernelLaunch<'_>| Err(KernelError::new("no")));
    let binary = load();
    let (slow, fails) = (function(binary, c"slow"), function(binary, c"fails"));
    let (busy, other) = (stream(), stream());
    ok!(aclrtSetStreamFailureMode, busy, u64::from(sys::ACL_STOP_ON_FAILURE));
    let event = event();
    let mut byte = [0u8];
    let byte: *mut c_void = byte.as_mut_ptr().cast();
    ok!(aclrtLaunchKernelWithHostArgs, slow, 1, busy, ptr::null_mut(), byte, 1, ptr::null_mut(), 0);
    ok!(aclrtRecordEvent, event, busy);
    is_started.recv().unwrap();
    // It stops all streams of the context, and throws away what is queued.
    ok!(aclrtLaunchKernelWithHostArgs, fails, 1, other, ptr::null_mut(), byte, 1, ptr::null_mut(), 0);
    assert_eq!(acl!(aclrtSynchronizeStream, other), 507_015);
    let status = || {
        let mut status = sys::aclrtEventRecordedStatus(9);
        ok!(aclrtQueryEventStatus, event, &mut status);
        status
    };
    let early = status();
    go_on.send(()).unwrap();
    assert_eq!(early, sys::ACL_EVENT_RECORDED_STATUS_NOT_READY, "the kernel still ran");
    ok!(aclrtSynchronizeEvent, event);
    assert_eq!(status(), sys::ACL_EVENT_RECORDED_STATUS_COMPLETE);
    assert_eq!(acl!(aclrtSynchronizeStream, busy), 507_015);
    ok!(aclrtDestroyEvent, event);
    for stream in [busy, other] {
        ok!(aclrtDestroyStream, stream);
    }
    ok!(aclrtBinaryUnLoad, binary);
}
