//! Managed memory: allocation, advice and prefetches.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, aclError, aclrtMemManagedAdviseType, aclrtMemManagedLocation, aclrtMemManagedRangeAttribute,
    aclrtStream,
};

use super::{functions, invalid, not_null};
use crate::core::task::Task;
use crate::core::{Named, current_context, process};
use crate::error::fail;
use crate::memory::{self, HUGE_PAGE, Home, Managed, Pages, Part, Question};

fn wrong(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// 100000 if a size is 0.
fn not_zero(size: usize, name: &str) -> Result<(), aclError> {
    if size == 0 { Err(invalid(format_args!("{name} must not be 0"))) } else { Ok(()) }
}

/// Where a device is meant, there must be one.
fn check_location(location: aclrtMemManagedLocation) -> Result<(), aclError> {
    let devices = process::device_count()?;
    let exists = usize::try_from(location.id).is_ok_and(|id| id < devices);
    if location.type_ == sys::ACL_MEM_LOCATIONTYPE_DEVICE && !exists {
        return Err(wrong(format_args!("device {} does not exist", location.id)));
    }
    Ok(())
}

fn find(pointer: *const c_void, size: usize) -> Result<(Arc<Managed>, Pages), aclError> {
    memory::managed_range(pointer, size)
        .ok_or_else(|| wrong(format_args!("{size} bytes at {pointer:p} are not managed memory")))
}

/// As [`find`], for what works on whole pages.
fn find_pages(pointer: *const c_void, size: usize) -> Result<(Arc<Managed>, Pages), aclError> {
    if !size.is_multiple_of(HUGE_PAGE) {
        return Err(wrong(format_args!("size {size} is not a multiple of 2 MiB")));
    }
    find(pointer, size)
}

fn question(attribute: aclrtMemManagedRangeAttribute) -> Result<Question, aclError> {
    Ok(match attribute {
        sys::ACL_MEM_RANGE_ATTRIBUTE_READ_MOSTLY => Question::ReadMostly,
        sys::ACL_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION => Question::Preferred(Part::Number),
        sys::ACL_MEM_RANGE_ATTRIBUTE_ACCESSED_BY => Question::AccessedBy,
        sys::ACL_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE => Question::Preferred(Part::Kind),
        sys::ACL_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID => Question::Preferred(Part::Id),
        sys::ACL_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION => Question::Prefetched(Part::Number),
        sys::ACL_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE => Question::Prefetched(Part::Kind),
        sys::ACL_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID => Question::Prefetched(Part::Id),
        aclrtMemManagedRangeAttribute(other) => {
            return Err(wrong(format_args!("managed memory has no attribute {other}")));
        }
    })
}

/// Answers a question about a range.
///
/// # Safety
/// `data` is `size` bytes long.
unsafe fn answer(
    managed: &Managed,
    pages: Pages,
    question: Question,
    data: *mut c_void,
    size: usize,
) -> Result<(), aclError> {
    let room = size / 4;
    let fits = size.is_multiple_of(4) && if question == Question::AccessedBy { room > 0 } else { room == 1 };
    if !fits {
        return Err(wrong(format_args!("dataSize {size} is not right for the attribute")));
    }
    // What is missing is nowhere.
    let answers = managed.ask(pages, question).into_iter().chain(std::iter::repeat(-2)).take(room);
    for (index, answer) in answers.enumerate() {
        // SAFETY: [caller] the caller passes `room` numbers, of which this is one.
        unsafe { data.cast::<i32>().add(index).write_unaligned(answer) };
    }
    Ok(())
}

/// Prefetches ranges that were checked; what was asked for last is known at once.
fn prefetch(
    stream: &Arc<crate::core::Stream>,
    ranges: Vec<(*const c_void, usize, Home)>,
) -> Result<(), aclError> {
    let mut addresses = Vec::with_capacity(ranges.len());
    for (pointer, size, home) in ranges {
        let (managed, pages) = find_pages(pointer, size)?;
        managed.advise(pages, |advice| advice.prefetched = home);
        addresses.push((pointer.addr(), size));
    }
    let work = move || addresses.iter().try_for_each(|&(address, size)| memory::touch_managed(address, size));
    stream.push(Task::Work { operation: "prefetch", work: Arc::new(work) })
}

functions! {
    status fn aclrtMemAllocManaged(ptr: *mut *mut c_void, size: u64, flag: u32) {
        not_null(ptr, "ptr")?;
        if flag != sys::ACL_RT_MEM_ATTACH_GLOBAL {
            return Err(invalid(format_args!("flag {flag} is not ACL_RT_MEM_ATTACH_GLOBAL")));
        }
        let size = usize::try_from(size).ok().filter(|&size| size > 0);
        let size = size.ok_or_else(|| wrong(format_args!("size must not be 0")))?;
        let context = current_context()?;
        let pointer = memory::allocate_managed(context.device().id(), size)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { ptr.write(pointer) };
        Ok(())
    }

    status fn aclrtMemManagedAdvise(
        ptr: *const c_void, size: u64, advise: aclrtMemManagedAdviseType, location: aclrtMemManagedLocation,
    ) {
        not_null(ptr, "ptr")?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        not_zero(size, "size")?;
        if advise.0 > sys::ACL_MEM_ADVISE_UNSET_ACCESSED_BY.0 {
            return Err(wrong(format_args!("advice {} is unknown", advise.0)));
        }
        check_location(location)?;
        current_context()?;
        let (managed, pages) = find_pages(ptr, size)?;
        let home = Home::new(location.type_, location.id);
        managed.advise(pages, |advice| match advise {
            sys::ACL_MEM_ADVISE_SET_READ_MOSTLY => advice.read_mostly = true,
            sys::ACL_MEM_ADVISE_UNSET_READ_MOSTLY => advice.read_mostly = false,
            sys::ACL_MEM_ADVISE_SET_PREFERRED_LOCATION => advice.preferred = home,
            sys::ACL_MEM_ADVISE_UNSET_PREFERRED_LOCATION => advice.preferred = Home::default(),
            sys::ACL_MEM_ADVISE_SET_ACCESSED_BY if advice.accessed_by.contains(&home) => {}
            sys::ACL_MEM_ADVISE_SET_ACCESSED_BY => advice.accessed_by.push(home),
            _ => advice.accessed_by.retain(|other| *other != home),
        });
        Ok(())
    }

    status fn aclrtMemManagedGetAttr(
        attribute: aclrtMemManagedRangeAttribute,
        ptr: *const c_void,
        size: usize,
        data: *mut c_void,
        dataSize: usize,
    ) {
        not_null(ptr, "ptr")?;
        not_null(data, "data")?;
        not_zero(size, "size")?;
        let question = question(attribute)?;
        let (managed, pages) = find(ptr, size)?;
        // SAFETY: [caller] not NULL, and the caller passes that many bytes.
        unsafe { answer(&managed, pages, question, data, dataSize) }
    }

    status fn aclrtMemManagedGetAttrs(
        attributes: *mut aclrtMemManagedRangeAttribute,
        numAttributes: usize,
        ptr: *const c_void,
        size: usize,
        data: *mut *mut c_void,
        dataSizes: *mut usize,
    ) {
        not_null(attributes, "attributes")?;
        not_null(ptr, "ptr")?;
        not_null(data, "data")?;
        not_null(dataSizes, "dataSizes")?;
        not_zero(size, "size")?;
        // SAFETY: [caller] not NULL, and the caller passes that many.
        let attributes = unsafe { std::slice::from_raw_parts(attributes, numAttributes) };
        let questions = attributes.iter().map(|&which| question(which)).collect::<Result<Vec<_>, _>>()?;
        let (managed, pages) = find(ptr, size)?;
        for (index, question) in questions.into_iter().enumerate() {
            // SAFETY: [caller] as above.
            let (data, size) = unsafe { (data.add(index).read(), dataSizes.add(index).read()) };
            if data.is_null() {
                return Err(wrong(format_args!("data[{index}] must not be NULL")));
            }
            // SAFETY: [caller] not NULL, and the caller passes that many bytes.
            unsafe { answer(&managed, pages.clone(), question, data, size) }?;
        }
        Ok(())
    }

    status fn aclrtMemManagedPrefetchAsync(
        ptr: *const c_void,
        size: usize,
        location: aclrtMemManagedLocation,
        flags: u32,
        stream: aclrtStream,
    ) {
        not_null(ptr, "ptr")?;
        not_zero(size, "size")?;
        if flags != 0 {
            return Err(invalid(format_args!("flags must be 0, not {flags}")));
        }
        let stream = Named::new(stream)?;
        check_location(location)?;
        if location.type_ == sys::ACL_MEM_LOCATIONTYPE_INVALID {
            return Err(wrong(format_args!("the location is invalid")));
        }
        let context = current_context()?;
        let stream = stream.of(&context)?;
        prefetch(&stream, vec![(ptr, size, Home::new(location.type_, location.id))])
    }

    status fn aclrtMemManagedPrefetchBatchAsync(
        ptrs: *mut *const c_void,
        sizes: *mut usize,
        count: usize,
        prefetchLocs: *mut aclrtMemManagedLocation,
        prefetchLocIdxs: *mut usize,
        numPrefetchLocs: usize,
        flags: u64,
        stream: aclrtStream,
    ) {
        not_null(ptrs, "ptrs")?;
        not_null(sizes, "sizes")?;
        not_null(prefetchLocs, "prefetchLocs")?;
        not_null(prefetchLocIdxs, "prefetchLocIdxs")?;
        not_zero(count, "count")?;
        not_zero(numPrefetchLocs, "numPrefetchLocs")?;
        if flags != 0 {
            return Err(invalid(format_args!("flags must be 0, not {flags}")));
        }
        if numPrefetchLocs > count {
            return Err(invalid(format_args!("{numPrefetchLocs} locations are too many for {count} ranges")));
        }
        let stream = Named::new(stream)?;
        // SAFETY: [caller] not NULL, and the caller passes that many.
        let (pointers, sizes, locations, first) = unsafe {
            (
                std::slice::from_raw_parts(ptrs, count),
                std::slice::from_raw_parts(sizes, count),
                std::slice::from_raw_parts(prefetchLocs, numPrefetchLocs),
                std::slice::from_raw_parts(prefetchLocIdxs, numPrefetchLocs),
            )
        };
        if first[0] != 0 {
            return Err(wrong(format_args!("the first location is for ranges from 0, not {}", first[0])));
        }
        if pointers.iter().any(|pointer| pointer.is_null()) {
            return Err(wrong(format_args!("ranges must not start at NULL")));
        }
        if first.iter().any(|&index| index >= count) || first.windows(2).any(|pair| pair[1] <= pair[0]) {
            return Err(wrong(format_args!("prefetchLocIdxs must ascend and stay below {count}")));
        }
        for &location in locations {
            check_location(location)?;
        }
        let context = current_context()?;
        let stream = stream.of(&context)?;
        let ranges = (0..count).map(|index| {
            let location = locations[first.partition_point(|&first| first <= index) - 1];
            (pointers[index], sizes[index], Home::new(location.type_, location.id))
        });
        prefetch(&stream, ranges.collect())
    }
}
