//! The comments of a file, which a parser throws away.

/// The lines of a file.
pub struct Comments {
    lines: Vec<String>,
}

impl Comments {
    pub fn new(source: &str) -> Self {
        Self { lines: source.lines().map(|line| line.trim().to_owned()).collect() }
    }

    /// What the comment directly above a line says behind `SAFETY:`, to its end. Attributes may stand between.
    pub fn safety_above(&self, line: usize) -> Option<String> {
        let above = self.lines.get(..line.checked_sub(1)?)?;
        let end = above.iter().rposition(|line| !line.starts_with("#[") && !line.starts_with("#!["))? + 1;
        let comment =
            |line: &&String| line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!");
        let start = end - above[..end].iter().rev().take_while(comment).count();
        let lines: Vec<&str> =
            above[start..end].iter().map(|line| line.trim_start_matches('/').trim()).collect();
        let first = lines.iter().rposition(|line| line.starts_with("SAFETY:"))?;
        Some(lines[first..].join(" ")["SAFETY:".len()..].trim().to_owned())
    }
}
