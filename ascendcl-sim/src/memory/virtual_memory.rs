//! Reserved address ranges, and what is mapped there: physical memory and memory of other processes.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::accounts::{GIANT_PAGE, HUGE_PAGE};
use super::map::{Mapping, page_size};
use super::offer::Taken;
use super::physical::{self, Piece};
use super::place::Location;
use super::range::Backing;
use super::region::{self, Region};
use crate::check::leak::{LiveKind, Registration, register};
use crate::check::{Access, Mark, Misuse, Place, misuse};
use crate::error::fail;
use crate::lock::{Mutex, RwLock};

/// Addresses that a program may ask for by name.
const NAMED: std::ops::Range<usize> = 16 << 40..24 << 40;
/// Addresses of ranges reserved by `aclrtReserveMemAddressNoUCMemory`.
const NAMED_FAR: std::ops::Range<usize> = 40 << 40..224 << 40;
/// Ranges that were released and keep their addresses from being used again.
const RESTING: usize = 64;

/// Who accesses: the host, or a device by its number.
pub(crate) const HOST: i32 = -1;
/// Devices that access can be given to.
pub(crate) const DEVICES: i32 = 64;
const READ_WRITE: u64 = sys::ACL_RT_MEM_ACCESS_FLAGS_READWRITE.0 as u64;

/// Bytes where they are mapped.
struct Mapped {
    piece: Arc<Piece>,
    address: usize,
    size: usize,
    /// Devices other than its own whose work may use it, one bit each.
    shared_with: AtomicU64,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    ended: bool,
    windows: usize,
}

impl Mapped {
    fn new(piece: Arc<Piece>, address: usize, size: usize) -> Arc<Self> {
        Arc::new(Self { piece, address, size, shared_with: AtomicU64::new(0), life: Mutex::default() })
    }

    /// Nothing new begins here; what is under way goes on, for the bytes stay where they are.
    fn end(&self) {
        let windows = {
            let mut life = self.life.lock();
            life.ended = true;
            life.windows
        };
        if windows > 0 {
            misuse(
                Misuse::FreedInUse,
                format_args!("{} is unmapped while a task uses it: synchronise first", self.place().what),
            );
        }
    }

    fn place(&self) -> Place {
        let whose = match self.piece.home() {
            Some(device) => format!("device {device}"),
            None => "the host".to_owned(),
        };
        let what = match self.piece.taken().map(Taken::owner) {
            Some(owner) => format!("memory of {} bytes on {whose}, from process {owner}", self.size),
            None => format!("mapped memory of {} bytes on {whose}", self.size),
        };
        Place { what, address: self.address }
    }

    fn gone(&self, how: &str) -> aclError {
        let text = format!("{} {how} before the queued work that uses it ran", self.place().what);
        misuse(Misuse::FreedInUse, format_args!("{text}"));
        fail(sys::ACL_ERROR_RT_SYS_DMA, text)
    }
}

impl Backing for Mapped {
    fn device(&self) -> Option<i32> {
        self.piece.home()
    }

    fn address(&self) -> usize {
        self.address
    }

    fn size(&self) -> usize {
        self.size
    }

    fn is_shared_with(&self, device: i32) -> bool {
        (0..DEVICES).contains(&device) && self.shared_with.load(Ordering::SeqCst) & (1 << device) != 0
    }

    fn page(&self) -> usize {
        self.piece.step()
    }

    fn begin(&self, access: Access, start: usize, len: usize) -> Result<(), aclError> {
        {
            let mut life = self.life.lock();
            if life.ended {
                drop(life);
                return Err(self.gone("was unmapped"));
            }
            life.windows += 1;
        }
        if self.piece.taken().is_some_and(Taken::has_ended) {
            Backing::end(self);
            return Err(self.gone("was freed by that process"));
        }
        self.piece.touch(start, len);
        self.piece.shadow().note(access, start, len, || self.place());
        Ok(())
    }

    fn end(&self) {
        self.life.lock().windows -= 1;
    }

    fn is_live(&self) -> bool {
        !self.life.lock().ended
    }

    fn values(&self) -> &Mark {
        self.piece.values()
    }

