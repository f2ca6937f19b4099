//! Which faults are tried in a scenario: made from how often it calls each function.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ascendcl_sim::{Fault, FaultKind};

use super::case::{Case, Injected};
use super::codes;
use super::scenarios::Scenario;

/// All faults of a scenario that makes these calls.
pub fn of(scenario: &'static Scenario, calls: &BTreeMap<String, u64>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (function, &count) in calls {
        let mut add = |fault: Fault| cases.push(Case { scenario, fault: Some(Injected::new(fault)) });
        add(Fault::every(function, FaultKind::MissingSymbol));
        // The first, one in the middle, the last.
        let places: BTreeSet<u64> =
            [1, count / 2 + 1, count].into_iter().filter(|&place| place <= count).collect();
        for kind in kinds(function) {
            for &place in &places {
                add(Fault::nth(function, place, kind));
            }
            // Every call, if that is not the one call there is. A device is lost once.
            if count > 1 && kind != FaultKind::LoseDevice {
                add(Fault::every(function, kind));
            }
        }
    }
    cases
}

/// How calls of a function go wrong.
fn kinds(function: &str) -> Vec<FaultKind> {
    let mut kinds: Vec<FaultKind> =
        codes::refusals(function).iter().map(|&code| FaultKind::Error(code)).collect();
    kinds.push(FaultKind::Error(codes::UNKNOWN));
    if !codes::answers_a_value(function) {
        kinds.extend([codes::failure(function), codes::UNKNOWN].map(FaultKind::ErrorAfter));
    }
    if codes::takes_memory(function) {
        kinds.push(FaultKind::NoMemory);
    }
    if codes::queues(function) {
        kinds.push(FaultKind::StopStream);
    }
    if function == "aclrtLaunchCallback" {
        kinds.extend([
            FaultKind::DuplicateReport,
            FaultKind::DelayReport(Duration::from_millis(40)),
            FaultKind::LoseReport,
        ]);
    }
    kinds.push(FaultKind::LoseDevice);
    kinds
}
