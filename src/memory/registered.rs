//! [`HostPages`]: memory of the program that devices may use where it is, once it is registered.

use super::{DeviceCopy, PinnedBuffer, byte_len, pinned::PinnedMemory};
use crate::{
    Backend, Context, Error, Rejected, Result,
    limbo::keep_for_ever,
    owned::Owned,
    runtime::{SendRaw, acl},
};
use ascendcl_sys as sys;
use core::ffi::{CStr, c_void};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    any::Any,
    fmt,
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
    sync::Arc,
};

/// What ACL wants registered memory to be aligned to.
const ALIGNMENT: usize = 4096;
/// The largest pages that hosts with these processors have: memory that is allocated here shares its pages with nothing else.
const PAGE: usize = if cfg!(target_arch = "aarch64") { 64 << 10 } else { 4 << 10 };
/// The last kernel that lets devices only into memory of ACL.
const OLD_KERNEL: (u32, u32) = (5, 10);

const OP: &str = "aclrtHostRegister";

/// Who frees the memory.
enum Owner {
    /// This crate, which allocated it.
    Ours(Layout),
    /// Somebody who is dropped, or nobody for an empty range.
    Theirs { _owner: Option<Box<dyn Any + Send>> },
}

/// The memory, whatever its elements are.
struct Pages {
    ptr: NonNull<c_void>,
    owner: Owner,
}

// SAFETY: [threads] the memory belongs to this value alone, and so does who owns it, who is Send.
unsafe impl Send for Pages {}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Owner::Ours(layout) = self.owner {
            // SAFETY: [once] allocated with this layout; no device knows it, and this is the only owner.
            unsafe { dealloc(self.ptr.as_ptr().cast(), layout) };
        }
    }
}

/// Memory of the program on pages of its own, for `len` values of `T`, used as a slice. Devices use it once it is [registered](Context::register_host).
///
/// ```
/// # fn main() -> Result<(), ascendcl::Error> {
/// use ascendcl::HostPages;
///
/// let mut pages = HostPages::<f32>::new(1000)?;
/// pages[..3].copy_from_slice(&[1.0, 2.0, 3.0]);
/// assert_eq!(pages[2..5], [3.0, 0.0, 0.0]);
/// # Ok(())
/// # }
/// ```
pub struct HostPages<T: DeviceCopy> {
    pages: Pages,
    len: usize,
    of: PhantomData<T>,
}

// SAFETY: [threads] a shared reference gives nothing but the slice.
unsafe impl<T: DeviceCopy> Sync for HostPages<T> {}

impl<T: DeviceCopy> HostPages<T> {
    /// Allocates memory for `len` values, all zero. Whole pages are taken, so nothing else of the program lies where a device can see it.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if there is no such size; [`Error::Os`] if there is not so much memory.
    pub fn new(len: usize) -> Result<HostPages<T>> {
        const OP: &str = "HostPages::new";
        let too_much =
            |_| Error::Length { op: OP, expected: isize::MAX as usize, actual: len, unit: "bytes at most" };
        let bytes = byte_len::<T>(OP, len)?;
        if bytes == 0 {
            let (ptr, owner) = (NonNull::<T>::dangling().cast(), Owner::Theirs { _owner: None });
            return Ok(HostPages { pages: Pages { ptr, owner }, len, of: PhantomData });
        }
        let layout =
            Layout::from_size_align(bytes, PAGE.max(align_of::<T>())).map_err(too_much)?.pad_to_align();
        // SAFETY: [memory] the size is not zero.
        let ptr = NonNull::new(unsafe { alloc_zeroed(layout) }.cast()).ok_or_else(|| Error::Os {
            op: OP,
            message: format!("there is no memory for {} bytes", layout.size()),
        })?;
        Ok(HostPages { pages: Pages { ptr, owner: Owner::Ours(layout) }, len, of: PhantomData })
    }

