//! Tests that need a process of their own: the test program runs itself again, with a role.

use std::{
    env,
    io::Read,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

const ROLE: &str = "ASCENDCL_TEST_ROLE";

/// How long a child may take. Nothing waits for it to pass; it ends what hangs.
const PATIENCE: Duration = Duration::from_secs(40);

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
        assert!(self.status.is_some_and(|status| status.success()), "{self:#?}");
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

/// Runs a program to its end, or kills it when it hangs.
pub fn wait(mut command: Command) -> Ended {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program can be started");
    let stdout = read(child.stdout.take().expect("it is piped"));
    let stderr = read(child.stderr.take().expect("it is piped"));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break Some(status),
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    Ended { status, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default() }
}
