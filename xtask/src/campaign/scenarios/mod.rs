//! The programs that faults are tried in: each does something that programs do, on the public safe API, and checks what comes out.

mod callback;
mod callbacks_mixed;
mod classify;
mod copies;
mod device_info;
mod drop_context_first;
mod drop_elsewhere;
mod drop_in_callback;
mod drop_stream_first;
mod elapsed_time;
mod events_ex;
mod finalize_outstanding;
mod futures;
mod handover;
mod model;
mod multi_device;
mod pipeline;
mod retirement;
mod stream_sync;
mod timeouts;
mod two_streams;

use ascendcl::Acl;
use ascendcl_sim::Profile;

use super::lab::{Lab, Outcome};

/// A program.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    /// The chip that has what it needs, by name.
    pub profile: &'static str,
    pub devices: usize,
    pub run: fn(&Lab, Acl) -> Outcome,
}

impl Scenario {
    pub fn profile(&self) -> Profile {
        Profile::by_name(self.profile).unwrap_or_default()
    }
}

macro_rules! scenarios {
    ($($name:ident $profile:literal $devices:literal $what:literal,)*) => {
        /// All of them.
        pub static ALL: &[Scenario] = &[$(
            Scenario { name: stringify!($name), what: $what, profile: $profile, devices: $devices, run: $name::run },
        )*];
    };
}

scenarios! {
    device_info "ascend310" 2 "asks for everything that there is",
    stream_sync "ascend310" 1 "uploads, downloads, asks and waits in three ways",
    two_streams "ascend310" 1 "an event orders two streams: record, wait, reset",
    callback "ascend310" 1 "results go to other threads; one closure panics",
    multi_device "ascend310" 3 "a thread and a context for each device; entered contexts",
    elapsed_time "ascend310" 1 "events around copies take the time",
    pipeline "ascend310" 1 "decodes images, runs a model, callbacks deliver",
    classify "ascend310" 2 "upload streams, work streams with models, slots that go round",
    copies "ascend310" 2 "all kinds of copies and fills, on two devices and several streams",
    model "ascend310" 1 "loads, describes and executes a model, also on two streams",
    callbacks_mixed "full" 2 "blocking and non-blocking callbacks on several streams",
    futures "full" 1 "awaits copies and callbacks, and cancels some",
    handover "ascend310" 1 "a closure is launched while another runs; its stream is held back",
    events_ex "full" 1 "events and streams with options, times, failure mode",
    retirement "ascend310" 1 "so much queued work that fences are needed",
    timeouts "ascend310" 1 "waits that run out of time, and are repeated",
    drop_stream_first "ascend310" 1 "the stream goes before what it uses",
    drop_context_first "ascend310" 1 "device and context handles go before all that was made in them",
    drop_in_callback "ascend310" 1 "handles are dropped inside callbacks",
    drop_elsewhere "ascend310" 2 "handles are dropped on other threads",
    finalize_outstanding "ascend310" 1 "finalises while work is outstanding, and again",
}
