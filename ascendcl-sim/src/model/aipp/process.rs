//! The arithmetic of AIPP: crop, resize, swap channels, convert colours, subtract and scale, pad, in this order.
//!
//! Images in YUV are converted by `(M * (pixel - input bias)) >> 8`, others by `((M * pixel) >> 8) + output bias`; both saturate to a byte.
//! Resizing is bilinear. Of formats with four channels, pixels of memory order A B C D have the colours B C D; with the alpha swap they
//! are A B C. A model that takes four channels gets the remaining one last.

use super::config::AippConfig;
use super::params::{Batch, Params};
use super::pixels::ImageFormat;
use crate::model::element::f16_to_f32;

/// What is to be done with one image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) format: ImageFormat,
    /// Width and height, as all pairs here.
    pub(crate) src: [usize; 2],
    /// Start and size.
    pub(crate) crop: Option<([usize; 2], [usize; 2])>,
    pub(crate) resize: Option<[usize; 2]>,
    pub(crate) rbuv_swap: bool,
    pub(crate) ax_swap: bool,
    pub(crate) csc: Option<Csc>,
    pub(crate) mean: [f32; 4],
    pub(crate) min: [f32; 4],
    pub(crate) var_reci: [f32; 4],
    /// Top, bottom, left, right.
    pub(crate) pads: [usize; 4],
    pub(crate) padding_value: f32,
}

/// A conversion of colours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Csc {
    pub(crate) matrix: [i32; 9],
    pub(crate) output_bias: [i32; 3],
    pub(crate) input_bias: [i32; 3],
}

fn size(value: i32) -> Result<usize, String> {
    usize::try_from(value).map_err(|_| format!("{value} is no size"))
}

fn sizes(values: [i32; 2]) -> Result<[usize; 2], String> {
    Ok([size(values[0])?, size(values[1])?])
}

impl Plan {
    /// The plan of static AIPP for a model that takes images of `model` width and height.
    pub(crate) fn fixed(config: &AippConfig, model: [usize; 2]) -> Result<Plan, String> {
        let format = config.format.ok_or("there is no input_format")?;
        let src = sizes(config.src)?;
        let src = [if src[0] == 0 { model[0] } else { src[0] }, if src[1] == 0 { model[1] } else { src[1] }];
        let crop = if config.crop {
            let size = sizes(config.crop_size)?;
            let start = sizes(config.start)?;
            let size = [
                if size[0] == 0 { model[0] } else { size[0] },
                if size[1] == 0 { model[1] } else { size[1] },
            ];
            Some((start, size))
        } else {
            None
        };
        let resize = if config.resize { Some(sizes(config.resize_size)?) } else { None };
        let [left, right, top, bottom] = config.pads;
        let pads =
            if config.padding { [size(top)?, size(bottom)?, size(left)?, size(right)?] } else { [0; 4] };
        Ok(Plan {
            format,
            src,
            crop,
            resize,
            rbuv_swap: config.rbuv_swap,
            ax_swap: config.ax_swap,
            csc: config.csc.then_some(Csc {
                matrix: config.matrix,
                output_bias: config.output_bias,
                input_bias: config.input_bias,
            }),
            mean: config.mean.map(|mean| mean as f32),
            min: config.min,
            var_reci: config.var_reci,
            pads,
            padding_value: config.padding_value,
        })
    }

    /// The plan for one image that the parameters of dynamic AIPP give.
    pub(crate) fn dynamic(params: &Params, batch: &Batch) -> Result<Plan, String> {
        let head = &params.head;
        let format =
            params.format().ok_or_else(|| format!("the image format {} does not exist", head.format))?;
        Ok(Plan {
            format,
            src: sizes(head.src)?,
            crop: if batch.crop == 1 { Some((sizes(batch.start)?, sizes(batch.crop_size)?)) } else { None },
            resize: if batch.scf == 1 { Some(sizes(batch.scf_output)?) } else { None },
            rbuv_swap: head.rbuv_swap == 1,
            ax_swap: head.ax_swap == 1,
            csc: (head.csc == 1).then(|| Csc {
                matrix: head.matrix.map(i32::from),
                output_bias: head.output_bias.map(i32::from),
                input_bias: head.input_bias.map(i32::from),
            }),
            mean: batch.mean.map(f32::from),
            min: batch.min.map(f16_to_f32),
            var_reci: batch.var_reci.map(f16_to_f32),
            pads: match batch.padding {
                1 => [size(batch.pads[0])?, size(batch.pads[1])?, size(batch.pads[2])?, size(batch.pads[3])?],
                _ => [0; 4],
            },
            padding_value: 0.0,
        })
    }

