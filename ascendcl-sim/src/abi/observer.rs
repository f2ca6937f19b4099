//! Callbacks for initialisation, devices and streams.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
