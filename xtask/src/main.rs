//! Maintenance of the workspace: everything that needs libclang, pip or network lives here.

mod bindings;
mod error;
mod fuzz;
mod install;
mod programs;
mod table;
mod workspace;

use std::{env, path::PathBuf, process::ExitCode};

use error::Error;
use lexopt::prelude::*;

const HELP: &str = "\
Maintenance of the workspace.

Usage: cargo run -p xtask -- COMMAND

Commands:
  bindings            write ascendcl-sys/src/{bindings,table}.rs and docs/abi-generations.md from the pinned headers
    --check           change nothing; fail if the committed files are not what the headers give
  abi-check [DIR]     compare the bindings with the headers in DIR, an include folder (default: $ASCEND_HOME_PATH/include);
                      fail if anything that both have is not the same
    --verbose         name what only one side has
  headers             fetch the pinned headers and say where they are, one include folder a line, oldest first
  install-sim DIR     build the simulator and lay it out in DIR like a CANN toolkit: DIR/lib64/libascendcl.so, the names that newer
                      releases split it into, version files, set_env.sh. DIR may be an earlier installation of it
  programs [NAME]...  install the simulator under target/xtask, compile the programs of ascendcl-sim/programs against the pinned headers of
                      the oldest and the newest generation, and run them on every profile
    --headers DIR     other headers instead, such as $ASCEND_HOME_PATH/include; may be repeated
    --profile NAME    only this profile; may be repeated
  sim-table           write the table of functions in docs/simulator.md; reasons for missing ones are in ascendcl-sim/missing.tsv
    --check           change nothing; fail if the committed table is not what the simulator has
  fuzz-abi            make random calls with random, stale and hostile arguments: nothing may crash, hang or leak
    --calls N         as many, 1000000 by default
    --seed N          begin with this seed, 1 by default
    --profile NAME    only on this profile; may be repeated
    --replay          one session only, and print each call

bindings, abi-check and headers fetch what they need with pip, once, into target/xtask. LIBCLANG_PATH chooses another libclang.
Exit code: 0 all well, 1 a difference was found, 2 the command could not be carried out.
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Carries out the command line; `false` if it found a difference.
fn run() -> Result<bool, Error> {
    let mut arguments = lexopt::Parser::from_env();
    let command = match arguments.next()? {
        Some(Value(command)) => command.string()?,
        Some(Long("help") | Short('h')) | None => {
            print!("{HELP}");
            return Ok(true);
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "bindings" => bindings_command(arguments),
        "abi-check" => abi_check_command(arguments),
        "headers" => headers_command(arguments),
        "install-sim" => install_command(arguments),
        "programs" => programs_command(arguments),
        "sim-table" => table_command(arguments),
        "fuzz-abi" => fuzz_command(arguments),
        other => {
            Err(Error::new(format!("there is no command `{other}`; see `cargo run -p xtask -- --help`")))
        }
    }
}

fn fuzz_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut options =
        fuzz::Options { calls: 1_000_000, seed: 1, profiles: Vec::new(), replay: false, session: false };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("calls") => options.calls = arguments.value()?.parse()?,
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("profile") => options.profiles.push(arguments.value()?.string()?),
            Long("replay") => options.replay = true,
            Long("session") => options.session = true,
            other => return Err(other.unexpected().into()),
        }
    }
    fuzz::run(&options)
}

fn bindings_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut check = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("check") => check = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if check { bindings::check() } else { bindings::write().map(|()| true) }
}

fn table_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut check = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("check") => check = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if check { table::check() } else { table::write().map(|()| true) }
}

fn abi_check_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let (mut dir, mut verbose) = (None, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("verbose") | Short('v') => verbose = true,
            Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let installed = || env::var_os("ASCEND_HOME_PATH").map(|home| PathBuf::from(home).join("include"));
    let dir = dir.or_else(installed).ok_or_else(|| {
        Error::new("abi-check needs an include folder: name one, or set ASCEND_HOME_PATH (source set_env.sh)")
    })?;
    bindings::abi_check(&dir, verbose)
}

fn headers_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    if let Some(other) = arguments.next()? {
        return Err(other.unexpected().into());
    }
    for (_, folder) in bindings::headers()? {
        println!("{}", folder.display());
    }
    Ok(true)
}

fn install_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut folder = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if folder.is_none() => folder = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let folder = folder.ok_or_else(|| Error::new("install-sim needs a folder: install-sim DIR"))?;
    install::install(&folder).map(|()| true)
}

fn programs_command(mut arguments: lexopt::Parser) -> Result<bool, Error> {
    let mut request = programs::Request { headers: Vec::new(), profiles: Vec::new(), names: Vec::new() };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("headers") => request.headers.push(PathBuf::from(arguments.value()?)),
            Long("profile") => request.profiles.push(arguments.value()?.string()?),
            Value(name) => request.names.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    programs::run(&request)
}
