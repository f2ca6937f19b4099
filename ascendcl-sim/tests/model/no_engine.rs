//! A build without an engine: everything but loading works, and loading says what is missing.

use std::ffi::CStr;

const DIGITS: &[u8] = include_bytes!("../../../examples/assets/digits/digits.onnx");

#[test]
fn loading_says_that_there_is_no_engine() {
    let api = ascendcl_sim::api();
    let mut id = 0;
    // SAFETY: the device exists, the model and the place for the id are valid, and the text is read before the next call.
    let (code, text) = unsafe {
        assert_eq!(api.aclInit.unwrap()(std::ptr::null()), 0);
        assert_eq!(api.aclrtSetDevice.unwrap()(0), 0);
        let code = api.aclmdlLoadFromMem.unwrap()(DIGITS.as_ptr().cast(), DIGITS.len(), &mut id);
        (code, CStr::from_ptr(api.aclGetRecentErrMsg.unwrap()()).to_string_lossy())
    };
    assert_eq!(code, 500002);
    assert!(text.contains("no ONNX engine"), "{text}");
    // SAFETY: the device was set above.
    assert_eq!(unsafe { api.aclrtResetDevice.unwrap()(0) }, 0);
}
