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
