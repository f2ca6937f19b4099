//! Address ranges and physical memory.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
