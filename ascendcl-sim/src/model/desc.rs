//! `aclmdlDesc`: an object that is filled with the description of a model, again and again if the program likes.
//!
//! Strings given out of it live as long as its contents. Each filling makes new ones, also for the same model, and overwrites the old ones
//! before it gives them back: a program that kept a name too long reads nonsense rather than, by luck, the name.

use core::ffi::{CStr, c_char};
use std::ffi::CString;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclmdlDesc, aclmdlIODims};

use super::describe::{Description, Tensor};
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static DESCS: Table<Desc> = Table::new(Kind::ModelDesc);

/// `aclmdlDesc`.
pub(crate) struct Desc(Mutex<Option<Contents>>);

struct Contents {
    /// 0 if the description came from a file.
    model: u32,
    description: Arc<Description>,
    inputs: Vec<Name>,
    outputs: Vec<Name>,
}

/// Inputs or outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Input,
    Output,
}

/// A C string that C may point to, overwritten when it goes.
struct Name(Box<[u8]>);

impl Name {
    fn new(name: &CStr) -> Name {
        Name(name.to_bytes_with_nul().into())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // The zero at the end stays, so that whoever still reads this stops.
        let end = self.0.len() - 1;
        self.0[..end].fill(b'?');
        std::hint::black_box(&mut self.0);
    }
}

impl Contents {
    fn tensors(&self, side: Side) -> &[Tensor] {
        match side {
            Side::Input => &self.description.inputs,
            Side::Output => &self.description.outputs,
        }
    }

    /// The name that stands in `aclmdlIODims`: the tensor's own, or a made-up one if that does not fit.
    fn short_name(&self, side: Side, index: usize) -> CString {
        let name = &self.tensors(side)[index].name;
        if name.count_bytes() < sys::ACL_MAX_TENSOR_NAME_LEN as usize {
            return name.clone();
        }
        let side = if side == Side::Input { "input" } else { "output" };
        CString::new(format!("acl_modelId_{}_{side}_{index}", self.model)).unwrap_or_default()
    }
}

impl Desc {
    /// Replaces what it describes.
    pub(crate) fn fill(&self, model: u32, description: Arc<Description>) {
        let names = |tensors: &[Tensor]| tensors.iter().map(|tensor| Name::new(&tensor.name)).collect();
        let contents = Contents {
            model,
            inputs: names(&description.inputs),
            outputs: names(&description.outputs),
            description,
        };
        let old = self.0.lock().replace(contents);
        drop(old);
    }

    /// How many inputs or outputs; 0 while it is empty.
    pub(crate) fn len(&self, side: Side) -> usize {
        self.0.lock().as_ref().map_or(0, |contents| contents.tensors(side).len())
    }

    /// Something about one input or output; `None` for an index out of range or an empty description.
    pub(crate) fn tensor<R>(&self, side: Side, index: usize, read: impl FnOnce(&Tensor) -> R) -> Option<R> {
        self.0.lock().as_ref()?.tensors(side).get(index).map(read)
    }

    /// The name of one input or output, alive until the next filling or the end of the description.
    pub(crate) fn name(&self, side: Side, index: usize) -> Option<*const c_char> {
        let contents = self.0.lock();
        let contents = contents.as_ref()?;
        let names = if side == Side::Input { &contents.inputs } else { &contents.outputs };
        names.get(index).map(|name| name.0.as_ptr().cast())
    }

    /// The index of the input or output with this name, its own or its short one.
    pub(crate) fn index_of(&self, side: Side, name: &CStr) -> Result<usize, aclError> {
        let contents = self.0.lock();
        let index = contents.as_ref().and_then(|contents| {
            let tensors = contents.tensors(side);
            let own = tensors.iter().position(|tensor| tensor.name.as_c_str() == name);
            own.or_else(|| {
                (0..tensors.len()).find(|&index| contents.short_name(side, index).as_c_str() == name)
            })
        });
        index.ok_or_else(|| {
            let text = format_args!("no {side:?} of the model has the name '{}'", name.to_string_lossy());
            fail(sys::ACL_ERROR_INVALID_PARAM, text)
        })
    }

    /// The name of the tensor whose own or short name this is.
    pub(crate) fn real_name(&self, name: &CStr) -> Option<*const c_char> {
        let contents = self.0.lock();
        let contents = contents.as_ref()?;
        [(Side::Input, &contents.inputs), (Side::Output, &contents.outputs)].into_iter().find_map(
            |(side, names)| {
                let index = (0..names.len()).find(|&index| {
                    contents.tensors(side)[index].name.as_c_str() == name
                        || contents.short_name(side, index).as_c_str() == name
                })?;
                Some(names[index].0.as_ptr().cast())
            },
        )
    }

    /// The dimensions of one input or output in ACL's shape: 100000 for an index out of range.
    pub(crate) fn dims(&self, side: Side, index: usize) -> Result<aclmdlIODims, aclError> {
        let contents = self.0.lock();
        let found = contents.as_ref().and_then(|contents| {
            let tensor = contents.tensors(side).get(index)?;
            let mut dims = aclmdlIODims { name: [0; 128], dimCount: tensor.dims.len(), dims: [0; 128] };
            for (to, from) in dims.name.iter_mut().zip(contents.short_name(side, index).as_bytes()) {
                *to = *from as c_char;
            }
            dims.dims[..tensor.dims.len()].copy_from_slice(&tensor.dims);
            Some(dims)
        });
        found.ok_or_else(|| {
            let count = contents.as_ref().map_or(0, |contents| contents.tensors(side).len());
            let text = format_args!("{side:?} {index} of a description with {count}");
            fail(sys::ACL_ERROR_INVALID_PARAM, text)
        })
    }
}

/// `aclmdlCreateDesc`. NULL if there are a million already.
pub(crate) fn create() -> *mut aclmdlDesc {
    let desc = Arc::new(Desc(Mutex::new(None)));
    DESCS.insert(desc, register(LiveKind::ModelDesc, "")).unwrap_or(ptr::null_mut()).cast()
}

/// `aclmdlDestroyDesc`.
pub(crate) fn destroy(handle: *const aclmdlDesc) -> Result<(), aclError> {
    DESCS.remove(handle.cast()).map(drop).ok_or_else(|| no_desc(handle))
}

/// The description behind a handle; `None` without a text if there is none.
pub(crate) fn peek(handle: *const aclmdlDesc) -> Option<Arc<Desc>> {
    DESCS.get(handle.cast())
}

/// The description behind a handle: 100000 if there is none.
pub(crate) fn find(handle: *const aclmdlDesc) -> Result<Arc<Desc>, aclError> {
    peek(handle).ok_or_else(|| no_desc(handle))
}

fn no_desc(handle: *const aclmdlDesc) -> aclError {
    let why = DESCS.describe(handle.cast());
    fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the model description {handle:p} {why}"))
}
