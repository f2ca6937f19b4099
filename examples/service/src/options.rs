//! The command line.

use std::time::Duration;

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
                Long("devices") => options.devices = Some(at_least_one(&mut parser)?),
                Long("streams") => options.streams = at_least_one(&mut parser)?,
                Long("batch") => options.batch = at_least_one(&mut parser)?,
                Long("wait") => options.wait = Duration::from_millis(parser.value()?.parse()?),
                Long("queue") => options.queue = at_least_one(&mut parser)?,
                Long("patience") => options.patience = Duration::from_secs(parser.value()?.parse()?),
                Long("help") | Short('h') => return Ok(Parsed::Help),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Parsed::Run(options))
    }
}

fn at_least_one(parser: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    use lexopt::prelude::*;
    let number: usize = parser.value()?.parse()?;
    if number == 0 { Err("0 is too few: give a number from 1 on".into()) } else { Ok(number) }
}
