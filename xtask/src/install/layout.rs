//! What lies where in an installation.
//!
//! There is one library, and every other name is a link to it. So the names are one simulator in a process that loads several of them
//! (the dynamic loader compares files, not names), and whichever a program was linked with, the name it asks for when it starts is
//! there. Libraries of their own that need the first one would be one simulator too, but a program could not be linked with them alone.

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
};

use crate::error::Error;

/// The library itself.
const LIBRARY: &str = "libascendcl.so";

/// What newer releases split it into, and programs link with.
/// Official samples link two that are not for programs, without using anything of them: the half that does the work, and that of the
/// profiler.
const NAMES: [&str; 8] = [
    "libacl_rt_impl.so",
    "libacl_rt.so",
    "libacl_mdl.so",
    "libacl_op_compiler.so",
    "libacl_tdt_channel.so",
    "libacl_tdt_queue.so",
    "libmsprofiler.so",
    "libprofapi.so",
];

/// Names that are there only if the simulator has the functions which programs expect of them: this one, for example.
const NAMES_WITH: [(&str, &str); 4] = [
    ("libascend_dump.so", "acldumpRegCallback"),
    ("libacl_dvpp.so", "acldvppMalloc"),
    ("libacl_cblas.so", "aclblasGemmEx"),
    ("libhccl.so", "HcclCommInitAll"),
];

/// Other places where build files of samples look for libraries, by release: links to the first place.
const OTHER_FOLDERS: [(&str, &str); 4] = [
    ("devlib", "lib64"),
    ("runtime/lib64", "../lib64"),
    ("acllib/lib64", "../lib64"),
    ("compiler/lib64", "../lib64"),
];

const OWN_HEADER: &str = include_str!("../../../ascendcl-sim/include/ascendcl_sim.h");

/// The file that tells an installation of the simulator from a CANN.
const MARK: &str = "share/info/ascendcl-sim/version.info";

/// The release whose interface the simulator speaks.
const CANN: &str = "8.1.0";

/// An installation.
pub struct Home(PathBuf);

impl Home {
    /// Makes the folder, unless it is one that must not be touched.
    pub fn prepare(folder: &Path) -> Result<Self, Error> {
        let folder = std::path::absolute(folder).map_err(|e| Error::io("find", folder, e))?;
        let home = Self(folder);
        if !home.at(MARK).is_file() {
            if home.at("lib64").join(LIBRARY).symlink_metadata().is_ok() {
                return Err(Error::new(format!(
                    "{} has a {LIBRARY} that is not the simulator's: name another folder",
                    home.0.display()
                )));
            }
            home.write(MARK, &format!("Version={}\n", env!("CARGO_PKG_VERSION")))?;
        }
        home.folder("lib64")?;
        // A folder of somebody else's with the mark in it can still be closed to us.
        let probe = home.at(&format!("lib64/.{}", process::id()));
        fs::write(&probe, "").map_err(|e| Error::io("write to", &home.at("lib64"), e))?;
        fs::remove_file(&probe).map_err(|e| Error::io("remove", &probe, e))?;
        Ok(home)
    }

    /// Puts everything in its place; what is there already is replaced.
    pub fn fill(&self, library: &Path) -> Result<(), Error> {
        self.copy(library, &format!("lib64/{LIBRARY}"))?;
        let api = ascendcl_sim::api();
        let has = |function: &str| {
            api.addresses().any(|(f, address)| f.name.to_str() == Ok(function) && !address.is_null())
        };
        // What programs are linked with where real libraries may be missing. A folder of its own: a link to the one above would be a
        // circle, and whoever copies the installation would not come to an end.
        self.folder("lib64/stub")?;
        self.link(&format!("lib64/stub/{LIBRARY}"), &format!("../{LIBRARY}"))?;
        let more = NAMES_WITH.iter().filter(|(_, function)| has(function)).map(|(name, _)| *name);
        for name in NAMES.into_iter().chain(more) {
            self.link(&format!("lib64/{name}"), LIBRARY)?;
            self.link(&format!("lib64/stub/{name}"), &format!("../{LIBRARY}"))?;
        }
        for (folder, target) in OTHER_FOLDERS {
            if let Some((parent, _)) = folder.rsplit_once('/') {
                self.folder(parent)?;
            }
            self.link(folder, target)?;
        }
        // The simulator's own, for programs that know of it.
        self.write("include/ascendcl_sim.h", OWN_HEADER)?;
        // Version queries read this one.
        self.write("share/info/runtime/version.info", &format!("Version={CANN}\n"))?;
        let arch = format!("{}-linux", env::consts::ARCH);
        self.write(
            &format!("{arch}/ascend_toolkit_install.info"),
            &format!(
                "package_name=ascendcl-sim\nversion={CANN}\narch={}\nos=linux\npath={}\n",
                env::consts::ARCH,
                self.0.display()
            ),
        )?;
        self.write("set_env.sh", &self.environment())?;
        self.folder("bin")?;
        self.link("bin/setenv.bash", "../set_env.sh")
    }

    /// What a person does next.
    pub fn message(&self) -> String {
        let home = self.0.display();
        format!(
            "The simulator is in {home}/lib64.\n\
             \n\
             Programs that are built:   LD_LIBRARY_PATH={home}/lib64 ./program\n\
             For a whole shell:         source {home}/set_env.sh\n\
             Linking:                   cc program.c -I HEADERS -L {home}/lib64 -lascendcl\n\
             \n\
             HEADERS are Huawei's and not part of this: those of an installed CANN ($ASCEND_HOME_PATH/include), or those in the torch-npu\n\
             wheels (torch_npu/include/third_party/acl/inc), which `cargo run -p xtask -- headers` fetches."
        )
    }

