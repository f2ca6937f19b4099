//! The union of the header generations, and what changed from one to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Abi, Constant, Function, Type};

/// Everything that any generation declares, in the form that the newest one gives it.
pub struct Union {
    pub types: Vec<Type>,
    pub constants: Vec<Constant>,
    /// Sorted by name.
    pub functions: Vec<Member>,
    pub changes: Changes,
}

/// A function and the generations that have it.
pub struct Member {
    pub function: Function,
    /// Bit `n` for generation `n`, the oldest being 0.
    pub generations: u8,
}

/// One thing with the form that each generation gives it (`None`: it does not have it).
pub struct Change {
    pub name: String,
    pub forms: Vec<Option<String>>,
}

#[derive(Default)]
pub struct Changes {
    pub signatures: Vec<Change>,
    pub types: Vec<Change>,
    pub constants: Vec<Change>,
}

/// Merges generations, given oldest first.
pub fn union(generations: &[Abi]) -> Union {
    let types = merge(generations, |abi| &abi.types, |t| &t.name);
    let constants = merge(generations, |abi| &abi.constants, |c| &c.name);
    let mut functions: Vec<Member> = merge(generations, |abi| &abi.functions, |f| &f.name)
        .into_iter()
        .map(|function| {
            let bits = generations.iter().enumerate();
            let has = |abi: &Abi| u8::from(abi.function(&function.name).is_some());
            let generations = bits.fold(0, |set, (bit, abi)| set | (has(abi) << bit));
            Member { function, generations }
        })
        .collect();
    functions.sort_by(|a, b| a.function.name.cmp(&b.function.name));

    let changes = Changes {
        signatures: changes(generations, |abi| {
            abi.functions.iter().map(|f| (f.name.clone(), f.signature())).collect()
        }),
        types: changes(generations, |abi| abi.types.iter().map(|t| (t.name.clone(), form(t))).collect()),
        constants: changes(generations, |abi| {
            abi.constants.iter().map(|c| (c.name.clone(), c.value())).collect()
        }),
    };
    Union { types, constants, functions, changes }
}

/// How a type is told apart from its other generations: its fields, and its size where it has one.
pub fn form(t: &Type) -> String {
    let definition = t.definition();
    match t.layout().get(&format!("Size of {}", t.name)) {
        Some(size) if definition != "opaque" => format!("{definition}, {size} bytes"),
        _ => definition,
    }
}

/// The newest form of each name: first in the order of the newest generation, then what only older
/// ones have.
fn merge<T: Clone>(
    generations: &[Abi],
    part: impl Fn(&Abi) -> &Vec<T>,
    name: impl Fn(&T) -> &String,
) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let newest_first = generations.iter().rev().flat_map(|abi| part(abi).iter());
    newest_first.filter(|item| seen.insert(name(item).clone())).cloned().collect()
}

/// The names whose form is not the same in all generations that have them.
fn changes(generations: &[Abi], forms: impl Fn(&Abi) -> BTreeMap<String, String>) -> Vec<Change> {
    let all: Vec<_> = generations.iter().map(forms).collect();
    let names: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    names
        .into_iter()
        .map(|name| Change {
            name: name.clone(),
            forms: all.iter().map(|forms| forms.get(name).cloned()).collect(),
        })
        .filter(|change| change.forms.iter().flatten().collect::<BTreeSet<_>>().len() > 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abis(sources: &[&str]) -> Vec<Abi> {
        sources.iter().map(|source| Abi::parse(source, &BTreeMap::new()).unwrap()).collect()
    }

    #[test]
    fn every_function_is_there_once_with_its_generations() {
        let all = union(&abis(&[
            r#"unsafe extern "C" { pub fn old(); pub fn both(); }"#,
            r#"unsafe extern "C" { pub fn both(); pub fn new(); }"#,
        ]));
        let found: Vec<_> = all.functions.iter().map(|m| (m.function.name.as_str(), m.generations)).collect();
        assert_eq!(found, [("both", 0b11), ("new", 0b10), ("old", 0b01)]);
        assert!(all.changes.signatures.is_empty());
    }

    #[test]
    fn the_newest_signature_wins_and_the_change_is_listed() {
        let all = union(&abis(&[
            r#"unsafe extern "C" { pub fn f(device: u32); }"#,
            r#"unsafe extern "C" { pub fn f(deviceId: i32); pub fn g(a: u8); }"#,
            r#"unsafe extern "C" { pub fn g(renamed: u8); }"#,
        ]));
        assert_eq!(all.functions[0].function.signature(), "fn(i32)");
        let [change] = &all.changes.signatures[..] else { panic!("one signature changed") };
        assert_eq!(change.name, "f");
        assert_eq!(change.forms, [Some("fn(u32)".to_owned()), Some("fn(i32)".to_owned()), None]);
    }

    #[test]
    fn types_and_constants_keep_the_order_of_the_newest() {
        let all = union(&abis(&[
            "pub type a = u8; pub type gone = u8; pub const X: u32 = 1; pub const OLD: u32 = 0;",
            "pub type b = u8; pub type a = u16; pub const Y: u32 = 1; pub const X: u32 = 2;",
        ]));
        let types: Vec<_> = all.types.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(types, ["b", "a", "gone"]);
        assert_eq!(all.types[1].definition(), "u16");
        let constants: Vec<_> = all.constants.iter().map(|c| (c.name.as_str(), c.value())).collect();
        assert_eq!(constants, [("Y", "1".to_owned()), ("X", "2".to_owned()), ("OLD", "0".to_owned())]);
        assert_eq!(all.changes.types[0].forms, [Some("u8".to_owned()), Some("u16".to_owned())]);
        assert_eq!(all.changes.constants[0].name, "X");
    }

    #[test]
    fn a_struct_that_grew_is_a_change() {
        let grown = |fields: &str, size: u64| {
            format!(
                r#"pub struct S {{ {fields} }}
                const _: () = {{ ["Size of S"][::core::mem::size_of::<S>() - {size}usize]; }};"#
            )
        };
        let all = union(&abis(&[&grown("pub a: u32", 4), &grown("pub a: u32, pub b: u32", 8)]));
        let forms = &all.changes.types[0].forms;
        assert_eq!(forms[0].as_deref(), Some("{ a: u32 }, 4 bytes"));
        assert_eq!(forms[1].as_deref(), Some("{ a: u32, b: u32 }, 8 bytes"));
        assert_eq!(all.types[0].items.len(), 2, "the layout check goes with its type");
    }
}
