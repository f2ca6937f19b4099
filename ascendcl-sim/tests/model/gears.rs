//! Gears: dynamic batch, image size and dimensions.

use std::ptr;

use ascendcl_sim::om::Converter;
use ascendcl_sys as sys;

use crate::acl::{Context, Dataset, Desc, Memory, Model, Stream, acl, floats, refused, text, to_floats};
use crate::om::relu;
use crate::onnx::{self, Dim, Graph};

pub fn zeroed<T>() -> Box<T> {
    // SAFETY: for plain C structures, of which zero is a value.
    Box::new(unsafe { std::mem::zeroed() })
}

fn dims(values: &[i64]) -> Box<sys::aclmdlIODims> {
    let mut dims = zeroed::<sys::aclmdlIODims>();
    dims.dimCount = values.len();
    dims.dims[..values.len()].copy_from_slice(values);
    dims
}

fn values(dims: &sys::aclmdlIODims) -> &[i64] {
    &dims.dims[..dims.dimCount]
}

fn gear_index(desc: &Desc) -> usize {
    let mut index = 77;
    let name = sys::ACL_DYNAMIC_TENSOR_NAME.as_ptr();
    assert_eq!(acl!(aclmdlGetInputIndexByName(desc.0, name, &mut index)), 0, "{}", text());
    index
}

fn described(model: &Model) -> Desc {
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDesc(desc.0, model.0)), 0, "{}", text());
    desc
}

fn current_output(desc: &Desc) -> Vec<i64> {
    let mut current = zeroed::<sys::aclmdlIODims>();
    assert_eq!(acl!(aclmdlGetCurOutputDims(desc.0, 0, &mut *current)), 0, "{}", text());
    values(&current).to_vec()
}

fn batches() -> Vec<u8> {
    relu(&[Dim::Open("n"), Dim::Fixed(3)])
}

#[test]
fn a_batch_is_chosen_for_each_execution() {
    let context = Context::new(0);
    let converter = Converter::new(batches()).dynamic_batch_size(&[1, 2, 4]);
    // The file and the plain ONNX model with its metadata are the same model.
    for file in [converter.convert().unwrap(), converter.to_onnx()] {
        let model = Model::load(&file).unwrap();
        let desc = described(&model);
        let index = gear_index(&desc);
        assert_eq!((index, acl!(aclmdlGetNumInputs(desc.0))), (1, 2));
        assert_eq!(acl!(aclmdlGetInputSizeByIndex(desc.0, 0)), 4 * 12);
        assert_eq!(acl!(aclmdlGetInputSizeByIndex(desc.0, 1)), 4);
        assert_eq!(acl!(aclmdlGetInputDataType(desc.0, 1)), sys::ACL_INT32);
        let mut shape = zeroed::<sys::aclmdlIODims>();
        assert_eq!(acl!(aclmdlGetInputDims(desc.0, 0, &mut *shape)), 0);
        assert_eq!(values(&shape), [-1, 3]);
        assert_eq!(acl!(aclmdlGetOutputDims(desc.0, 0, &mut *shape)), 0);
        assert_eq!(values(&shape), [4, 3]);
        let mut gears = zeroed::<sys::aclmdlBatch>();
        assert_eq!(acl!(aclmdlGetDynamicBatch(desc.0, &mut *gears)), 0);
        assert_eq!((gears.batchCount, &gears.batch[..3]), (3, &[1, 2, 4][..]));
        let mut ranges = zeroed::<sys::aclmdlIODimsRange>();
        assert_eq!(acl!(aclmdlGetInputDimsRange(desc.0, 0, &mut *ranges)), 0);
        assert_eq!(ranges.rangeCount, 0);
        assert_eq!(current_output(&desc), [4, 3], "no gear was set yet");

        let (x, gear, y) = (Memory::new(48), Memory::new(4), Memory::new(48));
        let (input, output) = (Dataset::of(&[&x, &gear]), Dataset::of(&[&y]));
        let run = || acl!(aclmdlExecute(model.0, input.raw, output.raw));
        refused(run(), 507011, "which is none of its gears");
        x.write(&floats(&(0..12).map(|n| n as f32 - 3.0).collect::<Vec<_>>()));
        for batch in [2u64, 4, 1] {
            y.write(&[7; 48]);
            assert_eq!(acl!(aclmdlSetDynamicBatchSize(model.0, input.raw, index, batch)), 0, "{}", text());
            assert_eq!(current_output(&desc), [batch as i64, 3]);
            assert_eq!(gear.read(), (batch as u32).to_le_bytes());
            assert_eq!(run(), 0, "{}", text());
            let used = batch as usize * 12;
            let expected: Vec<f32> = (0..batch * 3).map(|n| (n as f32 - 3.0).max(0.0)).collect();
            assert_eq!(to_floats(&y.read()[..used]), expected);
            assert_eq!(y.read()[used..], vec![7; 48 - used]);
        }
        // Whoever sets a gear may bring less memory; too little for it is noticed.
        let little = Dataset::new(&[(x.0, 12), (gear.0, 4)]);
        assert_eq!(acl!(aclmdlSetDynamicBatchSize(model.0, little.raw, index, 1)), 0, "{}", text());
        assert_eq!(acl!(aclmdlExecute(model.0, little.raw, output.raw)), 0, "{}", text());
        assert_eq!(acl!(aclmdlSetDynamicBatchSize(model.0, little.raw, index, 2)), 0, "{}", text());
        refused(acl!(aclmdlExecute(model.0, little.raw, output.raw)), 507011, "reads 24 bytes of input 0");
        drop((little, input, output, x, gear, y, desc, model));
    }
    drop(context);
}

