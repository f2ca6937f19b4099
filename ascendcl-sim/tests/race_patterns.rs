//! The race detector against everything that orders work: each pattern is clean as it is meant, and a race without its order.

mod common;

use core::ffi::c_void;
use std::ptr;

use ascendcl_sim::{KernelLaunch, ReportKind, Reporting, register_kernel, take_reports};
use common::*;

const SIZE: usize = 4096;
const PAGE: usize = 2 << 20;
const EQ: u32 = sys::ACL_STREAM_WAIT_VALUE_EQ;

fn watched() -> Session {
    let session = session(Config::new().profile(Profile::full()).races(Reporting::Log));
    take_reports();
    ok!(aclrtSetDevice, 0);
    session
}

fn races() -> Vec<String> {
    let races = take_reports().into_iter().filter(|report| report.kind == ReportKind::Race);
    races.map(|report| report.text).collect()
}

#[track_caller]
fn clean() {
    ok!(aclrtSynchronizeDevice);
    assert_eq!(races(), Vec::<String>::new());
}

/// One report, which names both functions.
#[track_caller]
fn raced(one: &str, other: &str) {
    ok!(aclrtSynchronizeDevice);
    let found = races();
    assert_eq!(found.len(), 1, "{found:#?}");
    for function in [one, other] {
        assert!(found[0].contains(&format!(" {function} on thread ")), "{}", found[0]);
    }
    assert!(found[0].matches("race_patterns::").count() >= 2, "two places: {}", found[0]);
}

/// Two streams and memory that both use.
struct Two {
    one: aclrtStream,
    two: aclrtStream,
    memory: *mut c_void,
}

impl Two {
    fn new() -> Self {
        Self { one: stream(), two: stream(), memory: device_memory(2 * SIZE) }
    }

    fn set(&self, stream: aclrtStream) {
        set(self.memory, stream);
    }

    fn end(self) {
        ok!(aclrtSynchronizeDevice);
        ok!(aclrtDestroyStream, self.one);
        ok!(aclrtDestroyStream, self.two);
        ok!(aclrtFree, self.memory);
        assert_eq!(races(), Vec::<String>::new());
    }
}

#[track_caller]
fn set(memory: *mut c_void, stream: aclrtStream) {
    ok!(aclrtMemsetAsync, memory, SIZE, 1, SIZE, stream);
}

#[test]
fn notifies() {
    let _session = watched();
    let two = Two::new();
    let (mut there, mut back) = (ptr::null_mut(), ptr::null_mut());
    ok!(aclrtCreateNotify, &mut there, 0);
    ok!(aclrtCreateNotify, &mut back, 0);
    for _ in 0..50 {
        two.set(two.one);
        ok!(aclrtRecordNotify, there, two.one);
        ok!(aclrtWaitAndResetNotify, there, two.two, 0);
        two.set(two.two);
        ok!(aclrtRecordNotify, back, two.two);
        ok!(aclrtWaitAndResetNotify, back, two.one, 0);
    }
    clean();
    two.set(two.one);
    ok!(aclrtRecordNotify, there, two.two);
    ok!(aclrtWaitAndResetNotify, there, two.two, 0);
    two.set(two.two);
    raced("aclrtMemsetAsync", "aclrtMemsetAsync");
    ok!(aclrtDestroyNotify, there);
    ok!(aclrtDestroyNotify, back);
    two.end();
}

#[test]
fn counting_notifies() {
    let _session = watched();
    let two = Two::new();
    let mut counter = ptr::null_mut();
    ok!(aclrtCntNotifyCreate, &mut counter, 0);
    let add = |stream| {
        let mode = sys::ACL_RT_CNT_NOTIFY_RECORD_ADD_MODE;
        ok!(aclrtCntNotifyRecord, counter, stream, &mut sys::aclrtCntNotifyRecordInfo { mode, value: 1 });
    };
    let wait = |stream, value| {
        let mut info = sys::aclrtCntNotifyWaitInfo {
            mode: sys::ACL_RT_CNT_NOTIFY_WAIT_BIGGER_OR_EQUAL_MODE,
            value,
            timeout: 0,
            isClear: 0,
            rsv: [0; 3],
        };
        ok!(aclrtCntNotifyWaitWithTimeout, counter, stream, &mut info);
    };
    for round in 0..20 {
        two.set(two.one);
        add(two.one);
        wait(two.two, 2 * round + 1);
        two.set(two.two);
        add(two.two);
        wait(two.one, 2 * round + 2);
    }
    clean();
    two.set(two.one);
    wait(two.two, 1);
    two.set(two.two);
    raced("aclrtMemsetAsync", "aclrtMemsetAsync");
    ok!(aclrtCntNotifyDestroy, counter);
    two.end();
}

