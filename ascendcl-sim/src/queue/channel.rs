//! Channels: tensors over queues.
//!
//! There are two kinds. A channel with a capacity is a queue with a format, and who made it both sends and receives. The other kind
//! has a direction: what is sent to channel `x` is received by channel `TF_RECEIVE_x`.

use core::ffi::c_void;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclDataType, aclError, acltdtTensorType};

use super::attribute::{Attributes, NAME};
use super::dataset::{Dataset, Item};
use super::ring::{Message, USER_DATA};
use super::{Source, deadline, read_from, registry};
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::{Condvar, Mutex};

const RECEIVES: &str = "TF_RECEIVE_";

pub(crate) struct Channel {
    kind: ChannelKind,
}

enum ChannelKind {
    Queue { device: i32, number: u32 },
    Sends(Arc<Stream>),
    Receives(Arc<Stream>),
}

/// What leads from a channel of the old kind to its receiver.
#[derive(Default)]
struct Stream {
    state: Mutex<StreamState>,
    changed: Condvar,
}

#[derive(Default)]
struct StreamState {
    messages: VecDeque<Message>,
    stops: u64,
}

static CHANNELS: Table<Channel> = Table::new(Kind::Channel);
static STREAMS: Mutex<BTreeMap<String, Arc<Stream>>> = Mutex::new(BTreeMap::new());

fn invalid(why: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, why)
}

fn insert(channel: Channel, detail: String) -> Result<*mut c_void, aclError> {
    CHANNELS
        .insert(Arc::new(channel), register(LiveKind::Channel, detail))
        .ok_or_else(|| fail(sys::ACL_ERROR_BAD_ALLOC, "a million channels are alive"))
}

/// 100000 if a name is too long for a channel with a capacity.
pub(crate) fn check_name(name: &[u8]) -> Result<(), aclError> {
    if name.len() < NAME {
        return Ok(());
    }
    Err(invalid(format_args!("the name of a channel has at most {} bytes", NAME - 1)))
}

/// `acltdtCreateChannelWithCapacity` of a device that exists, with a name that fits.
pub(crate) fn create_queue(device: i32, name: &[u8], capacity: usize) -> Result<*mut c_void, aclError> {
    let attributes = Attributes::new();
    attributes.set_name(name);
    attributes.set_depth(capacity as u32);
    let number = registry::create(device, &attributes, false)?;
    registry::disown(device, number);
    insert(Channel { kind: ChannelKind::Queue { device, number } }, attributes.name())
}

/// `acltdtCreateChannel` of a device that exists.
pub(crate) fn create_directed(name: &str) -> Result<*mut c_void, aclError> {
    let (sender, receives) = match name.strip_prefix(RECEIVES) {
        Some(sender) => (sender, true),
        None => (name, false),
    };
    let stream = Arc::clone(STREAMS.lock().entry(sender.to_owned()).or_default());
    let kind = if receives { ChannelKind::Receives(stream) } else { ChannelKind::Sends(stream) };
    insert(Channel { kind }, name.to_owned())
}

pub(crate) fn lookup(handle: *const c_void) -> Result<Arc<Channel>, aclError> {
    CHANNELS
        .get(handle)
        .ok_or_else(|| invalid(format_args!("the handle of a channel {}", CHANNELS.describe(handle))))
}

/// `acltdtDestroyChannel`
pub(crate) fn destroy(handle: *const c_void) -> Result<(), aclError> {
    let channel = lookup(handle)?;
    if let ChannelKind::Queue { device, number } = channel.kind {
        registry::destroy(device, number)?;
    }
    CHANNELS.remove(handle);
    drop(channel);
    // What was not received goes with the last channel of its name.
    STREAMS.lock().retain(|_, stream| Arc::strong_count(stream) > 1);
    Ok(())
}

impl Channel {
    /// `acltdtStopChannel`: who waits for a message of the old kind gets an error.
    pub(crate) fn stop(&self) {
        if let ChannelKind::Receives(stream) = &self.kind {
            stream.state.lock().stops += 1;
            stream.changed.notify_all();
        }
    }

    /// `acltdtCleanChannel`
    pub(crate) fn clear(&self) -> Result<(), aclError> {
        let (device, number) = self.queue()?;
        registry::lookup(device, number)?.clear();
        Ok(())
    }

    /// `acltdtQueryChannelSize`
    pub(crate) fn len(&self) -> Result<usize, aclError> {
        let (device, number) = self.queue()?;
        Ok(registry::lookup(device, number)?.len())
    }

    fn queue(&self) -> Result<(i32, u32), aclError> {
        match self.kind {
            ChannelKind::Queue { device, number } => Ok((device, number)),
            _ => {
                Err(fail(sys::ACL_ERROR_FEATURE_UNSUPPORTED, "a channel without a capacity has none of this"))
            }
        }
    }

    /// `acltdtSendTensor`
    ///
    /// # Safety
    /// Tensors in plain host memory are readable.
    pub(crate) unsafe fn send(&self, dataset: &Dataset, timeout: i32) -> Result<(), aclError> {
        if !matches!(self.kind, ChannelKind::Queue { .. }) {
            forever(timeout)?;
        }
        let items = dataset.items()?;
        if let Some(item) = items.iter().find(|item| !may_be_sent(item.kind)) {
            return Err(invalid(format_args!("a tensor of type {} cannot be sent", item.kind.0)));
        }
        // SAFETY: [caller] same contract.
        let message = || unsafe { pack(&items) };
        match &self.kind {
            ChannelKind::Queue { device, number } => {
                let queue = registry::lookup(*device, *number)?;
                if items.is_empty() || items.iter().any(|item| item.size > 0 && item.data == 0) {
                    return Err(fail(
                        sys::ACL_ERROR_RT_PARAM_INVALID,
                        "there is nothing to send, or a tensor without data",
                    ));
                }
                queue.put(&message()?, deadline(timeout))
            }
            ChannelKind::Sends(stream) | ChannelKind::Receives(stream) => {
                stream.state.lock().messages.push_back(message()?);
                stream.changed.notify_all();
                Ok(())
            }
        }
    }

