//! The wire format of Protocol Buffers, which ONNX files and parts of OM files are written in: a message is a run of numbered fields. What
//! is not asked for is passed over without being read, weights above all; and nothing is believed to be as long as it says.

use super::error::Fault;
use super::source::{Source, Span};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// An integer, an enumerator, a boolean.
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// A string, a message, or several numbers.
    Bytes(Span),
}

impl Value {
    /// The number, as the signed integer that it is declared as nearly everywhere.
    pub(crate) fn int(self) -> Option<i64> {
        if let Value::Varint(value) = self { Some(value as i64) } else { None }
    }

    pub(crate) fn bytes(self) -> Option<Span> {
        if let Value::Bytes(span) = self { Some(span) } else { None }
    }
}

/// The fields of one message, in their order. Ends with the first error.
pub(crate) struct Fields<'a> {
    source: &'a Source,
    rest: Span,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(source: &'a Source, message: Span) -> Self {
        Fields { source, rest: message }
    }

    fn fault<T>(&self, why: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::Malformed { at: self.rest.start, why: why.into() })
    }

    fn take(&mut self, length: u64) -> Result<Span, Fault> {
        let Some((taken, rest)) = self.rest.split(length) else {
            return self.fault(format!("a field of {length} bytes where {} are left", self.rest.length()));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for index in 0..10 {
            let mut byte = [0];
            let Ok(place) = self.take(1) else { return self.fault("it ends inside a number") };
            self.source.read(place.start, &mut byte)?;
            // The tenth byte has room for one bit.
            if index == 9 && byte[0] > 1 {
                break;
            }
            value |= u64::from(byte[0] & 0x7f) << (7 * index);
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        self.fault("a number of more than 64 bits")
    }

    fn field(&mut self) -> Result<(u64, Value), Fault> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let mut bytes = [0; 8];
                self.source.read(self.take(8)?.start, &mut bytes)?;
                Value::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let mut bytes = [0; 4];
                self.source.read(self.take(4)?.start, &mut bytes)?;
                Value::Fixed32(u32::from_le_bytes(bytes))
            }
            other => return self.fault(format!("a field of unknown wire type {other}")),
        };
        if tag >> 3 == 0 {
            return self.fault("a field with the number 0");
        }
        Ok((tag >> 3, value))
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u64, Value), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.length() == 0 {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest.start = self.rest.end;
        }
        Some(field)
    }
}

/// Adds the numbers of a repeated field, which come one by one or packed, to `numbers`.
pub(crate) fn integers(
    source: &Source,
    value: Value,
    numbers: &mut Vec<i64>,
    most: usize,
    what: &'static str,
) -> Result<(), Fault> {
    let mut add = |value: u64| {
        if numbers.len() == most {
            return Err(super::error::Error::TooMany { what, most });
        }
        numbers.push(value as i64);
        Ok(())
    };
    match value {
        Value::Varint(value) => add(value)?,
        Value::Bytes(packed) => {
            let mut fields = Fields::of(source, packed);
            while fields.rest.length() > 0 {
                add(fields.varint()?)?;
            }
        }
        Value::Fixed64(_) | Value::Fixed32(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<Option<(u64, Value)>> {
        let source = Source::memory(bytes.to_vec());
        Fields::of(&source, source.whole()).map(Result::ok).collect()
    }

    #[test]
    fn each_kind_of_field_is_read() {
        let message =
            [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f, 0x21, 1, 0, 0, 0, 0, 0, 0, 0];
        let expected = [
            Some((1, Value::Varint(150))),
            Some((2, Value::Bytes(Span { start: 5, end: 7 }))),
            Some((3, Value::Fixed32(1.0f32.to_bits()))),
            Some((4, Value::Fixed64(1))),
        ];
        assert_eq!(fields(&message), expected);
        assert_eq!(Value::Varint(u64::MAX).int(), Some(-1));
    }

    #[test]
    fn what_is_wrong_ends_the_walk() {
        let bad: [&[u8]; 7] = [
            &[0x12, 5, b'h'],
            &[0x80],
            &[0x0b],
            &[0xff; 11],
            &[0x12, 0xff, 0xff, 0xff, 0x0f],
            &[0, 0],
            &[0x1d, 0],
        ];
        for message in bad {
            assert_eq!(fields(message), [None], "{message:?}");
        }
    }

    #[test]
    fn repeated_numbers_come_packed_or_not() {
        let source = Source::memory(vec![1, 0x80, 1, 2]);
        let mut numbers = vec![7];
        integers(&source, Value::Bytes(source.whole()), &mut numbers, 5, "axes").unwrap();
        integers(&source, Value::Varint(9), &mut numbers, 5, "axes").unwrap();
        assert_eq!(numbers, [7, 1, 128, 2, 9]);
        assert!(integers(&source, Value::Varint(9), &mut numbers, 5, "axes").is_err());
    }
}
