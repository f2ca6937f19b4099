//! Defects to plant, to see that the soak finds them.

use std::{
    mem,
    str::FromStr,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use ascendcl::Context;

use crate::error::Error;

/// A defect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A buffer is forgotten now and then.
    Leak,
    /// A vector grows.
    Growth,
    /// One thread never ends.
    Thread,
    /// A file is never closed.
    File,
    /// One byte that was copied changes.
    Byte,
    /// A closure is forgotten, neither run nor dropped.
    Closure,
}

impl FromStr for Plant {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "leak" => Self::Leak,
            "growth" => Self::Growth,
            "thread" => Self::Thread,
            "file" => Self::File,
            "byte" => Self::Byte,
            "closure" => Self::Closure,
            other => {
                return Err(Error::new(format!(
                    "there is no defect `{other}` to plant: leak, growth, thread, file, byte, closure"
                )));
            }
        })
    }
}

impl Plant {
    /// Does harm once every thousand pieces of work.
    pub fn harm(self, number: u64, context: &Context) {
        static GROWING: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        if number % 1000 != 999 {
            return;
        }
        match self {
            Self::Leak => mem::forget(context.alloc::<u8>(100)),
            Self::Growth => {
                let mut growing = GROWING.lock().unwrap_or_else(PoisonError::into_inner);
                let longer = growing.len() + (64 << 10);
                growing.resize(longer, 1);
            }
            Self::Thread if number == 999 => {
                thread::spawn(|| {
                    loop {
                        thread::sleep(Duration::from_secs(3600));
                    }
                });
            }
            Self::File if number == 999 => mem::forget(std::fs::File::open("/proc/self/statm")),
            // These do harm where the data or the closure is.
            Self::Thread | Self::File | Self::Byte | Self::Closure => {}
        }
    }
}
