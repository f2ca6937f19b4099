//! Classifies images on all devices: a trained model, real images, uploads, executions and downloads at the same time.
//!
//! ```sh
//! cargo run --release --example classify                    # the digits that come with this repository
//! cargo run --release --example classify -- --help
//! ```
//!
//! Each device has a thread and a context. In the context there is one stream for uploads, and some for the rest of the work
//! (`--streams`), each with a model of its own, because ACL runs a model once at a time. An image goes this way:
//!
//! ```text
//! upload stream    record start · upload · record uploaded
//!                                                 |
//! work stream                           wait uploaded · execute · download · record end · callback
//! ```
//!
//! So the next images are uploaded while others are executed, on several streams, and the device never waits for this program.
//! The callback hands the result to the device's thread ([`worker`]), which gives the buffers the next image. The time between
//! `start` and `end` is the image's latency.
//!
//! | file | what |
//! |---|---|
//! | [`options`] | the command line |
//! | [`images`] | files, pixels, labels |
//! | [`network`] | which model, and whether it fits |
//! | [`lane`] | one work stream: enqueues an image |
//! | [`worker`] | one device: its thread |
//! | [`tally`] | counts answers, prints the report |
//! | [`progress`] | the progress bar |

#[path = "../common/digits.rs"]
mod digits;
#[path = "../common/gray.rs"]
mod gray;

mod images;
mod lane;
mod network;
mod options;
mod progress;
mod tally;
mod worker;

use ascendcl::Acl;
use images::Sample;
use options::{Options, Parsed};
use progress::Progress;
use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    thread,
    time::Instant,
};
use tally::Tally;
use worker::{Queue, Worker};

/// Any error. Whatever it is, its text is for the user.
type Failure = Box<dyn Error + Send + Sync>;

/// So many images, when they were named, get a line each.
const FEW: usize = 20;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Help) => return finish(print(options::HELP)),
        Err(message) => {
            eprintln!("classify: {message}; `--help` shows the options");
            return ExitCode::from(2);
        }
    };
    finish(run(&options))
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("classify: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let samples = images::read(&options.images)?;
    let acl = Acl::new()?;
    let devices = choose_devices(&acl, options)?;
    let model = network::choose(&acl, options.model.as_deref())?;

    // All devices are opened, and have loaded their models, before anything is printed and the clock starts.
    let workers =
        in_parallel(devices.clone(), |id| Worker::new(&acl, id, &model, options.streams, &samples))?;
    print(&format!(
        "backend     {} ({})\nmodel       {}\nimages      {}{}\ndevices     {}, work streams per device: {}\n\n",
        acl.backend(),
        acl.soc_name()?.as_deref().unwrap_or("unknown chip"),
        model.display(),
        samples.len(),
        if options.repeat > 1 { format!(", each {} times", options.repeat) } else { String::new() },
        devices.iter().map(i32::to_string).collect::<Vec<_>>().join(" "),
        options.streams,
    ))?;

    let tally = classify(workers, &samples, options.repeat)?;
    // Whoever names a few images wants to know what is on each.
    let each = !options.images.is_empty() && samples.len() <= FEW;
    print(&tally.report(&samples, each))?;

    // All handles are gone: ends ACL, and would tell if one had been forgotten.
    acl.finalize()?;
    Ok(())
}

/// Spreads the images over the devices and collects the answers.
fn classify(workers: Vec<Worker>, samples: &[Sample], repeat: usize) -> Result<Tally, Failure> {
    let queue = Queue::new(samples.len() * repeat);
    let mut tally = Tally::new(workers.iter().map(Worker::device), samples.len());
    let progress = Progress::start(queue.total(), workers.len());
    let start = Instant::now();
    // A device's thread keeps its answers to itself: to wake another one for each would take longer than to compute it.
    let results = thread::scope(|scope| {
        let (queue, progress) = (&queue, &progress);
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(move || worker.run(queue, samples, progress)))
            .collect();
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    tally.took = start.elapsed();
    progress.end();
    for answers in results {
        answers?.iter().for_each(|answer| tally.add(answer));
    }
    if tally.answers() != queue.total() {
        return Err(format!("{} of {} came back", tally.answers(), counted(queue.total(), "image")).into());
    }
    if let Some(sample) = tally.unsteady() {
        let path = samples[sample].path.display();
        return Err(
            format!("{path} got different answers in different rounds: a device cannot be trusted").into()
        );
    }
    Ok(tally)
}

/// The devices that were asked for, or all.
fn choose_devices(acl: &Acl, options: &Options) -> Result<Vec<i32>, Failure> {
    let count = i32::try_from(acl.device_count()?)?;
    if count == 0 {
        return Err(
            format!("{} has no device; check npu-smi and ASCEND_RT_VISIBLE_DEVICES", acl.backend()).into()
        );
    }
    match options.devices.iter().find(|&&id| id >= count) {
        Some(id) => Err(format!(
            "there is no device {id}: the backend ({}) has {count}, from 0 to {}",
            acl.backend(),
            count - 1
        )
        .into()),
        None if options.devices.is_empty() => Ok((0..count).collect()),
        None => Ok(options.devices.clone()),
    }
}

/// Does something with each item, all at the same time, in threads. All are waited for before the first error is given.
fn in_parallel<T: Send, U: Send>(
    items: Vec<T>,
    action: impl Fn(T) -> Result<U, Failure> + Sync,
) -> Result<Vec<U>, Failure> {
    thread::scope(|scope| {
        let action = &action;
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || action(item))).collect();
        let results: Vec<_> = threads.into_iter().map(join).collect();
        results.into_iter().collect()
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// "1 image", "2 images".
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Prints to standard output. That nobody reads it (`| head`) is no error.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot print: {error}").into())
        }
        _ => Ok(()),
    }
}
