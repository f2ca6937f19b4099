//! The machine that is looked at: a file system, which need not be the one of this process, and an environment.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// Files that are read here are small; nobody says that all are.
const MOST: u64 = 1 << 20;

/// Where to look.
#[derive(Debug, Clone)]
pub struct System {
    root: PathBuf,
}

/// Who runs programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct User {
    /// Effective user.
    pub uid: u32,
    /// Effective group, and the others.
    pub gids: Vec<u32>,
    /// The user's name.
    pub name: Option<String>,
    /// The groups' names.
    pub groups: Vec<String>,
}

/// A card on the PCI bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Its address.
    pub address: String,
    /// What the number of its kind says.
    pub chip: &'static str,
}

impl System {
    /// The file system below `root`, which is `/` for this machine itself.
    pub fn new(root: impl Into<PathBuf>) -> System {
        let root = root.into();
        System { root: fs::canonicalize(&root).unwrap_or(root) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is the file system of this process.
    pub(crate) fn is_here(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The place of a path of that file system in this one.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path as it is called there.
    pub(crate) fn name(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(inside) => Path::new("/").join(inside),
            Err(_) => path.to_owned(),
        }
    }

    /// The file that a path leads to in the end, as it is called there.
    pub(crate) fn real(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        Some(self.name(&fs::canonicalize(self.at(path)).ok()?))
    }

    pub(crate) fn is_file(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).is_file()
    }

    pub(crate) fn is_folder(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).is_dir()
    }

    /// The beginning of a text file.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let path = self.at(path);
        // A pipe would keep us waiting.
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        fs::File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Names of what is in a folder, sorted.
    pub(crate) fn list(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).take(10_000).collect();
        names.sort();
        names
    }

    /// Which kind of container this is, if it is one.
    pub(crate) fn container(&self) -> Option<&'static str> {
        if self.at("/.dockerenv").exists() {
            return Some("Docker");
        }
        if self.at("/run/.containerenv").exists() {
            return Some("Podman");
        }
        let groups = self.read("/proc/1/cgroup").unwrap_or_default();
        let marks = [
            ("kubepods", "Kubernetes"),
            ("docker", "Docker"),
            ("containerd", "containerd"),
            ("libpod", "Podman"),
        ];
        marks.iter().find(|(mark, _)| groups.contains(mark)).map(|(_, name)| *name)
    }

    /// Who runs this.
    pub(crate) fn user(&self) -> User {
        let here = || fs::read_to_string("/proc/self/status").ok();
        let status = self.read("/proc/self/status").or_else(here).unwrap_or_default();
        let numbers = |key: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect()
        };
        // Real, effective, saved, of the file system.
        let uid = numbers("Uid:").get(1).copied().unwrap_or(u32::MAX);
        let mut gids: Vec<u32> =
            numbers("Gid:").get(1).copied().into_iter().chain(numbers("Groups:")).collect();
        gids.dedup();
        let groups = gids.iter().filter_map(|&gid| self.group_name(gid)).collect();
        User { uid, name: self.user_name(uid), groups, gids }
    }

    pub(crate) fn user_name(&self, uid: u32) -> Option<String> {
        self.name_of("/etc/passwd", uid)
    }

    pub(crate) fn group_name(&self, gid: u32) -> Option<String> {
        self.name_of("/etc/group", gid)
    }

    /// Both files are lines of `name:password:number:...`.
    fn name_of(&self, file: &str, number: u32) -> Option<String> {
        self.read(file)?.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, found) = (fields.next()?, fields.next()?, fields.next()?);
            (found.parse() == Ok(number)).then(|| name.to_owned())
        })
    }

    /// NPUs on the PCI bus, whether anything drives them or not.
    pub(crate) fn cards(&self) -> Vec<Card> {
        let bus = Path::new("/sys/bus/pci/devices");
        let number = |address: &str, file: &str| {
            let text = self.read(bus.join(address).join(file))?;
            u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
        };
        let card = |address: String| {
            // Huawei; a processing accelerator.
            (number(&address, "vendor")? == 0x19e5 && number(&address, "class")? >> 16 == 0x12)
                .then_some(())?;
            let chip = match number(&address, "device")? {
                0xd100 => "Ascend 310",
                0xd500 => "Ascend 310P",
                0xd105 => "Ascend 310B",
                0xd801 => "Ascend 910",
                0xd802 => "Ascend 910B",
                0xd803 => "Ascend 910_93",
                _ => "NPU",
            };
            Some(Card { address, chip })
        };
        self.list(bus).into_iter().filter_map(card).collect()
    }
}

/// A variable of the environment; one that is empty counts as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// A variable that is a list of folders.
pub(crate) fn folders(name: &str) -> Vec<PathBuf> {
    let value = env::var_os(name).unwrap_or_default();
    env::split_paths(&value).filter(|folder| !folder.as_os_str().is_empty()).collect()
}
