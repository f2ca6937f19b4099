//! Shared buffers: memory with a length and user data, which can be chained and which queues carry.
//!
//! A buffer that is put into a queue leaves the program; what is taken out is a new buffer with its own data, in whatever process.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::ring::{Message, Part, USER_DATA};
use crate::check::leak::{LiveKind, Registration, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;
use crate::memory::Mapping;

/// Buffers in a chain.
const LONGEST_CHAIN: usize = 128;
const LARGEST: usize = 4 << 30;
/// What fresh buffers read as.
const FRESH: u8 = 0xcb;

/// Bytes that one or more buffers refer to.
struct Data {
    mapping: Mapping,
    room: usize,
}

impl Data {
    fn new(room: usize) -> Result<Arc<Self>, aclError> {
        let mapping = Mapping::anonymous(room.max(1)).map_err(|error| {
            fail(
                sys::ACL_ERROR_RT_MEMORY_ALLOCATION,
                format_args!("cannot allocate a buffer of {room} bytes: {error}"),
            )
        })?;
        Ok(Arc::new(Self { mapping, room }))
    }

    fn pointer(&self) -> *mut u8 {
        self.mapping.base()
    }
}

pub(crate) struct Buffer {
    data: Arc<Data>,
    state: Mutex<State>,
}

struct State {
    len: usize,
    user: [u8; USER_DATA],
    /// The buffers behind this one, if it is the first of its chain.
    rest: Vec<usize>,
    /// It is in a chain behind this one.
    head: Option<usize>,
    registration: Option<Registration>,
}

static BUFFERS: Table<Buffer> = Table::new(Kind::SharedBuffer);
/// Chains change one at a time.
static CHAINS: Mutex<()> = Mutex::new(());

fn parameter(why: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, why)
}

fn handle_of(token: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(token)
}

/// The buffer of a handle (107000).
pub(crate) fn lookup(handle: *const c_void) -> Result<Arc<Buffer>, aclError> {
    BUFFERS
        .get(handle)
        .ok_or_else(|| parameter(format_args!("the handle of a buffer {}", BUFFERS.describe(handle))))
}

fn insert(data: Arc<Data>, len: usize, user: [u8; USER_DATA]) -> Result<*mut c_void, aclError> {
    let registration = Some(register(LiveKind::SharedBuffer, format!("{} bytes", data.room)));
    let state = Mutex::new(State { len, user, rest: Vec::new(), head: None, registration });
    let buffer = Arc::new(Buffer { data, state });
    BUFFERS
        .insert_with(None, |_| buffer)
        .ok_or_else(|| fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "a million buffers are alive"))
}

/// `aclrtAllocBuf` and `acltdtAllocBuf` after their checks.
pub(crate) fn allocate(size: usize) -> Result<*mut c_void, aclError> {
    if size == 0 || size > LARGEST {
        return Err(parameter(format_args!("a buffer cannot have {size} bytes")));
    }
    let data = Data::new(size)?;
    // SAFETY: [memory] `size` bytes are mapped and new.
    unsafe { libc::memset(data.pointer().cast(), FRESH.into(), size.min(1 << 20)) };
    insert(data, 0, [0; USER_DATA])
}

impl Buffer {
    /// Where its data is, and how much room there is for it.
    pub(crate) fn data(&self) -> (*mut c_void, usize) {
        (self.data.pointer().cast(), self.data.room)
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().len
    }

    pub(crate) fn set_len(&self, len: usize) -> Result<(), aclError> {
        if len > self.data.room {
            return Err(parameter(format_args!(
                "{len} bytes do not fit into a buffer of {}",
                self.data.room
            )));
        }
        self.state.lock().len = len;
        Ok(())
    }

    pub(crate) fn user_data(&self) -> [u8; USER_DATA] {
        self.state.lock().user
    }

