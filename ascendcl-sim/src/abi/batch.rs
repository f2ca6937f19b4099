//! Batches of copies, and copies with a descriptor.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
