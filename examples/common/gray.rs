//! PNG files as grey pixels.

use std::{
    error::Error,
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader, Seek},
    path::{Path, PathBuf},
};

/// Larger pictures are refused: a small file can claim to be huge.
const MAX_PIXELS: u64 = 1 << 26;

/// The PNG files of a folder, in the order of their names.
pub fn png_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A picture: one byte a pixel, row by row, 0 is black.
#[allow(dead_code, reason = "not every example that reads images looks at their size")]
pub struct Gray {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

/// Why a file could not be read: names it, and says what is wrong.
#[derive(Debug)]
pub struct ImageError(String);

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ImageError {}

impl Gray {
    /// Reads a PNG file of any kind. Colours become their brightness; transparency is ignored.
    pub fn read(path: &Path) -> Result<Gray, ImageError> {
        File::open(path)
            .map_err(Into::into)
            .and_then(|file| Gray::decode(BufReader::new(file), MAX_PIXELS))
            .map_err(|error| ImageError(format!("cannot read {} as PNG: {error}", path.display())))
    }

    /// Decodes a PNG file of any kind, but of no more than so many pixels.
    pub fn decode(png: impl BufRead + Seek, max_pixels: u64) -> Result<Gray, Box<dyn Error>> {
        let mut decoder = png::Decoder::new(png);
        // Palettes and 1, 2, 4 and 16 bits become 8 bits a channel.
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info()?;
        let (width, height) = reader.info().size();
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(format!("{width}x{height} pixels are too many").into());
        }
        let mut bytes = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
        let frame = reader.next_frame(&mut bytes)?;
        bytes.truncate(frame.buffer_size());
        let pixels = match frame.color_type.samples() {
            1 => bytes,
            2 => bytes.chunks_exact(2).map(|pixel| pixel[0]).collect(),
            channels => {
                bytes.chunks_exact(channels).map(|pixel| brightness(pixel[0], pixel[1], pixel[2])).collect()
            }
        };
        Ok(Gray { width: frame.width as usize, height: frame.height as usize, pixels })
    }
}

/// As television does it: green counts most.
fn brightness(red: u8, green: u8, blue: u8) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000) as u8
}
