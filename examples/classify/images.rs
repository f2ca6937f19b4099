//! Which images there are, and what is known of them.

use crate::{
    Failure, digits,
    gray::{self, Gray},
};
use std::path::{Path, PathBuf};

/// An image, decoded, and what is on it if its name tells.
pub struct Sample {
    pub path: PathBuf,
    pub label: Option<usize>,
    pub image: Gray,
}

/// Reads the files and the folders' files; the test images of the digits model if there are none.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Sample>, Failure> {
    let default = [digits::folder().join("images")];
    let mut files = Vec::new();
    for path in if paths.is_empty() { &default } else { paths } {
        if path.is_dir() {
            let found = gray::png_files(path)
                .map_err(|error| format!("cannot read the folder {}: {error}", path.display()))?;
            if found.is_empty() {
                return Err(format!("there is no PNG file in {}", path.display()).into());
            }
            files.extend(found);
        } else if !path.exists() {
            return Err(format!("there is no file or folder {}", path.display()).into());
        } else if !path.is_file() {
            return Err(format!("{} is neither a file nor a folder", path.display()).into());
        } else {
            files.push(path.clone());
        }
    }
    files
        .into_iter()
        .map(|path| Ok(Sample { label: label(&path), image: Gray::read(&path)?, path }))
        .collect()
}

/// `0042_7.png` shows a 7.
fn label(path: &Path) -> Option<usize> {
    let name = path.file_stem()?.to_str()?;
    let (_, digit) = name.rsplit_once('_')?;
    match digit.as_bytes() {
        [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}