    /// Bytes of the image.
    pub(crate) fn image_size(&self) -> Option<usize> {
        usize::try_from(self.format.image_size(self.src[0] as u64, self.src[1] as u64)?).ok()
    }

    /// Width and height of what comes out; `None` if they are no numbers.
    pub(crate) fn output(&self) -> Option<[usize; 2]> {
        let [width, height] = self.resize.or(self.crop.map(|(_, size)| size)).unwrap_or(self.src);
        let [top, bottom, left, right] = self.pads;
        Some([width.checked_add(left)?.checked_add(right)?, height.checked_add(top)?.checked_add(bottom)?])
    }

    /// Prepares one image: `channels` planes of what [`output`](Self::output) says. The caller has compared that with what it wants.
    pub(crate) fn run(&self, image: &[u8], channels: usize) -> Result<Vec<f32>, String> {
        let have = self.format.channels();
        if channels > have || (channels < 3 && have > channels) && !(channels == 1 && self.format.is_yuv()) {
            return Err(format!(
                "images in {:?} have {have} channels, the model takes {channels}",
                self.format
            ));
        }
        if self.csc.is_some() && have < 3 {
            return Err(format!("images in {:?} have no colours to convert", self.format));
        }
        if self.image_size().is_none_or(|size| size > image.len()) {
            return Err(format!(
                "an image of {:?} pixels is longer than its {} bytes",
                self.src,
                image.len()
            ));
        }
        let ([left, top], [width, height]) = self.crop.unwrap_or(([0, 0], self.src));
        let fits =
            |start: usize, size: usize, whole: usize| start.checked_add(size).is_some_and(|end| end <= whole);
        if !fits(left, width, self.src[0]) || !fits(top, height, self.src[1]) || width == 0 || height == 0 {
            return Err(format!(
                "{width} by {height} pixels at ({left}, {top}) are not inside {:?}",
                self.src
            ));
        }
        let source = (self.src[0], self.src[1]);
        let pixel = |x: usize, y: usize| {
            let pixel = self.format.pixel(image, source, (left + x, top + y));
            pixel
                .map(|pixel| self.swap(pixel))
                .ok_or_else(|| format!("the simulator does not read images in {:?}", self.format))
        };
        let [to_width, to_height] = self.resize.unwrap_or([width, height]);
        let [full_width, full_height] = self.output().ok_or("the padded image is too large")?;
        let mut planes = vec![self.padding_value; channels * full_width * full_height];
        for y in 0..to_height {
            for x in 0..to_width {
                let raw = match self.resize {
                    None => pixel(x, y)?,
                    Some(_) => blend(&pixel, (x, to_width, width), (y, to_height, height))?,
                };
                let colours = self.convert(raw);
                for (channel, &colour) in colours.iter().enumerate().take(channels) {
                    let value =
                        (f32::from(colour) - self.mean[channel] - self.min[channel]) * self.var_reci[channel];
                    let at = (channel * full_height + self.pads[0] + y) * full_width + self.pads[2] + x;
                    planes[at] = value;
                }
            }
        }
        Ok(planes)
    }

    fn swap(&self, [mut a, mut b, mut c, mut d]: [u8; 4]) -> [u8; 4] {
        if self.format.channels() == 4 && !self.ax_swap {
            [a, b, c, d] = [b, c, d, a];
        }
        if self.rbuv_swap {
            // Of YUV the two differences, of RGB the outer colours.
            if self.format.is_yuv() { std::mem::swap(&mut b, &mut c) } else { std::mem::swap(&mut a, &mut c) }
        }
        [a, b, c, d]
    }

    fn convert(&self, pixel: [u8; 4]) -> [u8; 4] {
        let Some(csc) = &self.csc else { return pixel };
        let yuv = self.format.is_yuv();
        let mut result = pixel;
        for (row, result) in result.iter_mut().take(3).enumerate() {
            let term = |column: usize| {
                let bias = if yuv { csc.input_bias[column] } else { 0 };
                i64::from(csc.matrix[row * 3 + column]) * (i64::from(pixel[column]) - i64::from(bias))
            };
            let sum = (term(0) + term(1) + term(2)) >> 8;
            let bias = if yuv { 0 } else { i64::from(csc.output_bias[row]) };
            *result = (sum + bias).clamp(0, 255) as u8;
        }
        result
    }
}

