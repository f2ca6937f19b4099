//! Image formats: where the bytes of a pixel lie.

use ascendcl_sys as sys;

/// A format that AIPP takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    Yuv420Sp,
    Xrgb8888,
    Nc1hwc0Fp16,
    Nc1hwc0S8,
    Rgb888,
    Argb8888,
    Yuyv,
    Yuv422Sp,
    Ayuv444,
    Yuv400,
    Raw10,
    Raw12,
    Raw16,
    Raw24,
}

use ImageFormat::*;

/// The format, its name in configurations, ACL's number and the hardware's.
const FORMATS: [(ImageFormat, &str, sys::aclAippInputFormat, u8); 14] = [
    (Yuv420Sp, "YUV420SP_U8", sys::ACL_YUV420SP_U8, 1),
    (Xrgb8888, "XRGB8888_U8", sys::ACL_XRGB8888_U8, 2),
    (Nc1hwc0Fp16, "NC1HWC0DI_FP16", sys::ACL_NC1HWC0DI_FP16, 3),
    (Nc1hwc0S8, "NC1HWC0DI_S8", sys::ACL_NC1HWC0DI_S8, 4),
    (Rgb888, "RGB888_U8", sys::ACL_RGB888_U8, 5),
    (Argb8888, "ARGB8888_U8", sys::ACL_ARGB8888_U8, 6),
    (Yuyv, "YUYV_U8", sys::ACL_YUYV_U8, 7),
    (Yuv422Sp, "YUV422SP_U8", sys::ACL_YUV422SP_U8, 8),
    (Ayuv444, "AYUV444_U8", sys::ACL_AYUV444_U8, 9),
    (Yuv400, "YUV400_U8", sys::ACL_YUV400_U8, 10),
    (Raw10, "RAW10", sys::ACL_RAW10, 11),
    (Raw12, "RAW12", sys::ACL_RAW12, 12),
    (Raw16, "RAW16", sys::ACL_RAW16, 13),
    (Raw24, "RAW24", sys::ACL_RAW24, 16),
];

impl ImageFormat {
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        FORMATS.iter().find(|format| format.1 == name).map(|format| format.0)
    }

    pub(crate) fn from_acl(number: sys::aclAippInputFormat) -> Option<Self> {
        FORMATS.iter().find(|format| format.2 == number).map(|format| format.0)
    }

    pub(crate) fn from_hardware(number: u8) -> Option<Self> {
        FORMATS.iter().find(|format| format.3 == number).map(|format| format.0)
    }

    pub(crate) fn acl(self) -> sys::aclAippInputFormat {
        FORMATS[self as usize].2
    }

    pub(crate) fn hardware(self) -> u8 {
        FORMATS[self as usize].3
    }

    /// Brightness and colour differences rather than colours.
    pub(crate) fn is_yuv(self) -> bool {
        matches!(self, Yuv420Sp | Yuyv | Yuv422Sp | Ayuv444 | Yuv400)
    }

    /// Bytes of an image; `None` if that is no number.
    pub(crate) fn image_size(self, width: u64, height: u64) -> Option<u64> {
        let pixels = width.checked_mul(height)?;
        match self {
            Yuv420Sp => Some(pixels.checked_mul(3)? / 2),
            Rgb888 => pixels.checked_mul(3),
            Xrgb8888 | Argb8888 | Ayuv444 | Raw24 => pixels.checked_mul(4),
            Yuyv | Yuv422Sp | Raw10 | Raw12 | Raw16 => pixels.checked_mul(2),
            Yuv400 => Some(pixels),
            Nc1hwc0Fp16 | Nc1hwc0S8 => Some(0),
        }
    }

    /// The shape of the bytes of one image: rows, pixels in a row, bytes of a pixel.
    pub(crate) fn buffer_shape(self, width: i64, height: i64) -> [i64; 3] {
        match self {
            Yuv420Sp => [height * 3 / 2, width, 1],
            Yuv422Sp => [height * 2, width, 1],
            Rgb888 => [height, width, 3],
            Xrgb8888 | Argb8888 | Ayuv444 | Raw24 => [height, width, 4],
            Yuyv | Raw10 | Raw12 | Raw16 => [height, width, 2],
            Yuv400 | Nc1hwc0Fp16 | Nc1hwc0S8 => [height, width, 1],
        }
    }

    /// Channels of a pixel once it is read.
    pub(crate) fn channels(self) -> usize {
        match self {
            Yuv400 => 1,
            Xrgb8888 | Argb8888 | Ayuv444 => 4,
            _ => 3,
        }
    }

    /// Reads one pixel of an image of `width` by `height` pixels, which holds it. Formats of four channels give the first one last:
    /// colours come first. `None` for formats that the simulator does not read.
    pub(crate) fn pixel(
        self,
        image: &[u8],
        (width, height): (usize, usize),
        (x, y): (usize, usize),
    ) -> Option<[u8; 4]> {
        let at = |index: usize| image.get(index).copied().unwrap_or(0);
        let index = y * width + x;
        let half = width * height;
        let [a, b, c, d] = match self {
            Yuv400 => [at(index), 0, 0, 0],
            Yuv420Sp => {
                let uv = half + (y / 2) * width + (x & !1);
                [at(index), at(uv), at(uv + 1), 0]
            }
            Yuv422Sp => {
                let uv = half + y * width + (x & !1);
                [at(index), at(uv), at(uv + 1), 0]
            }
            Yuyv => {
                let pair = (index & !1) * 2;
                [at(index * 2), at(pair + 1), at(pair + 3), 0]
            }
            Rgb888 => [at(index * 3), at(index * 3 + 1), at(index * 3 + 2), 0],
            Xrgb8888 | Argb8888 | Ayuv444 => {
                let first = index * 4;
                [at(first), at(first + 1), at(first + 2), at(first + 3)]
            }
            Nc1hwc0Fp16 | Nc1hwc0S8 | Raw10 | Raw12 | Raw16 | Raw24 => return None,
        };
        Some([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_type() {
        for (index, format) in FORMATS.iter().enumerate() {
            assert_eq!(format.0 as usize, index);
        }
        assert_eq!(ImageFormat::from_hardware(16), Some(Raw24));
        assert_eq!(ImageFormat::from_acl(sys::aclAippInputFormat(0)), None);
    }

    #[test]
    fn pixels_are_found() {
        // Four by two: brightness, then pairs of colour differences.
        let nv12 = [1, 2, 3, 4, 5, 6, 7, 8, 10, 20, 30, 40];
        assert_eq!(Yuv420Sp.pixel(&nv12, (4, 2), (3, 1)), Some([8, 30, 40, 0]));
        assert_eq!(Yuv420Sp.pixel(&nv12, (4, 2), (1, 0)), Some([2, 10, 20, 0]));
        assert_eq!(Yuyv.pixel(&[1, 10, 2, 20, 3, 30, 4, 40], (4, 1), (3, 0)), Some([4, 30, 40, 0]));
        assert_eq!(Rgb888.pixel(&[1, 2, 3, 4, 5, 6], (2, 1), (1, 0)), Some([4, 5, 6, 0]));
        assert_eq!(Raw10.pixel(&[0; 8], (2, 1), (0, 0)), None);
    }
}
