//! Argument lists that a program puts together piece by piece, `aclrtArgsHandle`.
//!
//! Each thread has one list of its own, which `aclrtKernelArgsInit` empties and gives out under the same handle again and again; besides, a
//! program may provide the memory of further lists, which are then known by its address.

use core::ffi::c_void;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError, aclrtArgsHandle, aclrtParamHandle};

use super::binary::Function;
use super::task::{Arguments, Placeholder};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

/// Parameters of a kernel.
pub(crate) const MAX_PARAMS: usize = 128;
/// Bytes of a list whose memory is the runtime's.
const OWN_SIZE: usize = 64 * 1024;
/// What a list takes of the program's memory besides its arguments, and each parameter.
const HANDLE_SIZE: usize = 96;
const PARAM_SIZE: usize = 48;
/// Parameters that the runtime may put in front of the program's own, 8 bytes each.
const SYSTEM_PARAMS: usize = 8;

static LISTS: Table<List> = Table::new(Kind::KernelArgs);
static PARAMS: Table<Param> = Table::new(Kind::KernelParam);
/// Lists in memory of the program, by its address.
static USER_LISTS: Mutex<BTreeMap<usize, Arc<List>>> = Mutex::new(BTreeMap::new());

/// An argument list.
pub(crate) struct List {
    state: Mutex<State>,
    /// Its memory, if that is not the program's: nobody looks into it but through the state.
    _memory: Option<Box<[u64]>>,
}

struct State {
    function: Option<Arc<Function>>,
    buffer: Buffer,
    /// Bytes in use.
    used: usize,
    params: Vec<(usize, Arc<Param>)>,
    /// Data behind placeholders was laid out: no more parameters.
    has_data: bool,
    finalized: bool,
    updating: bool,
}

/// Memory that the program writes to through the addresses it was given.
#[derive(Clone, Copy)]
struct Buffer {
    address: *mut u8,
    size: usize,
}

// SAFETY: [threads] only the address is sent; the bytes belong to the program, which decides which thread works with a list.
unsafe impl Send for Buffer {}

/// A parameter in a list.
pub(crate) struct Param {
    list: Weak<List>,
    offset: usize,
    size: usize,
    /// For a placeholder, where its data is: 0 while there is none.
    data: Option<Mutex<usize>>,
}

/// The list of a thread.
struct Own {
    handle: aclrtArgsHandle,
    list: Arc<List>,
}

thread_local! {
    static OWN: std::cell::RefCell<Option<Own>> = const { std::cell::RefCell::new(None) };
}

impl Drop for Own {
    fn drop(&mut self) {
        LISTS.remove(self.handle);
        self.list.state.lock().clear_params();
    }
}

impl State {
    fn new(function: Option<Arc<Function>>, buffer: Buffer) -> Self {
        Self {
            function,
            buffer,
            used: 0,
            params: Vec::new(),
            has_data: false,
            finalized: false,
            updating: false,
        }
    }

    fn clear_params(&mut self) {
        for (handle, _) in self.params.drain(..) {
            PARAMS.remove(ptr::without_provenance(handle));
        }
    }

    fn is_cpu(&self) -> bool {
        self.function.as_ref().is_some_and(|function| function.is_cpu())
    }

    /// Where `size` more bytes go: arguments of a CPU kernel lie close together.
    fn place(&self, size: usize) -> Result<usize, aclError> {
        let align = if self.is_cpu() { 1 } else { 8 };
        let offset = self.used.next_multiple_of(align);
        match offset.checked_add(size) {
            Some(end) if end <= self.buffer.size => Ok(offset),
            _ => Err(wrong(format_args!(
                "{size} bytes more do not fit: {} of {} bytes of arguments are in use",
                self.used, self.buffer.size
            ))),
        }
    }

    fn check_open(&self) -> Result<(), aclError> {
        let why = if self.finalized {
            "the arguments are finalised: no parameter and no data can be added"
        } else if self.has_data {
            "data of a placeholder was laid out: no parameter can be added behind it"
        } else {
            return Ok(());
        };
        Err(fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, why))
    }

    fn check_room(&self) -> Result<(), aclError> {
        if self.params.len() < MAX_PARAMS {
            return Ok(());
        }
        Err(wrong(format_args!("a kernel has at most {MAX_PARAMS} parameters")))
    }

    fn add(&mut self, param: Param) -> Result<aclrtParamHandle, aclError> {
        let end = param.offset + param.size;
        let param = Arc::new(param);
        let kept = Arc::clone(&param);
        let handle = PARAMS.insert_with(None, |_| kept);
        let handle = handle
            .ok_or_else(|| fail(sys::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, "too many kernel parameters"))?;
        self.params.push((handle.addr(), param));
        self.used = end;
        Ok(handle)
    }
}

