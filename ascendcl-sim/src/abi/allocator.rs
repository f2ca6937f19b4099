//! Allocators that programs register for a stream.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
