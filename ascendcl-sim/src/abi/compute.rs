//! Calculations that streams do by themselves: reductions and random numbers.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, aclDataType, aclError, aclrtRandomNumTaskInfo, aclrtRandomParaInfo, aclrtReduceKind,
    aclrtStream,
};

use super::{functions, invalid, not_null};
use crate::core::task::Task;
use crate::core::{Named, current_context};
use crate::error::fail;
use crate::memory::{self, COUNTER, Distribution, Draw, Number, Parameter, Place, Reduction};

/// A sum is of no more bytes.
const LONGEST: u64 = 4 << 30;

fn wrong(what: std::fmt::Arguments<'_>) -> aclError {
    fail(sys::ACL_ERROR_RT_PARAM_INVALID, what)
}

/// Memory that a stream calculates with.
fn tracked(pointer: *const c_void, len: usize) -> Result<Place, aclError> {
    Place::find(pointer, len)?
        .ok_or_else(|| wrong(format_args!("{pointer:p} is plain host memory, which a stream cannot use")))
}

/// A parameter of `most` bytes at most, unless it is an address.
fn parameter(info: aclrtRandomParaInfo, most: usize, name: &str) -> Result<Parameter, aclError> {
    let size = usize::from(info.size);
    let most = if info.isAddr == 0 { most } else { 8 };
    if info.isAddr > 1 {
        return Err(wrong(format_args!("isAddr of {name} is {}, neither 0 nor 1", info.isAddr)));
    }
    if size == 0 || size > most {
        return Err(wrong(format_args!("size of {name} is {size}, not in 1 to {most}")));
    }
    if info.isAddr == 1 {
        let address = u64::from_le_bytes(info.valueOrAddr) as usize;
        return Ok(Parameter::At { address, size });
    }
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(&info.valueOrAddr[..size]);
    Ok(Parameter::Value(bytes))
}

functions! {
    status fn aclrtReduceAsync(
        dst: *mut c_void,
        src: *const c_void,
        count: u64,
        kind: aclrtReduceKind,
        type_: aclDataType,
        stream: aclrtStream,
        reserve: *mut c_void,
    ) {
        not_null(dst, "dst")?;
        not_null(src, "src")?;
        if !reserve.is_null() {
            return Err(invalid("reserve must be NULL"));
        }
        let number = match Number::of(type_) {
            Some(Number::I64 | Number::U64) => None,
            Some(number) => Some(number),
            // Known, and reduced by no chip.
            None if type_ == sys::ACL_INT4 => Some(Number::I8),
            None => None,
        };
        let number = number.ok_or_else(|| invalid(format_args!("data type {} is not reduced", type_.0)))?;
        let stream = Named::new(stream)?;
        if count == 0 {
            return Err(wrong(format_args!("count must not be 0")));
        }
        let reduction = match kind {
            sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM => Some(Reduction::Sum),
            sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_MAX => Some(Reduction::Max),
            sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_MIN => Some(Reduction::Min),
            sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_EQUAL => None,
            aclrtReduceKind(other) => return Err(wrong(format_args!("reduction {other} is unknown"))),
        };
        if reduction == Some(Reduction::Sum) && count > LONGEST {
            return Err(wrong(format_args!("{count} bytes are more than {LONGEST}")));
        }
        let context = current_context()?;
        let features = context.device().profile().features;
        if features.reduce_sum_only && reduction != Some(Reduction::Sum) {
            return Err(wrong(format_args!("this chip has no reduction but the sum")));
        }
        let stream = stream.of(&context)?;
        let reduction = reduction.filter(|_| features.reduced_types.contains(&type_)).ok_or_else(|| {
            let what = format!("reduction {} of data type {} is not supported", kind.0, type_.0);
            fail(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT, what)
        })?;
        for pointer in [dst.cast_const(), src] {
            if !pointer.addr().is_multiple_of(number.size()) {
                return Err(fail(
                    sys::ACL_ERROR_RT_ADDR_UNALIGNED,
                    format_args!("{pointer:p} is not aligned to {} bytes", number.size()),
                ));
            }
        }
        let len = usize::try_from(count).unwrap_or(usize::MAX);
        let (to, from) = (tracked(dst, len)?, tracked(src, len)?);
        for place in [&to, &from] {
            place.check_reach(stream.device(), "a reduction")?;
        }
        let work = Arc::new(move || memory::reduce(&to, &from, number, reduction));
        stream.push(Task::Work { operation: "reduce", work })
    }

    status fn aclrtRandomNumAsync(
        taskInfo: *const aclrtRandomNumTaskInfo,
        stream: aclrtStream,
        reserve: *mut c_void,
    ) {
        not_null(taskInfo, "taskInfo")?;
        // SAFETY: [caller] not NULL, and the caller passes a description.
        let info = unsafe { taskInfo.read() };
        let number = Number::of(info.dataType)
            .filter(|number| {
                !matches!(number, Number::I8 | Number::I16 | Number::U8 | Number::U16)
            })
            .ok_or_else(|| {
                let kind = info.dataType.0;
                invalid(format_args!("there are no random numbers of data type {kind}"))
            })?;
        let stream = Named::new(stream)?;
        if !reserve.is_null() {
            return Err(wrong(format_args!("reserve must be NULL")));
        }
        let context = current_context()?;
        let stream = stream.of(&context)?;
        let which = info.randomNumFuncParaInfo.funcType;
        let parameters = info.randomNumFuncParaInfo.paramInfo;
        if which.0 > sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_TRUNCATED_NORMAL_DIS.0 {
            return Err(wrong(format_args!("distribution {} is unknown", which.0)));
        }
        if which != sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS && !number.is_real() {
            let kind = info.dataType.0;
            return Err(wrong(format_args!("distribution {} has no numbers of data type {kind}", which.0)));
        }
        if info.randomCounterAddr.is_null() || info.randomResultAddr.is_null() {
            return Err(wrong(format_args!("randomCounterAddr and randomResultAddr must not be NULL")));
        }
        let seed = parameter(info.randomSeed, 8, "randomSeed")?;
        let count = parameter(info.randomNum, 8, "randomNum")?;
        let size = number.size();
        // SAFETY: [caller] all members are bytes, so that any of them can be looked at.
        let distribution = unsafe {
            match which {
                sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_DROPOUT_BITMASK => Distribution::Dropout {
                    ratio: parameter(parameters.dropoutBitmaskInfo.dropoutRation, size, "dropoutRation")?,
                },
                sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS => Distribution::Uniform {
                    min: parameter(parameters.uniformDisInfo.min, size, "min")?,
                    max: parameter(parameters.uniformDisInfo.max, size, "max")?,
                },
                _ => Distribution::Normal {
                    mean: parameter(parameters.normalDisInfo.mean, size, "mean")?,
                    deviation: parameter(parameters.normalDisInfo.stddev, size, "stddev")?,
                    truncated: which == sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_TRUNCATED_NORMAL_DIS,
                },
            }
        };
        let draw = Draw {
            number,
            distribution,
            seed,
            count,
            counter: info.randomCounterAddr.addr(),
            result: info.randomResultAddr.addr(),
        };
        // What can be known now is noticed now.
        memory::device_range(info.randomCounterAddr, COUNTER)?;
        if !info.randomParaAddr.is_null() {
            memory::device_range(info.randomParaAddr, 1)?;
        }
        if let Parameter::Value(bytes) = count {
            let len = draw.bytes(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX);
            memory::device_range(info.randomResultAddr, len)?;
        }
        stream.push(Task::Work { operation: "random numbers", work: Arc::new(move || draw.run()) })
    }
}
