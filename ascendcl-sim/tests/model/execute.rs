//! Executing: types, what is refused, and when the addresses and the contents count.

use std::ffi::c_void;
use std::ptr;

use ascendcl_sys as sys;

use crate::acl::{Context, Dataset, Memory, Model, Stream, acl, floats, refused, text, to_floats};
use crate::digits::{self, ANSWER, IMAGE};
use crate::onnx::{self, Graph};

/// Keeps a stream from going on: a blocking callback that runs when the thread serves it.
struct Hold<'a>(&'a Stream, u64);

impl Hold<'_> {
    fn new(stream: &Stream) -> Hold<'_> {
        unsafe extern "C" fn nothing(_: *mut c_void) {}
        // SAFETY: takes nothing.
        let thread = unsafe { libc::pthread_self() } as u64;
        assert_eq!(acl!(aclrtSubscribeReport(thread, stream.0)), 0, "{}", text());
        let callback = Some(nothing as unsafe extern "C" fn(*mut c_void));
        let code = acl!(aclrtLaunchCallback(callback, ptr::null_mut(), sys::ACL_CALLBACK_BLOCK, stream.0));
        assert_eq!(code, 0, "{}", text());
        Hold(stream, thread)
    }

    fn release(self) {
        assert_eq!(acl!(aclrtProcessReport(10_000)), 0, "{}", text());
        assert_eq!(acl!(aclrtUnSubscribeReport(self.1, self.0.0)), 0);
    }
}

fn bytes<const N: usize, T: Copy>(values: &[T], to: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| to(value)).collect()
}

#[test]
fn element_types_are_those_of_the_file() {
    let context = Context::new(0);
    let run = |file: Vec<u8>, input: &[u8]| {
        let model = Model::load(&file).unwrap_or_else(|_| panic!("{}", text()));
        model.run(&[input], &[input.len()]).map(|mut outputs| outputs.remove(0))
    };
    let wide = bytes(&[1i64, -2, i64::from(i32::MAX)], i64::to_le_bytes);
    assert_eq!(run(onnx::unary("Identity", onnx::INT64, &[3]), &wide).unwrap(), wide);
    let negated = bytes(&[-1i64, 2, -i64::from(i32::MAX)], i64::to_le_bytes);
    assert_eq!(run(onnx::unary("Neg", onnx::INT64, &[3]), &wide).unwrap(), negated);
    // 1.5, -2, 65504; their absolute values.
    let halves = bytes(&[0x3e00u16, 0xc000, 0x7bff], u16::to_le_bytes);
    let absolute = bytes(&[0x3e00u16, 0x4000, 0x7bff], u16::to_le_bytes);
    assert_eq!(run(onnx::unary("Abs", onnx::FLOAT16, &[3]), &halves).unwrap(), absolute);
    assert_eq!(run(onnx::unary("Not", onnx::BOOL, &[2]), &[1, 0]).unwrap(), [0, 1]);

    let huge = bytes(&[1i64 << 40], i64::to_le_bytes);
    let code = run(onnx::unary("Neg", onnx::INT64, &[1]), &huge).unwrap_err();
    refused(code, 507011, "holds 1099511627776");
    drop(context);
}

#[test]
fn several_inputs_and_outputs_keep_their_order() {
    let context = Context::new(0);
    let file = Graph::new()
        .node("Sub", &["a", "b"], &["difference"])
        .node("Add", &["a", "b"], &["sum"])
        .input("b", onnx::FLOAT, &[2])
        .input("a", onnx::FLOAT, &[2])
        .output("sum", onnx::FLOAT, &[2])
        .output("difference", onnx::FLOAT, &[2]);
    let model = Model::load(&file.file()).unwrap();
    let outputs = model.run(&[&floats(&[1.0, 2.0]), &floats(&[10.0, 20.0])], &[8, 8]).unwrap();
    assert_eq!(to_floats(&outputs[0]), [11.0, 22.0]);
    assert_eq!(to_floats(&outputs[1]), [9.0, 18.0]);
    drop(model);
    drop(context);
}

