//! An allocator that was registered for a stream: what it answers is checked, what comes back from it is kept.

use super::DeviceAllocator;
use crate::{
    Context, DeviceView, Error, Result, Stream,
    callback::InCallback,
    guard,
    limbo::keep_for_ever,
    owned::Owned,
    quiet,
    reaper::{self, Pending},
    runtime::Site,
    stream::StreamInner,
    sync::lock,
    teardown::{Fate, Kept},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};

/// Where memory for operators begins.
const ALIGNMENT: usize = 64;

/// An allocator for a stream.
pub(crate) struct Registration {
    context: Context,
    /// Weak: the stream owns this.
    stream: Weak<StreamInner>,
    fate: Arc<Fate>,
    /// Whether nobody uses the stream once it is gone for this crate.
    owned: bool,
    /// `None` while it is dropped.
    allocator: Option<Box<dyn DeviceAllocator>>,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    /// What ACL has and has not given back: beginnings and ends.
    out: BTreeMap<usize, usize>,
    /// Empty ranges among that, which have no place.
    empty: usize,
}

/// Memory that came back when its stream had no handle any more. What becomes of that decides.
struct Late {
    memory: Option<Kept>,
    fate: Arc<Fate>,
    /// As that of the [`Registration`].
    owned: bool,
}

impl Pending for Late {
    fn try_release(&mut self) -> bool {
        let is_gone = self.fate.is_gone();
        if self.owned && !is_gone && !self.fate.is_lost() {
            return false;
        }
        let memory = self.memory.take();
        // What a stream was using that failed is never freed.
        if !(self.owned && is_gone && self.fate.failure().is_none()) {
            keep_for_ever(memory);
        }
        true
    }
}

impl Registration {
    pub(super) fn new(stream: &Stream, allocator: Box<dyn DeviceAllocator>) -> Arc<Registration> {
        let inner = stream.inner();
        Arc::new(Registration {
            context: stream.context().clone(),
            stream: Arc::downgrade(inner),
            fate: inner.fate().clone(),
            owned: inner.is_owned(),
            allocator: Some(allocator),
            given: Mutex::default(),
        })
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn allocator(&self) -> Option<&dyn DeviceAllocator> {
        self.allocator.as_deref()
    }

    /// Whether ACL has nothing of it.
    pub(super) fn is_settled(&self) -> bool {
        let given = lock(&self.given);
        given.out.is_empty() && given.empty == 0
    }

    /// Notes that ACL is given the memory, if that is what it asked for.
    pub(super) fn hand_out(&self, memory: &DeviceView<u8>, bytes: usize) -> Result<()> {
        const OP: &str = "DeviceAllocator::allocate";
        let mismatch = |what: String| Err(Error::Mismatch { op: OP, what });
        self.context.check_backend(OP, "memory", memory.context())?;
        let (own, device) = (self.context.device().id(), memory.context().device().id());
        if own != device {
            return mismatch(format!("the stream is on device {own}, the memory on device {device}"));
        }
        if memory.len() < bytes {
            return Err(Error::Length {
                op: OP,
                expected: bytes,
                actual: memory.len(),
                unit: "bytes at least",
            });
        }
        let start = memory.as_raw().addr();
        if !start.is_multiple_of(ALIGNMENT) {
            return mismatch(format!("the memory begins at {start:#x}, which is no multiple of {ALIGNMENT}"));
        }
        let mut given = lock(&self.given);
        if memory.is_empty() {
            given.empty += 1;
            return Ok(());
        }
        let end = start + memory.len();
        // Ranges do not overlap, so the last that begins before the end is the one that ends last.
        if given.out.range(..end).next_back().is_some_and(|(_, &other)| other > start) {
            return mismatch("it overlaps with memory that was given before and has not come back".into());
        }
        given.out.insert(start, end);
        Ok(())
    }

    /// Drops what may be the last of an allocator, with the last handles of its stream and its context. As inside a callback: ACL may be holding locks that
    /// the end of those takes.
    pub(super) fn let_go(self: Arc<Self>) {
        quiet::inside(move || {
            // First, or the one in the slot is not the last.
            let stream = self.stream.clone();
            drop(self);
            if let Some(stream) = stream.upgrade() {
                stream.allocator().tidy();
            }
        });
    }

    /// ACL has given it back. The stream may not have passed what uses it.
    pub(super) fn take_back(&self, memory: &DeviceView<u8>) {
        {
            let mut given = lock(&self.given);
            if memory.is_empty() {
                given.empty -= 1;
            } else {
                given.out.remove(&memory.as_raw().addr());
            }
        }
        // If this happens to be the last handle, the stream must not be destroyed here: ACL may be holding locks that it takes for that.
        let _inside = InCallback::enter();
        match self.stream.upgrade() {
            Some(stream) => {
                let owner = memory.memory();
                let address = [Arc::as_ptr(owner).cast()];
                Stream::from_inner(stream).keep_again(address, || [owner.clone()], memory.byte_len());
            }
            None => {
                let (memory, fate) = (memory.memory().clone() as Kept, self.fate.clone());
                let mut late = Late { memory: Some(memory), fate, owned: self.owned };
                if !late.try_release() {
                    reaper::watch(late);
                }
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // The program's code, which may come here in the middle of ACL. In a forked child, or at exit, it would do what must not be done there.
        let allocator = self.allocator.take();
        if guard::is_over() {
            keep_for_ever(allocator);
        } else {
            drop(Owned::new(allocator));
        }
    }
}

impl Site for Registration {
    fn runtime(&self) -> &crate::runtime::Runtime {
        self.context.runtime()
    }

    fn device_id(&self) -> Option<i32> {
        self.context.device_id()
    }
}
