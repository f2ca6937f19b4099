//! What is told of well-formed files.

use ascendcl::{Acl, Model};
use ascendcl_sim::om::{Converter, bundle};
use ascendcl_tools::om::{
    describe_bytes,
    model::{Axis, Content, DescribedBy, Role},
};

use super::build::{self, Om, message, text};
use super::{DIGITS, definition, full, image, om, tensor};

#[test]
fn everything_in_a_model_is_told() {
    let model = om(full().file());
    assert_eq!((model.name.as_str(), model.model_type.as_str()), ("classifier", "standard"));
    assert_eq!(model.soc_version.as_deref(), Some("Ascend310"));
    assert_eq!(model.made_by.atc_version.as_deref(), Some("8.1.RC1"));
    assert_eq!(model.made_by.framework.as_deref(), Some("ONNX"));
    assert!(model.made_by.atc_command.as_ref().unwrap().starts_with("atc --model=classifier.onnx"));
    assert_eq!(model.made_by.compiler_version, None);
    // What the tasks say is what the runtime answers; the attribute is another number.
    assert_eq!((model.memory.work_bytes, model.memory.weight_bytes), (Some(4096), 1000));
    assert_eq!((model.memory.streams, model.memory.events), (Some(3), Some(2)));
    assert_eq!(model.described_by, DescribedBy::Partition);

    let [image, ids, gear] = model.inputs.as_slice() else { panic!("{:?}", model.inputs) };
    assert_eq!(
        (image.data_type.as_str(), image.format.as_str(), image.bytes),
        ("UINT8", "NHWC", Some(92160))
    );
    assert_eq!((&image.dims, &image.dims_v2), (&vec![1, 240, 256, 3], &Some(vec![1, 360, 256, 1])));
    assert_eq!((ids.data_type.as_str(), ids.format.as_str(), ids.bytes), ("INT64", "ND", None));
    assert_eq!(ids.ranges, [(1, 8), (1, -1)]);
    assert_eq!((image.role, ids.role, gear.role), (Role::Data, Role::Data, Role::Gear));

    let aipp = image.aipp.as_ref().unwrap();
    assert_eq!((aipp.mode.as_str(), aipp.input_format.as_deref()), ("static", Some("YUV420SP_U8")));
    assert_eq!((aipp.source, aipp.crop), (Some([256, 240]), Some([16, 8, 224, 224])));
    assert_eq!((aipp.resize, aipp.padding), (None, None));
    assert_eq!((aipp.mean, aipp.min), ([104, 0, 123, 0], [0.5, 0.0, 0.0, 0.0]));
    assert_eq!(aipp.factor, [Some(0.017), None, None, None]);
    assert!(aipp.swap_red_blue && !aipp.swap_alpha);
    assert_eq!(aipp.colours.as_ref().unwrap().matrix, [[256, 0, 0], [0, 0, 0], [0, -88, 0]]);
    assert_eq!(ids.aipp, None);

    let [output] = model.outputs.as_slice() else { panic!("{:?}", model.outputs) };
    assert_eq!((output.name.as_str(), output.data_type.as_str()), ("softmax:0", "FLOAT16"));
    assert_eq!(model.gears.dims, [[1, 16], [8, 128]]);
    assert_eq!(model.output_shapes, ["0,0,1,10", "1,0,8,10"]);
    assert_eq!(model.gear_inputs, ["ids"]);
    let names: Vec<_> = model.partitions.iter().map(|partition| partition.name.as_str()).collect();
    assert_eq!(names, ["MODEL_DEF", "WEIGHTS_DATA", "TASK_INFO", "TBE_KERNELS", "MODEL_INOUT_INFO"]);
    assert!(model.notes.is_empty(), "{:?}", model.notes);
}

#[test]
fn files_of_the_old_form_are_read_too() {
    let old = Om { version: 0x1000_0000, wide: false, ..full() };
    assert_eq!(om(old.file()).inputs, om(full().file()).inputs);
}

#[test]
fn a_graph_alone_describes_inputs_and_outputs() {
    let model = om(Om { tables: vec![vec![(0, definition().0), (1, vec![0; 8])]], ..Om::default() }.file());
    assert_eq!(model.described_by, DescribedBy::Graph);
    let names: Vec<_> = model.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["image", "ids"]);
    assert_eq!((model.inputs[1].data_type.as_str(), model.inputs[1].bytes), ("INT64", Some(128)));
    assert_eq!(model.inputs[0].dims, [1, 240, 256, 3]);
    assert_eq!(model.inputs[0].aipp.as_ref().unwrap().mode, "static");
    assert_eq!(
        (model.outputs[0].name.as_str(), model.outputs[0].data_type.as_str()),
        ("output_0_softmax_0", "FLOAT16")
    );
    assert_eq!(model.memory.work_bytes, Some(5000));
    assert!(model.notes[0].contains("older releases"), "{:?}", model.notes);
}

