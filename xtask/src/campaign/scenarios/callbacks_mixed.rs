//! Blocking and non-blocking callbacks on several streams of two devices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ascendcl::{Acl, CallbackMode};

use super::super::lab::{Lab, Outcome, holds};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let contexts = [acl.device(0)?.create_context()?, acl.device(1)?.create_context()?];
    let streams = [contexts[0].create_stream()?, contexts[0].create_stream()?, contexts[1].create_stream()?];
    let order = Arc::new(AtomicUsize::new(0));
    let mut callbacks = Vec::new();
    lab.step("launch");
    for number in 0..4 {
        for (index, stream) in streams.iter().enumerate() {
            let mode =
                if (number + index) % 2 == 0 { CallbackMode::Blocking } else { CallbackMode::NonBlocking };
            let order = order.clone();
            let closure = lab.closure(move || (10 * index + number, order.fetch_add(1, Ordering::SeqCst)));
            let callback = stream.launch_callback_with(mode, closure)?;
            // Some are not waited for.
            if number != 2 {
                callbacks.push((10 * index + number, callback));
            }
        }
    }
    lab.step("wait for all");
    for stream in &streams {
        lab.sync(stream)?;
    }
    let mut seen = Vec::new();
    for (expected, callback) in callbacks {
        let (number, at) = lab.wait(callback)?;
        holds(number == expected, "each callback gives its own result")?;
        // Others may be overtaken on their way to the thread that runs them.
        if (number / 10 + number % 10) % 2 == 0 {
            seen.push((number / 10, number, at));
        }
    }
    seen.sort_unstable();
    let in_order = seen.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].2 < pair[1].2);
    holds(in_order, "blocking callbacks of a stream run in order")
}
