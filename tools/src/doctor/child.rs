//! Processes with a time limit: what hangs or crashes is a finding, and not the end of the doctor.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// What is kept of what a process says.
const MOST_SAID: usize = 4096;
const MOST_LINE: u64 = 1 << 20;
/// How long a process that was killed is waited for. One in the kernel's hands may never end.
const KILLED: Duration = Duration::from_secs(3);

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) succeeded: bool,
    /// In words, if it did not end by itself with success.
    pub(crate) how: Option<String>,
    /// The end of what it wrote to standard error, or to standard output if it wrote nothing else.
    pub(crate) said: String,
}

/// A process whose lines are read one by one.
pub(crate) struct Talker {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    started: Instant,
}

/// What comes of waiting for a line.
pub(crate) enum Heard {
    Line(String),
    /// It said nothing for as long as that.
    Silence,
    /// It says no more.
    End,
}

impl Talker {
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Talker> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let lines = listen(child.stdout.take());
        let errors = listen(child.stderr.take());
        Ok(Talker { child, lines, errors, started: Instant::now() })
    }

    pub(crate) fn hear(&self, limit: Duration) -> Heard {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Heard::Line(line),
            Err(RecvTimeoutError::Timeout) => Heard::Silence,
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }

    /// Waits for the end, and makes one if it does not come.
    pub(crate) fn end(mut self, limit: Duration) -> Ended {
        let (status, killed) = match wait(&mut self.child, limit) {
            Some(status) => (Some(status), false),
            None => {
                // It may have ended meanwhile.
                let _ = self.child.kill();
                (wait(&mut self.child, KILLED), true)
            }
        };
        let mut said = String::new();
        // Its own children may hold the pipe; what has come by now is enough.
        while let Ok(line) = self.errors.recv_timeout(Duration::from_millis(100)) {
            if !said.is_empty() {
                said.push('\n');
            }
            said.push_str(&line);
            if said.len() > 2 * MOST_SAID {
                said = tail(&said);
            }
        }
        let took = self.started.elapsed().as_secs();
        let how = match status {
            None => Some(format!("cannot be killed, {took} s after its start: the driver holds it")),
            Some(_) if killed => Some(format!("was killed {took} s after its start")),
            Some(status) if status.success() => None,
            Some(status) => Some(status_text(status)),
        };
        Ended { succeeded: how.is_none(), how, said: tail(&said) }
    }
}

/// Runs a program to its end.
pub(crate) fn output(program: &Path, arguments: &[&str], limit: Duration) -> Ended {
    let talker = match Talker::start(Command::new(program).args(arguments)) {
        Ok(talker) => talker,
        Err(error) => {
            return Ended {
                succeeded: false,
                how: Some(format!("cannot be run: {error}")),
                said: error.to_string(),
            };
        }
    };
    let (started, mut said) = (Instant::now(), String::new());
    while let Some(left) = limit.checked_sub(started.elapsed())
        && let Heard::Line(line) = talker.hear(left)
    {
        said = tail(&format!("{said}{line}\n"));
    }
    let mut ended = talker.end(limit.saturating_sub(started.elapsed()));
    if ended.said.is_empty() {
        ended.said = match &ended.how {
            Some(how) if said.is_empty() => how.clone(),
            _ => said.trim_end().to_owned(),
        };
    }
    ended
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
            _ => return None,
        }
    }
}

/// The lines of a pipe, read by a thread of its own, which ends with the pipe.
fn listen(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, lines) = mpsc::sync_channel(1000);
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                match reader.by_ref().take(MOST_LINE).read_until(b'\n', &mut line) {
                    Ok(1..) => {}
                    _ => return,
                }
                let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    lines
}

fn status_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => {
            let name = match signal {
                4 => " (illegal instruction)",
                6 => " (abort)",
                7 => " (bus error)",
                8 => " (arithmetic error)",
                9 => " (killed)",
                11 => " (segmentation fault)",
                _ => "",
            };
            format!("died of signal {signal}{name}")
        }
        None => format!("ended with code {}", status.code().unwrap_or(-1)),
    }
}

/// The end of a text.
fn tail(text: &str) -> String {
    let mut from = text.len().saturating_sub(MOST_SAID);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}
