//! What each C function takes, read from the generated bindings: enough to make up arguments for it.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Fields, GenericArgument, Item, PathArguments, PointerMutability, ReturnType, Type, TypeFnPtr};

use crate::error::Error;

/// What a parameter wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A handle of this type.
    Handle(String),
    /// A place for a handle of this type, or an array of them.
    HandlePlace(String),
    /// Any address.
    Address,
    /// A place for an address, or an array of them.
    AddressPlace,
    /// A C string.
    Text,
    /// A place for values without pointers in them.
    Place,
    /// A place for values with pointers in them: only zeros may be there.
    PointerPlace,
    Function,
    Integer,
}

#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub struct Signature {
    pub parameters: Vec<Parameter>,
    /// The type of the handle that it answers, if it answers one; otherwise a number.
    pub answers: Option<String>,
}

/// Types of the bindings, by what can be done with them.
struct Types {
    /// `void *` under other names.
    handles: BTreeSet<String>,
    /// Structs that are only ever seen through pointers.
    opaque: BTreeSet<String>,
    /// Structs and unions with pointers in them.
    pointing: BTreeSet<String>,
    /// Structs and unions, all of them, and arrays under a name: passed by value they do not fit a register.
    compound: BTreeSet<String>,
    functions: BTreeSet<String>,
}

/// The signatures of all functions that can be called with numbers and pointers only.
pub fn read() -> Result<BTreeMap<String, Signature>, Error> {
    let parse =
        |text: &str| syn::parse_file(text).map_err(|e| Error::new(format!("cannot read the bindings: {e}")));
    let types = Types::read(&parse(include_str!("../../../ascendcl-sys/src/bindings.rs"))?);
    let table = parse(include_str!("../../../ascendcl-sys/src/table.rs"))?;
    let mut signatures = BTreeMap::new();
    for item in &table.items {
        let Item::Struct(item) = item else { continue };
        if item.ident != "AclApi" {
            continue;
        }
        for field in &item.fields {
            let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
            if let Some(signature) = function(&field.ty).and_then(|function| types.signature(function)) {
                signatures.insert(name, signature);
            }
        }
    }
    Ok(signatures)
}

/// The function in `Option<unsafe extern "C" fn(..)>`.
fn function(option: &Type) -> Option<&TypeFnPtr> {
    let Type::Path(path) = option else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(Type::FnPtr(function)) => Some(function),
        _ => None,
    }
}

