//! `acl_mdl.h`: options for loading and executing models.

use core::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr;

use ascendcl_sys::{
    self as sys, aclError, aclmdlConfigAttr, aclmdlConfigHandle, aclmdlExecConfigAttr, aclmdlExecConfigHandle,
};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::model::{bytes, out, put, queues, without_queues};
use super::{functions, invalid, not_null};
use crate::model::config::{self, LoadConfig};
use crate::model::prepare::{Asker, prepare, read_file};
use crate::model::registry::{self, check_executor};
use crate::model::reserve::Provided;

functions! {
    value(ptr::null_mut()) fn aclmdlCreateConfigHandle() -> *mut aclmdlConfigHandle {
        config::create()
    }

    status fn aclmdlDestroyConfigHandle(handle: *mut aclmdlConfigHandle) {
        config::destroy(handle)
    }

    status fn aclmdlSetConfigOpt(
        handle: *mut aclmdlConfigHandle, attr: aclmdlConfigAttr, attrValue: *const c_void, valueSize: usize,
    ) {
        not_null(handle, "handle")?;
        not_null(attrValue, "attrValue")?;
        // SAFETY: [caller] not NULL; that it points to `valueSize` readable bytes, and a path to a C string, is the C caller's contract.
        unsafe { config::set(handle, attr, attrValue, valueSize) }
    }

    status fn aclmdlSetExternalWeightAddress(
        handle: *mut aclmdlConfigHandle, weightFileName: *const c_char, devPtr: *mut c_void, size: usize,
    ) {
        not_null(handle, "handle")?;
        not_null(weightFileName, "weightFileName")?;
        not_null(devPtr, "devPtr")?;
        config::set_external_weight(handle, size)
    }

    status fn aclmdlLoadWithConfig(handle: *const aclmdlConfigHandle, modelId: *mut u32) {
        let config = config::get(handle)?;
        let place = out(modelId, "modelId")?;
        config.check()?;
        put(place, load(&config)?);
        Ok(())
    }

    value(ptr::null_mut()) fn aclmdlCreateExecConfigHandle() -> *mut aclmdlExecConfigHandle {
        config::create_exec()
    }

    status fn aclmdlDestroyExecConfigHandle(handle: *const aclmdlExecConfigHandle) {
        config::destroy_exec(handle)
    }

    status fn aclmdlSetExecConfigOpt(
        handle: *mut aclmdlExecConfigHandle, attr: aclmdlExecConfigAttr, attrValue: *const c_void, valueSize: usize,
    ) {
        not_null(handle, "handle")?;
        not_null(attrValue, "attrValue")?;
        // SAFETY: [caller] not NULL; that it points to `valueSize` readable bytes is the C caller's contract.
        unsafe { config::set_exec(handle, attr, attrValue, valueSize) }
    }
}

fn load(config: &LoadConfig) -> Result<u32, aclError> {
    let from_file = || read_file(Path::new(OsStr::from_bytes(config.path.to_bytes())));
    let from_memory = || bytes(config.model.0, config.model_size);
    let with_queues = || {
        let (inputs, outputs) = (config.input_queue_count, config.output_queue_count);
        queues(config.input_queues.0, inputs, config.output_queues.0, outputs)
    };
    let (file, asker);
    let provided = match config.load_type as u32 {
        sys::ACL_MDL_LOAD_FROM_FILE | sys::ACL_MDL_LOAD_FROM_FILE_WITH_MEM => {
            (file, asker) = (from_file()?, Asker::LoadFile);
            config.load_type as u32 == sys::ACL_MDL_LOAD_FROM_FILE_WITH_MEM
        }
        sys::ACL_MDL_LOAD_FROM_MEM | sys::ACL_MDL_LOAD_FROM_MEM_WITH_MEM => {
            (file, asker) = (from_memory()?.to_vec(), Asker::LoadMemory);
            config.load_type as u32 == sys::ACL_MDL_LOAD_FROM_MEM_WITH_MEM
        }
        sys::ACL_MDL_LOAD_FROM_FILE_WITH_Q => {
            with_queues()?;
            return Err(without_queues(&from_file()?).err().unwrap_or_default());
        }
        _ => {
            with_queues()?;
            return Err(without_queues(from_memory()?).err().unwrap_or_default());
        }
    };
    check_executor()?;
    let built = prepare(&file, asker)?;
    if built.description.dynamic && config.without_graph() {
        return Err(invalid("ACL_MDL_WITHOUT_GRAPH_INT32 is not for models of dynamic shape"));
    }
    let provided = if provided { config.provided() } else { Provided::NOTHING };
    registry::load(built, &provided, None)
}
