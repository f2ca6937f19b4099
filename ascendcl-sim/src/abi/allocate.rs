//! The rarer ways to allocate memory.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