    /// Takes memory that something else owns: a mapped file, shared memory, or memory of another library. `owner` is dropped when neither the program nor a device uses it any
    /// more, possibly on another thread, and as inside a callback: calls into ACL answer [`Error::InCallback`] in its destructor, and a panic there is logged.
    ///
    /// # Safety
    ///
    /// Until `owner` is dropped, `ptr` must be the address of `len` initialised values of `T`, aligned for `T`, that may be read and written, also when `owner` has been moved;
    /// and nobody else may read or write them: no other code, no other process, and no reference into them. What else lies on their pages is mapped for the device too: kernels
    /// that are given [the address](PinnedBuffer::device_address) could reach it.
    pub unsafe fn from_owner<O: Send + 'static>(owner: O, ptr: NonNull<T>, len: usize) -> HostPages<T> {
        let owner = Owner::Theirs { _owner: Some(Box::new(Owned::new(owner))) };
        HostPages { pages: Pages { ptr: ptr.cast(), owner }, len, of: PhantomData }
    }
}

impl<T: DeviceCopy> Deref for HostPages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: [memory, bits] the pages hold `len` values, zeroed when they were allocated, or as who took them promised.
        unsafe { slice::from_raw_parts(self.pages.ptr.as_ptr().cast(), self.len) }
    }
}

impl<T: DeviceCopy> DerefMut for HostPages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: [memory, bits] as in `deref`; the pages are borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.pages.ptr.as_ptr().cast(), self.len) }
    }
}

impl<T: DeviceCopy + fmt::Debug> fmt::Debug for HostPages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostPages").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What makes page-locked memory of pages of the program. Dropped without [`end`](Registration::end), the pages stay for ever: a device may be using them.
pub(super) struct Registration {
    /// `None` when they were given back.
    pages: Option<Pages>,
    /// Their address on the device; null if they are empty.
    device: SendRaw,
    /// Whether ACL was told of them. Not of those that are empty.
    is_made: bool,
}

impl Registration {
    /// Ends it: the pages belong to the program again. The context must be current.
    fn end(&self, context: &Context) -> Result<()> {
        match &self.pages {
            Some(pages) if self.is_made => {
                // SAFETY: [once] registered with aclrtHostRegister, and not ended: who ends it takes the pages.
                unsafe { acl!(context, aclrtHostUnregister(pages.ptr.as_ptr())) }
            }
            _ => Ok(()),
        }
    }

