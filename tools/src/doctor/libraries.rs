//! Where ACL is looked for, and what is there: the search is that of the loader, the files are read and not loaded.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::consts::ARCH,
    path::{Path, PathBuf},
};

use ascendcl_sys::{Library as Loader, Search};
use serde::Serialize;

use super::elf::{Library, Wrong};
use super::finding::Finding;
use super::system::{System, folders, variable};

/// Where drivers keep their libraries.
const DRIVER_FOLDERS: [&str; 3] = [
    "/usr/local/Ascend/driver/lib64",
    "/usr/local/Ascend/driver/lib64/common",
    "/usr/local/Ascend/driver/lib64/driver",
];
/// The driver's library that everything else needs.
const DRIVER_LIBRARY: &str = "libascend_hal.so";
/// Libraries that every Linux has.
const SYSTEM: [&str; 7] =
    ["ld-linux", "libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libgcc_s.so"];
/// Libraries that need libraries, all together.
const MOST_NEEDED: usize = 1000;

/// What is known of libraries.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Libraries {
    /// The files that the loader tries, in its order, to the first that is there.
    pub tried: Vec<Tried>,
    /// The first one that is there.
    pub found: Option<PathBuf>,
    /// Whether it is the simulator.
    pub is_simulator: bool,
    /// The other libraries with functions of ACL beside it, and whether they are there.
    pub beside: BTreeMap<&'static str, bool>,
    /// Installations in all usual places.
    pub installations: Vec<PathBuf>,
    /// Libraries that some library needs and that are nowhere: the library, and which one needs it.
    pub missing: Vec<(String, String)>,
    #[serde(skip)]
    stub: bool,
    #[serde(skip)]
    wrong: Option<Wrong>,
    #[serde(skip)]
    architecture: Option<String>,
}

/// A file that the loader tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tried {
    /// The file, or its name where the dynamic loader searches.
    pub path: PathBuf,
    /// Why it is tried.
    pub origin: String,
    /// What is there.
    pub there: String,
}

/// Looks at everything that the search leads to.
pub(crate) fn examine(system: &System, search: &Search) -> Libraries {
    let mut libraries = Libraries { installations: installations(system), ..Libraries::default() };
    for candidate in search.candidates() {
        let places = match &candidate.folder {
            Some(_) => vec![candidate.path.clone()],
            None => loader_folders(system)
                .into_iter()
                .map(|folder| system.at(folder).join(&candidate.path))
                .collect(),
        };
        let file = places.into_iter().find(|path| path.symlink_metadata().is_ok());
        let shown =
            if candidate.folder.is_some() { system.name(&candidate.path) } else { candidate.path.clone() };
        let tried = |there: String| Tried { path: shown.clone(), origin: candidate.origin.clone(), there };
        let Some(file) = file else {
            libraries.tried.push(tried("nothing".into()));
            continue;
        };
        let there = libraries.look_at(system, &file);
        libraries.tried.push(tried(there));
        break;
    }
    libraries
}

/// Stubs for linking lie in folders of these names.
pub(crate) fn is_stub(path: &Path) -> bool {
    path.parent().is_some_and(|folder| {
        folder.components().any(|part| matches!(part.as_os_str().to_str(), Some("stub" | "stubs" | "devlib")))
    })
}

/// The installation that a library belongs to, by the path alone: the folder above all that are named after parts and processors.
pub(crate) fn installation(library: &Path) -> Option<PathBuf> {
    let mut folder = library.parent()?;
    loop {
        let name = folder.file_name()?.to_str()?;
        let is_part =
            matches!(name, "lib64" | "stub" | "stubs" | "devlib" | "runtime" | "acllib" | "compiler");
        if !is_part && !name.ends_with("-linux") {
            return Some(folder.to_owned());
        }
        folder = folder.parent()?;
    }
}

/// Where the dynamic loader looks, as far as that can be told from outside.
pub(crate) fn loader_folders(system: &System) -> Vec<PathBuf> {
    let mut found = folders("LD_LIBRARY_PATH");
    let mut files = vec!["/etc/ld.so.conf".to_owned()];
    files.extend(system.list("/etc/ld.so.conf.d").iter().map(|name| format!("/etc/ld.so.conf.d/{name}")));
    for file in files {
        let text = system.read(file).unwrap_or_default();
        found.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    found.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from));
    found.extend(["/lib", "/usr/lib"].map(|folder| format!("{folder}/{ARCH}-linux-gnu").into()));
    found
}

