//! What travels through the pipe of a subscription: descriptions of operators that ran. Programs read them in pieces of one size and ask about
//! them with functions; names are kept here, each to be fetched once.

use std::collections::BTreeMap;

use crate::lock::Mutex;

/// Bytes of a description.
pub(crate) const SIZE: usize = 80;
/// Names that nobody fetches must not pile up without end.
const KEPT: usize = 200_000;

static NAMES: Mutex<Names> = Mutex::new(Names { next: 1, types: BTreeMap::new(), names: BTreeMap::new() });

struct Names {
    next: u64,
    types: BTreeMap<u64, String>,
    names: BTreeMap<u64, String>,
}

/// Which of the two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Type,
    Name,
}

/// One operator that ran. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) model: u32,
    pub(crate) flag: u32,
    pub(crate) thread: u32,
    pub(crate) index: u64,
    pub(crate) duration: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) device: u32,
}

/// Keeps the names of an operator and gives the number under which.
pub(crate) fn keep(kind: &str, name: &str) -> u64 {
    let mut names = NAMES.lock();
    let index = names.next;
    names.next += 1;
    for (map, text) in [(Text::Type, kind), (Text::Name, name)] {
        let map = names.of(map);
        map.insert(index, text.to_owned());
        if map.len() > KEPT {
            map.pop_first();
        }
    }
    index
}

/// The length of a text; `None` if it was fetched already.
pub(crate) fn length(which: Text, index: u64) -> Option<usize> {
    NAMES.lock().of(which).get(&index).map(String::len)
}

/// Takes a text, if it has at most `room` bytes.
pub(crate) fn fetch(which: Text, index: u64, room: usize) -> Option<String> {
    let mut names = NAMES.lock();
    let map = names.of(which);
    if map.get(&index)?.len() > room {
        return None;
    }
    map.remove(&index)
}

impl Names {
    fn of(&mut self, which: Text) -> &mut BTreeMap<u64, String> {
        match which {
            Text::Type => &mut self.types,
            Text::Name => &mut self.names,
        }
    }
}

impl Operator {
    /// The bytes of the description.
    pub(crate) fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(4, &self.model.to_ne_bytes());
        put(8, &self.flag.to_ne_bytes());
        put(12, &self.thread.to_ne_bytes());
        put(16, &self.index.to_ne_bytes());
        put(24, &self.duration.to_ne_bytes());
        put(32, &self.start.to_ne_bytes());
        put(40, &self.end.to_ne_bytes());
        put(48, &self.duration.to_ne_bytes());
        put(72, &self.device.to_ne_bytes());
        let signature = signature(&bytes[4..]);
        bytes[..4].copy_from_slice(&signature.to_ne_bytes());
        bytes
    }

    /// The operator at `index` of `bytes`, whether or not its signature is right.
    pub(crate) fn at(bytes: &[u8], index: u32) -> Option<Self> {
        let bytes = bytes.chunks_exact(SIZE).nth(index as usize)?;
        let word = |at: usize| bytes[at..at + 4].try_into().map_or(0, u32::from_ne_bytes);
        let long = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
        Some(Self {
            model: word(4),
            flag: word(8),
            thread: word(12),
            index: long(16),
            duration: long(24),
            start: long(32),
            end: long(40),
            device: word(72),
        })
    }
}

/// Whether bytes are descriptions, all of them with the signature that they were given.
pub(crate) fn are_signed(bytes: &[u8]) -> bool {
    bytes.len().is_multiple_of(SIZE)
        && bytes.chunks_exact(SIZE).all(|bytes| bytes[..4] == signature(&bytes[4..]).to_ne_bytes())
}

/// CRC-32C, without the inversion at its end.
fn signature(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x82f6_3b78 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_read_and_signed() {
        let operator =
            Operator { model: 3, flag: 0, thread: 7, index: 1, duration: 5, start: 10, end: 15, device: 2 };
        let mut bytes = operator.encode().to_vec();
        bytes.extend(Operator { model: 4, ..operator }.encode());
        assert!(are_signed(&bytes));
        assert_eq!(Operator::at(&bytes, 0), Some(operator));
        assert_eq!(Operator::at(&bytes, 1).map(|operator| operator.model), Some(4));
        assert_eq!(Operator::at(&bytes, 2), None);
        bytes[40] ^= 1;
        assert!(!are_signed(&bytes));
        // The check value of CRC-32C.
        assert_eq!(!signature(b"123456789"), 0xe306_9283);
    }
}
