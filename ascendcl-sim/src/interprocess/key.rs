//! The key of a segment: where its file is, and a number that says that it is that one.

use std::fmt;
use std::str::FromStr;

use super::segment::SegmentKind;

/// Characters of the longest key, without a NUL.
pub(crate) const KEY_LEN: usize = 56;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kind: SegmentKind,
    pub(super) pid: u32,
    pub(super) file: u32,
    pub(super) nonce: u64,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acl-{}-{:x}-{:x}-{:016x}", self.kind.letter(), self.pid, self.file, self.nonce)
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_prefix("acl-").ok_or(())?.split('-');
        let mut part = || parts.next().ok_or(());
        let number = |text: &str| u32::from_str_radix(text, 16).map_err(drop);
        let kind = SegmentKind::of_letter(part()?).ok_or(())?;
        let (pid, file) = (number(part()?)?, number(part()?)?);
        let nonce = u64::from_str_radix(part()?, 16).map_err(drop)?;
        if parts.next().is_some() { Err(()) } else { Ok(Self { kind, pid, file, nonce }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        let key = Key { kind: SegmentKind::Notify, pid: u32::MAX, file: u32::MAX, nonce: u64::MAX };
        let text = key.to_string();
        assert!(text.len() <= KEY_LEN);
        assert_eq!(text.parse(), Ok(key));
        for wrong in ["", "acl-", "acl-n-1-2", "acl-n-1-2-3-4", "acl-z-1-2-3", "acl-n-x-2-3", "name"] {
            assert_eq!(wrong.parse::<Key>(), Err(()), "{wrong}");
        }
    }
}
