//! `coverage`: every C function, and the safe method that stands for it: `docs/coverage.md`.

mod areas;
mod methods;
mod page;
mod wanted;

use std::{collections::BTreeSet, fs};

use ascendcl_sim::Profile;
use ascendcl_sys as sys;

use crate::{error::Error, workspace};
use areas::AREAS;

/// The page, in the workspace.
const PAGE: &str = "docs/coverage.md";

/// How the safe layer has a function.
enum State {
    /// These methods stand for it. Without a call: they do so in another way, or for an older function.
    Safe {
        methods: Vec<String>,
        called: bool,
    },
    /// With what it would be good for.
    NotYet(&'static str),
    Raw,
}

struct Entry {
    name: &'static str,
    state: State,
    /// The inference chips of Atlas cards that have it.
    chips: Vec<&'static str>,
}

/// All functions, by the places of their sections.
struct Coverage {
    sections: Vec<Vec<Entry>>,
    /// Wishes for what is there.
    unused: Vec<&'static str>,
}

/// Writes the page. False if something in the generator is out of date.
pub fn write() -> Result<bool, Error> {
    let coverage = Coverage::read()?;
    let path = workspace::root().join(PAGE);
    fs::write(&path, page::text(&coverage)).map_err(|error| Error::io("write", &path, error))?;
    Ok(coverage.say_unused())
}

/// Whether the committed page is what `write` would write.
pub fn check() -> Result<bool, Error> {
    let coverage = Coverage::read()?;
    let path = workspace::root().join(PAGE);
    let committed = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    let fresh = page::text(&coverage);
    let good = coverage.say_unused();
    if committed == fresh {
        println!("{PAGE} is up to date");
        return Ok(good);
    }
    println!(
        "{PAGE} is not what the code gives: run `cargo run -p xtask -- coverage` and commit what it writes"
    );
    for (of, other, sign) in [(&committed, &fresh, '-'), (&fresh, &committed, '+')] {
        for line in of.lines().filter(|&line| other.lines().all(|known| known != line)).take(12) {
            println!("  {sign} {line}");
        }
    }
    Ok(false)
}

impl Coverage {
    fn read() -> Result<Coverage, Error> {
        let methods = methods::read()?;
        let chips = [Profile::ascend310(), Profile::ascend310p()];
        let mut sections: Vec<Vec<Entry>> = AREAS.iter().map(|_| Vec::new()).collect();
        let mut used = BTreeSet::new();
        for function in sys::FUNCTIONS {
            let name = function.name.to_str().map_err(|error| Error::new(error.to_string()))?;
            let area = areas::of(name).ok_or_else(|| {
                Error::new(format!(
                    "{name} belongs to no section: add a pattern to xtask/src/coverage/areas.rs"
                ))
            })?;
            let called = methods.names.contains(name);
            let state = match methods.of.get(name) {
                Some(items) => State::Safe { methods: items.iter().cloned().collect(), called },
                // Found by the test `doc_aliases` as well; here it would make the table wrong.
                None if called => {
                    return Err(Error::new(format!(
                        "{name} is called, and no public item has it as an alias"
                    )));
                }
                None => match wanted::of(name) {
                    Some((at, what)) => {
                        used.insert(at);
                        State::NotYet(what)
                    }
                    None => State::Raw,
                },
            };
            let chips = chips.iter().filter(|chip| chip.lacks(name).is_none()).map(Profile::name).collect();
            sections[area].push(Entry { name, state, chips });
        }
        let unused = wanted::WANTED.iter().enumerate().filter(|(at, _)| !used.contains(at));
        Ok(Coverage { sections, unused: unused.map(|(_, (pattern, _))| *pattern).collect() })
    }

    /// Says which wishes are fulfilled or name no function. True if none.
    fn say_unused(&self) -> bool {
        for pattern in &self.unused {
            println!(
                "xtask/src/coverage/wanted.rs wishes for what has a method, or is no function: delete {pattern}"
            );
        }
        self.unused.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_section_and_every_wish_is_open() {
        let coverage = Coverage::read().unwrap();
        assert_eq!(coverage.sections.iter().map(Vec::len).sum::<usize>(), sys::FUNCTIONS.len());
        assert!(coverage.sections.iter().all(|section| !section.is_empty()), "a section is empty");
        assert_eq!(coverage.unused, [""; 0]);
    }

    #[test]
    fn calls_and_aliases_are_told_apart() {
        let coverage = Coverage::read().unwrap();
        let state = |name: &str| {
            let entry = coverage.sections.iter().flatten().find(|entry| entry.name == name).unwrap();
            match &entry.state {
                State::Safe { methods, called } => format!("{} {called}", methods.join(", ")),
                State::NotYet(_) => "not yet".into(),
                State::Raw => "raw".into(),
            }
        };
        assert!(state("aclrtCreateStream").starts_with("Context::create_stream true"));
        assert!(state("aclrtDestroyStream").starts_with("drop(Stream) true"));
        assert_eq!(state("acldvppMalloc"), "raw");
    }
}
