//! Waits for what other processes do, or the host with a plain store: nobody tells us, so a thread looks.
//!
//! The thread sleeps while there is nothing to look at. What happens inside this process is told at once and does not depend on it.

use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use crate::lock::{Condvar, Mutex};
use crate::own_thread;

/// Looks come soon at first and then less often.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(1);

/// Something to look at.
pub(super) trait Watched: Send + Sync {
    /// Looks whether waits are over and wakes those; true as long as waits are left.
    fn look(&self) -> bool;
}

struct Watch {
    all: Vec<Arc<dyn Watched>>,
    /// Something was added since the last look.
    fresh: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch { all: Vec::new(), fresh: false });
static ADDED: Condvar = Condvar::new();

/// Looks at `watched` from now on, as long as it has waits. Called with no lock held, after the wait was noted.
pub(super) fn watch(watched: Arc<dyn Watched>) {
    static START: Once = Once::new();
    START.call_once(|| {
        if let Err(error) = own_thread::start("ascendcl-sim-poll", run) {
            log::error!("cannot start the thread that looks at shared memory: {error}");
        }
    });
    let mut watch = WATCH.lock();
    if !watch.all.iter().any(|known| Arc::ptr_eq(known, &watched)) {
        watch.all.push(watched);
    }
    watch.fresh = true;
    drop(watch);
    ADDED.notify_one();
}

fn run() {
    let mut pause = SHORTEST;
    loop {
        let (mut watch, _) = ADDED.wait_while(WATCH.lock(), None, |watch| watch.all.is_empty());
        if std::mem::take(&mut watch.fresh) {
            pause = SHORTEST;
        }
        // Under the lock: whoever adds a wait to something that is about to be forgotten adds it here again afterwards.
        let mut gone = Vec::new();
        watch.all.retain(|watched| {
            let keep = watched.look();
            if !keep {
                gone.push(Arc::clone(watched));
            }
            keep
        });
        drop(watch);
        // The last reference may unmap shared memory: not under the lock.
        drop(gone);
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
}