    /// Ends it, and drops the pages.
    pub(super) fn dispose(mut self, context: &Context) -> Result<()> {
        self.end(context)?;
        drop(self.pages.take());
        Ok(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(pages) = self.pages.take() {
            keep_for_ever(pages);
        }
    }
}

impl Context {
    /// Registers memory of the program with the device, and locks its pages: from then on it is page-locked memory as that of [`Context::alloc_pinned`], and kernels can use it where it is, at
    /// [an address of its own](PinnedBuffer::device_address). [`PinnedBuffer::unregister`] gives the pages back; dropping the buffer unregisters and frees them, as soon as no
    /// stream uses them.
    ///
    /// Needs CANN 8.1 and a chip of the Ascend 910B family or newer, and a kernel newer than Linux 5.10: older ones let devices only into memory of ACL.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use ascendcl::{Error, ErrorKind, HostPages};
    ///
    /// let context = ascendcl::Acl::new()?.device(0)?.create_context()?;
    /// let stream = context.create_stream()?;
    /// let mut frame = HostPages::<u8>::new(640 * 480)?;
    /// frame.fill(7);
    /// let device = context.alloc::<u8>(frame.len())?;
    /// match context.register_host(frame) {
    ///     Ok(pinned) => {
    ///         let pinned = stream.upload(pinned, &device)?.wait()?;
    ///         let frame = pinned.unregister()?; // memory of the program again
    ///         assert_eq!(frame[0], 7);
    ///     }
    ///     // An Ascend 310 cannot: copy from where it is.
    ///     Err(rejected) if rejected.error.code().is_some_and(|code| code.kind() == ErrorKind::NotSupported) => {
    ///         let frame = rejected.returned.expect("the pages come back");
    ///         device.copy_from_slice(&frame)?;
    ///     }
    ///     Err(rejected) => return Err(rejected.error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) if the chip cannot; [`Error::MissingSymbol`] before CANN 8.1; [`Error::Os`] if the kernel is too old;
    /// [`Error::Mismatch`] if the memory does not begin on a page of 4096 bytes; [`ErrorKind::AlreadyDone`](crate::ErrorKind::AlreadyDone) if other code has registered it. The pages come
    /// back in the error, unless nobody can tell whether they are registered.
    #[doc(alias = "aclrtHostRegister")]
    pub fn register_host<T: DeviceCopy>(
        &self,
        pages: HostPages<T>,
    ) -> Result<PinnedBuffer<T>, Rejected<HostPages<T>>> {
        let bytes = mem::size_of_val(&*pages);
        let mut device = ptr::null_mut();
        let registered = self.check_pages(&pages).and_then(|()| {
            // Size 0 never reaches ACL, which refuses it.
            if bytes == 0 {
                return Ok(());
            }
            self.bind_checked(OP)?;
            let start = pages.pages.ptr.as_ptr();
            // SAFETY: [place, memory] the pages hold that many bytes, and stay until they are unregistered; a valid place for the answer. The context is current.
            unsafe {
                acl!(self, aclrtHostRegister(start, bytes as u64, sys::ACL_HOST_REGISTER_MAPPED, &mut device))
            }
        });
        if let Err(error) = registered {
            // What other code has registered is its own to end.
            let theirs =
                error.code().is_some_and(|code| code.0 == sys::ACL_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
            let returned = if theirs || error.is_refusal() { Some(pages) } else { self.take_back(pages) };
            return Err(Rejected { error, returned });
        }
        let HostPages { pages, len, .. } = pages;
        let ptr = if bytes == 0 { ptr::null_mut() } else { pages.ptr.as_ptr() };
        let registration =
            Registration { pages: Some(pages), device: SendRaw::new(device), is_made: bytes > 0 };
        Ok(PinnedBuffer::new(PinnedMemory::registered(self, ptr, registration), len))
    }

    /// Pages that may have been registered, or not. They are given back when it is certain that they are not: what comes to lie there later would be taken for
    /// registered, and copied from and to where these pages were.
    fn take_back<T: DeviceCopy>(&self, pages: HostPages<T>) -> Option<HostPages<T>> {
        let HostPages { pages, len, .. } = pages;
        let device = SendRaw::new(ptr::null_mut());
        let mut registration = Registration { pages: Some(pages), device, is_made: true };
        match self.bind_checked("aclrtHostUnregister").and_then(|()| registration.end(self)) {
            Ok(()) => {}
            Err(Error::Acl(error))
                if error.code.is_refusal() || error.code.0 == sys::ACL_ERROR_HOST_MEMORY_NOT_REGISTERED => {}
            Err(_) => return None,
        }
        let pages = registration.pages.take()?;
        Some(HostPages { pages, len, of: PhantomData })
    }

    fn check_pages<T: DeviceCopy>(&self, pages: &HostPages<T>) -> Result<()> {
        if mem::size_of_val(&**pages) > 0 && !pages.pages.ptr.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            let what = format!(
                "the memory does not begin on a page of {ALIGNMENT} bytes; HostPages::new allocates memory that does"
            );
            return Err(Error::Mismatch { op: OP, what });
        }
        match self.device().acl().backend() {
            Backend::Cann { .. } => check_kernel(&kernel_release()),
            _ => Ok(()),
        }
    }
}

impl<T: DeviceCopy> PinnedBuffer<T> {
    /// The address that kernels on the device use this memory at, if it was [registered](Context::register_host). It is for kernels only: ACL's copies refuse it. Valid as long as this
    /// buffer, or a transfer that has it, is there.
    ///
    /// Whoever gives it to a kernel (through [`Acl::raw`](crate::Acl::raw)) sees to it that the kernel has ended before the buffer is dropped, unregistered, or used as a slice in
    /// a way that races with the kernel.
    #[doc(alias = "aclrtHostRegister")]
    pub fn device_address(&self) -> Option<*mut c_void> {
        let device = self.memory().registration()?.device.get();
        (!device.is_null()).then_some(device)
    }

