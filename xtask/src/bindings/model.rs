//! An ABI as data: the types, constants and functions of one bindgen run, or of the committed files.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::visit_mut::VisitMut;

use crate::error::Error;

/// Everything one set of headers declares, in its own order.
#[derive(Default)]
pub struct Abi {
    pub types: Vec<Type>,
    pub constants: Vec<Constant>,
    pub functions: Vec<Function>,
}

/// A type with the checks of its layout.
#[derive(Clone)]
pub struct Type {
    pub name: String,
    /// Definition first, then the impls and the layout checks.
    pub items: Vec<syn::Item>,
}

#[derive(Clone)]
pub struct Constant {
    pub name: String,
    pub item: syn::ItemConst,
}

#[derive(Clone)]
pub struct Function {
    pub name: String,
    /// The header that declares it, `acl/acl_rt.h`.
    pub header: String,
    /// `unsafe extern "C" fn(configPath: *const c_char) -> aclError`
    pub pointer: syn::TypeFnPtr,
}

impl Abi {
    /// Reads bindgen's output, or the committed `bindings.rs`, which has the same form.
    pub fn parse(source: &str, headers: &BTreeMap<String, String>) -> Result<Self, Error> {
        let mut file =
            syn::parse_file(source).map_err(|e| Error::new(format!("the bindings are not Rust: {e}")))?;
        ShortPaths.visit_file_mut(&mut file);

        let mut abi = Abi::default();
        let mut attached: Vec<(String, syn::Item)> = Vec::new();
        for item in file.items {
            match item {
                syn::Item::Struct(syn::ItemStruct { ref ident, .. })
                | syn::Item::Union(syn::ItemUnion { ref ident, .. })
                | syn::Item::Type(syn::ItemType { ref ident, .. }) => {
                    abi.types.push(Type { name: ident.to_string(), items: vec![item] });
                }
                syn::Item::Impl(ref block) => {
                    let owner = first_ident(&block.self_ty.to_token_stream());
                    attached.push((owner, item));
                }
                syn::Item::Const(constant) if constant.ident == "_" => {
                    let facts = layout_facts(&constant);
                    let owner = facts.first().and_then(|(fact, _)| fact.strip_prefix("Size of "));
                    let owner = owner.ok_or_else(|| Error::new("a layout check names no type"))?.to_owned();
                    attached.push((owner, syn::Item::Const(constant)));
                }
                syn::Item::Const(constant) => abi.constants.push(Constant::new(constant)),
                syn::Item::ForeignMod(block) => {
                    for item in block.items {
                        abi.functions.extend(Function::foreign(item, headers)?);
                    }
                }
                // The second name of an enum: `pub use self::aclEngineType as aclopEngineType;`
                syn::Item::Use(ref import) if renamed(&import.tree).is_some() => {
                    let name = renamed(&import.tree).map(|(_, new)| new).unwrap_or_default();
                    abi.types.push(Type { name, items: vec![item] });
                }
                // The imports and the list of codes in the committed file.
                syn::Item::Use(_) | syn::Item::Static(_) => {}
                other => {
                    let text = other.to_token_stream().to_string();
                    return Err(Error::new(format!("bindgen made something unexpected: {text}")));
                }
            }
        }
        for (owner, item) in attached {
            let found = abi.types.iter_mut().find(|t| t.name == owner);
            let found = found.ok_or_else(|| Error::new(format!("no type {owner} for its layout check")))?;
            found.items.push(item);
        }
        Ok(abi)
    }

    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }

    pub fn constant(&self, name: &str) -> Option<&Constant> {
        self.constants.iter().find(|c| c.name == name)
    }
}

impl Type {
    /// Size, alignment and field offsets.
    pub fn layout(&self) -> BTreeMap<String, u64> {
        let checks = self.items.iter().filter_map(|item| match item {
            syn::Item::Const(check) => Some(check),
            _ => None,
        });
        checks.flat_map(layout_facts).collect()
    }