    fn bytes(&self, start: usize) -> *mut u8 {
        // SAFETY: [mapped] `start` is inside what is mapped (ranges are checked when they are made), which is not longer than the piece.
        unsafe { self.piece.alias().add(start) }
    }
}

/// A range of addresses that the host cannot touch, except where memory that it may see is mapped.
struct Range {
    address: Mapping,
    /// Reserved by the program rather than made for an import.
    reserved: bool,
    /// The device that copies name when nothing is mapped.
    device: i32,
    segments: RwLock<BTreeMap<usize, Segment>>,
    released: AtomicBool,
    registration: Mutex<Option<Registration>>,
}

/// What is mapped at an offset of a range.
struct Segment {
    mapped: Arc<Mapped>,
    /// The handle of physical memory; `None` for an import.
    handle: Option<usize>,
    /// What each location may do: devices by their number, the host as [`HOST`].
    access: BTreeMap<i32, u64>,
}

impl Segment {
    fn len(&self) -> usize {
        self.mapped.size
    }

    fn piece(&self) -> &Arc<Piece> {
        &self.mapped.piece
    }
}

static RANGES: RwLock<BTreeMap<usize, Arc<Range>>> = RwLock::new(BTreeMap::new());

impl Range {
    fn base(&self) -> usize {
        self.address.base().addr()
    }

    fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    fn segment<R>(&self, offset: usize, look: impl FnOnce(usize, &Segment) -> R) -> Option<R> {
        let segments = self.segments.read();
        let (&start, segment) = segments.range(..=offset).next_back()?;
        (offset - start < segment.len()).then(|| look(start, segment))
    }
}

impl Region for Range {
    fn location(&self) -> Location {
        // One range has memory of one device, or of the host.
        match self.segments.read().values().next().map(|segment| segment.piece().home()) {
            None => Location::Device(self.device),
            Some(Some(device)) => Location::Device(device),
            Some(None) => Location::Pinned,
        }
    }

    fn find(&self, address: usize) -> Option<(Arc<dyn Backing>, usize)> {
        let offset = address.checked_sub(self.base())?;
        self.segment(offset, |start, segment| {
            let mapped: Arc<dyn Backing> = Arc::<Mapped>::clone(&segment.mapped);
            (mapped, offset - start)
        })
    }

    fn free(&self, _: usize) -> bool {
        false
    }
}

fn parameter(why: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, why)
}

/// What the driver refuses without a code of its own.
fn driver(why: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR, why)
}

/// The live range that `pointer` lies in, and how far into it.
fn range_of(pointer: *const c_void) -> Option<(Arc<Range>, usize)> {
    let ranges = RANGES.read();
    let (&base, range) = ranges.range(..=pointer.addr()).next_back()?;
    let offset = pointer.addr() - base;
    (offset < range.address.len() && !range.is_released()).then(|| (Arc::clone(range), offset))
}

fn reserved_range_of(pointer: *const c_void) -> Result<(Arc<Range>, usize), aclError> {
    range_of(pointer)
        .ok_or_else(|| parameter(format_args!("{pointer:p} is in no reserved range of addresses")))
}

/// What `aclrtReserveMemAddress` asks for.
pub(crate) struct Request {
    pub(crate) size: usize,
    pub(crate) alignment: usize,
    pub(crate) expected: *const c_void,
    /// Only addresses by name, in steps of 1 GiB.
    pub(crate) far: bool,
}

