//! Stream-ordered memory pools.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
