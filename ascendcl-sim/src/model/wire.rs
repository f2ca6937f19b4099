//! Reads the Protocol Buffers wire format that ONNX files are written in: a message is a run of numbered fields, each a
//! number or a run of bytes. Borrows, allocates nothing, and never trusts a length.

/// Why a message cannot be read.
pub(crate) type Malformed = String;

/// One field's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    /// Integers, enumerators, booleans.
    Varint(u64),
    /// Fixed-width numbers, whose value nobody here needs.
    Fixed,
    /// Strings, nested messages, packed arrays.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The bytes of a string or nested message; `None` for a number.
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        if let Field::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The number, as the signed integer that ONNX declares nearly everywhere.
    pub(crate) fn int(self) -> Option<i64> {
        if let Field::Varint(value) = self { Some(value as i64) } else { None }
    }
}

/// The fields of one message, in file order. Stops after the first error.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Iterates over the fields in `message`.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let taken = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((taken, rest)) = taken else {
            return Err(format!("a field of {count} bytes where {} are left", self.rest.len()));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for index in 0..10 {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return Err("the file ends inside a number".into());
            };
            self.rest = rest;
            // The tenth byte has room for one bit.
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits".into())
    }

    /// Checks an array of numbers that were packed into one field.
    pub(crate) fn check_varints(packed: &'a [u8]) -> Result<(), Malformed> {
        let mut numbers = Fields::of(packed);
        while !numbers.rest.is_empty() {
            numbers.varint()?;
        }
        Ok(())
    }

    fn field(&mut self) -> Result<(u64, Field<'a>), Malformed> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed)?,
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Fixed)?,
            other => return Err(format!("a field of unknown wire type {other}")),
        };
        Ok((tag >> 3, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_kind_of_field() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f];
        let fields: Vec<_> = Fields::of(&message).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields, [(1, Field::Varint(150)), (2, Field::Bytes(b"hi")), (3, Field::Fixed)]);
        assert_eq!(Field::Varint(u64::MAX).int(), Some(-1));
    }

    #[test]
    fn packed_numbers_must_all_be_whole() {
        assert!(Fields::check_varints(&[]).is_ok());
        assert!(Fields::check_varints(&[1, 0x80, 1, 2]).is_ok());
        assert!(Fields::check_varints(&[1, 0x80]).is_err());
        assert!(Fields::check_varints(&[0xff; 10]).is_err());
    }

    #[test]
    fn a_bad_length_ends_the_walk_with_one_error() {
        for message in
            [&[0x12, 0x05, b'h'][..], &[0x80], &[0x0b], &[0xff; 11], &[0x12, 0xff, 0xff, 0xff, 0x0f]]
        {
            let fields: Vec<_> = Fields::of(message).collect();
            assert_eq!(fields.len(), 1, "{message:?}");
            assert!(fields[0].is_err());
        }
    }
}
