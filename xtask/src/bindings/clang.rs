//! Running bindgen: finds libclang, gives it the few C library headers that ACL's headers include,
//! and returns what bindgen made of one header folder.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

use bindgen::callbacks::{DiscoveredItem, DiscoveredItemId, IntKind, ParseCallbacks, SourceLocation};

use super::{layout::Headers, wheels};
use crate::error::Error;

/// The PyPI release of libclang that the bindings are generated with.
const LIBCLANG: &str = "libclang==18.1.1";

/// The instruction sets of Ascend servers. Both must give the same bindings.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// ACL's headers want nothing of the C library but these; with them the result does not depend on
/// the compiler of the machine, nor on its instruction set.
const C_LIBRARY: [(&str, &str); 3] = [
    (
        "stdint.h",
        "#pragma once\n\
         typedef __INT8_TYPE__ int8_t;\ntypedef __UINT8_TYPE__ uint8_t;\n\
         typedef __INT16_TYPE__ int16_t;\ntypedef __UINT16_TYPE__ uint16_t;\n\
         typedef __INT32_TYPE__ int32_t;\ntypedef __UINT32_TYPE__ uint32_t;\n\
         typedef __INT64_TYPE__ int64_t;\ntypedef __UINT64_TYPE__ uint64_t;\n\
         typedef __INTPTR_TYPE__ intptr_t;\ntypedef __UINTPTR_TYPE__ uintptr_t;\n\
         #define INT32_MAX 2147483647\n#define UINT32_MAX 4294967295U\n\
         #define UINT64_MAX 18446744073709551615UL\n",
    ),
    (
        "stddef.h",
        "#pragma once\ntypedef __SIZE_TYPE__ size_t;\ntypedef __PTRDIFF_TYPE__ ptrdiff_t;\n\
         #define NULL __null\n#define offsetof(t, m) __builtin_offsetof(t, m)\n",
    ),
    ("stdbool.h", "#pragma once\n"),
];

/// bindgen's output for one header folder.
pub struct Generated {
    /// Rust source.
    pub source: String,
    /// Which header declares each function.
    pub headers: BTreeMap<String, String>,
}

/// libclang, loaded into this process, and the folder of the C library stand-in.
pub struct Clang {
    c_library: PathBuf,
}

impl Clang {
    /// Takes the libclang that `LIBCLANG_PATH` names, or the pinned one from the package index.
    pub fn prepare(cache: &Path) -> Result<Self, Error> {
        let c_library = cache.join("c-library");
        fs::create_dir_all(&c_library).map_err(|e| Error::io("create", &c_library, e))?;
        for (name, text) in C_LIBRARY {
            let path = c_library.join(name);
            fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
        }
        load_libclang(&cache.join("libclang"))?;
        Ok(Self { c_library })
    }

    /// Runs bindgen for both instruction sets and requires the same answer.
    ///
    /// A toolkit's headers may include more of the C library than our stand-in has. Then the headers of this
    /// machine's compiler are taken, which fit its own instruction set only.
    pub fn generate(&self, headers: &Headers) -> Result<Generated, Error> {
        let stand_in = [
            "-nostdinc".to_owned(),
            "-nostdinc++".to_owned(),
            format!("-isystem{}", self.c_library.display()),
        ];
        let first = match bindgen(headers, TARGETS[0], &stand_in) {
            Ok(generated) => generated,
            Err(text) if text.contains("file not found") => {
                eprintln!("these headers include others: reading them again with those of the C++ compiler");
                let native = TARGETS.iter().find(|target| target.starts_with(env::consts::ARCH));
                return bindgen(headers, native.unwrap_or(&TARGETS[0]), &compiler_includes())
                    .map_err(unreadable);
            }
            Err(text) => return Err(unreadable(text)),
        };
        let second = bindgen(headers, TARGETS[1], &stand_in).map_err(unreadable)?;
        if first.source != second.source {
            let line = first.source.lines().zip(second.source.lines()).find(|(a, b)| a != b);
            let (a, b) = line.unwrap_or_default();
            let [here, there] = TARGETS;
            return Err(Error::new(format!(
                "the headers mean different things on {here} and {there}: `{}` against `{}`",
                a.trim(),
                b.trim()
            )));
        }
        Ok(first)
    }
}