/// `aclrtReserveMemAddress` and `aclrtReserveMemAddressNoUCMemory` after their checks.
pub(crate) fn reserve(request: &Request, device: i32) -> Result<*mut c_void, aclError> {
    let &Request { size, alignment, expected, far } = request;
    if alignment != 0 {
        return Err(parameter(format_args!("alignment {alignment} is not 0")));
    }
    let wanted = expected.addr();
    let align = if size >= GIANT_PAGE { GIANT_PAGE } else { HUGE_PAGE };
    let len = size.checked_next_multiple_of(HUGE_PAGE).ok_or_else(|| parameter("the size overflows"))?;
    if far && (expected.is_null() || !size.is_multiple_of(GIANT_PAGE)) {
        return Err(parameter(format_args!(
            "a range of this kind needs an address, and a size in multiples of 1 GiB, not {size}"
        )));
    }
    let allowed = if far { NAMED_FAR } else { NAMED };
    let fits = wanted.checked_add(len).is_some_and(|end| end <= allowed.end) && wanted >= allowed.start;
    if wanted != 0 && !(wanted.is_multiple_of(align) && fits) {
        return Err(parameter(format_args!(
            "{len} bytes at {expected:p} cannot be reserved: the address must be a multiple of {align:#x} in {:#x} to {:#x}",
            allowed.start, allowed.end
        )));
    }
    if wanted != 0 {
        // What was released rests only as long as nobody wants it back.
        drop(take_resting(|range| {
            range.base() < wanted + len && range.base() + range.address.len() > wanted
        }));
    }
    let address = match wanted {
        0 => Mapping::reserve_aligned(len, align),
        _ => Mapping::reserve_at(wanted, len),
    };
    let address = address.map_err(|error| {
        fail(
            sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
            format_args!("cannot reserve {size} bytes of address space: {error}"),
        )
    })?;
    let base = address.base();
    let registration = register(LiveKind::AddressRange, format!("{size} bytes at {base:p}"));
    insert(Range {
        address,
        reserved: true,
        device,
        segments: RwLock::default(),
        released: AtomicBool::new(false),
        registration: Mutex::new(Some(registration)),
    });
    Ok(base.cast())
}

fn insert(range: Range) {
    let range = Arc::new(range);
    let (base, len) = (range.base(), range.address.len());
    let region: Arc<dyn Region> = Arc::<Range>::clone(&range);
    let region: Weak<dyn Region> = Arc::downgrade(&region);
    RANGES.write().insert(base, range);
    region::register(base, len, region);
}

/// Takes those of the resting ranges that `wanted` picks, so that their addresses can be used again.
fn take_resting(wanted: impl Fn(&Range) -> bool) -> Vec<Arc<Range>> {
    let mut ranges = RANGES.write();
    let bases: Vec<usize> = ranges
        .iter()
        .filter(|(_, range)| range.is_released() && wanted(range))
        .map(|(&base, _)| base)
        .collect();
    // While the addresses are still taken.
    bases.iter().for_each(|&base| region::forget(base));
    bases.iter().filter_map(|base| ranges.remove(base)).collect()
}

/// Lets a range rest: its addresses mean nothing any more, and nobody else gets them soon.
fn rest(range: &Range) {
    range.address.seal(0, range.address.len());
    range.released.store(true, Ordering::SeqCst);
    let ended = range.registration.lock().take();
    drop(ended);
    let resting = RANGES.read().values().filter(|range| range.is_released()).count();
    if resting > RESTING {
        drop(take_resting(|_| true));
    }
}

/// `aclrtReleaseMemAddress` after its NULL check.
pub(crate) fn release(pointer: *const c_void) -> Result<(), aclError> {
    let (range, offset) = reserved_range_of(pointer)?;
    if !range.reserved {
        return Err(parameter(format_args!(
            "{pointer:p} is memory of another process: close its key instead"
        )));
    }
    if range.segment(offset, |_, _| ()).is_some() {
        return Err(parameter(format_args!(
            "{pointer:p} is still mapped: unmap it before the range is released"
        )));
    }
    if offset != 0 {
        return Err(driver(format_args!("{pointer:p} is not the start of a reserved range of addresses")));
    }
    // Held to the end: nothing is mapped meanwhile.
    let segments = range.segments.write();
    if !segments.is_empty() {
        let left = segments.len();
        return Err(driver(format_args!("{left} pieces are still mapped in the range at {pointer:p}")));
    }
    rest(&range);
    Ok(())
}

