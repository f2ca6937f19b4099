//! `om-info`: genuine files are Huawei's, so these are built as the format is documented. None may make it panic, hang or take memory.

mod build;
mod contents;
mod hostile;
mod program;

use ascendcl_tools::om::{describe_bytes, model::Content, model::OmModel};
use build::{Om, Tensor, int, message, text};

/// The classifier of handwritten digits that the examples use.
const DIGITS: &[u8] = include_bytes!("../../../examples/assets/digits/digits.onnx");

/// The description of an OM model.
fn om(file: Vec<u8>) -> OmModel {
    match describe_bytes(file) {
        Ok(Content::Om(model)) => model,
        other => panic!("{other:?}"),
    }
}

/// The settings of static AIPP: crop, colours, mean, factor.
fn static_aipp() -> build::Message {
    let mut settings = message().bytes(1, "");
    let numbers = [
        ("aipp_mode", 1),
        ("input_format", 1),
        ("src_image_size_w", 256),
        ("src_image_size_h", 240),
        ("load_start_pos_w", 16),
        ("load_start_pos_h", 8),
        ("crop_size_w", 224),
        ("crop_size_h", 224),
        ("mean_chn_0", 104),
        ("mean_chn_2", 123),
    ];
    for (name, value) in numbers {
        settings = settings.attribute(2, name, int(value));
    }
    for name in ["crop", "csc_switch", "rbuv_swap_switch"] {
        settings = settings.attribute(2, name, message().int(5, 1));
    }
    settings = settings.attribute(2, "min_chn_0", message().float(4, 0.5));
    // A list with packed floats, one with packed integers, and one with integers one by one.
    let packed = message().bytes(4, 0.017f32.to_le_bytes()).int(20, 3);
    settings = settings.attribute(2, "var_reci_chn_0", message().message(1, packed));
    settings = settings.attribute(2, "matrix_r0c0", message().message(1, message().bytes(3, [0x80, 2])));
    settings.attribute(2, "matrix_r2c1", message().message(1, message().int(3, -88)))
}

/// A graph with an input that has AIPP, one that has none, and an output.
fn graph() -> build::Message {
    let shape = |dims: &[u8]| message().bytes(1, dims);
    let tensor = |kind: i64, dims: &[u8], layout: &str, size: i64| {
        message().int(2, kind).message(3, shape(dims)).bytes(4, layout).int(10, size)
    };
    let picture = message()
        .bytes(1, "image")
        .bytes(2, "Data")
        .attribute(10, "index", int(0))
        .attribute(10, "_data_related_aipp_mode", text("static_aipp"))
        .attribute(10, "aipp", message().message(10, static_aipp()))
        .message(33, tensor(4, &[1, 0xf0, 1, 0x80, 2, 3], "NHWC", 92160));
    let ids = message()
        .bytes(1, "ids")
        .bytes(2, "Data")
        .attribute(10, "index", int(1))
        .message(33, tensor(8, &[1, 16], "ND", 128));
    let other = message().bytes(1, "conv").bytes(2, "Conv2D").message(33, tensor(1, &[9; 200], "NC1HWC0", 1));
    let output = message()
        .bytes(1, "Node_Output")
        .bytes(2, "NetOutput")
        .bytes(24, "softmax")
        .message(33, tensor(2, &[1, 10], "ND", 20));
    // Out of order: the attribute tells which is first.
    message().bytes(1, "main").message(6, ids).message(6, other).message(6, picture).message(6, output)
}

/// A model definition with everything that is told.
fn definition() -> build::Message {
    message()
        .bytes(1, "classifier")
        .message(7, graph())
        .message(7, message().bytes(1, "body").message(6, message().bytes(1, "x").bytes(2, "Data")))
        .attribute(11, "soc_version", text("Ascend310"))
        .attribute(11, "atc_version", text("8.1.RC1"))
        .attribute(
            11,
            "atc_cmdline",
            text("atc --model=classifier.onnx --framework=5 --soc_version=Ascend310"),
        )
        .attribute(11, "framework_type", text("5"))
        .attribute(11, "opp_version", text("8.1.RC1"))
        .attribute(11, "memory_size", int(5000))
        .attribute(11, "stream_num", int(3))
        .attribute(11, "event_num", int(2))
        .attribute(11, "something_else", message().message(12, message()))
}

fn tensor(name: &str, size: u64, format: i32, data_type: i32, dims: &[i64]) -> Tensor {
    Tensor { name: name.into(), size, format, data_type, dims: dims.into(), ..Tensor::default() }
}

fn image() -> Tensor {
    Tensor { dims_v2: vec![1, 360, 256, 1], ..tensor("image", 92160, 1, 4, &[1, 240, 256, 3]) }
}

/// A model with all that the format has.
fn full() -> Om {
    let inputs = [
        image(),
        Tensor { ranges: vec![(1, 8), (1, -1)], ..tensor("ids", 0, 2, 9, &[-1, -1]) },
        tensor("ascend_mbatch_shape_data", 8, 2, 3, &[2]),
    ];
    let outputs = [tensor("softmax:0", 20, 2, 1, &[1, 10])];
    Om {
        name: "classifier",
        tables: vec![vec![
            (0, definition().0),
            (1, vec![7; 1000]),
            (2, message().bytes(1, "1.0").int(11, 4096).0),
            (3, vec![0; 10]),
            (
                8,
                build::inout(&[
                    (0, build::tensors(&inputs)),
                    (1, build::tensors(&outputs)),
                    (4, build::lists(&[vec![1, 16], vec![8, 128]])),
                    (5, build::strings(&["0,0,1,10", "1,0,8,10"])),
                    (6, build::strings(&["ids"])),
                ]),
            ),
        ]],
        ..Om::default()
    }
}
