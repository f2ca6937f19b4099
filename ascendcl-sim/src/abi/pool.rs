//! `acl_rt_memory_soma.h`: pools of memory that streams allocate from.

use core::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclrtMemPool, aclrtMemPoolAttr, aclrtMemPoolProps, aclrtStream};

use super::{functions, invalid, not_null};
use crate::check::{self, Access};
use crate::core::task::Task;
use crate::core::{Named, Stream, current_context, process};
use crate::error::fail;
use crate::memory::{self, Attribute, HUGE_PAGE, POOLS, Pool};

fn wrong(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// What the pool functions answer for whatever they did not foresee.
fn internal(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_INTERNAL_ERROR, what)
}

fn find(pool: aclrtMemPool, code: aclError) -> Result<Arc<Pool>, aclError> {
    POOLS.get(pool).ok_or_else(|| fail(code, format_args!("the pool {pool:p} {}", POOLS.describe(pool))))
}

/// A stream is one of another context, too, on a thread that has none.
fn of_this_context(named: Named) -> Result<Arc<Stream>, aclError> {
    let context = current_context().map_err(|_| {
        let text = "the stream belongs to a context, and this thread has none";
        fail(sys::ACL_ERROR_RT_STREAM_CONTEXT, text)
    })?;
    named.of(&context)
}

fn attribute(which: aclrtMemPoolAttr) -> Result<Attribute, aclError> {
    Ok(match which {
        sys::ACL_RT_MEM_POOL_REUSE_FOLLOW_EVENT_DEPENDENCIES => Attribute::Reuse(0),
        sys::ACL_RT_MEM_POOL_REUSE_ALLOW_OPPORTUNISTIC => Attribute::Reuse(1),
        sys::ACL_RT_MEM_POOL_REUSE_ALLOW_INTERNAL_DEPENDENCIES => Attribute::Reuse(2),
        sys::ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD => Attribute::Threshold,
        sys::ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_CURRENT => Attribute::Reserved,
        sys::ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_HIGH => Attribute::ReservedHigh,
        sys::ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT => Attribute::Used,
        sys::ACL_RT_MEM_POOL_ATTR_USED_MEM_HIGH => Attribute::UsedHigh,
        aclrtMemPoolAttr(other) => return Err(internal(format_args!("pool attribute {other} is unknown"))),
    })
}

/// The memory is there when the stream gets there: for the race detector, and only for it, that is a task.
fn watch_allocation(stream: &Arc<Stream>, pointer: *mut c_void, size: usize) -> Result<(), aclError> {
    if !check::watches_races() || stream.intake().capturing().is_some() {
        return Ok(());
    }
    let range = memory::device_range(pointer, size)?;
    let work = Arc::new(move || {
        range.watch(Access::WRITE);
        Ok(())
    });
    stream.push(Task::Work { operation: "allocation", work })
}

