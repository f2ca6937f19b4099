//! [`ModelDesc`]: what a model expects and gives.

use crate::{
    Context, Error, Result,
    runtime::{Site, acl},
};
use ascendcl_sys as sys;
use std::{ffi::CStr, fmt};

/// What a model expects and gives. A plain value, copied out of ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
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

macro_rules! named_integers {
    ($(#[$doc:meta])* $name:ident($raw:ident) { $($constant:ident = $value:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub i32);

        impl $name {
            $(
                #[doc = concat!("`", stringify!($value), "`.")]
                pub const $constant: $name = $name(sys::$value.0);
            )*

            fn name(self) -> Option<&'static str> {
                match self {
                    $($name::$constant => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, concat!(stringify!($raw), "({})"), self.0),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

named_integers! {
    /// The type of a tensor's elements: a number, because newer releases add types.
    #[doc(alias = "aclDataType")]
    DataType(aclDataType) {
        F32 = ACL_FLOAT "f32",
        F16 = ACL_FLOAT16 "f16",
        BF16 = ACL_BF16 "bf16",
        F64 = ACL_DOUBLE "f64",
        I8 = ACL_INT8 "i8",
        I16 = ACL_INT16 "i16",
        I32 = ACL_INT32 "i32",
        I64 = ACL_INT64 "i64",
        U8 = ACL_UINT8 "u8",
        U16 = ACL_UINT16 "u16",
        U32 = ACL_UINT32 "u32",
        U64 = ACL_UINT64 "u64",
        BOOL = ACL_BOOL "bool",
        STRING = ACL_STRING "string",
        COMPLEX64 = ACL_COMPLEX64 "complex64",
        COMPLEX128 = ACL_COMPLEX128 "complex128",
        UNDEFINED = ACL_DT_UNDEFINED "undefined",
    }
}

named_integers! {
    /// The order of a tensor's dimensions: a number, because newer releases add formats.
    #[doc(alias = "aclFormat")]
    Format(aclFormat) {
        NCHW = ACL_FORMAT_NCHW "NCHW",
        NHWC = ACL_FORMAT_NHWC "NHWC",
        ND = ACL_FORMAT_ND "ND",
        NC1HWC0 = ACL_FORMAT_NC1HWC0 "NC1HWC0",
        FRACTAL_Z = ACL_FORMAT_FRACTAL_Z "FRACTAL_Z",
        HWCN = ACL_FORMAT_HWCN "HWCN",
        NDHWC = ACL_FORMAT_NDHWC "NDHWC",
        FRACTAL_NZ = ACL_FORMAT_FRACTAL_NZ "FRACTAL_NZ",
        NCDHW = ACL_FORMAT_NCDHW "NCDHW",
        NDC1HWC0 = ACL_FORMAT_NDC1HWC0 "NDC1HWC0",
        NC = ACL_FORMAT_NC "NC",
        NCL = ACL_FORMAT_NCL "NCL",
        UNDEFINED = ACL_FORMAT_UNDEFINED "undefined",
    }
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
        // SAFETY: made by aclmdlCreateDesc, destroyed here only; everything read from it was copied.
        crate::drop_hook::report_failure(unsafe { acl!(self.context, aclmdlDestroyDesc(self.raw)) });
    }
}

impl ModelDesc {
    /// Reads the description of a loaded model. The context must be current.
    pub(super) fn read(context: &Context, model: u32) -> Result<ModelDesc> {
        let Some(create) = context.api().aclmdlCreateDesc else {
            return Err(Error::MissingSymbol { function: "aclmdlCreateDesc" });
        };
        // SAFETY: takes nothing.
        let raw = unsafe { create() };
        if raw.is_null() {
            return Err(Error::Model("aclmdlCreateDesc gave no description: out of memory".into()));
        }
        let desc = RawDesc { context, raw };
        // SAFETY: the description is alive; an unknown model is refused.
        unsafe { acl!(context, aclmdlGetDesc(raw, model)) }?;
        Ok(ModelDesc { inputs: desc.tensors(Side::Input)?, outputs: desc.tensors(Side::Output)? })
    }
}

impl fmt::Display for TensorDesc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?} {} ({} bytes)", self.name, self.data_type, self.dims, self.format, self.size)
    }
}

/// Calls a getter that answers with a value instead of a status.
macro_rules! get {
    ($desc:expr, $function:ident($($argument:expr),*)) => {
        match $desc.context.api().$function {
            // SAFETY: the description is alive and filled, the index is below the number that ACL gave.
            Some(function) => Ok(unsafe { function($desc.raw, $($argument),*) }),
            None => Err(Error::MissingSymbol { function: stringify!($function) }),
        }
    };
}

impl RawDesc<'_> {
    fn tensors(&self, side: Side) -> Result<Vec<TensorDesc>> {
        let count = match side {
            Side::Input => get!(self, aclmdlGetNumInputs())?,
            Side::Output => get!(self, aclmdlGetNumOutputs())?,
        };
        (0..count).map(|index| self.tensor(side, index)).collect()
    }

    fn tensor(&self, side: Side, index: usize) -> Result<TensorDesc> {
        let (name, data_type, format, size) = match side {
            Side::Input => (
                get!(self, aclmdlGetInputNameByIndex(index))?,
                get!(self, aclmdlGetInputDataType(index))?,
                get!(self, aclmdlGetInputFormat(index))?,
                get!(self, aclmdlGetInputSizeByIndex(index))?,
            ),
            Side::Output => (
                get!(self, aclmdlGetOutputNameByIndex(index))?,
                get!(self, aclmdlGetOutputDataType(index))?,
                get!(self, aclmdlGetOutputFormat(index))?,
                get!(self, aclmdlGetOutputSizeByIndex(index))?,
            ),
        };
        let name = if name.is_null() {
            String::new()
        } else {
            // SAFETY: a NUL-terminated string that lives as long as the description's contents; copied here.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        };
        let dims = self.dims(side, index)?;
        Ok(TensorDesc { name, dims, data_type: DataType(data_type.0), format: Format(format.0), size })
    }

    fn dims(&self, side: Side, index: usize) -> Result<Vec<i64>> {
        // SAFETY: a plain C struct of numbers and characters, for which zero is a value.
        let mut dims: Box<sys::aclmdlIODims> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: the description is alive and filled, the index in range; a valid place for the answer.
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
