//! [`DeviceAllocator`]: memory of the program for the operators of a stream.

mod hooks;
mod registration;
mod slot;

pub(crate) use hooks::check;
pub(crate) use registration::Registration;
pub(crate) use slot::Slot;

use crate::{DeviceView, Error, ErrorKind, Result, Stream, drop_hook, runtime::acl};
use core::ffi::c_void;
use std::{ptr, sync::Arc};

/// Where CANN gets the memory that operators of a stream work in, instead of from the driver each time: see [`Stream::set_allocator`].
///
/// CANN asks while it enqueues, mostly on the thread that executes a model or an operator, and gives back what it got as soon as everything that uses it
/// is enqueued, which is before the device has used it. So what was given back may be handed out for the same stream again at once, as its work comes one
/// after another. Dropping it is fine too: the stream keeps it until it has passed that work. For another stream it may be used when that one waits for
/// this one.
///
/// These functions may call ACL, allocate and wait, on whatever thread of the program or of CANN they run, whose current context stays what it was. They must not
/// execute a [`Model`](crate::Model), which answers [`Error::InCallback`] there: CANN is in the middle of an execution. A panic is an allocation that failed.
///
/// What comes back with the end of a stream that was dropped with work on it, or inside a callback, comes on a thread of this crate, as inside a callback: calls
/// into ACL answer [`Error::InCallback`] there, and what is dropped is released later.
///
/// ```
/// use ascendcl::{Context, DeviceAllocator, DeviceView, Result};
/// use std::sync::Mutex;
///
/// /// Keeps what comes back, for the next time.
/// struct Pool {
///     context: Context,
///     idle: Mutex<Vec<DeviceView<u8>>>,
/// }
///
/// impl DeviceAllocator for Pool {
///     fn allocate(&self, bytes: usize) -> Result<DeviceView<u8>> {
///         let mut idle = self.idle.lock().unwrap();
///         match idle.iter().position(|memory| memory.len() >= bytes) {
///             Some(found) => Ok(idle.swap_remove(found)),
///             None => Ok(self.context.alloc(bytes.next_power_of_two())?.into()),
///         }
///     }
///
///     fn free(&self, memory: DeviceView<u8>) {
///         self.idle.lock().unwrap().push(memory);
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
/// let stream = context.create_stream()?;
/// stream.set_allocator(Pool { context, idle: Mutex::default() })?;
/// // Operators that C code puts into `stream.as_raw()` work in memory of the pool.
/// stream.remove_allocator()?;
/// # Ok(())
/// # }
/// ```
pub trait DeviceAllocator: Send + Sync + 'static {
    /// Memory of the stream's device, `bytes` long or longer, that begins at a multiple of 64. It must not overlap with what CANN has from this
    /// allocator and has not given back; all else about it is the allocator's business, also whether it is a part of something larger.
    ///
    /// # Errors
    ///
    /// Any: the execution fails, and the error is logged.
    #[doc(alias = "aclrtAllocatorAllocFunc")]
    fn allocate(&self, bytes: usize) -> Result<DeviceView<u8>>;

    /// As [`allocate`](Self::allocate), but at the address `near` if that can be. By itself it takes no notice of that.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    #[doc(alias = "aclrtAllocatorAllocAdviseFunc")]
    fn allocate_near(&self, bytes: usize, near: *mut c_void) -> Result<DeviceView<u8>> {
        let _ = near;
        self.allocate(bytes)
    }

    /// Everything that uses the memory is enqueued. By itself it drops the memory.
    #[doc(alias = "aclrtAllocatorFreeFunc")]
    fn free(&self, memory: DeviceView<u8>) {
        drop(memory);
    }
}

impl<A: DeviceAllocator + ?Sized> DeviceAllocator for Arc<A> {
    fn allocate(&self, bytes: usize) -> Result<DeviceView<u8>> {
        (**self).allocate(bytes)
    }

    fn allocate_near(&self, bytes: usize, near: *mut c_void) -> Result<DeviceView<u8>> {
        (**self).allocate_near(bytes, near)
    }