/// `aclrtKernelArgsInit`: empties the list of this thread.
pub(crate) fn init(function: Arc<Function>) -> Result<aclrtArgsHandle, aclError> {
    let empty = |own: &std::cell::RefCell<Option<Own>>| {
        let mut own = own.borrow_mut();
        let own = match &mut *own {
            Some(own) => own,
            none => none.insert(own_list()?),
        };
        let mut state = own.list.state.lock();
        state.clear_params();
        *state = State::new(Some(function), state.buffer);
        Ok(own.handle)
    };
    // A thread that is ending has no list any more.
    let ending = |_| Err(fail(sys::ACL_ERROR_RT_MEMORY_ALLOCATION, "the thread is ending"));
    OWN.try_with(empty).unwrap_or_else(ending)
}

fn own_list() -> Result<Own, aclError> {
    let mut memory = vec![0u64; OWN_SIZE / 8].into_boxed_slice();
    let buffer = Buffer { address: memory.as_mut_ptr().cast(), size: OWN_SIZE };
    let list = Arc::new(List { state: Mutex::new(State::new(None, buffer)), _memory: Some(memory) });
    let kept = Arc::clone(&list);
    match LISTS.insert_with(None, |_| kept) {
        Some(handle) => Ok(Own { handle, list }),
        None => Err(fail(sys::ACL_ERROR_RT_MEMORY_ALLOCATION, "too many argument lists")),
    }
}

/// `aclrtKernelArgsInitByUserMem` after its checks.
pub(crate) fn init_by_user(
    function: Arc<Function>,
    handle: aclrtArgsHandle,
    memory: *mut c_void,
    size: usize,
) {
    let state = State::new(Some(function), Buffer { address: memory.cast(), size });
    let list = Arc::new(List { state: Mutex::new(state), _memory: None });
    if let Some(old) = USER_LISTS.lock().insert(handle.addr(), list) {
        old.state.lock().clear_params();
    }
}

/// The function of this handle is gone, and the lists in the program's memory that were for it.
pub(super) fn forget(function: usize) {
    let is_for =
        |list: &List| list.state.lock().function.as_ref().is_some_and(|of| of.handle().addr() == function);
    let mut lists = USER_LISTS.lock();
    let gone: Vec<usize> =
        lists.iter().filter(|(_, list)| is_for(list)).map(|(address, _)| *address).collect();
    for address in gone {
        if let Some(list) = lists.remove(&address) {
            list.state.lock().clear_params();
        }
    }
}

/// The list behind a handle: 107017 if there is none.
pub(crate) fn find(handle: aclrtArgsHandle) -> Result<Arc<List>, aclError> {
    let list = LISTS.get(handle).or_else(|| USER_LISTS.lock().get(&handle.addr()).cloned());
    list.ok_or_else(|| {
        let why = LISTS.describe(handle);
        fail(sys::ACL_ERROR_RT_INVALID_HANDLE, format_args!("the kernel arguments {handle:p} {why}"))
    })
}

/// The parameter behind a handle: 107017 if there is none.
pub(crate) fn find_param(handle: aclrtParamHandle) -> Result<Arc<Param>, aclError> {
    PARAMS.get(handle).ok_or_else(|| {
        let why = PARAMS.describe(handle);
        fail(sys::ACL_ERROR_RT_INVALID_HANDLE, format_args!("the kernel parameter {handle:p} {why}"))
    })
}

impl List {
    /// `aclrtKernelArgsAppend`.
    ///
    /// # Safety
    /// `size` bytes at `value` are readable.
    pub(crate) unsafe fn append(
        self: &Arc<Self>,
        value: *const c_void,
        size: usize,
    ) -> Result<aclrtParamHandle, aclError> {
        let mut state = self.state.lock();
        state.check_open()?;
        state.check_room()?;
        let offset = state.place(size)?;
        // SAFETY: [caller, memory] the source is readable (contract); `place` checked that the list has this room.
        unsafe { libc::memmove(state.buffer.address.add(offset).cast(), value, size) };
        state.add(Param { list: Arc::downgrade(self), offset, size, data: None })
    }

