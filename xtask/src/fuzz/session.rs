//! One session of random calls, in a process of its own: everything follows from a seed.

use core::ffi::{c_char, c_void};
use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{ptr, thread};

use ascendcl_sim::{Config, LiveKind, Profile};

use super::signature::{Kind, Parameter, Signature};
use crate::error::Error;

/// Calls between a reset of all devices: longer sessions only fill up with handles that are gone.
const ROUND: u64 = 2000;
/// Room for each parameter that is a place, so that no count below makes a call write past it.
const PLACE: usize = 64 << 20;
const PLACES: usize = 20;
/// A call that takes longer is helped by a reset of the devices from another thread.
const HELP_AFTER: Duration = Duration::from_secs(2);
/// A call that still does not return hangs.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// Functions that would end the session or the process by what they are for, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("aclprofModelSubscribe", "takes a file descriptor in a pointer, and closes it"),
    ("aclprofModelUnSubscribe", "closes that file descriptor"),
    ("aclrtSnapShotProcessLock", "stops every other call of the process until it is unlocked"),
    ("aclrtSnapShotProcessUnlock", "belongs to it"),
    ("aclrtSubscribeReport", "blocks streams until the thread named by a number serves them"),
];

struct Function {
    name: String,
    address: *const c_void,
    signature: Signature,
}

struct Session {
    functions: Vec<Function>,
    random: u64,
    /// Handles by type, live and stale.
    handles: BTreeMap<String, Vec<u64>>,
    /// Device memory, live and freed, and pinned memory, live only: the host may touch that.
    addresses: Vec<u64>,
    texts: Vec<&'static [u8]>,
    places: *mut u8,
    trace: bool,
}

static CALLS: AtomicU64 = AtomicU64::new(0);
/// Contexts that were made, for those who have to end them.
static CONTEXTS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static NOW: AtomicUsize = AtomicUsize::new(usize::MAX);

unsafe extern "C" fn nothing() -> usize {
    0
}

/// Makes `calls` calls. Gives how many were made of how many functions, how many went well, or says what hangs or leaks.
pub fn run(
    signatures: BTreeMap<String, Signature>,
    profile: Profile,
    seed: u64,
    calls: u64,
    trace: bool,
) -> Result<(u64, usize, u64), Error> {
    ascendcl_sim::configure(Config::new().profile(profile).seed(seed).memory(1 << 30))
        .map_err(|error| Error::new(error.to_string()))?;
    let api = ascendcl_sim::api();
    let addresses: BTreeMap<&str, *const c_void> = api
        .addresses()
        .filter_map(|(function, address)| Some((function.name.to_str().ok()?, address)))
        .collect();
    let functions: Vec<Function> = signatures
        .into_iter()
        .filter(|(name, _)| !LEFT_OUT.iter().any(|(left_out, _)| left_out == name))
        .filter_map(|(name, signature)| {
            let address = *addresses.get(name.as_str())?;
            (!address.is_null()).then_some(Function { name, address, signature })
        })
        .collect();
    let places = map_places()?;
    let names: Vec<String> = functions.iter().map(|function| function.name.clone()).collect();
    thread::spawn(move || watch(&names));
    let mut session = Session {
        functions,
        random: seed,
        handles: BTreeMap::new(),
        addresses: Vec::new(),
        texts: vec![b"\0", b"0\0", b"no such file\0", b"ascend_mbatch_shape_data\0", b"%s%n\0", &[b'x'; 1]],
        places,
        trace,
    };
    // The last text is long and ends somewhere.
    session.texts.pop();
    session.texts.push(Box::leak([vec![b'x'; 5000], vec![0]].concat().into_boxed_slice()));
    let mut well = 0;
    for call in 0..calls {
        if call % ROUND == 0 {
            session.begin();
        }
        well += u64::from(session.call() == 0);
    }
    session.end();
    // Descriptions and the like are the program's own; what belongs to a device went with it.
    let kinds = [
        LiveKind::DeviceMemory,
        LiveKind::Stream,
        LiveKind::Event,
        LiveKind::Context,
        LiveKind::DeviceReference,
    ];
    let left: Vec<_> = ascendcl_sim::live().into_iter().filter(|live| kinds.contains(&live.kind)).collect();
    if let Some(first) = left.iter().min_by_key(|live| live.kind) {
        return Err(Error::new(format!(
            "{} objects are alive after all devices were reset, such as {first}",
            left.len()
        )));
    }
    Ok((calls, session.functions.len(), well))
}

/// Zeroed memory that costs nothing until it is touched.
fn map_places() -> Result<*mut u8, Error> {
    let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, wherever the system likes.
    let places = unsafe {
        libc::mmap(ptr::null_mut(), PLACE * PLACES, read_write, private | libc::MAP_NORESERVE, -1, 0)
    };
    if places == libc::MAP_FAILED {
        return Err(Error::new("cannot reserve room for arguments"));
    }
    Ok(places.cast())
}

