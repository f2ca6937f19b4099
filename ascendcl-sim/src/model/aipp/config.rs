//! The text that configures AIPP when a model is converted: `aipp_op { key: value ... }`, one for each input.

use super::pixels::ImageFormat;

/// Coefficients that are used where none are given.
const RGB_TO_YUV: [i32; 9] = [66, 129, 25, -38, -74, 112, 112, -94, -18];
/// The same for images in YUV; the first row makes blue.
const YUV_TO_BGR: [i32; 9] = [298, 516, 0, 298, -100, -208, 298, 0, 409];

/// The static or dynamic AIPP of one input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AippConfig {
    pub(crate) dynamic: bool,
    pub(crate) rank: usize,
    /// Bytes of the largest image; dynamic AIPP only.
    pub(crate) max_src_image_size: u64,
    pub(crate) format: Option<ImageFormat>,
    pub(crate) csc: bool,
    pub(crate) rbuv_swap: bool,
    pub(crate) ax_swap: bool,
    pub(crate) single_line: bool,
    /// Width and height; 0 is what the model takes.
    pub(crate) src: [i32; 2],
    pub(crate) crop: bool,
    pub(crate) start: [i32; 2],
    pub(crate) crop_size: [i32; 2],
    pub(crate) resize: bool,
    pub(crate) resize_size: [i32; 2],
    pub(crate) padding: bool,
    /// Left, right, top, bottom.
    pub(crate) pads: [i32; 4],
    pub(crate) padding_value: f32,
    pub(crate) mean: [i32; 4],
    pub(crate) min: [f32; 4],
    pub(crate) var_reci: [f32; 4],
    pub(crate) matrix: [i32; 9],
    pub(crate) output_bias: [i32; 3],
    pub(crate) input_bias: [i32; 3],
}

impl Default for AippConfig {
    fn default() -> Self {
        Self {
            dynamic: false,
            rank: 0,
            max_src_image_size: 0,
            format: None,
            csc: false,
            rbuv_swap: false,
            ax_swap: false,
            single_line: false,
            src: [0; 2],
            crop: false,
            start: [0; 2],
            crop_size: [0; 2],
            resize: false,
            resize_size: [0; 2],
            padding: false,
            pads: [0; 4],
            padding_value: 0.0,
            mean: [0; 4],
            min: [0.0; 4],
            var_reci: [1.0; 4],
            matrix: RGB_TO_YUV,
            output_bias: [16, 128, 128],
            input_bias: [16, 128, 128],
        }
    }
}

/// Reads all `aipp_op`s of a configuration.
pub(crate) fn parse(text: &str) -> Result<Vec<AippConfig>, String> {
    let mut tokens = Tokens(text);
    let mut configs = Vec::new();
    while let Some(token) = tokens.next() {
        if token != "aipp_op" {
            return Err(format!("'{token}' where aipp_op is expected"));
        }
        let mut open = tokens.next();
        if open == Some(":") {
            open = tokens.next();
        }
        if open != Some("{") {
            return Err("aipp_op without {".into());
        }
        configs.push(block(&mut tokens)?);
    }
    if configs.is_empty() { Err("it has no aipp_op".into()) } else { Ok(configs) }
}

fn block(tokens: &mut Tokens<'_>) -> Result<AippConfig, String> {
    let mut config = AippConfig::default();
    let (mut has_mode, mut matrix) = (false, [None; 9]);
    loop {
        let key = tokens.next().ok_or("aipp_op without }")?;
        if key == "}" {
            break;
        }
        if tokens.next() != Some(":") {
            return Err(format!("'{key}' without a colon"));
        }
        let value = tokens.next().ok_or_else(|| format!("'{key}' without a value"))?;
        has_mode |= key == "aipp_mode";
        if let Some(coefficient) = coefficient(key) {
            let value = value.parse::<i32>().map_err(|_| format!("'{key}: {value}' is no number"))?;
            matrix[coefficient] = Some(value);
            continue;
        }
        set(&mut config, key, value)
            .ok_or_else(|| format!("'{key}: {value}' has an unknown key or a wrong value"))?;
    }
    if !has_mode {
        return Err("aipp_mode must be given".into());
    }
    if config.dynamic && config.max_src_image_size == 0 {
        return Err("dynamic AIPP needs max_src_image_size".into());
    }
    if !config.dynamic && config.format.is_none() {
        return Err("static AIPP needs input_format".into());
    }
    if config.format == Some(ImageFormat::Yuv420Sp) {
        config.matrix = YUV_TO_BGR;
    }
    for (coefficient, given) in config.matrix.iter_mut().zip(matrix) {
        *coefficient = given.unwrap_or(*coefficient);
    }
    Ok(config)
}

/// The place in the matrix that a key such as `matrix_r0c2` names.
fn coefficient(key: &str) -> Option<usize> {
    let (row, column) = key.strip_prefix("matrix_r")?.split_once('c')?;
    let (row, column) = (row.parse::<usize>().ok()?, column.parse::<usize>().ok()?);
    (row < 3 && column < 3).then_some(row * 3 + column)
}

