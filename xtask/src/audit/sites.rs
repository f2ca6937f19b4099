//! Finds every `unsafe` of a file, and the reason that is given for it.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Expr, ImplItem, Item, ItemImpl, Meta, Token, TraitItem,
    parse::Parser,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::comments::Comments;

/// What kind of unsafe code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Block,
    Impl,
    Function,
    /// A function of the C ABI, as the header has it.
    Shim,
    Trait,
    Extern,
    Attribute,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Block => "block",
            Kind::Impl => "impl",
            Kind::Function => "fn",
            Kind::Shim => "shim",
            Kind::Trait => "trait",
            Kind::Extern => "extern",
            Kind::Attribute => "attribute",
        }
    }
}

/// One `unsafe`.
#[derive(Debug, Clone)]
pub struct Site {
    pub line: usize,
    /// What it stands in: `Stream::synchronize`.
    pub item: String,
    pub kind: Kind,
    /// Inside a test module.
    pub test: bool,
    /// What is written behind `SAFETY:` or under `# Safety`, if there is anything.
    pub reason: Option<String>,
    /// What changes when the code or its reason does.
    pub digest: u32,
}

/// All unsafe code of a file.
pub fn find(source: &str) -> syn::Result<Vec<Site>> {
    let file = syn::parse_file(source)?;
    let mut finder = Finder {
        comments: Comments::new(source),
        sites: Vec::new(),
        path: Vec::new(),
        starts: Vec::new(),
        tests: 0,
    };
    finder.visit_file(&file);
    finder.sites.sort_by_key(|site| site.line);
    Ok(finder.sites)
}

struct Finder {
    comments: Comments,
    sites: Vec<Site>,
    path: Vec<String>,
    /// Where the statements, arms, fields and items begin that enclose what is looked at: comments stand above them.
    starts: Vec<usize>,
    /// How many test modules enclose it.
    tests: usize,
}

impl Finder {
    fn add(&mut self, kind: Kind, span: Span, tokens: &str, reason: Option<String>) {
        let mut digest = Digest::new();
        digest.add(tokens);
        digest.add(reason.as_deref().unwrap_or_default());
        self.sites.push(Site {
            line: span.start().line,
            item: self.path.join("::"),
            kind,
            test: self.tests > 0,
            reason,
            digest: digest.finish(),
        });
    }

    /// The comment for code at this place: above it, or above what encloses it up to the statement.
    fn comment(&self, span: Span) -> Option<String> {
        let line = span.start().line;
        let start = self.starts.last().copied();
        std::iter::once(line).chain(start).find_map(|line| self.comments.safety_above(line))
    }

    fn within(&mut self, span: Span, inner: impl FnOnce(&mut Self)) {
        self.starts.push(span.start().line);
        inner(self);
        self.starts.pop();
    }

    fn named(&mut self, name: String, attributes: &[Attribute], inner: impl FnOnce(&mut Self)) {
        let test = attributes.iter().any(is_test);
        self.tests += usize::from(test);
        self.path.push(name);
        inner(self);
        self.path.pop();
        self.tests -= usize::from(test);
    }

    fn attributes(&mut self, attributes: &[Attribute], is_shim: bool) {
        for attribute in attributes {
            let tokens = attribute.to_token_stream().to_string();
            // Exported under its C name: part of the shim.
            if tokens.contains("unsafe") && !attribute.path().is_ident("doc") && !is_shim {
                let reason = self.comment(attribute.span());
                self.add(Kind::Attribute, attribute.span(), &tokens, reason);
            }
        }
    }

    fn function(&mut self, signature: &syn::Signature, attributes: &[Attribute], tokens: &dyn ToTokens) {
        let is_shim = signature.abi.is_some() && matches!(signature.safety, syn::Safety::Unsafe(_));
        self.attributes(attributes, is_shim);
        if let syn::Safety::Unsafe(unsafety) = &signature.safety {
            let kind = if is_shim { Kind::Shim } else { Kind::Function };
            // The body's own unsafe code has digests of its own; the contract is that of the signature.
            let _ = tokens;
            let text = signature.to_token_stream().to_string();
            self.add(kind, unsafety.span(), &text, contract(attributes));
        }
    }