    fn environment(&self) -> String {
        format!(
            "# The simulator instead of an installed CANN: `source` this file.\n\
             if [ -n \"${{BASH_SOURCE:-}}\" ]; then\n\
             \x20   ASCEND_HOME_PATH=\"$(cd \"$(dirname \"$(readlink -f \"${{BASH_SOURCE}}\")\")\" && pwd)\"\n\
             else\n\
             \x20   ASCEND_HOME_PATH={home}\n\
             fi\n\
             export ASCEND_HOME_PATH\n\
             export ASCEND_TOOLKIT_HOME=\"$ASCEND_HOME_PATH\"\n\
             case \":${{LD_LIBRARY_PATH:-}}:\" in\n\
             \x20   \":$ASCEND_HOME_PATH/lib64:\"*) ;;\n\
             \x20   *) export LD_LIBRARY_PATH=\"$ASCEND_HOME_PATH/lib64${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\" ;;\n\
             esac\n",
            home = quoted(&self.0)
        )
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn folder(&self, path: &str) -> Result<PathBuf, Error> {
        let path = self.at(path);
        fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, e))?;
        Ok(path)
    }

    fn write(&self, path: &str, text: &str) -> Result<(), Error> {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent)?;
        }
        let path = self.at(path);
        fs::write(&path, text).map_err(|e| Error::io("write", &path, e))
    }

    /// Copies beside the place and renames: a program that runs keeps the file it has mapped.
    fn copy(&self, from: &Path, path: &str) -> Result<(), Error> {
        let path = self.at(path);
        let beside = path.with_extension(format!("so.{}", process::id()));
        fs::copy(from, &beside).map_err(|e| Error::io("copy the library to", &beside, e))?;
        fs::rename(&beside, &path).map_err(|e| {
            let _ = fs::remove_file(&beside);
            Error::io("replace", &path, e)
        })
    }

    fn link(&self, path: &str, target: &str) -> Result<(), Error> {
        let path = self.at(path);
        if fs::read_link(&path).is_ok_and(|there| there == Path::new(target)) {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("replace", &path, e)),
            _ => symlink(target, &path).map_err(|e| Error::io("create the link", &path, e)),
        }
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("ascendcl-xtask-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn an_installation_is_one_file_with_many_names() {
        let folder = scratch("layout");
        let library = folder.join("built.so");
        fs::write(&library, "first").unwrap();
        let home = folder.join("home");
        // Twice: the second time replaces what is there.
        for text in ["first", "second"] {
            fs::write(&library, text).unwrap();
            Home::prepare(&home).unwrap().fill(&library).unwrap();
            for folder in ["lib64", "devlib", "lib64/stub", "runtime/lib64", "acllib/lib64", "compiler/lib64"]
            {
                for name in NAMES.iter().chain([&LIBRARY]) {
                    assert_eq!(
                        fs::read_to_string(home.join(folder).join(name)).unwrap(),
                        text,
                        "{folder}/{name}"
                    );
                }
            }
        }
        let headers: Vec<_> =
            fs::read_dir(home.join("include")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(headers, ["ascendcl_sim.h"], "others are not ours to install");
        assert_eq!(
            fs::read_to_string(home.join("share/info/runtime/version.info")).unwrap(),
            "Version=8.1.0\n"
        );
        let left: Vec<_> =
            fs::read_dir(home.join("lib64")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(
            left.iter().all(|name| name == "stub" || name.to_string_lossy().ends_with(".so")),
            "{left:?}"
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_environment_follows_the_folder() {
        let folder = scratch("environment");
        let library = folder.join("built.so");
        fs::write(&library, "").unwrap();
        let home = folder.join("it's here");
        Home::prepare(&home).unwrap().fill(&library).unwrap();
        let moved = folder.join("moved");
        for (shell, home) in [("bash", &home), ("sh", &home), ("bash", &moved)] {
            if home == &moved {
                fs::rename(folder.join("it's here"), &moved).unwrap();
            }
            let script = ". ./set_env.sh; . ./set_env.sh; echo \"$ASCEND_HOME_PATH $LD_LIBRARY_PATH\"";
            let output = process::Command::new(shell)
                .args(["-euc", script])
                .current_dir(home)
                .env("LD_LIBRARY_PATH", "/other")
                .output()
                .unwrap();
            let home = home.display();
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, format!("{home} {home}/lib64:/other\n"), "{shell}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_real_installation_is_left_alone() {
        let folder = scratch("foreign");
        fs::create_dir_all(folder.join("lib64")).unwrap();
        fs::write(folder.join("lib64").join(LIBRARY), "CANN").unwrap();
        let error = Home::prepare(&folder).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("is not the simulator's: name another folder"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("lib64").join(LIBRARY)).unwrap(), "CANN");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = scratch("closed");
        fs::write(folder.join("file"), "").unwrap();
        let error = Home::prepare(&folder.join("file")).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("cannot create") && error.contains("/file/"), "{error}");

        let closed = folder.join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        // Root may write all the same.
        if fs::write(closed.join("probe"), "").is_err() {
            let error = Home::prepare(&closed).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with("cannot ") && error.contains("/closed/"), "{error}");
        }
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
