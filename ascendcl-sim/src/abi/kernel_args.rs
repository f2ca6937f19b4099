//! The arguments of a kernel.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