/// `aclrtMapMem` after its checks.
pub(crate) fn map(
    pointer: *const c_void,
    size: usize,
    offset: usize,
    handle: *const c_void,
) -> Result<(), aclError> {
    let physical = physical::lookup(handle)?;
    if offset != 0 {
        return Err(parameter(format_args!("offset {offset} is not 0")));
    }
    let piece = Arc::clone(physical.piece());
    let step = piece.step();
    if !pointer.addr().is_multiple_of(step) || !size.is_multiple_of(step) {
        return Err(driver(format_args!("{size} bytes at {pointer:p} are not multiples of {step:#x}")));
    }
    let (range, start) = reserved_range_of(pointer)?;
    if !range.reserved {
        return Err(driver(format_args!(
            "{pointer:p} is memory of another process, and nothing can be mapped there"
        )));
    }
    if size > piece.size() {
        return Err(parameter(format_args!(
            "{size} bytes are more than the {} of the physical memory",
            piece.size()
        )));
    }
    let mut segments = range.segments.write();
    if range.is_released() {
        return Err(parameter(format_args!("{pointer:p} was just released")));
    }
    if size > range.address.len() - start {
        return Err(driver(format_args!(
            "{size} bytes at {pointer:p} reach past the end of the reserved range"
        )));
    }
    if segments.range(..start + size).next_back().is_some_and(|(at, segment)| at + segment.len() > start) {
        return Err(driver(format_args!(
            "something is mapped at {pointer:p}, or in the {size} bytes from there"
        )));
    }
    let mixed = segments.values().any(|segment| {
        let other = segment.piece();
        other.home() != piece.home() || other.is_foreign() != piece.is_foreign()
    });
    if mixed {
        return Err(parameter(
            "the memory of two devices, or memory of this process and of another, cannot be in one reserved range",
        ));
    }
    if piece.visible() {
        show(&range, start, &piece, size)?;
    }
    physical::map(handle)?;
    let access = BTreeMap::from([(piece.home().unwrap_or(HOST), READ_WRITE)]);
    let mapped = Mapped::new(piece, pointer.addr(), size);
    segments.insert(start, Segment { mapped, handle: Some(handle.addr()), access });
    Ok(())
}

/// Lets the host read and write what is mapped.
fn show(range: &Range, start: usize, piece: &Piece, size: usize) -> Result<(), aclError> {
    piece.expose();
    range
        .address
        .show(start, piece.memory(), size)
        .map_err(|error| driver(format_args!("cannot map {size} bytes: {error}")))
}

/// `aclrtUnmapMem` after its NULL check.
pub(crate) fn unmap(pointer: *const c_void) -> Result<(), aclError> {
    if !pointer.addr().is_multiple_of(HUGE_PAGE) {
        return Err(parameter(format_args!("{pointer:p} is not a multiple of {HUGE_PAGE:#x}")));
    }
    let (range, offset) = reserved_range_of(pointer)?;
    if !range.reserved {
        return Err(driver(format_args!("{pointer:p} is memory of another process: close its key instead")));
    }
    let segment = range.segments.write().remove(&offset);
    let Some(segment) = segment else {
        return Err(match range.segment(offset, |_, _| ()) {
            Some(()) => parameter(format_args!("{pointer:p} is inside of what is mapped, not its start")),
            None => driver(format_args!("nothing is mapped at {pointer:p}")),
        });
    };
    end(&range, offset, &segment);
    Ok(())
}

fn end(range: &Range, offset: usize, segment: &Segment) {
    range.address.seal(offset, segment.len());
    segment.mapped.end();
    if let Some(handle) = segment.handle {
        physical::unmap(ptr::without_provenance(handle));
    }
}

/// Acts on the physical memory that is mapped around `pointer`: gets its start and itself.
fn with_mapped<R>(
    pointer: *const c_void,
    act: impl FnOnce(&Range, usize, &mut Segment) -> Result<R, aclError>,
) -> Result<R, aclError> {
    let (range, offset) = reserved_range_of(pointer)?;
    let mut segments = range.segments.write();
    let found = segments
        .range_mut(..=offset)
        .next_back()
        .filter(|(start, segment)| offset - **start < segment.len() && segment.handle.is_some());
    match found {
        Some((&start, segment)) => act(&range, start, segment),
        None => Err(driver(format_args!("no physical memory is mapped at {pointer:p}"))),
    }
}

/// `aclrtMemSetAccess` after its checks: each of `who` may read and write.
pub(crate) fn set_access(pointer: *const c_void, size: usize, who: &[i32]) -> Result<(), aclError> {
    with_mapped(pointer, |range, start, segment| {
        let base = segment.mapped.address;
        if pointer.addr() != base || size != segment.len() {
            return Err(driver(format_args!(
                "{size} bytes at {pointer:p} are not what was mapped: {} bytes at {base:#x}",
                segment.len()
            )));
        }
        if segment.piece().home().is_none() && who.iter().any(|&who| who != HOST) {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "devices on a PCIe card cannot be given access to memory of the host",
            ));
        }
        for &who in who {
            if who != HOST {
                segment.mapped.shared_with.fetch_or(1 << who, Ordering::SeqCst);
            } else if !segment.piece().visible() && !segment.access.contains_key(&HOST) {
                show(range, start, segment.piece(), size)?;
            }
            segment.access.insert(who, READ_WRITE);
        }
        Ok(())
    })
}