    /// `aclrtKernelArgsAppendPlaceHolder`.
    pub(crate) fn append_placeholder(self: &Arc<Self>) -> Result<aclrtParamHandle, aclError> {
        let mut state = self.state.lock();
        state.check_open()?;
        state.check_room()?;
        let size = size_of::<u64>();
        let offset = state.place(size)?;
        state.add(Param { list: Arc::downgrade(self), offset, size, data: Some(Mutex::new(0)) })
    }

    /// `aclrtKernelArgsGetPlaceHolderBuffer`: memory that travels with the arguments.
    pub(crate) fn placeholder_buffer(
        self: &Arc<Self>,
        param: &Param,
        size: usize,
    ) -> Result<*mut c_void, aclError> {
        let Some(data) = &param.data else {
            return Err(wrong("the parameter is no placeholder"));
        };
        let mut state = self.state.lock();
        if state.finalized {
            return Err(fail(
                sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
                "the arguments are finalised: no parameter and no data can be added",
            ));
        }
        self.check_own(param)?;
        let offset = state.place(size)?;
        state.has_data = true;
        *data.lock() = offset;
        state.used = offset + size;
        // SAFETY: [memory] `place` checked that the offset is inside the memory.
        Ok(unsafe { state.buffer.address.add(offset) }.cast())
    }

    /// `aclrtKernelArgsParaUpdate`.
    ///
    /// # Safety
    /// `size` bytes at `value` are readable.
    pub(crate) unsafe fn update(
        self: &Arc<Self>,
        param: &Param,
        value: *const c_void,
        size: usize,
    ) -> Result<(), aclError> {
        if param.data.is_some() {
            return Err(wrong("a placeholder has no value that can be updated"));
        }
        if param.size != size {
            return Err(wrong(format_args!("{size} bytes for a parameter of {} bytes", param.size)));
        }
        self.check_own(param)?;
        let mut state = self.state.lock();
        // SAFETY: [caller, memory] the source is readable (contract); the parameter lies inside the memory of its own list.
        unsafe { libc::memmove(state.buffer.address.add(param.offset).cast(), value, size) };
        state.updating = true;
        Ok(())
    }

    /// `aclrtKernelArgsFinalize`, as often as the program likes.
    pub(crate) fn finalize(&self) {
        let mut state = self.state.lock();
        state.finalized = true;
        state.updating = false;
    }

    /// A copy of the arguments for a launch: 107000 if the list is not ready.
    pub(crate) fn arguments(&self) -> Result<Arguments, aclError> {
        let state = self.state.lock();
        if !state.finalized || state.updating {
            return Err(wrong("the arguments are not finalised, or were updated afterwards"));
        }
        if state.used == 0 {
            return Err(wrong("the list of arguments is empty"));
        }
        let mut bytes = vec![0; state.used];
        // SAFETY: [memory] `place` keeps what is in use inside the memory, which the program keeps alive as long as it uses the list.
        unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), state.buffer.address.cast(), state.used) };
        let placeholder = |(_, param): &(usize, Arc<Param>)| {
            let data = *param.data.as_ref()?.lock();
            Some(Placeholder { address: param.offset as u32, data: data as u32 })
        };
        Ok(Arguments::Host { bytes, placeholders: state.params.iter().filter_map(placeholder).collect() })
    }

    fn check_own(self: &Arc<Self>, param: &Param) -> Result<(), aclError> {
        if ptr::eq(param.list.as_ptr(), Arc::as_ptr(self)) {
            return Ok(());
        }
        Err(wrong("the parameter is one of another list of arguments"))
    }
}

/// `aclrtKernelArgsGetHandleMemSize`
pub(crate) fn handle_size(_: &Function) -> usize {
    HANDLE_SIZE + MAX_PARAMS * PARAM_SIZE
}

/// `aclrtKernelArgsGetMemSize`: with room for padding and for what the runtime adds.
pub(crate) fn memory_size(function: &Function, arguments: usize) -> usize {
    if function.is_cpu() { arguments } else { arguments.wrapping_add((SYSTEM_PARAMS + MAX_PARAMS) * 8) }
}

fn wrong(text: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, text)
}
