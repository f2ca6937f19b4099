//! Tests of what the default chip lacks: each case is a process of its own, on each backend and chip.

use super::{Target, TestResult, child};
use ascendcl::Acl;

const CHIPS: [&str; 3] = ["ascend310p", "ascend910b", "full"];

/// Makes of each function in the module `case` a test, and `play`, which plays them in the children.
#[macro_export]
macro_rules! chip_tests {
    ($($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::support::chips::on_each(stringify!($case), |ended| ended.success());
            }
        )*

        fn play(case: &str, acl: &Acl) -> $crate::support::TestResult {
            match case {
                $(stringify!($case) => case::$case(acl),)*
                other => panic!("{other}"),
            }
        }
    };
}

/// Runs a case on each chip that has more than the default one, through both ways to the simulator, and on a card if there is one.
pub fn on_each(case: &str, check: impl Fn(child::Ended) -> child::Ended) {
    for chip in CHIPS {
        for target in ["embedded", "cdylib"] {
            let environment = [
                ("ASCENDCL_SIM_PROFILE", chip),
                ("ASCENDCL_SIM_MISUSE", "report"),
                ("ASCENDCL_SIM_RACES", "report"),
            ];
            check(child::run(&format!("{case} {target}"), &environment))
                .silent_about("misuse")
                .silent_about("race on")
                .silent_about("the simulator panicked");
        }
    }
    if Target::Cann.is_asked_for() {
        check(child::run(&format!("{case} cann"), &[]));
    }
}

/// In a child: the case, and where it runs.
pub fn case_of(role: &str) -> (&str, Target) {
    let (case, target) = role.split_once(' ').expect("a case and a target");
    let target = match target {
        "embedded" => Target::Embedded,
        "cdylib" => Target::Cdylib,
        _ => Target::Cann,
    };
    (case, target)
}

/// In a child: plays a case to its end, behind which nothing is left.
pub fn run(acl: Acl, target: Target, play: impl FnOnce(&Acl) -> TestResult) {
    play(&acl).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(acl.finalize().unwrap());
    let leaks = target.leaks();
    assert!(leaks.is_empty(), "left alive: {leaks:#?}");
}
