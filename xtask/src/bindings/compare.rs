//! Compares two ABIs: what both have must be the same.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Abi, Constant, Type};

/// The constants with which headers state their own version.
const VERSION: [&str; 3] = ["ACL_MAJOR_VERSION", "ACL_MINOR_VERSION", "ACL_PATCH_VERSION"];

/// What came of a comparison.
#[derive(Default)]
pub struct Report {
    pub functions: Part,
    pub types: Part,
    pub constants: Part,
}

/// One kind of item.
#[derive(Default)]
pub struct Part {
    /// How many items both sides have.
    pub shared: usize,
    pub disagreements: Vec<Disagreement>,
    pub only_ours: Vec<String>,
    pub only_theirs: Vec<String>,
}

/// An item that is not the same on both sides.
#[derive(Debug, PartialEq, Eq)]
pub struct Disagreement {
    pub name: String,
    pub ours: String,
    pub theirs: String,
}

impl Report {
    pub fn parts(&self) -> [(&'static str, &Part); 3] {
        [("functions", &self.functions), ("types", &self.types), ("constants", &self.constants)]
    }

    pub fn disagreements(&self) -> usize {
        self.parts().iter().map(|(_, part)| part.disagreements.len()).sum()
    }
}

/// Signatures, layouts and values of what both sides have.
pub fn compare(ours: &Abi, theirs: &Abi) -> Report {
    let signatures = |abi: &Abi| abi.functions.iter().map(|f| (f.name.clone(), f.signature())).collect();
    // The version says which headers these are; it is nothing that they could disagree about.
    let counted = |c: &&Constant| !VERSION.contains(&c.name.as_str());
    let values =
        |abi: &Abi| abi.constants.iter().filter(counted).map(|c| (c.name.clone(), c.value())).collect();
    let mut report = Report {
        functions: part(&signatures(ours), &signatures(theirs), |a, b| a == b),
        types: Part::default(),
        constants: part(&values(ours), &values(theirs), |a, b| a == b),
    };
    let types = |abi: &Abi| abi.types.iter().map(|t| (t.name.clone(), full_form(t))).collect();
    // Behind a pointer an incomplete type is as good as a complete one.
    report.types = part(&types(ours), &types(theirs), |a, b| a == b || a == "opaque" || b == "opaque");
    report
}

fn part(
    ours: &BTreeMap<String, String>,
    theirs: &BTreeMap<String, String>,
    same: impl Fn(&str, &str) -> bool,
) -> Part {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut part = Part::default();
    for name in names {
        match (ours.get(name), theirs.get(name)) {
            (Some(a), Some(b)) => {
                part.shared += 1;
                if !same(a, b) {
                    let (name, ours, theirs) = (name.clone(), a.clone(), b.clone());
                    part.disagreements.push(Disagreement { name, ours, theirs });
                }
            }
            (Some(_), None) => part.only_ours.push(name.clone()),
            (None, _) => part.only_theirs.push(name.clone()),
        }
    }
    part
}

/// Fields with their types, then size, alignment and offsets.
fn full_form(t: &Type) -> String {
    let definition = t.definition();
    if definition == "opaque" {
        return definition;
    }
    let layout = t.layout();
    let of = |what: &str| layout.get(&format!("{what} of {}", t.name));
    let mut text = definition;
    if let (Some(size), Some(align)) = (of("Size"), of("Alignment")) {
        text.push_str(&format!(", {size} bytes aligned to {align}"));
    }
    let prefix = format!("Offset of field: {}::", t.name);
    let mut offsets: Vec<_> =
        layout.iter().filter_map(|(fact, value)| Some((*value, fact.strip_prefix(&prefix)?))).collect();
    offsets.sort_unstable();
    if offsets.len() > 1 {
        let offsets: Vec<_> = offsets.iter().map(|(offset, field)| format!("{field} at {offset}")).collect();
        text.push_str(&format!(" ({})", offsets.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abi(source: &str) -> Abi {
        Abi::parse(source, &BTreeMap::new()).unwrap()
    }

    #[test]
    fn an_abi_agrees_with_itself() {
        let source = r#"
            pub type aclError = ::core::ffi::c_int;
            pub const ACL_SUCCESS: ::core::ffi::c_int = 0;
            unsafe extern "C" { pub fn aclInit(path: *const ::core::ffi::c_char) -> aclError; }"#;
        let report = compare(&abi(source), &abi(source));
        assert_eq!(report.disagreements(), 0);
        assert_eq!(report.parts().map(|(_, part)| part.shared), [1, 1, 1]);
    }

    #[test]
    fn parameter_names_do_not_count_but_types_do() {
        let ours = abi(r#"unsafe extern "C" { pub fn a(x: u32) -> i32; pub fn b(x: u32); pub fn c(); }"#);
        let theirs = abi(r#"unsafe extern "C" { pub fn a(y: u32) -> i32; pub fn b(x: u64); pub fn d(); }"#);
        let report = compare(&ours, &theirs);
        let expected = Disagreement { name: "b".into(), ours: "fn(u32)".into(), theirs: "fn(u64)".into() };
        assert_eq!(report.functions.disagreements, [expected]);
        assert_eq!(report.functions.only_ours, ["c"]);
        assert_eq!(report.functions.only_theirs, ["d"]);
    }

    #[test]
    fn an_offset_alone_is_a_disagreement() {
        let with_offset = |offset: u64| {
            abi(&format!(
                r#"pub struct S {{ pub a: u8, pub b: u8 }}
                const _: () = {{
                    ["Size of S"][::core::mem::size_of::<S>() - 8usize];
                    ["Alignment of S"][::core::mem::align_of::<S>() - 4usize];
                    ["Offset of field: S::a"][::core::mem::offset_of!(S, a) - 0usize];
                    ["Offset of field: S::b"][::core::mem::offset_of!(S, b) - {offset}usize];
                }};"#
            ))
        };
        assert_eq!(compare(&with_offset(4), &with_offset(4)).disagreements(), 0);
        let report = compare(&with_offset(4), &with_offset(1));
        assert_eq!(report.types.disagreements.len(), 1);
        assert!(report.types.disagreements[0].theirs.contains("8 bytes aligned to 4 (a at 0, b at 1)"));
    }

    #[test]
    fn an_incomplete_type_disagrees_with_nothing() {
        let complete = abi("pub struct S { pub a: u8 }");
        let incomplete = abi("pub struct S { _unused: [u8; 0], }");
        assert_eq!(compare(&complete, &incomplete).disagreements(), 0);
    }

    #[test]
    fn another_version_is_no_disagreement() {
        let report = compare(
            &abi("pub const ACL_MINOR_VERSION: u32 = 1;"),
            &abi("pub const ACL_MINOR_VERSION: u32 = 2;"),
        );
        assert_eq!(report.disagreements(), 0);
    }

    #[test]
    fn a_value_is_compared_and_its_rust_type_is_not() {
        let ours = abi("pub const ACL_ERROR_X: u32 = 1; pub const Y: u32 = 2;");
        let theirs = abi("pub const ACL_ERROR_X: i32 = 1; pub const Y: u64 = 3;");
        let report = compare(&ours, &theirs);
        let names: Vec<_> = report.constants.disagreements.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["Y"]);
    }
}
