//! Raw bindings to AscendCL (ACL).

mod api;
#[rustfmt::skip]
#[allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals)]
#[allow(unsafe_op_in_unsafe_fn, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings;
#[rustfmt::skip]
#[allow(missing_docs, non_snake_case, clippy::all)]
mod table;

pub use api::{Function, Generations};
pub use bindings::*;
pub use table::{AclApi, CHANGED_SIGNATURES, FUNCTIONS};
