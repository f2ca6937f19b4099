//! `timeline`: a picture of a timeline, drawn from the file, for pages that cannot embed a viewer.

mod draw;
mod read;

use std::{fs, path::Path};

use crate::error::Error;

/// What is drawn, and where.
#[derive(Default)]
pub struct Options {
    /// Milliseconds from the beginning.
    pub from: f64,
    pub to: Option<f64>,
    /// Names of bars that are left out, with all that is in them.
    pub without: Vec<String>,
}

pub fn run(file: &Path, picture: &Path, options: &Options) -> Result<bool, Error> {
    let about = |error: &dyn std::fmt::Display| Error::new(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| about(&error))?;
    let timeline = read::timeline(&text, options).map_err(|error| about(&error))?;
    fs::write(picture, draw::svg(&timeline))
        .map_err(|error| Error::new(format!("{}: {error}", picture.display())))?;
    Ok(true)
}
