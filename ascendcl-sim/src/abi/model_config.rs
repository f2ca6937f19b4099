//! Loading and executing models with a configuration.

use ascendcl_sys::AclApi;

pub(crate) fn fill(_: &mut AclApi) {}
