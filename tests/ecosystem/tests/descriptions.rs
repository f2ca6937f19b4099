//! Plain values as JSON and back.

#[path = "../../support/mod.rs"]
mod support;

use ascendcl::{
    AclCode, AclVersion, BackendChoice, CoreKind, DataType, Error, ErrorKind, EventStatus, Format,
    MemoryInfo, Model, ModelDesc,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{from_str, json, to_value};
use std::fmt::Debug;

/// What a value becomes. It comes back as it was.
fn as_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> serde_json::Value {
    let json = to_value(value).unwrap();
    assert_eq!(&from_str::<T>(&json.to_string()).unwrap(), value);
    json
}

backend_test! {
    fn a_model_is_described(acl) {
        if !support::is_simulator(acl) {
            return Ok(());
        }
        let context = acl.device(0)?.create_context()?;
        let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/assets/digits/digits.onnx");
        let desc: ModelDesc = Model::load(&context, digits)?.desc().clone();
        let input = json!({ "name": "image", "dims": [1, 1, 8, 8], "data_type": "f32", "format": desc.inputs[0].format, "size": 256 });
        assert_eq!(as_json(&desc)["inputs"], json!([input]));
        assert_eq!(as_json(&desc)["outputs"][0]["dims"], json!([1, 10]));
    }
}

backend_test! {
    fn what_a_backend_says_of_itself(acl) {
        let device = acl.device(0)?;
        let memory: MemoryInfo = device.memory_info()?;
        assert_eq!(as_json(&memory)["total"], json!(memory.total));
        let version: AclVersion = acl.version()?;
        assert_eq!(as_json(&version)["major"], json!(version.major));
        let info = device.info()?;
        assert_eq!(as_json(&info)["ai_cores"], json!(info.ai_cores));
        assert_eq!(as_json(&device.utilization()?)["memory"], json!(null));
        assert_eq!(as_json(&device.status()?), json!("normal"));
        assert_eq!(as_json(&CoreKind::Vector), json!("vector"));
        as_json(acl.backend());
        as_json(&acl.run_mode()?);
        let error = acl.device(-1).unwrap_err();
        let Error::Acl(error) = error else { panic!("{error:?}") };
        let json = to_value(&error)?;
        assert_eq!((&json["code"], &json["op"], &json["device"]), (&json!(error.code.0), &json!("aclrtSetDevice"), &json!(-1)));
    }
}

#[test]
fn numbers_with_names_are_names_and_others_numbers() {
    assert_eq!(as_json(&DataType::BF16), json!("bf16"));
    assert_eq!(as_json(&Format::NCHW), json!("NCHW"));
    assert_eq!(as_json(&DataType(777)), json!(777));
    assert_eq!(from_str::<Format>("\"nchw\"").unwrap(), Format::NCHW);
    assert_eq!(from_str::<DataType>("1").unwrap(), DataType::F16);
    let error = from_str::<DataType>("\"f33\"").unwrap_err().to_string();
    assert!(error.contains("`f33`") && error.contains("bf16"), "{error}");
    assert!(from_str::<DataType>("5000000000").is_err());
    assert!(from_str::<DataType>("[]").unwrap_err().to_string().contains("name or number"));
}

#[test]
fn choices_and_codes() {
    assert_eq!(as_json(&BackendChoice::Sim), json!("sim"));
    assert_eq!(as_json(&AclCode(107_002)), json!(107_002));
    assert_eq!(as_json(&ErrorKind::OutOfMemory), json!("out_of_memory"));
    assert_eq!(as_json(&EventStatus::NotRecorded), json!("not_recorded"));
}
