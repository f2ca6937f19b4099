//! Callbacks for failed tasks, and repair of what failed.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
