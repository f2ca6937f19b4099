//! Pages under `docs` that say in prose what is promised, and between markers what was measured, written by the command that measured it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::SystemTime,
};

use crate::{error::Error, workspace};

/// A page, by its path in the workspace.
#[derive(Clone, Copy)]
pub struct Page(pub &'static str);

impl Page {
    /// Where the page is.
    pub fn path(self) -> PathBuf {
        workspace::root().join(self.0)
    }

    /// Puts the figures of a run into their section of the page, between `<!-- begin SECTION -->` and `<!-- end SECTION -->`, under a line that
    /// says when, on what machine and by which command. Of which code they are, the history of the page tells: a commit is not known before.
    pub fn record(self, section: &str, command: &str, markdown: &str) -> Result<(), Error> {
        let head = format!("{}, on {}, by `{command}`:", today(), machine());
        self.write(section, &format!("{head}\n\n{}", markdown.trim()))
    }

    /// Puts a text into a section as it is.
    pub fn write(self, section: &str, markdown: &str) -> Result<(), Error> {
        let path = self.path();
        let text = self.read(&path)?;
        let text = self.replace(&text, section, &format!("{}\n", markdown.trim()))?;
        fs::write(&path, text).map_err(|error| Error::io("write", &path, error))
    }

    fn read(self, path: &Path) -> Result<String, Error> {
        fs::read_to_string(path).map_err(|error| Error::io("read", path, error))
    }

    /// The page with another text in a section.
    fn replace(self, page: &str, section: &str, text: &str) -> Result<String, Error> {
        let (begin, end) = (format!("<!-- begin {section} -->\n"), format!("<!-- end {section} -->\n"));
        let parts =
            page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
        let (before, after) = parts.ok_or_else(|| {
            Error::new(format!("{} has no lines `{}` and `{}`", self.0, begin.trim(), end.trim()))
        })?;
        Ok(format!("{before}{begin}{text}{end}{after}"))
    }

    /// That the page has these sections.
    #[cfg(test)]
    pub fn check_sections(self, sections: &[&str]) {
        let text = self.read(&self.path()).unwrap();
        for section in sections {
            self.replace(&text, section, "").unwrap();
        }
    }
}

/// How to run this again.
pub fn command() -> String {
    let cargo =
        if cfg!(debug_assertions) { "cargo run -p xtask --" } else { "cargo run --release -p xtask --" };
    let arguments = env::args().skip(1).filter(|argument| argument != "--record");
    arguments.fold(cargo.to_owned(), |command, argument| {
        let plain =
            !argument.is_empty() && !argument.contains([' ', '\'', '"', '$', '*', ';', '|', '&', '(']);
        if plain { format!("{command} {argument}") } else { format!("{command} '{argument}'") }
    })
}

/// The day, in UTC.
fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

/// What this machine is: processors and memory.
pub fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
    // Arm has no such line.
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| env::consts::ARCH.to_owned());
    let kib = field("/proc/meminfo", "MemTotal")
        .and_then(|size| size.split(' ').next().and_then(|number| number.parse::<u64>().ok()));
    let memory = kib.map_or(String::new(), |kib| format!(", {:.0} GiB", kib as f64 / f64::from(1 << 20)));
    format!("{cores} ({model}){memory}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_changes() {
        let page = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\nc\n";
        let once = Page("p").replace(page, "x", "new\n").unwrap();
        assert_eq!(once, page.replace("old", "new"));
        assert_eq!(Page("p").replace(&once, "x", "new\n").unwrap(), once);
        let error = Page("p").replace(page, "z", "new\n").unwrap_err().to_string();
        assert!(error.contains("<!-- begin z -->"), "{error}");
    }

    #[test]
    fn a_day_is_a_day() {
        let day = today();
        assert!(day.len() == 10 && day.starts_with("20") && day.matches('-').count() == 2, "{day}");
    }
}
