//! What the tests share: a model that asks, C code that asks, and allocators.

use crate::support;
use ascendcl::{
    Acl, Context, DeviceAllocator, DeviceBuffer, DeviceView, Result, Stream,
    sys::{
        self, AclApi, aclDataBuffer, aclError, aclmdlDataset, aclrtAllocator, aclrtAllocatorAllocFunc,
        aclrtAllocatorFreeFunc, aclrtAllocatorGetAddrFromBlockFunc,
    },
};
use std::{
    ffi::c_void,
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// No memory could be had: what the graph engine says then.
pub const FAILED: aclError = sys::ACL_ERROR_GE_FAILURE;

/// An ONNX file: y = Relu(x), of any length.
fn relu() -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    let value = |number, name: &[u8]| {
        let axis = field(1, &field(2, b"n"));
        let tensor = [vec![1 << 3, 1], field(2, &axis)].concat();
        field(number, &[field(1, name), field(2, &field(1, &tensor))].concat())
    };
    let node = field(1, &[field(1, b"x"), field(2, b"y"), field(4, b"Relu")].concat());
    let graph = [node, value(11, b"x"), value(12, b"y")].concat();
    let operators = [field(1, b""), vec![2 << 3, 13]].concat();
    [vec![1 << 3, 7], field(7, &graph), field(8, &operators)].concat()
}

/// A model of dynamic shape, as C code uses it.
pub struct Dynamic {
    context: Context,
    id: u32,
    datasets: [*mut aclmdlDataset; 2],
    buffers: [*mut aclDataBuffer; 2],
    pub y: DeviceBuffer<f32>,
    _x: DeviceBuffer<f32>,
}

impl Dynamic {
    /// `None` where it would have to be converted first.
    pub fn load(acl: &Acl, context: &Context) -> Result<Option<Dynamic>> {
        if !support::is_simulator(acl) {
            return Ok(None);
        }
        let _entered = context.enter()?;
        let (x, y) = (context.alloc_from(&[-1.0, 2.0, -3.0, 4.0])?, context.alloc_from(&[9.0; 4])?);
        let (api, file, mut id) = (acl.raw(), relu(), 0);
        // SAFETY: the file and the memory are alive for the calls, and the memory as long as what they make.
        let (datasets, buffers) = unsafe {
            assert_eq!(api.aclmdlLoadFromMem.unwrap()(file.as_ptr().cast(), file.len(), &mut id), 0);
            let dataset = |memory: &DeviceBuffer<f32>| {
                let dataset = api.aclmdlCreateDataset.unwrap()();
                let buffer = api.aclCreateDataBuffer.unwrap()(memory.as_raw(), memory.byte_len());
                assert_eq!(api.aclmdlAddDatasetBuffer.unwrap()(dataset, buffer), 0);
                (dataset, buffer)
            };
            let ((input, from), (output, to)) = (dataset(&x), dataset(&y));
            let shape = api.aclCreateTensorDesc.unwrap()(sys::ACL_FLOAT, 1, [4].as_ptr(), sys::ACL_FORMAT_ND);
            assert_eq!(api.aclmdlSetDatasetTensorDesc.unwrap()(input, shape, 0), 0);
            api.aclDestroyTensorDesc.unwrap()(shape);
            ([input, output], [from, to])
        };
        Ok(Some(Dynamic { context: context.clone(), id, datasets, buffers, y, _x: x }))
    }

    fn api(&self) -> &'static AclApi {
        self.context.device().acl().raw()
    }

    pub fn enqueue(&self, stream: &Stream) -> aclError {
        let _entered = self.context.enter().unwrap();
        let [input, output] = self.datasets;
        // SAFETY: all of it is alive until the stream has been waited for, which every test does.
        unsafe { self.api().aclmdlExecuteAsync.unwrap()(self.id, input, output, stream.as_raw()) }
    }

    /// Executes, and says whether the answer is right.
    pub fn works(&self, stream: &Stream) -> Result<bool> {
        self.y.copy_from_slice(&[9.0; 4])?;
        assert_eq!(self.enqueue(stream), 0);
        stream.synchronize()?;
        Ok(self.y.to_vec()? == [0.0, 2.0, 0.0, 4.0])
    }
}

