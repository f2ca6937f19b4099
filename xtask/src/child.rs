//! This program again, in a process of its own, ended when it hangs.

use std::{
    env,
    io::Read,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::error::Error;

/// How such a process ended.
pub struct Ended {
    /// `None` when it hung and was killed.
    pub status: Option<ExitStatus>,
    pub output: String,
    pub errors: String,
}

/// Runs it with these arguments, for no longer than `patience`. Nothing of the environment changes what is simulated, or who answers.
pub fn run(arguments: &[&str], environment: &[(&str, &str)], patience: Duration) -> Result<Ended, Error> {
    let failed = |error: std::io::Error| Error::new(format!("cannot start a process: {error}"));
    let mut command = Command::new(env::current_exe().map_err(failed)?);
    for (name, _) in env::vars_os() {
        if name.to_str().is_none_or(|name| name.starts_with("ASCEND")) {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let output = child.stdout.take().map(read);
    let errors = child.stderr.take().map(read);
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break Some(status),
            None if began.elapsed() > patience => {
                // It may have ended in between.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(if began.elapsed().as_secs() < 1 { 3 } else { 50 })),
        }
    };
    let text = |reader: Option<thread::JoinHandle<String>>| {
        reader.map_or(String::new(), |reader| reader.join().unwrap_or_default())
    };
    Ok(Ended { status, output: text(output), errors: text(errors) })
}

fn read(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        // What was read before an error is worth as much.
        let _ = from.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}
