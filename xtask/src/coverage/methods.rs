//! Reads the safe layer: which items carry the name of a C function (`#[doc(alias = "...")]`), and which names its code has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Fields, Item, Lit, Type, Visibility, parse::Parse as _};

use crate::{error::Error, workspace};

/// The sources, in the workspace.
const FOLDER: &str = "src";

/// What the safe layer says of C functions.
#[derive(Default)]
pub struct Methods {
    /// By alias: the items that have it.
    pub of: BTreeMap<String, BTreeSet<String>>,
    /// All identifiers of the code, without tests.
    pub names: BTreeSet<String>,
}

pub fn read() -> Result<Methods, Error> {
    let mut files = Vec::new();
    collect(&workspace::root().join(FOLDER), &mut files)?;
    let mut methods = Methods::default();
    for path in files {
        let source = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
        methods.add(&source).map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
    }
    Ok(methods)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))? {
        let path = entry.map_err(|error| Error::io("read", folder, error))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

impl Methods {
    fn add(&mut self, source: &str) -> syn::Result<()> {
        self.items(&syn::parse_file(source)?.items);
        Ok(())
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Mod(module) if is_test(&module.attrs) => continue,
                Item::Mod(module) => {
                    if let Some((_, items)) = &module.content {
                        self.items(items);
                    }
                    continue;
                }
                Item::Struct(item) => {
                    let name = item.ident.to_string();
                    self.of_type(&name, &item.attrs, &item.vis);
                    if let Fields::Named(fields) = &item.fields {
                        for field in &fields.named {
                            let field_name = field.ident.as_ref().map_or(String::new(), ToString::to_string);
                            self.item(&format!("{name}::{field_name}"), &field.attrs, &field.vis);
                        }
                    }
                }
                Item::Enum(item) => self.of_type(&item.ident.to_string(), &item.attrs, &item.vis),
                Item::Fn(item) => self.item(&item.sig.ident.to_string(), &item.attrs, &item.vis),
                Item::Impl(block) => {
                    if let Type::Path(path) = &*block.self_ty
                        && let Some(last) = path.path.segments.last()
                    {
                        for item in &block.items {
                            if let syn::ImplItem::Fn(function) = item {
                                let name = format!("{}::{}", last.ident, function.sig.ident);
                                self.item(&name, &function.attrs, &function.vis);
                            }
                        }
                    }
                }
                _ => {}
            }
            self.identifiers(item.to_token_stream());
        }
    }

    /// What ends with the value of a type has the type as its method: dropping it.
    fn of_type(&mut self, name: &str, attributes: &[Attribute], visibility: &Visibility) {
        for alias in public_aliases(attributes, visibility) {
            let ends = ["Destroy", "Free", "Reset", "Unload"].iter().any(|verb| alias.contains(verb));
            let shown = if ends { format!("drop({name})") } else { name.to_owned() };
            self.of.entry(alias).or_default().insert(shown);
        }
    }

    fn item(&mut self, name: &str, attributes: &[Attribute], visibility: &Visibility) {
        for alias in public_aliases(attributes, visibility) {
            self.of.entry(alias).or_default().insert(name.to_owned());
        }
    }

    fn identifiers(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.identifiers(group.stream()),
                TokenTree::Ident(name) => _ = self.names.insert(name.to_string()),
                _ => {}
            }
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                list.tokens.clone().into_iter().any(|token| token.to_string() == "test")
                    || list.tokens.to_string().contains("(test")
            })
    })
}

fn public_aliases(attributes: &[Attribute], visibility: &Visibility) -> Vec<String> {
    if matches!(visibility, Visibility::Public(_)) { aliases(attributes) } else { Vec::new() }
}

fn aliases(attributes: &[Attribute]) -> Vec<String> {
    let mut aliases = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        // Other kinds of `doc` are no aliases, and no errors.
        let _ = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("alias")
                && let Lit::Str(alias) = Lit::parse(meta.value()?)?
            {
                aliases.push(alias.value());
            }
            Ok(())
        });
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_their_aliases() {
        let mut methods = Methods::default();
        methods
            .add(
                r#"
                //! Says aclNothing.
                /// Also aclNothing.
                #[doc(alias = "aclDestroyThing")]
                pub struct Thing { #[doc(alias = "aclText")] pub text: String }
                impl Thing {
                    #[doc(alias = "aclMake")] #[doc(alias = "aclMakeOther")]
                    pub fn new() -> Thing { acl!(site, aclMake(1)); "aclString"; todo() }
                    #[doc(alias = "aclHidden")] fn hidden() {}
                }
                mod inner { impl super::Thing { #[doc(alias = "aclMake")] pub fn again() {} } }
                #[cfg(all(test, not(loom)))]
                mod tests { fn aclTest() {} }
                "#,
            )
            .unwrap();
        let shown: Vec<String> =
            methods.of.iter().map(|(alias, items)| format!("{alias}: {items:?}")).collect();
        assert_eq!(
            shown,
            [
                r#"aclDestroyThing: {"drop(Thing)"}"#,
                r#"aclMake: {"Thing::again", "Thing::new"}"#,
                r#"aclMakeOther: {"Thing::new"}"#,
                r#"aclText: {"Thing::text"}"#
            ]
        );
        let acl: Vec<&String> = methods.names.iter().filter(|name| name.starts_with("acl")).collect();
        assert_eq!(acl, ["acl", "aclMake"]);
    }
}
