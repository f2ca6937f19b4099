//! The side of the simulator: its events have the clock and the numbers of this file, and are taken over as they are.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::file::File;

/// What a file says in which times are not those of the host.
const VIRTUAL: &str = "virtual clock";

/// What has to be known of an event.
#[derive(Deserialize)]
struct Label<'a> {
    ph: &'a str,
    name: &'a str,
}

/// Adds the simulator's events; nothing if it has written none since `began`, as it does where a card answers.
pub(crate) fn join(file: &File, path: &Path, began: SystemTime) -> io::Result<()> {
    let written = match fs::metadata(path) {
        Ok(metadata) => metadata.modified()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(about(path, error)),
    };
    // Times of files are coarser than the clock.
    if written + Duration::from_secs(1) < began {
        return Ok(());
    }
    let text = fs::read_to_string(path).map_err(|error| about(path, error))?;
    let events: Vec<&RawValue> = serde_json::from_str(&text).map_err(|error| about(path, error.into()))?;
    for event in &events {
        let label: Label = serde_json::from_str(event.get()).map_err(|error| about(path, error.into()))?;
        if (label.ph, label.name) == ("M", "process_labels") && event.get().contains(VIRTUAL) {
            let text = "it tells the time of a virtual clock, as ASCENDCL_SIM_SEED is set: the sides of host and devices cannot be joined";
            return Err(about(path, io::Error::other(text)));
        }
    }
    file.write_texts(events.iter().map(|event| event.get()));
    Ok(())
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the simulator's timeline {}: {error}", path.display()))
}