fn last(path: &syn::TypePath) -> String {
    path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

impl Types {
    fn read(file: &syn::File) -> Self {
        let mut types = Self {
            handles: BTreeSet::new(),
            opaque: BTreeSet::new(),
            pointing: BTreeSet::new(),
            compound: BTreeSet::new(),
            functions: BTreeSet::new(),
        };
        // Later types mention earlier ones and the other way round: until nothing is new.
        for _ in 0..4 {
            for item in &file.items {
                match item {
                    Item::Type(item) => types.alias(&item.ident.to_string(), &item.ty),
                    Item::Struct(item) => types.compound(&item.ident.to_string(), &item.fields),
                    Item::Union(item) => {
                        types.compound(&item.ident.to_string(), &Fields::Named(item.fields.clone()))
                    }
                    _ => {}
                }
            }
        }
        types
    }

    fn alias(&mut self, name: &str, target: &Type) {
        match target {
            Type::Ptr(_) => drop(self.handles.insert(name.to_owned())),
            Type::Array(_) => drop(self.compound.insert(name.to_owned())),
            Type::Path(path) => match last(path).as_str() {
                "Option" => drop(self.functions.insert(name.to_owned())),
                other => {
                    for set in [
                        &mut self.handles,
                        &mut self.opaque,
                        &mut self.pointing,
                        &mut self.compound,
                        &mut self.functions,
                    ] {
                        if set.contains(other) {
                            set.insert(name.to_owned());
                        }
                    }
                }
            },
            _ => {}
        }
    }

    fn compound(&mut self, name: &str, fields: &Fields) {
        if fields.iter().any(|field| field.ident.as_ref().is_some_and(|ident| ident == "_unused")) {
            self.opaque.insert(name.to_owned());
            return;
        }
        // Enumerations are structs of one number without a name.
        if matches!(fields, Fields::Unnamed(_)) {
            return;
        }
        self.compound.insert(name.to_owned());
        if fields.iter().any(|field| self.points(&field.ty)) {
            self.pointing.insert(name.to_owned());
        }
    }

    fn points(&self, ty: &Type) -> bool {
        match ty {
            Type::Ptr(_) => true,
            Type::Array(array) => self.points(&array.elem),
            Type::Path(path) => {
                let name = last(path);
                name == "Option"
                    || [&self.handles, &self.pointing, &self.functions].iter().any(|set| set.contains(&name))
            }
            _ => false,
        }
    }

    fn signature(&self, function: &TypeFnPtr) -> Option<Signature> {
        if function.variadic.is_some() {
            return None;
        }
        let parameters = function.inputs.iter().map(|input| {
            let name = input.name.as_ref().map(|(name, _)| name.to_string()).unwrap_or_default();
            Some(Parameter { name, kind: self.kind(&input.ty)? })
        });
        let answers = match &function.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => match &**ty {
                Type::Ptr(pointer) => match &*pointer.elem {
                    Type::Path(path) if self.opaque.contains(&last(path)) => Some(last(path)),
                    _ => None,
                },
                Type::Path(path) if last(path) == "f32" || self.compound.contains(&last(path)) => {
                    return None;
                }
                Type::Path(path) if self.handles.contains(&last(path)) => Some(last(path)),
                _ => None,
            },
        };
        Some(Signature { parameters: parameters.collect::<Option<_>>()?, answers })
    }

    /// `None` for what is not passed in an integer register.
    fn kind(&self, ty: &Type) -> Option<Kind> {
        match ty {
            Type::Ptr(pointer) => Some(match &*pointer.elem {
                Type::Ptr(inner) => match &*inner.elem {
                    Type::Path(path) if self.opaque.contains(&last(path)) => Kind::HandlePlace(last(path)),
                    Type::Path(path) if last(path) == "c_void" => Kind::AddressPlace,
                    _ => Kind::PointerPlace,
                },
                Type::Path(path) => {
                    let name = last(path);
                    match name.as_str() {
                        "c_void" => Kind::Address,
                        "c_char" if matches!(pointer.mutability, PointerMutability::Const(_)) => Kind::Text,
                        _ if self.opaque.contains(&name) => Kind::Handle(name),
                        _ if self.handles.contains(&name) => Kind::HandlePlace(name),
                        _ if self.pointing.contains(&name) => Kind::PointerPlace,
                        _ => Kind::Place,
                    }
                }
                _ => Kind::PointerPlace,
            }),
            Type::Path(path) => {
                let name = last(path);
                match name.as_str() {
                    "f32" | "f64" => None,
                    "Option" => Some(Kind::Function),
                    _ if self.functions.contains(&name) => Some(Kind::Function),
                    _ if self.handles.contains(&name) => Some(Kind::Handle(name)),
                    _ if self.compound.contains(&name) || self.opaque.contains(&name) => None,
                    _ => Some(Kind::Integer),
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_apart() {
        let signatures = read().unwrap();
        let kinds =
            |name: &str| signatures[name].parameters.iter().map(|p| p.kind.clone()).collect::<Vec<_>>();
        let handle = |name: &str| Kind::Handle(name.to_owned());
        assert_eq!(kinds("aclrtRecordEvent"), [handle("aclrtEvent"), handle("aclrtStream")]);
        assert_eq!(kinds("aclrtCreateStream"), [Kind::HandlePlace("aclrtStream".into())]);
        assert_eq!(kinds("aclrtMalloc"), [Kind::AddressPlace, Kind::Integer, Kind::Integer]);
        assert_eq!(kinds("aclInit"), [Kind::Text]);
        assert_eq!(kinds("aclrtLaunchCallback")[..2], [Kind::Function, Kind::Address]);
        assert_eq!(kinds("aclmdlGetInputDims"), [handle("aclmdlDesc"), Kind::Integer, Kind::Place]);
        assert_eq!(kinds("aclrtMallocWithCfg")[3], Kind::PointerPlace);
        assert_eq!(signatures["aclmdlCreateDesc"].answers.as_deref(), Some("aclmdlDesc"));
        assert!(!signatures.contains_key("aclAppLog"), "variadic");
        assert!(!signatures.contains_key("aclrtIpcOpenEventHandle"), "takes a struct by value");
        assert!(signatures.len() > 850, "{}", signatures.len());
    }
}
