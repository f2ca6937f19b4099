//! The service as a process of its own, on the simulator.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Nothing takes so long, also on a machine under load.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Server {
    child: Child,
    url: String,
    output: Option<JoinHandle<String>>,
    errors: Option<JoinHandle<String>>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub output: String,
    pub errors: String,
    pub accepted: usize,
    pub answered: usize,
}

impl Server {
    /// Starts it on a free port, and waits until it listens.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let (mut server, listening) = Server::spawn(arguments, environment);
        match listening.recv_timeout(PATIENCE) {
            Ok(url) => server.url = url,
            Err(_) => panic!("it does not listen: {:?}", server.kill()),
        }
        server
    }

    /// Runs it to its end.
    pub fn run(arguments: &[&str]) -> Ended {
        Server::spawn(arguments, &[]).0.wait()
    }

    fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> (Server, Receiver<String>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
        // Nothing of the environment changes what is simulated, or who answers.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_none_or(|name| name.starts_with("ASCEND")) {
                command.env_remove(name);
            }
        }
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        command
            .env("ASCENDCL_BACKEND", "sim")
            .env("ASCENDCL_SIM_LEAKS", "report")
            .envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the service starts");
        let (sender, listening) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let output = thread::spawn(move || {
            let mut text = String::new();
            for line in output.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _ = sender.send(url.to_owned());
                }
                text += &line;
                text.push('\n');
            }
            text
        });
        let mut errors = child.stderr.take().expect("it is piped");
        let errors = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text).unwrap_or_default()
        });
        (Server { child, url: String::new(), output: Some(output), errors: Some(errors) }, listening)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        // By the shell, which has this built in.
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "{kill}");
    }

    /// Asks it to stop, and waits for that.
    pub fn stop(self) -> Ended {
        self.terminate();
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Ended {
        let start = Instant::now();
        let success = loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                break status.success();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {:?}", self.kill());
            thread::sleep(Duration::from_millis(5));
        };
        let (output, errors) = self.texts();
        assert!(!errors.contains("leak"), "{errors}");
        assert!(!errors.contains("ascendcl-sim:"), "the simulator has something to report: {errors}");
        // "accepted 5 pictures, answered 5"
        let counts = output.lines().find_map(|line| line.strip_prefix("accepted ")).unwrap_or_default();
        let mut counts = counts.split(" pictures, answered ").map(|count| count.parse().unwrap_or(0));
        let (accepted, answered) = (counts.next().unwrap_or(0), counts.next().unwrap_or(0));
        Ended { success, output, errors, accepted, answered }
    }

    fn kill(&mut self) -> (String, String) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.texts()
    }

    /// What it has printed. It has ended.
    fn texts(&mut self) -> (String, String) {
        let text = |reader: &mut Option<JoinHandle<String>>| {
            reader.take().map_or(String::new(), |reader| reader.join().expect("it only reads"))
        };
        (text(&mut self.output), text(&mut self.errors))
    }
}

impl Drop for Server {
    /// A test has failed: nothing is left behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
