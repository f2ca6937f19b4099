//! Models with dynamic batch, size or dimensions.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