#[test]
fn values() {
    let _session = watched();
    let two = Two::new();
    let flags = device_memory(64);
    ok!(aclrtMemset, flags, 64, 0, 64);
    for round in 1..30 {
        two.set(two.one);
        ok!(aclrtValueWrite, flags, 2 * round, 0, two.one);
        ok!(aclrtValueWait, flags, 2 * round, EQ, two.two);
        two.set(two.two);
        ok!(aclrtValueWrite, flags, 2 * round + 1, 0, two.two);
        ok!(aclrtValueWait, flags, 2 * round + 1, EQ, two.one);
    }
    clean();
    two.set(two.one);
    ok!(aclrtValueWait, flags, 59, EQ, two.two);
    two.set(two.two);
    raced("aclrtMemsetAsync", "aclrtMemsetAsync");
    ok!(aclrtFree, flags);
    two.end();
}

#[test]
fn events_of_processes() {
    let _session = watched();
    let two = Two::new();
    let event = extended(sys::ACL_EVENT_IPC);
    for _ in 0..20 {
        two.set(two.one);
        ok!(aclrtRecordEvent, event, two.one);
        ok!(aclrtStreamWaitEvent, two.two, event);
        two.set(two.two);
        ok!(aclrtRecordEvent, event, two.two);
        ok!(aclrtSynchronizeEvent, event);
    }
    clean();
    ok!(aclrtDestroyEvent, event);
    two.end();
}

#[test]
fn a_record_of_another_stream_does_not_order() {
    for kind in 0..3 {
        let _session = watched();
        let event = match kind {
            0 => event(),
            1 => extended(sys::ACL_EVENT_SYNC),
            _ => flagged(sys::ACL_EVENT_SYNC),
        };
        let (two, other, gate) = (Two::new(), stream(), Gate::new());
        // The event is recorded by the stream with the memset and by one that has done nothing. It is only the latest record that is waited
        // for, or the one that raises the level.
        let order = if kind == 2 { [other, two.one] } else { [two.one, other] };
        gate.hold(two.two);
        if kind < 2 {
            two.set(two.one);
        }
        ok!(aclrtRecordEvent, event, order[0]);
        if kind == 2 {
            std::thread::sleep(std::time::Duration::from_millis(30));
            two.set(two.one);
        }
        ok!(aclrtRecordEvent, event, order[1]);
        ok!(aclrtStreamWaitEvent, two.two, event);
        two.set(two.two);
        std::thread::sleep(std::time::Duration::from_millis(30));
        gate.open();
        raced("aclrtMemsetAsync", "aclrtMemsetAsync");
        drop(gate);
        ok!(aclrtDestroyEvent, event);
        ok!(aclrtDestroyStream, other);
        two.end();
    }
}

unsafe extern "C" fn consume(data: *mut c_void) {
    let mut byte = 0u8;
    assert_eq!(acl!(aclrtSetDevice, 0), 0);
    assert_eq!(acl!(aclrtMemcpy, (&raw mut byte).cast(), 1, data, 1, sys::ACL_MEMCPY_DEVICE_TO_HOST), 0);
}

#[test]
fn host_functions() {
    let _session = watched();
    let two = Two::new();
    for _ in 0..20 {
        two.set(two.one);
        ok!(aclrtLaunchHostFunc, two.one, Some(consume), two.memory);
        two.set(two.one);
    }
    clean();
    // Another stream writes, and the function reads without waiting for it.
    two.set(two.one);
    ok!(aclrtSynchronizeStream, two.one);
    two.set(two.two);
    ok!(aclrtLaunchHostFunc, two.one, Some(consume), two.memory);
    ok!(aclrtSynchronizeDevice);
    let found = races();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("by the host, in aclrtMemcpy"), "{}", found[0]);
    two.end();
}

