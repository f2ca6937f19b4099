//! The device memory of models.

use std::ptr;

use ascendcl_sys as sys;

use crate::acl::{Context, Memory, Model, acl, floats, refused, text, to_floats};
use crate::onnx;

fn free() -> usize {
    let (mut free, mut total) = (0, 0);
    assert_eq!(acl!(aclrtGetMemInfo(sys::ACL_DDR_MEM, &mut free, &mut total)), 0, "{}", text());
    free
}

fn load(
    file: &[u8],
    work: (*mut core::ffi::c_void, usize),
    weight: (*mut core::ffi::c_void, usize),
) -> Result<Model, i32> {
    let mut id = 0;
    let (data, size) = (file.as_ptr().cast(), file.len());
    match acl!(aclmdlLoadFromMemWithMem(data, size, &mut id, work.0, work.1, weight.0, weight.1)) {
        0 => Ok(Model(id)),
        code => Err(code),
    }
}

const NONE: (*mut core::ffi::c_void, usize) = (ptr::null_mut(), 0);

#[test]
fn a_model_takes_memory_and_gives_it_back() {
    // No other test uses this device.
    let context = Context::new(3);
    let before = free();
    let file = onnx::unary("Neg", onnx::FLOAT, &[1 << 20]);
    let model = Model::load(&file).unwrap();
    let taken = before - free();
    assert!(taken >= 8 << 20, "{taken}");
    drop(model);
    assert_eq!(free(), before);

    let (mut work, mut weight) = (0, 0);
    assert_eq!(acl!(aclmdlQuerySizeFromMem(file.as_ptr().cast(), file.len(), &mut work, &mut weight)), 0);
    let (own_work, own_weight) = (Memory::new(work), Memory::new(weight));
    let before = free();
    let model = load(&file, (own_work.0, work), (own_weight.0, weight)).unwrap();
    assert_eq!(free(), before, "all of it is the program's");
    drop(model);
    refused(load(&file, (own_work.0, work - 1), NONE).err().unwrap_or(0), 145000, "the work memory has");
    refused(
        load(&file, NONE, (own_weight.0, weight - 1)).err().unwrap_or(0),
        145000,
        "the weight memory has",
    );
    refused(load(&file, (file.as_ptr().cast_mut().cast(), work), NONE).err().unwrap_or(0), 107000, "");

    // A card with nothing left.
    let mut hoard = Vec::new();
    for size in [1usize << 30, 256 << 20, 64 << 20, 4 << 20, 2 << 20, 1 << 20] {
        loop {
            let mut address = ptr::null_mut();
            if acl!(aclrtMalloc(&mut address, size, sys::ACL_MEM_MALLOC_NORMAL_ONLY)) != 0 {
                break;
            }
            hoard.push(address);
        }
    }
    text();
    refused(Model::load(&file).err().unwrap_or(0), 245000, "no memory for a model");
    hoard.into_iter().for_each(|address| assert_eq!(acl!(aclrtFree(address)), 0));
    drop((own_work, own_weight));
    drop(context);
}

#[test]
fn memory_of_the_program_must_outlive_the_model() {
    let context = Context::new(2);
    let file = onnx::unary("Neg", onnx::FLOAT, &[2]);
    let (work, weight) = (Memory::new(4096), Memory::new(4096));
    work.write(&[1; 4096]);
    let model = load(&file, (work.0, 4096), (weight.0, 4096)).unwrap();
    let run = || model.run(&[&floats(&[1.0, 2.0])], &[8]);
    assert_eq!(to_floats(&run().unwrap()[0]), [-1.0, -2.0]);
    assert_ne!(work.read()[0], 1, "what was in the work memory is lost");
    drop(weight);
    refused(run().unwrap_err(), 507013, "was freed before");
    drop((work, model));
    drop(context);
}
