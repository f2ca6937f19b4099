//! Models: description, execution on one and several streams, and everything that is wrong with files and datasets.

mod support;

use ascendcl::{
    Acl, Context, DataType, Dataset, Error, ErrorKind, Model, Result, Stream,
    sys::{aclError, aclmdlDataset, aclrtStream},
};
use ascendcl_sim::{Config, Fault, FaultKind, LiveKind};
use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use support::{Gate, HostGate, Random};

const MODEL: &str = "examples/assets/digits/digits.onnx";

/// The image of a digit as the model wants it, and which digit it is.
fn images() -> Vec<(Vec<f32>, usize)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("examples/assets/digits/images")
        .expect("the images are part of the repository")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "png"))
        .collect();
    files.sort();
    files
        .into_iter()
        .take(100)
        .map(|path| {
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            let digit =
                name.rsplit('_').next().and_then(|digit| digit.parse().ok()).expect("NUMBER_DIGIT.png");
            let file = std::io::BufReader::new(std::fs::File::open(&path).expect("it can be read"));
            let mut reader = png::Decoder::new(file).read_info().expect("it is a PNG");
            let mut pixels = vec![0; reader.output_buffer_size().expect("it fits")];
            let info = reader.next_frame(&mut pixels).expect("it has a frame");
            assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Grayscale, png::BitDepth::Eight));
            (pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect(), digit)
        })
        .collect()
}

/// The digits need what the simulator executes; a card would need them converted.
fn load(acl: &Acl) -> Result<Option<(Context, Model)>> {
    if !support::is_simulator(acl) {
        return Ok(None);
    }
    let context = acl.device(0)?.create_context()?;
    let model = Model::load(&context, MODEL)?;
    Ok(Some((context, model)))
}

fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).expect("there are scores")
}

fn classified(outputs: &Dataset) -> Result<usize> {
    Ok(best(&outputs.buffer(0).expect("there is an output").cast::<f32>()?.to_vec()?))
}

backend_test! {
    fn descriptions(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let desc = model.desc();
        let (input, output) = (&desc.inputs[0], &desc.outputs[0]);
        assert_eq!((desc.inputs.len(), desc.outputs.len()), (1, 1));
        assert_eq!((input.name.as_str(), input.dims.as_slice()), ("image", [1, 1, 8, 8].as_slice()));
        assert_eq!((input.data_type, input.size), (DataType::F32, 256));
        assert_eq!(output.dims, [1, 10]);
        assert_eq!((output.data_type, output.size), (DataType::F32, 40));
        assert!(input.to_string().contains("image f32 [1, 1, 8, 8]"), "{input}");
        assert_eq!(model.context(), &context);
        assert!(format!("{model:?}").contains("image"));
        // From bytes it is the same, and another one.
        let again = Model::from_bytes(&context, &std::fs::read(MODEL)?)?;
        assert_eq!(again.desc(), desc);
        assert_ne!(again.as_raw(), model.as_raw());
    }
}

backend_test! {
    fn execute(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
        let images = images();
        let mut right = 0;
        for (pixels, digit) in &images {
            inputs.buffer(0).unwrap().cast::<f32>()?.copy_from_slice(pixels)?;
            model.execute(&inputs, &outputs)?;
            right += usize::from(classified(&outputs)? == *digit);
        }
        assert!(right >= 95, "{right} of {}", images.len());
        // Datasets may be made of memory of one's own, larger than needed, and in another context of the device.
        let other = context.device().create_context()?;
        let image = other.alloc::<f32>(100)?;
        image.view(..64)?.copy_from_slice(&images[0].0)?;
        let scores = other.alloc::<f32>(10)?;
        let inputs = Dataset::new(&other, [image.as_bytes()])?;
        let outputs = Dataset::new(&other, [scores.as_bytes()])?;
        assert_eq!((inputs.len(), inputs.is_empty(), inputs.context()), (1, false, &other));
        drop((image, other));
        model.execute(&inputs, &outputs)?;
        assert_eq!(best(&scores.to_vec()?), images[0].1);
    }
}