/// Libraries that are needed, directly or not, and that nothing leads to.
fn missing(system: &System, folder: &Path, library: &Library, name: &Path) -> Vec<(String, String)> {
    let mut places = vec![folder.to_owned()];
    places.extend(loader_folders(system).into_iter().map(|folder| system.at(folder)));
    let (mut known, mut missing) = (BTreeSet::new(), Vec::new());
    let mut waiting: Vec<(String, String)> =
        library.needed.iter().map(|needed| (needed.clone(), file_name(name))).collect();
    while let Some((needed, by)) = waiting.pop() {
        let is_system = SYSTEM.iter().any(|name| needed.starts_with(name));
        if is_system || known.len() == MOST_NEEDED || !known.insert(needed.clone()) {
            continue;
        }
        let files = places.iter().map(|folder| folder.join(&needed));
        match files.filter(|file| file.is_file()).find_map(|file| Library::read(&file).ok()) {
            Some(library) => waiting.extend(library.needed.into_iter().map(|next| (next, needed.clone()))),
            None => missing.push((needed, by)),
        }
    }
    missing.sort();
    missing
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Folders that look like an installation, wherever installers put one.
fn installations(system: &System) -> Vec<PathBuf> {
    let mut bases = vec![PathBuf::from("/usr/local/Ascend")];
    bases.extend(variable("HOME").map(|home| Path::new(&home).join("Ascend")));
    let mut found = BTreeSet::new();
    for base in bases {
        for name in system.list(&base) {
            let folder = base.join(&name);
            let inner = match name.as_str() {
                "ascend-toolkit" | "nnrt" | "nnae" => {
                    system.list(&folder).into_iter().map(|version| folder.join(version)).collect()
                }
                name if name.starts_with("cann") => vec![folder],
                _ => continue,
            };
            for home in inner {
                let folders = [home.join("lib64"), home.join(format!("{ARCH}-linux/lib64"))];
                let names = ["libascendcl.so", "libacl_rt.so"];
                let mut files = folders.iter().flat_map(|folder| names.map(|name| folder.join(name)));
                // `latest`, and links in it, are the version that they lead to.
                found.extend(files.find_map(|file| installation(&system.real(file)?)));
            }
        }
    }
    found.into_iter().collect()
}

/// The file that sets up an installation's environment.
pub(crate) fn set_env(system: &System, home: &Path) -> Option<PathBuf> {
    let folders = [Some(home), home.parent()];
    folders.into_iter().flatten().map(|folder| folder.join("set_env.sh")).find(|file| system.is_file(file))
}

impl Libraries {
    /// Takes this file as the one that the loader takes. Says what is there.
    fn look_at(&mut self, system: &System, file: &Path) -> String {
        let name = system.name(file);
        let there = match Library::read(file) {
            Ok(library) => {
                self.is_simulator = library.is_simulator();
                self.stub =
                    is_stub(&system.real(&name).unwrap_or_else(|| name.clone())) && !library.is_simulator();
                if !library.is_for_here() {
                    self.architecture = Some(library.architecture.clone());
                }
                if let Some(folder) = file.parent() {
                    let names = Loader::companions().iter().copied();
                    self.beside = names.map(|name| (name, folder.join(name).is_file())).collect();
                    self.missing = missing(system, folder, &library, &name);
                }
                format!("a library for {}", library.architecture)
            }
            Err(wrong) => {
                let there = match &wrong {
                    Wrong::Unreadable(why) => format!("a file that cannot be read: {why}"),
                    Wrong::NotElf => "a file that is no library".into(),
                    Wrong::Damaged(why) => format!("a damaged file: {why}"),
                };
                self.wrong = Some(wrong);
                there
            }
        };
        self.found = Some(name);
        there
    }

    /// The dynamic loader knows places that cannot be seen from outside, and found it there.
    pub(crate) fn adopt(&mut self, system: &System, file: &Path) {
        let there = self.look_at(system, file);
        self.tried.push(Tried { path: system.name(file), origin: "the loader found it".into(), there });
    }

    /// The installation that the library found belongs to: the folder above `lib64`.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        installation(self.found.as_ref()?)
    }

    pub(crate) fn findings(&self, system: &System, named: bool, loaded: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(found) = &self.found else {
            findings.push(if named { self.named_is_missing() } else { self.nothing_there(system) });
            return findings;
        };
        let path = found.display();
        if let Some(wrong) = &self.wrong {
            findings.push(match wrong {
                Wrong::Unreadable(why) => Finding::problem(
                    "library-unreadable",
                    format!("{path} cannot be read: {why}"),
                )
                .why("the loader stops at the first library that is there, and this one it cannot read")
                .mend("let this user read it, or repair the link that it is")
                .command(format!("ls -lL {path}")),
                Wrong::NotElf => Finding::problem("not-a-library", format!("{path} is no library"))
                    .why("it has no ELF header: a text, a Git LFS pointer or a download that failed")
                    .mend("install CANN anew, or set ASCENDCL_LIBRARY to the real libascendcl.so"),
                Wrong::Damaged(why) => {
                    Finding::problem("damaged-library", format!("{path} is damaged: {why}"))
                        .why("a copy that was interrupted leaves such a file, and so does a full disk")
                        .mend("install CANN anew")
                }
            });
        }
        if let Some(architecture) = &self.architecture {
            findings.push(
                Finding::problem(
                    "wrong-architecture",
                    format!("{path} is for {architecture}, and this machine is {ARCH}"),
                )
                .why("CANN comes for x86_64 and for aarch64, and a container image may be for the other one")
                .mend(format!(
                    "install the package whose name ends in linux-{ARCH}.run, or use the image for {ARCH}"
                )),
            );
        }
        if self.stub && !loaded {
            findings.push(self.stub_found());
        }
        if !loaded {
            findings.extend(self.missing_found(system));
        }
        findings
    }

    fn nothing_there(&self, system: &System) -> Finding {
        let mut places: Vec<String> = Vec::new();
        for tried in &self.tried {
            let place = match tried.path.parent().filter(|folder| folder.is_absolute()) {
                Some(folder) => format!("{} ({})", folder.display(), tried.origin),
                None => tried.origin.clone(),
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let why = format!("neither libascendcl.so nor libacl_rt.so is in {}", places.join(", "));
        match self.installations.first() {
            Some(home) => {
                let finding = Finding::problem(
                    "cann-not-found",
                    format!("there is a CANN in {}, but nothing leads there", home.display()),
                )
                .why(why);
                match set_env(system, home) {
                    Some(file) => finding
                        .mend("set up the environment of this CANN in the shell that starts the program")
                        .command(format!("source {}", file.display())),
                    None => finding
                        .mend("say where it is")
                        .command(format!("export ASCEND_HOME_PATH={}", home.display())),
                }
            }
            None => Finding::problem("no-cann", "no CANN is installed here").why(why).mend(
                "to use a card, install its driver and the CANN toolkit, and source set_env.sh; to go on without one, let the \
                 simulator answer: programs with feature `sim` do so by themselves",
            ),
        }
    }

    fn named_is_missing(&self) -> Finding {
        let path = self.tried.first().map(|tried| tried.path.display().to_string()).unwrap_or_default();
        Finding::problem(
            "named-library-missing",
            format!("ASCENDCL_LIBRARY names {path}, which is not there"),
        )
        .why("a library that is named is the only one that is tried, and the simulator does not step in")
        .mend("set it to the file libascendcl.so of a CANN, or unset it")
        .command("unset ASCENDCL_LIBRARY")
    }

    pub(crate) fn stub_found(&self) -> Finding {
        let path = self.found.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let finding = Finding::problem("stub-library", format!("{path} is a stub for linking"))
            .why("it has all functions, and each answers 100039; folders stub and devlib come before lib64 in the search")
            .mend("source set_env.sh, and take folders named stub or devlib out of LD_LIBRARY_PATH and ASCENDCL_LIBRARY");
        match variable("LD_LIBRARY_PATH") {
            Some(path) => {
                let kept: Vec<&str> =
                    path.split(':').filter(|part| !is_stub(&Path::new(part).join("x"))).collect();
                if kept.join(":") == path {
                    finding
                } else {
                    finding.command(format!("export LD_LIBRARY_PATH={}", kept.join(":")))
                }
            }
            None => finding,
        }
    }

    fn missing_found(&self, system: &System) -> Vec<Finding> {
        let (driver, others): (Vec<_>, Vec<_>) =
            self.missing.iter().partition(|(name, _)| name == DRIVER_LIBRARY);
        let mut findings = Vec::new();
        if let Some((name, by)) = driver.first() {
            findings.push(driver_library(system, &format!("{name}, which {by} needs, is not found")));
        }
        if !others.is_empty() {
            let names: Vec<String> = others.iter().map(|(name, by)| format!("{name} (for {by})")).collect();
            findings.push(
                Finding::problem("needed-libraries-missing", format!("not found: {}", names.join(", ")))
                    .why("the dynamic loader refuses a library as long as one that it needs is missing")
                    .mend("source set_env.sh, which puts all folders of CANN into LD_LIBRARY_PATH"),
            );
        }
        findings
    }
}

/// The driver's library is missing: where it is, or where it comes from.
pub(crate) fn driver_library(system: &System, what: &str) -> Finding {
    let there = DRIVER_FOLDERS.iter().find(|folder| system.is_file(Path::new(folder).join(DRIVER_LIBRARY)));
    let finding = Finding::problem("driver-library-missing", what);
    match (there, system.container()) {
        (Some(folder), _) => finding
            .why(format!("it is in {folder}, which LD_LIBRARY_PATH does not name"))
            .mend("add the folders of the driver")
            .command(format!("export LD_LIBRARY_PATH={}:$LD_LIBRARY_PATH", DRIVER_FOLDERS.join(":"))),
        (None, Some(container)) => finding
            .why(format!("this is a container ({container}), and the driver's libraries come from the host"))
            .mend("start the container with the folder of the driver mounted")
            .command("docker run -v /usr/local/Ascend/driver/lib64:/usr/local/Ascend/driver/lib64 ..."),
        (None, None) => finding
            .why("it comes with the driver, which is a package of its own beside the toolkit")
            .mend("install the driver of the card (Ascend-hdk-*-npu-driver_*.run), then restart"),
    }
}
