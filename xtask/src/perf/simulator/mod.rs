//! What the simulator costs: beside PoCL, which plays another kind of device on the same processor, beside bare copies and the bare engine for
//! models, and beside itself under other circumstances.
//!
//! All of it is called as any ACL program calls it, through the table of C functions, with the checks that are on by default.

mod acl;
mod classify;
pub mod cold_build;
mod copies;
mod execution;
mod growth;
mod opencl;
mod pocl;
mod races;
mod streams;

use super::{plot::Plot, row::Row};

/// The rows, in the order of the page.
pub fn rows() -> Vec<Row> {
    let mut rows = pocl::rows();
    rows.extend([
        copies::row(),
        execution::row(),
        streams::row(),
        streams::threads(),
        races::row(),
        classify::row(),
        cold_build::row(),
    ]);
    rows
}

/// The plots, in the order of the page.
pub fn plots() -> Vec<Plot> {
    growth::plots()
}
