//! What the modules that know no ACL ask about the process. In loom's models nothing is forked and nothing exits.

#[cfg(not(loom))]
pub(crate) use crate::{
    exit::{Busy, outside},
    guard::{forked as in_forked_child, is_over},
};

#[cfg(loom)]
pub(crate) use for_models::{Busy, in_forked_child, is_over, outside};

#[cfg(loom)]
mod for_models {
    pub(crate) struct Busy;

    impl Busy {
        pub(crate) fn enter() -> Option<Busy> {
            Some(Busy)
        }
    }

    pub(crate) fn outside(action: impl FnOnce()) {
        action();
    }

    pub(crate) fn in_forked_child() -> bool {
        false
    }

    pub(crate) fn is_over() -> bool {
        false
    }
}
