//! Events and notifies shared between processes.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