#[test]
fn datasets_that_do_not_fit() {
    let context = Context::new(0);
    let model = digits::load();
    let stream = Stream::new();
    let (image, answer, large) = (Memory::new(IMAGE), Memory::new(ANSWER), Memory::new(10 * IMAGE));
    let (input, output) = (Dataset::of(&[&image]), Dataset::of(&[&answer]));
    #[track_caller]
    fn both(model: u32, input: &Dataset, output: &Dataset, stream: &Stream, code: i32, words: &str) {
        refused(acl!(aclmdlExecute(model, input.raw, output.raw)), code, words);
        refused(acl!(aclmdlExecuteAsync(model, input.raw, output.raw, stream.0)), code, words);
    }

    both(0, &input, &output, &stream, 145003, "id 0");
    both(model.0, &Dataset::of(&[]), &output, &stream, 145000, "input dataset has 0 data buffers");
    both(model.0, &Dataset::of(&[&image, &image]), &output, &stream, 145000, "has 2 data buffers");
    both(model.0, &input, &Dataset::of(&[]), &stream, 145000, "output dataset has 0");
    let small = |memory: &Memory, size| Dataset::new(&[(memory.0, size)]);
    both(
        model.0,
        &small(&image, IMAGE - 65),
        &output,
        &stream,
        145000,
        "input 0 'image' has 191 bytes, the model needs 256",
    );
    // The real check lets 64 bytes pass; what is used must be there all the same.
    let (nearly, less) = (small(&image, IMAGE - 64), small(&answer, 39));
    assert_eq!(acl!(aclmdlExecute(model.0, nearly.raw, less.raw)), 0, "{}", text());
    let late = Dataset::new(&[(answer.0.wrapping_byte_add(8), 32)]);
    both(model.0, &input, &late, &stream, 107000, "has no 40 bytes allocated");
    both(model.0, &small(&image, IMAGE + 1), &output, &stream, 107000, "has no 257 bytes allocated");
    both(model.0, &Dataset::new(&[(ptr::null_mut(), IMAGE)]), &output, &stream, 100000, "no address");

    let mut host = [0u8; IMAGE];
    both(
        model.0,
        &Dataset::new(&[(host.as_mut_ptr().cast(), IMAGE)]),
        &output,
        &stream,
        107000,
        "host memory",
    );
    both(
        model.0,
        &input,
        &Dataset::new(&[(host.as_mut_ptr().cast(), IMAGE)]),
        &stream,
        107000,
        "host memory",
    );
    let mut pinned = ptr::null_mut();
    assert_eq!(acl!(aclrtMallocHost(&mut pinned, IMAGE)), 0);
    both(model.0, &Dataset::new(&[(pinned, IMAGE)]), &output, &stream, 107000, "host memory");
    assert_eq!(acl!(aclrtFreeHost(pinned)), 0);

    refused(acl!(aclmdlExecute(model.0, ptr::null(), output.raw)), 100000, "input must not be NULL");
    refused(acl!(aclmdlExecute(model.0, input.raw, ptr::null_mut())), 100000, "output must not be NULL");
    let none = Dataset::new(&[(ptr::null_mut(), 0)]);
    refused(acl!(aclmdlExecuteAsync(model.0, input.raw, none.raw, stream.0)), 100000, "no address");

    // More than enough is enough, and the rest is left alone.
    large.write(&[7; 10 * IMAGE]);
    let inside = Dataset::new(&[(large.0.wrapping_byte_add(3), 2 * IMAGE)]);
    assert_eq!(acl!(aclmdlExecute(model.0, input.raw, inside.raw)), 0, "{}", text());
    let bytes = large.read();
    assert!(bytes[..3].iter().chain(&bytes[3 + ANSWER..]).all(|&byte| byte == 7));
    assert!((to_floats(&bytes[3..3 + ANSWER]).iter().sum::<f32>() - 1.0).abs() < 1e-4);

    assert_eq!(stream.synchronize(), 0, "a refused execution queues nothing");
    drop((nearly, less, late));
    drop((input, output, inside, none, image, answer, large, stream, model));
    drop(context);
}

