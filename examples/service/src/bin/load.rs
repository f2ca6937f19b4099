//! Drives the service with many requests at once, and prints figures.
//!
//! ```sh
//! cargo run --release -p ascendcl-service &
//! cargo run --release -p ascendcl-service --bin load -- --connections 64 --requests 20000
//! ```

#![forbid(unsafe_code)]

#[path = "../client.rs"]
mod client;

use client::{Client, Picture, Reply};
use std::{
    error::Error,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

const HELP: &str = "\
Posts the test images of the digits model, again and again, and prints figures.

Usage: load [OPTIONS]

  --url URL          of the service [http://127.0.0.1:8080]
  --connections N    at the same time [64]
  --requests N       altogether [10000]
  --help             this text
";

struct Options {
    url: String,
    connections: usize,
    requests: usize,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    right: usize,
    /// The sum of the sizes of the batches that its pictures were in.
    batches: usize,
    busy: usize,
    devices: Vec<usize>,
    failures: Vec<String>,
}

fn main() -> ExitCode {
    match parse().and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Options>, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_env();
    let mut options = Options { url: "http://127.0.0.1:8080".into(), connections: 64, requests: 10_000 };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("url") => options.url = parser.value()?.string()?,
            Long("connections") => options.connections = parser.value()?.parse()?,
            Long("requests") => options.requests = parser.value()?.parse()?,
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let pictures = client::pictures(&client::folder())?;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let mut all = Seen::default();
    thread::scope(|scope| {
        let connections: Vec<_> = (0..options.connections)
            .map(|_| scope.spawn(|| connection(&options.url, &pictures, &next, options.requests)))
            .collect();
        for connection in connections {
            all.add(connection.join().expect("no thread panics"));
        }
    });
    let took = start.elapsed();
    all.latencies.sort();
    println!("{} connections, {} requests in {took:.2?}", options.connections, options.requests);
    println!("{:.0} answers/s", all.latencies.len() as f64 / took.as_secs_f64());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        println!("{name} {:.2?}", quantile(&all.latencies, share));
    }
    println!("{} answered, {} with the digit that the file names", all.latencies.len(), all.right);
    println!(
        "{:.1} pictures in the batch of an answer",
        all.batches as f64 / all.latencies.len().max(1) as f64
    );
    println!("{} times told to come again (503)", all.busy);
    println!("answers by device: {:?}", all.devices);
    match all.failures.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} requests failed, the first: {first}", all.failures.len()).into()),
    }
}

/// One request after another, until all are made. Comes again when the service is busy.
fn connection(url: &str, pictures: &[Picture], next: &AtomicUsize, requests: usize) -> Seen {
    let (client, mut seen) = (Client::new(url), Seen::default());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests {
            return seen;
        }
        let picture = &pictures[number % pictures.len()];
        let answer = loop {
            let start = Instant::now();
            match client.classify(&picture.png) {
                Ok(Reply::Digit(answer)) => {
                    seen.latencies.push(start.elapsed());
                    break Some(answer);
                }
                Ok(Reply::Refused { status: 503, retry_after, .. }) => {
                    seen.busy += 1;
                    thread::sleep(retry_after.unwrap_or(Duration::from_secs(1)));
                }
                Ok(Reply::Refused { status, text, .. }) => {
                    seen.failures.push(format!("{status} {text}"));
                    break None;
                }
                Err(error) => {
                    seen.failures.push(error.to_string());
                    break None;
                }
            }
        };
        let Some(answer) = answer else { continue };
        seen.right += usize::from(answer.digit == picture.label);
        seen.batches += answer.batch;
        let device = usize::try_from(answer.device).unwrap_or(0);
        seen.devices.resize(seen.devices.len().max(device + 1), 0);
        seen.devices[device] += 1;
    }
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.latencies.extend(other.latencies);
        self.right += other.right;
        self.batches += other.batches;
        self.busy += other.busy;
        self.devices.resize(self.devices.len().max(other.devices.len()), 0);
        self.devices.iter_mut().zip(other.devices).for_each(|(sum, one)| *sum += one);
        self.failures.extend(other.failures);
    }
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
