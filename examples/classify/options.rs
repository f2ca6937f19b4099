//! The command line.

use lexopt::prelude::*;
use std::{ffi::OsString, path::PathBuf};

pub const HELP: &str = "\
Classifies images on all devices.

Usage: classify [options]

  --model FILE      the model: ONNX for the simulator, OM for a card
                    (default: the digits model in examples/assets/digits)
  --images PATH     a PNG file or a folder of them; may be given several times
                    (default: the test images of the digits model). Files named
                    ..._<digit>.png have a label, and count for the accuracy
  --devices LIST    numbers with commas between them, such as 0,2 (default: all)
  --streams N       work streams per device, 1 to 64 (default: 2)
  --repeat N        goes through the images N times (default: 100, which takes long
                    enough to measure a throughput; 1 with --images, and in a debug
                    build, where the simulator computes slowly)
  --help            this

ASCENDCL_BACKEND chooses who answers: auto (default), sim or cann.
";

/// What was asked for.
pub struct Options {
    pub model: Option<PathBuf>,
    pub images: Vec<PathBuf>,
    /// Empty: all.
    pub devices: Vec<i32>,
    pub streams: usize,
    pub repeat: usize,
}

pub enum Parsed {
    Run(Options),
    Help,
}

impl Options {
    pub fn parse() -> Result<Parsed, lexopt::Error> {
        let mut options =
            Options { model: None, images: Vec::new(), devices: Vec::new(), streams: 2, repeat: 0 };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("model") => options.model = Some(parser.value()?.into()),
                Long("images") => options.images.push(parser.value()?.into()),
                Long("devices") => options.devices = devices(parser.value()?)?,
                Long("streams") => options.streams = number("--streams", parser.value()?, 64)?,
                Long("repeat") => options.repeat = number("--repeat", parser.value()?, 10_000)?,
                Long("help") | Short('h') => return Ok(Parsed::Help),
                _ => return Err(argument.unexpected()),
            }
        }
        if options.repeat == 0 {
            let once = !options.images.is_empty() || cfg!(debug_assertions);
            options.repeat = if once { 1 } else { 100 };
        }
        Ok(Parsed::Run(options))
    }
}

fn number(option: &str, value: OsString, most: usize) -> Result<usize, lexopt::Error> {
    let value = value.string()?;
    match value.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("{option} takes a number from 1 to {most}, not `{value}`").into()),
    }
}

fn devices(value: OsString) -> Result<Vec<i32>, lexopt::Error> {
    let value = value.string()?;
    let mut ids = Vec::new();
    for id in value.split(',') {
        match id.trim().parse::<i32>() {
            Ok(id) if id < 0 || ids.contains(&id) => {
                let what = if id < 0 { "is no device" } else { "is named twice" };
                return Err(format!("--devices {value}: {id} {what}").into());
            }
            Ok(id) => ids.push(id),
            Err(_) => {
                let what = "takes device numbers with commas between them, such as 0,2";
                return Err(format!("--devices {what}, not `{value}`").into());
            }
        }
    }
    Ok(ids)
}