/// Helps calls that wait for what never comes, and ends the process if even that does not help.
fn watch(names: &[String]) {
    let (mut seen, mut since, mut helped) = (u64::MAX, Instant::now(), false);
    loop {
        thread::sleep(Duration::from_millis(100));
        let calls = CALLS.load(Ordering::SeqCst);
        if calls != seen {
            (seen, since, helped) = (calls, Instant::now(), false);
        } else if since.elapsed() > HANGS_AFTER {
            let name = names.get(NOW.load(Ordering::SeqCst)).map_or("?", String::as_str);
            eprintln!("hangs in {name}");
            std::process::abort();
        } else if since.elapsed() > HELP_AFTER && !helped {
            helped = true;
            reset_all();
        }
    }
}

/// Ends every context, and with it all that its streams wait for.
fn reset_all() {
    let contexts = std::mem::take(&mut *CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(destroy) = ascendcl_sim::api().aclrtDestroyContext {
        for context in contexts {
            // SAFETY: takes a handle, which may be stale.
            unsafe { destroy(ptr::without_provenance_mut(context as usize)) };
        }
    }
    let Some(reset) = ascendcl_sim::api().aclrtResetDeviceForce else { return };
    for device in 0..8 {
        // SAFETY: takes a number.
        unsafe { reset(device) };
    }
}

/// Whether an address of the device is what the function wants, or at least what it looks at before it uses it. Others read host memory,
/// and a device address crashes them as it does on a card.
fn takes_device_memory(function: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "aclCreateDataBuffer",
        "aclUpdateDataBuffer",
        "aclrtCheckMem",
        "aclrtCmo",
        "aclrtFree",
        "aclrtGetOverflow",
        "aclrtIpcMem",
        "aclrtLaunch",
        "aclrtMap",
        "aclrtMem",
        "aclrtPointer",
        "aclrtRandom",
        "aclrtReduce",
        "aclrtRelease",
        "aclrtSwitch",
        "aclrtUnmap",
        "aclrtValue",
    ];
    !function.contains("Shareable") && PREFIXES.iter().any(|prefix| function.starts_with(prefix))
}

impl Session {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A device, and few handles but good ones.
    fn begin(&mut self) {
        self.end();
        let api = ascendcl_sim::api();
        // SAFETY: the configuration may be NULL; the others take numbers.
        unsafe {
            api.aclInit.map(|init| init(ptr::null()));
            api.aclrtSetDevice.map(|set| set(0));
            // Waits end by themselves after a second of virtual time.
            api.aclrtSetOpWaitTimeout.map(|set| set(1));
        }
        self.addresses.clear();
        for handles in self.handles.values_mut() {
            let keep = handles.len().saturating_sub(8);
            handles.drain(..keep);
        }
        // SAFETY: the mapping is ours, and nothing refers to it between calls: streams were reset.
        unsafe { libc::madvise(self.places.cast(), PLACE * PLACES, libc::MADV_DONTNEED) };
    }

    fn end(&mut self) {
        reset_all();
        if let Some(finalize) = ascendcl_sim::api().aclFinalize {
            // SAFETY: takes nothing.
            unsafe { finalize() };
        }
    }

    fn call(&mut self) -> u64 {
        let index = self.below(self.functions.len());
        let function = &self.functions[index];
        let (name, address, signature) =
            (function.name.clone(), function.address, function.signature.clone());
        let mut arguments = [0u64; PLACES];
        for (at, parameter) in signature.parameters.iter().enumerate() {
            arguments[at] = self.argument(at, parameter, &name);
        }
        if self.trace {
            eprintln!("{name} {:x?}", &arguments[..signature.parameters.len()]);
        }
        NOW.store(index, Ordering::SeqCst);
        // What the host may not touch afterwards is forgotten before.
        if name.contains("FreeHost")
            || name.contains("Release")
            || name.contains("Unregister")
            || name.contains("Unmap")
        {
            self.addresses.retain(|address| *address != arguments[0]);
        }
        // SAFETY: all parameters are integers and pointers, which these ABIs pass in 64-bit registers and stack slots, whatever their
        // width; a function ignores the arguments that it does not have. Host pointers are NULL or lead to places that are as large as any
        // of the counts, with zeros where pointers are; everything else the simulator has to check.
        let answer = unsafe {
            type Any = unsafe extern "C" fn(
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
                u64,
            ) -> u64;
            let function: Any = mem::transmute(address);
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = arguments;
            function(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t)
        };
        CALLS.fetch_add(1, Ordering::SeqCst);
        if self.trace {
            eprintln!("  = {answer:x}");
        }
        self.learn(&name, &signature, &arguments, answer);
        if signature.answers.is_some() { u64::from(answer == 0) } else { answer & 0xffff_ffff }
    }

