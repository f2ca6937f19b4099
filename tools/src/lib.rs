//! What the two programs of this package are made of.
//!
//! `ascendcl-doctor` ([`doctor`]) examines an installation of CANN: libraries, versions, environment, device nodes, and whether a callback
//! makes its round. `om-info` ([`om`]) reads model files and says what they expect. `docs/tools.md` in the repository shows both.

#![forbid(unsafe_code)]

pub mod doctor;
pub mod om;
mod text;
