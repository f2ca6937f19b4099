//! Which functions of ACL a library has, and what programs cannot do without the others.

use std::collections::BTreeSet;

use ascendcl_sys::{FUNCTIONS, Generations};
use serde::Serialize;

use super::finding::Finding;

/// What is asked of a library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Functions {
    /// How many of those that the bindings know it has.
    pub present: usize,
    /// How many it lacks.
    pub absent: usize,
    /// Versions of the ACL interface all of whose functions in `acl.h` and `acl_rt.h` it has.
    pub interfaces: Vec<&'static str>,
    /// What programs can do with it.
    pub features: Vec<Feature>,
}

/// Something that programs can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Feature {
    /// What it is.
    pub name: &'static str,
    /// Whether the safe layer works without it.
    pub needed: bool,
    /// Functions that are missing for it.
    pub missing: Vec<&'static str>,
}

/// Features and the functions that they take. Without the first ones nothing goes.
const FEATURES: [(&str, bool, &[&str]); 24] = [
    ("start and end", true, &["aclInit", "aclFinalize"]),
    ("devices", true, &["aclrtGetDeviceCount", "aclrtSetDevice", "aclrtResetDevice"]),
    (
        "contexts",
        true,
        &["aclrtCreateContext", "aclrtDestroyContext", "aclrtSetCurrentContext", "aclrtGetCurrentContext"],
    ),
    ("streams", true, &["aclrtCreateStream", "aclrtDestroyStream", "aclrtSynchronizeStream"]),
    (
        "events",
        true,
        &[
            "aclrtCreateEvent",
            "aclrtDestroyEvent",
            "aclrtRecordEvent",
            "aclrtStreamWaitEvent",
            "aclrtSynchronizeEvent",
        ],
    ),
    ("elapsed time", false, &["aclrtEventElapsedTime"]),
    (
        "callbacks",
        true,
        &["aclrtLaunchCallback", "aclrtSubscribeReport", "aclrtUnSubscribeReport", "aclrtProcessReport"],
    ),
    ("device memory", true, &["aclrtMalloc", "aclrtFree", "aclrtMemcpy", "aclrtMemset", "aclrtGetMemInfo"]),
    (
        "page-locked memory and asynchronous copies",
        true,
        &["aclrtMallocHost", "aclrtFreeHost", "aclrtMemcpyAsync"],
    ),
    ("error texts", false, &["aclGetRecentErrMsg"]),
    ("asking whether a stream is idle", false, &["aclrtStreamQuery"]),
    (
        "waiting with a time limit",
        false,
        &["aclrtSynchronizeStreamWithTimeout", "aclrtSynchronizeEventWithTimeout"],
    ),
    ("events that are recorded at once for many waits", false, &["aclrtCreateEventExWithFlag"]),
    ("peer access between devices", false, &["aclrtDeviceCanAccessPeer", "aclrtDeviceEnablePeerAccess"]),
    (
        "models",
        false,
        &[
            "aclmdlLoadFromFile",
            "aclmdlUnload",
            "aclmdlExecute",
            "aclmdlExecuteAsync",
            "aclmdlCreateDataset",
            "aclCreateDataBuffer",
        ],
    ),
    (
        "models with gears",
        false,
        &["aclmdlSetDynamicBatchSize", "aclmdlSetDynamicHWSize", "aclmdlSetInputDynamicDims"],
    ),
    ("AIPP", false, &["aclmdlCreateAIPP", "aclmdlSetInputAIPP"]),
    ("single operators", false, &["aclopExecuteV2", "aclopCompileAndExecute"]),
    ("host functions on streams", false, &["aclrtLaunchHostFunc"]),
    ("stream capture", false, &["aclmdlRICaptureBegin", "aclmdlRICaptureEnd", "aclmdlRIExecuteAsync"]),
    ("notifies", false, &["aclrtCreateNotify", "aclrtRecordNotify", "aclrtWaitAndResetNotify"]),
    ("pictures and video (DVPP)", false, &["acldvppMalloc", "acldvppCreateChannel"]),
    ("profiling", false, &["aclprofInit", "aclprofStart", "aclprofStop"]),
    ("communication between cards (HCCL)", false, &["HcclCommInitAll", "HcclAllReduce"]),
];