#[test]
fn callbacks_that_do_not_block() {
    let _session = watched();
    let two = Two::new();
    let reporter = Reporter::start();
    ok!(aclrtSubscribeReport, reporter.id, two.one);
    for _ in 0..20 {
        two.set(two.one);
        ok!(aclrtLaunchCallback, Some(consume), two.memory, sys::ACL_CALLBACK_NO_BLOCK, two.one);
        ok!(aclrtSynchronizeStream, two.one);
    }
    // Its stream does not wait for the function, which may still read when the next memset writes.
    ok!(aclrtUnSubscribeReport, reporter.id, two.one);
    drop(reporter);
    ok!(aclrtSynchronizeDevice);
    let found = races();
    assert!(found.len() <= 2, "{found:#?}");
    assert!(found.iter().all(|text| text.contains("by the host, in aclrtMemcpy")), "{found:#?}");
    two.end();
}

#[test]
fn kernels_race_where_they_read_and_write() {
    let _session = watched();
    let _kernel = register_kernel("double", |launch: &KernelLaunch<'_>| {
        let (from, to): (u64, u64) = (launch.argument(0)?, launch.argument(8)?);
        let values: Vec<f32> = launch.read_values(from, 16)?;
        launch.write_values(to, &values.iter().map(|value| 2.0 * value).collect::<Vec<_>>())
    });
    let two = Two::new();
    let (mut binary, mut function) = (ptr::null_mut(), ptr::null_mut());
    let bytes = b"any bytes";
    ok!(aclrtBinaryLoadFromData, bytes.as_ptr().cast(), bytes.len(), ptr::null(), &mut binary);
    ok!(aclrtBinaryGetFunction, binary, c"double".as_ptr(), &mut function);
    let launch = |from: *mut c_void, to: *mut c_void, stream| {
        let mut arguments = [from, to];
        let (arguments, none) = (arguments.as_mut_ptr().cast(), ptr::null_mut());
        ok!(aclrtLaunchKernelWithHostArgs, function, 1, stream, none, arguments, 16, ptr::null_mut(), 0);
    };
    let (low, high) = (two.memory, two.memory.wrapping_byte_add(SIZE));
    let done = extended(sys::ACL_EVENT_SYNC);
    for _ in 0..20 {
        ok!(aclrtMemsetAsync, low, 64, 0, 64, two.one);
        launch(low, high, two.one);
        ok!(aclrtRecordEvent, done, two.one);
        ok!(aclrtStreamWaitEvent, two.two, done);
        launch(high, low, two.two);
        ok!(aclrtSynchronizeStream, two.two);
    }
    clean();
    // Both read, and write elsewhere.
    launch(low, high, two.one);
    launch(low, high.wrapping_byte_add(64), two.two);
    clean();
    launch(low, high, two.one);
    ok!(aclrtMemsetAsync, low.wrapping_byte_add(60), 64, 0, 64, two.two);
    raced("aclrtLaunchKernelWithHostArgs", "aclrtMemsetAsync");
    ok!(aclrtDestroyEvent, done);
    ok!(aclrtBinaryUnLoad, binary);
    two.end();
}

#[test]
fn pools() {
    let _session = watched();
    let two = Two::new();
    let properties = sys::aclrtMemPoolProps {
        allocType: sys::ACL_MEM_ALLOCATION_TYPE_PINNED,
        handleType: sys::aclrtMemHandleType(0),
        location: sys::aclrtMemLocation { id: 0, type_: sys::ACL_MEM_LOCATION_TYPE_DEVICE },
        maxSize: 64 << 20,
        reserved: [0; 32],
    };
    let mut pool = ptr::null_mut();
    ok!(aclrtMemPoolCreate, &mut pool, &properties);
    let allocate = |stream| {
        let mut memory = ptr::null_mut();
        ok!(aclrtMemPoolMallocAsync, &mut memory, SIZE, pool, stream);
        memory
    };
    let order = extended(sys::ACL_EVENT_SYNC);
    for _ in 0..20 {
        let memory = allocate(two.one);
        set(memory, two.one);
        ok!(aclrtRecordEvent, order, two.one);
        ok!(aclrtStreamWaitEvent, two.two, order);
        set(memory, two.two);
        ok!(aclrtMemPoolFreeAsync, memory, two.two);
    }
    clean();
    // Freed by one stream while another uses it.
    let memory = allocate(two.one);
    set(memory, two.one);
    let used = pinned(64);
    two.set(two.one);
    ok!(aclrtMemcpyAsync, used, 64, two.memory, 64, sys::ACL_MEMCPY_DEVICE_TO_HOST, two.one);
    // By no means that orders anything: what is written must not come after the memory is gone.
    // SAFETY: the memory lives until it is freed below, and the stream writes ones.
    while unsafe { used.cast::<u8>().add(63).read_volatile() } != 1 {
        std::thread::yield_now();
    }
    let gate = Gate::new();
    gate.hold(two.two);
    ok!(aclrtMemPoolFreeAsync, memory, two.two);
    gate.open();
    drop(gate);
    raced("aclrtMemsetAsync", "aclrtMemPoolFreeAsync");
    ok!(aclrtFreeHost, used);
    // Used by one stream before another one has allocated it.
    let gate = Gate::new();
    gate.hold(two.one);
    let memory = allocate(two.one);
    set(memory, two.two);
    gate.open();
    drop(gate);
    raced("aclrtMemPoolMallocAsync", "aclrtMemsetAsync");
    ok!(aclrtMemPoolFreeAsync, memory, two.two);
    ok!(aclrtSynchronizeDevice);
    ok!(aclrtDestroyEvent, order);
    ok!(aclrtMemPoolDestroy, pool);
    two.end();
}

