//! `aclmdlDesc`: an object that is filled with the description of a model, again and again if the program likes.
//!
//! Strings given out of it live as long as its contents. Each filling makes new ones, also for the same model, and overwrites the old ones
//! before it gives them back: a program that kept a name too long reads nonsense rather than, by luck, the name.

use core::ffi::{CStr, c_char};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclmdlDesc, aclmdlIODims, aclmdlIODimsRange};

use super::registry;
use super::tensor::{Description, MAX_DIMS, Side, Tensor};
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

static DESCS: Table<Desc> = Table::new(Kind::ModelDesc);

/// `aclmdlDesc`.
pub(crate) struct Desc(Mutex<Contents>);

/// What it holds; empty until it is filled, and after a filling that failed.
#[derive(Default)]
struct Contents {
    /// 0 if the description came from a file.
    model: u32,
    description: Arc<Description>,
    inputs: Vec<Name>,
    outputs: Vec<Name>,
    /// Attributes of operators that were asked for.
    attributes: BTreeMap<CString, Name>,
}

/// Which view of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Model,
    /// With what static AIPP makes of it.
    Buffer,
}

/// A C string that C may point to, overwritten when it goes.
struct Name(Box<[u8]>);

impl Name {
    fn new(name: &CStr) -> Name {
        Name(name.to_bytes_with_nul().into())
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
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

/// Letters that are tried behind a made-up name that a tensor already has.
const LETTERS: std::ops::RangeInclusive<char> = 'a'..='z';

impl Contents {
    fn tensors(&self, side: Side) -> &[Tensor] {
        self.description.tensors(side)
    }

    fn names(&self, side: Side) -> &[Name] {
        match side {
            Side::Input => &self.inputs,
            Side::Output => &self.outputs,
        }
    }

    /// The first input or output with this name.
    fn named(&self, name: &[u8]) -> Option<*const c_char> {
        [Side::Input, Side::Output].into_iter().find_map(|side| {
            let index = self.tensors(side).iter().position(|tensor| tensor.name.to_bytes() == name)?;
            self.names(side).get(index).map(Name::as_ptr)
        })
    }

    /// The name that stands in `aclmdlIODims`: the tensor's own, or a made-up one if that does not fit.
    fn short_name(&self, side: Side, index: usize) -> Vec<u8> {
        let name = &self.tensors(side)[index].name;
        if name.count_bytes() < sys::ACL_MAX_TENSOR_NAME_LEN as usize {
            return name.to_bytes().to_vec();
        }
        let side = if side == Side::Input { "input" } else { "output" };
        let short = format!("acl_modelId_{}_{side}_{index}", self.model);
        if self.named(short.as_bytes()).is_none() {
            return short.into_bytes();
        }
        let longer = LETTERS.map(|letter| format!("{short}_{letter}"));
        longer.into_iter().find(|name| self.named(name.as_bytes()).is_none()).unwrap_or(short).into_bytes()
    }

    /// The tensor that a made-up name stands for.
    fn made_up(&self, name: &str) -> Option<*const c_char> {
        let parts: Vec<&str> = name.split('_').collect();
        let (["acl", "modelId", model, side, index] | ["acl", "modelId", model, side, index, _]) = parts[..]
        else {
            return None;
        };
        let side = match side {
            "input" => Side::Input,
            "output" => Side::Output,
            _ => return None,
        };
        let own = model.parse::<u32>().ok()? == self.model;
        self.names(side).get(index.parse::<usize>().ok()?).filter(|_| own).map(Name::as_ptr)
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
            attributes: BTreeMap::new(),
        };
        let old = std::mem::replace(&mut *self.0.lock(), contents);
        drop(old);
    }

    /// Makes it describe nothing.
    pub(crate) fn clear(&self) {
        self.fill(0, Arc::default());
    }

    /// The id of the model it describes, and what it says.
    pub(crate) fn contents(&self) -> (u32, Arc<Description>) {
        let contents = self.0.lock();
        (contents.model, Arc::clone(&contents.description))
    }

    /// How many inputs or outputs; 0 while it is empty.
    pub(crate) fn len(&self, side: Side) -> usize {
        self.0.lock().tensors(side).len()
    }

    /// Something about one input or output; `None` for an index out of range or an empty description.
    pub(crate) fn tensor<R>(&self, side: Side, index: usize, read: impl FnOnce(&Tensor) -> R) -> Option<R> {
        self.0.lock().tensors(side).get(index).map(read)
    }

    /// The name of one input or output, alive until the next filling or the end of the description.
    pub(crate) fn name(&self, side: Side, index: usize) -> Option<*const c_char> {
        self.0.lock().names(side).get(index).map(Name::as_ptr)
    }

    /// The index of the input or output with this name.
    pub(crate) fn index_of(&self, side: Side, name: &CStr) -> Result<usize, aclError> {
        let contents = self.0.lock();
        contents.tensors(side).iter().position(|tensor| tensor.name.as_c_str() == name).ok_or_else(|| {
            let text = format!("no {side:?} of the model has the name '{}'", name.to_string_lossy());
            fail(sys::ACL_ERROR_INVALID_PARAM, text)
        })
    }

    /// The name of the tensor whose own or made-up name this is.
    pub(crate) fn real_name(&self, name: &CStr) -> Option<*const c_char> {
        let contents = self.0.lock();
        contents.named(name.to_bytes()).or_else(|| contents.made_up(name.to_str().ok()?))
    }

    /// Keeps an attribute of an operator for C to point to; the one that was there first stays.
    pub(crate) fn keep_attribute(&self, operator: &CStr, value: &CStr) -> *const c_char {
        let mut contents = self.0.lock();
        contents.attributes.entry(operator.to_owned()).or_insert_with(|| Name::new(value)).as_ptr()
    }

    /// Dimensions in ACL's shape, with the name of the tensor they are of.
    pub(crate) fn io_dims(&self, side: Side, index: usize, values: &[i64]) -> aclmdlIODims {
        let contents = self.0.lock();
        let mut dims = aclmdlIODims { name: [0; 128], dimCount: values.len(), dims: [0; MAX_DIMS] };
        if index < contents.tensors(side).len() {
            for (to, from) in dims.name.iter_mut().zip(contents.short_name(side, index)) {
                *to = from as c_char;
            }
        }
        for (to, from) in dims.dims.iter_mut().zip(values) {
            *to = *from;
        }
        dims
    }

    /// The dimensions of one input or output in ACL's shape: 100000 for an index out of range, 300000 for more than ACL has room for.
    pub(crate) fn dims(&self, side: Side, index: usize, view: View) -> Result<aclmdlIODims, aclError> {
        let values = self.tensor(side, index, |tensor| match view {
            View::Model => tensor.dims.clone(),
            View::Buffer => tensor.dims_v2.clone(),
        });
        let values = values.ok_or_else(|| self.out_of_range(side, index))?;
        if values.len() > MAX_DIMS {
            let text = format!("{side:?} {index} has {} dimensions, more than {MAX_DIMS}", values.len());
            return Err(fail(sys::ACL_ERROR_STORAGE_OVER_LIMIT, text));
        }
        Ok(self.io_dims(side, index, &values))
    }

    /// The smallest and largest size of each axis of an input. Models with gears have no ranges.
    pub(crate) fn ranges(&self, index: usize) -> Result<aclmdlIODimsRange, aclError> {
        let mut ranges = aclmdlIODimsRange { rangeCount: 0, range: [[0; 2]; MAX_DIMS] };
        let (_, description) = self.contents();
        if !description.gears.is_empty() {
            return Ok(ranges);
        }
        let tensor = description.inputs.get(index).ok_or_else(|| self.out_of_range(Side::Input, index))?;
        let pairs: Vec<[i64; 2]> = match tensor.ranges.is_empty() {
            true => tensor.dims.iter().map(|&dim| [dim, dim]).collect(),
            false => tensor.ranges.iter().map(|&(low, high)| [low, high]).collect(),
        };
        if pairs.len() > MAX_DIMS || (!tensor.ranges.is_empty() && pairs.len() != tensor.dims.len()) {
            let (count, axes) = (pairs.len(), tensor.dims.len());
            let text = format!("input {index} has {count} ranges for {axes} axes");
            return Err(fail(sys::ACL_ERROR_INTERNAL_ERROR, text));
        }
        ranges.rangeCount = pairs.len();
        ranges.range[..pairs.len()].copy_from_slice(&pairs);
        Ok(ranges)
    }

    fn out_of_range(&self, side: Side, index: usize) -> aclError {
        let count = self.len(side);
        fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("{side:?} {index} of a description with {count}"))
    }
}

/// Fills a description with that of a loaded model: what was in it is gone even if there is none.
pub(crate) fn fill_from_model(desc: &Desc, id: u32) -> Result<(), aclError> {
    desc.clear();
    registry::check_executor()?;
    let model = registry::find(id)?;
    desc.fill(model.id(), Arc::clone(model.description()));
    Ok(())
}

/// `aclmdlCreateDesc`. NULL if there are a million already.
pub(crate) fn create() -> *mut aclmdlDesc {
    let desc = Arc::new(Desc(Mutex::default()));
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
