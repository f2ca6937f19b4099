//! What processes share: pieces of memory that one process makes and others open by a key.
//!
//! What the rest of the simulator needs from here:
//!
//! - [`Segment::create`]`(kind, len)` makes zeroed memory and gives it a key of at most [`KEY_LEN`] characters;
//!   [`Segment::open`]`(kind, key)` maps it in another process. [`Segment::allow`] and [`Segment::allow_all`] say who may.
//! - `Segment::word(index)`: the memory as atomic words, which is how processes talk: no lock is ever held across processes, so one
//!   that dies in the middle leaves nothing locked.
//! - `Segment::file()` and [`Segment::offset`]: to map it elsewhere.
//! - [`Name::claim`]`(name, value)` makes `value`, such as a key, known to all processes under a name that is claimed once;
//!   [`Name::look_up`].
//! - [`is_alive`]`(pid)`.
//!
//! A segment has no name in any file system. It is an anonymous file of its creator, which others reach through the creator's
//! entry in `/proc`; the key says where. So there is nothing to clean up, not even after a crash: the key ends when the creator drops the
//! segment or dies, the memory when the last process has unmapped it.

mod key;
mod name;
mod segment;

pub(crate) use key::KEY_LEN;
pub(crate) use name::Name;
pub(crate) use segment::{OpenError, Segment, SegmentKind};

/// Whether a process runs. One that has ended and was not waited for does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the name, which is in parentheses and may contain any character.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X' | 'x'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_end() {
        assert!(is_alive(std::process::id() as i32));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
