//! A model's inputs and outputs as ACL describes them: what every source of descriptions (ONNX, OM files) ends in.

use std::ffi::{CStr, CString};

use ascendcl_sys as sys;

/// ACL's arrays of dimensions have this many places.
pub(crate) const MAX_DIMS: usize = sys::ACL_MAX_DIM_CNT as usize;

/// One input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: CString,
    /// The model's own view. -1 is an axis that is decided later.
    pub(crate) dims: Vec<i64>,
    /// The view of the buffer, which differs from `dims` for inputs with static AIPP only.
    pub(crate) dims_v2: Vec<i64>,
    /// Smallest and largest size of each axis; empty unless the shape is really dynamic. A largest size of -1 is unbounded.
    pub(crate) ranges: Vec<(i64, i64)>,
    pub(crate) data_type: sys::aclDataType,
    pub(crate) format: sys::aclFormat,
    /// Bytes as the model file tells them.
    pub(crate) size: usize,
}

impl Tensor {
    /// What the size getters answer: of dynamic shapes the largest there is, 0 if there is none.
    pub(crate) fn largest_size(&self) -> usize {
        if self.ranges.is_empty() || self.dims.iter().all(|&dim| dim >= 0) {
            return self.size;
        }
        let bytes = self.ranges.iter().try_fold(data_type_size(self.data_type), |bytes, &(_, largest)| {
            usize::try_from(largest).ok().filter(|&largest| largest > 0)?.checked_mul(bytes)
        });
        bytes.unwrap_or(0)
    }

    /// Whether its shape is decided by each execution.
    pub(crate) fn is_dynamic(&self) -> bool {
        !self.ranges.is_empty() && self.dims.iter().any(|&dim| dim < 0)
    }
}

/// `aclDataTypeSize`, for sizes of tensors.
fn data_type_size(data_type: sys::aclDataType) -> usize {
    match data_type {
        sys::ACL_STRING | sys::ACL_DT_UNDEFINED => 0,
        sys::ACL_INT8 | sys::ACL_UINT8 | sys::ACL_BOOL | sys::ACL_INT4 | sys::ACL_UINT1 => 1,
        sys::ACL_FLOAT16 | sys::ACL_INT16 | sys::ACL_UINT16 | sys::ACL_BF16 => 2,
        sys::ACL_FLOAT | sys::ACL_INT32 | sys::ACL_UINT32 | sys::ACL_COMPLEX32 => 4,
        sys::ACL_COMPLEX128 => 16,
        _ => 8,
    }
}

/// The gears of a model: the shapes that it was made for. At most one of the lists has entries, unless a file lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gears {
    pub(crate) batch: Vec<u64>,
    pub(crate) hw: Vec<Vec<u64>>,
    pub(crate) dims: Vec<Vec<u64>>,
}

/// Which setter a gear was chosen with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GearKind {
    Batch,
    Hw,
    Dims,
}

impl Gears {
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.hw.is_empty() && self.dims.is_empty()
    }

    /// The index of a gear among those of its kind.
    pub(crate) fn find(&self, kind: GearKind, values: &[u64]) -> Option<usize> {
        match kind {
            GearKind::Batch => self.batch.iter().position(|&batch| values == [batch]),
            GearKind::Hw => self.hw.iter().position(|size| size == values),
            GearKind::Dims => self.dims.iter().position(|dims| dims == values),
        }
    }

    /// All gears as lists of values.
    pub(crate) fn list(&self) -> Vec<Vec<u64>> {
        if !self.batch.is_empty() {
            self.batch.iter().map(|&batch| vec![batch]).collect()
        } else if !self.hw.is_empty() {
            self.hw.clone()
        } else {
            self.dims.clone()
        }
    }
}

/// What a model looks like from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) gears: Gears,
    /// Shapes of outputs by gear: the gear's index (-1 for all), the output's index, the dimensions.
    pub(crate) output_shapes: Vec<Vec<i64>>,
    /// Names of the inputs whose dimensions `aclmdlSetInputDynamicDims` takes, in its order.
    pub(crate) data_order: Vec<CString>,
    /// Shapes are decided by each execution; such models are run by another executor, which lacks some functions.
    pub(crate) dynamic: bool,
    /// Device bytes for the weights, as `aclmdlQuerySize` tells them.
    pub(crate) weight_size: usize,
    /// Device bytes for running.
    pub(crate) work_size: usize,
}

/// Inputs or outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Input,
    Output,
}

impl Description {
    pub(crate) fn tensors(&self, side: Side) -> &[Tensor] {
        match side {
            Side::Input => &self.inputs,
            Side::Output => &self.outputs,
        }
    }

    /// The input with this name.
    pub(crate) fn input(&self, name: &CStr) -> Option<usize> {
        self.inputs.iter().position(|tensor| tensor.name.as_c_str() == name)
    }

    /// The shape of an output in a gear; `None` if the description does not tell.
    pub(crate) fn output_in_gear(&self, gear: usize, output: usize) -> Option<&[i64]> {
        self.output_shapes.iter().find_map(|shape| match shape.as_slice() {
            [of, index, dims @ ..] if (*of == gear as i64 || *of == -1) && *index == output as i64 => {
                Some(dims)
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_shapes_are_as_large_as_their_ranges() {
        let tensor = |ranges: &[(i64, i64)]| Tensor {
            name: c"x".into(),
            dims: vec![-1, 3],
            dims_v2: vec![-1, 3],
            ranges: ranges.to_vec(),
            data_type: sys::ACL_FLOAT,
            format: sys::ACL_FORMAT_ND,
            size: 7,
        };
        assert_eq!(tensor(&[(1, 8), (3, 3)]).largest_size(), 96);
        assert_eq!(tensor(&[(1, -1), (3, 3)]).largest_size(), 0);
        assert_eq!(tensor(&[(1, i64::MAX), (3, 3)]).largest_size(), 0);
        assert_eq!(tensor(&[]).largest_size(), 7);
    }
}
