//! Attributes in the graph of an OM model: names with values of many types.

use super::error::Fault;
use super::source::{Source, Span};
use super::wire::{Fields, Value, integers};

/// Names of attributes are short; what is longer is none that is looked for.
const MAX_NAME: u64 = 64;
/// Axes and the like.
const MAX_NUMBERS: usize = 4096;

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Attribute {
    Text(Span),
    Int(i64),
    Float(f32),
    Bool(bool),
    List(Span),
    /// A name with attributes of its own.
    Named(Span),
}

impl Attribute {
    pub(crate) fn int(self) -> Option<i64> {
        match self {
            Attribute::Int(value) => Some(value),
            Attribute::Bool(value) => Some(value.into()),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> Option<Span> {
        if let Attribute::Text(span) = self { Some(span) } else { None }
    }

    /// The number, or the first one of a list.
    pub(crate) fn number(self, source: &Source) -> Result<Option<f64>, Fault> {
        Ok(match self {
            Attribute::Int(value) => Some(value as f64),
            Attribute::Float(value) => Some(value.into()),
            Attribute::Bool(value) => Some(f64::from(u8::from(value))),
            Attribute::List(list) => first_number(source, list)?,
            Attribute::Text(_) | Attribute::Named(_) => None,
        })
    }
}

fn first_number(source: &Source, list: Span) -> Result<Option<f64>, Fault> {
    for field in Fields::of(source, list) {
        match field? {
            (3 | 5, Value::Varint(value)) => return Ok(Some(value as i64 as f64)),
            (3 | 5, Value::Bytes(packed)) if packed.length() > 0 => {
                let mut numbers = Vec::new();
                integers(source, Value::Bytes(packed), &mut numbers, MAX_NUMBERS, "numbers in an attribute")?;
                return Ok(numbers.first().map(|&number| number as f64));
            }
            (4, Value::Fixed32(bits)) => return Ok(Some(f32::from_bits(bits).into())),
            (4, Value::Bytes(packed)) if packed.length() >= 4 => {
                let mut bytes = [0; 4];
                source.read(packed.start, &mut bytes)?;
                return Ok(Some(f32::from_le_bytes(bytes).into()));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Reads one entry of a map of attributes: name and value. `None` for values of other types, and for names that nobody looks for.
pub(crate) fn entry(source: &Source, entry: Span) -> Result<Option<(String, Attribute)>, Fault> {
    let (mut name, mut value) = (None, None);
    for field in Fields::of(source, entry) {
        match field? {
            (1, Value::Bytes(span)) if span.length() <= MAX_NAME => name = Some(source.text(span, MAX_NAME)?),
            (2, Value::Bytes(span)) => value = self::value(source, span)?,
            _ => {}
        }
    }
    Ok(name.zip(value))
}

fn value(source: &Source, definition: Span) -> Result<Option<Attribute>, Fault> {
    let mut found = None;
    for field in Fields::of(source, definition) {
        found = match field? {
            (1, Value::Bytes(list)) => Some(Attribute::List(list)),
            (2, Value::Bytes(text)) => Some(Attribute::Text(text)),
            (3, Value::Varint(number)) => Some(Attribute::Int(number as i64)),
            (4, Value::Fixed32(bits)) => Some(Attribute::Float(f32::from_bits(bits))),
            (5, Value::Varint(number)) => Some(Attribute::Bool(number != 0)),
            (10, Value::Bytes(named)) => Some(Attribute::Named(named)),
            _ => found,
        };
    }
    // Numbers and text that are zero or empty may be left out altogether.
    Ok(found)
}