#[test]
fn a_description_alone_is_of_use() {
    let inout =
        build::inout(&[(0, build::tensors(&[image()])), (99, vec![1, 2, 3]), (2, build::batches(&[1, 4]))]);
    let broken = Om { tables: vec![vec![(8, inout), (0, vec![0xff; 20]), (2, vec![0x0b])]], ..Om::default() };
    let model = om(broken.file());
    assert_eq!((model.inputs.len(), model.gears.batch.as_slice()), (1, [1, 4].as_slice()));
    assert_eq!(model.notes.len(), 3, "{:?}", model.notes);
    assert!(model.notes.iter().any(|note| note.contains("unknown type 99")), "{:?}", model.notes);
    // Without it, the graph is needed.
    let broken = Om { tables: vec![vec![(0, vec![0xff; 20]), (1, vec![0])]], ..Om::default() };
    assert!(describe_bytes(broken.file()).unwrap_err().to_string().contains("more than 64 bits"));
}

#[test]
fn models_of_several_parts_with_dynamic_shapes() {
    let parts = |number: u8| vec![(0, definition().0), (1, vec![0; usize::from(number) * 100])];
    let model = om(Om { tables: vec![parts(1), parts(2)], unknown_shape: true, ..Om::default() }.file());
    assert!(model.dynamic_shape);
    assert_eq!((model.memory.work_bytes, model.memory.weight_bytes), (None, 300));
    assert_eq!(model.partitions[2].table, 1);
}

#[test]
fn dynamic_aipp_names_the_input_with_its_parameters() {
    let dynamic = message()
        .bytes(1, "image")
        .bytes(2, "Data")
        .attribute(10, "_data_related_aipp_mode", text("dynamic_aipp"))
        .attribute(10, "_data_aipp_data_name_map", text("ascend_dynamic_aipp_data"))
        .attribute(
            10,
            "aipp",
            message().message(10, message().attribute(2, "max_src_image_size", build::int(1_000_000))),
        );
    let parameters = message().bytes(1, "ascend_dynamic_aipp_data").bytes(2, "AippData").attribute(
        10,
        "_data_related_aipp_mode",
        text("dynamic_aipp_conf"),
    );
    let graph = message().message(7, message().message(6, dynamic).message(6, parameters));
    let inputs =
        [tensor("image", 0, 1, 4, &[1, -1, -1, 3]), tensor("ascend_dynamic_aipp_data", 160, 2, 4, &[160])];
    let inout = build::inout(&[(0, build::tensors(&inputs))]);
    let model = om(Om { tables: vec![vec![(0, graph.0), (8, inout)]], ..Om::default() }.file());
    let aipp = model.inputs[0].aipp.as_ref().unwrap();
    assert_eq!((aipp.mode.as_str(), aipp.max_source_bytes), ("dynamic", Some(1_000_000)));
    assert_eq!(aipp.parameters.as_deref(), Some("ascend_dynamic_aipp_data"));
    assert_eq!((model.inputs[0].role, model.inputs[1].role), (Role::Data, Role::AippParameters));
}

#[test]
fn encrypted_models_and_flows_are_said_to_be_so() {
    let model = om(Om { encrypted: true, tables: vec![vec![(0, vec![0xff; 40])]], ..Om::default() }.file());
    assert!(model.encrypted && model.notes[0].contains("key"));
    let model =
        om(Om { model_type: 3, tables: vec![vec![(6, vec![1]), (7, vec![2])]], ..Om::default() }.file());
    assert_eq!((model.model_type.as_str(), model.partitions.len()), ("flow", 2));
}

#[test]
fn bundles_hold_models() {
    let parts = vec![(25, 77u64.to_le_bytes().to_vec()), (24, full().file()), (24, full().file())];
    let content = describe_bytes(Om { model_type: 5, tables: vec![parts], ..Om::default() }.file());
    let Ok(Content::Bundle(read)) = content else { panic!("{content:?}") };
    assert_eq!((read.variable_bytes, read.models.len()), (Some(77), 2));
    assert_eq!(read.models[1], om(full().file()));
    // As the simulator writes them.
    let content = describe_bytes(bundle(&vec![full().file(); 3], Some(5)));
    let Ok(Content::Bundle(read)) = content else { panic!("{content:?}") };
    assert_eq!((read.variable_bytes, read.models.len()), (Some(5), 3));
    // A bundle of bundles there is not.
    let inner = bundle(&[full().file()], None);
    assert!(describe_bytes(bundle(&[inner], None)).is_err());
}

