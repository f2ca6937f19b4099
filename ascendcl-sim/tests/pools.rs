//! Pools of memory that streams allocate from.

mod common;

use core::ffi::c_void;
use std::ptr;

use ascendcl_sim::LiveKind;
use common::*;

const MIB: usize = 1 << 20;
const RESERVED: sys::aclrtMemPoolAttr = sys::ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_CURRENT;
const RESERVED_HIGH: sys::aclrtMemPoolAttr = sys::ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_HIGH;
const USED: sys::aclrtMemPoolAttr = sys::ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT;
const USED_HIGH: sys::aclrtMemPoolAttr = sys::ACL_RT_MEM_POOL_ATTR_USED_MEM_HIGH;
const THRESHOLD: sys::aclrtMemPoolAttr = sys::ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD;

fn properties(most: usize) -> sys::aclrtMemPoolProps {
    sys::aclrtMemPoolProps {
        allocType: sys::ACL_MEM_ALLOCATION_TYPE_PINNED,
        handleType: sys::aclrtMemHandleType(0),
        location: sys::aclrtMemLocation { id: 0, type_: sys::ACL_MEM_LOCATION_TYPE_DEVICE },
        maxSize: most,
        reserved: [0; 32],
    }
}

fn pool(most: usize) -> sys::aclrtMemPool {
    let mut pool = ptr::null_mut();
    ok!(aclrtMemPoolCreate, &mut pool, &properties(most));
    pool
}

fn get(pool: sys::aclrtMemPool, attribute: sys::aclrtMemPoolAttr) -> usize {
    let mut value = 0u64;
    ok!(aclrtMemPoolGetAttr, pool, attribute, (&raw mut value).cast());
    value as usize
}

fn set(pool: sys::aclrtMemPool, attribute: sys::aclrtMemPoolAttr, value: usize) -> aclError {
    let mut value = value as u64;
    acl!(aclrtMemPoolSetAttr, pool, attribute, (&raw mut value).cast())
}

fn allocate(pool: sys::aclrtMemPool, size: usize, stream: aclrtStream) -> *mut c_void {
    let mut pointer = ptr::null_mut();
    ok!(aclrtMemPoolMallocAsync, &mut pointer, size, pool, stream);
    pointer
}

