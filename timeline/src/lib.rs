//! A timeline of a program that uses [`ascendcl`]: a file that [Perfetto](https://ui.perfetto.dev) and `chrome://tracing` open.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let timeline = ascendcl_timeline::record("timeline.json")?;
//!     let acl = ascendcl::Acl::new()?;
//!     work(&acl)?;
//!     acl.finalize()?;
//!     timeline.finish()?;
//!     Ok(())
//! }
//! # fn work(acl: &ascendcl::Acl) -> ascendcl::Result<()> { acl.device_count().map(drop) }
//! ```
//!
//! It has a row for each thread of the host, with the spans and events of `tracing`: those of the program (`#[tracing::instrument]`,
//! `tracing::info_span!`), and those of `ascendcl` (initialisation, what is put into streams, waits, callbacks, failures). That is so on a card
//! as on the simulator.
//!
//! On the simulator the device can be in the same picture: with `ASCENDCL_SIM_TRACE=device.json` in the environment the simulator writes what each
//! call and each stream does, with the same clock and the same numbers of threads, and [`Timeline::finish`] joins that file to this one. Each C
//! call is then below the span that made it, each task of a stream in a row of its device, and arrows lead from the one to the other.
//!
//! What a device of a real card does is known to CANN's profiler, `ascendcl::Profiler`.

#![forbid(unsafe_code)]

mod event;
mod file;
mod join;
mod layer;

pub use layer::TimelineLayer;

use std::{
    env, io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::SystemTime,
};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use file::File;

/// A timeline that is being written. It ends with [`finish`](Timeline::finish), or when it is dropped.
#[derive(Debug)]
#[must_use = "the timeline ends when this is dropped"]
pub struct Timeline {
    file: Arc<File>,
    path: PathBuf,
    device_side: Option<PathBuf>,
    began: SystemTime,
    finished: bool,
}

/// Begins a timeline in a new file, and makes it the subscriber of `tracing` of this process. Call it first in `main`, before ACL is initialised.
///
/// Everything from level `DEBUG` on is written, and of `ascendcl` everything.
///
/// # Errors
///
/// If the file cannot be written, or there is a subscriber already: [`layer`] is for programs that have one.
pub fn record(path: impl AsRef<Path>) -> io::Result<Timeline> {
    let (layer, timeline) = layer(path)?;
    let filter =
        Targets::new().with_default(tracing::Level::DEBUG).with_target("ascendcl", tracing::Level::TRACE);
    tracing_subscriber::registry().with(filter).with(layer).try_init().map_err(io::Error::other)?;
    Ok(timeline)
}

/// Begins a timeline in a new file, for a subscriber that the program puts together itself:
///
/// ```
/// use tracing_subscriber::{filter::LevelFilter, prelude::*};
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("timeline-doc-{}.json", std::process::id()));
/// let (layer, timeline) = ascendcl_timeline::layer(&path)?;
/// tracing_subscriber::registry().with(layer.with_filter(LevelFilter::DEBUG)).init();
/// // ...
/// timeline.finish()?;
/// # std::fs::remove_file(path)
/// # }
/// ```
///
/// # Errors
///
/// If the file cannot be written.
pub fn layer(path: impl AsRef<Path>) -> io::Result<(TimelineLayer, Timeline)> {
    let path = path.as_ref().to_owned();
    let began = SystemTime::now();
    let file = Arc::new(File::create(&path)?);
    // As the simulator reads it.
    let device_side = env::var_os("ASCENDCL_SIM_TRACE")
        .map(|path| path.to_string_lossy().replace("%p", &process::id().to_string()))
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let timeline = Timeline { file: file.clone(), path, device_side, began, finished: false };
    Ok((TimelineLayer::new(file), timeline))
}

impl Timeline {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the timeline, and joins to it what the simulator wrote into the file that `ASCENDCL_SIM_TRACE` names. Spans that are open are not in it.
    ///
    /// The simulator's file is whole once ACL is finalised ([`ascendcl::Acl::finalize`]); otherwise up to a tenth of a second is missing. It is left as
    /// it is.
    ///
    /// # Errors
    ///
    /// If something could not be written; if the simulator's file cannot be read, or tells another time because of a seed. The file of the timeline
    /// then has the side of the host, and can be opened.
    pub fn finish(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let joined = match &self.device_side {
            Some(path) => join::join(&self.file, path, self.began),
            None => Ok(()),
        };
        self.file.end().and(joined)
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("ascendcl-timeline: {}: {error}", self.path.display());
        }
    }
}
