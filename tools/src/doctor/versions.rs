//! Versions of what is installed, from the files that installers leave.

use std::{
    env::consts::ARCH,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::finding::Finding;
use super::libraries::Libraries;
use super::system::System;

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Version {
    /// Of what.
    pub of: &'static str,
    /// The version.
    pub version: String,
    /// The file that says so.
    pub file: PathBuf,
}

/// All that can be found.
pub(crate) fn read(system: &System, libraries: &Libraries) -> Vec<Version> {
    let mut versions = Vec::new();
    let mut add = |of: &'static str, files: &[PathBuf]| {
        let found = files.iter().find_map(|file| Some((version(&system.read(file)?)?, file.clone())));
        if let Some((version, file)) = found {
            versions.push(Version { of, version, file });
        }
    };
    if let Some(home) = libraries.home() {
        let folder = home.join(format!("{ARCH}-linux"));
        add(
            "toolkit",
            &[
                folder.join("ascend_toolkit_install.info"),
                folder.join("ascend_nnrt_install.info"),
                home.join("ascend_toolkit_install.info"),
                home.join("version.cfg"),
                home.join("version.info"),
            ],
        );
        add("runtime", &[home.join("share/info/runtime/version.info"), home.join("runtime/version.info")]);
        add(
            "operators",
            &[
                folder.join("ascend_ops_install.info"),
                home.join("opp/version.info"),
                home.join("share/info/opp/version.info"),
            ],
        );
    }
    // The driver may have been installed elsewhere, and says where.
    let elsewhere = system.read("/etc/ascend_install.info").unwrap_or_default();
    let folder = |key: &str| {
        let value =
            elsewhere.lines().find_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix('='));
        Path::new(value.map_or("/usr/local/Ascend", str::trim)).to_owned()
    };
    add(
        "driver",
        &[
            folder("Driver_Install_Path_Param").join("driver/version.info"),
            "/usr/local/Ascend/driver/version.info".into(),
            "/var/davinci/driver/version.info".into(),
        ],
    );
    add(
        "firmware",
        &[
            folder("Firmware_Install_Path_Param").join("firmware/version.info"),
            "/usr/local/Ascend/firmware/version.info".into(),
        ],
    );
    versions
}

/// `Version=24.1.rc1`, `version=8.1.RC1`, `runtime_running_version=[7.6.0.1.220:8.0.0]`.
fn version(text: &str) -> Option<String> {
    let value = |wanted: &dyn Fn(&str) -> bool| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            wanted(key.trim()).then(|| value.trim().trim_matches(['"', '[', ']']).to_owned())
        })
    };
    value(&|key| key.eq_ignore_ascii_case("version"))
        .or_else(|| value(&|key| key.ends_with("running_version")))
        .map(|version| version.rsplit(':').next().unwrap_or_default().to_owned())
        .filter(|version| !version.is_empty())
}

pub(crate) fn findings(versions: &[Version], libraries: &Libraries, system: &System) -> Vec<Finding> {
    if libraries.found.is_none()
        || libraries.is_simulator
        || versions.iter().any(|version| version.of == "driver")
    {
        return Vec::new();
    }
    let finding = Finding::warning("driver-version-unknown", "the version of the driver is not known");
    vec![match system.container() {
        Some(_) => finding
            .why("in a container its file comes from the host; parts of CANN read it")
            .mend("start the container with it mounted")
            .command(
                "docker run -v /usr/local/Ascend/driver/version.info:/usr/local/Ascend/driver/version.info \
                 -v /etc/ascend_install.info:/etc/ascend_install.info ...",
            ),
        None => finding
            .why("there is no driver/version.info, so the driver is not installed, or not where it says")
            .mend("install the driver of the card (Ascend-hdk-*-npu-driver_*.run), then restart"),
    }]
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_in_all_forms() {
        let driver = "Version=24.1.rc1\nascendhal_version=7.35.19\n";
        assert_eq!(version(driver).as_deref(), Some("24.1.rc1"));
        assert_eq!(version("package_name=x\nversion=8.1.RC1\narch=x86_64\n").as_deref(), Some("8.1.RC1"));
        assert_eq!(version("runtime_running_version=[7.6.0.1.220:8.0.0]\n").as_deref(), Some("8.0.0"));
        assert_eq!(version("nothing\nVersion=\n"), None);
    }
}