#[test]
fn pools_answer() {
    let _session = full();
    let stream = stream();
    let mut made = ptr::null_mut();
    assert_eq!(acl!(aclrtMemPoolCreate, ptr::null_mut(), &properties(0)), 100_000);
    let wrong = |change: &dyn Fn(&mut sys::aclrtMemPoolProps)| {
        let (mut properties, mut made) = (properties(0), ptr::null_mut());
        change(&mut properties);
        acl!(aclrtMemPoolCreate, &mut made, &properties)
    };
    assert_eq!(wrong(&|of| of.location.type_ = sys::ACL_MEM_LOCATION_TYPE_HOST), 100_000);
    assert_eq!(wrong(&|of| of.reserved[31] = 1), 100_000);
    assert_eq!(wrong(&|of| of.location.id = 9), 107_001);
    assert_eq!(wrong(&|of| of.maxSize = 1 << 50), 107_000);
    ok!(aclrtMemPoolCreate, &mut made, &properties(3 * MIB));
    assert_eq!(live().last().unwrap().kind, LiveKind::MemoryPool);

    let mut pointer = ptr::null_mut();
    ok!(aclrtMemPoolMallocAsync, &mut pointer, 0, made, stream);
    assert!(pointer.is_null());
    assert_eq!(acl!(aclrtMemPoolMallocAsync, &mut pointer, 1, made, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtMemPoolMallocAsync, &mut pointer, 1, stream, stream), 507_000);
    assert_eq!(acl!(aclrtMemPoolMallocAsync, &mut pointer, 5 * MIB, made, stream), 507_000);
    let first = allocate(made, 100, stream);
    assert_eq!(get(made, USED), 2 * MIB);
    assert_eq!(acl!(aclrtMemPoolMallocAsync, &mut pointer, 2 * MIB + 1, made, stream), 507_000);
    assert_eq!(acl!(aclrtMemPoolFreeAsync, first, ptr::null_mut()), 507_000);
    assert_eq!(acl!(aclrtMemPoolFreeAsync, first.wrapping_byte_add(1), stream), 107_000);
    ok!(aclrtMemPoolFreeAsync, first, stream);
    assert_eq!(acl!(aclrtMemPoolFreeAsync, first, stream), 107_000);

    assert_eq!(set(made, USED, 0), 107_000);
    assert_eq!(set(made, USED_HIGH, 1), 507_000);
    assert_eq!(set(made, THRESHOLD, 1 << 40), 507_000);
    assert_eq!(set(made, sys::aclrtMemPoolAttr(9), 0), 507_000);
    assert_eq!(acl!(aclrtMemPoolGetAttr, made, USED, ptr::null_mut()), 107_000);
    assert_eq!(get(made, sys::ACL_RT_MEM_POOL_REUSE_ALLOW_OPPORTUNISTIC), 1);
    assert_eq!(set(made, sys::ACL_RT_MEM_POOL_REUSE_ALLOW_OPPORTUNISTIC, 0), 0);
    assert_eq!(get(made, sys::ACL_RT_MEM_POOL_REUSE_ALLOW_OPPORTUNISTIC), 0);
    ok!(aclrtMemPoolDestroy, made);
    assert_eq!(acl!(aclrtMemPoolDestroy, made), 507_000);
    assert_eq!(set(made, THRESHOLD, 0), 107_000);
    assert_eq!(acl!(aclrtMemPoolTrimTo, made, 0), 507_000);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn memory_is_freed_in_turn_and_kept() {
    let _session = full();
    let (stream, gate, pool) = (stream(), Gate::new(), pool(8 * MIB));
    let free = || {
        let (mut free, mut total) = (0, 0);
        ok!(aclrtGetMemInfo, sys::ACL_HBM_MEM, &mut free, &mut total);
        free
    };
    let before = free();
    assert_eq!(set(pool, THRESHOLD, 4 * MIB), 0);
    let (first, second) = (allocate(pool, 4 * MIB, stream), allocate(pool, 100, stream));
    assert_eq!(before - free(), 6 * MIB);
    gate.hold(stream);
    ok!(aclrtMemsetAsync, first, 100, 7, 100, stream);
    ok!(aclrtMemPoolFreeAsync, first, stream);
    assert_eq!(get(pool, USED), 6 * MIB, "its turn has not come");
    assert_eq!(acl!(aclrtMemPoolFreeAsync, first, stream), 107_000, "it is on its way");
    assert_eq!(acl!(aclrtFree, first), 107_000);
    assert_eq!(download(first, 1), [0xcb]);
    gate.open();
    ok!(aclrtSynchronizeStream, stream);
    // Six were reserved, which is more than the threshold.
    assert_eq!((get(pool, USED), get(pool, RESERVED)), (2 * MIB, 4 * MIB));
    assert_eq!((get(pool, USED_HIGH), get(pool, RESERVED_HIGH)), (6 * MIB, 6 * MIB));
    assert_eq!(before - free(), 4 * MIB);
    assert_eq!((set(pool, USED_HIGH, 0), get(pool, USED_HIGH)), (0, 2 * MIB));

    // What is kept is used again.
    let third = allocate(pool, MIB, stream);
    assert_eq!((get(pool, USED), get(pool, RESERVED)), (4 * MIB, 4 * MIB));
    ok!(aclrtFree, third);
    assert_eq!(get(pool, USED), 2 * MIB, "freed at once");
    assert_eq!(acl!(aclrtFree, third), 107_000);
    assert_eq!(acl!(aclrtMemPoolTrimTo, pool, MIB), 507_000);
    assert_eq!(acl!(aclrtMemPoolTrimTo, pool, 9 * MIB), 507_000);
    ok!(aclrtMemPoolTrimTo, pool, 2 * MIB);
    assert_eq!(get(pool, RESERVED), 2 * MIB);

    // Memory of another kind is freed in turn too.
    let other = device_memory(100);
    ok!(aclrtMemPoolFreeAsync, other, stream);
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(acl!(aclrtFree, other), 107_000);
    // With the pool goes what it gave out.
    ok!(aclrtMemPoolDestroy, pool);
    assert_eq!(acl!(aclrtFree, second), 107_000);
    assert_eq!(free(), before);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn freed_memory_goes_round_between_streams() {
    const ROUNDS: usize = 200;
    let _session = full();
    let pool = pool(64 * MIB);
    assert_eq!(set(pool, THRESHOLD, 32 * MIB), 0);
    let context = {
        let mut context = ptr::null_mut();
        ok!(aclrtGetCurrentContext, &mut context);
        Carry(context)
    };
    let pool = Carry(pool);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let (context, pool) = (context, pool);
                ok!(aclrtSetCurrentContext, context.0);
                let stream = stream();
                for round in 0..ROUNDS {
                    let pointer = allocate(pool.0, 100, stream);
                    ok!(aclrtMemsetAsync, pointer, 100, round as i32, 100, stream);
                    ok!(aclrtMemPoolFreeAsync, pointer, stream);
                    if round % 7 == 0 {
                        ok!(aclrtSynchronizeStream, stream);
                    }
                }
                ok!(aclrtSynchronizeStream, stream);
                ok!(aclrtDestroyStream, stream);
            });
        }
    });
    assert_eq!(get(pool.0, USED), 0);
    assert!(get(pool.0, RESERVED) <= 32 * MIB && get(pool.0, USED_HIGH) <= 64 * MIB);
    ok!(aclrtMemPoolDestroy, pool.0);
}

#[test]
fn pools_go_with_their_device() {
    let _session = full();
    let stream = stream();
    let pool = pool(0);
    allocate(pool, 100, stream);
    ok!(aclrtDestroyStream, stream);
    ok!(aclrtResetDevice, 0);
    assert_eq!(live(), []);
    assert_eq!(acl!(aclrtMemPoolDestroy, pool), 507_000);
}