impl Drop for Dynamic {
    fn drop(&mut self) {
        let api = self.api();
        let _entered = self.context.enter().unwrap();
        // SAFETY: made by `load`, and not used any more.
        unsafe {
            for dataset in self.datasets {
                api.aclmdlDestroyDataset.unwrap()(dataset);
            }
            for buffer in self.buffers {
                api.aclDestroyDataBuffer.unwrap()(buffer);
            }
            api.aclmdlUnload.unwrap()(self.id);
        }
    }
}

/// Keeps what comes back, and counts.
pub struct Pool {
    context: Context,
    idle: Mutex<Vec<DeviceView<u8>>>,
    allocated: AtomicUsize,
    asked: AtomicUsize,
    returned: AtomicUsize,
}

impl Pool {
    pub fn new(context: &Context) -> Arc<Pool> {
        Arc::new(Pool {
            context: context.clone(),
            idle: Mutex::default(),
            allocated: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            returned: AtomicUsize::new(0),
        })
    }

    pub fn counts(&self) -> (usize, usize, usize) {
        let load = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (load(&self.asked), load(&self.allocated), load(&self.returned))
    }
}

impl DeviceAllocator for Pool {
    fn allocate(&self, bytes: usize) -> Result<DeviceView<u8>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut idle = self.idle.lock().unwrap();
        if let Some(found) = idle.iter().position(|memory| memory.len() >= bytes) {
            return Ok(idle.swap_remove(found));
        }
        self.allocated.fetch_add(1, Ordering::SeqCst);
        Ok(self.context.alloc(bytes)?.into())
    }

    fn free(&self, memory: DeviceView<u8>) {
        self.returned.fetch_add(1, Ordering::SeqCst);
        self.idle.lock().unwrap().push(memory);
    }
}

/// Answers with what a closure says.
pub struct Answers<F>(F);

impl<F: Fn(usize) -> Result<DeviceView<u8>> + Send + Sync + 'static> DeviceAllocator for Answers<F> {
    fn allocate(&self, bytes: usize) -> Result<DeviceView<u8>> {
        (self.0)(bytes)
    }
}

pub fn answers<F: Fn(usize) -> Result<DeviceView<u8>> + Send + Sync + 'static>(answer: F) -> Answers<F> {
    Answers(answer)
}

/// What ACL was given for a stream, as whoever asks an allocator has it.
#[derive(Clone, Copy)]
pub struct Asker {
    object: aclrtAllocator,
    allocate: aclrtAllocatorAllocFunc,
    free: aclrtAllocatorFreeFunc,
    address: aclrtAllocatorGetAddrFromBlockFunc,
}

// SAFETY: ACL calls from any thread; the object is a number.
unsafe impl Send for Asker {}
// SAFETY: as above.
unsafe impl Sync for Asker {}

impl Asker {
    pub fn of(stream: &Stream) -> Asker {
        let api = stream.device().acl().raw();
        let (mut desc, mut object) = (ptr::null_mut(), ptr::null_mut());
        let (mut allocate, mut free, mut advise, mut address) = (None, None, None, None);
        // SAFETY: the stream is alive, and the places are valid.
        let found = unsafe {
            api.aclrtAllocatorGetByStream.unwrap()(
                stream.as_raw(),
                &mut desc,
                &mut object,
                &mut allocate,
                &mut free,
                &mut advise,
                &mut address,
            )
        };
        assert_eq!(found, 0);
        assert!(advise.is_some(), "some releases wait for themselves without it");
        Asker { object, allocate, free, address }
    }

    pub fn allocate(self, bytes: usize) -> *mut c_void {
        // SAFETY: as ACL calls it.
        unsafe { self.allocate.unwrap()(self.object, bytes) }
    }

    pub fn address(self, block: *mut c_void) -> *mut c_void {
        // SAFETY: as ACL calls it.
        unsafe { self.address.unwrap()(block) }
    }

    pub fn free(self, block: *mut c_void) {
        // SAFETY: as ACL calls it.
        unsafe { self.free.unwrap()(self.object, block) };
    }
}

/// A stream with an allocator, and who asks it.
pub fn asked(acl: &Acl) -> Result<(Stream, Arc<Pool>, Asker)> {
    let context = acl.device(0)?.create_context()?;
    let (stream, pool) = (context.create_stream()?, Pool::new(&context));
    stream.set_allocator(pool.clone())?;
    let asker = Asker::of(&stream);
    Ok((stream, pool, asker))
}

/// How much device memory is allocated in the embedded simulator.
pub fn device_memory() -> usize {
    ascendcl_sim::live().iter().filter(|live| live.kind == ascendcl_sim::LiveKind::DeviceMemory).count()
}
