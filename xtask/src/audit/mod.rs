//! `unsafe-audit`: every `unsafe` of the workspace, what it rests on, and who sees to that: `docs/unsafe.md`.

mod comments;
mod page;
mod rules;
mod sites;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{error::Error, workspace};
use sites::{Kind, Site};

/// The page, in the workspace.
const PAGE: &str = "docs/unsafe.md";

/// Code that is audited line by line, with the name of its package.
const AUDITED: [(&str, &str); 3] =
    [("ascendcl", "src"), ("ascendcl-sys", "ascendcl-sys/src"), ("ascendcl-sim", "ascendcl-sim/src")];

/// Code that only runs here: counted, and every block must have a comment.
const COUNTED: [&str; 6] =
    ["tests", "ascendcl-sys/tests", "ascendcl-sim/tests", "examples", "benches", "xtask/src"];

/// What `cargo run -p xtask -- bindings` writes.
const GENERATED: [&str; 2] = ["ascendcl-sys/src/bindings.rs", "ascendcl-sys/src/table.rs"];

/// A file and its unsafe code.
struct Unit {
    path: String,
    sites: Vec<Site>,
}

/// What was found.
struct Audit {
    /// By package.
    audited: Vec<(&'static str, Vec<Unit>)>,
    counted: Vec<(&'static str, Vec<Unit>)>,
    generated: Vec<Unit>,
}

/// Writes the page. False if something has no reason.
pub fn write() -> Result<bool, Error> {
    let audit = Audit::read()?;
    let path = workspace::root().join(PAGE);
    fs::write(&path, page::text(&audit)).map_err(|error| Error::io("write", &path, error))?;
    Ok(audit.say_problems() == 0)
}

/// Whether everything has a reason, and the page says so.
pub fn check() -> Result<bool, Error> {
    let audit = Audit::read()?;
    let path = workspace::root().join(PAGE);
    let committed = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    let fresh = page::text(&audit);
    let problems = audit.say_problems();
    if committed != fresh {
        println!(
            "{PAGE} is not what the code gives. Read what changed, then run `cargo run -p xtask -- unsafe-audit` and commit:"
        );
        let missing = |of: &str, other: &str, sign: char| {
            for line in of.lines().filter(|&line| other.lines().all(|known| known != line)).take(20) {
                println!("  {sign} {line}");
            }
        };
        missing(&committed, &fresh, '-');
        missing(&fresh, &committed, '+');
    } else if problems == 0 {
        println!("every unsafe block has its reason, and {PAGE} is up to date");
    }
    Ok(problems == 0 && committed == fresh)
}

impl Audit {
    fn read() -> Result<Audit, Error> {
        let generated: Result<_, _> = GENERATED.iter().map(|path| Unit::read((*path).to_owned())).collect();
        Ok(Audit {
            audited: AUDITED
                .iter()
                .map(|&(name, folder)| Ok((name, units(folder)?)))
                .collect::<Result<_, Error>>()?,
            counted: COUNTED
                .iter()
                .map(|&folder| Ok((folder, units(folder)?)))
                .collect::<Result<_, Error>>()?,
            generated: generated?,
        })
    }

    /// Prints what has no reason, or a wrong one; says how many.
    fn say_problems(&self) -> usize {
        let audited = self.audited.iter().flat_map(|(_, units)| units).map(|unit| (unit, true));
        let counted = self.counted.iter().flat_map(|(_, units)| units).map(|unit| (unit, false));
        let mut problems = 0;
        for (unit, strict) in audited.chain(counted) {
            for site in &unit.sites {
                if let Some(problem) = problem(site, strict && !site.test) {
                    println!(
                        "{}:{}: unsafe {} in `{}`: {problem}",
                        unit.path,
                        site.line,
                        site.kind.name(),
                        site.item
                    );
                    problems += 1;
                }
            }
        }
        if problems > 0 {
            let names: Vec<&str> = rules::RULES.iter().map(|rule| rule.name).collect();
            println!(
                "{problems} without a reason. A comment names its rule, as in `// SAFETY: [handle] the stream is alive.`"
            );
            println!("The rules are {}; see {PAGE}", names.join(", "));
        }
        problems
    }
}

/// What is wrong with the reason of a site.
fn problem(site: &Site, strict: bool) -> Option<String> {
    match site.kind {
        // The contract is the header's.
        Kind::Shim => None,
        // A contract needs no rule: it is one.
        Kind::Function | Kind::Trait if !strict => None,
        Kind::Function | Kind::Trait => {
            site.reason.is_none().then(|| "its documentation has no section `# Safety`".to_owned())
        }
        _ => {
            let Some(reason) = &site.reason else { return Some("no SAFETY comment above it".to_owned()) };
            if !strict {
                return None;
            }
            match named(reason) {
                None => Some("the SAFETY comment does not begin with a rule in brackets".to_owned()),
                Some((names, argument)) => names
                    .iter()
                    .find(|name| rules::by_name(name).is_none())
                    .map(|name| format!("there is no rule `{name}`"))
                    .or_else(|| argument.is_empty().then(|| "the rule alone is no argument".to_owned())),
            }
        }
    }
}

/// The rules that a comment names, and what it says.
fn named(reason: &str) -> Option<(Vec<&str>, &str)> {
    let (names, argument) = reason.strip_prefix('[')?.split_once(']')?;
    Some((names.split(',').map(str::trim).collect(), argument.trim()))
}

impl Site {
    /// The rules that it rests on.
    fn rules(&self) -> Vec<&str> {
        match self.kind {
            Kind::Shim | Kind::Function => vec![rules::SHIM],
            Kind::Trait => vec!["bits"],
            _ => self.reason.as_deref().and_then(named).map_or_else(Vec::new, |(names, _)| names),
        }
    }
}

impl Unit {
    fn read(path: String) -> Result<Unit, Error> {
        let file = workspace::root().join(&path);
        let source = fs::read_to_string(&file).map_err(|error| Error::io("read", &file, error))?;
        let sites = sites::find(&source).map_err(|error| Error::new(format!("{path}: {error}")))?;
        Ok(Unit { path, sites })
    }
}

/// The files of a folder that have unsafe code, in order; without what is generated.
fn units(folder: &str) -> Result<Vec<Unit>, Error> {
    let mut files = Vec::new();
    let root = workspace::root();
    collect(&root.join(folder), &mut files)?;
    files.sort();
    let mut units = Vec::new();
    for file in files {
        let path = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned();
        // What must not compile is no code.
        if GENERATED.contains(&path.as_str()) || path.starts_with("tests/ui/cases/") {
            continue;
        }
        let unit = Unit::read(path)?;
        if !unit.sites.is_empty() {
            units.push(unit);
        }
    }
    Ok(units)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    // A package without tests has no such folder.
    if !folder.exists() {
        return Ok(());
    }
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    for entry in entries {
        let path = entry.map_err(|error| Error::io("read", folder, error))?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(source: &str) -> Vec<Site> {
        sites::find(source).unwrap()
    }

    fn only(source: &str) -> Site {
        let mut sites = sites(source);
        assert_eq!(sites.len(), 1, "{sites:?}");
        sites.remove(0)
    }

    #[test]
    fn a_reason_stands_above_the_statement_or_the_block() {
        for source in [
            "fn f() {\n    // SAFETY: [plain] no arguments,\n    // none.\n    let a = unsafe { g() };\n}",
            "fn f() {\n    h(|| {\n        // SAFETY: [plain] no arguments,\n        // none.\n        unsafe { g() }\n    })\n}",
            "fn f() {\n    let a =\n        // SAFETY: [plain] no arguments,\n        // none.\n        unsafe { g() };\n}",
            "fn f() {\n    // SAFETY: [plain] no arguments,\n    // none.\n    call!(\"f\", || unsafe { g() })\n}",
            "fn f() {\n    call!(\"f\", || {\n        a();\n        // SAFETY: [plain] no arguments,\n        // none.\n        unsafe { g() }\n    })\n}",
            "macro_rules! m {\n    ($f:ident) => {\n        match 1 {\n            // SAFETY: [plain] no arguments,\n            // none.\n            Some(f) => Ok(unsafe { f() }),\n        }\n    };\n}",
            "macro_rules! m {\n    ($t:ty) => {\n        // SAFETY: [plain] no arguments,\n        // none.\n        unsafe impl D for $t {}\n    };\n}",
            "// SAFETY: [plain] no arguments,\n// none.\nunsafe impl Send for X {}",
        ] {
            let site = only(source);
            assert_eq!(site.reason.as_deref(), Some("[plain] no arguments, none."), "{source}");
            assert_eq!(problem(&site, true), None);
        }
    }

    #[test]
    fn what_has_no_reason_or_a_wrong_one_is_found() {
        let problem = |source| problem(&only(source), true).unwrap_or_default();
        assert!(problem("fn f() { unsafe { g() } }").contains("no SAFETY comment"));
        assert!(
            problem("// SAFETY: [plain] of f.\nfn f() {\n    a();\n    unsafe { g() }\n}")
                .contains("no SAFETY")
        );
        assert!(problem("fn f() {\n    // SAFETY: trust me.\n    unsafe { g() }\n}").contains("in brackets"));
        assert!(
            problem("fn f() {\n    // SAFETY: [faith] it works.\n    unsafe { g() }\n}")
                .contains("no rule `faith`")
        );
        assert!(problem("fn f() {\n    // SAFETY: [plain]\n    unsafe { g() }\n}").contains("no argument"));
        assert!(problem("unsafe fn f() {}").contains("# Safety"));
        assert!(problem("macro_rules! m { () => { unsafe { g() } } }").contains("no SAFETY"));
        assert!(problem("unsafe impl Send for X {}").contains("no SAFETY"));
        assert!(problem("#[unsafe(link_section = \"x\")]\nstatic A: u8 = 0;").contains("no SAFETY"));
    }

    #[test]
    fn a_change_of_the_code_or_of_its_reason_is_seen() {
        let digest = |reason, code| {
            only(&format!("fn f() {{\n // SAFETY: [plain] {reason}\n unsafe {{ {code} }}\n}}")).digest
        };
        let before = digest("none.", "g(1)");
        assert_eq!(before, digest("none.", "g( 1 )"), "not a matter of layout");
        assert_ne!(before, digest("none.", "g(2)"));
        assert_ne!(before, digest("some.", "g(1)"));
    }

    #[test]
    fn tests_and_shims_are_told_apart() {
        let site = only(
            "#[cfg(test)]\nmod tests {\n    fn f() {\n        // SAFETY: fine.\n        unsafe { g() }\n    }\n}",
        );
        assert!(site.test && problem(&site, !site.test).is_none());
        let shim = only(
            "#[unsafe(no_mangle)]\nunsafe extern \"C\" fn aclInit(path: *const c_char) -> aclError { 0 }",
        );
        assert_eq!(shim.kind, Kind::Shim);
    }
}
