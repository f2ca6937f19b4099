//! Where ACL is looked for.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The variable that names the library file.
pub(crate) const LIBRARY_VARIABLE: &str = "ASCENDCL_LIBRARY";

/// The variables that CANN's `set_env.sh` sets to the folder of the installation.
const HOME_VARIABLES: [&str; 2] = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"];

/// Where CANN's installers put it.
const STANDARD_FOLDERS: [&str; 3] = [
    "/usr/local/Ascend/cann/lib64",
    "/usr/local/Ascend/ascend-toolkit/latest/lib64",
    "/usr/local/Ascend/nnrt/latest/lib64",
];

/// Where to look for ACL: one library that was named, or a list of places in the order in which they
/// are tried.
///
/// ```
/// use ascendcl_sys::Search;
///
/// // What a program wants: the environment, then the usual places.
/// let search = Search::from_env();
///
/// // One library and nothing else.
/// let search = Search::file("/opt/cann/lib64/libascendcl.so");
///
/// // Only these places.
/// let search = Search::nowhere().folder("/opt/cann/lib64").loader_path();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(pub(crate) Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This file or an error.
    Named {
        file: PathBuf,
        by: &'static str,
    },
    Places(Vec<Place>),
}

/// The libraries that can stand for ACL as a whole: the umbrella of every release, and what newer
/// releases split the runtime into.
const MAIN: [&str; 2] = ["libascendcl.so", "libacl_rt.so"];

/// A library that [`Library::open`](crate::Library::open) tries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The file, or only its name where the dynamic loader searches for it.
    pub path: PathBuf,
    /// Why it is tried: the variable that names the place, for example.
    pub origin: String,
    /// The folder that it is looked for in, and the libraries beside it too. `None` where the dynamic loader searches.
    pub folder: Option<PathBuf>,
}

/// One place to look at, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `None` for the dynamic loader's own search path.
    pub folder: Option<PathBuf>,
    pub origin: String,
}