const INTERFACES: [(&str, Generations); 3] =
    [("1.2", Generations::ACL_1_2), ("1.15", Generations::ACL_1_15), ("1.17", Generations::ACL_1_17)];

impl Functions {
    /// What a library lacks that has all functions but these.
    pub(crate) fn without(absent: &BTreeSet<String>) -> Functions {
        let has = |name: &str| !absent.contains(name);
        let names = || FUNCTIONS.iter().map(|function| function.name.to_str().unwrap_or_default());
        let absent = names().filter(|name| !has(name)).count();
        let core = |header: &str| {
            matches!(header, "acl/acl.h" | "acl/acl_rt.h" | "acl/acl_base.h" | "acl/acl_base_rt.h")
        };
        let has_all = |generation: Generations| {
            let mut functions =
                FUNCTIONS.iter().filter(|f| f.generations.contains(generation) && core(f.header)).peekable();
            functions.peek().is_some() && functions.all(|f| has(f.name.to_str().unwrap_or_default()))
        };
        Functions {
            present: FUNCTIONS.len() - absent,
            absent,
            interfaces: INTERFACES
                .iter()
                .filter(|(_, generation)| has_all(*generation))
                .map(|(name, _)| *name)
                .collect(),
            features: FEATURES
                .iter()
                .map(|&(name, needed, functions)| Feature {
                    name,
                    needed,
                    missing: functions.iter().copied().filter(|name| !has(name)).collect(),
                })
                .collect(),
        }
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let names = |feature: &Feature| format!("{} ({})", feature.name, feature.missing.join(", "));
        let missing = |needed: bool| -> Vec<String> {
            let lacking = self.features.iter().filter(|f| !f.missing.is_empty() && f.needed == needed);
            lacking.map(names).collect()
        };
        let (needed, others) = (missing(true), missing(false));
        if !needed.is_empty() {
            findings.push(
                Finding::problem(
                    "functions-missing",
                    format!("the library lacks functions for {}", needed.join("; ")),
                )
                .why("programs get Error::MissingSymbol where they use them")
                .mend("install a CANN that has them, and do not copy single libraries out of one"),
            );
        }
        if !others.is_empty() {
            findings.push(
                Finding::note("features-missing", format!("the library has no {}", others.join("; ")))
                    .why("each is an Error::MissingSymbol of its call alone; everything else works")
                    .mend("if a program needs one of them: a newer CANN, or the whole toolkit instead of a part of it"),
            );
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_a_feature_is_one_of_acl() {
        for (feature, _, functions) in FEATURES {
            for name in functions {
                assert!(FUNCTIONS.iter().any(|known| known.name.to_str() == Ok(name)), "{feature}: {name}");
            }
        }
    }

    #[test]
    fn what_is_lacking_costs_features() {
        let all = Functions::without(&BTreeSet::new());
        assert_eq!((all.absent, all.interfaces.as_slice()), (0, ["1.2", "1.15", "1.17"].as_slice()));
        assert_eq!(all.findings(), []);

        let lacking = ["aclrtProcessReport", "acldvppMalloc"].map(str::to_owned).into();
        let functions = Functions::without(&lacking);
        assert_eq!(functions.absent, 2);
        assert_eq!(functions.interfaces, [""; 0]);
        let ids: Vec<_> = functions.findings().iter().map(|finding| finding.id).collect();
        assert_eq!(ids, ["functions-missing", "features-missing"]);
        assert!(functions.findings()[0].what.contains("callbacks (aclrtProcessReport)"));
        assert!(functions.findings()[1].what.contains("DVPP"));
    }
}
