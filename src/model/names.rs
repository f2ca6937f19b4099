//! [`DataType`] and [`Format`]: numbers of ACL with names.

use ascendcl_sys as sys;
use std::{fmt, str::FromStr};

/// No [`DataType`] or [`Format`] that this crate has a name for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no {kind} with a name here: use one of {known}")]
pub struct UnknownNameError {
    kind: &'static str,
    given: String,
    known: String,
}

macro_rules! named_integers {
    ($(#[$doc:meta])* $name:ident($raw:ident) { $($constant:ident = $value:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub i32);

        impl $name {
            $(
                #[doc = concat!("`", stringify!($value), "`.")]
                pub const $constant: $name = $name(sys::$value.0);
            )*

            /// Its name; `None` for numbers that this crate does not know.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $($name::$constant => Some($text),)*
                    _ => None,
                }
            }

            fn unknown(given: impl fmt::Display) -> UnknownNameError {
                let known = [$($text),*].join(", ");
                UnknownNameError { kind: stringify!($raw), given: given.to_string(), known }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, concat!(stringify!($raw), "({})"), self.0),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = UnknownNameError;

            /// From its [name](Self::name), in capitals or not.
            fn from_str(name: &str) -> Result<Self, UnknownNameError> {
                match name {
                    $(_ if name.eq_ignore_ascii_case($text) => Ok($name::$constant),)*
                    _ => Err($name::unknown(name)),
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = UnknownNameError;

            fn try_from(name: &str) -> Result<Self, UnknownNameError> {
                name.parse()
            }
        }

        impl TryFrom<i32> for $name {
            type Error = UnknownNameError;

            /// Refuses what has no name here. The field takes any number.
            fn try_from(number: i32) -> Result<Self, UnknownNameError> {
                let value = $name(number);
                value.name().map(|_| value).ok_or_else(|| $name::unknown(number))
            }
        }

        impl From<sys::$raw> for $name {
            fn from(raw: sys::$raw) -> Self {
                $name(raw.0)
            }
        }

        impl From<$name> for sys::$raw {
            fn from(value: $name) -> Self {
                sys::$raw(value.0)
            }
        }

        /// As its name, or as a number if it has none. Formats that are not for people get the number.
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.name() {
                    Some(name) if serializer.is_human_readable() => serializer.serialize_str(name),
                    _ => serializer.serialize_i32(self.0),
                }
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;

                impl serde::de::Visitor<'_> for Either {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the name or number of an ", stringify!($raw)))
                    }

                    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<$name, E> {
                        name.parse().map_err(E::custom)
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        i32::try_from(number).map($name).map_err(E::custom)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$name, E> {
                        i32::try_from(number).map($name).map_err(E::custom)
                    }
                }

                if deserializer.is_human_readable() {
                    deserializer.deserialize_any(Either)
                } else {
                    deserializer.deserialize_i32(Either)
                }
            }
        }
    };
}

named_integers! {
    /// The type of a tensor's elements: a number, because newer releases add types.
    #[doc(alias = "aclDataType")]
    DataType(aclDataType) {
        F32 = ACL_FLOAT "f32",
        F16 = ACL_FLOAT16 "f16",
        BF16 = ACL_BF16 "bf16",
        F64 = ACL_DOUBLE "f64",
        I8 = ACL_INT8 "i8",
        I16 = ACL_INT16 "i16",
        I32 = ACL_INT32 "i32",
        I64 = ACL_INT64 "i64",
        U8 = ACL_UINT8 "u8",
        U16 = ACL_UINT16 "u16",
        U32 = ACL_UINT32 "u32",
        U64 = ACL_UINT64 "u64",
        BOOL = ACL_BOOL "bool",
        STRING = ACL_STRING "string",
        COMPLEX64 = ACL_COMPLEX64 "complex64",
        COMPLEX128 = ACL_COMPLEX128 "complex128",
        UNDEFINED = ACL_DT_UNDEFINED "undefined",
    }
}

named_integers! {
    /// The order of a tensor's dimensions: a number, because newer releases add formats.
    #[doc(alias = "aclFormat")]
    Format(aclFormat) {
        NCHW = ACL_FORMAT_NCHW "NCHW",
        NHWC = ACL_FORMAT_NHWC "NHWC",
        ND = ACL_FORMAT_ND "ND",
        NC1HWC0 = ACL_FORMAT_NC1HWC0 "NC1HWC0",
        FRACTAL_Z = ACL_FORMAT_FRACTAL_Z "FRACTAL_Z",
        HWCN = ACL_FORMAT_HWCN "HWCN",
        NDHWC = ACL_FORMAT_NDHWC "NDHWC",
        FRACTAL_NZ = ACL_FORMAT_FRACTAL_NZ "FRACTAL_NZ",
        NCDHW = ACL_FORMAT_NCDHW "NCDHW",
        NDC1HWC0 = ACL_FORMAT_NDC1HWC0 "NDC1HWC0",
        NC = ACL_FORMAT_NC "NC",
        NCL = ACL_FORMAT_NCL "NCL",
        UNDEFINED = ACL_FORMAT_UNDEFINED "undefined",
    }
}

impl DataType {
    /// The size of an element in bytes. `None` for texts, and for numbers that this crate does not know.
    #[doc(alias = "aclDataTypeSize")]
    pub fn size(self) -> Option<usize> {
        match self {
            DataType::I8 | DataType::U8 | DataType::BOOL => Some(1),
            DataType::F16 | DataType::BF16 | DataType::I16 | DataType::U16 => Some(2),
            DataType::F32 | DataType::I32 | DataType::U32 => Some(4),
            DataType::F64 | DataType::I64 | DataType::U64 | DataType::COMPLEX64 => Some(8),
            DataType::COMPLEX128 => Some(16),
            _ => None,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for data_type in (-1..64).map(DataType) {
            let named = DataType::try_from(data_type.0);
            assert_eq!(named.is_ok(), data_type.name().is_some());
            if let Some(name) = data_type.name() {
                assert_eq!((name.parse(), named), (Ok(data_type), Ok(data_type)));
                assert_eq!(DataType::try_from(&*name.to_uppercase()), Ok(data_type));
            }
        }
        assert_eq!(Format::try_from("nchw"), Ok(Format::NCHW));
        assert_eq!(sys::aclFormat::from(Format::from(sys::ACL_FORMAT_NHWC)), sys::ACL_FORMAT_NHWC);
        let error = "f33".parse::<DataType>().unwrap_err().to_string();
        assert!(error.contains("`f33`") && error.contains("f32, f16"), "{error}");
        assert!(Format::try_from(12_345).unwrap_err().to_string().contains("12345"));
        assert_eq!(Format(12_345).to_string(), "aclFormat(12345)");
    }

    #[test]
    fn sizes_are_those_of_the_types() {
        let sizes = [DataType::F32, DataType::F16, DataType::I8, DataType::COMPLEX128, DataType::STRING];
        assert_eq!(sizes.map(DataType::size), [Some(4), Some(2), Some(1), Some(16), None]);
    }
}
