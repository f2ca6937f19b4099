//! Random programs on the simulator, compared with a plain model: data, order, errors, and what is left at the end. The race detector
//! is on in all of them.
//!
//! A property is a test of this program, which runs them one after the other. A case is a random program in a process of its own, with a
//! seed for the simulator. When one fails it is made smaller, and printed as Rust with what repeats it.
//!
//! `PROPTEST_CASES` sets how many programs each property tries, `PROPTEST_RNG_SEED` which ones. An argument chooses properties by name.
//! `ASCENDCL_TEST_PATIENCE` is how many seconds a program may take until it counts as hanging: more under tools that make it slow.

mod collecting;
mod endings;
mod generate;
mod isolate;
mod machine;
mod model;
mod operation;
mod order;
mod program;
mod properties;
mod rules;
mod shared;
mod shrink;
mod workers;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filter: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = properties::ALL
        .iter()
        .filter(|property| filter.is_empty() || filter.iter().any(|part| property.name.contains(*part)));
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.for_each(|property| println!("{}: test", property.name));
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = (0, 0);
    for property in chosen {
        match (property.check)(property) {
            Ok(told) => {
                println!("test {} ... ok ({told})", property.name);
                passed += 1;
            }
            Err(failure) => {
                println!("test {} ... FAILED\n\n{failure}\n", property.name);
                failed += 1;
            }
        }
    }
    let result = if failed > 0 { "FAILED" } else { "ok" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed\n");
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