#[test]
fn one_piece_under_two_addresses() {
    let _session = watched();
    let two = Two::new();
    let properties = sys::aclrtPhysicalMemProp {
        handleType: sys::ACL_MEM_HANDLE_TYPE_NONE,
        allocationType: sys::ACL_MEM_ALLOCATION_TYPE_PINNED,
        memAttr: sys::ACL_HBM_MEM_HUGE,
        location: sys::aclrtMemLocation { id: 0, type_: sys::ACL_MEM_LOCATION_TYPE_DEVICE },
        reserve: 0,
    };
    let (mut handle, mut addresses) = (ptr::null_mut(), [ptr::null_mut(); 2]);
    ok!(aclrtMallocPhysical, &mut handle, PAGE, &properties, 0);
    for address in &mut addresses {
        ok!(aclrtReserveMemAddress, address, PAGE, 0, ptr::null_mut(), 0);
        ok!(aclrtMapMem, *address, PAGE, 0, handle, 0);
    }
    let [first, second] = addresses;
    set(first, two.one);
    set(second.wrapping_byte_add(SIZE), two.two);
    clean();
    set(first.wrapping_byte_add(8), two.one);
    set(second, two.two);
    raced("aclrtMemsetAsync", "aclrtMemsetAsync");
    for address in addresses {
        ok!(aclrtUnmapMem, address);
        ok!(aclrtReleaseMemAddress, address);
    }
    ok!(aclrtFreePhysical, handle);
    two.end();
}

#[test]
fn registered_memory() {
    let _session = watched();
    let two = Two::new();
    let layout = std::alloc::Layout::from_size_align(2 * SIZE, 4096).unwrap();
    // SAFETY: the size is not 0.
    let plain: *mut c_void = unsafe { std::alloc::alloc_zeroed(layout) }.cast();
    let mut mapped = ptr::null_mut();
    ok!(aclrtHostRegister, plain, 2 * SIZE as u64, sys::ACL_HOST_REGISTER_MAPPED, &mut mapped);
    let copy = |to, from, kind, stream| ok!(aclrtMemcpyAsync, to, SIZE, from, SIZE, kind, stream);
    copy(two.memory, plain, sys::ACL_MEMCPY_HOST_TO_DEVICE, two.one);
    copy(plain, two.memory, sys::ACL_MEMCPY_DEVICE_TO_HOST, two.one);
    clean();
    copy(plain, two.memory, sys::ACL_MEMCPY_DEVICE_TO_HOST, two.one);
    copy(two.memory.wrapping_byte_add(SIZE), plain, sys::ACL_MEMCPY_HOST_TO_DEVICE, two.two);
    raced("aclrtMemcpyAsync", "aclrtMemcpyAsync");
    ok!(aclrtHostUnregister, plain);
    // SAFETY: allocated above with the same layout, and nothing uses it any more.
    unsafe { std::alloc::dealloc(plain.cast(), layout) };
    two.end();
}