fn set(config: &mut AippConfig, key: &str, value: &str) -> Option<()> {
    // Keys that end in a number or in two letters that say which of several it is.
    let (stem, last) = key.rsplit_once('_').unwrap_or((key, ""));
    let int = || value.parse::<i32>().ok();
    let size = || int().filter(|&size| size >= 0);
    let float = || value.trim_end_matches('f').parse::<f32>().ok().filter(|value| value.is_finite());
    let switch = || match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    let wh = ["w", "h"].iter().position(|&name| name == last);
    let channel = last.parse::<usize>().ok().filter(|&channel| channel < 4);
    let third = channel.filter(|&channel| channel < 3);
    match (key, stem) {
        ("aipp_mode", _) => {
            config.dynamic = match value {
                "static" => false,
                "dynamic" => true,
                _ => return None,
            }
        }
        ("related_input_rank", _) => config.rank = value.parse().ok()?,
        ("max_src_image_size", _) => config.max_src_image_size = u64::from(value.parse::<u32>().ok()?),
        ("input_format", _) => config.format = Some(ImageFormat::by_name(value)?),
        ("csc_switch", _) => config.csc = switch()?,
        ("rbuv_swap_switch", _) => config.rbuv_swap = switch()?,
        ("ax_swap_switch", _) => config.ax_swap = switch()?,
        ("single_line_mode", _) => config.single_line = switch()?,
        // Told, and of no use here.
        ("support_rotation", _) => drop(switch()?),
        ("input_edge_idx", _) => drop(size()?),
        ("cpadding_value", _) => drop(float()?),
        ("crop", _) => config.crop = switch()?,
        ("resize", _) => config.resize = switch()?,
        ("padding", _) => config.padding = switch()?,
        ("padding_value", _) => config.padding_value = float()?,
        ("left_padding_size", _) => config.pads[0] = size()?,
        ("right_padding_size", _) => config.pads[1] = size()?,
        ("top_padding_size", _) => config.pads[2] = size()?,
        ("bottom_padding_size", _) => config.pads[3] = size()?,
        (_, "src_image_size") => config.src[wh?] = size()?,
        (_, "load_start_pos") => config.start[wh?] = size()?,
        (_, "crop_size") => config.crop_size[wh?] = size()?,
        (_, "resize_output") => config.resize_size[wh?] = size()?,
        (_, "mean_chn") => config.mean[channel?] = int()?,
        (_, "min_chn") => config.min[channel?] = float()?,
        (_, "var_reci_chn") => config.var_reci[channel?] = float()?,
        (_, "output_bias") => config.output_bias[third?] = int()?,
        (_, "input_bias") => config.input_bias[third?] = int()?,
        _ => return None,
    }
    Some(())
}

/// Words, numbers and the signs between them; `#` starts a comment.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.0 = self.0.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == ';');
            match self.0.strip_prefix('#') {
                Some(comment) => self.0 = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => break,
            }
        }
        let sign = |c: char| matches!(c, ':' | '{' | '}');
        let end = match self.0.chars().next()? {
            c if sign(c) => c.len_utf8(),
            _ => {
                let end = |c: char| c.is_whitespace() || sign(c) || matches!(c, ',' | ';' | '#');
                self.0.find(end).unwrap_or(self.0.len())
            }
        };
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(token.trim_matches('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_as_people_write_it() {
        let text = "aipp_op {\n  aipp_mode: static # fixed\n  input_format : YUV420SP_U8\n csc_switch:true\n \
                    src_image_size_w: 64 src_image_size_h: 32\n crop: true load_start_pos_w: 2\n crop_size_h: 8\n \
                    matrix_r0c1: -3; input_bias_2: 128\n mean_chn_1: 104\n var_reci_chn_3: 0.00392\n \
                    right_padding_size: 4\n}\naipp_op { aipp_mode: dynamic related_input_rank: 1 max_src_image_size: 5000 }";
        let configs = parse(text).unwrap();
        let first = &configs[0];
        assert!(!first.dynamic && first.csc && first.crop && !first.resize);
        assert_eq!((first.format, first.src), (Some(ImageFormat::Yuv420Sp), [64, 32]));
        assert_eq!((first.start, first.crop_size, first.pads), ([2, 0], [0, 8], [0, 4, 0, 0]));
        assert_eq!((first.matrix[1], first.matrix[0], first.input_bias), (-3, 298, [16, 128, 128]));
        assert_eq!((first.mean, first.var_reci), ([0, 104, 0, 0], [1.0, 1.0, 1.0, 0.00392]));
        assert_eq!((configs[1].dynamic, configs[1].rank, configs[1].max_src_image_size), (true, 1, 5000));
    }

    #[test]
    fn wrong_configurations_are_told() {
        for text in [
            "",
            "aipp_op",
            "aipp_op {",
            "aipp_op { aipp_mode: static }",
            "aipp_op { input_format: RGB888_U8 }",
            "aipp_op { aipp_mode: dynamic }",
            "aipp_op { aipp_mode: static input_format: RGB888_U8 csc_switch: yes }",
            "aipp_op { aipp_mode: static input_format: RGB888_U8 mean_chn_4: 1 }",
            "aipp_op { aipp_mode: static input_format: RGB888_U8 matrix_r3c0: 1 }",
            "aipp_op { aipp_mode: static input_format: HSV }",
            "aipp_op { aipp_mode: static input_format: RGB888_U8 crop_size_w: -1 }",
            "aipp { }",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
