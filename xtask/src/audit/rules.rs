//! The invariants that `unsafe` code may rest on. A SAFETY comment names its own in brackets: `// SAFETY: [handle] ...`.

/// An invariant, and who sees to it.
pub struct Rule {
    pub name: &'static str,
    pub invariant: &'static str,
    pub upheld_by: &'static str,
    /// The chapter of the safety model that argues for it; none for what has to do with C or the operating system alone.
    pub chapter: &'static str,
}

const fn rule(
    name: &'static str,
    invariant: &'static str,
    upheld_by: &'static str,
    chapter: &'static str,
) -> Rule {
    Rule { name, invariant, upheld_by, chapter }
}

/// All of them, in the order of the page.
pub const RULES: &[Rule] = &[
    rule(
        "place",
        "Pointers given to a C function point to values that are large enough and live until it returns, and it keeps none of them.",
        "the block itself, whose locals and borrows they are; ACL, which uses a pointer during the call only",
        "5",
    ),
    rule(
        "handle",
        "The C handle is alive and of the kind that the function wants.",
        "the Rust handle that owns it, borrowed for the call; handles own their parents",
        "1",
    ),
    rule(
        "queued",
        "What queued work uses is kept until the stream has passed it.",
        "`Transfer` and `RetireQueue`, into which every enqueueing function puts the owners",
        "4, 5, 7",
    ),
    rule(
        "once",
        "What is destroyed or freed was made by the matching function, has no owner left, and is destroyed once.",
        "the destructor of the only owner; streams are owners of what they use",
        "1, 4",
    ),
    rule(
        "bits",
        "Every bit pattern is a value of the type, and the bytes are written.",
        "who implements `DeviceCopy`; C structs of plain numbers; the copy that was waited for",
        "6",
    ),
    rule(
        "memory",
        "The range is allocated, large enough and aligned, and nobody else uses it meanwhile.",
        "the value that owns the allocation; the length was checked, or made, in sight",
        "5",
    ),
    rule(
        "text",
        "The pointer is a NUL-terminated string that lives until it is copied.",
        "ACL, which says so of what it returns; a `CString` or literal for what it is given",
        "",
    ),
    rule(
        "threads",
        "The value may be used from any thread: it is a handle or an address that is never dereferenced, or is used through atomics only.",
        "ACL, whose handles belong to no thread; the type, which gives nothing but the number",
        "2",
    ),
    rule(
        "plain",
        "Only numbers are passed, or nothing: there is nothing that could be wrong.",
        "the type system",
        "",
    ),
    rule("key", "What C calls back takes any number and does not unwind.", "`trampoline`, `Registry`", "8"),
    rule(
        "layout",
        "Both types have the same size, alignment and meaning of bits.",
        "the generator of the table and bindings; assertions at compile time",
        "",
    ),
    rule(
        "loaded",
        "The library is never closed, and what it runs when it is loaded may run.",
        "`Library`, which gives up the owner; who chose the library",
        "",
    ),
    rule(
        "symbol",
        "Nothing else in the program defines the symbol, and its declarations agree.",
        "the name, which is of this project or of ACL's headers; the feature `export`, which only the library has",
        "",
    ),
    rule("os", "The function of the operating system gets what its manual wants.", "the block itself", ""),
    rule(
        "caller",
        "What the enclosing unsafe function demands of its caller, in its `# Safety` section or the header of ACL.",
        "the caller of that function; for the C ABI, the program. What can be checked was checked before: NULL, lengths, handles",
        "",
    ),
    rule(
        "program",
        "A function, or a pointer, that the program registered is called, or handed back, as it was registered.",
        "the program that registered it",
        "",
    ),
    rule(
        "mapped",
        "The range is inside a mapping of the simulator, which lives as long as its owner; no Rust reference covers it.",
        "`Space`, `Map`, `Place`: ranges are checked when they are made",
        "",
    ),
    rule(
        "shared",
        "Memory that several processes see is used as atomics only, or by whom the protocol names.",
        "`Segment` and the protocols over it",
        "",
    ),
];

/// What has a reason without a comment: the signature is the header's.
pub const SHIM: &str = "caller";

pub fn by_name(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}
