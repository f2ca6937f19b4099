//! Reads the generated files of `ascendcl-sys` back.

use std::{collections::BTreeMap, fs, path::Path};

use super::model::{Abi, Function};
use crate::error::Error;

/// The ABI that the files in this folder describe.
pub fn read(src: &Path) -> Result<Abi, Error> {
    let text = |name: &str| {
        let path = src.join(name);
        fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))
    };
    let mut abi = Abi::parse(&text("bindings.rs")?, &BTreeMap::new())?;
    abi.functions = functions(&text("table.rs")?)?;
    Ok(abi)
}

/// The fields of `AclApi`.
fn functions(table: &str) -> Result<Vec<Function>, Error> {
    let file = syn::parse_file(table).map_err(|e| Error::new(format!("table.rs is not Rust: {e}")))?;
    let api = file.items.into_iter().find_map(|item| match item {
        syn::Item::Struct(item) if item.ident == "AclApi" => Some(item),
        _ => None,
    });
    let api = api.ok_or_else(|| Error::new("table.rs has no AclApi"))?;
    Ok(api.fields.into_iter().filter_map(field).collect())
}

/// `name: Option<unsafe extern "C" fn(..)>`
fn field(field: syn::Field) -> Option<Function> {
    let syn::Type::Path(path) = field.ty else { return None };
    let syn::PathArguments::AngleBracketed(arguments) = &path.path.segments.first()?.arguments else {
        return None;
    };
    let syn::GenericArgument::Type(syn::Type::FnPtr(pointer)) = arguments.args.first()? else {
        return None;
    };
    Some(Function { name: field.ident?.to_string(), header: String::new(), pointer: pointer.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_functions() {
        let table = r#"pub struct AclApi {
            /// `acl/acl.h`
            pub aclInit: Option<unsafe extern "C" fn(path: *const c_char) -> aclError>,
            pub aclAppLog: Option<unsafe extern "C" fn(level: aclLogLevel, fmt: *const c_char, ...)>,
        }"#;
        let functions = functions(table).unwrap();
        let signatures: Vec<_> = functions.iter().map(|f| (f.name.as_str(), f.signature())).collect();
        let expected = [
            ("aclInit", "fn(*const c_char) -> aclError".to_owned()),
            ("aclAppLog", "fn(aclLogLevel, *const c_char, ...)".to_owned()),
        ];
        assert_eq!(signatures, expected);
    }
}
