//! What a host function sees of the launch that it runs for.

use std::ptr;

use super::host::KernelError;
use super::task::Placeholder;
use crate::check::Access;
use crate::memory::{DeviceBytes, DeviceRange, device_range};

/// Where the arguments of a launch seem to lie, for pointers from arguments into the data behind them. No device or host address has
/// these upper bits.
const ARGUMENTS: u64 = 0x5ac1_0000_0000_0000;

/// One launch of a kernel.
///
/// Device memory is read and written through addresses as they stand among the arguments. What is not inside one live allocation is an
/// error that names the address, where a chip would trap.
#[derive(Debug)]
pub struct KernelLaunch<'a> {
    pub(super) name: &'a str,
    pub(super) blocks: u32,
    pub(super) device: i32,
    pub(super) stream: i32,
    pub(super) arguments: &'a [u8],
}

impl KernelLaunch<'_> {
    /// The name of the kernel.
    pub fn name(&self) -> &str {
        self.name
    }

    /// On how many cores the kernel was launched. The host function runs once, whatever the number.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// The device of the stream.
    pub fn device(&self) -> i32 {
        self.device
    }

    /// The number of the stream, as from `aclrtStreamGetId`.
    pub fn stream(&self) -> i32 {
        self.stream
    }

    /// All arguments, as the program put them together.
    pub fn arguments(&self) -> &[u8] {
        self.arguments
    }

    /// The argument that starts `offset` bytes into the arguments: a number, or a pointer as `u64`.
    pub fn argument<T: KernelValue>(&self, offset: usize) -> Result<T, KernelError> {
        let size = size_of::<T>();
        let bytes = offset.checked_add(size).and_then(|end| self.arguments.get(offset..end));
        bytes.map(T::from_bytes).ok_or_else(|| {
            let have = self.arguments.len();
            KernelError::new(format!(
                "an argument of {size} bytes at {offset} is past the end: there are {have} bytes"
            ))
        })
    }

    /// Reads the bytes at a device address, or behind a placeholder among the arguments.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), KernelError> {
        if let Some(offset) = self.inside_arguments(address, bytes.len())? {
            bytes.copy_from_slice(&self.arguments[offset..offset + bytes.len()]);
            return Ok(());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let opened = open(address, bytes.len(), Access::READ)?;
        // SAFETY: [mapped] the window is as long as the slice, and no Rust reference covers device memory.
        unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), opened.as_ptr().cast(), bytes.len()) };
        Ok(())
    }

    /// Reads `count` values from a device address.
    pub fn read_values<T: KernelValue>(&self, address: u64, count: usize) -> Result<Vec<T>, KernelError> {
        let size = count.checked_mul(size_of::<T>()).filter(|&size| size <= isize::MAX as usize);
        let size = size.ok_or_else(|| KernelError::new(format!("{count} values do not fit into memory")))?;
        // Looked at first, so that a number from nowhere asks for no memory.
        if size > 0 && self.inside_arguments(address, size)?.is_none() {
            reach(address, size, Access::READ)?;
        }
        let mut bytes = vec![0; size];
        self.read(address, &mut bytes)?;
        Ok(bytes.chunks_exact(size_of::<T>()).map(T::from_bytes).collect())
    }

    /// Writes bytes to a device address.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), KernelError> {
        if self.inside_arguments(address, bytes.len())?.is_some() {
            return Err(KernelError::new(format!("write to the arguments of a kernel, at {address:#x}")));
        }
        if !bytes.is_empty() {
            open(address, bytes.len(), Access::WRITE)?.write_from(0, bytes);
        }
        Ok(())
    }

    /// Writes values to a device address.
    pub fn write_values<T: KernelValue>(&self, address: u64, values: &[T]) -> Result<(), KernelError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_bytes().into_iter()).collect();
        self.write(address, &bytes)
    }

    /// The offset that an address means if it is one of the arguments' own.
    fn inside_arguments(&self, address: u64, len: usize) -> Result<Option<usize>, KernelError> {
        if address >> 48 != ARGUMENTS >> 48 {
            return Ok(None);
        }
        let offset = (address - ARGUMENTS) as usize;
        match offset.checked_add(len) {
            Some(end) if end <= self.arguments.len() => Ok(Some(offset)),
            _ => Err(KernelError::new(format!(
                "{len} bytes at {offset} are past the end of {} bytes of arguments",
                self.arguments.len()
            ))),
        }
    }
}

/// Points the placeholders of a launch at their data. Each lies inside the arguments: that was checked at the launch.
pub(super) fn resolve(arguments: &mut [u8], placeholders: &[Placeholder]) {
    for placeholder in placeholders {
        let address = ARGUMENTS + u64::from(placeholder.data);
        let at = placeholder.address as usize;
        if let Some(place) = arguments.get_mut(at..at + size_of::<u64>()) {
            place.copy_from_slice(&address.to_ne_bytes());
        }
    }
}

/// The live device memory at an address.
fn reach(address: u64, len: usize, access: Access) -> Result<DeviceRange, KernelError> {
    device_range(ptr::without_provenance(address as usize), len)
        .map_err(|_| out_of_reach(address, len, access))
}

fn open(address: u64, len: usize, access: Access) -> Result<DeviceBytes, KernelError> {
    reach(address, len, access)?.open(access).map_err(|_| out_of_reach(address, len, access))
}

fn out_of_reach(address: u64, len: usize, access: Access) -> KernelError {
    let how = if access.writes() { "written" } else { "read" };
    KernelError::new(format!(
        "{len} bytes at {address:#x} cannot be {how}: they are in no live device memory"
    ))
}

/// A number that kernels take as an argument or keep in memory.
pub trait KernelValue: Copy + sealed::Bytes {}

mod sealed {
    /// The bytes of a number, in the order that this machine and the chips have.
    pub trait Bytes: Sized {
        type Array: AsRef<[u8]> + IntoIterator<Item = u8>;
        fn from_bytes(bytes: &[u8]) -> Self;
        fn to_bytes(self) -> Self::Array;
    }
}

macro_rules! kernel_values {
    ($($type:ty),*) => {$(
        impl KernelValue for $type {}

        impl sealed::Bytes for $type {
            type Array = [u8; size_of::<$type>()];

            fn from_bytes(bytes: &[u8]) -> Self {
                let mut array = Self::Array::default();
                array.copy_from_slice(bytes);
                Self::from_ne_bytes(array)
            }

            fn to_bytes(self) -> Self::Array {
                self.to_ne_bytes()
            }
        }
    )*};
}

kernel_values!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);
