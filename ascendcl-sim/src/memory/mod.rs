//! Memory: device address space, pinned host memory, and copies between them.
//!
//! What the rest of the simulator needs from here:
//!
//! - [`device_range`]`(ptr, len) -> Result<DeviceRange, aclError>`: a checked window over one live device allocation (`ptr` may point
//!   into its middle; 107000 with a text if no live allocation covers all of it). Cheap to clone and to keep in queued work; it
//!   does not keep the memory from being freed.
//! - `DeviceRange::open(&self, Access) -> Result<DeviceBytes, aclError>`: access for the time of one operation (507013 if it was freed meanwhile).
//!   While a `DeviceBytes` lives, its bytes are neither poisoned nor given to another allocation.
//! - `DeviceBytes::{as_ptr, as_mut_ptr, len, read_to_vec, write_from}`: the alias that the simulator can read and write.
//!
//! New kinds of memory with addresses of their own are a `region::Region` (who answers for an address) and a `range::Backing` (one live
//! piece of it): classification, ranges, copies and `aclrtFree` then know them.
//!
//! Queued work takes a `DeviceRange` when it is submitted and opens it when it runs, so that freeing memory under queued work is noticed.

mod accounts;
mod arena;
mod block;
mod copy;
mod direction;
mod external;
mod indirect;
pub(crate) mod keyed;
mod managed;
mod map;
mod number;
mod offer;
pub(crate) mod physical;
mod pinned;
mod place;
mod poison;
mod pool;
mod random;
mod range;
mod reduce;
mod region;
mod registered;
pub(crate) mod shareable;
mod space;
pub(crate) mod virtual_memory;

pub(crate) use accounts::{APP, Charge, GIANT_PAGE, HUGE_PAGE, NORMAL_PAGE, PageSize, module, module_name};
pub(crate) use copy::{
    Ends, Shape, Staged, Transfer, copy_blocking, fill, fill_target, open, report_host_fill,
};
pub(crate) use direction::Direction;
pub(crate) use external::{
    DESCRIPTIONS, Functions, create_description, register_allocator, registered_allocator,
    unregister_allocator,
};
pub(crate) use indirect::{DESCRIPTOR, Indirect, descriptor};
pub(crate) use managed::{
    Home, Managed, Pages, Part, Question, allocate_managed, managed_range, touch_managed,
};
pub(crate) use map::{Mapping, SharedMemory, page_size};
pub(crate) use number::Number;
pub(crate) use pinned::{free_host, malloc_host, pinned_range};
pub(crate) use place::{Location, Place, classify};
pub(crate) use pool::{Attribute, POOLS, Pool, settle_pools, take_lent};
pub(crate) use random::{COUNTER, Distribution, Draw, Parameter};
pub(crate) use range::{DeviceBytes, DeviceRange, device_range, free, live};
pub(crate) use reduce::{Reduction, reduce};
pub(crate) use registered::{device_pointer, register_host, unregister_host};
pub(crate) use space::DeviceMemory;

/// Gives back what lives with a device that is being reset, other than its memory; how many pieces that were.
pub(crate) fn release(device: i32) -> usize {
    pool::release_pools(device)
        + managed::release_managed(device)
        + registered::release_registrations(device)
        + keyed::release_device(device)
        + virtual_memory::release_device(device)
        + physical::release_device(device)
}
