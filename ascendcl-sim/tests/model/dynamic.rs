//! Models whose shapes each execution decides.

use std::ptr;

use ascendcl_sim::om::Converter;
use ascendcl_sys as sys;

use crate::acl::{Context, Dataset, Desc, Memory, Model, Stream, acl, floats, refused, text, to_floats};
use crate::gears::zeroed;
use crate::om::relu;
use crate::onnx::{self, Dim, Graph};

fn shape(dims: &[i64]) -> *mut sys::aclTensorDesc {
    let desc =
        acl!(aclCreateTensorDesc(sys::ACL_FLOAT, dims.len() as i32, dims.as_ptr(), sys::ACL_FORMAT_ND));
    assert!(!desc.is_null());
    desc
}

fn dims(desc: *mut sys::aclTensorDesc) -> Vec<i64> {
    assert!(!desc.is_null());
    let rank = acl!(aclGetTensorDescNumDims(desc));
    let dim = |index| {
        let mut size = 0;
        assert_eq!(acl!(aclGetTensorDescDimV2(desc, index, &mut size)), 0);
        size
    };
    (0..rank).map(dim).collect()
}

/// Sets the shape of the first input for the next executions.
fn set(dataset: &Dataset, dims: &[i64]) {
    let desc = shape(dims);
    assert_eq!(acl!(aclmdlSetDatasetTensorDesc(dataset.raw, desc, 0)), 0, "{}", text());
    // The dataset has a copy.
    acl!(aclDestroyTensorDesc(desc));
}

#[test]
fn a_shape_comes_with_the_input_and_one_with_the_output() {
    let context = Context::new(0);
    let axes = [Dim::Open("n"), Dim::Fixed(2)];
    let ranged = Converter::new(relu(&axes)).input_shape("x:1~4,2");
    for (file, most) in [(relu(&axes), -1), (ranged.convert().unwrap(), 4), (ranged.to_onnx(), 4)] {
        let model = Model::load(&file).unwrap();
        let desc = Desc::new();
        assert_eq!(acl!(aclmdlGetDesc(desc.0, model.0)), 0);
        assert_eq!(acl!(aclmdlGetNumInputs(desc.0)), 1);
        assert_eq!(acl!(aclmdlGetInputSizeByIndex(desc.0, 0)), if most == 4 { 32 } else { 0 });
        assert_eq!(acl!(aclmdlGetOutputSizeByIndex(desc.0, 0)), 0);
        let mut ranges = zeroed::<sys::aclmdlIODimsRange>();
        assert_eq!(acl!(aclmdlGetInputDimsRange(desc.0, 0, &mut *ranges)), 0);
        assert_eq!((ranges.rangeCount, &ranges.range[..2]), (2, &[[1, most], [2, 2]][..]));
        let mut current = zeroed::<sys::aclmdlIODims>();
        refused(acl!(aclmdlGetCurOutputDims(desc.0, 0, &mut *current)), 200001, "dynamic shape");

        let (x, y) = (Memory::new(64), Memory::new(64));
        x.write(&floats(&[
            -1.0, 2.0, -3.0, 4.0, -5.0, 6.0, 7.0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ]));
        let (input, output) = (Dataset::of(&[&x]), Dataset::of(&[&y]));
        let run = || acl!(aclmdlExecute(model.0, input.raw, output.raw));
        refused(run(), 100000, "has the shape [-1, 2]");
        refused(acl!(aclmdlSetDynamicBatchSize(model.0, input.raw, 0, 1)), 145003, "dynamic shape");
        set(&input, &[3, 3]);
        refused(run(), 100000, "has the shape [3, 3]");
        set(&input, &[3]);
        refused(run(), 100000, "has the shape [3]");
        if most == 4 {
            set(&input, &[5, 2]);
            refused(run(), 100000, "not within [(1, 4), (2, 2)]");
        }
        set(&input, &[3, 2]);
        assert_eq!(run(), 0, "{}", text());
        assert_eq!(to_floats(&y.read()[..24]), [0.0, 2.0, 0.0, 4.0, 0.0, 6.0]);
        assert_eq!(dims(acl!(aclmdlGetDatasetTensorDesc(output.raw, 0))), [3, 2]);
        assert_eq!(dims(acl!(aclmdlGetDatasetTensorDesc(input.raw, 0))), [3, 2]);

        // On a stream the shape is there once the stream is done.
        let stream = Stream::new();
        set(&input, &[1, 2]);
        assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0)), 0, "{}", text());
        assert_eq!(stream.synchronize(), 0, "{}", text());
        assert_eq!(dims(acl!(aclmdlGetDatasetTensorDesc(output.raw, 0))), [1, 2]);

        // An output without memory gets as much as it needs.
        let none = Dataset::new(&[(ptr::null_mut(), 0)]);
        set(&input, &[4, 2]);
        assert_eq!(acl!(aclmdlExecute(model.0, input.raw, none.raw)), 0, "{}", text());
        let buffer = acl!(aclmdlGetDatasetBuffer(none.raw, 0));
        assert_eq!(acl!(aclGetDataBufferSizeV2(buffer)), 32);
        let address = acl!(aclGetDataBufferAddr(buffer));
        assert_eq!(acl!(aclrtFree(address)), 0);
        // One that is too small does not.
        let small = Dataset::new(&[(y.0, 16)]);
        refused(acl!(aclmdlExecute(model.0, input.raw, small.raw)), 507011, "output 0 takes 32 bytes");
        drop((none, small, stream, input, output, x, y, desc, model));
    }
    drop(context);
}