    /// Writes user data at `offset`, where it fits.
    pub(crate) fn set_user_data(&self, offset: usize, bytes: &[u8]) {
        if let Some(place) = self.state.lock().user.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// The handles of the chain that begins with `handle` (107000 if it begins none).
fn chain(handle: *const c_void) -> Result<Vec<*mut c_void>, aclError> {
    let buffer = lookup(handle)?;
    let state = buffer.state.lock();
    if state.head.is_some() {
        return Err(parameter("the buffer is in a chain, and not its first one"));
    }
    Ok(std::iter::once(handle.cast_mut()).chain(state.rest.iter().map(|&token| handle_of(token))).collect())
}

/// `aclrtFreeBuf`: frees the chain that begins with this buffer.
pub(crate) fn free(handle: *const c_void) -> Result<(), aclError> {
    let _chains = CHAINS.lock();
    for handle in chain(handle)? {
        end(handle);
    }
    Ok(())
}

fn end(handle: *mut c_void) {
    if let Some(buffer) = BUFFERS.remove(handle) {
        let ended = buffer.state.lock().registration.take();
        drop(ended);
    }
}

/// `aclrtAppendBufChain`: `buffer`, and what is chained to it, goes to the end of the chain of `head`.
pub(crate) fn append(head: *const c_void, buffer: *const c_void) -> Result<(), aclError> {
    if std::ptr::eq(head, buffer) {
        return Err(fail(sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR, "a buffer cannot be chained to itself"));
    }
    let _chains = CHAINS.lock();
    let (front, back) = (chain(head)?, chain(buffer)?);
    if front.len() + back.len() > LONGEST_CHAIN {
        return Err(fail(
            sys::ACL_ERROR_RT_OVER_LIMIT,
            format_args!("a chain has at most {LONGEST_CHAIN} buffers"),
        ));
    }
    let first = lookup(head)?;
    for handle in back {
        let moved = lookup(handle)?;
        let mut state = moved.state.lock();
        state.rest.clear();
        state.head = Some(head.addr());
        first.state.lock().rest.push(handle.addr());
    }
    Ok(())
}

/// `aclrtGetBufChainNum`
pub(crate) fn chain_len(head: *const c_void) -> Result<usize, aclError> {
    chain(head).map(|chain| chain.len())
}

/// `aclrtGetBufFromChain`
pub(crate) fn from_chain(head: *const c_void, index: usize) -> Result<*mut c_void, aclError> {
    lookup(head)?;
    if index >= LONGEST_CHAIN {
        return Err(parameter(format_args!("no chain has a buffer {index}")));
    }
    let chain = chain(head)?;
    chain.get(index).copied().ok_or_else(|| {
        fail(
            sys::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
            format_args!("the chain has {} buffers, and no buffer {index}", chain.len()),
        )
    })
}

/// `aclrtCopyBufRef`: a new chain that refers to the same data.
pub(crate) fn copy_reference(handle: *const c_void) -> Result<*mut c_void, aclError> {
    let chain = {
        let _chains = CHAINS.lock();
        chain(handle)?
    };
    let mut head: Option<*mut c_void> = None;
    for handle in chain {
        let buffer = lookup(handle)?;
        let (len, user) = {
            let state = buffer.state.lock();
            (state.len, state.user)
        };
        let copy = insert(Arc::clone(&buffer.data), len, user)?;
        match head {
            Some(head) => append(head, copy)?,
            None => head = Some(copy),
        }
    }
    head.ok_or_else(|| parameter("the chain is empty"))
}

/// What a queue carries for the chain that begins with `handle`.
pub(crate) fn message(handle: *const c_void) -> Result<Message, aclError> {
    let _chains = CHAINS.lock();
    let mut message = Message { bytes: Vec::new(), user: [0; USER_DATA], parts: Vec::new() };
    for (index, handle) in chain(handle)?.into_iter().enumerate() {
        let buffer = lookup(handle)?;
        let state = buffer.state.lock();
        if index == 0 {
            message.user = state.user;
        }
        let start = message.bytes.len();
        message.bytes.resize(start + state.len, 0);
        // SAFETY: [memory] both are at least `len` bytes long, and do not overlap.
        unsafe {
            libc::memcpy(
                message.bytes.as_mut_ptr().add(start).cast(),
                buffer.data.pointer().cast(),
                state.len,
            );
        }
        message.parts.push(Part { len: state.len, room: buffer.data.room });
    }
    Ok(message)
}

/// The chain that a message carries.
pub(crate) fn from_message(message: &Message) -> Result<*mut c_void, aclError> {
    let whole = [Part { len: message.bytes.len(), room: message.bytes.len() }];
    let parts = if message.parts.is_empty() { &whole[..] } else { &message.parts };
    let mut head: Option<*mut c_void> = None;
    let mut start = 0;
    for part in parts {
        let data = Data::new(part.room.max(part.len))?;
        let bytes = message.bytes.get(start..start + part.len).unwrap_or_default();
        // SAFETY: [memory] the data has room for the part, and is new.
        unsafe { libc::memcpy(data.pointer().cast(), bytes.as_ptr().cast(), bytes.len()) };
        start += part.len;
        let buffer = insert(data, part.len, message.user)?;
        match head {
            Some(head) => append(head, buffer)?,
            None => head = Some(buffer),
        }
    }
    head.ok_or_else(|| parameter("the message is empty"))
}