    /// Ends a [registration](Context::register_host), and gives the pages back.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the memory is ACL's own; an error of ACL; [`Error::InCallback`] inside a callback. The buffer comes back in the error and stays as it
    /// was, unless nobody can tell whether the device can still reach it: then the memory stays for ever.
    #[doc(alias = "aclrtHostUnregister")]
    pub fn unregister(mut self) -> Result<HostPages<T>, Rejected<PinnedBuffer<T>>> {
        const OP: &str = "aclrtHostUnregister";
        let (context, len) = (self.context().clone(), self.len());
        // A buffer that somebody holds is the only owner: streams become owners of what was dropped.
        let Some(registration) = Arc::get_mut(self.memory_mut()).and_then(PinnedMemory::registration_mut)
        else {
            let what = "the memory is ACL's own, and not registered; drop it to free it".to_owned();
            return Err(Rejected { error: Error::Mismatch { op: OP, what }, returned: Some(self) });
        };
        match context.bind_checked(OP).and_then(|()| registration.end(&context)) {
            Ok(()) => {
                let pages = registration.pages.take();
                let pages = pages.ok_or(Error::AlreadyTaken { what: "the registration" });
                pages
                    .map(|pages| HostPages { pages, len, of: PhantomData })
                    .map_err(|error| Rejected { error, returned: None })
            }
            Err(error) if error.is_refusal() => Err(Rejected { error, returned: Some(self) }),
            Err(error) => {
                // As when it is dropped and that fails: the pages stay, what they were registered in need not.
                registration.pages.take().into_iter().for_each(keep_for_ever);
                Err(Rejected { error, returned: None })
            }
        }
    }
}

/// What the kernel says it is.
fn kernel_release() -> String {
    // SAFETY: [os] all bytes of the structure may be zero; the function fills it with texts that end.
    unsafe {
        let mut name: libc::utsname = mem::zeroed();
        libc::uname(&mut name);
        CStr::from_ptr(name.release.as_ptr()).to_string_lossy().into_owned()
    }
}

/// Refuses kernels on which devices may only use memory that ACL allocated.
fn check_kernel(release: &str) -> Result<()> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) > OLD_KERNEL => Ok(()),
        _ => Err(Error::Os {
            op: OP,
            message: format!(
                "the kernel ({release}) lets devices only into memory of ACL: use Context::alloc_pinned, or a kernel newer than 5.10"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels() {
        for new in ["5.11.0", "5.15.0-91-generic", "6.6.0-28.0.0.34.oe2403.aarch64", "10.0"] {
            check_kernel(new).unwrap_or_else(|error| panic!("{new}: {error}"));
        }
        for old in ["5.10.0-60.18.0.50.oe2203.x86_64", "4.19.90", "5.4", "3.10.0-957.el7", "", "5", "new"] {
            assert!(matches!(check_kernel(old), Err(Error::Os { .. })), "{old}");
        }
        assert!(kernel_release().contains('.'));
    }

    #[test]
    fn pages_are_whole_and_zero() {
        for len in [1, 7, 1024, 1025, 100_000] {
            let pages = HostPages::<u32>::new(len).unwrap();
            assert!(pages.as_ptr().addr().is_multiple_of(PAGE));
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|&value| value == 0));
            let Owner::Ours(layout) = pages.pages.owner else { panic!("it was allocated here") };
            assert!(layout.size().is_multiple_of(PAGE) && layout.size() >= 4 * len);
        }
        assert!(HostPages::<u64>::new(0).unwrap().is_empty());
        assert_eq!(HostPages::<[u64; 0]>::new(5).unwrap().len(), 5);
        assert!(matches!(HostPages::<u64>::new(usize::MAX), Err(Error::Length { .. })));
        assert!(matches!(
            HostPages::<u8>::new(isize::MAX as usize),
            Err(Error::Length { .. } | Error::Os { .. })
        ));
    }
}
