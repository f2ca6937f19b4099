//! What a change of the format does to a shape: `aclTransTensorDescFormat`.

use ascendcl_sys::{self as sys, aclDataType, aclError, aclFormat};

use crate::error::fail;

/// `ACL_FORMAT_CHWN` of the graph engine, which ACL's headers do not name.
const CHWN: aclFormat = aclFormat(17);
/// Rows and columns of the matrices that a cube core multiplies.
const CUBE: i64 = 16;

/// Where a format of four dimensions has N, C, H and W.
fn axes(format: aclFormat) -> Option<[usize; 4]> {
    match format {
        sys::ACL_FORMAT_NCHW => Some([0, 1, 2, 3]),
        sys::ACL_FORMAT_NHWC => Some([0, 3, 1, 2]),
        sys::ACL_FORMAT_HWCN => Some([3, 2, 0, 1]),
        CHWN => Some([3, 0, 1, 2]),
        _ => None,
    }
}

/// The shape that a tensor of `shape` in `from` has in `to`.
pub(crate) fn transformed(
    from: aclFormat,
    shape: &[i64],
    element: aclDataType,
    to: aclFormat,
) -> Result<Vec<i64>, aclError> {
    use sys::{
        ACL_FORMAT_FRACTAL_NZ as NZ, ACL_FORMAT_FRACTAL_Z as Z, ACL_FORMAT_NC1HWC0 as FIVE,
        ACL_FORMAT_NCHW as NCHW, ACL_FORMAT_ND as ND, ACL_FORMAT_NHWC as NHWC,
    };
    let of_four = || {
        let nchw = axes(from).filter(|_| shape.len() == 4 && shape.iter().all(|&dim| dim >= 0));
        let nchw = nchw.map(|axes| axes.map(|axis| shape[axis]));
        nchw.ok_or_else(|| {
            fail(
                sys::ACL_ERROR_GE_SHAPE_INVALID,
                format_args!("a shape of format {} has four dimensions, none below 0, not {shape:?}", from.0),
            )
        })
    };
    match (from, to) {
        (NCHW | NHWC, FIVE) => {
            let [n, c, h, w] = of_four()?;
            let c0 = if is_byte(element) { 2 * CUBE } else { CUBE };
            Ok(vec![n, blocks(c, c0), h, w, c0])
        }
        (NCHW | NHWC | sys::ACL_FORMAT_HWCN, Z) => {
            let [n, c, h, w] = of_four()?;
            let rows = h.checked_mul(w).and_then(|hw| hw.checked_mul(blocks(c, CUBE)));
            let rows = rows.ok_or_else(|| fail(sys::ACL_ERROR_GE_SHAPE_INVALID, "the shape overflows"))?;
            Ok(vec![rows, blocks(n, CUBE), CUBE, CUBE])
        }
        (ND | NCHW | NHWC, NZ) => {
            if from != ND {
                of_four()?;
            }
            fractal(shape)
        }
        _ if from != to && axes(from).is_some() && axes(to).is_some() => {
            let nchw = of_four()?;
            let mut moved = vec![0; 4];
            for (dim, axis) in nchw.into_iter().zip(axes(to).unwrap_or_default()) {
                moved[axis] = dim;
            }
            Ok(moved)
        }
        (FIVE | Z | NZ, NCHW | NHWC | sys::ACL_FORMAT_HWCN | ND) => Err(fail(
            sys::ACL_ERROR_GE_FAILURE,
            format_args!("the shape before padding cannot be told from one of format {}", from.0),
        )),
        _ => Err(fail(
            sys::ACL_ERROR_GE_FORMAT_INVALID,
            format_args!("no transformation from format {} to format {} is known", from.0, to.0),
        )),
    }
}

/// The last two dimensions in blocks of 16 by 16.
fn fractal(shape: &[i64]) -> Result<Vec<i64>, aclError> {
    if shape.iter().any(|&dim| dim < 0) {
        return Err(fail(sys::ACL_ERROR_GE_SHAPE_INVALID, format_args!("{shape:?} has a dimension below 0")));
    }
    match shape {
        [] => Err(fail(sys::ACL_ERROR_GE_SHAPE_INVALID, "a scalar has no fractal format")),
        [w] => Ok(vec![blocks(*w, CUBE), 1, CUBE, CUBE]),
        [outer @ .., h, w] => {
            let mut dims = outer.to_vec();
            dims.extend([blocks(*w, CUBE), blocks(*h, CUBE), CUBE, CUBE]);
            Ok(dims)
        }
    }
}

fn blocks(len: i64, of: i64) -> i64 {
    len / of + i64::from(len % of != 0)
}

fn is_byte(element: aclDataType) -> bool {
    matches!(element, sys::ACL_INT8 | sys::ACL_UINT8 | sys::ACL_BOOL)
}
