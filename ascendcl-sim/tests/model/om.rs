//! OM files: those of a card are described and refused, those that carry an ONNX graph run.

use std::ffi::CStr;
use std::ptr;

use ascendcl_sim::om::Converter;
use ascendcl_sys as sys;

use crate::acl::{Context, Desc, Model, acl, c_path, floats, refused, text, to_floats};
use crate::onnx::{self, Dim, Graph};

/// `y = relu(x)` with a batch that is open.
pub fn relu(axes: &[Dim]) -> Vec<u8> {
    Graph::new()
        .node("Relu", &["x"], &["y"])
        .value(11, "x", onnx::FLOAT, Some(axes))
        .value(12, "y", onnx::FLOAT, Some(axes))
        .file()
}

/// Writes a file that goes when the test ends.
pub struct File(pub std::path::PathBuf);

impl File {
    pub fn new(name: &str, content: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("ascendcl-sim-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn static_om() -> Vec<u8> {
    Converter::new(onnx::unary("Relu", onnx::FLOAT, &[2, 3])).convert().unwrap()
}

/// Where a partition of a type starts and how long it is.
fn partition(file: &[u8], kind: u32) -> (usize, usize, usize) {
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let count = u32_at(256) as usize;
    let start = 264 + count * 24;
    let entry = (0..count).map(|index| 264 + index * 24).find(|&entry| u32_at(entry) == kind).unwrap();
    (entry, start + u64_at(entry + 8), u64_at(entry + 16))
}

#[test]
fn a_converted_model_runs_and_is_described_without_loading() {
    let context = Context::new(0);
    let om = static_om();
    let model = Model::load(&om).unwrap();
    let input = floats(&[1.0, -2.0, 3.0, -4.0, 5.0, -6.0]);
    let outputs = model.run(&[&input], &[24]).unwrap();
    assert_eq!(to_floats(&outputs[0]), [1.0, 0.0, 3.0, 0.0, 5.0, 0.0]);

    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDescFromMem(desc.0, om.as_ptr().cast(), om.len())), 0, "{}", text());
    assert_eq!((acl!(aclmdlGetNumInputs(desc.0)), acl!(aclmdlGetNumOutputs(desc.0))), (1, 1));
    assert_eq!(acl!(aclmdlGetInputSizeByIndex(desc.0, 0)), 24);
    assert_eq!(acl!(aclmdlGetOutputDataType(desc.0, 0)), sys::ACL_FLOAT);
    let name = acl!(aclmdlGetOutputNameByIndex(desc.0, 0));
    // SAFETY: a C string of a live description, read at once.
    assert_eq!(unsafe { CStr::from_ptr(name) }, c"y");

    let (mut work, mut weight) = (0, 0);
    let code = acl!(aclmdlQuerySizeFromMem(om.as_ptr().cast(), om.len(), &mut work, &mut weight));
    assert_eq!(code, 0, "{}", text());
    assert_eq!(weight, partition(&om, 1).2);
    assert!(work >= 48);
    drop((desc, model));
    drop(context);
}

#[test]
fn models_for_a_card_are_described_and_not_run() {
    let context = Context::new(0);
    let mut om = static_om();
    let (entry, ..) = partition(&om, 0x584f);
    // A type that cards know.
    om[entry..entry + 4].copy_from_slice(&3u32.to_le_bytes());
    refused(Model::load(&om).err().unwrap_or(0), 500002, "this OM model is for a card");
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDescFromMem(desc.0, om.as_ptr().cast(), om.len())), 0, "{}", text());
    assert_eq!(acl!(aclmdlGetNumInputs(desc.0)), 1);

    // A file without the partition that describes it describes nothing.
    let (entry, ..) = partition(&om, 8);
    om[entry] = 4;
    assert_eq!(acl!(aclmdlGetDescFromMem(desc.0, om.as_ptr().cast(), om.len())), 0, "{}", text());
    assert_eq!(acl!(aclmdlGetNumInputs(desc.0)), 0);
    drop(desc);
    drop(context);
}

#[test]
fn bad_headers_are_answered_as_by_whom_they_are_read() {
    let context = Context::new(0);
    let om = static_om();
    let desc = Desc::new();
    let (mut work, mut weight, mut id) = (7, 7, 7);
    let cut = File::new("short.om", &om[..200]);
    let path = c_path(&cut.0);
    refused(acl!(aclmdlLoadFromFile(path.as_ptr(), &mut id)), 145006, "200 bytes");
    refused(acl!(aclmdlQuerySize(path.as_ptr(), &mut work, &mut weight)), 145000, "200 bytes");
    refused(acl!(aclmdlGetDescFromFile(desc.0, path.as_ptr())), 145000, "200 bytes");
    refused(acl!(aclmdlLoadFromMem(om.as_ptr().cast(), 200, &mut id)), 100000, "200 bytes");
    refused(
        acl!(aclmdlLoadFromMem(om.as_ptr().cast(), om.len() - 1, &mut id)),
        145000,
        "its header tells of",
    );
    let code = acl!(aclmdlQuerySizeFromMem(om.as_ptr().cast(), 300, &mut work, &mut weight));
    refused(code, 145000, "its header tells of");

    let mut changed = om.clone();
    changed[256] = 99;
    refused(Model::load(&changed).err().unwrap_or(0), 145000, "99 entries");
    let mut changed = om.clone();
    let (entry, ..) = partition(&om, 0);
    changed[entry + 23] = 1;
    refused(Model::load(&changed).err().unwrap_or(0), 145006, "partition 0 of type 0");
    let mut changed = om;
    let (_, start, _) = partition(&changed, 8);
    changed[start] = 77;
    let code = acl!(aclmdlGetDescFromMem(desc.0, changed.as_ptr().cast(), changed.len()));
    refused(code, 500002, "unknown entry");
    assert_eq!((work, weight, id), (7, 7, 7));
    drop(desc);
    drop(context);
}

