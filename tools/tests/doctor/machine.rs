//! Machines that there are not: a folder with what an installation has, and the doctor looking at it.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Where the toolkit is.
pub const HOME: &str = "/usr/local/Ascend/ascend-toolkit/latest";
/// How long the doctor may take: steps have one second each, where that matters.
const PATIENCE: Duration = Duration::from_secs(300);

/// A file system and an environment.
pub struct Machine {
    pub root: PathBuf,
    variables: BTreeMap<String, String>,
    limit: u32,
}

/// What the doctor said.
pub struct Said {
    pub code: Option<i32>,
    pub json: Value,
}

impl Machine {
    /// Nothing at all.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("machine-{}-{number}", std::process::id());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&root).unwrap();
        let machine = Self { root, variables: BTreeMap::new(), limit: 120 };
        // Somebody, on a machine that is no container, whatever this one is.
        machine.file(
            "/proc/self/status",
            "Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n",
        );
        machine.file("/proc/1/cgroup", "0::/init.scope\n");
        machine.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");
        machine
    }

    /// A card, its driver and a toolkit with the simulator as its library, under a name that does not tell.
    pub fn whole() -> Self {
        let machine = Self::new();
        machine.card();
        machine.toolkit(HOME, "8.1.RC1");
        machine.stand_in(&format!("{HOME}/lib64"));
        machine.with("ASCEND_HOME_PATH", HOME).with("ASCEND_OPP_PATH", format!("{HOME}/opp"))
    }

    /// Nodes that everybody may use, the driver and its tool.
    pub fn card(&self) {
        for name in ["davinci0", "davinci1", "davinci_manager", "devmm_svm", "hisi_hdc"] {
            self.node(name, 0o666);
        }
        self.file("/usr/local/Ascend/driver/version.info", "Version=24.1.rc1\n");
        self.file("/usr/local/bin/npu-smi", "");
    }

    /// A node; a plain file stands for it.
    pub fn node(&self, name: &str, mode: u32) {
        let path = self.file(&format!("/dev/{name}"), "");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What a toolkit has besides libraries.
    pub fn toolkit(&self, home: &str, version: &str) {
        let arch = env::consts::ARCH;
        self.file(
            &format!("{home}/{arch}-linux/ascend_toolkit_install.info"),
            format!("version={version}\n"),
        );
        self.file(&format!("{home}/opp/version.info"), format!("Version={version}\n"));
        self.file(&format!("{home}/set_env.sh"), "");
    }

    /// A library that works and does not look like the simulator: it has none of its functions, but needs it.
    pub fn stand_in(&self, folder: &str) {
        // Below it, as both have the same name; what is called runtime is a part of an installation.
        let real = self.folder(&format!("{folder}/runtime"));
        place(&cdylib(), &real.join("libascendcl.so"));
        let link = real.display().to_string();
        let flags = [
            "-L",
            &link,
            "-Clink-arg=-Wl,--no-as-needed",
            "-Clink-arg=-lascendcl",
            "-Clink-arg=-Wl,-rpath,$ORIGIN/runtime",
            // The loader would take the one for the other.
            "-Clink-arg=-Wl,-soname,libstand_in.so",
        ];
        compile(&self.at(&format!("{folder}/libascendcl.so")), "", &flags);
    }

    /// A library without functions that needs another one of the same folder, and finds it only where the loader looks.
    pub fn needing(&self, needed: &str, file: &str) {
        let path = self.at(file);
        let folder = path.parent().unwrap().display().to_string();
        let library = format!("-Clink-arg=-l:{needed}");
        compile(&path, "", &["-L", &folder, "-Clink-arg=-Wl,--no-as-needed", &library]);
    }

    /// The simulator itself as the library.
    pub fn simulator(&self, folder: &str) {
        place(&cdylib(), &self.folder(folder).join("libascendcl.so"));
    }

    /// A library of functions without parameters, written in Rust without its standard library.
    pub fn library(&self, file: &str, source: &str) -> PathBuf {
        let path = self.at(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        compile(&path, source, &[]);
        path
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub fn folder(&self, path: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn link(&self, path: &str, target: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// How many seconds each step may take.
    pub fn limit(mut self, seconds: u32) -> Self {
        self.limit = seconds;
        self
    }

    /// The doctor's command, in this environment and no other.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ascendcl-doctor"));
        command.env_clear().envs(&self.variables).arg("--root").arg(&self.root);
        command.arg("--timeout").arg(self.limit.to_string()).args(arguments);
        command
    }

    pub fn ask(&self) -> Said {
        self.ask_with(&[])
    }

    pub fn ask_with(&self, arguments: &[&str]) -> Said {
        let started = Instant::now();
        let output = self.command(&[&["--json"], arguments].concat()).output().unwrap();
        assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
        let text = String::from_utf8_lossy(&output.stdout);
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"));
        let said = Said { code: output.status.code(), json };
        assert_eq!(said.code == Some(0), said.json["fine"] == true, "{}", said.json);
        said
    }

    /// The text for people.
    pub fn text(&self) -> String {
        String::from_utf8(self.command(&[]).output().unwrap().stdout).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Said {
    /// Names of the findings of a severity.
    pub fn ids(&self, severity: &str) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["severity"] == severity)
            .filter_map(|finding| finding["id"].as_str())
            .collect()
    }

    pub fn problems(&self) -> Vec<&str> {
        self.ids("problem")
    }

    /// One finding: its text, and the command that mends it.
    pub fn finding(&self, id: &str) -> (String, &str) {
        let findings = self.json["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["id"] == id);
        let finding = finding.unwrap_or_else(|| panic!("no {id} in {:#}", self.json["findings"]));
        assert!(!finding["why"].as_str().unwrap().is_empty(), "{finding}");
        let text = ["what", "why", "mend"].map(|key| finding[key].as_str().unwrap_or_default()).join(" | ");
        (text, finding["command"].as_str().unwrap_or_default())
    }
}

/// The simulator's cdylib, which cargo builds for the tests.
pub fn cdylib() -> PathBuf {
    let program = env::current_exe().unwrap();
    let path = program.parent().unwrap().join("libascendcl_sim.so");
    assert!(path.is_file(), "{} is missing: run the tests with cargo, which builds it", path.display());
    path
}

/// Another name of a file, or a copy where there can be none.
fn place(file: &Path, at: &Path) {
    if fs::hard_link(file, at).is_err() {
        fs::copy(file, at).unwrap();
    }
}

/// Compiles a library: the one tool that is there for sure is the compiler that made this test.
fn compile(path: &Path, source: &str, flags: &[&str]) {
    let input = path.with_extension("rs");
    let head = "#![no_std]\n#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! { loop {} }\n";
    fs::write(&input, format!("{head}{source}")).unwrap();
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(["--edition=2024", "--crate-type=cdylib", "--crate-name=made_for_a_test", "-Cpanic=abort"]);
    let output = command.args(flags).arg("-o").arg(path).arg(&input).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(input).unwrap();
}
