//! What most rows begin with: the library, a device, a context, and the same function pointers for C.

use std::{ffi::c_void, ptr};

use ascendcl::{Acl, Context};

use crate::{error::Error, perf::baseline::Functions};

/// One instance of the library for both sides.
pub struct Rig {
    pub acl: Acl,
    pub context: Context,
    /// Where it is, because threads in C are told.
    pub c: Box<Functions>,
}

impl Rig {
    pub fn new() -> Result<Rig, Error> {
        let acl = Acl::new()?;
        let context = acl.device(0)?.create_context()?;
        let c = Box::new(Functions::of(acl.raw())?);
        Ok(Rig { acl, context, c })
    }

    /// Page-locked memory that nobody owns. The context must be current.
    pub fn pinned(&self, bytes: usize) -> Result<*mut c_void, Error> {
        let malloc = self.acl.raw().aclrtMallocHost;
        let malloc = malloc.ok_or_else(|| Error::new("the library lacks aclrtMallocHost"))?;
        let mut memory = ptr::null_mut();
        // SAFETY: [place] a valid place for the answer.
        match unsafe { malloc(&mut memory, bytes) } {
            0 => Ok(memory),
            code => Err(Error::new(format!("aclrtMallocHost failed with {code}"))),
        }
    }
}
