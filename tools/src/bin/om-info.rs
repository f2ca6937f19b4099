//! `om-info FILE`: what a model expects, without a card.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ascendcl_tools::om::command(std::env::args_os().skip(1))
}
