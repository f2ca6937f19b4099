//! Versions, capabilities and parameters of the whole system.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
