//! Managed memory: one address for the host and all devices.
//!
//! The simulator has one copy of it, so pages never move; where the program wants them is kept and answered.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError, aclrtMemManagedLocationType};

use super::accounts::HUGE_PAGE;
use super::map::{Mapping, page_size};
use super::place::Location;
use super::poison::FRESH;
use super::range::{Backing, live};
use super::region::{self, Region};
use crate::check::leak::{LiveKind, Registration, register};
use crate::check::{Access, Place, Shadow};
use crate::error::fail;
use crate::lock::Mutex;

/// Where managed memory lies, unless that belongs to something else: the shadow of a sanitizer for example. Then it lies
/// wherever there is room.
const START: usize = 0x900_0000_0000;
const LEN: usize = 3 << 40;
/// More is not poisoned: it would take long, and all of it would exist at once.
const POISONED: usize = 64 << 20;

/// Where pages are wanted. No type means nowhere in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Home {
    pub(crate) kind: u32,
    pub(crate) id: i32,
}

impl Home {
    /// Ids that mean nothing do not make a difference.
    pub(crate) fn new(kind: aclrtMemManagedLocationType, id: i32) -> Self {
        let numbered = matches!(kind, sys::ACL_MEM_LOCATIONTYPE_DEVICE | sys::ACL_MEM_LOCATIONTYPE_HOST_NUMA);
        Self { kind: kind.0, id: if numbered { id } else { 0 } }
    }

    /// What an attribute calls it: an id, -1 for the host, -2 for nowhere.
    fn number(self) -> i32 {
        match aclrtMemManagedLocationType(self.kind) {
            sys::ACL_MEM_LOCATIONTYPE_DEVICE | sys::ACL_MEM_LOCATIONTYPE_HOST_NUMA => self.id,
            sys::ACL_MEM_LOCATIONTYPE_HOST | sys::ACL_MEM_LOCATIONTYPE_HOST_NUMA_CURRENT => -1,
            _ => -2,
        }
    }
}

/// What the program said about one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) read_mostly: bool,
    pub(crate) preferred: Home,
    pub(crate) accessed_by: Vec<Home>,
    pub(crate) prefetched: Home,
}

/// One live piece.
pub(crate) struct Managed {
    this: Weak<Managed>,
    device: i32,
    address: usize,
    size: usize,
    life: Mutex<Life>,
    shadow: Shadow,
    /// By page, and without those of which nothing was said.
    advice: Mutex<BTreeMap<usize, Advice>>,
}

struct Life {
    freed: bool,
    windows: usize,
    mapping: Option<Mapping>,
}

struct Entry {
    managed: Arc<Managed>,
    _registration: Registration,
}

struct All {
    live: BTreeMap<usize, Entry>,
    /// Where the next one is tried.
    next: usize,
}

static ALL: Mutex<All> = Mutex::new(All { live: BTreeMap::new(), next: START });

impl All {
    /// Address space of `len` bytes: behind the last piece, else where it was first free, else anywhere.
    fn map(&mut self, len: usize) -> std::io::Result<Mapping> {
        if self.live.values().map(|entry| entry.managed.mapped()).sum::<usize>() > LEN - len {
            return Err(std::io::Error::other("its address range is used up"));
        }
        let mut start = self.next;
        for _ in 0..2 {
            let taken =
                self.live.range(start..START + LEN).map(|(&first, entry)| (first, entry.managed.mapped()));
            for (first, bytes) in taken.chain([(START + LEN, 0)]) {
                if first - start >= len
                    && let Ok(mapping) = Mapping::at(start, len)
                {
                    self.next = start + len;
                    return Ok(mapping);
                }
                start = first + bytes;
            }
            start = START;
        }
        Mapping::anonymous_aligned(len, HUGE_PAGE)
    }
}

/// `aclrtMemAllocManaged` after its checks.
pub(crate) fn allocate_managed(device: i32, size: usize) -> Result<*mut c_void, aclError> {
    let failed = |why: &dyn std::fmt::Display| {
        fail(
            sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
            format_args!("cannot allocate {size} bytes of managed memory: {why}"),
        )
    };
    let len = size
        .checked_next_multiple_of(HUGE_PAGE)
        .filter(|&len| len <= LEN)
        .ok_or_else(|| failed(&"there are 3 TB"))?;
    let mut all = ALL.lock();
    let mapping = all.map(len).map_err(|error| failed(&error))?;
    let base = mapping.base();
    if len <= POISONED {
        // SAFETY: [mapped] all of it is mapped, writable and ours.
        unsafe { libc::memset(base.cast(), FRESH.into(), len) };
    }
    // Past the last page that it asked for the program faults.
    let used = size.next_multiple_of(page_size());
    mapping.seal(used, len - used);
    let address = base.expose_provenance();
    let managed = Arc::new_cyclic(|this| Managed {
        this: Weak::clone(this),
        device,
        address,
        size,
        life: Mutex::new(Life { freed: false, windows: 0, mapping: Some(mapping) }),
        shadow: Shadow::default(),
        advice: Mutex::new(BTreeMap::new()),
    });
    let region: Arc<dyn Region> = Arc::<Managed>::clone(&managed);
    region::register(address, len, Arc::downgrade(&region));
    let registration =
        register(LiveKind::DeviceMemory, format!("{size} bytes of managed memory at {base:p}"));
    all.live.insert(address, Entry { managed, _registration: registration });
    Ok(base.cast())
}

