//! Waiting for and writing values in device memory from a stream.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
