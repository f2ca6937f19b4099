//! The three pinned header generations: fetched from the package index with pip, kept under
//! `target/xtask/`, never committed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::Error;

/// One pinned generation of the headers.
pub struct Generation {
    /// The ACL interface version that its headers state.
    pub acl: &'static str,
    /// The version of the wheel that carries the headers.
    pub wheel: &'static str,
    /// Python and platform tags of the wheel taken; the headers are the same in all of them.
    python: &'static str,
    platform: &'static str,
    /// What pip must find, so that a later change of the file is noticed.
    sha256: &'static str,
}

/// Oldest first.
pub const GENERATIONS: [Generation; 3] = [
    Generation {
        acl: "1.2.0",
        wheel: "2.1.0.post8",
        python: "38",
        platform: "manylinux2014_x86_64",
        sha256: "9d279b07b62cc906e88d343ee229150c31e4b6262d4a6034076aeca856bce918",
    },
    Generation {
        acl: "1.15.0",
        wheel: "2.9.0",
        python: "310",
        platform: "manylinux_2_28_x86_64",
        sha256: "3d436f74af70089b4320e6dae374641ddfb76712cdd593e67763ded33cf31a2a",
    },
    Generation {
        acl: "1.17.0",
        wheel: "2.14.0",
        python: "310",
        platform: "manylinux_2_28_x86_64",
        sha256: "e6348fe7e16c6f91e5b758bb1f80f471220cadaab8f79495a62ae50dedd29e75",
    },
];

impl Generation {
    /// `1.15`
    pub fn short(&self) -> &'static str {
        self.acl.rsplit_once('.').map_or(self.acl, |(short, _)| short)
    }

    /// Unpacks the headers once and returns the folder whose `third_party` holds them.
    pub fn headers(&self, cache: &Path) -> Result<PathBuf, Error> {
        let folder = cache.join("headers").join(self.wheel);
        let third_party = folder.join("torch_npu/include/third_party");
        let done = folder.join("complete");
        if fs::read_to_string(&done).is_ok_and(|sha256| sha256 == self.sha256) {
            return Ok(third_party);
        }
        let wheel = self.download(cache)?;
        eprintln!("unpacking the headers of torch-npu {}", self.wheel);
        unpack(&wheel, &folder)?;
        if !third_party.join("acl/inc/acl/acl.h").is_file() {
            return Err(Error::new(format!("the wheel {} holds no acl/acl.h", wheel.display())));
        }
        fs::write(&done, self.sha256).map_err(|e| Error::io("write", &done, e))?;
        Ok(third_party)
    }

    fn download(&self, cache: &Path) -> Result<PathBuf, Error> {
        let folder = cache.join("wheels").join(self.wheel);
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let requirements = folder.join("requirements.txt");
        let pin = format!("torch-npu=={} --hash=sha256:{}\n", self.wheel, self.sha256);
        fs::write(&requirements, pin).map_err(|e| Error::io("write", &requirements, e))?;

        // A wheel that is there already is not fetched again; pip then only checks its hash.
        eprintln!("fetching torch-npu {} with pip", self.wheel);
        pip(&[
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--platform",
            self.platform,
            "--python-version",
            self.python,
            "--require-hashes",
            "-r",
            &requirements.to_string_lossy(),
            "-d",
            &folder.to_string_lossy(),
        ])?;
        fs::read_dir(&folder)
            .map_err(|e| Error::io("read", &folder, e))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|e| e == "whl"))
            .ok_or_else(|| Error::new(format!("pip left no wheel in {}", folder.display())))
    }
}

/// Runs pip, by whichever name this machine has it.
pub fn pip(arguments: &[&str]) -> Result<(), Error> {
    let ways: [(&str, &[&str]); 3] =
        [("python3", &["-m", "pip"]), ("pip3", &[] as &[&str]), ("pip", &[] as &[&str])];
    for (program, prefix) in ways {
        // Tells "there is no pip here" apart from "pip was asked and failed".
        let probe = Command::new(program).args(prefix).arg("--version").output();
        if !probe.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let output = Command::new(program)
            .args(prefix)
            .args(arguments)
            .arg("--disable-pip-version-check")
            .output()
            .map_err(|e| Error::new(format!("cannot run {program}: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let what = arguments.first().unwrap_or(&"");
        return Err(Error::new(format!(
            "pip {what} failed (is the package index reachable?): {}",
            said.join("; ")
        )));
    }
    Err(Error::new("pip is missing: install python3 with pip, then run this again"))
}

/// Takes only the C headers out of a wheel (which is a zip file).
fn unpack(wheel: &Path, folder: &Path) -> Result<(), Error> {
    let broken = |e: &dyn std::fmt::Display| {
        Error::new(format!("{} is not a readable wheel ({e}): delete it and run this again", wheel.display()))
    };
    let file = File::open(wheel).map_err(|e| Error::io("open", wheel, e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| broken(&e))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| broken(&e))?;
        // `enclosed_name` refuses entries that would land outside of the folder.
        let Some(name) = entry.enclosed_name() else { continue };
        let wanted = ["acl/inc", "hccl/inc"]
            .iter()
            .any(|part| name.starts_with(Path::new("torch_npu/include/third_party").join(part)));
        if !wanted || name.extension().is_none_or(|e| e != "h") {
            continue;
        }
        let target = folder.join(name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        }
        let mut out = File::create(&target).map_err(|e| Error::io("create", &target, e))?;
        io::copy(&mut entry, &mut out).map_err(|e| Error::io("write", &target, e))?;
    }
    Ok(())
}
