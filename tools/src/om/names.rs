//! Names of the numbers in model files.

/// `aclDataType`, and the numbers of the graph engine that ACL has no names for.
pub(crate) fn data_type(number: i64) -> String {
    let name = match number {
        0 => "FLOAT",
        1 => "FLOAT16",
        2 => "INT8",
        3 => "INT32",
        4 => "UINT8",
        6 => "INT16",
        7 => "UINT16",
        8 => "UINT32",
        9 => "INT64",
        10 => "UINT64",
        11 => "DOUBLE",
        12 => "BOOL",
        13 => "STRING",
        16 => "COMPLEX64",
        17 => "COMPLEX128",
        27 => "BF16",
        // 28 is how the graph engine says that there is none.
        -1 | 28 => "UNDEFINED",
        29 => "INT4",
        30 => "UINT1",
        33 => "COMPLEX32",
        34 => "HIFLOAT8",
        35 => "FLOAT8_E5M2",
        36 => "FLOAT8_E4M3FN",
        37 => "FLOAT8_E8M0",
        38 => "FLOAT6_E3M2",
        39 => "FLOAT6_E2M3",
        40 => "FLOAT4_E2M1",
        41 => "FLOAT4_E1M2",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

/// The data type of a tensor in the graph, whose numbers are others than those of ACL.
pub(crate) fn graph_data_type(number: i64) -> String {
    let acl = match number {
        0 => -1,
        1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 => 6,
        6 => 7,
        7 => 3,
        8 => 9,
        9 => 8,
        10 => 10,
        11 => 12,
        12 => 11,
        13 => 13,
        16 | 17 | 27 => number,
        // What ACL has names for is one further in its own counting.
        28 | 29 | 32..=40 => number + 1,
        other => return format!("graph type {other}"),
    };
    data_type(acl)
}

/// `aclFormat`, and the numbers of the graph engine that ACL has no names for. The graph engine keeps more than the format in the number:
/// the lowest byte is the format.
pub(crate) fn format(number: i64) -> String {
    let name = match if number < 0 { number } else { number & 0xff } {
        0 => "NCHW",
        1 => "NHWC",
        2 => "ND",
        3 => "NC1HWC0",
        4 => "FRACTAL_Z",
        12 => "NC1HWC0_C04",
        16 => "HWCN",
        27 => "NDHWC",
        29 => "FRACTAL_NZ",
        30 => "NCDHW",
        32 => "NDC1HWC0",
        33 => "FRACTAL_Z_3D",
        35 => "NC",
        47 => "NCL",
        50 => "FRACTAL_NZ_C0_16",
        51 => "FRACTAL_NZ_C0_32",
        52 => "FRACTAL_NZ_C0_2",
        53 => "FRACTAL_NZ_C0_4",
        54 => "FRACTAL_NZ_C0_8",
        // 40 is how the graph engine says that there is none.
        -1 | 40 => "UNDEFINED",
        _ => return format!("format {number}"),
    };
    name.to_owned()
}

/// Pictures that AIPP takes.
pub(crate) fn picture(number: i64) -> String {
    let name = match number {
        1 => "YUV420SP_U8",
        2 => "XRGB8888_U8",
        3 => "RGB888_U8",
        4 => "YUV400_U8",
        5 => "NC1HWC0DI_FP16",
        6 => "NC1HWC0DI_S8",
        7 => "ARGB8888_U8",
        8 => "YUYV_U8",
        9 => "YUV422SP_U8",
        10 => "AYUV444_U8",
        11 => "RAW10",
        12 => "RAW12",
        13 => "RAW16",
        14 => "RAW24",
        other => return format!("format {other}"),
    };
    name.to_owned()
}

/// Types of partitions.
pub(crate) fn partition(number: u32) -> String {
    let name = match number {
        0 => "MODEL_DEF",
        1 => "WEIGHTS_DATA",
        2 => "TASK_INFO",
        3 => "TBE_KERNELS",
        4 => "CUST_AICPU_KERNELS",
        5 => "SO_BINS",
        6 => "FLOW_MODEL",
        7 => "FLOW_SUBMODEL",
        8 => "MODEL_INOUT_INFO",
        9 => "STATIC_TASK_DESC",
        10 => "DYNAMIC_TASK_DESC",
        11 => "TASK_PARAM",
        12 => "TILING_DATA",
        20 => "PRE_MODEL_DESC",
        21 => "PRE_MODEL_SQE",
        22 => "PRE_KERNEL_ARGS",
        23 => "PRE_MODEL_DESC_EXTEND",
        24 => "BUNDLE_MODEL_INFO",
        25 => "BUNDLE_MODEL_VAR_INFO",
        26 => "CUSTOM_OPS",
        0x584f => "simulator",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

/// `modeltype` of the header.
pub(crate) fn model_type(number: u8) -> String {
    let name = match number {
        0 => "IR",
        1 => "standard",
        2 => "tiny",
        3 => "flow",
        4 => "lite",
        5 => "bundle",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

/// ATC's `--framework`.
pub(crate) fn framework(number: &str) -> String {
    match number {
        "0" => "Caffe".to_owned(),
        "1" => "MindSpore".to_owned(),
        "3" => "TensorFlow".to_owned(),
        "5" => "ONNX".to_owned(),
        other => other.to_owned(),
    }
}

/// Element types of ONNX: the name, and the bits of one element if it has a size.
pub(crate) fn onnx_type(number: i64) -> (String, Option<u64>) {
    let (name, bits) = match number {
        0 => ("UNDEFINED", None),
        1 => ("FLOAT", Some(32)),
        2 => ("UINT8", Some(8)),
        3 => ("INT8", Some(8)),
        4 => ("UINT16", Some(16)),
        5 => ("INT16", Some(16)),
        6 => ("INT32", Some(32)),
        7 => ("INT64", Some(64)),
        8 => ("STRING", None),
        9 => ("BOOL", Some(8)),
        10 => ("FLOAT16", Some(16)),
        11 => ("DOUBLE", Some(64)),
        12 => ("UINT32", Some(32)),
        13 => ("UINT64", Some(64)),
        14 => ("COMPLEX64", Some(64)),
        15 => ("COMPLEX128", Some(128)),
        16 => ("BF16", Some(16)),
        17 => ("FLOAT8_E4M3FN", Some(8)),
        18 => ("FLOAT8_E4M3FNUZ", Some(8)),
        19 => ("FLOAT8_E5M2", Some(8)),
        20 => ("FLOAT8_E5M2FNUZ", Some(8)),
        21 => ("UINT4", Some(4)),
        22 => ("INT4", Some(4)),
        23 => ("FLOAT4_E2M1", Some(4)),
        other => return (format!("type {other}"), None),
    };
    (name.to_owned(), bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ascendcl_sys as sys;

    #[test]
    fn numbers_are_those_of_the_headers() {
        assert_eq!(data_type(sys::ACL_FLOAT16.0.into()), "FLOAT16");
        assert_eq!(data_type(sys::ACL_BF16.0.into()), "BF16");
        assert_eq!(data_type(sys::ACL_FLOAT4_E1M2.0.into()), "FLOAT4_E1M2");
        assert_eq!(data_type(5), "type 5");
        assert_eq!(format(sys::ACL_FORMAT_NDC1HWC0.0.into()), "NDC1HWC0");
        assert_eq!(format(sys::ACL_FORMAT_FRACTAL_NZ_C0_8.0.into()), "FRACTAL_NZ_C0_8");
        assert_eq!(format((16 << 8) | 4), "FRACTAL_Z");
        assert_eq!(picture(sys::ACL_RAW24.0.into()), "RAW24");
        assert_eq!(graph_data_type(4), data_type(sys::ACL_UINT8.0.into()));
        assert_eq!(graph_data_type(32), data_type(sys::ACL_COMPLEX32.0.into()));
        assert_eq!(graph_data_type(40), data_type(sys::ACL_FLOAT4_E1M2.0.into()));
    }
}