/// `aclrtMemGetAccess` after its checks.
pub(crate) fn access(pointer: *const c_void, who: i32) -> Result<u64, aclError> {
    with_mapped(pointer, |_, _, segment| Ok(segment.access.get(&who).copied().unwrap_or(0)))
}

/// `aclrtMemRetainAllocationHandle` after its checks.
pub(crate) fn retain_handle(pointer: *const c_void) -> Result<*mut c_void, aclError> {
    with_mapped(pointer, |_, _, segment| {
        let handle = ptr::without_provenance_mut(segment.handle.unwrap_or(0));
        physical::retain(handle)?;
        Ok(handle)
    })
}

/// `aclrtMemMapSelectedLink` after its checks: all links lead to the same memory.
pub(crate) fn map_again(to: *const c_void, size: usize, from: *const c_void) -> Result<(), aclError> {
    let mut done = 0;
    while done < size {
        let (to, from) = (to.wrapping_byte_add(done), from.wrapping_byte_add(done));
        let unknown = |_| parameter(format_args!("nothing is mapped at {from:p}"));
        let found = with_mapped(from, |_, _, segment| {
            Ok((segment.mapped.address, segment.len(), segment.handle.unwrap_or(0)))
        });
        let (base, len, handle) = found.map_err(unknown)?;
        if base != from.addr() {
            return Err(parameter(format_args!(
                "{from:p} is inside of what is mapped at {base:#x}, not its start"
            )));
        }
        map(to, len, 0, ptr::without_provenance(handle))?;
        done += len;
    }
    Ok(())
}

/// An address for memory of another process.
pub(super) fn import(piece: Arc<Piece>, device: i32) -> Result<*mut c_void, aclError> {
    let (first, size) = (piece.first(), piece.size());
    let len = (first + size).next_multiple_of(page_size());
    let align = if size >= HUGE_PAGE { HUGE_PAGE } else { page_size() };
    let address = Mapping::reserve_aligned(len, align).map_err(|error| {
        fail(
            sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
            format_args!("cannot find {size} bytes of address space: {error}"),
        )
    })?;
    let pointer = address.base().wrapping_add(first);
    let mapped = Mapped::new(piece, pointer.addr(), size);
    let detail = mapped.place().what;
    let segment = Segment { mapped, handle: None, access: BTreeMap::new() };
    insert(Range {
        address,
        reserved: false,
        device,
        segments: RwLock::new(BTreeMap::from([(first, segment)])),
        released: AtomicBool::new(false),
        registration: Mutex::new(Some(register(LiveKind::ImportedMemory, detail))),
    });
    Ok(pointer.cast())
}

/// Ends what [`import`] began.
pub(super) fn end_import(pointer: *const c_void) {
    let Some((range, offset)) = range_of(pointer).filter(|(range, _)| !range.reserved) else { return };
    let segment = range.segments.write().remove(&offset);
    if let Some(segment) = segment {
        segment.mapped.end();
    }
    rest(&range);
}

/// The device is being reset: nothing of it is mapped any more. Gives how many mappings there were.
pub(super) fn release_device(device: i32) -> usize {
    let ranges: Vec<_> = RANGES.read().values().cloned().collect();
    let mut count = 0;
    for range in ranges {
        let ended: Vec<(usize, Segment)> = {
            let mut segments = range.segments.write();
            let all = std::mem::take(&mut *segments);
            let (ended, kept) =
                all.into_iter().partition(|(_, segment)| segment.piece().home() == Some(device));
            *segments = kept;
            Vec::from_iter::<BTreeMap<_, _>>(ended)
        };
        count += ended.len();
        for (start, segment) in &ended {
            end(&range, *start, segment);
        }
        if !range.reserved && !ended.is_empty() {
            rest(&range);
        }
    }
    count
}