#[test]
fn setters_check_in_the_order_of_the_real_ones() {
    let context = Context::new(0);
    let model =
        Model::load(&Converter::new(batches()).dynamic_batch_size(&[1, 2]).convert().unwrap()).unwrap();
    let (x, gear) = (Memory::new(24), Memory::new(16));
    let input = Dataset::of(&[&x, &gear]);
    let set =
        |model: u32, dataset, index, batch| acl!(aclmdlSetDynamicBatchSize(model, dataset, index, batch));
    refused(set(0, ptr::null_mut(), 1, 0), 100000, "dataset");
    refused(set(0, input.raw, 1, 0), 100000, "a gear of 0");
    refused(set(0, input.raw, 2, 1), 100000, "data buffer 2");
    let hole = Dataset::new(&[(ptr::null_mut(), 4)]);
    refused(set(0, hole.raw, 0, 1), 100000, "no address");
    let tiny = Dataset::new(&[(gear.0, 3)]);
    refused(set(0, tiny.raw, 0, 1), 145012, "has 3 bytes");
    refused(set(0, input.raw, 1, 1), 145003, "id 0");
    refused(set(model.0, input.raw, 1, 3), 145013, "[3] is no gear");
    let mut host = [0u8; 8];
    let outside = Dataset::new(&[(host.as_mut_ptr().cast(), 8)]);
    refused(set(model.0, outside.raw, 0, 1), 107000, "host memory");
    // Where there is room the gear takes 8 bytes.
    assert_eq!(set(model.0, input.raw, 1, 2), 0, "{}", text());
    assert_eq!(gear.read()[..8], 2u64.to_le_bytes());

    let size = |model: u32, index, height, width| {
        acl!(aclmdlSetDynamicHWSize(model, input.raw, index, height, width))
    };
    refused(size(model.0, 1, 0, 1), 100000, "a gear of 0");
    refused(size(model.0, 1, 1, 2), 145013, "[1, 2] is no gear");
    let set = |dims: *const sys::aclmdlIODims| acl!(aclmdlSetInputDynamicDims(model.0, input.raw, 1, dims));
    refused(set(ptr::null()), 100000, "dims");
    refused(set(&*dims(&[])), 100000, "no dimensions");
    refused(set(&*dims(&[1, 3])), 145012, "2 dimensions, the inputs of model");

    let desc = described(&model);
    let mut count = 7;
    refused(acl!(aclmdlGetInputDynamicGearCount(desc.0, 0, &mut count)), 100000, "index must be -1");
    assert_eq!(acl!(aclmdlGetInputDynamicGearCount(desc.0, usize::MAX, &mut count)), 0);
    assert_eq!(count, 0);
    let mut sizes = zeroed::<sys::aclmdlHW>();
    assert_eq!(acl!(aclmdlGetDynamicHW(desc.0, 0, &mut *sizes)), 0);
    assert_eq!(sizes.hwCount, 0);
    drop((desc, hole, tiny, outside, input, x, gear, model));
    drop(context);
}

