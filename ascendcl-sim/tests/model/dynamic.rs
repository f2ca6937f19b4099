//! Models whose shapes each execution decides.

use core::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

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

/// What the allocator below does: 0 as it should, 1 gives nothing, 2 gives host memory, 3 gives too little, 4 frees before the stream has passed.
static MANNER: AtomicI32 = AtomicI32::new(0);
/// Blocks that are out, and whether there were ever as many as two.
static OUT: AtomicI32 = AtomicI32::new(0);
static MOST: AtomicI32 = AtomicI32::new(0);

extern "C" fn allocate(_: sys::aclrtAllocator, bytes: usize) -> *mut c_void {
    let mut block = ptr::null_mut();
    match MANNER.load(Ordering::SeqCst) {
        1 => return block,
        2 => assert_eq!(acl!(aclrtMallocHost(&mut block, bytes)), 0),
        3 => assert_eq!(acl!(aclrtMalloc(&mut block, 1, sys::ACL_MEM_MALLOC_NORMAL_ONLY)), 0),
        _ => assert_eq!(acl!(aclrtMalloc(&mut block, bytes, sys::ACL_MEM_MALLOC_NORMAL_ONLY)), 0),
    }
    MOST.fetch_max(OUT.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    block
}

/// The stream of the allocator is waited for first, unless it does it wrong.
extern "C" fn free(stream: sys::aclrtAllocator, block: sys::aclrtAllocatorBlock) {
    OUT.fetch_sub(1, Ordering::SeqCst);
    match MANNER.load(Ordering::SeqCst) {
        2 => assert_eq!(acl!(aclrtFreeHost(block)), 0),
        4 => assert_eq!(acl!(aclrtFree(block)), 0),
        _ => {
            assert_eq!(acl!(aclrtSynchronizeStream(stream)), 0);
            assert_eq!(acl!(aclrtFree(block)), 0);
        }
    }
}

extern "C" fn address(block: sys::aclrtAllocatorBlock) -> *mut c_void {
    block
}

#[test]
fn work_memory_comes_from_the_allocator_of_the_stream() {
    let context = Context::new(0);
    let model = Model::load(&relu(&[Dim::Open("n")])).unwrap();
    let (x, y) = (Memory::new(16), Memory::new(16));
    let (input, output) = (Dataset::of(&[&x]), Dataset::of(&[&y]));
    set(&input, &[4]);
    let stream = Stream::new();
    let desc = acl!(aclrtAllocatorCreateDesc());
    assert_eq!(acl!(aclrtAllocatorSetObjToDesc(desc, stream.0)), 0);
    assert_eq!(acl!(aclrtAllocatorSetAllocFuncToDesc(desc, Some(allocate))), 0);
    assert_eq!(acl!(aclrtAllocatorSetFreeFuncToDesc(desc, Some(free))), 0);
    assert_eq!(acl!(aclrtAllocatorSetGetAddrFromBlockFuncToDesc(desc, Some(address))), 0);
    assert_eq!(acl!(aclrtAllocatorRegister(stream.0, desc)), 0);
    assert_eq!(acl!(aclrtAllocatorDestroyDesc(desc)), 0);
    let run = |values: [f32; 4]| {
        x.write(&floats(&values));
        acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0))
    };
    let counts = || (OUT.load(Ordering::SeqCst), MOST.load(Ordering::SeqCst));
    assert_eq!(run([-1.0, 2.0, -3.0, 4.0]), 0, "{}", text());
    assert_eq!(counts(), (0, 2), "all of it came back before the call returned");
    assert_eq!(stream.synchronize(), 0, "{}", text());
    assert_eq!(to_floats(&y.read()), [0.0, 2.0, 0.0, 4.0]);
    for (manner, why) in [(1, "gave no memory"), (2, "host memory"), (3, "where there are no 512 bytes")] {
        MANNER.store(manner, Ordering::SeqCst);
        refused(run([1.0; 4]), 500002, why);
        assert_eq!((OUT.load(Ordering::SeqCst), stream.synchronize()), (0, 0));
    }
    // Who waits for the execution is not asked, nor is anybody without an allocator.
    MANNER.store(1, Ordering::SeqCst);
    assert_eq!(acl!(aclmdlExecute(model.0, input.raw, output.raw)), 0, "{}", text());
    let other = Stream::new();
    assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, other.0)), 0, "{}", text());
    assert_eq!(other.synchronize(), 0);
    // Memory that is gone when the device comes to it.
    MANNER.store(4, Ordering::SeqCst);
    let event = held(&stream);
    assert_eq!(run([1.0; 4]), 0, "{}", text());
    assert_eq!(acl!(aclrtRecordEvent(event, other.0)), 0);
    assert_ne!(stream.synchronize(), 0, "the device worked in memory that was freed");
    assert_eq!(acl!(aclrtAllocatorUnregister(stream.0)), 0);
    assert_eq!(acl!(aclrtDestroyEvent(event)), 0);
    drop((input, output, x, y, other, stream, model));
    drop(context);
}

/// Holds a stream back until the event is recorded.
fn held(stream: &Stream) -> sys::aclrtEvent {
    let mut event = ptr::null_mut();
    assert_eq!(acl!(aclrtCreateEventWithFlag(&mut event, sys::ACL_EVENT_SYNC)), 0, "{}", text());
    assert_eq!(acl!(aclrtStreamWaitEvent(stream.0, event)), 0, "{}", text());
    event
}
