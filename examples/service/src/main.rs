//! An HTTP service on all devices: post a PNG of a handwritten digit, get the digit.
//!
//! ```sh
//! cargo run --release -p ascendcl-service
//! curl --data-binary @examples/assets/digits/images/0013_3.png http://127.0.0.1:8080/classify
//! cargo run --release -p ascendcl-service --bin load    # many requests at once, and figures
//! ```
//!
//! ```text
//! connections --- queue (bounded) --- batcher --- lane 0: device 0, stream, model
//!                 full: 503           |     \---- lane 1: device 1, ...
//!                                     collects up to N pictures, or for T milliseconds
//! ```
//!
//! Each request puts its picture into a queue and awaits the answer. The batcher waits for a lane that has nothing to do, collects a batch,
//! and gives it to the lane: one upload, the executions, one download, one `await`. Lanes stand in line, so the devices take turns. No
//! thread waits for a device anywhere.
//!
//! SIGTERM or ctrl-c: no new connection is accepted, what was accepted is answered, all handles go, ACL is finalised. Connections that are kept open
//! between two requests are closed: a request that is under way to such a one at that moment gets not a byte back, was not looked at, and can be sent again.
//!
//! On the simulator, two cores for everything (AMD EPYC), `load --connections 64 --requests 20000` three times: 6,250 to 7,000 answers a second, p50 6.9 to
//! 7.7 ms, p99 31 to 35 ms, none lost. With a SIGTERM in the middle of another run: 73,417 pictures accepted, 73,417 answered, exit code 0.
//!
//! | file | what |
//! |---|---|
//! | [`options`] | the command line |
//! | [`http`] | routes, answers, what is wrong with a request |
//! | [`batcher`] | the queue, batches by deadline, lanes in line |
//! | [`lane`] | one stream with a model: a batch through the device |

#![forbid(unsafe_code)]

#[path = "../../common/digits.rs"]
mod digits;
#[path = "../../common/gray.rs"]
#[allow(dead_code, reason = "pictures come as bytes here, not as files")]
mod gray;

mod batcher;
mod http;
mod lane;
mod options;

use ascendcl::Acl;
use batcher::Batcher;
use http::Service;
use lane::Lane;
use options::{Options, Parsed};
use std::{error::Error, fmt, process::ExitCode, sync::atomic::Ordering, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

/// Any error. Whatever it is, its text is for the user.
type Failure = Box<dyn Error + Send + Sync>;

/// What was accepted could not be answered in time.
#[derive(Debug)]
struct GaveUp(Duration);

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not finished {:?} after the signal: giving up", self.0)
    }
}

impl Error for GaveUp {}

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("service: {message}; `--help` shows the options");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("service: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let acl = Acl::new()?;
    let ended = open_lanes(&acl, options).and_then(|lanes| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // With the runtime goes whatever is still under way when patience is over.
        runtime.block_on(serve(options, lanes))
    });
    if !ended.as_ref().is_err_and(|error| error.is::<GaveUp>()) {
        // After a failure too: streams that were dropped with work on them end first. It tells if a handle was forgotten, and when a device
        // was lost: what its work may still use stays until the process ends.
        if let Err(error) = acl.finalize() {
            eprintln!("service: {error}");
        }
    }
    ended?;
    println!("stopped");
    Ok(())
}

/// The lanes of all devices: first one of each, then the second ones. In this order they get the first batches.
fn open_lanes(acl: &Acl, options: &Options) -> Result<Vec<Lane>, Failure> {
    let count = acl.device_count()? as usize;
    let devices = options.devices.unwrap_or(count);
    if devices > count || devices == 0 {
        return Err(format!("{devices} devices were asked for, and {} has {count}", acl.backend()).into());
    }
    let model = digits::model_file(acl)?;
    let contexts = (0..devices)
        .map(|id| acl.device(i32::try_from(id)?)?.create_context().map_err(Failure::from))
        .collect::<Result<Vec<_>, _>>()?;
    let mut lanes = Vec::new();
    for _ in 0..options.streams {
        for context in &contexts {
            lanes.push(Lane::open(context, &model, options.batch)?);
        }
    }
    println!(
        "{} with {devices} devices, {} lanes, batches of up to {} within {:?}, a queue for {}",
        acl.backend(),
        lanes.len(),
        options.batch,
        options.wait,
        options.queue
    );
    Ok(lanes)
}

/// Answers requests until a signal comes, and then those that were accepted.
async fn serve(options: &Options, lanes: Vec<Lane>) -> Result<(), Failure> {
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let (jobs, queue) = mpsc::channel(options.queue);
    let service = Service::new(jobs, lanes[0].shape());
    let counts = service.counts().clone();
    let (stop, stopping) = watch::channel(false);
    stop_at_signal(stop.clone())?;
    let batcher = Batcher::new(lanes, options.batch, options.wait);
    let batcher = tokio::spawn(async move {
        let ended = batcher.run(queue).await;
        // At the end of the queue all has stopped before; otherwise there is nobody left to work.
        stop.send_replace(true);
        ended
    });
    // To be read by programs that start this one: it is ready when it says so.
    println!("listening on http://{}", listener.local_addr()?);

    let mut stopped = stopping.clone();
    // The queue closes when the last connection is gone, and with it the service's end of the queue.
    let server = axum::serve(listener, service.router())
        .with_graceful_shutdown(async move { _ = stopped.wait_for(|&stop| stop).await });
    let all = async {
        server.await?;
        batcher.await?
    };
    let mut stopped = stopping;
    let patience = async {
        _ = stopped.wait_for(|&stop| stop).await;
        println!("stopping: what was accepted is still answered");
        tokio::time::sleep(options.patience).await;
    };
    let ended = tokio::select! {
        ended = all => ended,
        () = patience => Err(GaveUp(options.patience).into()),
    };
    let (accepted, answered) =
        (counts.accepted.load(Ordering::SeqCst), counts.answered.load(Ordering::SeqCst));
    println!("accepted {accepted} pictures, answered {answered}");
    let left = counts.left.load(Ordering::SeqCst);
    if left > 0 {
        println!("for {left} pictures the client had gone before the answer was there");
    }
    ended
}

/// SIGTERM, or ctrl-c, is to stop the service.
fn stop_at_signal(stop: watch::Sender<bool>) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
    });
    Ok(())
}
