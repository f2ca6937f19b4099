//! Which way a copy goes: what the runtime makes of the kind that a program names and of where the two addresses lie.

use ascendcl_sys::{self as sys, aclError, aclrtMemcpyKind};

use super::place::Location;
use crate::error::fail;

/// Which way a copy goes, in the runtime's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    HostToHost,
    HostToDevice,
    DeviceToHost,
    DeviceToDevice,
    /// Not settled: `ACL_MEMCPY_DEFAULT` with managed memory.
    Open,
}

impl Direction {
    fn named(kind: aclrtMemcpyKind) -> Self {
        match kind {
            sys::ACL_MEMCPY_HOST_TO_HOST => Self::HostToHost,
            sys::ACL_MEMCPY_HOST_TO_DEVICE | sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE => Self::HostToDevice,
            sys::ACL_MEMCPY_DEVICE_TO_HOST => Self::DeviceToHost,
            sys::ACL_MEMCPY_DEVICE_TO_DEVICE => Self::DeviceToDevice,
            _ => Self::Open,
        }
    }

    /// What `kind` becomes for an asynchronous copy. A wrong one is corrected silently where the runtime can classify both addresses;
    /// next to plain host memory only some pass, and those stay as they are; with managed memory all do.
    pub(crate) fn of(to: Location, from: Location, kind: aclrtMemcpyKind) -> Result<Self, aclError> {
        use Location::{Device, Managed, Pinned, Unregistered};
        if kind == sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE {
            return match (from, to) {
                (Pinned | Unregistered, Device(_)) => Ok(Self::HostToDevice),
                _ => Err(mismatch(to, from, kind)),
            };
        }
        let named = Self::named(kind);
        let (default, accepted): (Self, &[Self]) = match (from, to) {
            (Device(_), Device(_)) => return Ok(Self::DeviceToDevice),
            (Pinned, Device(_)) => return Ok(Self::HostToDevice),
            (Device(_), Pinned) => return Ok(Self::DeviceToHost),
            (Pinned, Pinned) => return Ok(Self::HostToHost),
            (Managed(_), _) | (_, Managed(_)) => return Ok(named),
            (Unregistered, Device(_)) => (Self::HostToDevice, &[Self::HostToDevice, Self::DeviceToDevice]),
            (Device(_), Unregistered) => (Self::DeviceToHost, &[Self::DeviceToHost, Self::DeviceToDevice]),
            (Pinned, Unregistered) => (Self::HostToHost, &[Self::HostToHost, Self::HostToDevice]),
            (Unregistered, Pinned) => (Self::HostToHost, &[Self::HostToHost, Self::DeviceToHost]),
            (Unregistered, Unregistered) => (
                Self::HostToHost,
                &[Self::HostToHost, Self::HostToDevice, Self::DeviceToHost, Self::DeviceToDevice],
            ),
        };
        match named {
            Self::Open => Ok(default),
            named if accepted.contains(&named) => Ok(named),
            _ => Err(mismatch(to, from, kind)),
        }
    }
}

fn mismatch(to: Location, from: Location, kind: aclrtMemcpyKind) -> aclError {
    fail(
        sys::ACL_ERROR_RT_PARAM_INVALID,
        format_args!("copy kind {} does not fit a copy from {from} to {to}", kind.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    const DEFAULT: aclrtMemcpyKind = sys::ACL_MEMCPY_DEFAULT;
    const H2H: aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_HOST;
    const H2D: aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_DEVICE;
    const D2H: aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_HOST;
    const D2D: aclrtMemcpyKind = sys::ACL_MEMCPY_DEVICE_TO_DEVICE;
    const STAGED: aclrtMemcpyKind = sys::ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE;

    #[test]
    fn kinds_are_corrected_or_refused() {
        use Location::{Device, Managed, Pinned, Unregistered};
        let device = Device(0);
        let of = Direction::of;
        for kind in [H2H, H2D, D2H, D2D, DEFAULT] {
            assert_eq!(of(device, Pinned, kind), Ok(Direction::HostToDevice));
            assert_eq!(of(Pinned, device, kind), Ok(Direction::DeviceToHost));
            assert_eq!(of(device, Device(1), kind), Ok(Direction::DeviceToDevice));
            assert_eq!(of(Pinned, Pinned, kind), Ok(Direction::HostToHost));
        }
        let allowed = |to, from| [H2H, H2D, D2H, D2D].map(|kind| of(to, from, kind).is_ok());
        assert_eq!(allowed(device, Unregistered), [false, true, false, true]);
        assert_eq!(allowed(Unregistered, device), [false, false, true, true]);
        assert_eq!(allowed(Unregistered, Pinned), [true, true, false, false]);
        assert_eq!(allowed(Pinned, Unregistered), [true, false, true, false]);
        assert_eq!(allowed(Unregistered, Unregistered), [true; 4]);
        assert_eq!(allowed(Managed(0), Unregistered), [true; 4]);
        assert_eq!(of(device, Unregistered, DEFAULT), Ok(Direction::HostToDevice));
        assert_eq!(of(Unregistered, device, DEFAULT), Ok(Direction::DeviceToHost));
        assert_eq!(of(Unregistered, Unregistered, DEFAULT), Ok(Direction::HostToHost));
        assert_eq!(of(Unregistered, Pinned, H2D), Ok(Direction::HostToDevice), "what passes stays as it is");
        assert_eq!(of(device, Managed(1), DEFAULT), Ok(Direction::Open));
        assert_eq!(of(device, Unregistered, STAGED), Ok(Direction::HostToDevice));
        assert_eq!(of(device, Pinned, STAGED), Ok(Direction::HostToDevice));
        assert_eq!(of(device, device, STAGED), Err(107_000));
        assert_eq!(of(Pinned, Unregistered, STAGED), Err(107_000));
        error::take_text();
        error::last(true);
    }
}