    fn free(&self, memory: DeviceView<u8>) {
        (**self).free(memory);
    }
}

impl Stream {
    /// From now on CANN asks `allocator` for the memory that operators of this stream work in, instead of the allocator it was given before.
    ///
    /// It asks where it does not know before an execution how much it takes: for models of dynamic shape that are enqueued, and single operators
    /// (`aclopExecuteV2`), which come in through [`Stream::as_raw`]. A model of fixed shape has had its memory since it was loaded. A stream that single
    /// operators have run on without an allocator stays with CANN's own, so set one before the first.
    ///
    /// To be called when no other thread is executing on the stream: what asks the one before meanwhile gets nothing, and fails.
    ///
    /// The stream owns the allocator, and drops it as inside a callback. An allocator that has a handle of its stream keeps it from being dropped, until
    /// [`Stream::remove_allocator`]. One allocator (an [`Arc`]) may serve several streams, if it keeps apart what they gave back.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::MissingSymbol`] before CANN 8.1.
    #[doc(alias = "aclrtAllocatorRegister")]
    #[doc(alias = "aclrtAllocatorCreateDesc")]
    #[doc(alias = "aclrtAllocatorDestroyDesc")]
    #[doc(alias = "aclrtAllocatorSetObjToDesc")]
    #[doc(alias = "aclrtAllocatorSetAllocFuncToDesc")]
    #[doc(alias = "aclrtAllocatorSetFreeFuncToDesc")]
    #[doc(alias = "aclrtAllocatorSetAllocAdviseFuncToDesc")]
    #[doc(alias = "aclrtAllocatorSetGetAddrFromBlockFuncToDesc")]
    pub fn set_allocator(&self, allocator: impl DeviceAllocator) -> Result<()> {
        let registration = Registration::new(self, Box::new(allocator));
        self.context().bind("aclrtAllocatorRegister")?;
        let destroyed = self.inner().allocator().set(registration, |object| hooks::register(self, object))?;
        drop_hook::report_failure(destroyed);
        Ok(())
    }

    /// CANN gets memory for this stream from the driver again. What it has of the allocator it gives back to that when it is done with it, or with the
    /// stream; until then the allocator lives. To be called when no other thread is executing on the stream, as [`Stream::set_allocator`]. Without an
    /// allocator this does nothing.
    ///
    /// # Errors
    ///
    /// As [`Stream::set_allocator`].
    #[doc(alias = "aclrtAllocatorUnregister")]
    pub fn remove_allocator(&self) -> Result<()> {
        self.context().bind("aclrtAllocatorUnregister")?;
        self.inner().allocator().remove(|| {
            // SAFETY: [handle] the stream is alive.
            unsafe { acl!(self, aclrtAllocatorUnregister(self.as_raw())) }
        })
    }

    /// Whether there is an allocator for this stream: one of [`Stream::set_allocator`], or one that other code registered.
    ///
    /// # Errors
    ///
    /// An error of ACL; [`Error::MissingSymbol`] before CANN 8.5.
    #[doc(alias = "aclrtAllocatorGetByStream")]
    pub fn has_allocator(&self) -> Result<bool> {
        self.context().bind("aclrtAllocatorGetByStream")?;
        let (mut description, mut object) = (ptr::null_mut(), ptr::null_mut());
        let (mut allocate, mut free, mut advise, mut address) = (None, None, None, None);
        // SAFETY: [handle, place] the stream is alive; valid places for the answers, of which none is called or looked into.
        let asked = unsafe {
            acl!(
                self,
                aclrtAllocatorGetByStream(
                    self.as_raw(),
                    &mut description,
                    &mut object,
                    &mut allocate,
                    &mut free,
                    &mut advise,
                    &mut address,
                )
            )
        };
        match asked {
            // The only argument that can be wrong.
            Err(Error::Acl(error)) if error.code.kind() == ErrorKind::InvalidArgument => Ok(false),
            asked => asked.map(|()| true),
        }
    }
}
