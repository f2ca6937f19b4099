//! What the safe layer costs beside the same calls in C.

mod allocations;
mod callbacks;
mod copies;
mod events;
mod executions;
pub mod instructions;
mod memory;
mod rig;
mod switches;
mod waits;

use super::row::Row;

/// The rows, in the order of the page.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        events::row(),
        copies::uploads(),
        executions::row(),
        copies::blocking(),
        callbacks::throughput(),
        callbacks::latency_p50(),
        callbacks::latency_p99(),
        callbacks::idle_wakeups(),
        waits::row(),
        switches::row(),
    ];
    rows.extend(allocations::rows());
    rows.extend(instructions::rows());
    rows.extend(memory::rows());
    rows
}