impl Search {
    /// What the environment of this process says, in this order:
    ///
    /// 1. `ASCENDCL_LIBRARY`, a file: if it is set, nothing else is tried;
    /// 2. `$ASCEND_HOME_PATH/lib64`, `$ASCEND_TOOLKIT_HOME/lib64`;
    /// 3. the dynamic loader's own search path (`LD_LIBRARY_PATH`, the system's configuration);
    /// 4. `lib64` of `cann`, `ascend-toolkit/latest` and `nnrt/latest` under `/usr/local/Ascend`.
    ///
    /// [`hint`](Self::hint) adds a folder between 2 and 3. A variable that is empty counts as unset.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), over any other set of variables.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) = variable(LIBRARY_VARIABLE) {
            return Self(Kind::Named { file, by: LIBRARY_VARIABLE });
        }
        let mut search = Self::nowhere();
        for name in HOME_VARIABLES {
            if let Some(home) = variable(name) {
                search = search.place(Some(home.join("lib64")), name);
            }
        }
        search = search.loader_path();
        for folder in STANDARD_FOLDERS {
            search = search.place(Some(folder.into()), "usual place");
        }
        search
    }

    /// This library and no other.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self(Kind::Named { file: file.into(), by: "named by the program" })
    }

    /// An empty list, to be extended.
    pub fn nowhere() -> Self {
        Self(Kind::Places(Vec::new()))
    }

    /// Adds a folder that holds the libraries.
    #[must_use]
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        self.place(Some(folder.into()), "named by the program")
    }

    /// Adds the dynamic loader's own search path.
    #[must_use]
    pub fn loader_path(self) -> Self {
        self.place(None, "the loader's search path")
    }

    /// Adds a folder that may hold the libraries, such as one seen when the program was built. It is
    /// tried before the loader's search path. Nothing changes for `None`, nor for a search that names
    /// its library.
    #[must_use]
    pub fn hint(mut self, folder: Option<&Path>) -> Self {
        if let (Kind::Places(places), Some(folder)) = (&mut self.0, folder)
            && places.iter().all(|p| p.folder.as_deref() != Some(folder))
        {
            let at = places.iter().position(|p| p.folder.is_none()).unwrap_or(places.len());
            let origin = "seen when this program was built".to_owned();
            places.insert(at, Place { folder: Some(folder.to_owned()), origin });
        }
        self
    }

    /// Whether it is for one library that was named, and for no other.
    pub fn is_named(&self) -> bool {
        matches!(self.0, Kind::Named { .. })
    }

    /// What [`Library::open`](crate::Library::open) tries, in this order.
    ///
    /// ```
    /// let search = ascendcl_sys::Search::nowhere().folder("/opt/cann/lib64");
    /// let tried: Vec<_> = search.candidates().into_iter().map(|candidate| candidate.path).collect();
    /// assert_eq!(tried, ["/opt/cann/lib64/libascendcl.so", "/opt/cann/lib64/libacl_rt.so"].map(Into::<std::path::PathBuf>::into));
    /// ```
    pub fn candidates(&self) -> Vec<Candidate> {
        match &self.0 {
            Kind::Named { file, by } => {
                // Without a slash `dlopen` would search for it, but a file was named.
                let path = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                let folder = path.parent().unwrap_or(&path).to_owned();
                vec![Candidate { path, origin: (*by).to_owned(), folder: Some(folder) }]
            }
            Kind::Places(places) => {
                let each = |place: &Place, name: &str| Candidate {
                    path: place.folder.as_ref().map_or_else(|| name.into(), |folder| folder.join(name)),
                    origin: place.origin.clone(),
                    folder: place.folder.clone(),
                };
                places.iter().flat_map(|place| MAIN.map(|name| each(place, name))).collect()
            }
        }
    }

    /// The same search in a file system that is mounted at `root`, such as that of an image. There the dynamic loader of this machine
    /// finds nothing: it is replaced by `loader_folders`, which are in that file system too.
    #[must_use]
    pub fn beneath(self, root: &Path, loader_folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        match self.0 {
            Kind::Named { file, by } => Self(Kind::Named { file: inside(&file), by }),
            Kind::Places(places) => {
                let mut loader_folders = Some(loader_folders.into_iter());
                let mut search = Self::nowhere();
                for Place { folder, origin } in places {
                    match folder {
                        Some(folder) => search = search.place(Some(inside(&folder)), &origin),
                        None => {
                            for folder in loader_folders.take().into_iter().flatten() {
                                search = search.place(Some(inside(&folder)), &origin);
                            }
                        }
                    }
                }
                search
            }
        }
    }

    fn place(mut self, folder: Option<PathBuf>, origin: &str) -> Self {
        if let Kind::Places(places) = &mut self.0
            && places.iter().all(|p| p.folder != folder)
        {
            places.push(Place { folder, origin: origin.to_owned() });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(variables: &[(&str, &str)]) -> Search {
        Search::from_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    fn folders(search: &Search) -> Vec<Option<&str>> {
        match &search.0 {
            Kind::Places(places) => places.iter().map(|p| p.folder.as_deref()?.to_str()).collect(),
            Kind::Named { .. } => panic!("the search names a library"),
        }
    }

    #[test]
    fn the_order_is_environment_hint_loader_usual_places() {
        let both = [("ASCEND_HOME_PATH", "/h"), ("ASCEND_TOOLKIT_HOME", "/t")];
        let usual = STANDARD_FOLDERS.map(Some);
        let mut expected = vec![Some("/h/lib64"), Some("/t/lib64"), Some("/hint"), None];
        expected.extend(usual);
        assert_eq!(folders(&search(&both).hint(Some(Path::new("/hint")))), expected);
    }

    #[test]
    fn empty_variables_and_repeated_folders_do_not_count() {
        let same = [("ASCEND_HOME_PATH", "/h"), ("ASCEND_TOOLKIT_HOME", "/h"), ("ASCENDCL_LIBRARY", "")];
        let search = search(&same).hint(Some(Path::new("/h/lib64"))).hint(None);
        assert_eq!(folders(&search)[..2], [Some("/h/lib64"), None]);
    }

    #[test]
    fn a_named_library_stands_alone() {
        let named = search(&[("ASCENDCL_LIBRARY", "/x.so"), ("ASCEND_HOME_PATH", "/h")]);
        let expected = Kind::Named { file: "/x.so".into(), by: "ASCENDCL_LIBRARY" };
        assert_eq!(named.hint(Some(Path::new("/hint"))).0, expected);
        let candidates =
            search(&[("ASCENDCL_LIBRARY", "/x/y.so")]).beneath(Path::new("/mnt"), []).candidates();
        let tried: Vec<_> = candidates.iter().map(|c| (c.path.to_str(), c.folder.as_deref())).collect();
        assert_eq!(tried, [(Some("/mnt/x/y.so"), Some(Path::new("/mnt/x")))]);
    }

    #[test]
    fn beneath_another_root_the_loader_is_a_list_of_folders() {
        let home = search(&[("ASCEND_HOME_PATH", "/h")]);
        let beneath = home.beneath(Path::new("/mnt"), ["/a".into(), "/h/lib64".into(), "b".into()]);
        let mut expected =
            vec![Some("/mnt/h/lib64".to_owned()), Some("/mnt/a".into()), Some("/mnt/b".into())];
        expected.extend(STANDARD_FOLDERS.map(|folder| Some(format!("/mnt{folder}"))));
        assert_eq!(folders(&beneath), expected.iter().map(Option::as_deref).collect::<Vec<_>>());
    }
}
