//! The page, and the figures for the page on reliability.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Audit, Unit,
    rules::{RULES, Rule},
    sites::{Kind, Site},
};

const INTRODUCTION: &str = "\
# Unsafe code

Every `unsafe` of the workspace, what it rests on, and who sees to that. Written by `cargo run -p xtask -- unsafe-audit`; `.ci/run audit` fails when the code has one that is not
here, when one has changed and nobody has looked (the last column is a digest of the code and of its comment), and when a comment names no rule.

A comment says the rule first, then the argument: `// SAFETY: [handle] the stream is alive as long as this handle.` An `unsafe fn` has its contract in its documentation
under `# Safety` instead; its body has blocks of its own. The functions of the simulator's C ABI (\"shim\") have the contract of ACL's headers.

";

/// The whole page.
pub fn text(audit: &Audit) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str(&summary(audit));
    text.push_str(
        "\n## The rules\n\n| rule | invariant | upheld by | chapter | uses |\n|---|---|---|---|---|\n",
    );
    let all = || {
        audit
            .audited
            .iter()
            .flat_map(|(_, units)| units)
            .flat_map(|unit| &unit.sites)
            .filter(|site| !site.test)
    };
    for Rule { name, invariant, upheld_by, chapter } in RULES {
        let uses = all().filter(|site| site.rules().contains(name)).count();
        let _ = writeln!(text, "| `{name}` | {invariant} | {upheld_by} | {chapter} | {uses} |");
    }
    text.push_str(
        "\n\"Chapter\" is the rule of the safety model (`docs/safety.md`) that the invariant belongs to.\n",
    );
    for (name, units) in &audit.audited {
        let _ = writeln!(text, "\n## `{name}`\n");
        for unit in units {
            file(&mut text, unit);
        }
    }
    generated(&mut text, audit);
    text
}

/// The sites of a file. Shims are counted: their names are those of the header.
fn file(text: &mut String, unit: &Unit) {
    let sites: Vec<&Site> = unit.sites.iter().filter(|site| !site.test).collect();
    if sites.is_empty() {
        return;
    }
    let shims = sites.iter().filter(|site| site.kind == Kind::Shim).count();
    let _ = write!(text, "`{}`", unit.path);
    if shims > 0 {
        let _ = write!(text, ": {shims} {}", if shims == 1 { "shim" } else { "shims" });
    }
    text.push_str("\n\n");
    if shims == sites.len() {
        return;
    }
    text.push_str("| in | what | rule | digest |\n|---|---|---|---|\n");
    for site in sites.iter().filter(|site| site.kind != Kind::Shim) {
        let rules = site.rules().join(", ");
        let _ = writeln!(text, "| `{}` | {} | {rules} | {:08x} |", site.item, site.kind.name(), site.digest);
    }
    text.push('\n');
}

fn generated(text: &mut String, audit: &Audit) {
    text.push_str(
        "## Generated files\n\n\
         Each counts as one: `cargo run -p xtask -- bindings` writes them from the headers, and `.ci/run bindings` compares. A wrong signature would be undefined behaviour in any \
         call: layouts are asserted at compile time, signatures compared with every header folder by `abi-check`, and C programs run against the table.\n\n",
    );
    for unit in &audit.generated {
        let _ = writeln!(text, "- `{}`: {} of it outside of function types", unit.path, unit.sites.len());
    }
}

/// The counts.
fn summary(audit: &Audit) -> String {
    let mut text = String::from(
        "| code | blocks | impls | functions and traits | shims | other | explained |\n|---|---|---|---|---|---|---|\n",
    );
    let mut row = |name: &str, sites: &[&Site], explained: &str| {
        let count = |kinds: &[Kind]| sites.iter().filter(|site| kinds.contains(&site.kind)).count();
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {explained} |",
            count(&[Kind::Block]),
            count(&[Kind::Impl]),
            count(&[Kind::Function, Kind::Trait]),
            count(&[Kind::Shim]),
            count(&[Kind::Extern, Kind::Attribute]),
        );
    };
    let mut tests: Vec<&Site> = Vec::new();
    for (name, units) in &audit.audited {
        let (test, code): (Vec<&Site>, Vec<&Site>) =
            units.iter().flat_map(|unit| &unit.sites).partition(|site| site.test);
        tests.extend(test);
        row(&format!("`{name}`"), &code, "each, by rule");
    }
    for (folder, units) in &audit.counted {
        let sites: Vec<&Site> = units.iter().flat_map(|unit| &unit.sites).collect();
        if !sites.is_empty() {
            row(&format!("`{folder}`"), &sites, "each, by a comment");
        }
    }
    row("unit tests", &tests, "each, by a comment");
    let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
    let safe = audit.audited.iter().filter(|(name, _)| *name != "ascendcl-sim");
    for site in safe.flat_map(|(_, units)| units).flat_map(|unit| &unit.sites).filter(|site| !site.test) {
        for rule in site.rules() {
            *by_rule.entry(rule).or_default() += 1;
        }
    }
    let rules: Vec<String> = by_rule.iter().map(|(rule, uses)| format!("{rule} {uses}")).collect();
    let _ = writeln!(text, "\nWhat `ascendcl` and `ascendcl-sys` rest on: {}.", rules.join(", "));
    text
}
