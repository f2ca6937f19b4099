//! The page.

use std::fmt::Write as _;

use super::{Coverage, Entry, State, areas::AREAS};

const INTRODUCTION: &str = "\
# Coverage

Every C function of the bindings, and what stands for it in the safe layer. Written by `cargo run -p xtask -- coverage` from the code; `.ci/run table` fails when the page is
not what the code gives.

- *Safe*: a method has the C function as its alias (`#[doc(alias = \"...\")]`), so the search of the documentation finds it. `drop(Stream)` means: by dropping the last handle.
  A method in parentheses stands for the function without calling it: it does the same with another one, or knows the answer.
- *Not yet*: the safe layer ought to have it; the page says what for.
- *Raw only*: call it through `acl.raw()`, with `as_raw()` of the handles. Each call is `unsafe`, and its contract is ACL's.

*Chips* says which of the chips of Atlas 300I cards have the function: 310, 310P (see [the simulator's page](simulator.md) for where that is from). Whether the loaded CANN has it is
asked with `acl.supports(\"aclrt...\")`.

";

/// The whole page.
pub fn text(coverage: &Coverage) -> String {
    let mut text = INTRODUCTION.to_owned();
    summary(&mut text, coverage);
    for (area, entries) in AREAS.iter().zip(&coverage.sections) {
        let _ = writeln!(text, "\n## {}\n", area.title);
        section(&mut text, entries, area.raw);
    }
    text
}

fn summary(text: &mut String, coverage: &Coverage) {
    text.push_str("| area | functions | safe | not yet | of these on 310 or 310P | raw only |\n|---|---|---|---|---|---|\n");
    let mut total = [0; 5];
    for (area, entries) in AREAS.iter().zip(&coverage.sections) {
        let count = |wanted: fn(&Entry) -> bool| entries.iter().filter(|entry| wanted(entry)).count();
        let row = [
            entries.len(),
            count(|entry| matches!(entry.state, State::Safe { .. })),
            count(|entry| matches!(entry.state, State::NotYet(_))),
            count(|entry| matches!(entry.state, State::NotYet(_)) && !entry.chips.is_empty()),
            count(|entry| matches!(entry.state, State::Raw)),
        ];
        total.iter_mut().zip(row).for_each(|(total, number)| *total += number);
        let _ = writeln!(text, "| [{}](#{}) | {} |", area.title, anchor(area.title), cells(row));
    }
    let _ = writeln!(text, "| all | {} |", cells(total));
}

fn cells(row: [usize; 5]) -> String {
    row.map(|number| number.to_string()).join(" | ")
}

/// The fragment that a heading gets.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|character| character.is_alphanumeric() || " -".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character.to_ascii_lowercase() }).collect()
}

fn section(text: &mut String, entries: &[Entry], reason: &str) {
    if entries.iter().any(|entry| !matches!(entry.state, State::Raw)) {
        text.push_str("| C | Rust | chips |\n|---|---|---|\n");
        for Entry { name, state, chips } in entries {
            let rust = match state {
                State::Safe { methods, called } => {
                    let methods: Vec<String> = methods.iter().map(|method| format!("`{method}`")).collect();
                    if *called { methods.join(", ") } else { format!("({})", methods.join(", ")) }
                }
                State::NotYet(what) => format!("*not yet*: {what}"),
                State::Raw => continue,
            };
            let chips: Vec<String> =
                chips.iter().map(|chip| chip.trim_start_matches("ascend").to_uppercase()).collect();
            let _ = writeln!(text, "| `{name}` | {rust} | {} |", chips.join(", "));
        }
        text.push('\n');
    }
    let raw: Vec<String> = entries
        .iter()
        .filter(|entry| matches!(entry.state, State::Raw))
        .map(|entry| format!("`{}`", entry.name))
        .collect();
    if !raw.is_empty() {
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        let _ = writeln!(text, "Raw only{reason}: {}.", raw.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_rendered_headings() {
        assert_eq!(anchor("Image and video (DVPP)"), "image-and-video-dvpp");
        assert_eq!(anchor("Start, end, versions"), "start-end-versions");
        assert_eq!(anchor("Stream-ordered memory"), "stream-ordered-memory");
    }
}
