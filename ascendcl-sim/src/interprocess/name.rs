//! Names that processes find each other by: a claimed name leads to a value, for as long as its process lives.
//!
//! A name is the address of a socket that nobody talks to, so that the system keeps two processes from claiming one name, forgets it
//! with its process, and lists it with its value for everybody.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A name that this process has claimed.
#[derive(Debug)]
pub(crate) struct Name {
    _claim: UnixDatagram,
    _value: UnixDatagram,
}

fn prefix(name: &str) -> String {
    // SAFETY: [os] no preconditions.
    let user = unsafe { libc::getuid() };
    format!("ascendcl-sim/{user}/{name}")
}

fn bind(address: &str) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(address)?)
}

impl Name {
    /// Claims `name`, which leads to `value` from now on; `None` if another process, or this one, has it already.
    pub(crate) fn claim(name: &str, value: &str) -> io::Result<Option<Self>> {
        let prefix = prefix(name);
        let claim = match bind(&prefix) {
            Ok(claim) => claim,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
            Err(error) => return Err(error),
        };
        let value = bind(&format!("{prefix}={value}"))?;
        Ok(Some(Self { _claim: claim, _value: value }))
    }

    /// What `name` leads to.
    pub(crate) fn look_up(name: &str) -> Option<String> {
        let start = format!("@{}=", prefix(name));
        let sockets = std::fs::read_to_string("/proc/net/unix").ok()?;
        let mut addresses = sockets.lines().filter_map(|line| line.rsplit(' ').next());
        addresses.find_map(|address| address.strip_prefix(&start)).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_claimed_once_and_ends_with_its_owner() {
        let name = format!("test/{}", std::process::id());
        assert_eq!(Name::look_up(&name), None);
        let claim = Name::claim(&name, "value").unwrap().unwrap();
        assert!(Name::claim(&name, "other").unwrap().is_none());
        assert_eq!(Name::look_up(&name).as_deref(), Some("value"));
        drop(claim);
        assert_eq!(Name::look_up(&name), None);
    }
}
