//! `ascendcl-doctor`: what is wrong with an installation of CANN, and how to mend it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ascendcl_tools::doctor::command(std::env::args_os().skip(1))
}
