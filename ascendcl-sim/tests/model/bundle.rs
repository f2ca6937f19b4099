//! Bundles of models.

use std::ptr;

use ascendcl_sim::om::{Converter, bundle};

use crate::acl::{Context, Model, acl, c_path, floats, refused, text, to_floats};
use crate::om::File;
use crate::onnx;

fn converted(operator: &str) -> Vec<u8> {
    Converter::new(onnx::unary(operator, onnx::FLOAT, &[2])).convert().unwrap()
}

fn run(id: u32, input: &[f32]) -> Vec<f32> {
    let model = Model(id);
    let outputs = model.run(&[&floats(input)], &[input.len() * 4]).unwrap_or_else(|_| panic!("{}", text()));
    std::mem::forget(model);
    to_floats(&outputs[0])
}

#[test]
fn all_models_of_a_bundle_are_loaded_at_once() {
    let context = Context::new(0);
    let file = File::new("both.om", &bundle(&[converted("Neg"), converted("Relu")], None));
    let path = c_path(&file.0);
    let mut id = 0;
    refused(acl!(aclmdlLoadFromFile(path.as_ptr(), &mut id)), 500002, "this file is a bundle");
    refused(acl!(aclmdlBundleLoadFromFile(ptr::null(), &mut id)), 100000, "modelPath");
    refused(acl!(aclmdlBundleLoadFromFile(path.as_ptr(), ptr::null_mut())), 100000, "bundleId");
    refused(acl!(aclmdlBundleLoadFromFile(c"no/such.om".as_ptr(), &mut id)), 145002, "no/such.om");
    let single = converted("Neg");
    refused(
        acl!(aclmdlBundleLoadFromMem(single.as_ptr().cast(), single.len(), &mut id)),
        100000,
        "no bundle",
    );
    assert_eq!(acl!(aclmdlBundleLoadFromFile(path.as_ptr(), &mut id)), 0, "{}", text());

    let (mut count, mut first, mut second) = (0, 0, 0);
    assert_eq!(acl!(aclmdlBundleGetModelNum(id, &mut count)), 0);
    assert_eq!(count, 2);
    assert_eq!(acl!(aclmdlBundleGetModelId(id, 0, &mut first)), 0);
    assert_eq!(acl!(aclmdlBundleGetModelId(id, 1, &mut second)), 0);
    refused(acl!(aclmdlBundleGetModelId(id, 2, &mut count.try_into().unwrap())), 100000, "index 2");
    refused(acl!(aclmdlBundleGetModelId(id + 9, 0, &mut first)), 148053, "no bundle of models");
    refused(acl!(aclmdlBundleGetModelNum(id, ptr::null_mut())), 100000, "modelNum");
    assert_eq!((run(first, &[1.0, -2.0]), run(second, &[1.0, -2.0])), (vec![-1.0, 2.0], vec![1.0, 0.0]));
    refused(acl!(aclmdlUnload(first)), 100000, "belongs to bundle");
    refused(acl!(aclmdlUnload(id)), 145003, "");

    // One more of the same, and one less.
    let mut third = 0;
    refused(acl!(aclmdlBundleLoadModel(id, 2, &mut third)), 100000, "index 2");
    assert_eq!(acl!(aclmdlBundleLoadModel(id, 0, &mut third)), 0, "{}", text());
    assert_eq!(run(third, &[5.0, 6.0]), [-5.0, -6.0]);
    refused(acl!(aclmdlBundleUnloadModel(id, id)), 100000, "no loaded model of bundle");
    assert_eq!(acl!(aclmdlBundleUnloadModel(id, first)), 0);
    refused(acl!(aclmdlBundleUnloadModel(id, first)), 100000, "no loaded model of bundle");
    assert_eq!(acl!(aclmdlBundleUnload(id)), 0, "{}", text());
    refused(acl!(aclmdlBundleUnload(id)), 148053, "");
    refused(acl!(aclmdlUnload(third)), 145003, "");
    drop(context);
}

#[test]
fn models_of_a_bundle_are_loaded_one_by_one() {
    let context = Context::new(0);
    let data = bundle(&[converted("Neg"), converted("Relu")], Some(1000));
    let (mut id, mut model) = (0, 0);
    let init = |pointer, size, id: &mut u32| {
        acl!(aclmdlBundleInitFromMem(data.as_ptr().cast(), data.len(), pointer, size, id))
    };
    refused(init(ptr::without_provenance_mut(4096), 999, &mut id), 100000, "variables of 1000");
    assert_eq!(init(ptr::null_mut(), 0, &mut id), 0, "{}", text());
    refused(acl!(aclmdlBundleGetModelId(id, 0, &mut model)), 200001, "one by one");
    let (mut work, mut weight) = (0, 0);
    let info = acl!(aclmdlBundleCreateQueryInfo());
    assert_eq!(acl!(aclmdlBundleQueryInfoFromMem(data.as_ptr().cast(), data.len(), info)), 0, "{}", text());
    let (mut count, mut variables) = (0, 0);
    assert_eq!(acl!(aclmdlBundleGetQueryModelNum(info, &mut count)), 0);
    assert_eq!(acl!(aclmdlBundleGetVarWeightSize(info, &mut variables)), 0);
    assert_eq!((count, variables), (2, 1000));
    assert_eq!(acl!(aclmdlBundleGetSize(info, 1, &mut work, &mut weight)), 0);
    assert!(work > 0 && weight > 0);
    refused(acl!(aclmdlBundleGetSize(info, 2, &mut work, &mut weight)), 100000, "index 2");
    assert_eq!(acl!(aclmdlBundleDestroyQueryInfo(info)), 0);
    refused(acl!(aclmdlBundleDestroyQueryInfo(info)), 100000, "not alive");
    refused(acl!(aclmdlBundleGetQueryModelNum(info, &mut count)), 100000, "not alive");

    assert_eq!(acl!(aclmdlBundleLoadModel(id, 1, &mut model)), 0, "{}", text());
    assert_eq!(run(model, &[-1.0, 1.0]), [0.0, 1.0]);
    let null = ptr::null_mut();
    refused(
        acl!(aclmdlBundleLoadModelWithMem(id, 0, null, 0, 4096 as *mut _, 1, &mut model)),
        145000,
        "weight memory",
    );
    assert_eq!(acl!(aclmdlBundleUnload(id)), 0, "{}", text());
    drop(context);
}

#[test]
fn damaged_bundles_do_no_harm() {
    let context = Context::new(0);
    let good = bundle(&[converted("Neg")], Some(8));
    let info = acl!(aclmdlBundleCreateQueryInfo());
    for length in (1..good.len()).step_by(7) {
        let code = acl!(aclmdlBundleQueryInfoFromMem(good.as_ptr().cast(), length, info));
        assert_ne!(code, 0, "{length}");
    }
    let mut id = 0;
    for at in 256..340 {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = byte;
            if acl!(aclmdlBundleLoadFromMem(bad.as_ptr().cast(), bad.len(), &mut id)) == 0 {
                assert_eq!(acl!(aclmdlBundleUnload(id)), 0);
            }
            assert!(!text().contains("panicked"));
        }
    }
    assert_eq!(acl!(aclmdlBundleDestroyQueryInfo(info)), 0);
    drop(context);
}
