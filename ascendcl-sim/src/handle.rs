//! Handles given to C: opaque tokens, never addresses.
//!
//! A token packs a tag, the kind of object, a generation and an index into one non-null pointer-sized value that no machine can
//! dereference. It is looked up in a live table on each use, so NULL, garbage, stale handles and handles of another kind are
//! noticed without touching memory. A lookup takes one lock, that of its slot.

use core::ffi::c_void;
use std::collections::VecDeque;
use std::ptr;
use std::sync::{Arc, OnceLock};

use crate::check::leak::Registration;
use crate::lock::Mutex;

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `aclrtContext`
    Context = 1,
    /// `aclrtStream`
    Stream,
    /// `aclrtEvent`
    Event,
    /// `aclmdlDesc`
    ModelDesc,
    /// `aclmdlDataset`
    Dataset,
    /// `aclDataBuffer`
    DataBuffer,
    /// `aclTensorDesc`
    TensorDesc,
    /// `aclrtNotify`
    Notify,
    /// `aclrtCntNotify`
    CountNotify,
    /// `aclrtLabel`
    Label,
    /// `aclrtLabelList`
    LabelList,
    /// `aclmdlRI`
    ModelInstance,
    /// `aclmdlRITask`
    InstanceTask,
    /// `aclrtTaskGrp`
    TaskGroup,
    /// `aclrtBinHandle`
    Binary,
    /// `aclrtFuncHandle`
    Function,
    /// `aclrtArgsHandle`
    KernelArgs,
    /// `aclrtParamHandle`
    KernelParam,
    /// `aclrtDrvMemHandle`
    PhysicalMemory,
    /// `aclrtMemPool`
    MemoryPool,
    /// `aclrtAllocatorDesc`
    AllocatorDesc,
    /// `aclrtGroupInfo`
    GroupInfo,
    /// `aclmdlAIPP`
    Aipp,
    /// `aclmdlConfigHandle`
    ModelConfig,
    /// `aclmdlExecConfigHandle`
    ExecConfig,
    /// `aclmdlBundleQueryInfo`
    BundleInfo,
    /// `acltdtChannelHandle`
    Channel,
    /// `acltdtDataItem`
    DataItem,
    /// `acltdtDataset`
    TensorDataset,
    /// `acltdtQueueAttr`
    QueueAttr,
    /// `acltdtQueueRoute`
    QueueRoute,
    /// `acltdtQueueRouteList`
    QueueRouteList,
    /// `acltdtQueueRouteQueryInfo`
    QueueRouteQuery,
    /// `acltdtBuf` and `aclrtMbuf`
    SharedBuffer,
    /// `aclprofConfig`
    ProfilingConfig,
    /// `aclprofStepInfo`
    StepInfo,
    /// `aclprofSubscribeConfig`
    SubscribeConfig,
    /// A stamp of the profiler
    Stamp,
    /// `aclrtBinary`
    BinaryDescription,
    /// `aclmdlRICondHandle`
    Condition,
}

/// Top byte of each token. With bit 63 set and bits 62.. mixed it is no canonical address on x86-64, and none on aarch64 either,
/// where the kind below it is never zero.
const TAG: u64 = 0xac;
const INDEX_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;
const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;

const _: () = assert!(size_of::<usize>() == 8, "handles pack four fields in 64 bits");
const _: () = assert!(CHUNK * CHUNKS <= 1 << INDEX_BITS);

fn pack(kind: Kind, generation: u32, index: usize) -> *mut c_void {
    let value = (TAG << 56) | ((kind as u64) << 48) | (u64::from(generation) << INDEX_BITS) | index as u64;
    ptr::without_provenance_mut(value as usize)
}

/// The live objects of one kind.
pub(crate) struct Table<T> {
    kind: Kind,
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
    free: Mutex<Free>,
}

struct Slot<T>(Mutex<SlotState<T>>);

struct SlotState<T> {
    generation: u32,
    entry: Option<(Arc<T>, Option<Registration>)>,
}

struct Free {
    /// Slots that were used before, longest unused first.
    used: VecDeque<usize>,
    /// The first slot never used.
    next: usize,
}