    /// What the type is, in a form that two generations can be compared by: fields with their types.
    pub fn definition(&self) -> String {
        let fields = |fields: &syn::Fields| {
            let mut text: Vec<String> = fields
                .iter()
                .map(|f| match &f.ident {
                    Some(name) => format!("{name}: {}", text_of(&f.ty)),
                    None => text_of(&f.ty),
                })
                .collect();
            // The body of an incomplete C struct.
            text.retain(|field| field != "_unused: [u8; 0]");
            if text.is_empty() { "opaque".to_owned() } else { format!("{{ {} }}", text.join(", ")) }
        };
        match &self.items[0] {
            syn::Item::Struct(item) => fields(&item.fields),
            syn::Item::Union(item) => {
                format!("union {}", fields(&syn::Fields::Named(item.fields.clone())))
            }
            syn::Item::Type(item) => text_of(&item.ty),
            syn::Item::Use(item) => renamed(&item.tree).map(|(old, _)| old).unwrap_or_default(),
            _ => String::new(),
        }
    }
}

impl Constant {
    /// Gives every status code the one type that functions return.
    fn new(mut item: syn::ItemConst) -> Self {
        let name = item.ident.to_string();
        let integer = matches!(text_of(&item.ty).as_str(), "c_int" | "c_uint" | "i32" | "u32" | "aclError");
        if integer && is_status_code(&name) {
            item.ty = Box::new(syn::parse_quote!(aclError));
        }
        Self { name, item }
    }

    /// Whether it is one of the codes that ACL functions return.
    pub fn is_status(&self) -> bool {
        self.type_name() == "aclError"
    }

    pub fn type_name(&self) -> String {
        text_of(&self.item.ty)
    }