#[test]
fn replayed_work_of_many_streams() {
    let _session = watched();
    let (two, order) = (Two::new(), [(); 3].map(|()| extended(sys::ACL_EVENT_SYNC)));
    let (low, high) = (two.memory, two.memory.wrapping_byte_add(SIZE));
    let host = pinned(SIZE);
    let capture = |forget: bool| {
        let mut instance = ptr::null_mut();
        ok!(aclmdlRICaptureBegin, two.one, sys::ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
        ok!(aclrtMemcpyAsync, low, SIZE, host, SIZE, sys::ACL_MEMCPY_HOST_TO_DEVICE, two.one);
        ok!(aclrtRecordEvent, order[0], two.one);
        ok!(aclrtStreamWaitEvent, two.two, order[0]);
        ok!(aclrtMemcpyAsync, high, SIZE, low, SIZE, sys::ACL_MEMCPY_DEVICE_TO_DEVICE, two.two);
        if forget {
            set(high, two.one);
        }
        ok!(aclrtRecordEvent, order[1], two.two);
        ok!(aclrtStreamWaitEvent, two.one, order[1]);
        ok!(aclrtMemcpyAsync, host, SIZE, high, SIZE, sys::ACL_MEMCPY_DEVICE_TO_HOST, two.one);
        ok!(aclmdlRICaptureEnd, two.one, &mut instance);
        instance
    };
    let instance = capture(false);
    let third = stream();
    for round in 0..60 {
        // On different streams, which nothing orders: executions of one instance follow each other all the same.
        ok!(aclmdlRIExecuteAsync, instance, [two.one, two.two, third][round % 3]);
    }
    clean();
    // Work before and behind it on the stream that executes.
    for _ in 0..20 {
        set(low, two.one);
        ok!(aclmdlRIExecuteAsync, instance, two.one);
        set(high, two.one);
        ok!(aclrtSynchronizeStream, two.one);
        ok!(aclrtMemset, high, SIZE, 0, SIZE);
    }
    clean();
    ok!(aclmdlRIExecuteAsync, instance, two.one);
    set(high, two.two);
    ok!(aclrtSynchronizeDevice);
    assert!(!races().is_empty(), "with the copy that writes it, and perhaps with the one that reads it");
    ok!(aclmdlRIDestroy, instance);

    let instance = capture(true);
    for _ in 0..20 {
        ok!(aclmdlRIExecuteAsync, instance, two.one);
    }
    raced("aclrtMemcpyAsync", "aclrtMemsetAsync");
    ok!(aclmdlRIDestroy, instance);
    order.iter().for_each(|&event| ok!(aclrtDestroyEvent, event));
    ok!(aclrtDestroyStream, third);
    ok!(aclrtFreeHost, host);
    two.end();
}

#[test]
fn pinned_memory_freed_too_early() {
    let _session = watched();
    let two = Two::new();
    let host = pinned(SIZE);
    ok!(aclrtMemcpyAsync, two.memory, SIZE, host, SIZE, sys::ACL_MEMCPY_HOST_TO_DEVICE, two.one);
    ok!(aclrtSynchronizeStream, two.one);
    ok!(aclrtMemcpyAsync, host, SIZE, two.memory, SIZE, sys::ACL_MEMCPY_DEVICE_TO_HOST, two.one);
    // Long enough for the copy, but nobody asks whether it is over.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let freed = Carry(host);
    let free = move || {
        let freed = freed;
        ok!(aclrtSetDevice, 0);
        ok!(aclrtFreeHost, freed.0);
        ok!(aclrtResetDevice, 0);
    };
    std::thread::spawn(free).join().unwrap();
    raced("aclrtMemcpyAsync", "aclrtFreeHost");
    two.end();
}

#[test]
fn aborted_streams_are_at_rest() {
    let _session = watched();
    let two = Two::new();
    for _ in 0..10 {
        two.set(two.one);
        ok!(aclrtStreamAbort, two.one);
        ok!(aclrtMemset, two.memory, SIZE, 0, SIZE);
        two.set(two.two);
        ok!(aclrtStreamAbort, two.two);
    }
    clean();
    two.end();
}

#[test]
fn many_threads_with_streams_of_their_own() {
    let _session = watched();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                ok!(aclrtSetDevice, 0);
                for _ in 0..10 {
                    let two = Two::new();
                    let event = extended(sys::ACL_EVENT_SYNC);
                    for _ in 0..10 {
                        two.set(two.one);
                        ok!(aclrtRecordEvent, event, two.one);
                        ok!(aclrtStreamWaitEvent, two.two, event);
                        two.set(two.two);
                        ok!(aclrtSynchronizeStream, two.two);
                    }
                    ok!(aclrtDestroyEvent, event);
                    ok!(aclrtDestroyStream, two.one);
                    ok!(aclrtDestroyStream, two.two);
                    ok!(aclrtFree, two.memory);
                }
                ok!(aclrtResetDevice, 0);
            });
        }
    });
    clean();
}
