//! How an ONNX model is to be converted: what the options of ATC say on a card's side, kept in the model's own metadata here.
//!
//! | metadata key | as ATC's | example |
//! |---|---|---|
//! | `ascendcl.input_shape` | `--input_shape` | `image:-1,3,224,224;mask:1~8,64` |
//! | `ascendcl.dynamic_batch_size` | `--dynamic_batch_size` | `1,2,4,8` |
//! | `ascendcl.dynamic_image_size` | `--dynamic_image_size` | `224,224;448,448` |
//! | `ascendcl.dynamic_dims` | `--dynamic_dims` | `1,64;8,128` |
//! | `ascendcl.input_format` | `--input_format` | `NHWC` |
//! | `ascendcl.insert_op_conf` | the content of the file of `--insert_op_conf` | `aipp_op { aipp_mode: static ... }` |

use super::aipp::config::{self as aipp, AippConfig};

/// Where the keys start.
pub(crate) const PREFIX: &str = "ascendcl.";

/// One axis as `input_shape` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Fixed(i64),
    /// Between these two; the second is -1 if there is no end.
    Range(i64, i64),
}

/// Options of a conversion.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) input_shapes: Vec<(String, Vec<Axis>)>,
    pub(crate) batches: Vec<u64>,
    pub(crate) sizes: Vec<Vec<u64>>,
    pub(crate) dims: Vec<Vec<u64>>,
    /// Channels last.
    pub(crate) nhwc: bool,
    pub(crate) aipp: Vec<AippConfig>,
}

/// The getters answer 300000 beyond this many gears; ATC makes no more than 100.
const MAX_GEARS: usize = 256;

impl Options {
    /// Reads the options among a model's metadata; other keys are not ours.
    pub(crate) fn read(metadata: &[(String, String)]) -> Result<Options, String> {
        let mut options = Options::default();
        for (key, value) in metadata {
            let Some(key) = key.strip_prefix(PREFIX) else { continue };
            let parsed = match key {
                "input_shape" => input_shapes(value).map(|shapes| options.input_shapes = shapes),
                "dynamic_batch_size" => numbers(value).map(|batches| options.batches = batches),
                "dynamic_image_size" => gears(value).and_then(|sizes| {
                    if sizes.iter().any(|size| size.len() != 2) {
                        return Err("a size is a height and a width".into());
                    }
                    options.sizes = sizes;
                    Ok(())
                }),
                "dynamic_dims" => gears(value).map(|dims| options.dims = dims),
                "input_format" => match value.trim() {
                    "NHWC" => {
                        options.nhwc = true;
                        Ok(())
                    }
                    "NCHW" | "ND" => Ok(()),
                    other => Err(format!("'{other}' is none of NCHW, NHWC and ND")),
                },
                "insert_op_conf" => aipp::parse(value).map(|aipp| options.aipp = aipp),
                _ => Err("there is no such option".into()),
            };
            parsed.map_err(|why| format!("metadata '{PREFIX}{key}': {why}"))?;
        }
        let ways = [!options.batches.is_empty(), !options.sizes.is_empty(), !options.dims.is_empty()];
        if ways.iter().filter(|&&way| way).count() > 1 {
            return Err("gears are of batches, of image sizes or of dimensions, never of two of them".into());
        }
        if options.batches.len().max(options.sizes.len()).max(options.dims.len()) > MAX_GEARS {
            return Err(format!("at most {MAX_GEARS} gears are allowed"));
        }
        Ok(options)
    }
}

fn numbers(text: &str) -> Result<Vec<u64>, String> {
    let number = |text: &str| match text.trim().parse::<u64>() {
        Ok(number) if (1..=1 << 31).contains(&number) => Ok(number),
        _ => Err(format!("'{}' is no positive number", text.trim())),
    };
    text.split(',').map(number).collect()
}

fn gears(text: &str) -> Result<Vec<Vec<u64>>, String> {
    text.trim().trim_end_matches(';').split(';').map(numbers).collect()
}

fn input_shapes(text: &str) -> Result<Vec<(String, Vec<Axis>)>, String> {
    let axis = |text: &str| {
        let text = text.trim();
        let wrong = || format!("'{text}' is no size of an axis");
        if text == "-1" {
            return Ok(Axis::Range(1, -1));
        }
        if let Some((low, high)) = text.split_once('~') {
            let (low, high) =
                (low.parse::<i64>().map_err(|_| wrong())?, high.parse::<i64>().map_err(|_| wrong())?);
            let good = low >= 0 && (high == -1 || high >= low);
            return if good { Ok(Axis::Range(low, high)) } else { Err(wrong()) };
        }
        let size = text.parse::<i64>().map_err(|_| wrong())?;
        if size > 0 { Ok(Axis::Fixed(size)) } else { Err(wrong()) }
    };
    let shape = |text: &str| {
        // Names may hold colons.
        let (name, dims) =
            text.rsplit_once(':').ok_or_else(|| format!("'{text}' is no name with a shape"))?;
        let dims = if dims.trim().is_empty() { Ok(Vec::new()) } else { dims.split(',').map(axis).collect() };
        Ok((name.trim().to_owned(), dims?))
    };
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(shape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Result<Options, String> {
        Options::read(&[("author".into(), "x".into()), (format!("ascendcl.{key}"), value.into())])
    }

    #[test]
    fn options_are_read_as_atc_reads_them() {
        let shapes = read("input_shape", "a:b:-1,3; c:1~8,2~-1 ;d:").unwrap().input_shapes;
        assert_eq!(shapes[0], ("a:b".into(), vec![Axis::Range(1, -1), Axis::Fixed(3)]));
        assert_eq!(shapes[1], ("c".into(), vec![Axis::Range(1, 8), Axis::Range(2, -1)]));
        assert_eq!(shapes[2], ("d".into(), vec![]));
        assert_eq!(read("dynamic_batch_size", "1, 2,8").unwrap().batches, [1, 2, 8]);
        assert_eq!(read("dynamic_image_size", "2,3;4,5").unwrap().sizes, [[2, 3], [4, 5]]);
        assert_eq!(read("dynamic_dims", "2;4;").unwrap().dims, [[2], [4]]);
        assert!(read("input_format", "NHWC").unwrap().nhwc);
    }

    #[test]
    fn wrong_options_are_told() {
        for (key, value) in [
            ("input_shape", "a"),
            ("input_shape", "a:0"),
            ("input_shape", "a:8~1"),
            ("dynamic_batch_size", ""),
            ("dynamic_batch_size", "0"),
            ("dynamic_batch_size", "-1"),
            ("dynamic_image_size", "1;2"),
            ("dynamic_dims", "1,x"),
            ("input_format", "CHWN"),
            ("insert_op_conf", "aipp_op"),
            ("dynamic_batch", "1"),
        ] {
            assert!(read(key, value).unwrap_err().contains(key), "{key} {value}");
        }
        let two = [("dynamic_batch_size", "1"), ("dynamic_dims", "1")];
        let two = two.map(|(key, value)| (format!("ascendcl.{key}"), value.to_owned()));
        assert!(Options::read(&two).is_err());
    }
}
