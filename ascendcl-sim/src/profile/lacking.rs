//! Functions that a chip does not have, and what they answer there.

use ascendcl_sys::{self as sys, aclError};

/// Functions, the profiles that lack them.
const LACKING: &[(&str, &[&str])] = &[("aclrtSetOpWaitTimeout", &["ascend310p"])];

/// The code that `function` answers on `profile` if the chip does not have it.
pub(super) fn code(profile: &str, function: &str) -> Option<aclError> {
    let (_, profiles) = LACKING.iter().find(|(name, _)| *name == function)?;
    profiles.contains(&profile).then_some(sys::ACL_ERROR_RT_FEATURE_NOT_SUPPORT)
}
