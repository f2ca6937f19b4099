//! System parameters, attributes of the platform, and what a soc can run.

use core::ffi::{CStr, c_char};

use ascendcl_sys::{
    self as sys, AclApi, aclCannAttr, aclDeviceInfo, aclError, aclSysParamOpt, aclplatformCoreType,
    aclplatformDevInfo,
};

use super::{call, fill, invalid, not_null};
use crate::core::options::{self, CONTEXT_PARAMETERS, PARAMETERS};
use crate::core::{current_context, process};
use crate::error::fail;
use crate::profile::{Chip, architecture};

fn parameter(opt: aclSysParamOpt, known: usize) -> Result<usize, aclError> {
    let index = usize::try_from(opt.0).ok().filter(|&index| index < known);
    index.ok_or_else(|| invalid(format_args!("opt {} is not in [0, {known})", opt.0)))
}

fn check_value(index: usize, value: i64) -> Result<(), aclError> {
    if options::fits(index, value) {
        return Ok(());
    }
    Err(fail(
        sys::ACL_ERROR_RT_PARAM_INVALID,
        format_args!("value {value} is none that system parameter {index} can have"),
    ))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtGetSysParamOpt(opt: aclSysParamOpt, value: *mut i64) -> aclError {
    call!("aclrtGetSysParamOpt", || {
        not_null(value, "value")?;
        let index = parameter(opt, PARAMETERS)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(process::machine().options().parameter(index)) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtSetSysParamOpt(opt: aclSysParamOpt, value: i64) -> aclError {
    call!("aclrtSetSysParamOpt", || {
        let index = parameter(opt, PARAMETERS)?;
        check_value(index, value)?;
        process::machine().options().set_parameter(index, value);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCtxGetSysParamOpt(opt: aclSysParamOpt, value: *mut i64) -> aclError {
    call!("aclrtCtxGetSysParamOpt", || {
        not_null(value, "value")?;
        let index = parameter(opt, CONTEXT_PARAMETERS)?;
        let found = current_context()?.parameter(index);
        // Not set is no mistake worth a text.
        let found = found.ok_or(sys::ACL_ERROR_RT_SYSPARAMOPT_NOT_SET)?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(found) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCtxSetSysParamOpt(opt: aclSysParamOpt, value: i64) -> aclError {
    call!("aclrtCtxSetSysParamOpt", || {
        let index = parameter(opt, CONTEXT_PARAMETERS)?;
        check_value(index, value)?;
        current_context()?.set_parameter(index, value);
        // The process takes over what any context sets.
        process::machine().options().set_parameter(index, value);
        Ok(())
    })
}

fn has(chip: &Chip, attribute: aclCannAttr) -> Option<bool> {
    match attribute {
        sys::ACL_CANN_ATTR_INF_NAN => Some(chip.inf_nan),
        sys::ACL_CANN_ATTR_BF16 => Some(chip.bfloat16),
        sys::ACL_CANN_ATTR_JIT_COMPILE => Some(true),
        _ => None,
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclGetCannAttributeList(
    cannAttrList: *mut *const aclCannAttr,
    num: *mut usize,
) -> aclError {
    // The list is the program's to read for ever. Chips that have the first attributes have all of them.
    static ATTRIBUTES: [aclCannAttr; 3] =
        [sys::ACL_CANN_ATTR_INF_NAN, sys::ACL_CANN_ATTR_BF16, sys::ACL_CANN_ATTR_JIT_COMPILE];
    call!("aclGetCannAttributeList", || {
        not_null(cannAttrList, "cannAttrList")?;
        not_null(num, "num")?;
        let machine = process::machine();
        let chip = &machine.settings().profile.chip;
        let first = ATTRIBUTES.iter().position(|&attribute| has(chip, attribute) == Some(true)).unwrap_or(0);
        // SAFETY: [caller] not NULL, and the caller passes places to write to.
        unsafe {
            cannAttrList.write(ATTRIBUTES[first..].as_ptr());
            num.write(ATTRIBUTES.len() - first);
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclGetCannAttribute(cannAttr: aclCannAttr, value: *mut i32) -> aclError {
    call!("aclGetCannAttribute", || {
        not_null(value, "value")?;
        let has = has(&process::machine().settings().profile.chip, cannAttr);
        let has = has.ok_or_else(|| invalid(format_args!("attribute {} is unknown", cannAttr.0)))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(has.into()) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclGetDeviceCapability(
    deviceId: u32,
    deviceInfo: aclDeviceInfo,
    value: *mut i64,
) -> aclError {
    call!("aclGetDeviceCapability", || {
        not_null(value, "value")?;
        let count = process::device_count()?;
        if count > 0 && deviceId as usize >= count {
            return Err(invalid(format_args!(
                "device {deviceId} is out of range: there are {count} devices"
            )));
        }
        let machine = process::machine();
        let chip = &machine.settings().profile.chip;
        let found = match deviceInfo {
            sys::ACL_DEVICE_INFO_AI_CORE_NUM => chip.ai_cores.into(),
            sys::ACL_DEVICE_INFO_VECTOR_CORE_NUM => chip.vector_cores.into(),
            sys::ACL_DEVICE_INFO_L2_SIZE => chip.l2_bytes as i64,
            _ => return Err(invalid(format_args!("deviceInfo {} is unknown", deviceInfo.0))),
        };
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { value.write(found) };
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclrtCheckArchCompatibility(
    socVersion: *const c_char,
    canCompatible: *mut i32,
) -> aclError {
    call!("aclrtCheckArchCompatibility", || {
        let wrong = |what: &str| fail(sys::ACL_ERROR_RT_PARAM_INVALID, what);
        if socVersion.is_null() {
            return Err(wrong("socVersion must not be NULL"));
        }
        if canCompatible.is_null() {
            return Err(wrong("canCompatible must not be NULL"));
        }
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let soc = unsafe { CStr::from_ptr(socVersion) }.to_string_lossy();
        let theirs = architecture(&soc).ok_or_else(|| {
            fail(sys::ACL_ERROR_RT_PARAM_INVALID, format_args!("socVersion \"{soc}\" is unknown"))
        })?;
        let ours = process::machine().settings().profile.chip.arch;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { canCompatible.write((ours == theirs).into()) };
        Ok(())
    })
}

/// Writes a text with its NUL behind it if it fits.
///
/// # Safety
/// `place` is good for `room` bytes.
unsafe fn copy_out(text: &str, place: *mut c_char, room: u32) -> Result<(), aclError> {
    if text.is_empty() {
        return Err(invalid("the chip does not tell this"));
    }
    if text.len() >= room as usize {
        return Err(invalid(format_args!("maxLen {room} is too small for {} bytes", text.len() + 1)));
    }
    // SAFETY: [caller] the caller vouches for the place.
    unsafe {
        place.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
        place.add(text.len()).write(0);
    }
    Ok(())
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclplatformGetDeviceInfo(
    infoType: aclplatformDevInfo,
    value: *mut c_char,
    maxLen: u32,
) -> aclError {
    call!("aclplatformGetDeviceInfo", || {
        if infoType.0 > sys::ACL_PLATFORM_MEMORY_TYPE.0 {
            return Err(invalid(format_args!("infoType {} is unknown", infoType.0)));
        }
        not_null(value, "value")?;
        if maxLen == 0 {
            return Err(invalid("maxLen must not be 0"));
        }
        let machine = process::machine();
        let profile = &machine.settings().profile;
        let chip = &profile.chip;
        let told = |figure: u64| if figure == 0 { String::new() } else { figure.to_string() };
        let text = match infoType {
            sys::ACL_PLATFORM_AICORE_CNT => chip.ai_cores.to_string(),
            sys::ACL_PLATFORM_AICORE_UB_SIZE => told(chip.unified_buffer.into()),
            sys::ACL_PLATFORM_CUBE_CORE_CNT => chip.cube_cores.to_string(),
            sys::ACL_PLATFORM_VECTOR_CORE_CNT => chip.vector_cores.to_string(),
            sys::ACL_PLATFORM_L2_SIZE => told(chip.l2_bytes),
            sys::ACL_PLATFORM_MEMORY_SIZE => chip.memory_size.to_owned(),
            sys::ACL_PLATFORM_CUBE_FREQ => told(chip.cube_mhz.into()),
            sys::ACL_PLATFORM_BT_SIZE => told(chip.bias_table.into()),
            sys::ACL_PLATFORM_L0_A_SIZE => told(chip.l0a_bytes.into()),
            sys::ACL_PLATFORM_L0_B_SIZE => told(chip.l0b_bytes.into()),
            sys::ACL_PLATFORM_L0_C_SIZE => told(chip.l0c_bytes.into()),
            sys::ACL_PLATFORM_L1_SIZE => told(chip.l1_bytes.into()),
            sys::ACL_PLATFORM_SHORT_SOC_VERSION => chip.short_name.to_owned(),
            sys::ACL_PLATFORM_SOC_VERSION => profile.soc_name().to_string_lossy().into_owned(),
            sys::ACL_PLATFORM_AIC_VERSION => chip.core_version.to_owned(),
            sys::ACL_PLATFORM_NPU_ARCH => chip.arch.to_string(),
            sys::ACL_PLATFORM_MEMORY_TYPE => chip.memory_type.to_owned(),
            // Among them the frequency of vector cores, which no chip's description has.
            _ => String::new(),
        };
        // SAFETY: [caller] not NULL, and the caller passes room for `maxLen` bytes.
        unsafe { copy_out(&text, value, maxLen) }
    })
}

/// Element types of vector instructions that both kinds of core have.
const INSTRUCTIONS: &[(&str, &str)] = &[
    ("Intrinsic_vadd", "float16,float32,int32,int16"),
    ("Intrinsic_vadds", "float16,float32,int32,int16"),
    ("Intrinsic_vand", "int16,uint16"),
    ("Intrinsic_vdiv", "float16,float32"),
    ("Intrinsic_vexp", "float16,float32"),
    ("Intrinsic_vln", "float16,float32"),
    ("Intrinsic_vmax", "float16,float32,int32,int16"),
    ("Intrinsic_vmin", "float16,float32,int32,int16"),
    ("Intrinsic_vmul", "float16,float32,int32,int16"),
    ("Intrinsic_vmuls", "float16,float32,int32,int16"),
    ("Intrinsic_vnot", "int16,uint16"),
    ("Intrinsic_vor", "int16,uint16"),
    ("Intrinsic_vrec", "float16,float32"),
    ("Intrinsic_vrelu", "float16,float32,int32"),
    ("Intrinsic_vrsqrt", "float16,float32"),
    ("Intrinsic_vsel", "float16,float32"),
    ("Intrinsic_vsqrt", "float16,float32"),
    ("Intrinsic_vsub", "float16,float32,int32,int16"),
];

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclplatformGetInstructionInfo(
    type_: aclplatformCoreType,
    instruction: *const c_char,
    value: *mut c_char,
    maxLen: u32,
) -> aclError {
    call!("aclplatformGetInstructionInfo", || {
        if type_ != sys::ACL_PLATFORM_CORE_TYPE_AI_CORE && type_ != sys::ACL_PLATFORM_CORE_TYPE_VECTOR_CORE {
            return Err(invalid(format_args!("type {} is no kind of core", type_.0)));
        }
        not_null(instruction, "instruction")?;
        not_null(value, "value")?;
        if maxLen == 0 {
            return Err(invalid("maxLen must not be 0"));
        }
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let name = unsafe { CStr::from_ptr(instruction) }.to_string_lossy();
        let listed = process::machine().settings().profile.chip.vector_cores > 0;
        let found = INSTRUCTIONS.iter().find(|(known, _)| listed && *known == name);
        let (_, types) = found
            .ok_or_else(|| invalid(format_args!("instruction \"{name}\" is not one that the chip lists")))?;
        // SAFETY: [caller] not NULL, and the caller passes room for `maxLen` bytes.
        unsafe { copy_out(types, value, maxLen) }
    })
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api:
        aclrtGetSysParamOpt, aclrtSetSysParamOpt, aclrtCtxGetSysParamOpt, aclrtCtxSetSysParamOpt,
        aclGetCannAttributeList, aclGetCannAttribute, aclGetDeviceCapability, aclrtCheckArchCompatibility,
        aclplatformGetDeviceInfo, aclplatformGetInstructionInfo,
    );
}
