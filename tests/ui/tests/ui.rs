//! What must not compile: the files in `cases`. Each says with `//~` which errors the compiler gives, by code and by words that
//! every compiler uses; whatever else it says may change with its version.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The errors that a case announces: code and words.
fn announced(case: &str) -> Vec<(&str, &str)> {
    let lines = case.lines().filter_map(|line| line.strip_prefix("//~ "));
    lines.map(|line| line.split_once(": ").expect("//~ CODE: words")).collect()
}

/// The errors that the compiler gave, with all it says about each.
fn given(output: &str) -> Vec<&str> {
    let starts: Vec<_> = output
        .match_indices("error")
        .map(|(at, _)| at)
        .filter(|&at| at == 0 || output[..at].ends_with('\n'))
        .chain([output.len()])
        .collect();
    starts.windows(2).map(|pair| &output[pair[0]..pair[1]]).collect()
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let files =
        fs::read_dir(folder).expect("the cases are there").map(|file| file.expect("it can be read").path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect();
    files.sort();
    files
}

#[test]
fn what_must_not_compile() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test can be made");
    let sources = cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"));
    assert!(sources.len() >= 15);
    for source in &sources {
        fs::copy(source, folder.join(source.file_name().expect("a file has a name")))
            .expect("it can be copied");
    }
    // The compiler's words are written beside the copies, and compared below. That each case fails is seen to by trybuild.
    // SAFETY: the only test of this process; nothing else reads the environment meanwhile.
    unsafe { env::set_var("TRYBUILD", "overwrite") };
    let runner = trybuild::TestCases::new();
    runner.compile_fail(folder.join("*.rs"));
    drop(runner);
    for source in sources {
        let case = fs::read_to_string(&source).expect("it can be read");
        let copy = folder.join(source.file_name().expect("a file has a name"));
        let output = fs::read_to_string(copy.with_extension("stderr")).expect("the compiler said something");
        let (announced, given) = (announced(&case), given(&output));
        let name = source.display();
        assert!(!announced.is_empty(), "{name} does not say what is wrong with it");
        assert_eq!(announced.len(), given.len(), "{name} gives other errors:\n{output}");
        for ((code, words), given) in announced.iter().zip(given) {
            assert!(
                given.starts_with(&format!("error[{code}]")),
                "{name} gives another error than {code}:\n{given}"
            );
            assert!(given.contains(words), "{name} does not say `{words}`:\n{given}");
        }
    }
}
