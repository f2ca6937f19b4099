//! What a library file says of itself, without loading it: loading runs its code.

use std::{collections::BTreeSet, env::consts::ARCH, fs::File, path::Path};

use object::{
    Endianness, Object, ObjectSymbol,
    elf::{self, FileHeader64},
    read::{ReadCache, elf::FileHeader as _},
};

/// A library file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Library {
    /// The processor that it is for, as Rust calls it.
    pub(crate) architecture: String,
    /// Libraries that it needs.
    pub(crate) needed: Vec<String>,
    /// Functions of ACL, and of the simulator, that it has.
    pub(crate) functions: BTreeSet<String>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    Unreadable(String),
    /// No ELF file at all.
    NotElf,
    /// It is shorter than its headers say, or they contradict each other.
    Damaged(String),
}

impl Library {
    /// Whether this machine can load it.
    pub(crate) fn is_for_here(&self) -> bool {
        self.architecture == ARCH
    }

    /// Whether it is the simulator.
    pub(crate) fn is_simulator(&self) -> bool {
        self.functions.contains("ascendclsim_report_count")
    }

    pub(crate) fn read(path: &Path) -> Result<Library, Wrong> {
        let unreadable = |error: std::io::Error| Wrong::Unreadable(error.to_string());
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(Wrong::NotElf);
        }
        let file = ReadCache::new(File::open(path).map_err(unreadable)?);
        let damaged = |error: object::Error| Wrong::Damaged(error.to_string());
        match object::FileKind::parse(&file) {
            Ok(object::FileKind::Elf64) => {}
            // 32 bits: no CANN was ever for that.
            Ok(object::FileKind::Elf32) => {
                return Ok(Library { architecture: "a 32-bit processor".into(), ..Library::default() });
            }
            _ => return Err(Wrong::NotElf),
        }
        let header = FileHeader64::<Endianness>::parse(&file).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        let mut library =
            Library { architecture: architecture(header.e_machine(endian)), ..Library::default() };
        if header.e_type(endian) != elf::ET_DYN {
            return Err(Wrong::Damaged("it is no shared library".into()));
        }
        // What the loader maps must be in the file.
        let length = path.metadata().map_err(unreadable)?.len();
        let segments = header.program_headers(endian, &file).map_err(damaged)?;
        for segment in segments.iter().filter(|segment| segment.p_type.get(endian) == elf::PT_LOAD) {
            let end = segment.p_offset.get(endian).saturating_add(segment.p_filesz.get(endian));
            if end > length {
                return Err(Wrong::Damaged(format!(
                    "it is truncated: it has {length} bytes, and its headers tell of {end}"
                )));
            }
        }
        // A library for another processor need not be read any further.
        if library.is_for_here() {
            let object = object::read::elf::ElfFile64::<Endianness, _>::parse(&file).map_err(damaged)?;
            for symbol in object.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
                let Ok(name) = symbol.name() else { continue };
                if name.starts_with("acl") || name.starts_with("Hccl") || name.starts_with("ascendclsim") {
                    library.functions.insert(name.to_owned());
                }
            }
            library.needed = needed(&object).map_err(damaged)?;
        }
        Ok(library)
    }
}

fn needed<'a>(
    object: &object::read::elf::ElfFile64<'a, Endianness, &'a ReadCache<File>>,
) -> object::Result<Vec<String>> {
    let (endian, data) = (object.endian(), object.data());
    let sections = object.elf_section_table();
    let Some((dynamic, index)) = sections.dynamic(endian, data)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, data, index)?;
    let mut needed = Vec::new();
    for entry in dynamic {
        if entry.d_tag.get(endian) == u64::from(elf::DT_NEEDED) {
            let offset = u32::try_from(entry.d_val.get(endian)).unwrap_or(u32::MAX);
            if let Ok(name) = strings.get(offset) {
                needed.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    Ok(needed)
}

fn architecture(machine: u16) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".into(),
        elf::EM_AARCH64 => "aarch64".into(),
        elf::EM_RISCV => "riscv64".into(),
        elf::EM_LOONGARCH => "loongarch64".into(),
        other => format!("processor number {other}"),
    }
}
