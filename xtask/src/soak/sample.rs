//! What the process holds: memory, threads, file descriptors.

use std::{
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::ledger::Ledger;

/// The process at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the beginning, in seconds.
    pub at: f64,
    /// Pieces of work so far.
    pub work: u64,
    /// Resident, in bytes.
    pub resident: f64,
    /// What the program has from the allocator, in bytes: without what the allocator keeps for later.
    pub heap: f64,
    pub threads: f64,
    pub files: f64,
    /// Objects of ACL that are alive.
    pub handles: f64,
}

impl Sample {
    fn take(at: Duration, work: u64) -> Self {
        Self {
            at: at.as_secs_f64(),
            work,
            resident: resident(),
            heap: heap(),
            threads: entries("/proc/self/task"),
            // One of them is the folder that is being read.
            files: entries("/proc/self/fd") - 1.0,
            handles: ascendcl_sim::live().len() as f64,
        }
    }

    /// When threads that are ending have ended: the least of a second.
    pub fn settled(at: Duration) -> Self {
        let first = Self::take(at, 0);
        (0..20).fold(first, |least, _| {
            thread::sleep(Duration::from_millis(50));
            let next = Self::take(at, 0);
            Self {
                resident: least.resident.min(next.resident),
                heap: least.heap.min(next.heap),
                threads: least.threads.min(next.threads),
                files: least.files.min(next.files),
                ..next
            }
        })
    }
}

fn resident() -> f64 {
    let pages = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()));
    // SAFETY: it only answers a question.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(f64::NAN) * page as f64
}

fn heap() -> f64 {
    // SAFETY: it only answers a question.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as f64
}

fn entries(folder: &str) -> f64 {
    fs::read_dir(folder).map_or(f64::NAN, |entries| entries.count() as f64)
}

/// Looks at the process while it works.
pub struct Tracker {
    began: Instant,
    ledger: Arc<Ledger>,
    /// Work that was done before.
    earlier: u64,
    pub samples: Vec<Sample>,
    said: usize,
}

impl Tracker {
    pub fn new(ledger: &Arc<Ledger>) -> Self {
        Self {
            began: Instant::now(),
            ledger: ledger.clone(),
            earlier: ledger.total(),
            samples: Vec::new(),
            said: 0,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Pieces of work since the beginning.
    pub fn work(&self) -> u64 {
        self.ledger.total() - self.earlier
    }

    pub fn look(&mut self) {
        self.samples.push(Sample::take(self.began.elapsed(), self.work()));
    }

    /// What there is to say since the last time.
    pub fn line(&mut self) -> String {
        let Some(now) = self.samples.last().copied() else { return String::new() };
        let (then, work) = match self.said {
            0 => (0.0, 0),
            said => self.samples.get(said - 1).map_or((0.0, 0), |sample| (sample.at, sample.work)),
        };
        self.said = self.samples.len();
        format!(
            "{:>6.0} s  {:>7.0} operations/s  {:>6.1} MiB resident  {:>6.1} MiB heap  {:>5} handles  {:>3} threads  {:>3} files  {} wrong",
            now.at,
            (now.work - work) as f64 / (now.at - then).max(1e-3),
            now.resident / MIB,
            now.heap / MIB,
            now.handles,
            now.threads,
            now.files,
            self.ledger.wrongs().0,
        )
    }
}

pub const MIB: f64 = 1024.0 * 1024.0;
