//! Where the headers lie in a wheel or in an installed toolkit, and which of them are bound.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::error::Error;

/// C++ overloads and templates over the C functions: no symbol of their own.
const LEFT_OUT: [&str; 1] = ["acl_rt_api.h"];

/// A set of headers that belong together.
pub struct Headers {
    /// The folder with `acl/acl.h`.
    acl: PathBuf,
    /// The folder with `hccl/hccl.h`.
    hccl: Option<PathBuf>,
    /// The folder with `third_party/`: the wheels' copies name each other through it.
    above: Option<PathBuf>,
}

impl Headers {
    /// Recognises a toolkit's `include`, its `acl` folder, or the `third_party` folder of a wheel (or
    /// a part of it).
    pub fn find(dir: &Path) -> Result<Self, Error> {
        if !dir.is_dir() {
            return Err(Error::new(format!("{} is not a folder", dir.display())));
        }
        let dir = dir.canonicalize().map_err(|e| Error::io("read", dir, e))?;
        let has_acl = |dir: &Path| dir.join("acl/acl.h").is_file();
        let parent = dir.parent().map(Path::to_path_buf);
        let acl = [
            Some(dir.clone()),
            parent,
            Some(dir.join("include")),
            Some(dir.join("acl/inc")),
            Some(dir.join("third_party/acl/inc")),
        ]
        .into_iter()
        .flatten()
        .find(|dir| has_acl(dir))
        .ok_or_else(|| {
            Error::new(format!(
                "no acl/acl.h in {}: give an include folder, such as $ASCEND_HOME_PATH/include",
                dir.display()
            ))
        })?;
        let third_party =
            acl.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "third_party"));
        let hccl = [Some(acl.clone()), third_party.map(|dir| dir.join("hccl/inc"))]
            .into_iter()
            .flatten()
            .find(|dir| dir.join("hccl/hccl.h").is_file());
        let above = third_party.and_then(Path::parent).map(Path::to_path_buf);
        Ok(Self { acl, hccl, above })
    }

    /// A header that includes all the others, in a fixed order.
    pub fn all_includes(&self) -> String {
        let mut text = String::new();
        for folder in ["acl", "acl/ops"] {
            let mut names: Vec<String> = fs::read_dir(self.acl.join(folder))
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| (name == "acl.h" || name.starts_with("acl_")) && name.ends_with(".h"))
                .filter(|name| !LEFT_OUT.contains(&name.as_str()))
                .collect();
            names.sort();
            for name in names {
                text.push_str(&format!("#include \"{folder}/{name}\"\n"));
            }
        }
        if self.hccl.is_some() {
            text.push_str("#include \"hccl/hccl.h\"\n");
        }
        text
    }

    pub fn include_dirs(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.acl), self.hccl.as_ref(), self.above.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Patterns of the files whose declarations are bound.
    pub fn allowed_files(&self) -> Vec<String> {
        // `..` and doubled folders appear in clang's names, so only the end is matched.
        let mut patterns: Vec<String> = ["acl", "ge"]
            .iter()
            .map(|folder| {
                format!(".*/{folder}/(ops/|error_codes/)?(acl|acl_[a-z_]+|rt_error_codes|ge_error_codes)\\.h")
            })
            .collect();
        if self.hccl.is_some() {
            patterns.push(".*/hccl/hccl(_types)?\\.h".to_owned());
        }
        patterns
    }

    /// `acl/acl_rt.h` for the full path of that header.
    pub fn relative(&self, file: &Path) -> String {
        let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
        let start = parts.iter().rposition(|part| ["acl", "hccl", "ge"].contains(part)).unwrap_or(0);
        parts[start..].join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with empty files, gone at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            for file in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Self(root.canonicalize().unwrap())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_toolkit_is_recognised_by_any_of_its_folders() {
        let tree = Tree::new(
            "toolkit",
            &[
                "include/acl/acl.h",
                "include/acl/acl_rt.h",
                "include/acl/acl_rt_api.h",
                "include/acl/ops/acl_dvpp.h",
            ],
        );
        for folder in ["", "include", "include/acl"] {
            let headers = Headers::find(&tree.0.join(folder)).unwrap();
            assert_eq!(headers.include_dirs().collect::<Vec<_>>(), [tree.0.join("include")]);
            let includes =
                "#include \"acl/acl.h\"\n#include \"acl/acl_rt.h\"\n#include \"acl/ops/acl_dvpp.h\"\n";
            assert_eq!(headers.all_includes(), includes);
        }
    }

    #[test]
    fn a_wheel_has_hccl_in_a_folder_of_its_own() {
        let tree = Tree::new("wheel", &["third_party/acl/inc/acl/acl.h", "third_party/hccl/inc/hccl/hccl.h"]);
        for folder in ["", "third_party", "third_party/acl/inc"] {
            let headers = Headers::find(&tree.0.join(folder)).unwrap();
            let dirs = ["third_party/acl/inc", "third_party/hccl/inc", ""].map(|dir| tree.0.join(dir));
            assert!(headers.include_dirs().eq(dirs.iter().map(|dir| dir.as_path())));
            assert!(headers.all_includes().ends_with("#include \"hccl/hccl.h\"\n"));
        }
    }

    #[test]
    fn a_folder_without_headers_is_refused_with_advice() {
        let tree = Tree::new("empty", &["readme"]);
        let error = |dir: &Path| Headers::find(dir).err().unwrap().to_string();
        assert!(error(&tree.0).contains("no acl/acl.h in"));
        assert!(error(&tree.0.join("typo")).contains("is not a folder"));
        assert!(error(&tree.0.join("readme")).contains("is not a folder"));
    }

    #[test]
    fn headers_are_named_as_they_are_included() {
        let tree = Tree::new("names", &["acl/acl.h"]);
        let headers = Headers::find(&tree.0).unwrap();
        assert_eq!(headers.relative(Path::new("/x/include/acl/ops/acl_dvpp.h")), "acl/ops/acl_dvpp.h");
        assert_eq!(headers.relative(Path::new("/acl/inc/acl/../acl/acl_rt.h")), "acl/acl_rt.h");
        assert_eq!(headers.relative(Path::new("/x/hccl/inc/hccl/hccl.h")), "hccl/hccl.h");
    }
}
