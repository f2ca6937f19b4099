//! Raw bindings to AscendCL (ACL), the C runtime of Huawei's Ascend NPUs, and a loader that finds an
//! installed CANN at run time.
//!
//! Nothing is needed to build this crate: no CANN, no libclang. Nothing is linked either. A program
//! that uses it starts on a machine without an NPU and learns there, from an ordinary error, that ACL
//! is absent. The safe layer over it is the crate `ascendcl`.
//!
//! # The table
//!
//! The functions of ACL are the fields of one table, [`AclApi`], under their C names. Each is an
//! `Option`: a library has the functions of its release, and a function that it lacks is `None`.
//! [`Library::open`] fills the table from an installed CANN; [`AclApi::load`] fills it from anything else
//! that can turn a name into an address, such as an implementation of ACL within the program:
//!
//! ```
//! use ascendcl_sys::{ACL_ERROR_UNINITIALIZE, ACL_SUCCESS, AclApi, aclError};
//! use std::ffi::c_void;
//!
//! // Two functions of an ACL that always says it was not initialised.
//! extern "C" fn get_device_count(_count: *mut u32) -> aclError {
//!     ACL_ERROR_UNINITIALIZE
//! }
//! extern "C" fn finalize() -> aclError {
//!     ACL_SUCCESS
//! }
//!
//! let api = AclApi::load(|name| match name.to_bytes() {
//!     b"aclrtGetDeviceCount" => get_device_count as *const c_void,
//!     b"aclFinalize" => finalize as *const c_void,
//!     _ => std::ptr::null(),
//! });
//!
//! let mut count = 0;
//! let function = api.aclrtGetDeviceCount.expect("this table has it");
//! // SAFETY: the function is the one above, and `count` lives through the call.
//! let code = unsafe { function(&mut count) };
//! assert_eq!(code, ACL_ERROR_UNINITIALIZE);
//!
//! assert!(api.aclrtCreateStream.is_none());
//! ```
//!
//! With an installed CANN it is the same from the second line on:
//!
//! ```no_run
//! use ascendcl_sys::{ACL_SUCCESS, Library, Search};
//!
//! let library = Library::open(&Search::from_env())?;
//! let api = library.api();
//! let init = api.aclInit.ok_or("no aclInit")?;
//! // SAFETY: ACL allows a null path, which means no configuration file.
//! assert_eq!(unsafe { init(std::ptr::null()) }, ACL_SUCCESS);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`FUNCTIONS`] lists the table with headers and generations. [`Search`] says where [`Library::open`]
//! looks, [`LoadError`] why it found nothing.
//!
//! # Enums, status codes, structs
//!
//! - A C enum is a transparent newtype over its integer, and its enumerators are constants under their C
//!   names: `ACL_MEMCPY_HOST_TO_DEVICE: aclrtMemcpyKind`. It is never a Rust enum, as a newer CANN may
//!   answer a value that these headers do not know.
//! - Every status code is an [`aclError`], whether the headers define it as a constant, a macro or an unsigned
//!   integer. [`STATUS_CODES`] and [`status_names`] turn a number back into its names. A newer
//!   CANN may answer codes that these headers do not have.
//! - Handles are untyped pointers, as in C. Structs that only ACL looks into are opaque.
//! - Text is [`c_char`](core::ffi::c_char), which is unsigned on Arm servers and signed on x86-64 ones.
//!
//! # Generations
//!
//! The bindings are the union of three generations of the headers, named after the interface version in them:
//! [`Generations::ACL_1_2`], [`Generations::ACL_1_15`] and [`Generations::ACL_1_17`]. Types,
//! constants and signatures are those of the newest one that has them. Few of them ever changed;
//! [`CHANGED_SIGNATURES`] lists the functions, and `docs/abi-generations.md` in the repository all
//! differences.
//!
//! # Features
//!
//! None. Linux on x86-64 and aarch64; the bindings are the same on both.

mod api;
#[rustfmt::skip]
#[allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals)]
#[allow(unsafe_op_in_unsafe_fn, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings;
mod image;
mod library;
mod load_error;
mod resident;
mod search;
#[rustfmt::skip]
#[allow(non_snake_case, clippy::all)]
mod table;

pub use api::{Function, Generations, status_names};
pub use bindings::*;
pub use library::Library;
pub use load_error::{Attempt, LoadError, Reason, STUB_HINT, STUB_STATUS};
pub use resident::keep_loaded;
pub use search::{Candidate, Search};
pub use table::{AclApi, CHANGED_SIGNATURES, FUNCTIONS};