/// Enqueues the classification of an image. Gives the scores, which are there when the stream is done.
fn enqueue(model: &Model, stream: &Stream, pixels: &[f32]) -> Result<Dataset> {
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    let pinned = stream.context().alloc_pinned_from(pixels)?;
    drop(stream.upload(pinned, &inputs.buffer(0).unwrap().cast::<f32>()?)?);
    model.execute_async(stream, &inputs, &outputs)?;
    Ok(outputs)
}

backend_test! {
    fn executions_on_several_streams_come_one_after_another(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let streams = (0..3).map(|_| context.create_stream()).collect::<Result<Vec<_>>>()?;
        let images = images();
        // The first stream is held back, so all wait for it: the model runs once at a time.
        let gate = Gate::close(&streams[0])?;
        let mut answers = Vec::new();
        for (number, (pixels, digit)) in images.iter().enumerate() {
            answers.push((enqueue(&model, &streams[number % 3], pixels)?, *digit));
        }
        assert!(streams.iter().all(|stream| !stream.is_idle().unwrap()));
        gate.open()?;
        context.synchronize()?;
        let right = answers.iter().filter(|(outputs, digit)| classified(outputs).unwrap() == *digit).count();
        assert!(right >= 95, "{right} of {}", answers.len());
    }
}

backend_test! {
    fn one_model_from_many_threads(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let images = images();
        thread::scope(|scope| {
            for part in images.chunks(25) {
                let (context, model) = (&context, &model);
                scope.spawn(move || {
                    let stream = context.create_stream().unwrap();
                    let mut right = 0;
                    for (number, (pixels, digit)) in part.iter().enumerate() {
                        let outputs = if number % 2 == 0 {
                            let outputs = enqueue(model, &stream, pixels).unwrap();
                            stream.synchronize().unwrap();
                            outputs
                        } else {
                            let (inputs, outputs) = (model.create_inputs().unwrap(), model.create_outputs().unwrap());
                            inputs.buffer(0).unwrap().cast::<f32>().unwrap().copy_from_slice(pixels).unwrap();
                            model.execute(&inputs, &outputs).unwrap();
                            outputs
                        };
                        right += usize::from(classified(&outputs).unwrap() == *digit);
                    }
                    assert!(right >= 20, "{right} of {}", part.len());
                });
            }
        });
    }
}