impl<T> Table<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::new(Free { used: VecDeque::new(), next: 0 }),
        }
    }

    /// Makes an object that may know its own handle, and its handle. `None` if a million objects are alive.
    pub(crate) fn insert_with(
        &self,
        registration: Option<Registration>,
        make: impl FnOnce(*mut c_void) -> Arc<T>,
    ) -> Option<*mut c_void> {
        let index = {
            let mut free = self.free.lock();
            match free.used.pop_front() {
                Some(index) => index,
                None if free.next < CHUNK * CHUNKS => {
                    free.next += 1;
                    free.next - 1
                }
                None => return None,
            }
        };
        let slot = self.chunks[index / CHUNK].get_or_init(|| {
            let first = index / CHUNK * CHUNK;
            (first..first + CHUNK).map(Slot::new).collect()
        });
        let slot = &slot[index % CHUNK].0;
        let handle = pack(self.kind, slot.lock().generation, index);
        // Nobody else can use this slot: its index is not in the free list and its handle is not known yet.
        let value = make(handle);
        slot.lock().entry = Some((value, registration));
        Some(handle)
    }

    /// Adds an object and gives its handle. `None` if a million objects are alive.
    pub(crate) fn insert(&self, value: Arc<T>, registration: Registration) -> Option<*mut c_void> {
        self.insert_with(Some(registration), |_| value)
    }

    /// The live object behind `handle`.
    pub(crate) fn get(&self, handle: *const c_void) -> Option<Arc<T>> {
        let (slot, generation, _) = self.slot(handle)?;
        let state = slot.0.lock();
        if state.generation != generation {
            return None;
        }
        state.entry.as_ref().map(|(value, _)| Arc::clone(value))
    }

    /// Ends the life of `handle` and gives its object to exactly one caller.
    pub(crate) fn remove(&self, handle: *const c_void) -> Option<Arc<T>> {
        let (slot, generation, index) = self.slot(handle)?;
        let mut state = slot.0.lock();
        if state.generation != generation {
            return None;
        }
        let (value, registration) = state.entry.take()?;
        let reusable = state.generation < LAST_GENERATION;
        state.generation = state.generation.wrapping_add(1);
        drop(state);
        drop(registration);
        // A slot whose generations are used up is never used again: no two objects ever share a handle.
        if reusable {
            self.free.lock().used.push_back(index);
        }
        Some(value)
    }

    /// All live objects that `wanted` picks, with their handles.
    pub(crate) fn select(&self, mut wanted: impl FnMut(&T) -> bool) -> Vec<(*mut c_void, Arc<T>)> {
        let end = self.free.lock().next;
        let mut found = Vec::new();
        for index in 0..end {
            let Some(chunk) = self.chunks[index / CHUNK].get() else { continue };
            let state = chunk[index % CHUNK].0.lock();
            if let Some((value, _)) = &state.entry
                && wanted(value)
            {
                found.push((pack(self.kind, state.generation, index), Arc::clone(value)));
            }
        }
        found
    }

    /// Why [`get`](Self::get) finds nothing, for an error text.
    pub(crate) fn describe(&self, handle: *const c_void) -> &'static str {
        let value = handle.addr() as u64;
        if value == 0 {
            "is NULL"
        } else if value >> 56 != TAG {
            "was not made by this library"
        } else if (value >> 48) & 0xff != self.kind as u64 {
            "is a handle of another kind"
        } else {
            "is not alive: it was destroyed, or went with its context or device"
        }
    }

    fn slot(&self, handle: *const c_void) -> Option<(&Slot<T>, u32, usize)> {
        let value = handle.addr() as u64;
        if value >> 48 != (TAG << 8) | self.kind as u64 {
            return None;
        }
        let index = (value & ((1 << INDEX_BITS) - 1)) as usize;
        let generation = ((value >> INDEX_BITS) as u32) & LAST_GENERATION;
        let chunk = self.chunks.get(index / CHUNK)?.get()?;
        Some((&chunk[index % CHUNK], generation, index))
    }
}

impl<T> Slot<T> {
    fn new(index: usize) -> Self {
        // Neighbours start far apart, so that a handle with a wrong bit in its index is not another live handle. Generation 0 does
        // not exist, so that a token with zeroed fields is never alive; half of the generations at least are left.
        let generation = ((index as u32 + 1).wrapping_mul(0x9e37_79b1) >> (33 - GENERATION_BITS)) | 1;
        Self(Mutex::new(SlotState { generation, entry: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static STREAMS: Table<u32> = Table::new(Kind::Stream);

    fn add(value: u32) -> *mut c_void {
        STREAMS.insert_with(None, |_| Arc::new(value)).unwrap()
    }

    #[test]
    fn stale_foreign_and_garbage_handles_find_nothing() {
        let events: Table<u32> = Table::new(Kind::Event);
        let stream = add(7);
        assert_eq!(*STREAMS.get(stream).unwrap(), 7);
        assert!(events.get(stream).is_none());
        assert_eq!(events.describe(stream), "is a handle of another kind");
        assert_eq!(*STREAMS.remove(stream).unwrap(), 7);
        assert!(STREAMS.get(stream).is_none());
        assert!(STREAMS.remove(stream).is_none());
        let again = add(8);
        assert_ne!(again, stream);
        for garbage in [
            0usize,
            1,
            64,
            usize::MAX,
            again.addr() + 1,
            again.addr() ^ (1 << 40),
            &raw const events as usize,
        ] {
            assert!(STREAMS.get(ptr::without_provenance(garbage)).is_none(), "{garbage:#x}");
        }
        STREAMS.remove(again);
    }

    #[test]
    fn exactly_one_thread_removes() {
        for _ in 0..200 {
            let handle = add(1) as usize;
            let removed: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(move || STREAMS.remove(ptr::without_provenance(handle)).is_some()))
                    .collect();
                threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
            });
            assert_eq!(removed, 1);
        }
    }

    #[test]
    fn select_finds_what_is_alive() {
        let table: Table<u32> = Table::new(Kind::Context);
        let handles: Vec<_> = (0..10).map(|n| table.insert_with(None, |_| Arc::new(n)).unwrap()).collect();
        table.remove(handles[3]);
        let odd = table.select(|n| n % 2 == 1);
        assert_eq!(odd.iter().map(|(_, n)| **n).collect::<Vec<_>>(), [1, 5, 7, 9]);
        assert_eq!(odd[0].0, handles[1]);
    }
}
