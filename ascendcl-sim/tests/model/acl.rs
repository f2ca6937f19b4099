//! Short hands for the C functions, with objects that give themselves back.

use std::ffi::{CStr, CString, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::Once;

use ascendcl_sys::{self as sys, AclApi, aclError};

/// The function table.
pub fn api() -> &'static AclApi {
    ascendcl_sim::api()
}

/// Calls a C function of the table.
macro_rules! acl {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let function = $crate::acl::api().$function.expect(stringify!($function));
        // SAFETY: tests pass live objects, valid places for answers, or what the function has to refuse without touching it.
        unsafe { function($($argument),*) }
    }};
}
pub(crate) use acl;

/// The text of the last failure on this thread.
pub fn text() -> String {
    let text = acl!(aclGetRecentErrMsg());
    if text.is_null() {
        return String::new();
    }
    // SAFETY: a C string that lives until the next call of the function on this thread.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Asserts a failure with this code and a text that holds `words`.
#[track_caller]
pub fn refused(code: aclError, expected: aclError, words: &str) {
    let text = text();
    assert_eq!(code, expected, "{text}");
    assert!(text.contains(words), "{text}");
}

/// A context of its own, current on this thread. When it goes, everything that this thread made must be given back.
pub struct Context(pub sys::aclrtContext);

impl Context {
    pub fn new(device: i32) -> Context {
        // Models are what asks whether ACL is initialised.
        static INIT: Once = Once::new();
        INIT.call_once(|| assert_eq!(acl!(aclInit(ptr::null())), 0, "{}", text()));
        let mut context = ptr::null_mut();
        assert_eq!(acl!(aclrtCreateContext(&mut context, device)), 0, "{}", text());
        Context(context)
    }

    pub fn enter(&self) {
        assert_eq!(acl!(aclrtSetCurrentContext(self.0)), 0);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let code = acl!(aclrtDestroyContext(self.0));
        if std::thread::panicking() {
            return;
        }
        assert_eq!(code, 0);
        let thread = std::thread::current();
        let made_here = |live: &ascendcl_sim::Live| {
            live.kind != ascendcl_sim::LiveKind::Context && Some(&*live.thread) == thread.name()
        };
        let left: Vec<_> = ascendcl_sim::live().into_iter().filter(made_here).collect();
        assert!(left.is_empty(), "not given back: {left:?}");
    }
}

/// A stream of the current context.
pub struct Stream(pub sys::aclrtStream);

impl Stream {
    pub fn new() -> Stream {
        let mut stream = ptr::null_mut();
        assert_eq!(acl!(aclrtCreateStream(&mut stream)), 0, "{}", text());
        Stream(stream)
    }

    pub fn synchronize(&self) -> aclError {
        acl!(aclrtSynchronizeStream(self.0))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        acl!(aclrtDestroyStream(self.0));
    }
}

/// Device memory of the current context.
pub struct Memory(pub *mut c_void, pub usize);

impl Memory {
    pub fn new(size: usize) -> Memory {
        let mut address = ptr::null_mut();
        assert_eq!(acl!(aclrtMalloc(&mut address, size, sys::ACL_MEM_MALLOC_HUGE_FIRST)), 0, "{}", text());
        Memory(address, size)
    }

    pub fn write(&self, bytes: &[u8]) {
        let size = bytes.len();
        let from = bytes.as_ptr().cast();
        assert_eq!(
            acl!(aclrtMemcpy(self.0, self.1, from, size, sys::ACL_MEMCPY_HOST_TO_DEVICE)),
            0,
            "{}",
            text()
        );
    }

    pub fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0u8; self.1];
        let to = bytes.as_mut_ptr().cast();
        assert_eq!(
            acl!(aclrtMemcpy(to, self.1, self.0, self.1, sys::ACL_MEMCPY_DEVICE_TO_HOST)),
            0,
            "{}",
            text()
        );
        bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        acl!(aclrtFree(self.0));
    }
}

/// A dataset with its data buffers.
pub struct Dataset {
    pub raw: *mut sys::aclmdlDataset,
    pub buffers: Vec<*mut sys::aclDataBuffer>,
}

impl Dataset {
    pub fn new(regions: &[(*mut c_void, usize)]) -> Dataset {
        let mut dataset = Dataset { raw: acl!(aclmdlCreateDataset()), buffers: Vec::new() };
        assert!(!dataset.raw.is_null());
        for &(address, size) in regions {
            let buffer = acl!(aclCreateDataBuffer(address, size));
            assert_eq!(acl!(aclmdlAddDatasetBuffer(dataset.raw, buffer)), 0);
            dataset.buffers.push(buffer);
        }
        dataset
    }

    pub fn of(memory: &[&Memory]) -> Dataset {
        Dataset::new(&memory.iter().map(|memory| (memory.0, memory.1)).collect::<Vec<_>>())
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        acl!(aclmdlDestroyDataset(self.raw));
        self.buffers.iter().for_each(|&buffer| assert_eq!(acl!(aclDestroyDataBuffer(buffer)), 0));
    }
}

/// A loaded model.
pub struct Model(pub u32);

impl Model {
    pub fn load(file: &[u8]) -> Result<Model, aclError> {
        let mut id = 0;
        match acl!(aclmdlLoadFromMem(file.as_ptr().cast(), file.len(), &mut id)) {
            0 => Ok(Model(id)),
            code => Err(code),
        }
    }

    /// Executes with fresh memory of the right sizes; gives the outputs.
    pub fn run(&self, inputs: &[&[u8]], sizes: &[usize]) -> Result<Vec<Vec<u8>>, aclError> {
        let inputs: Vec<Memory> = inputs
            .iter()
            .map(|bytes| {
                let memory = Memory::new(bytes.len());
                memory.write(bytes);
                memory
            })
            .collect();
        let outputs: Vec<Memory> = sizes.iter().map(|&size| Memory::new(size)).collect();
        let from = Dataset::of(&inputs.iter().collect::<Vec<_>>());
        let to = Dataset::of(&outputs.iter().collect::<Vec<_>>());
        match acl!(aclmdlExecute(self.0, from.raw, to.raw)) {
            0 => Ok(outputs.iter().map(Memory::read).collect()),
            code => Err(code),
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        acl!(aclmdlUnload(self.0));
    }
}

/// A model description.
pub struct Desc(pub *mut sys::aclmdlDesc);

impl Desc {
    pub fn new() -> Desc {
        let desc = Desc(acl!(aclmdlCreateDesc()));
        assert!(!desc.0.is_null());
        desc
    }
}

impl Drop for Desc {
    fn drop(&mut self) {
        assert_eq!(acl!(aclmdlDestroyDesc(self.0)), 0);
    }
}

/// The folder of the digit classifier.
pub fn assets() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/assets/digits"))
}

/// A path for C.
pub fn c_path(path: impl Into<PathBuf>) -> CString {
    CString::new(path.into().into_os_string().into_encoded_bytes()).unwrap()
}

/// Bytes of numbers as the device has them.
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// And back.
pub fn to_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
}