    pub fn value(&self) -> String {
        let value = &self.item.expr;
        pretty(&quote!(const X: T = #value;), "const X: T =")
    }
}

impl Function {
    fn foreign(item: syn::ForeignItem, headers: &BTreeMap<String, String>) -> Result<Option<Self>, Error> {
        let syn::ForeignItem::Fn(item) = item else { return Ok(None) };
        // A `link_name` means a C++ function, which has no C symbol to look up.
        if item.attrs.iter().any(|a| a.path().is_ident("link_name")) {
            return Ok(None);
        }
        let signature = &item.sig;
        let name = signature.ident.to_string();
        let inputs = signature.inputs.iter();
        let output = &signature.output;
        let variadic = signature.variadic.as_ref().map(|_| quote!(...));
        let pointer = syn::parse2(quote!(unsafe extern "C" fn(#(#inputs,)* #variadic) #output))
            .map_err(|e| Error::new(format!("the signature of {name} cannot be read: {e}")))?;
        let header = headers.get(&name).cloned().unwrap_or_default();
        Ok(Some(Self { name, header, pointer }))
    }

    /// The signature without parameter names, which are no part of the ABI.
    pub fn signature(&self) -> String {
        let mut pointer = self.pointer.clone();
        for input in &mut pointer.inputs {
            input.name = None;
        }
        text_of(&pointer).replace("unsafe extern \"C\" ", "")
    }
}

/// The names that carry status codes, however the headers define them.
fn is_status_code(name: &str) -> bool {
    name.starts_with("ACL_ERROR_")
        || name == "ACL_SUCCESS"
        || name == "ACL_RT_SUCCESS"
        || (name.starts_with("ACLNN_") && name.ends_with("_FAIL"))
}

/// `("Size of aclmdlHW", 2056)` and so on, out of one layout check of bindgen.
fn layout_facts(check: &syn::ItemConst) -> Vec<(String, u64)> {
    let syn::Expr::Block(block) = &*check.expr else { return Vec::new() };
    let fact = |statement: &syn::Stmt| {
        let syn::Stmt::Expr(syn::Expr::Index(index), _) = statement else { return None };
        let syn::Expr::Array(array) = &*index.expr else { return None };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = array.elems.first()? else {
            return None;
        };
        let syn::Expr::Binary(difference) = &*index.index else { return None };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(value), .. }) = &*difference.right else {
            return None;
        };
        Some((text.value(), value.base10_parse().ok()?))
    };
    block.block.stmts.iter().filter_map(fact).collect()
}

/// Source text of a type, spaced as one writes it.
pub fn text_of(ty: &impl ToTokens) -> String {
    pretty(&quote!(type X = #ty;), "type X =").replace("usize]", "]")
}

/// Source text of an item on one line, less this beginning.
fn pretty(item: &TokenStream, beginning: &str) -> String {
    let Ok(file) = syn::parse2::<syn::File>(item.clone()) else { return item.to_string() };
    let text = prettyplease::unparse(&file);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_start_matches(beginning).trim_end_matches(';').trim();
    // Long lists were broken over lines.
    text.replace("( ", "(").replace(", )", ")").replace(" )", ")")
}

/// Old and new name of `self::old as new`.
fn renamed(tree: &syn::UseTree) -> Option<(String, String)> {
    match tree {
        syn::UseTree::Path(path) => renamed(&path.tree),
        syn::UseTree::Rename(rename) => Some((rename.ident.to_string(), rename.rename.to_string())),
        _ => None,
    }
}

fn first_ident(tokens: &TokenStream) -> String {
    let first = tokens.clone().into_iter().find_map(|tree| match tree {
        proc_macro2::TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    });
    first.unwrap_or_default()
}

/// Writes `c_char` for `::core::ffi::c_char` and `Option` for `::core::option::Option`; the generated
/// files import the C types by name.
struct ShortPaths;

impl VisitMut for ShortPaths {
    fn visit_path_mut(&mut self, path: &mut syn::Path) {
        syn::visit_mut::visit_path_mut(self, path);
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if names.len() == 3 && names[0] == "core" && ["ffi", "option"].contains(&names[1].as_str()) {
            *path = path.segments[2].clone().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_status_code_is_an_acl_error() {
        let abi = Abi::parse(
            "pub const ACL_ERROR_RT_X: u32 = 107000; pub const ACL_ERROR_Y: ::core::ffi::c_int = 1;
             pub const ACL_SUCCESS: ::core::ffi::c_int = 0; pub const ACL_MAX_DIM_CNT: u32 = 128;
             pub const ACL_ERROR: aclLogLevel = aclLogLevel(3);",
            &BTreeMap::new(),
        )
        .unwrap();
        let types: Vec<_> = abi.constants.iter().map(Constant::type_name).collect();
        assert_eq!(types, ["aclError", "aclError", "aclError", "u32", "aclLogLevel"]);
    }

    #[test]
    fn the_second_name_of_an_enum_is_a_type() {
        let source = "pub use self::aclEngineType as aclopEngineType; pub struct aclEngineType(pub u32);";
        let abi = Abi::parse(source, &BTreeMap::new()).unwrap();
        let types: Vec<_> = abi.types.iter().map(|t| (t.name.as_str(), t.definition())).collect();
        let expected =
            [("aclopEngineType", "aclEngineType".to_owned()), ("aclEngineType", "{ u32 }".to_owned())];
        assert_eq!(types, expected);
    }

    #[test]
    fn cpp_functions_are_left_out() {
        let source = r#"unsafe extern "C" {
            #[link_name = "\u{1}_Z3foov"]
            pub fn foo();
            pub fn bar(format: *const ::core::ffi::c_char, ...);
        }"#;
        let headers = BTreeMap::from([("bar".to_owned(), "acl/acl.h".to_owned())]);
        let abi = Abi::parse(source, &headers).unwrap();
        let found: Vec<_> = abi.functions.iter().map(|f| (f.signature(), f.header.as_str())).collect();
        assert_eq!(found, [("fn(*const c_char, ...)".to_owned(), "acl/acl.h")]);
        assert!(abi.function("foo").is_none());
    }
}