/// What is read from the file is what the runtime says of the model that it loaded.
#[test]
fn the_simulator_agrees() -> Result<(), Box<dyn std::error::Error>> {
    let file = Converter::new(DIGITS).convert()?;
    let told = om(file.clone());
    assert!(told.for_simulator && told.notes.iter().any(|note| note.contains("simulator")));

    let acl = Acl::builder().backend(ascendcl::BackendChoice::Sim).build()?;
    let context = acl.device(0)?.create_context()?;
    let model = Model::from_bytes(&context, &file)?;
    for (told, loaded) in [(&told.inputs, &model.desc().inputs), (&told.outputs, &model.desc().outputs)] {
        assert_eq!(told.len(), loaded.len());
        for (told, loaded) in told.iter().zip(loaded.iter()) {
            assert_eq!((told.name.as_str(), told.bytes), (loaded.name.as_str(), Some(loaded.size as u64)));
            assert_eq!(told.dims, loaded.dims);
            assert_eq!(told.data_type, "FLOAT");
        }
    }
    Ok(())
}

#[test]
fn gears_of_the_simulators_converter_are_told() {
    let converter = Converter::new(open_batch()).input_shape("image:-1,4").dynamic_batch_size(&[1, 4, 8]);
    let model = om(converter.convert().unwrap());
    assert_eq!(model.gears.batch, [1, 4, 8]);
    assert_eq!(model.inputs.last().unwrap().role, Role::Gear);
    let content = describe_bytes(converter.to_onnx()).unwrap();
    let Content::Onnx(model) = content else { panic!("{content:?}") };
    let options: Vec<_> = model.simulator_options.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(options, ["input_shape", "dynamic_batch_size"]);
}

/// An ONNX model of one operator, whose first axis is open.
fn open_batch() -> Vec<u8> {
    let axis = |axis: build::Message| message().message(1, axis);
    let mut shape = axis(message().bytes(2, "batch"));
    shape.0.extend(axis(message().int(1, 4)).0);
    let value = |name: &str| {
        message()
            .bytes(1, name)
            .message(2, message().message(1, message().int(1, 1).message(2, shape.clone())))
    };
    let node = message().bytes(1, "image").bytes(2, "answer").bytes(4, "Relu");
    let graph =
        message().message(1, node).bytes(2, "relu").message(11, value("image")).message(12, value("answer"));
    message().int(1, 8).bytes(2, "test").bytes(3, "7").message(7, graph).message(8, message().int(2, 13)).0
}

#[test]
fn onnx_files_are_described_as_they_declare() {
    let content = describe_bytes(DIGITS.to_vec()).unwrap();
    let Content::Onnx(model) = content else { panic!("{content:?}") };
    assert_eq!((model.inputs.len(), model.outputs.len()), (1, 1));
    assert_eq!(model.inputs[0].dims, Some([1, 1, 8, 8].map(Axis::Fixed).to_vec()));
    assert_eq!((model.inputs[0].data_type.as_deref(), model.inputs[0].bytes), (Some("FLOAT"), Some(256)));
    assert_eq!(model.weights.elements, 38_282);
    assert_eq!(model.weights.bytes, 38_282 * 4);

    let content = describe_bytes(open_batch()).unwrap();
    let Content::Onnx(model) = content else { panic!("{content:?}") };
    assert_eq!((model.producer.as_str(), model.ir_version), ("test 7", 8));
    assert_eq!(model.operator_sets, [("ai.onnx".to_owned(), 13)]);
    assert_eq!(model.inputs[0].dims, Some(vec![Axis::Open("batch".into()), Axis::Fixed(4)]));
    assert_eq!(model.inputs[0].bytes, None);
}

#[test]
fn weights_that_are_listed_as_inputs_are_none() {
    let value = |name: &str| message().bytes(1, name);
    let weight = message().bytes(1, [2, 3]).int(2, 22).bytes(8, "w").int(14, 1);
    let graph =
        message().message(5, weight).message(11, value("x")).message(11, value("w")).message(12, value("y"));
    let file = message().int(1, 3).message(7, graph).message(8, message().int(2, 7)).0;
    let content = describe_bytes(file).unwrap();
    let Content::Onnx(model) = content else { panic!("{content:?}") };
    assert_eq!(model.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["x"]);
    // Six numbers of four bits, in another file.
    assert_eq!((model.weights.bytes, model.weights.external), (3, 1));
    assert!(model.notes[0].contains("other files"), "{:?}", model.notes);
}
