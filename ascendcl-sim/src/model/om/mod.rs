//! OM files: reading those that ATC makes, and writing ones that the simulator can run.

pub(crate) mod container;
pub(crate) mod inout;
pub(crate) mod writer;