    /// Keeps what the function gave.
    fn learn(&mut self, name: &str, signature: &Signature, arguments: &[u64], answer: u64) {
        if let Some(kind) = &signature.answers {
            if answer != 0 {
                self.handles.entry(kind.clone()).or_default().push(answer);
            }
            return;
        }
        if answer & 0xffff_ffff != 0 {
            return;
        }
        for (parameter, &argument) in signature.parameters.iter().zip(arguments) {
            if argument == 0 {
                continue;
            }
            let place: *const u64 = ptr::with_exposed_provenance(argument as usize);
            match &parameter.kind {
                Kind::HandlePlace(kind) => {
                    // SAFETY: the argument was one of our places, which are large enough for a pointer.
                    let handle = unsafe { *place };
                    self.handles.entry(kind.clone()).or_default().push(handle);
                    if kind == "aclrtContext" {
                        CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
                    }
                }
                Kind::AddressPlace if name.starts_with("aclrtMalloc") || name == "aclrtReserveMemAddress" => {
                    // SAFETY: as above.
                    let address = unsafe { *place };
                    // Past the end of host memory is nothing, on a card too.
                    let offsets: &[u64] = if name.contains("Host") { &[0] } else { &[0, 1, 32, 64] };
                    let offset = self.pick(offsets);
                    self.addresses.extend([address, address.wrapping_add(offset)]);
                }
                _ => {}
            }
        }
    }

    fn argument(&mut self, at: usize, parameter: &Parameter, function: &str) -> u64 {
        let place = self.places.wrapping_add(at * PLACE).expose_provenance() as u64;
        let null = self.below(12) == 0;
        let name = parameter.name.to_ascii_lowercase();
        match &parameter.kind {
            _ if null && parameter.kind != Kind::Integer => 0,
            Kind::Handle(kind) => self.handle(kind),
            Kind::HandlePlace(_) | Kind::AddressPlace | Kind::Place | Kind::PointerPlace => {
                let zeros = parameter.kind != Kind::Place || self.below(2) == 0;
                for word in 0..64 {
                    // What counts the room in another place must not say more than there is.
                    let counts =
                        word == 0 && ["num", "count", "size", "len"].iter().any(|part| name.contains(part));
                    let value = match (zeros, counts) {
                        (true, _) => 0,
                        (_, true) => self.next() % 5000,
                        _ => self.next() >> self.below(64),
                    };
                    let at: *mut u64 = ptr::with_exposed_provenance_mut(place as usize + word * 8);
                    // SAFETY: inside our place, which nothing uses between calls.
                    unsafe { at.write(value) };
                }
                place
            }
            Kind::Address => match self.below(4) {
                0 => place,
                _ if self.addresses.is_empty() || !takes_device_memory(function) => place,
                _ => {
                    let addresses = std::mem::take(&mut self.addresses);
                    let address = self.pick(&addresses);
                    self.addresses = addresses;
                    address
                }
            },
            Kind::Text => {
                let texts = std::mem::take(&mut self.texts);
                let text = self.pick(&texts).as_ptr().cast::<c_char>();
                self.texts = texts;
                text.expose_provenance() as u64
            }
            Kind::Function => {
                (nothing as unsafe extern "C" fn() -> usize as *const c_void).expose_provenance() as u64
            }
            Kind::Integer => self.integer(&parameter.name, function),
        }
    }

    fn handle(&mut self, kind: &str) -> u64 {
        let known: Vec<u64> = match self.below(10) {
            // Of any kind, and nonsense.
            0 => self.handles.values().flatten().copied().collect(),
            1 => return self.next(),
            2 => return self.next() >> self.below(64),
            _ => self.handles.get(kind).cloned().unwrap_or_default(),
        };
        if known.is_empty() {
            return 0;
        }
        let handle = self.pick(&known);
        // One bit off, now and then.
        if self.below(20) == 0 { handle ^ (1 << self.below(64)) } else { handle }
    }

    fn integer(&mut self, name: &str, function: &str) -> u64 {
        let name = name.to_ascii_lowercase();
        if name.contains("timeout") {
            // A negative one means for ever to channels and queues, which no reset of a device ends.
            let last = if function.starts_with("acltdt") { 5 } else { -2i64 as u64 };
            return self.pick(&[0, 1, 3, last]);
        }
        // Nothing that is also written or read as long as the number says may get one that is longer than a place.
        if function.contains("Malloc") || function.contains("Reserve") {
            let size =
                self.pick(&[0, 1, 31, 32, 100, 4096, 1 << 20, 2 << 20, u64::MAX, u64::MAX - 31, 1 << 50]);
            return if name.contains("size") {
                size
            } else {
                self.pick(&[0, 0, 0, 1, 2, 3, 7, 0x1000, u64::MAX])
            };
        }
        if ["size", "count", "num", "len", "pitch", "width", "height", "max", "cnt"]
            .iter()
            .any(|part| name.contains(part))
        {
            return self.pick(&[0, 1, 1, 2, 3, 7, 16, 64, 65, 100, 128, 1024, 4096]);
        }
        match self.below(8) {
            0 => self.pick(&[
                u64::MAX,
                i32::MAX as u64,
                i32::MIN as i64 as u64,
                1 << 31,
                1 << 32,
                255,
                256,
                127,
            ]),
            1 => self.next() % 4096,
            _ => self.next() % 9,
        }
    }
}
