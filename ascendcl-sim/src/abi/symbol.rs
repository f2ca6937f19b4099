//! Symbols of kernel binaries.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
