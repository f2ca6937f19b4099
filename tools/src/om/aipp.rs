//! What AIPP does with the pictures that an input gets.

use std::collections::BTreeMap;

use super::attributes;
use super::error::Fault;
use super::model::{Aipp, Colours};
use super::names;
use super::source::{Source, Span};
use super::wire::{Fields, Value};

/// There are some seventy settings.
const MAX_SETTINGS: usize = 256;

/// Reads the settings of an input.
pub(crate) fn read(source: &Source, named: Span) -> Result<Aipp, Fault> {
    let mut settings = BTreeMap::new();
    for field in Fields::of(source, named) {
        let (2, Value::Bytes(entry)) = field? else { continue };
        if let Some((name, value)) = attributes::entry(source, entry)?
            && let Some(number) = value.number(source)?
            && settings.len() < MAX_SETTINGS
        {
            settings.insert(name, number);
        }
    }
    Ok(interpret(&settings))
}

fn interpret(settings: &BTreeMap<String, f64>) -> Aipp {
    let number = |name: &str| settings.get(name).copied();
    let int = |name: &str| number(name).unwrap_or(0.0) as i64;
    let is_on = |name: &str| int(name) != 0;
    let channels = |name: &str| [0, 1, 2, 3].map(|channel| number(&format!("{name}_{channel}")));
    Aipp {
        mode: String::new(),
        input_format: number("input_format")
            .filter(|&number| number != 0.0)
            .map(|number| names::picture(number as i64)),
        source: Some([int("src_image_size_w"), int("src_image_size_h")]).filter(|size| *size != [0, 0]),
        crop: is_on("crop").then(|| {
            [int("load_start_pos_w"), int("load_start_pos_h"), int("crop_size_w"), int("crop_size_h")]
        }),
        resize: is_on("resize").then(|| [int("resize_output_w"), int("resize_output_h")]),
        padding: is_on("padding").then(|| {
            [
                int("left_padding_size"),
                int("right_padding_size"),
                int("top_padding_size"),
                int("bottom_padding_size"),
            ]
        }),
        colours: is_on("csc_switch").then(|| Colours {
            matrix: [0, 1, 2].map(|row| [0, 1, 2].map(|column| int(&format!("matrix_r{row}c{column}")))),
            input_bias: [0, 1, 2].map(|channel| int(&format!("input_bias_{channel}"))),
            output_bias: [0, 1, 2].map(|channel| int(&format!("output_bias_{channel}"))),
        }),
        swap_red_blue: is_on("rbuv_swap_switch"),
        swap_alpha: is_on("ax_swap_switch"),
        mean: channels("mean_chn").map(|mean| mean.unwrap_or(0.0) as i64),
        min: channels("min_chn").map(|min| min.unwrap_or(0.0) as f32),
        factor: channels("var_reci_chn").map(|factor| factor.map(|factor| factor as f32)),
        max_source_bytes: number("max_src_image_size").map(|bytes| bytes as i64),
        parameters: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_left_out() {
        let settings =
            [("crop", 0.0), ("crop_size_w", 224.0), ("input_format", 1.0), ("var_reci_chn_1", 0.5)];
        let aipp = interpret(&settings.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!((aipp.crop, aipp.resize, aipp.colours, aipp.source), (None, None, None, None));
        assert_eq!(aipp.input_format.as_deref(), Some("YUV420SP_U8"));
        assert_eq!(aipp.factor, [None, Some(0.5), None, None]);
        let settings = [("crop", 1.0), ("crop_size_w", 224.0), ("load_start_pos_h", 16.0)];
        let aipp = interpret(&settings.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(aipp.crop, Some([0, 16, 224, 0]));
    }
}
