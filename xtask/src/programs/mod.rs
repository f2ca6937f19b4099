//! `programs`: the C and C++ programs of `ascendcl-sim/programs`, compiled against real headers, linked with the installed simulator and
//! run on every kind of chip.

mod compile;
mod models;
mod run;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{bindings, error::Error, install, workspace};

/// The first and the last of the pinned generations: what lies between them has nothing that neither of them has.
const GENERATIONS: [&str; 2] = ["1.2.0", "1.17.0"];

/// What to run.
pub struct Request {
    /// Include folders; none means the pinned generations.
    pub headers: Vec<PathBuf>,
    /// Profiles; none means all.
    pub profiles: Vec<String>,
    /// Names of programs without their extension; none means all.
    pub names: Vec<String>,
}

/// One program with one set of headers on one chip.
struct Job<'a> {
    program: &'a Path,
    headers: &'a (String, PathBuf),
    profile: &'a str,
}

/// Compiles and runs; `false` if a program failed. Prints what failed.
pub fn run(request: &Request) -> Result<bool, Error> {
    let cache = workspace::cache();
    let home = cache.join("sim");
    install::fresh(&home)?;
    let headers = headers(request)?;
    let programs = programs(request)?;
    let profiles = profiles(request)?;

    let models = cache.join("programs/models");
    models::write(&models)?;
    let surroundings = run::Surroundings { home: &home, models: &models };
    let compiled = compile::all(&programs, &headers, &home.join("lib64"), &cache.join("programs"))?;
    let mut jobs = Vec::new();
    for program in &programs {
        for headers in &headers {
            jobs.extend(profiles.iter().map(|profile| Job { program, headers, profile }));
        }
    }
    let outcomes =
        in_parallel(&jobs, |job| match &compiled[&(job.program.to_owned(), job.headers.0.clone())] {
            Ok(binary) => run::one(binary, &surroundings, job.profile),
            Err(text) => run::Outcome::Failed(format!("it does not build:\n{text}")),
        });

    let mut told = BTreeMap::new();
    let (mut passed, mut lacking, mut failed) = (0, 0, 0);
    for (job, outcome) in jobs.iter().zip(outcomes) {
        match outcome {
            run::Outcome::Passed => passed += 1,
            run::Outcome::NotOnThisChip => lacking += 1,
            run::Outcome::Failed(text) => {
                failed += 1;
                // The same on every chip is told once.
                let key = (job.program, &job.headers.0, text);
                told.entry(key).or_insert_with(Vec::new).push(job.profile);
            }
        }
    }
    for ((program, headers, text), profiles) in &told {
        println!("{} with the headers of {headers} on {}: {text}", program.display(), profiles.join(", "));
    }
    println!(
        "{} programs, {} sets of headers, {} chips: {passed} runs passed, {lacking} ended early on a chip that lacks what they are about, \
         {failed} failed",
        programs.len(),
        headers.len(),
        profiles.len()
    );
    Ok(failed == 0)
}

fn headers(request: &Request) -> Result<Vec<(String, PathBuf)>, Error> {
    if request.headers.is_empty() {
        let pinned = bindings::headers()?.into_iter();
        let chosen = pinned.filter(|(acl, _)| GENERATIONS.contains(acl));
        return Ok(chosen.map(|(acl, folder)| (format!("ACL {acl}"), folder)).collect());
    }
    let named = request.headers.iter().map(|folder| {
        if folder.join("acl/acl.h").is_file() {
            Ok((folder.display().to_string(), folder.clone()))
        } else {
            Err(Error::new(format!("{} holds no acl/acl.h", folder.display())))
        }
    });
    named.collect()
}

fn profiles(request: &Request) -> Result<Vec<&str>, Error> {
    let known = ascendcl_sim::Profile::NAMES;
    if let Some(unknown) = request.profiles.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Error::new(format!("{unknown} is no profile: use one of {}", known.join(", "))));
    }
    if request.profiles.is_empty() {
        return Ok(known.to_vec());
    }
    Ok(request.profiles.iter().map(String::as_str).collect())
}

fn programs(request: &Request) -> Result<Vec<PathBuf>, Error> {
    let folder = workspace::root().join("ascendcl-sim/programs");
    let entries = fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, e))?;
    let mut programs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    programs.retain(|path| path.extension().is_some_and(|e| e == "c" || e == "cpp"));
    programs.sort();
    let stem =
        |path: &PathBuf| path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(unknown) = request.names.iter().find(|&name| programs.iter().all(|path| stem(path) != *name))
    {
        return Err(Error::new(format!("there is no program `{unknown}` in {}", folder.display())));
    }
    if !request.names.is_empty() {
        programs.retain(|path| request.names.contains(&stem(path)));
    }
    Ok(programs)
}

/// Does `work` for each of `jobs` on as many threads as there are processors; the answers are in the order of the jobs.
fn in_parallel<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, job)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, jobs.get(i)?)))
                {
                    let answer = work(job);
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
