//! The command line.

use std::{fmt::Display, str::FromStr, time::Duration};

pub const HELP: &str = "\
Recognises handwritten digits: post a PNG of 8x8 pixels to /classify, get the digit as JSON.

Usage: service [OPTIONS]

  --listen ADDRESS   where to listen; port 0 takes a free one [127.0.0.1:8080]
  --devices N        how many devices to use [all]
  --streams N        streams for each device, each with a model of its own [2]
  --batch N          pictures in a batch, at most [16]
  --wait MS          how long a batch waits for more pictures, in milliseconds [2]
  --queue N          pictures that may wait for a batch; more are refused with 503 [256]
  --patience S       how long to finish what was accepted after SIGTERM, in seconds [30]
  --help             this text

Environment: ASCENDCL_BACKEND (auto, cann or sim) chooses who answers.
";

pub struct Options {
    pub listen: String,
    pub devices: Option<usize>,
    pub streams: usize,
    pub batch: usize,
    pub wait: Duration,
    pub queue: usize,
    pub patience: Duration,
}

pub enum Parsed {
    Run(Options),
    Help,
}

impl Options {
    pub fn parse() -> Result<Parsed, String> {
        Options::from(lexopt::Parser::from_env()).map_err(|error| error.to_string())
    }

    fn from(mut parser: lexopt::Parser) -> Result<Parsed, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Options {
            listen: "127.0.0.1:8080".into(),
            devices: None,
            streams: 2,
            batch: 16,
            wait: Duration::from_millis(2),
            queue: 256,
            patience: Duration::from_secs(30),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("listen") => options.listen = parser.value()?.string()?,
                Long("devices") => options.devices = Some(number("devices", 1, &mut parser)?),
                Long("streams") => options.streams = number("streams", 1, &mut parser)?,
                Long("batch") => options.batch = number("batch", 1, &mut parser)?,
                Long("wait") => options.wait = Duration::from_millis(number("wait", 0, &mut parser)?),
                Long("queue") => options.queue = number("queue", 1, &mut parser)?,
                Long("patience") => {
                    options.patience = Duration::from_secs(number("patience", 0, &mut parser)?)
                }
                Long("help") | Short('h') => return Ok(Parsed::Help),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Parsed::Run(options))
    }
}

/// The value of an option.
fn number<T: FromStr + PartialOrd + Display>(
    option: &str,
    least: T,
    parser: &mut lexopt::Parser,
) -> Result<T, lexopt::Error> {
    let value = parser.value()?;
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(number) if number >= least => Ok(number),
        _ => Err(format!("--{option} {}: give a whole number, {least} or more", value.display()).into()),
    }
}