fn unreadable(text: String) -> Error {
    let text = text.trim().trim_start_matches("clang diagnosed error:").trim().replace('\n', "; ");
    Error::new(format!("clang cannot read the headers: {text}"))
}

/// Loads libclang into this thread; bindgen would panic without one.
fn load_libclang(folder: &Path) -> Result<(), Error> {
    if let Some(chosen) = env::var_os("LIBCLANG_PATH") {
        return clang_sys::load().map_err(|e| {
            let chosen = Path::new(&chosen).display();
            Error::new(format!(
                "no usable libclang in LIBCLANG_PATH={chosen} ({e}): point it at the folder of libclang.so, or unset it"
            ))
        });
    }
    let native = folder.join("clang/native");
    let installed = if native.join("libclang.so").is_file() {
        Ok(())
    } else {
        eprintln!("installing {LIBCLANG} with pip");
        let target = folder.to_string_lossy();
        wheels::pip(&["install", "--quiet", "--no-deps", "--upgrade", "--target", &target, LIBCLANG])
    };
    if installed.is_ok() {
        // SAFETY: this program has one thread, so nothing reads the environment at the same time.
        unsafe { env::set_var("LIBCLANG_PATH", &native) };
    }
    // Without the pinned one, whatever the system has will do.
    clang_sys::load().map_err(|found| match installed {
        Ok(()) => Error::new(format!(
            "libclang cannot be loaded ({found}): delete {} and run this again",
            folder.display()
        )),
        Err(pip) => Error::new(format!(
            "no libclang on this system, and it cannot be installed: {pip}; or set LIBCLANG_PATH"
        )),
    })
}

/// One run; an error is in clang's words.
fn bindgen(headers: &Headers, target: &str, library: &[String]) -> Result<Generated, String> {
    let found = Found::default();
    let mut builder = bindgen::builder()
        .header_contents("ascendcl.hpp", &headers.all_includes())
        .clang_args(["-x", "c++", "-std=c++17", "-DENABLE_DVPP_INTERFACE"])
        .clang_arg(format!("--target={target}"))
        .clang_args(headers.include_dirs().map(|dir| format!("-I{}", dir.display())))
        .clang_args(library)
        .generate_comments(false)
        .layout_tests(true)
        .default_enum_style(bindgen::EnumVariation::NewType { is_bitfield: false, is_global: true })
        .prepend_enum_name(false)
        .use_core()
        .generate_cstr(true)
        .merge_extern_blocks(true)
        .disable_header_comment()
        .formatter(bindgen::Formatter::None)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .parse_callbacks(Box::new(found.clone()));
    if let Ok(target) = bindgen::RustTarget::stable(88, 0) {
        builder = builder.rust_target(target);
    }
    for pattern in headers.allowed_files() {
        builder = builder.allowlist_file(pattern);
    }
    let bindings = builder.generate().map_err(|error| error.to_string())?;
    let headers = found
        .0
        .borrow()
        .iter()
        .map(|(function, file)| (function.clone(), headers.relative(Path::new(file))))
        .collect();
    Ok(Generated { source: bindings.to_string(), headers })
}

/// The folders that the C++ compiler of this machine searches.
fn compiler_includes() -> Vec<String> {
    let program = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let output =
        Command::new(program).args(["-x", "c++", "-E", "-v", "/dev/null"]).env("LC_ALL", "C").output();
    let Ok(output) = output else { return Vec::new() };
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .skip_while(|line| !line.starts_with("#include <...>"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .map(|line| format!("-isystem{}", line.trim()))
        .collect()
}

/// Remembers where each function was declared.
#[derive(Clone, Debug, Default)]
struct Found(Rc<RefCell<BTreeMap<String, String>>>);

impl ParseCallbacks for Found {
    fn int_macro(&self, name: &str, _value: i64) -> Option<IntKind> {
        // The type with which the functions take them.
        let profiling =
            name.starts_with("ACL_PROF_") && !name.contains("_MAX_") && !name.ends_with("_VERSION");
        (profiling || name == "ACL_UNKNOWN_RANK").then_some(IntKind::U64)
    }

    fn new_item_found(&self, _: DiscoveredItemId, item: DiscoveredItem, place: Option<&SourceLocation>) {
        if let (DiscoveredItem::Function { final_name }, Some(place)) = (item, place)
            && let Some(file) = &place.file_name
        {
            self.0.borrow_mut().insert(final_name, file.clone());
        }
    }
}
