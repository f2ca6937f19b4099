//! Runs the cases. The usual harness plays every test on a thread of its own; these children need the main thread.

use std::{
    env,
    panic::catch_unwind,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A case: its name, and what it does.
pub type Case = (&'static str, fn());

/// Children mostly wait: so many at a time.
const THREADS: usize = 4;

/// Understands what `cargo test` is usually given: parts of names, `--exact`, `--list`, `--test-threads`.
pub fn run(cases: &[Case]) -> ExitCode {
    let (mut filters, mut exact, mut list, mut threads) = (Vec::new(), false, false, THREADS);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), argument.split_once('=')) {
            ("--exact", _) => exact = true,
            ("--list", _) => list = true,
            ("--test-threads", _) => {
                threads = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(THREADS)
            }
            (_, Some(("--test-threads", n))) => threads = n.parse().unwrap_or(THREADS),
            (option, _) if option.starts_with('-') => {}
            _ => filters.push(argument),
        }
    }
    let wanted = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|f| if exact { name == f } else { name.contains(f.as_str()) })
    };
    let chosen: Vec<&Case> = cases.iter().filter(|(name, _)| wanted(name)).collect();
    if list {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, 64) {
            scope.spawn(|| {
                while let Some((name, case)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let passed = catch_unwind(case).is_ok();
                    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                    if !passed {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {} passed; {} failed: {failed:?}\n",
        chosen.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}
