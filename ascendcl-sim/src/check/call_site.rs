//! Places in the program from which it calls.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hint::black_box;
use std::sync::LazyLock;

use super::frames::{FRAMES, Frames, return_addresses};
use crate::error;
use crate::lock::Mutex;

/// Frames of a printed backtrace.
const PRINTED: usize = 12;

/// A place from which the program called a C function: seen often, looked at rarely.
pub(crate) struct CallSite {
    number: u64,
    function: &'static str,
    backtrace: Backtrace,
}

/// The places seen, by their return addresses. Capturing a backtrace that can be printed is slow, comparing addresses is not. Places are
/// never forgotten: there are only as many as the program has.
static SITES: LazyLock<Mutex<HashMap<[usize; FRAMES], &'static CallSite>>> = LazyLock::new(Mutex::default);

/// Places that a thread recognises without unwinding its stack.
const RECOGNISED: usize = 64;

thread_local! {
    /// The places that this thread came from lately, and the one that is replaced next.
    static RECENT: RefCell<(Vec<(Frames, &'static CallSite)>, usize)> = const { RefCell::new((Vec::new(), 0)) };
}

impl CallSite {
    /// From where the calling thread entered the C function that it is inside of.
    #[inline(never)]
    pub(crate) fn here() -> &'static Self {
        let anything = black_box(0u8);
        let at = (&raw const anything).addr();
        // A thread that is ending recognises nothing.
        let recent = RECENT.try_with(|recent| {
            let recent = recent.borrow();
            recent.0.iter().find(|(frames, _)| frames.hold(at)).map(|&(_, site)| site)
        });
        let site = recent.ok().flatten().unwrap_or_else(|| Self::found_at(at));
        black_box(anything);
        site
    }

    #[cold]
    fn found_at(at: usize) -> &'static Self {
        let site = Self::by_addresses(return_addresses());
        if let Some(frames) = Frames::above(at) {
            let _ = RECENT.try_with(|recent| {
                let (places, next) = &mut *recent.borrow_mut();
                if places.len() < RECOGNISED {
                    places.push((frames, site));
                } else {
                    places[*next] = (frames, site);
                    *next = (*next + 1) % RECOGNISED;
                }
            });
        }
        site
    }

    fn by_addresses(addresses: [usize; FRAMES]) -> &'static Self {
        let mut sites = SITES.lock();
        let number = sites.len() as u64 + 1;
        sites.entry(addresses).or_insert_with(|| {
            let (function, backtrace) = (error::function(), Backtrace::force_capture());
            Box::leak(Box::new(Self { number, function, backtrace }))
        })
    }

    /// Tells it from other places.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn function(&self) -> &'static str {
        self.function
    }
}

/// The frames of the program itself, a line each.
impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&outside(&self.backtrace.to_string(), self.function))
    }
}

/// The frames of the program itself: those above the C function, until where threads begin.
fn outside(backtrace: &str, function: &str) -> String {
    let mut frames: Vec<Vec<&str>> = Vec::new();
    for line in backtrace.lines() {
        let line = line.trim();
        match line.split_once(": ") {
            Some((number, name)) if number.parse::<usize>().is_ok() => frames.push(vec![name]),
            _ => frames.last_mut().into_iter().for_each(|frame| frame.push(line)),
        }
    }
    let name = |frame: &[&str]| frame[0].to_owned();
    let is_function =
        |frame: &Vec<&str>| name(frame) == function || name(frame).ends_with(&format!("::{function}"));
    let first = frames.iter().rposition(is_function).map_or(0, |at| at + 1);
    let goes_on = |frame: &&Vec<&str>| {
        let name = name(frame);
        !["__libc_start", "_start", "start_thread", "clone3"].iter().any(|start| name.starts_with(start))
            && !["__rust_begin_short_backtrace", "FnOnce::call_once"].iter().any(|part| name.contains(part))
    };
    // A callback that calls again has frames of the simulator below it.
    let is_own = |frame: &&Vec<&str>| {
        let name = frame[0].trim_start_matches('<');
        !["ascendcl_sim::", "core::", "std::", "__rust_try"].iter().any(|start| name.starts_with(start))
    };
    let printed = frames[first..].iter().take_while(goes_on).filter(is_own).take(PRINTED).enumerate();
    printed.map(|(number, frame)| format!("    {number}: {}\n", frame.join(" "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_of_the_program_are_printed() {
        let text = "   0: ascendcl_sim::check::call_site::here\n             at src/check.rs:1:2\n   1: aclrtMalloc\n   2: work\n             \
                    at main.c:7\n   3: main\n   4: __libc_start_call_main\n   5: _start\n";
        assert_eq!(outside(text, "aclrtMalloc"), "    0: work at main.c:7\n    1: main\n");
        let text = "   0: aclrtMalloc\n   1: wait\n   2: ascendcl_sim::core::report::Group::run\n   3: std::panicking::catch_unwind\n   \
                    4: aclrtProcessReport\n   5: serve\n   6: start_thread\n";
        assert_eq!(outside(text, "aclrtMalloc"), "    0: wait\n    1: aclrtProcessReport\n    2: serve\n");
        assert_eq!(outside("", "aclrtMalloc"), "");
    }
}