#[test]
fn an_om_file_with_wrong_bytes_does_no_harm() {
    let context = Context::new(0);
    let good =
        Converter::new(relu(&[Dim::Open("n"), Dim::Fixed(3)])).dynamic_batch_size(&[1, 2]).convert().unwrap();
    let desc = Desc::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |end: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % end as u64) as usize
    };
    for _ in 0..4000 {
        let mut bad = good.clone();
        match random(4) {
            0 => bad.truncate(random(good.len())),
            _ => {
                for _ in 0..=random(3) {
                    let at = random(good.len());
                    bad[at] = [0, 1, 0x7f, 0xff, random(256) as u8][random(5)];
                }
            }
        }
        let (mut work, mut weight) = (0, 0);
        let (data, size) = (bad.as_ptr().cast(), bad.len().max(1));
        acl!(aclmdlGetDescFromMem(desc.0, data, size));
        acl!(aclmdlQuerySizeFromMem(data, size, &mut work, &mut weight));
        if let Ok(model) = Model::load(&bad) {
            drop(model);
        }
        assert!(!text().contains("panicked"));
    }
    drop(desc);
    drop(context);
}

#[test]
fn what_cannot_be_converted_is_told() {
    let error = Converter::new(relu(&[Dim::Open("n"), Dim::Open("m")]))
        .dynamic_batch_size(&[1])
        .convert()
        .unwrap_err();
    assert_eq!(error.code(), 145021);
    assert!(error.to_string().contains("dynamic dimension 'm'"), "{error}");
    let error = Converter::new(relu(&[Dim::Fixed(2)])).dynamic_batch_size(&[1]).convert().unwrap_err();
    assert!(error.to_string().contains("no axis of an input is open"), "{error}");
    let error = Converter::new(relu(&[Dim::Fixed(2)])).input_shape("z:1").convert().unwrap_err();
    assert!(error.to_string().contains("the input 'z'"), "{error}");
    let error = Converter::new(b"IMOD".to_vec()).convert().unwrap_err();
    assert!(error.to_string().contains("not an ONNX model"), "{error}");
}

#[test]
fn models_need_an_initialised_acl_and_readable_answers() {
    let context = Context::new(0);
    let om = static_om();
    let file = File::new("answers.om", &om);
    let path = c_path(&file.0);
    let (mut work, mut weight, mut id) = (0, 0, 0);
    refused(acl!(aclmdlQuerySize(ptr::null(), &mut work, &mut weight)), 100000, "fileName");
    refused(acl!(aclmdlQuerySize(path.as_ptr(), ptr::null_mut(), &mut weight)), 100000, "workSize");
    refused(acl!(aclmdlQuerySize(path.as_ptr(), &mut work, ptr::null_mut())), 100000, "weightSize");
    assert_eq!(acl!(aclmdlLoadFromFile(path.as_ptr(), &mut id)), 0, "{}", text());
    // No attribute of an operator was saved, but the model is there.
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDesc(desc.0, id)), 0);
    let attribute = sys::ACL_ATTR_NAME_DATA_DUMP_ORIGIN_OP_NAMES.as_ptr();
    let value = acl!(aclmdlGetOpAttr(desc.0, c"relu".as_ptr(), attribute));
    // SAFETY: not NULL, a C string that lives as long as the description.
    assert_eq!(unsafe { CStr::from_ptr(value) }, c"");
    assert_eq!(acl!(aclmdlGetOpAttr(desc.0, c"relu".as_ptr(), attribute)), value);
    assert!(acl!(aclmdlGetOpAttr(desc.0, c"relu".as_ptr(), c"other".as_ptr())).is_null());
    assert!(acl!(aclmdlGetOpAttr(ptr::null_mut(), c"relu".as_ptr(), attribute)).is_null());
    assert_eq!(acl!(aclmdlUnload(id)), 0);
    assert!(acl!(aclmdlGetOpAttr(desc.0, c"relu".as_ptr(), attribute)).is_null());

    let (mut inputs, mut outputs, mut count) = (ptr::null_mut(), ptr::null_mut(), 0);
    let mut name = [0; 16];
    let number: *mut usize = &mut count;
    let get = |name: *mut core::ffi::c_char, inputs, outputs| {
        acl!(aclmdlCreateAndGetOpDesc(0, 0, 0, name, 16, inputs, number, outputs, number))
    };
    refused(get(ptr::null_mut(), &mut inputs, &mut outputs), 100000, "opName");
    refused(get(name.as_mut_ptr(), &mut inputs, &mut outputs), 500002, "no operator");
    drop(desc);
    drop(context);
}
