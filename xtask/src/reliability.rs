//! `docs/reliability.md`: what the commands that look for defects found, each in its section.

use crate::{
    error::Error,
    page::{self, Page},
};

/// The page, in the workspace.
const PAGE: Page = Page("docs/reliability.md");

/// Puts the figures of a run into its section, under a line that names the command that is running.
pub fn record(section: &str, markdown: &str) -> Result<(), Error> {
    PAGE.record(section, &page::command(), markdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_sections() {
        PAGE.check_sections(&["campaign", "soak", "loom", "state-machines", "sanitizers", "fuzz", "exits"]);
    }
}
