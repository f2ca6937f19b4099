//! `sim-table`: the table of functions in `docs/simulator.md`.

mod missing;

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use ascendcl_sim::Profile;

use crate::{error::Error, workspace};

/// The page, in the workspace.
const PAGE: &str = "docs/simulator.md";
/// Where the simulator's own documentation lists its variables.
const CRATE: &str = "ascendcl-sim/src/lib.rs";

/// Writes the table into the page.
pub fn write() -> Result<(), Error> {
    let page = page()?;
    if page.committed != page.fresh {
        fs::write(&page.path, &page.fresh).map_err(|e| Error::io("write", &page.path, e))?;
    }
    page.say_unused();
    Ok(())
}

/// Whether the committed table is what `write` would write.
pub fn check() -> Result<bool, Error> {
    let page = page()?;
    page.say_unused();
    let Page { committed, fresh, .. } = &page;
    if committed == fresh {
        println!("the functions in {PAGE} are up to date");
        return Ok(page.unused.is_empty());
    }
    println!(
        "the functions in {PAGE} are not those of the simulator: run `cargo run -p xtask -- sim-table` and commit what it writes"
    );
    for line in fresh.lines().filter(|&line| committed.lines().all(|other| other != line)).take(12) {
        println!("  + {line}");
    }
    Ok(false)
}

/// The page as it is and as it should be.
struct Page {
    path: PathBuf,
    committed: String,
    fresh: String,
    /// Reasons for what is not missing.
    unused: Vec<&'static str>,
}

impl Page {
    fn say_unused(&self) {
        for pattern in &self.unused {
            println!("{} gives a reason for what is not missing, delete it: {pattern}", missing::FILE);
        }
    }
}

fn page() -> Result<Page, Error> {
    let path = workspace::root().join(PAGE);
    let committed = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
    let (functions, unused) = table()?;
    let fresh = replace(&committed, "variables", &variables()?)?;
    let fresh = replace(&fresh, "functions", &functions)?;
    Ok(Page { path, committed, fresh, unused })
}

/// The page with another text between the markers of this name.
fn replace(page: &str, name: &str, text: &str) -> Result<String, Error> {
    let begin = format!("<!-- {name}: written by `cargo run -p xtask -- sim-table` -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let parts = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts
        .ok_or_else(|| Error::new(format!("{PAGE} has no lines `{}` and `{}`", begin.trim(), end.trim())))?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

/// The table of variables, as the crate's documentation has it.
fn variables() -> Result<String, Error> {
    let path = workspace::root().join(CRATE);
    let source = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
    let lines = source.lines().skip_while(|line| !line.starts_with("//! | variable |"));
    let lines = lines.map_while(|line| line.strip_prefix("//! ").filter(|line| line.starts_with('|')));
    // Links of rustdoc lead nowhere on this page.
    let table: String =
        lines.map(|line| format!("{}\n", line.replace("[`", "`").replace("`]", "`"))).collect();
    if table.is_empty() {
        return Err(Error::new(format!("{CRATE} has no table that begins with `| variable |`")));
    }
    Ok(table)
}

/// How the simulator has a function.
enum State {
    /// With the profiles that lack it.
    Implemented(Vec<&'static str>),
    /// With the reason.
    Missing(&'static str),
}

/// The text, and reasons that are not needed.
fn table() -> Result<(String, Vec<&'static str>), Error> {
    let profiles: Vec<Profile> = Profile::NAMES.iter().filter_map(|name| Profile::by_name(name)).collect();
    let mut reasons = missing::Reasons::read()?;
    let mut headers: BTreeMap<&str, Vec<(&str, State)>> = BTreeMap::new();
    let mut without = Vec::new();
    for (function, address) in ascendcl_sim::api().addresses() {
        let name = function.name.to_str().unwrap_or_default();
        let state = if !address.is_null() {
            let lacking = profiles.iter().filter(|profile| profile.lacks(name).is_some());
            State::Implemented(lacking.map(Profile::name).collect())
        } else if let Some(reason) = reasons.of(name, function.header) {
            State::Missing(reason)
        } else {
            without.push(name);
            continue;
        };
        headers.entry(function.header).or_default().push((name, state));
    }
    if !without.is_empty() {
        return Err(Error::new(format!(
            "{} functions are missing and {} does not say why: {}",
            without.len(),
            missing::FILE,
            without.join(", ")
        )));
    }
    let text = emit(&headers);
    Ok((text, reasons.unused()))
}

fn emit(headers: &BTreeMap<&str, Vec<(&str, State)>>) -> String {
    let mut text = String::from(
        "\n| header | functions | implemented | on every chip | missing |\n|---|---|---|---|---|\n",
    );
    let mut total = [0; 4];
    for (header, functions) in headers {
        let count = |wanted: fn(&State) -> bool| functions.iter().filter(|(_, state)| wanted(state)).count();
        let row = [
            functions.len(),
            count(|state| matches!(state, State::Implemented(_))),
            count(|state| matches!(state, State::Implemented(lacking) if lacking.is_empty())),
            count(|state| matches!(state, State::Missing(_))),
        ];
        total.iter_mut().zip(row).for_each(|(total, number)| *total += number);
        let [functions, implemented, everywhere, missing] = row;
        let _ = writeln!(text, "| `{header}` | {functions} | {implemented} | {everywhere} | {missing} |");
    }
    let [functions, implemented, everywhere, missing] = total;
    let _ = writeln!(text, "| all | {functions} | {implemented} | {everywhere} | {missing} |\n");
    for (header, functions) in headers {
        let _ = writeln!(text, "### `{header}`\n");
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, state) in functions {
            if let State::Missing(reason) = state {
                reasons.entry(reason).or_default().push(name);
            }
        }
        if functions.iter().any(|(_, state)| matches!(state, State::Implemented(_))) {
            text.push_str("| implemented | answers 207000 on |\n|---|---|\n");
            for (name, state) in functions {
                if let State::Implemented(lacking) = state {
                    let _ = writeln!(text, "| `{name}` | {} |", lacking.join(", "));
                }
            }
            text.push('\n');
        }
        for (reason, names) in reasons {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(text, "Missing: {reason}. {}\n", names.join(", "));
        }
    }
    text
}