backend_test! {
    fn several_models_on_all_devices(acl) {
        if !support::is_simulator(acl) {
            return Ok(());
        }
        let images = images();
        let lanes = acl
            .devices()?
            .iter()
            .map(|device| {
                let context = device.create_context()?;
                Ok((context.create_stream()?, Model::load(&context, MODEL)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut answers = Vec::new();
        for (number, (pixels, digit)) in images.iter().enumerate() {
            let (stream, model) = &lanes[number % lanes.len()];
            answers.push((enqueue(model, stream, pixels)?, *digit));
        }
        for (stream, _) in &lanes {
            stream.synchronize()?;
        }
        drop(lanes);
        let right = answers.iter().filter(|(outputs, digit)| classified(outputs).unwrap() == *digit).count();
        assert!(right >= 95, "{right} of {}", answers.len());
    }
}

backend_test! {
    fn a_model_and_datasets_dropped_while_they_are_used(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let stream = context.create_stream()?;
        let (pixels, digit) = images().swap_remove(0);
        let gate = Gate::close(&stream)?;
        let outputs = enqueue(&model, &stream, &pixels)?;
        let scores = outputs.buffer(0).unwrap().clone();
        drop((model, outputs));
        // Its memory would be given out again if it were free.
        let others = (0..10).map(|_| context.alloc_from(&[7_u8; 256])).collect::<Result<Vec<_>>>()?;
        gate.open()?;
        stream.synchronize()?;
        assert_eq!(best(&scores.cast::<f32>()?.to_vec()?), digit);
        drop(others);
    }
}

backend_test! {
    fn a_stream_dropped_while_a_model_runs_on_it(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let images = images();
        for round in 0..10 {
            let stream = context.create_stream()?;
            let gate = HostGate::close(&stream)?;
            let first = enqueue(&model, &stream, &images[0].0)?;
            drop(stream);
            // The next execution waits for that stream, though nobody has it any more.
            let opener = thread::spawn(move || drop(gate.open()));
            let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
            inputs.buffer(0).unwrap().cast::<f32>()?.copy_from_slice(&images[1].0)?;
            if round % 2 == 0 {
                model.execute(&inputs, &outputs)?;
            } else {
                let next = context.create_stream()?;
                model.execute_async(&next, &inputs, &outputs)?;
                next.synchronize()?;
            }
            opener.join().unwrap();
            assert_eq!((classified(&first)?, classified(&outputs)?), (images[0].1, images[1].1));
        }
    }
}

backend_test! {
    fn the_model_is_the_last_handle(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        drop(context);
        let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
        inputs.buffer(0).unwrap().memset(0)?;
        model.execute(&inputs, &outputs)?;
    }
}

fn does_not_fit<T>(result: Result<T>) -> String {
    match result {
        Err(Error::Model(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is not refused"),
    }
}

backend_test! {
    fn datasets_that_do_not_fit(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let stream = context.create_stream()?;
        let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
        let none = Dataset::new(&context, [])?;
        let two = Dataset::new(&context, [context.alloc::<u8>(256)?.into(), context.alloc::<u8>(256)?.into()])?;
        let small = Dataset::new(&context, [context.alloc::<u8>(39)?.into()])?;
        for run in [
            &|inputs: &Dataset, outputs: &Dataset| model.execute(inputs, outputs),
            &|inputs: &Dataset, outputs: &Dataset| model.execute_async(&stream, inputs, outputs),
        ] as [&dyn Fn(&Dataset, &Dataset) -> Result<()>; 2] {
            assert_eq!(does_not_fit(run(&none, &outputs)), "the model has 1 input, the dataset 0 buffers");
            assert_eq!(does_not_fit(run(&inputs, &none)), "the model has 1 output, the dataset 0 buffers");
            assert_eq!(does_not_fit(run(&two, &outputs)), "the model has 1 input, the dataset 2 buffers");
            let text = does_not_fit(run(&small, &outputs));
            assert_eq!(text, "input `image` takes 256 bytes, its buffer has 39");
            let text = does_not_fit(run(&inputs, &small));
            assert!(text.starts_with("output `") && text.ends_with("takes 40 bytes, its buffer has 39"), "{text}");
        }
        // The other way round fits by accident of sizes, or not.
        assert!(does_not_fit(model.execute(&outputs, &inputs)).contains("takes 256 bytes"));
        stream.synchronize()?;
        assert!(matches!(
            Dataset::new(&context, [context.alloc::<u8>(0)?.into()]),
            Err(Error::Length { .. })
        ));
        assert!(none.is_empty() && none.buffer(0).is_none() && none.buffers().is_empty());
    }
}

backend_test! {
    fn the_wrong_context_or_device(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
        let other = context.device().create_context()?.create_stream()?;
        match model.execute_async(&other, &inputs, &outputs) {
            Err(Error::Mismatch { what, .. }) => assert!(what.contains("the context it was loaded in"), "{what}"),
            result => panic!("{result:?}"),
        }
        let elsewhere = acl.device(1)?.create_context()?;
        let foreign = Dataset::new(&elsewhere, [elsewhere.alloc::<u8>(256)?.into()])?;
        for result in [
            model.execute(&foreign, &outputs),
            model.execute_async(&context.create_stream()?, &foreign, &outputs),
            model.execute_async(&elsewhere.create_stream()?, &foreign, &foreign),
            Dataset::new(&context, [elsewhere.alloc::<u8>(256)?.into()]).map(drop),
        ] {
            assert!(matches!(result, Err(Error::Mismatch { .. })), "{result:?}");
        }
        // From a thread that is in another context, or in none, it is fine.
        let _entered = elsewhere.enter()?;
        model.execute(&inputs, &outputs)?;
        thread::scope(|scope| scope.spawn(|| model.execute(&inputs, &outputs)).join().unwrap())?;
    }
}

/// A model that cannot be loaded says so, and leaves nothing behind.
fn refused(result: Result<Model>) -> String {
    match result {
        Err(Error::Acl(error)) => {
            let kind = error.code.kind();
            assert!(
                matches!(kind, ErrorKind::Model | ErrorKind::InvalidArgument | ErrorKind::File),
                "{error}"
            );
            assert!(!error.message.is_empty(), "there is a reason: {error}");
            error.to_string()
        }
        Err(Error::Model(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(model) => panic!("{model:?}"),
    }
}

backend_test! {
    fn files_that_are_no_models(acl) {
        if !support::is_simulator(acl) {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let good = std::fs::read(MODEL)?;

        let text = refused(Model::load(&context, "no/such/model.onnx"));
        assert!(text.contains("aclmdlLoadFromFile") && text.contains("no/such/model.onnx"), "{text}");
        refused(Model::load(&context, "examples"));
        refused(Model::load(&context, ""));
        assert!(refused(Model::load(&context, "a\0b")).contains("NUL"));
        refused(Model::load(&context, "Cargo.toml"));
        refused(Model::load(&context, "examples/assets/digits/images/0001_1.png"));

        refused(Model::from_bytes(&context, &[]));
        refused(Model::from_bytes(&context, &[0]));
        refused(Model::from_bytes(&context, &[0xff; 1000]));
        let mut om = b"IMOD".to_vec();
        om.resize(4096, 0);
        let text = refused(Model::from_bytes(&context, &om));
        assert!(text.contains("OM model"), "an OM model is told from others: {text}");
        for len in [1, 10, 100, 1000, good.len() / 2, good.len() - 1] {
            refused(Model::from_bytes(&context, &good[..len]));
        }
        // And good ones still load.
        Model::from_bytes(&context, &good)?;
    }
}

backend_test! {
    fn damaged_models_do_not_crash(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let good = std::fs::read(MODEL)?;
        let mut random = Random::new(2024);
        for _ in 0..150 {
            let mut bytes = good.clone();
            for _ in 0..1 + random.below(8) {
                // The structure is at both ends, the weights are in between.
                let at = if random.below(2) == 0 { random.below(2000) } else { bytes.len() - 1 - random.below(2000) };
                bytes[at] = random.next() as u8;
            }
            if let Ok(damaged) = Model::from_bytes(&context, &bytes) {
                let (inputs, outputs) = (damaged.create_inputs()?, damaged.create_outputs()?);
                for tensor in inputs.buffers() {
                    tensor.memset(0)?;
                }
                // What it answers does not matter.
                let _ = damaged.execute(&inputs, &outputs);
            }
        }
        let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
        inputs.buffer(0).unwrap().memset(0)?;
        model.execute(&inputs, &outputs)?;
    }
}

backend_test! {
    fn a_stream_that_only_executes_frees_what_it_used(acl) {
        let Some((context, model)) = load(acl)? else { return Ok(()) };
        let stream = context.create_stream()?;
        let inputs = model.create_inputs()?;
        inputs.buffer(0).unwrap().memset(0)?;
        for _ in 0..150 {
            model.execute_async(&stream, &inputs, &model.create_outputs()?)?;
            // Says when it is done, as in a program that streams and never synchronises.
            stream.launch_callback(|| ())?.wait()?;
        }
        if acl.is_simulated() {
            let kept = ascendcl_sim::live().iter().filter(|live| live.kind == LiveKind::Dataset).count();
            assert!(kept <= 100, "{kept} datasets are kept though the stream has passed them all");
        }
    }
}

sim_test! {
    /// Functions that answer with a value say in ACL's text that they failed: the error names them.
    fn getters_that_fail_are_named() {
        for function in [
            "aclmdlCreateDesc", "aclmdlGetNumInputs", "aclmdlGetNumOutputs", "aclmdlGetInputNameByIndex", "aclmdlGetOutputNameByIndex",
            "aclmdlGetInputDataType", "aclmdlGetOutputDataType", "aclmdlGetInputFormat", "aclmdlGetOutputFormat",
            "aclmdlGetInputSizeByIndex", "aclmdlGetOutputSizeByIndex", "aclmdlGetInputDims", "aclmdlGetOutputDims", "aclmdlGetDesc",
        ] {
            let config = Config::new().fault(Fault::every(function, FaultKind::Error(100_000)));
            support::with_config(config, |acl| {
                let context = acl.device(0)?.create_context()?;
                let error = Model::load(&context, MODEL).expect_err(function).to_string();
                assert!(error.contains(function), "{function}: {error}");
                Ok(())
            })?;
        }
    }
}

sim_test! {
    fn a_dataset_names_the_function_that_is_missing() {
        for function in ["aclmdlCreateDataset", "aclCreateDataBuffer", "aclmdlAddDatasetBuffer"] {
            let config = Config::new().fault(Fault::every(function, FaultKind::MissingSymbol));
            support::with_config(config, |acl| {
                let context = acl.device(0)?.create_context()?;
                let buffer = context.alloc::<u8>(10)?;
                let error = Dataset::new(&context, [buffer.into()]).expect_err(function);
                assert!(matches!(error, Error::MissingSymbol { function: missing } if missing == function), "{error}");
                Ok(())
            })?;
        }
    }
}

/// How many executions write to each dataset right now, and whether there ever were two.
static WRITING: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static OVERLAPPED: AtomicBool = AtomicBool::new(false);

/// As the runtime does, which frees and makes anew the descriptions in a dataset that it writes: two at once would be fatal.
fn write_to(dataset: usize, execute: impl FnOnce() -> aclError) -> aclError {
    let mut writing = WRITING.lock().unwrap();
    OVERLAPPED.fetch_or(writing.contains(&dataset), Ordering::SeqCst);
    writing.push(dataset);
    drop(writing);
    // Others get their chance.
    thread::sleep(Duration::from_millis(2));
    let status = execute();
    let mut writing = WRITING.lock().unwrap();
    let position = writing.iter().position(|&other| other == dataset).unwrap();
    writing.swap_remove(position);
    status
}

unsafe extern "C" fn execute_writing(
    model: u32,
    inputs: *const aclmdlDataset,
    outputs: *mut aclmdlDataset,
) -> aclError {
    write_to(outputs as usize, || {
        // SAFETY: the caller's contract, handed on.
        unsafe { ascendcl_sim::api().aclmdlExecute.unwrap()(model, inputs, outputs) }
    })
}

unsafe extern "C" fn execute_async_writing(
    model: u32,
    inputs: *const aclmdlDataset,
    outputs: *mut aclmdlDataset,
    stream: aclrtStream,
) -> aclError {
    write_to(outputs as usize, || {
        // SAFETY: the caller's contract, handed on.
        unsafe { ascendcl_sim::api().aclmdlExecuteAsync.unwrap()(model, inputs, outputs, stream) }
    })
}

sim_test! {
    fn datasets_shared_by_models_are_not_executed_at_once() {
        support::with_table(
            |table| {
                table.aclmdlExecute = Some(execute_writing);
                table.aclmdlExecuteAsync = Some(execute_async_writing);
            },
            |acl| {
                let context = acl.device(0)?.create_context()?;
                let models = [Model::load(&context, MODEL)?, Model::load(&context, MODEL)?];
                let (inputs, outputs) = (models[0].create_inputs()?, models[0].create_outputs()?);
                thread::scope(|scope| {
                    for (number, model) in models.iter().enumerate() {
                        let (context, inputs, outputs) = (&context, &inputs, &outputs);
                        scope.spawn(move || {
                            let stream = context.create_stream().unwrap();
                            for _ in 0..5 {
                                if number == 0 {
                                    model.execute(inputs, outputs).unwrap();
                                } else {
                                    model.execute_async(&stream, inputs, outputs).unwrap();
                                }
                            }
                            stream.synchronize().unwrap();
                        });
                    }
                });
                assert!(!OVERLAPPED.load(Ordering::SeqCst), "two calls wrote to one dataset");
                Ok(())
            },
        )?;
    }
}