#[test]
fn an_image_size_is_chosen() {
    let context = Context::new(0);
    let axes = [Dim::Fixed(1), Dim::Fixed(1), Dim::Open("h"), Dim::Open("w")];
    let file = Converter::new(relu(&axes)).dynamic_image_size(&[(2, 2), (3, 4)]).convert().unwrap();
    let model = Model::load(&file).unwrap();
    let desc = described(&model);
    let mut sizes = zeroed::<sys::aclmdlHW>();
    assert_eq!(acl!(aclmdlGetDynamicHW(desc.0, 0, &mut *sizes)), 0);
    assert_eq!((sizes.hwCount, &sizes.hw[..2]), (2, &[[2, 2], [3, 4]][..]));
    let index = gear_index(&desc);
    let (x, gear, y) = (Memory::new(48), Memory::new(8), Memory::new(48));
    x.write(&floats(&[-1.0; 12]));
    let (input, output) = (Dataset::of(&[&x, &gear]), Dataset::of(&[&y]));
    assert_eq!(acl!(aclmdlSetDynamicHWSize(model.0, input.raw, index, 3, 4)), 0, "{}", text());
    assert_eq!(current_output(&desc), [1, 1, 3, 4]);
    let stream = Stream::new();
    assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0)), 0, "{}", text());
    assert_eq!(stream.synchronize(), 0, "{}", text());
    assert_eq!(to_floats(&y.read()), [0.0; 12]);
    drop((stream, input, output, x, gear, y, desc, model));
    drop(context);
}

#[test]
fn all_open_dimensions_are_chosen_together() {
    let context = Context::new(0);
    let file = Graph::new()
        .node("Add", &["a", "b"], &["sum"])
        .value(11, "a", onnx::FLOAT, Some(&[Dim::Open("n"), Dim::Fixed(2)]))
        .value(11, "b", onnx::FLOAT, Some(&[Dim::Open("m"), Dim::Fixed(2)]))
        // Of another name, so that it has to be tried out.
        .value(12, "sum", onnx::FLOAT, Some(&[Dim::Open("rows"), Dim::Fixed(2)]));
    let file = Converter::new(file.file()).dynamic_dims(&[[1u64, 1], [2, 1], [3, 3]]).convert().unwrap();
    let model = Model::load(&file).unwrap();
    let desc = described(&model);
    let index = gear_index(&desc);
    assert_eq!(index, 2);
    let mut count = 0;
    assert_eq!(acl!(aclmdlGetInputDynamicGearCount(desc.0, usize::MAX, &mut count)), 0);
    assert_eq!(count, 3);
    let mut gears: Vec<sys::aclmdlIODims> = (0..3).map(|_| *zeroed::<sys::aclmdlIODims>()).collect();
    let get = |desc: &Desc, gears: &mut Vec<sys::aclmdlIODims>, index, count| {
        acl!(aclmdlGetInputDynamicDims(desc.0, index, gears.as_mut_ptr(), count))
    };
    refused(get(&desc, &mut gears, 0, 3), 100000, "index must be -1");
    refused(get(&desc, &mut gears, usize::MAX, 2), 100000, "gearCount 2");
    assert_eq!(get(&desc, &mut gears, usize::MAX, 3), 0);
    assert_eq!(gears.iter().map(values).collect::<Vec<_>>(), [[1, 2, 1, 2], [2, 2, 1, 2], [3, 2, 3, 2]]);

    let (a, b, gear, sum) = (Memory::new(24), Memory::new(24), Memory::new(8), Memory::new(24));
    a.write(&floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    b.write(&floats(&[10.0, 20.0, 0.0, 0.0, 0.0, 0.0]));
    let (input, output) = (Dataset::of(&[&a, &b, &gear]), Dataset::of(&[&sum]));
    let set = |values: &[i64]| acl!(aclmdlSetInputDynamicDims(model.0, input.raw, index, &*dims(values)));
    refused(set(&[2, 2, 1]), 145012, "3 dimensions");
    refused(set(&[2, 3, 1, 2]), 145012, "dimension 1 is 3");
    refused(set(&[3, 2, 1, 2]), 145013, "no gear");
    assert_eq!(set(&[2, 2, 1, 2]), 0, "{}", text());
    assert_eq!(current_output(&desc), [2, 2]);
    assert_eq!(acl!(aclmdlExecute(model.0, input.raw, output.raw)), 0, "{}", text());
    assert_eq!(to_floats(&sum.read()[..16]), [11.0, 22.0, 13.0, 24.0]);
    drop((input, output, a, b, gear, sum, desc, model));
    drop(context);
}