    /// `acltdtReceiveTensor`
    pub(crate) fn receive(&self, dataset: &Dataset, timeout: i32) -> Result<(), aclError> {
        let message = match &self.kind {
            ChannelKind::Queue { device, number } => {
                registry::lookup(*device, *number)?.take(usize::MAX, deadline(timeout))?
            }
            ChannelKind::Sends(_) => {
                forever(timeout)?;
                return Err(invalid(format_args!(
                    "only a channel whose name begins with {RECEIVES} receives"
                )));
            }
            ChannelKind::Receives(stream) => {
                forever(timeout)?;
                stream.next()?
            }
        };
        let directed = matches!(self.kind, ChannelKind::Receives(_));
        // The message is lost then, as in the runtime.
        if dataset.is_taken() || (directed && dataset.len() > 0) {
            return Err(invalid("tensors cannot be received into a dataset that has some already"));
        }
        let (bytes, items) = unpack(&message.bytes)
            .ok_or_else(|| fail(sys::ACL_ERROR_FAILURE, "what was received is no tensor dataset"))?;
        if directed && items.iter().any(|item| is_tensor(item.kind) && !is_known(item.data_type)) {
            return Err(fail(sys::ACL_ERROR_INTERNAL_ERROR, "a tensor of an unknown data type was received"));
        }
        dataset.receive(bytes, items)
    }
}

impl Stream {
    fn next(&self) -> Result<Message, aclError> {
        let state = self.state.lock();
        let stops = state.stops;
        let (mut state, _) =
            self.changed.wait_while(state, None, |state| state.messages.is_empty() && state.stops == stops);
        state.messages.pop_front().ok_or_else(|| {
            fail(sys::ACL_ERROR_FAILURE, "the channel was stopped while this thread waited for a tensor")
        })
    }
}

/// Channels of the old kind wait for ever.
fn forever(timeout: i32) -> Result<(), aclError> {
    if timeout == -1 {
        return Ok(());
    }
    Err(invalid(format_args!("timeout {timeout} is not -1, the only one of a channel without a capacity")))
}

fn is_tensor(kind: acltdtTensorType) -> bool {
    kind == sys::ACL_TENSOR_DATA_TENSOR
}

fn may_be_sent(kind: acltdtTensorType) -> bool {
    matches!(
        kind,
        sys::ACL_TENSOR_DATA_TENSOR | sys::ACL_TENSOR_DATA_END_OF_SEQUENCE | sys::ACL_TENSOR_DATA_ABNORMAL
    )
}

/// Data types that have a name in messages of the old kind.
fn is_known(data_type: aclDataType) -> bool {
    matches!(
        data_type,
        sys::ACL_BOOL
            | sys::ACL_INT8
            | sys::ACL_UINT8
            | sys::ACL_FLOAT16
            | sys::ACL_INT16
            | sys::ACL_UINT16
            | sys::ACL_FLOAT
            | sys::ACL_INT32
            | sys::ACL_UINT32
            | sys::ACL_INT64
            | sys::ACL_UINT64
            | sys::ACL_DOUBLE
            | sys::ACL_STRING
    )
}

/// Tensors start at multiples of this in a message.
const ALIGN: usize = 64;

/// A dataset as bytes: how many items, then each item's words and dimensions, then all data.
///
/// # Safety
/// Tensors in plain host memory are readable.
unsafe fn pack(items: &[Arc<Item>]) -> Result<Message, aclError> {
    let mut words: Vec<u64> = vec![items.len() as u64];
    let mut data = Vec::new();
    for item in items {
        let start = data.len().next_multiple_of(ALIGN);
        data.resize(start, 0);
        let source = Source { pointer: std::ptr::with_exposed_provenance(item.data), len: item.size };
        if item.size > 0 {
            // SAFETY: [caller] same contract.
            data.extend(unsafe { read_from(source) }?);
        }
        words.extend([item.kind.0 as u64, item.data_type.0 as u64, item.dims.len() as u64]);
        words.extend([start as u64, item.size as u64]);
        words.extend(item.dims.iter().map(|&dim| dim as u64));
    }
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    bytes.extend(data);
    Ok(Message { bytes, user: [0; USER_DATA], parts: Vec::new() })
}

/// The data and the items, whose `data` is where theirs is in it.
fn unpack(bytes: &[u8]) -> Option<(&[u8], Vec<Item>)> {
    let mut at = 0;
    let mut word = || {
        let word = bytes.get(at..at + 8)?;
        at += 8;
        Some(u64::from_ne_bytes(word.try_into().ok()?))
    };
    let mut items = Vec::new();
    for _ in 0..word()? {
        let (kind, data_type) = (word()? as i32, word()? as i32);
        let (dims, data, size) = (word()?, word()? as usize, word()? as usize);
        let dims = (0..dims).map(|_| word().map(|dim| dim as i64)).collect::<Option<Vec<i64>>>()?;
        items.push(Item {
            kind: acltdtTensorType(kind),
            data_type: aclDataType(data_type),
            dims,
            data,
            size,
            slices: (0, 0),
        });
    }
    let data = bytes.get(at.next_multiple_of(ALIGN)..)?;
    let inside = |item: &Item| item.data.checked_add(item.size).is_some_and(|end| end <= data.len());
    items.iter().all(|item| item.size == 0 || inside(item)).then_some((data, items))
}
