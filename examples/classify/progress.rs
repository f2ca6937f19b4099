//! A progress bar on standard error; one plain line where that is no terminal.

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;

pub struct Progress(ProgressBar);

impl Progress {
    pub fn start(images: usize, devices: usize) -> Progress {
        let bar = ProgressBar::new(images as u64);
        if bar.is_hidden() {
            eprintln!("classifying, {} in all, devices: {devices}", crate::counted(images, "image"));
        } else if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {pos} of {len} images, {rate}, {eta} left")
        {
            bar.set_style(style.with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
                // The bar goes on without the rate if it cannot be written.
                let _ = write!(text, "{:.0}/s", state.per_sec());
            }));
        }
        Progress(bar)
    }

    pub fn advance(&self) {
        self.0.inc(1);
    }

    /// Removes the bar: what comes next is printed in its place.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
