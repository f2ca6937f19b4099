//! Options for loading and executing.

use std::ffi::c_void;
use std::ptr;

use ascendcl_sys as sys;

use crate::acl::{
    Context, Dataset, Memory, Model, Stream, acl, assets, c_path, floats, refused, text, to_floats,
};
use crate::onnx;

struct Config(*mut sys::aclmdlConfigHandle);

impl Config {
    fn new() -> Config {
        Config(acl!(aclmdlCreateConfigHandle()))
    }

    fn set<T>(&self, attr: sys::aclmdlConfigAttr, value: T) -> i32 {
        acl!(aclmdlSetConfigOpt(self.0, attr, (&raw const value).cast(), size_of::<T>()))
    }

    fn load(&self) -> Result<Model, i32> {
        let mut id = 0;
        match acl!(aclmdlLoadWithConfig(self.0, &mut id)) {
            0 => Ok(Model(id)),
            code => Err(code),
        }
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        assert_eq!(acl!(aclmdlDestroyConfigHandle(self.0)), 0);
    }
}

#[test]
fn every_attribute_is_checked() {
    let context = Context::new(0);
    let config = Config::new();
    let value = 1u64;
    let value: *const c_void = (&raw const value).cast();
    let set = |attr, size| acl!(aclmdlSetConfigOpt(config.0, attr, value, size));
    refused(acl!(aclmdlSetConfigOpt(ptr::null_mut(), sys::ACL_MDL_MEM_SIZET, value, 8)), 100000, "handle");
    refused(acl!(aclmdlSetConfigOpt(config.0, sys::ACL_MDL_MEM_SIZET, ptr::null(), 8)), 100000, "attrValue");
    for attr in [sys::ACL_MDL_PRIORITY_INT32, sys::ACL_MDL_WITHOUT_GRAPH_INT32] {
        refused(set(attr, 8), 100000, "takes 4 bytes");
    }
    for attr in [
        sys::ACL_MDL_LOAD_TYPE_SIZET,
        sys::ACL_MDL_PATH_PTR,
        sys::ACL_MDL_WEIGHT_PATH_PTR,
        sys::ACL_MDL_MEM_ADDR_PTR,
        sys::ACL_MDL_MEM_SIZET,
        sys::ACL_MDL_WEIGHT_ADDR_PTR,
        sys::ACL_MDL_WEIGHT_SIZET,
        sys::ACL_MDL_WORKSPACE_ADDR_PTR,
        sys::ACL_MDL_WORKSPACE_SIZET,
        sys::ACL_MDL_INPUTQ_NUM_SIZET,
        sys::ACL_MDL_INPUTQ_ADDR_PTR,
        sys::ACL_MDL_OUTPUTQ_NUM_SIZET,
        sys::ACL_MDL_OUTPUTQ_ADDR_PTR,
        sys::ACL_MDL_WORKSPACE_MEM_OPTIMIZE,
    ] {
        refused(set(attr, 4), 100000, "takes 8 bytes");
    }
    for attr in [sys::ACL_MDL_MODEL_DESC_PTR, sys::ACL_MDL_FIFO_SIZET, sys::aclmdlConfigAttr(99)] {
        refused(set(attr, 8), 100000, "no attribute");
    }
    refused(config.set(sys::ACL_MDL_LOAD_TYPE_SIZET, 0usize), 100000, "load type 0");
    refused(config.set(sys::ACL_MDL_LOAD_TYPE_SIZET, 7usize), 100000, "load type 7");
    refused(config.set(sys::ACL_MDL_PATH_PTR, ptr::null::<u8>()), 100000, "NULL");
    refused(config.set(sys::ACL_MDL_MEM_ADDR_PTR, ptr::null::<u8>()), 100000, "NULL");
    assert_eq!(config.set(sys::ACL_MDL_WEIGHT_ADDR_PTR, ptr::null::<u8>()), 0);
    refused(config.set(sys::ACL_MDL_WORKSPACE_MEM_OPTIMIZE, 2usize), 100000, "optimisation 2");
    refused(config.set(sys::ACL_MDL_WITHOUT_GRAPH_INT32, 2i32), 100000, "neither 0 nor 1");
    refused(config.set(sys::ACL_MDL_PRIORITY_INT32, 99i32), 100000, "priority 99");
    assert_eq!(config.set(sys::ACL_MDL_PRIORITY_INT32, 0i32), 0);

    let name = c"weight".as_ptr();
    let some = ptr::without_provenance_mut(4096);
    let external = |size| acl!(aclmdlSetExternalWeightAddress(config.0, name, some, size));
    refused(external(0), 100000, "size 0");
    refused(external(33), 100000, "size 33");
    assert_eq!(external(64), 0);
    refused(acl!(aclmdlSetExternalWeightAddress(config.0, name, ptr::null_mut(), 64)), 100000, "devPtr");
    refused(acl!(aclmdlSetExternalWeightAddress(config.0, ptr::null(), some, 64)), 100000, "weightFileName");
    drop(config);
    drop(context);
}