/// Frees the managed memory of a device that is being reset; how many pieces there were.
pub(crate) fn release_managed(device: i32) -> usize {
    let mut all = ALL.lock();
    let (ended, kept): (BTreeMap<_, _>, _) =
        std::mem::take(&mut all.live).into_iter().partition(|(_, entry)| entry.managed.device == device);
    all.live = kept;
    drop(all);
    ended.values().for_each(|entry| entry.managed.end_of_life());
    ended.len()
}

/// The managed memory that all of `[pointer, pointer + len)` lies in, and the pages that it touches there.
pub(crate) fn managed_range(pointer: *const c_void, len: usize) -> Option<(Arc<Managed>, Pages)> {
    let all = ALL.lock();
    let (start, entry) = all.live.range(..=pointer.addr()).next_back()?;
    let inside = pointer.addr() - start;
    let end = inside.checked_add(len).filter(|&end| end <= entry.managed.mapped())?;
    let pages = inside / HUGE_PAGE..end.div_ceil(HUGE_PAGE);
    Some((Arc::clone(&entry.managed), pages))
}

pub(crate) type Pages = std::ops::Range<usize>;

/// What can be asked about a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    ReadMostly,
    Preferred(Part),
    AccessedBy,
    Prefetched(Part),
}

/// What of a home is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Number,
    Kind,
    Id,
}

/// The home of all pages: nowhere if they do not agree.
fn common(mut homes: impl Iterator<Item = Home>, part: Part) -> i32 {
    let first = homes.next().unwrap_or_default();
    let home = if homes.all(|home| home == first) { first } else { Home::default() };
    match part {
        Part::Kind => home.kind as i32,
        Part::Number | Part::Id => home.number(),
    }
}

impl Managed {
    /// Bytes of whole pages.
    fn mapped(&self) -> usize {
        self.size.next_multiple_of(HUGE_PAGE)
    }

    pub(crate) fn advise(&self, pages: Pages, change: impl Fn(&mut Advice)) {
        let mut advice = self.advice.lock();
        for page in pages {
            change(advice.entry(page).or_default());
        }
        advice.retain(|_, advice| *advice != Advice::default());
    }

    /// The answer, of which there are several only for [`Question::AccessedBy`].
    pub(crate) fn ask(&self, pages: Pages, question: Question) -> Vec<i32> {
        let advice = self.advice.lock();
        let nothing = Advice::default();
        let mut all = pages.map(|page| advice.get(&page).unwrap_or(&nothing));
        match question {
            Question::ReadMostly => vec![all.all(|advice| advice.read_mostly).into()],
            Question::Preferred(part) => vec![common(all.map(|advice| advice.preferred), part)],
            Question::Prefetched(part) => vec![common(all.map(|advice| advice.prefetched), part)],
            Question::AccessedBy => {
                let mut homes = all.next().map(|advice| advice.accessed_by.clone()).unwrap_or_default();
                for advice in all {
                    homes.retain(|home| advice.accessed_by.contains(home));
                }
                homes.into_iter().map(Home::number).collect()
            }
        }
    }

    fn end_of_life(&self) {
        self.shadow.note(Access::WRITE, 0, self.size, || self.place());
        region::forget(self.address);
        let mut life = self.life.lock();
        life.freed = true;
        if life.windows == 0 {
            life.mapping = None;
        }
    }

    fn place(&self) -> Place {
        Place { what: format!("managed memory of {} bytes", self.size), address: self.address }
    }
}

impl Region for Managed {
    fn location(&self) -> Location {
        Location::Managed(self.device)
    }

    fn find(&self, address: usize) -> Option<(Arc<dyn Backing>, usize)> {
        let inside = address.checked_sub(self.address).filter(|&inside| inside < self.size)?;
        let this: Arc<dyn Backing> = self.this.upgrade()?;
        Some((this, inside))
    }

    fn free(&self, address: usize) -> bool {
        let entry = ALL.lock().live.remove(&address);
        match entry {
            Some(entry) => {
                entry.managed.end_of_life();
                true
            }
            None => false,
        }
    }
}

impl Backing for Managed {
    fn device(&self) -> Option<i32> {
        None
    }

    fn address(&self) -> usize {
        self.address
    }

    fn size(&self) -> usize {
        self.size
    }

    fn page(&self) -> usize {
        HUGE_PAGE
    }

    fn begin(&self, access: Access, start: usize, len: usize) -> Result<(), aclError> {
        {
            let mut life = self.life.lock();
            if life.freed {
                drop(life);
                return Err(fail(
                    sys::ACL_ERROR_RT_SYS_DMA,
                    format_args!(
                        "managed memory of {} bytes was freed before the queued work that uses it ran",
                        self.size
                    ),
                ));
            }
            life.windows += 1;
        }
        self.shadow.note(access, start, len, || self.place());
        Ok(())
    }

    fn end(&self) {
        let mut life = self.life.lock();
        life.windows -= 1;
        if life.freed && life.windows == 0 {
            life.mapping = None;
        }
    }

    fn bytes(&self, start: usize) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.address + start)
    }
}

/// Whether a piece of managed memory is at `pointer`, for work that only has to find it alive.
pub(crate) fn touch_managed(pointer: usize, len: usize) -> Result<(), aclError> {
    let pointer: *const c_void = std::ptr::without_provenance(pointer);
    if managed_range(pointer, len).is_some() && live(pointer).is_some() {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_SYS_DMA,
        format_args!("the managed memory at {pointer:p} was freed before its prefetch ran"),
    ))
}