#[test]
fn contexts_devices_and_streams_must_match() {
    let (own, other) = (Context::new(0), Context::new(1));
    let far = Memory::new(IMAGE);
    let far_stream = Stream::new();
    own.enter();
    let model = digits::load();
    let (image, answer) = (Memory::new(IMAGE), Memory::new(ANSWER));
    let (input, output) = (Dataset::of(&[&image]), Dataset::of(&[&answer]));

    refused(acl!(aclmdlExecute(model.0, Dataset::of(&[&far]).raw, output.raw)), 107000, "is on device 1");
    refused(
        acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, far_stream.0)),
        107003,
        "current context",
    );
    other.enter();
    refused(acl!(aclmdlExecute(model.0, input.raw, output.raw)), 107004, "another context");
    refused(
        acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, far_stream.0)),
        107004,
        "another context",
    );
    drop((far, far_stream));
    own.enter();
    let garbage = ptr::without_provenance_mut(0x4242);
    refused(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, garbage)), 107017, "stream");

    let (model_id, from, to) = (model.0, input.raw as usize, output.raw as usize);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (from, to) = (ptr::without_provenance(from), ptr::without_provenance_mut(to));
            refused(acl!(aclmdlExecute(model_id, from, to)), 107002, "no current context");
        });
    });
    drop((input, output, image, answer, model));
    drop(own);
    drop(other);
}

#[test]
fn addresses_count_when_queued_and_contents_when_run() {
    let context = Context::new(0);
    let model = Model::load(&onnx::unary("Neg", onnx::FLOAT, &[2])).unwrap();
    let stream = Stream::new();
    let (first, second, result, unused) = (Memory::new(8), Memory::new(8), Memory::new(8), Memory::new(8));
    first.write(&floats(&[1.0, 2.0]));
    second.write(&floats(&[5.0, 6.0]));
    unused.write(&[9; 8]);
    let (input, output) = (Dataset::of(&[&first]), Dataset::of(&[&result]));

    let hold = Hold::new(&stream);
    assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0)), 0, "{}", text());
    // Too late for this execution.
    assert_eq!(acl!(aclUpdateDataBuffer(input.buffers[0], second.0, 8)), 0);
    assert_eq!(acl!(aclUpdateDataBuffer(output.buffers[0], unused.0, 8)), 0);
    // In time.
    first.write(&floats(&[3.0, 4.0]));
    hold.release();
    assert_eq!(stream.synchronize(), 0, "{}", text());
    assert_eq!(to_floats(&result.read()), [-3.0, -4.0]);
    assert_eq!(unused.read(), [9; 8]);
    drop((input, output, first, second, result, unused, stream, model));
    drop(context);
}

#[test]
fn what_goes_while_an_execution_waits() {
    let context = Context::new(0);
    let model = Model::load(&onnx::unary("Neg", onnx::FLOAT, &[2])).unwrap();
    let stream = Stream::new();
    let (from, to) = (Memory::new(8), Memory::new(8));
    from.write(&floats(&[1.0, 2.0]));
    let (input, output) = (Dataset::of(&[&from]), Dataset::of(&[&to]));

    // The model, the datasets and their buffers may go.
    let hold = Hold::new(&stream);
    assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0)), 0, "{}", text());
    drop((model, input, output));
    hold.release();
    assert_eq!(stream.synchronize(), 0, "{}", text());
    assert_eq!(to_floats(&to.read()), [-1.0, -2.0]);

    // The memory must not.
    let model = Model::load(&onnx::unary("Neg", onnx::FLOAT, &[2])).unwrap();
    let (input, output) = (Dataset::of(&[&from]), Dataset::of(&[&to]));
    let hold = Hold::new(&stream);
    assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0)), 0, "{}", text());
    drop(to);
    hold.release();
    refused(stream.synchronize(), 507013, "was freed before the queued work");
    drop((input, output, from, stream, model));
    drop(context);
}

#[test]
fn one_model_on_each_stream_is_fine() {
    let context = Context::new(3);
    let image = digits::images().remove(5).0;
    let expected = digits::load().run(&[&image], &[ANSWER]).unwrap().remove(0);
    let lanes: Vec<_> = (0..6)
        .map(|_| {
            let (from, to) = (Memory::new(IMAGE), Memory::new(ANSWER));
            from.write(&image);
            let (input, output) = (Dataset::of(&[&from]), Dataset::of(&[&to]));
            (digits::load(), Stream::new(), input, output, from, to)
        })
        .collect();
    for _ in 0..10 {
        for (model, stream, input, output, ..) in &lanes {
            assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0)), 0, "{}", text());
        }
    }
    for (_, stream, _, _, _, to) in &lanes {
        assert_eq!(stream.synchronize(), 0, "{}", text());
        assert_eq!(to.read(), expected);
    }
    drop(lanes);
    drop(context);
}