/// A pixel of a resized image. Positions are (wanted, wanted size, size there is).
fn blend(
    pixel: &impl Fn(usize, usize) -> Result<[u8; 4], String>,
    (x, to_width, width): (usize, usize, usize),
    (y, to_height, height): (usize, usize, usize),
) -> Result<[u8; 4], String> {
    // Pixel centres lie on each other.
    let place = |at: usize, to: usize, from: usize| {
        let exact = ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        let low = exact.floor() as usize;
        (low, (low + 1).min(from - 1), exact - exact.floor())
    };
    let (left, right, across) = place(x, to_width, width);
    let (top, bottom, down) = place(y, to_height, height);
    let corners = [pixel(left, top)?, pixel(right, top)?, pixel(left, bottom)?, pixel(right, bottom)?];
    Ok(std::array::from_fn(|channel| {
        let [a, b, c, d] = corners.map(|corner| f64::from(corner[channel]));
        let (upper, lower) = (a + (b - a) * across, c + (d - c) * across);
        (upper + (lower - upper) * down).round() as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::super::config;
    use super::*;

    fn plan(text: &str, model: [usize; 2]) -> Plan {
        Plan::fixed(&config::parse(&format!("aipp_op {{ aipp_mode: static {text} }}")).unwrap()[0], model)
            .unwrap()
    }

    #[test]
    fn crop_scale_and_pad() {
        let plan = plan(
            "input_format: YUV400_U8 src_image_size_w: 4 src_image_size_h: 2 crop: true load_start_pos_w: 1 crop_size_w: 2 \
             crop_size_h: 2 mean_chn_0: 1 min_chn_0: 0.5 var_reci_chn_0: 2 padding: true left_padding_size: 1 padding_value: 9",
            [3, 2],
        );
        assert_eq!(plan.output(), Some([3, 2]));
        let planes = plan.run(&[1, 2, 3, 4, 5, 6, 7, 8], 1).unwrap();
        assert_eq!(planes, [9.0, 1.0, 3.0, 9.0, 9.0, 11.0]);
        assert!(plan.run(&[0; 7], 1).is_err(), "too short");
        assert!(plan.run(&[0; 8], 3).is_err(), "no colours");
    }

    #[test]
    fn colours_are_converted_and_swapped() {
        // White and black in narrow BT.601.
        let yuv = plan("input_format: YUV420SP_U8 csc_switch: true", [2, 2]);
        let planes = yuv.run(&[235, 16, 235, 235, 128, 128], 3).unwrap();
        assert_eq!(planes[..4], [254.0, 0.0, 254.0, 254.0]);
        let red = [76, 76, 76, 76, 90, 240];
        let bgr = yuv.run(&red, 3).unwrap();
        assert!(bgr[0] < 10.0 && bgr[8] > 240.0, "the default makes blue first: {bgr:?}");
        let swapped = plan("input_format: RGB888_U8 rbuv_swap_switch: true", [1, 1]);
        assert_eq!(swapped.run(&[1, 2, 3], 3).unwrap(), [3.0, 2.0, 1.0]);
        let alpha = plan("input_format: XRGB8888_U8", [1, 1]);
        assert_eq!(alpha.run(&[9, 1, 2, 3], 3).unwrap(), [1.0, 2.0, 3.0]);
        let alpha = plan("input_format: XRGB8888_U8 ax_swap_switch: true", [1, 1]);
        assert_eq!(alpha.run(&[1, 2, 3, 9], 4).unwrap(), [1.0, 2.0, 3.0, 9.0]);
        let rgb = plan("input_format: RGB888_U8 csc_switch: true", [1, 1]);
        assert_eq!(rgb.run(&[255, 255, 255], 3).unwrap(), [235.0, 128.0, 128.0]);
    }

    #[test]
    fn resizing_keeps_what_is_flat_and_blends_the_rest() {
        let plan = plan(
            "input_format: YUV400_U8 src_image_size_w: 2 src_image_size_h: 1 resize: true resize_output_w: 4 resize_output_h: 1",
            [4, 1],
        );
        assert_eq!(plan.run(&[7, 7], 1).unwrap(), [7.0; 4]);
        assert_eq!(plan.run(&[0, 100], 1).unwrap(), [0.0, 25.0, 75.0, 100.0]);
    }
}
