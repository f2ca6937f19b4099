//! What was measured with: the compilers.

use std::process::Command;

/// The versions of both compilers, as a sentence.
pub fn compilers() -> String {
    format!("Compilers: {}; {}.", first_line("rustc"), first_line("cc"))
}

fn first_line(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    match text.lines().next() {
        Some(line) => format!("`{line}`"),
        None => format!("`{program}` of unknown version"),
    }
}
