//! Tests that need a process of their own: the test program runs itself again, with a role.

use super::watchdog::patience;
use std::{
    env,
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

const ROLE: &str = "ASCENDCL_TEST_ROLE";

/// How long a child may take. Nothing waits for it to pass; it ends what hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a forked child may: less than the watchdog of the test that waits for it.
const FORKED_PATIENCE: Duration = Duration::from_secs(50);

/// What this process is to do, if it is a child.
pub fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// What came of a child.
#[derive(Debug)]
pub struct Ended {
    /// `None` if it hung and was killed.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Demands that the child ended by itself, with exit code 0.
    #[track_caller]
    pub fn success(self) -> Ended {
        self.code(0)
    }

    /// Demands that the child ended by itself, with this exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Ended {
        assert_eq!(self.status.and_then(|status| status.code()), Some(code), "{self:#?}");
        self
    }

    /// Demands that this signal ended the child.
    #[track_caller]
    pub fn signal(self, signal: i32) -> Ended {
        assert_eq!(self.status.and_then(|status| status.signal()), Some(signal), "{self:#?}");
        self
    }

    /// Demands that the child wrote this to its standard error.
    #[track_caller]
    pub fn said(self, text: &str) -> Ended {
        assert!(self.stderr.contains(text), "{text:?} is missing: {self:#?}");
        self
    }

    /// Demands that it did not.
    #[track_caller]
    pub fn silent_about(self, text: &str) -> Ended {
        assert!(!self.stderr.contains(text), "{text:?} is there: {self:#?}");
        self
    }
}

/// Runs this test program again in a role: only its test `child`, which plays it.
pub fn run(role: &str, environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env::current_exe().expect("a process knows its program"));
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    for name in
        ["ASCENDCL_BACKEND", "ASCENDCL_LIBRARY", "ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "LD_LIBRARY_PATH"]
    {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    wait(command)
}

fn read(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = from.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Runs a program to its end and that of what it has started, or kills them when they hang.
pub fn wait(mut command: Command) -> Ended {
    // Many are meant to abort, and nobody wants their memory.
    // SAFETY: setrlimit is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &none);
            Ok(())
        });
    }
    let patience = patience(PATIENCE);
    let mut child = command
        // Its own group, so that whatever it has started can be ended with it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program can be started");
    let stdout = read(child.stdout.take().expect("it is piped"));
    let stderr = read(child.stderr.take().expect("it is piped"));
    let start = Instant::now();
    let status = loop {
        let status = child.try_wait().expect("a child can be waited for");
        // A child of the child may hold the pipes longer than it does.
        if status.is_some() && stdout.is_finished() && stderr.is_finished() {
            break status;
        }
        if start.elapsed() > patience {
            kill_group(child.id());
            let _ = child.wait();
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ended { status, stdout: text(stdout, status.is_some()), stderr: text(stderr, status.is_some()) }
}

/// What was read. After a child that hung nobody waits for it: one of another group may hold the pipe still.
fn text(reader: thread::JoinHandle<String>, ended: bool) -> String {
    if !ended {
        thread::sleep(Duration::from_millis(500));
        if !reader.is_finished() {
            return "(still open)".into();
        }
    }
    reader.join().unwrap_or_default()
}

/// Ends what is left of a group of processes.
fn kill_group(group: u32) {
    let group = libc::pid_t::try_from(group).expect("the number of a process");
    // SAFETY: a group that this process has made; as long as one of it is there, the number is not used again.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Waits for a child that this process has forked, which is to end by itself and well, and kills it when it hangs.
#[track_caller]
pub fn reap(pid: libc::pid_t) {
    assert!(pid > 0, "a process can be forked");
    let (mut status, start, patience) = (0, Instant::now(), patience(FORKED_PATIENCE));
    loop {
        // SAFETY: a child of this process, and a valid place for the answer.
        match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
            0 => {}
            reaped => {
                assert_eq!(reaped, pid, "{}", std::io::Error::last_os_error());
                break;
            }
        }
        if start.elapsed() > patience {
            // Not a signal that it could keep from itself.
            // SAFETY: it was not waited for, so the number is still its own.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, &mut status, 0);
            }
            panic!("the forked child hangs: not finished after {patience:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(status, 0, "the forked child failed or crashed");
}