#[test]
fn loading_needs_the_attributes_of_its_type() {
    let context = Context::new(0);
    let file = onnx::unary("Neg", onnx::FLOAT, &[2]);
    let path = c_path(assets().join("digits.onnx"));
    let refuse = |config: &Config, code, words: &str| refused(config.load().err().unwrap_or(0), code, words);
    let config = Config::new();
    refuse(&config, 100000, "ACL_MDL_LOAD_TYPE_SIZET");
    assert_eq!(config.set(sys::ACL_MDL_LOAD_TYPE_SIZET, sys::ACL_MDL_LOAD_FROM_FILE as usize), 0);
    refuse(&config, 100000, "ACL_MDL_PATH_PTR");
    assert_eq!(config.set(sys::ACL_MDL_PATH_PTR, path.as_ptr()), 0);
    drop(config.load().unwrap());
    refused(acl!(aclmdlLoadWithConfig(config.0, ptr::null_mut())), 100000, "modelId");
    assert_eq!(config.set(sys::ACL_MDL_WEIGHT_PATH_PTR, c"weights".as_ptr()), 0);
    refuse(&config, 100000, "ACL_MDL_WEIGHT_PATH_PTR");
    drop(config);

    let config = Config::new();
    assert_eq!(config.set(sys::ACL_MDL_LOAD_TYPE_SIZET, sys::ACL_MDL_LOAD_FROM_MEM_WITH_MEM as usize), 0);
    refuse(&config, 100000, "ACL_MDL_MEM_ADDR_PTR");
    assert_eq!(config.set(sys::ACL_MDL_MEM_ADDR_PTR, file.as_ptr()), 0);
    refuse(&config, 100000, "ACL_MDL_MEM_SIZET");
    assert_eq!(config.set(sys::ACL_MDL_MEM_SIZET, file.len()), 0);
    drop(config.load().unwrap());
    let memory = Memory::new(4096);
    assert_eq!(config.set(sys::ACL_MDL_WEIGHT_ADDR_PTR, memory.0), 0);
    refuse(&config, 145000, "the weight memory has 0 bytes");
    assert_eq!(config.set(sys::ACL_MDL_WEIGHT_SIZET, 4096usize), 0);
    let model = config.load().unwrap();
    assert_eq!(to_floats(&model.run(&[&floats(&[1.0, 2.0])], &[8]).unwrap()[0]), [-1.0, -2.0]);

    // Queues.
    assert_eq!(config.set(sys::ACL_MDL_LOAD_TYPE_SIZET, sys::ACL_MDL_LOAD_FROM_MEM_WITH_Q as usize), 0);
    refuse(&config, 100000, "ACL_MDL_INPUTQ_ADDR_PTR");
    let mut id = 0;
    let queue = [1u32];
    let with = |path: *const _, queue: *const u32, count| {
        acl!(aclmdlLoadFromFileWithQ(path, &mut id, queue, count, [1u32].as_ptr(), 1))
    };
    let mut with = with;
    refused(with(path.as_ptr(), ptr::null(), 1), 100000, "inputQ");
    refused(with(path.as_ptr(), queue.as_ptr(), 0), 100000, "must not be 0");
    refused(with(c"no".as_ptr(), queue.as_ptr(), 1), 145002, "'no'");
    refused(with(path.as_ptr(), queue.as_ptr(), 1), 207000, "queues");
    drop((config, memory, model));
    drop(context);
}

#[test]
fn executing_with_options() {
    let context = Context::new(0);
    let model = Model::load(&onnx::unary("Neg", onnx::FLOAT, &[2])).unwrap();
    let stream = Stream::new();
    let (from, to) = (Memory::new(8), Memory::new(8));
    from.write(&floats(&[1.0, 2.0]));
    let (input, output) = (Dataset::of(&[&from]), Dataset::of(&[&to]));
    let config = acl!(aclmdlCreateExecConfigHandle());
    let set =
        |attr, value: i32, size| acl!(aclmdlSetExecConfigOpt(config, attr, (&raw const value).cast(), size));
    refused(set(sys::ACL_MDL_STREAM_SYNC_TIMEOUT, 1, 8), 100000, "takes 4 bytes");
    refused(set(sys::ACL_MDL_EVENT_SYNC_TIMEOUT, -2, 4), 100000, "less than -1");
    refused(set(sys::ACL_MDL_WORK_SIZET, 1, 4), 100000, "no attribute");
    let run = |stream, config| acl!(aclmdlExecuteV2(model.0, input.raw, output.raw, stream, config));
    refused(run(stream.0, ptr::null()), 100000, "handle");
    for stream in [stream.0, ptr::null_mut()] {
        to.write(&[0; 8]);
        assert_eq!(run(stream, config), 0, "{}", text());
        assert_eq!(to_floats(&to.read()), [-1.0, -2.0]);
    }
    // Queued all the same.
    assert_eq!(set(sys::ACL_MDL_STREAM_SYNC_TIMEOUT, 0, 4), 0);
    refused(run(stream.0, config), 107000, "timeout 0");
    assert_eq!(stream.synchronize(), 0);
    assert_eq!(set(sys::ACL_MDL_STREAM_SYNC_TIMEOUT, 60_000, 4), 0);
    assert_eq!(run(stream.0, config), 0, "{}", text());
    // Ascend 310 does not have it.
    let code = acl!(aclmdlExecuteAsyncV2(model.0, input.raw, output.raw, stream.0, config));
    refused(code, 207000, "does not have");
    assert_eq!(acl!(aclmdlDestroyExecConfigHandle(config)), 0);
    refused(acl!(aclmdlDestroyExecConfigHandle(config)), 100000, "not alive");
    refused(run(stream.0, config), 100000, "not alive");
    drop((input, output, from, to, stream, model));
    drop(context);
}