#[test]
fn an_output_whose_shape_depends_on_the_data() {
    let context = Context::new(0);
    let file = Graph::new().node("NonZero", &["x"], &["y"]).input("x", onnx::FLOAT, &[4]);
    let model = Model::load(&file.value(12, "y", onnx::INT64, None).file()).unwrap();
    let (x, y) = (Memory::new(16), Memory::new(64));
    x.write(&floats(&[0.0, 1.0, 0.0, 2.0]));
    let (input, output) = (Dataset::of(&[&x]), Dataset::of(&[&y]));
    assert_eq!(acl!(aclmdlExecute(model.0, input.raw, output.raw)), 0, "{}", text());
    assert_eq!(dims(acl!(aclmdlGetDatasetTensorDesc(output.raw, 0))), [1, 2]);
    assert_eq!(y.read()[..16], [1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    drop((input, output, x, y, model));
    drop(context);
}

#[test]
fn tensor_descriptions_of_a_dataset() {
    let context = Context::new(0);
    let memory = Memory::new(8);
    let dataset = Dataset::of(&[&memory]);
    let desc = shape(&[2]);
    refused(acl!(aclmdlSetDatasetTensorDesc(ptr::null_mut(), desc, 0)), 100000, "dataset");
    refused(acl!(aclmdlSetDatasetTensorDesc(dataset.raw, desc, 1)), 100000, "index 1");
    refused(
        acl!(aclmdlSetDatasetTensorDesc(dataset.raw, dataset.raw.cast(), 0)),
        100000,
        "tensor description",
    );
    assert!(acl!(aclmdlGetDatasetTensorDesc(dataset.raw, 0)).is_null());
    assert!(acl!(aclmdlGetDatasetTensorDesc(dataset.raw, 1)).is_null());
    assert_eq!(acl!(aclmdlSetDatasetTensorDesc(dataset.raw, desc, 0)), 0);
    let copy = acl!(aclmdlGetDatasetTensorDesc(dataset.raw, 0));
    assert_ne!(copy, desc);
    assert_eq!(dims(copy), [2]);
    acl!(aclDestroyTensorDesc(desc));
    // NULL takes it away again.
    assert_eq!(acl!(aclmdlSetDatasetTensorDesc(dataset.raw, ptr::null_mut(), 0)), 0);
    assert!(acl!(aclmdlGetDatasetTensorDesc(dataset.raw, 0)).is_null());
    drop((dataset, memory));
    drop(context);
}
