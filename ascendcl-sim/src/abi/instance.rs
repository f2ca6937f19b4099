//! Running instances: work captured from streams or built by hand, and replayed.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
