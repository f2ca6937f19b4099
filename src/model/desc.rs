//! [`ModelDesc`]: what a model expects and gives.

use super::{DataType, Format};
use crate::{
    Context, Error, Result,
    runtime::{Site, acl, recent_message},
};
use ascendcl_sys as sys;
use core::ffi::c_char;
use std::{ffi::CStr, fmt};

/// What a model expects and gives. A plain value, copied out of ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[doc(alias = "aclmdlDesc")]
#[doc(alias = "aclmdlCreateDesc")]
#[doc(alias = "aclmdlDestroyDesc")]
pub struct ModelDesc {
    /// The inputs, in the order in which a dataset has them.
    #[doc(alias = "aclmdlGetNumInputs")]
    pub inputs: Vec<TensorDesc>,
    /// The outputs, in the order in which a dataset has them.
    #[doc(alias = "aclmdlGetNumOutputs")]
    pub outputs: Vec<TensorDesc>,
}

/// One input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TensorDesc {
    /// Its name.
    #[doc(alias = "aclmdlGetInputNameByIndex")]
    #[doc(alias = "aclmdlGetOutputNameByIndex")]
    pub name: String,
    /// Its dimensions, in elements; -1 where they are dynamic.
    #[doc(alias = "aclmdlGetInputDims")]
    #[doc(alias = "aclmdlGetOutputDims")]
    pub dims: Vec<i64>,
    /// The type of its elements.
    #[doc(alias = "aclmdlGetInputDataType")]
    #[doc(alias = "aclmdlGetOutputDataType")]
    pub data_type: DataType,
    /// The order of its dimensions.
    #[doc(alias = "aclmdlGetInputFormat")]
    #[doc(alias = "aclmdlGetOutputFormat")]
    pub format: Format,
    /// The size of its buffer, in bytes: the model may want more than its elements take.
    #[doc(alias = "aclmdlGetInputSizeByIndex")]
    #[doc(alias = "aclmdlGetOutputSizeByIndex")]
    pub size: usize,
}

/// Which side of a model.
#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

/// A description while it is being read.
struct RawDesc<'a> {
    context: &'a Context,
    raw: *mut sys::aclmdlDesc,
}

impl Drop for RawDesc<'_> {
    fn drop(&mut self) {
        // SAFETY: [once] made by aclmdlCreateDesc, destroyed here only; everything read from it was copied.
        crate::drop_hook::report_failure(unsafe { acl!(self.context, aclmdlDestroyDesc(self.raw)) });
    }
}

impl ModelDesc {
    /// Reads the description of a loaded model. The context must be current.
    pub(super) fn read(context: &Context, model: u32) -> Result<ModelDesc> {
        let Some(create) = context.api().aclmdlCreateDesc else {
            return Err(Error::MissingSymbol { function: "aclmdlCreateDesc" });
        };
        // SAFETY: [plain] takes nothing.
        let raw = unsafe { create() };
        if raw.is_null() {
            return Err(Error::Model("aclmdlCreateDesc gave no description: out of memory".into()));
        }
        let desc = RawDesc { context, raw };
        // Whatever text is left is not about this.
        recent_message(context.api());
        // SAFETY: [handle] the description is alive; an unknown model is refused.
        unsafe { acl!(context, aclmdlGetDesc(raw, model)) }?;
        Ok(ModelDesc { inputs: desc.tensors(Side::Input)?, outputs: desc.tensors(Side::Output)? })
    }
}

impl fmt::Display for TensorDesc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?} {} ({} bytes)", self.name, self.data_type, self.dims, self.format, self.size)
    }
}

/// Calls a getter that answers with a value instead of a status. Where a value of that kind stands for a failure, the text that ACL keeps
/// tells.
macro_rules! get {
    ($desc:expr, $function:ident($($argument:expr),*), $failed:expr) => {
        match $desc.context.api().$function {
            Some(function) => {
                // SAFETY: [handle] the description is alive and filled, the index is below the number that ACL gave.
                let value = unsafe { function($desc.raw, $($argument),*) };
                if $failed(value) { $desc.failure(stringify!($function)).map(|()| value) } else { Ok(value) }
            }
            None => Err(Error::MissingSymbol { function: stringify!($function) }),
        }
    };
}

/// Null, or an empty text.
///
/// # Safety
///
/// `text` is null or points to a readable byte.
unsafe fn is_empty(text: *const c_char) -> bool {
    // SAFETY: [caller] not null, so it is readable.
    text.is_null() || unsafe { *text } == 0
}

impl RawDesc<'_> {
    fn tensors(&self, side: Side) -> Result<Vec<TensorDesc>> {
        let count = match side {
            Side::Input => get!(self, aclmdlGetNumInputs(), |count| count == 0)?,
            Side::Output => get!(self, aclmdlGetNumOutputs(), |count| count == 0)?,
        };
        (0..count).map(|index| self.tensor(side, index)).collect()
    }

    fn tensor(&self, side: Side, index: usize) -> Result<TensorDesc> {
        // SAFETY: [text] what it is asked of is null or a NUL-terminated string that lives as long as the description's contents.
        let is_empty = |text| unsafe { is_empty(text) };
        let (name, data_type, format, size) = match side {
            Side::Input => (
                get!(self, aclmdlGetInputNameByIndex(index), is_empty)?,
                get!(self, aclmdlGetInputDataType(index), |kind| kind == sys::ACL_DT_UNDEFINED)?,
                get!(self, aclmdlGetInputFormat(index), |format| format == sys::ACL_FORMAT_UNDEFINED)?,
                get!(self, aclmdlGetInputSizeByIndex(index), |size| size == 0)?,
            ),
            Side::Output => (
                get!(self, aclmdlGetOutputNameByIndex(index), is_empty)?,
                get!(self, aclmdlGetOutputDataType(index), |kind| kind == sys::ACL_DT_UNDEFINED)?,
                get!(self, aclmdlGetOutputFormat(index), |format| format == sys::ACL_FORMAT_UNDEFINED)?,
                get!(self, aclmdlGetOutputSizeByIndex(index), |size| size == 0)?,
            ),
        };
        let name = if name.is_null() {
            String::new()
        } else {
            // SAFETY: [text] a NUL-terminated string that lives as long as the description's contents; copied here.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        };
        let dims = self.dims(side, index)?;
        Ok(TensorDesc { name, dims, data_type: DataType(data_type.0), format: Format(format.0), size })
    }

    /// The error that a getter met, if it met one.
    fn failure(&self, function: &str) -> Result<()> {
        let message = recent_message(self.context.api());
        match message.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(reason) => Err(Error::Model(format!("{function} gave nothing: {reason}"))),
            None => Ok(()),
        }
    }

    fn dims(&self, side: Side, index: usize) -> Result<Vec<i64>> {
        // SAFETY: [bits] a plain C struct of numbers and characters, for which zero is a value.
        let mut dims: Box<sys::aclmdlIODims> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: [handle, place] the description is alive and filled, the index in range; a valid place for the answer.
        unsafe {
            match side {
                Side::Input => acl!(self.context, aclmdlGetInputDims(self.raw, index, &mut *dims)),
                Side::Output => acl!(self.context, aclmdlGetOutputDims(self.raw, index, &mut *dims)),
            }
        }?;
        // A count beyond the array would be a fault of ACL: take what is there.
        Ok(dims.dims.iter().take(dims.dimCount).copied().collect())
    }
}