    /// The tokens of a macro: as expressions if that is what they are, otherwise one by one.
    fn tokens(&mut self, tokens: TokenStream) {
        if let Ok(expressions) = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens.clone()) {
            for expression in &expressions {
                self.within(expression.span(), |finder| finder.visit_expr(expression));
            }
            return;
        }
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut start = trees.first().map(|tree| tree.span());
        for (index, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Ident(ident) if ident == "unsafe" => {
                    let kind = match trees.get(index + 1) {
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Kind::Block,
                        Some(TokenTree::Ident(next)) if next == "impl" => Kind::Impl,
                        Some(TokenTree::Ident(next)) if next == "trait" => Kind::Trait,
                        // A type, or a function, which says itself what it demands.
                        _ => continue,
                    };
                    let rest: TokenStream = trees[index..].iter().take(12).cloned().collect();
                    let reason = self
                        .comments
                        .safety_above(ident.span().start().line)
                        .or_else(|| start.and_then(|start| self.comments.safety_above(start.start().line)));
                    self.add(
                        kind,
                        ident.span(),
                        &rest.to_string(),
                        reason.or_else(|| self.comment(ident.span())),
                    );
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            let ends = match tree {
                TokenTree::Punct(punct) => matches!(punct.as_char(), ';' | ','),
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                _ => false,
            };
            if ends {
                start = trees.get(index + 1).map(|tree| tree.span());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        self.within(item.span(), |finder| match item {
            Item::Mod(module) => {
                finder
                    .named(module.ident.to_string(), &module.attrs, |finder| visit::visit_item(finder, item));
            }
            Item::Fn(function) => {
                finder.named(function.sig.ident.to_string(), &function.attrs, |finder| {
                    finder.function(&function.sig, &function.attrs, function);
                    visit::visit_item(finder, item);
                });
            }
            Item::Impl(block) => finder.named(subject(block), &block.attrs, |finder| {
                if let Some(unsafety) = &block.unsafety {
                    let reason = finder.comments.safety_above(block.span().start().line);
                    let reason = reason.or_else(|| finder.comment(unsafety.span()));
                    finder.add(Kind::Impl, unsafety.span(), &header(block), reason);
                }
                visit::visit_item(finder, item);
            }),
            Item::Trait(definition) => {
                finder.named(definition.ident.to_string(), &definition.attrs, |finder| {
                    if let Some(unsafety) = &definition.unsafety {
                        let text = definition.ident.to_string();
                        finder.add(Kind::Trait, unsafety.span(), &text, contract(&definition.attrs));
                    }
                    visit::visit_item(finder, item);
                });
            }
            Item::ForeignMod(foreign) => {
                let reason = finder.comment(foreign.span());
                finder.add(Kind::Extern, foreign.span(), &foreign.to_token_stream().to_string(), reason);
            }
            Item::Macro(definition) => {
                let name = definition.ident.as_ref().map(|ident| format!("{ident}!"));
                finder.named(name.unwrap_or_else(|| "macro".into()), &definition.attrs, |finder| {
                    finder.tokens(definition.mac.tokens.clone());
                });
            }
            Item::Const(constant) => {
                finder.named(constant.ident.to_string(), &constant.attrs, |finder| {
                    visit::visit_item(finder, item)
                });
            }
            Item::Static(value) => {
                finder.attributes(&value.attrs, false);
                finder.named(value.ident.to_string(), &value.attrs, |finder| visit::visit_item(finder, item));
            }
            _ => visit::visit_item(finder, item),
        });
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        self.within(item.span(), |finder| match item {
            ImplItem::Fn(function) => {
                finder.named(function.sig.ident.to_string(), &function.attrs, |finder| {
                    finder.function(&function.sig, &function.attrs, function);
                    visit::visit_impl_item(finder, item);
                })
            }
            ImplItem::Const(constant) => {
                finder.named(constant.ident.to_string(), &constant.attrs, |finder| {
                    visit::visit_impl_item(finder, item);
                })
            }
            _ => visit::visit_impl_item(finder, item),
        });
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        self.within(item.span(), |finder| match item {
            TraitItem::Fn(function) => {
                finder.named(function.sig.ident.to_string(), &function.attrs, |finder| {
                    finder.function(&function.sig, &function.attrs, function);
                    visit::visit_trait_item(finder, item);
                })
            }
            _ => visit::visit_trait_item(finder, item),
        });
    }

    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        self.within(statement.span(), |finder| visit::visit_stmt(finder, statement));
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.within(arm.span(), |finder| visit::visit_arm(finder, arm));
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        self.within(field.span(), |finder| visit::visit_field_value(finder, field));
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        let reason = self.comment(block.unsafe_token.span());
        self.add(Kind::Block, block.unsafe_token.span(), &block.to_token_stream().to_string(), reason);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.tokens(invocation.tokens.clone());
    }
}

/// The type that a block of implementations is for, with the trait.
fn subject(block: &ItemImpl) -> String {
    let short = |tokens: String| tokens.replace(' ', "");
    let of = short(block.self_ty.to_token_stream().to_string());
    match &block.trait_ {
        Some((path, _)) => format!("<{of} as {}>", short(path.to_token_stream().to_string())),
        None => of,
    }
}

fn header(block: &ItemImpl) -> String {
    format!("unsafe impl {} {}", block.generics.to_token_stream(), subject(block))
}

/// Whether what has the attribute is compiled for tests only.
fn is_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return attribute.path().is_ident("test") };
    list.path.is_ident("cfg")
        && list.tokens.clone().into_iter().any(|tree| match tree {
            TokenTree::Ident(ident) => ident == "test",
            TokenTree::Group(group) => group
                .stream()
                .into_iter()
                .any(|tree| matches!(tree, TokenTree::Ident(ident) if ident == "test")),
            _ => false,
        })
}

/// What the documentation says under `# Safety`.
fn contract(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let mut lines = lines.skip_while(|line| line.trim() != "# Safety");
    lines.next()?;
    let text: Vec<String> =
        lines.map(|line| line.trim().to_owned()).take_while(|line| !line.starts_with("# ")).collect();
    let text = text.join(" ").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// FNV-1a, which is the same everywhere and for ever.
struct Digest(u32);

impl Digest {
    fn new() -> Self {
        Digest(0x811c_9dc5)
    }

    /// White space does not count.
    fn add(&mut self, text: &str) {
        for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }

    fn finish(self) -> u32 {
        self.0
    }
}
