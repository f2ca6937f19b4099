//! `install-sim`: the simulator laid out like a CANN toolkit.

mod build;
mod layout;

use std::path::Path;

use crate::error::Error;

/// Builds the simulator and installs it in `folder`.
pub fn install(folder: &Path) -> Result<(), Error> {
    // First, so that a folder that cannot be used is said at once and not after minutes of building.
    let home = layout::Home::prepare(folder)?;
    let library = build::library()?;
    home.fill(&library)?;
    println!("{}", home.message());
    Ok(())
}

/// Where an installation is that other commands use: made anew, so that it is what the sources are now.
pub fn fresh(folder: &Path) -> Result<(), Error> {
    let home = layout::Home::prepare(folder)?;
    home.fill(&build::library()?)
}