functions! {
    status fn aclrtMemPoolCreate(memPool: *mut aclrtMemPool, poolProps: *const aclrtMemPoolProps) {
        not_null(memPool, "memPool")?;
        not_null(poolProps, "poolProps")?;
        // SAFETY: [caller] not NULL, and the caller passes properties.
        let properties = unsafe { poolProps.read() };
        if properties.allocType != sys::ACL_MEM_ALLOCATION_TYPE_PINNED {
            return Err(invalid(format_args!("allocation type {} is not for pools", properties.allocType.0)));
        }
        if properties.location.type_ != sys::ACL_MEM_LOCATION_TYPE_DEVICE {
            return Err(invalid(format_args!("location type {} has no pools", properties.location.type_.0)));
        }
        if properties.reserved.iter().any(|&byte| byte != 0) {
            return Err(invalid("the reserved bytes of the properties must be 0"));
        }
        let device = process::device(i32::try_from(properties.location.id).unwrap_or(-1))?;
        current_context()?;
        let (_, total) = device.memory().accounts().free_and_total(HUGE_PAGE);
        let most = match properties.maxSize {
            0 => total,
            size => size
                .checked_next_multiple_of(HUGE_PAGE)
                .filter(|&size| size <= total)
                .ok_or_else(|| wrong(format_args!("the device has {total} bytes, not {size}")))?,
        };
        let pool = Pool::create(device.id(), device.memory(), most)
            .ok_or_else(|| internal(format_args!("there are too many pools")))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { memPool.write(pool) };
        Ok(())
    }

    status fn aclrtMemPoolDestroy(memPool: aclrtMemPool) {
        not_null(memPool, "memPool")?;
        find(memPool, sys::ACL_ERROR_RT_INTERNAL_ERROR)?;
        if let Some(pool) = POOLS.remove(memPool) {
            pool.destroy();
        }
        Ok(())
    }

    status fn aclrtMemPoolSetAttr(memPool: aclrtMemPool, attr: aclrtMemPoolAttr, value: *mut c_void) {
        not_null(memPool, "memPool")?;
        let pool = find(memPool, sys::ACL_ERROR_RT_PARAM_INVALID)?;
        if value.is_null() {
            return Err(wrong(format_args!("value must not be NULL")));
        }
        let attribute = attribute(attr)?;
        // SAFETY: [caller] not NULL, and the caller passes a number of the size that the attribute has.
        let value = unsafe {
            match attribute {
                Attribute::Reuse(_) => value.cast::<u32>().read_unaligned() as usize,
                _ => value.cast::<u64>().read_unaligned() as usize,
            }
        };
        pool.set(attribute, value)
    }

    status fn aclrtMemPoolGetAttr(memPool: aclrtMemPool, attr: aclrtMemPoolAttr, value: *mut c_void) {
        not_null(memPool, "memPool")?;
        let pool = find(memPool, sys::ACL_ERROR_RT_PARAM_INVALID)?;
        if value.is_null() {
            return Err(wrong(format_args!("value must not be NULL")));
        }
        let attribute = attribute(attr)?;
        let answer = pool.get(attribute);
        // SAFETY: [caller] not NULL, and the caller passes a place for a number of the size that the attribute has.
        unsafe {
            match attribute {
                Attribute::Reuse(_) => value.cast::<u32>().write_unaligned(answer as u32),
                _ => value.cast::<u64>().write_unaligned(answer as u64),
            }
        }
        Ok(())
    }

    status fn aclrtMemPoolMallocAsync(
        ptr: *mut *mut c_void, size: usize, memPool: aclrtMemPool, stream: aclrtStream,
    ) {
        not_null(ptr, "ptr")?;
        not_null(memPool, "memPool")?;
        not_null(stream, "stream")?;
        if size == 0 {
            return Ok(());
        }
        let stream = of_this_context(Named::new(stream)?)?;
        if size > usize::MAX - (HUGE_PAGE - 1) {
            return Err(wrong(format_args!("size {size} overflows")));
        }
        let pool = find(memPool, sys::ACL_ERROR_RT_INTERNAL_ERROR)?;
        stream.device().check_reach(Some(pool.device()), "an allocation")?;
        let pointer = pool.allocate(size)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { ptr.write(pointer) };
        watch_allocation(&stream, pointer, size)
    }

    status fn aclrtMemPoolFreeAsync(ptr: *mut c_void, stream: aclrtStream) {
        not_null(ptr, "ptr")?;
        let named = Named::new(stream)?;
        if stream.is_null() {
            return Err(internal(format_args!("memory is not freed on the default stream")));
        }
        let stream = of_this_context(named)?;
        let address = ptr.expose_provenance();
        if let Some(pool) = memory::take_lent(ptr) {
            let pool = pool?;
            let work = Arc::new(move || {
                pool.free(address);
                Ok(())
            });
            return stream.push(Task::Work { operation: "free", work });
        }
        if memory::live(ptr).is_none_or(|(_, inside)| inside != 0) {
            return Err(wrong(format_args!("{ptr:p} is not the start of live device memory")));
        }
        let work = Arc::new(move || memory::free(ptr::with_exposed_provenance_mut(address)));
        stream.push(Task::Work { operation: "free", work })
    }

    status fn aclrtMemPoolTrimTo(memPool: aclrtMemPool, minBytesToKeep: usize) {
        not_null(memPool, "memPool")?;
        find(memPool, sys::ACL_ERROR_RT_INTERNAL_ERROR)?.trim(minBytesToKeep)
    }
}
