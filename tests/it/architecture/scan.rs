//! What a source file uses: every path in it, however it is written, resolved to a module of ours or a crate.
//!
//! Code that is only compiled for tests is left out. Paths inside of macros are read from their tokens.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, Meta, UseTree, Visibility};

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Used {
    /// The root of our own crate, and so whatever lies in it.
    Root,
    /// One of our modules right below the root.
    Module(String),
    /// Another crate, or a name that only the file itself knows.
    Other(String),
}

/// One use of something.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) line: usize,
    pub(super) used: Used,
    /// Whether it is made visible to other modules under a name of this one.
    pub(super) handed_on: bool,
}

/// A module that the file declares and that lies in another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// Its path from the root of the crate.
    pub(super) module: Vec<String>,
    /// Whether it is only compiled for tests.
    pub(super) is_of_tests: bool,
}

/// What a file uses and declares.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) imports: Vec<Import>,
    pub(super) declared: Vec<Declared>,
}

/// Scans the source of a module, given by its path from the root.
pub(super) fn scan(module: &[String], source: &str) -> Scan {
    let file: File = syn::parse_file(source).unwrap_or_else(|error| panic!("{}: {error}", module.join("::")));
    let mut scanner = Scanner { module: module.to_vec(), names: Vec::new(), in_tests: false, scan: Scan::default() };
    if !file.attrs.iter().any(is_for_tests) {
        scanner.names.push(declared_names(&file.items));
        scanner.visit_file(&file);
    }
    scanner.scan
}

struct Scanner {
    /// Where the scanner is.
    module: Vec<String>,
    /// The names that each module around this place declares or imports: these are no crates.
    names: Vec<BTreeSet<String>>,
    in_tests: bool,
    scan: Scan,
}

impl Scanner {
    fn add(&mut self, line: usize, path: &[String], handed_on: bool) {
        let Some(used) = self.resolve(path) else { return };
        self.scan.imports.push(Import { line, used, handed_on });
    }

    /// Where a path leads; nothing if it stays in this module.
    fn resolve(&self, path: &[String]) -> Option<Used> {
        let first = path.first()?;
        let mut place = match first.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ if self.names.last().is_some_and(|names| names.contains(first)) => return None,
            _ => return Some(Used::Other(first.clone())),
        };
        for segment in path {
            match segment.as_str() {
                "crate" | "self" | "*" => {}
                "super" => drop(place.pop()),
                name => place.push(name.to_owned()),
            }
        }
        Some(place.into_iter().next().map_or(Used::Root, Used::Module))
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String], handed_on: bool) {
        let extended = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &extended(path.ident.to_string()), handed_on),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before, handed_on)),
            UseTree::Name(name) => {
                self.add_use(name.ident.span().start().line, &extended(name.ident.to_string()), handed_on)
            }
            UseTree::Rename(name) => {
                self.add_use(name.ident.span().start().line, &extended(name.ident.to_string()), handed_on);
            }
            UseTree::Glob(glob) => {
                self.add_use(glob.star_token.spans[0].start().line, &extended("*".to_owned()), handed_on)
            }
        }
    }

    /// A name of this file may hide a crate, but not from the statement that imports it.
    fn add_use(&mut self, line: usize, path: &[String], handed_on: bool) {
        let is_child = |name: &String| self.names.last().is_some_and(|names| names.contains(&format!("mod {name}")));
        match path.first() {
            Some(first) if !is_keyword(first) && !is_child(first) => {
                self.scan.imports.push(Import { line, used: Used::Other(first.clone()), handed_on });
            }
            _ => self.add(line, path, handed_on),
        }
    }

    /// Reads paths from tokens: names with `::` between them, and the names of a group behind `::`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let (path, next) = path_from(&tokens, at);
                    if path.len() > 1 {
                        self.add(first.span().start().line, &path, false);
                    }
                    at = next;
                    // A group behind `::` goes on with the path.
                    if let Some(TokenTree::Group(group)) = tokens.get(at)
                        && group.delimiter() == Delimiter::Brace
                        && ends_with_colons(&tokens, at)
                    {
                        self.add_group(&path, group.stream(), first.span().start().line);
                    }
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn add_group(&mut self, before: &[String], tokens: TokenStream, line: usize) {
        for token in tokens {
            if let TokenTree::Ident(name) = token {
                self.add(line, &[before, &[name.to_string()]].concat(), false);
            }
        }
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "crate" | "self" | "super")
}

fn names_of(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// The path that begins at an identifier, and where the tokens go on behind it.
fn path_from(tokens: &[TokenTree], at: usize) -> (Vec<String>, usize) {
    let (mut path, mut at) = (Vec::new(), at);
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        path.push(name.to_string());
        at += 1;
        if !(is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))) {
            break;
        }
        at += 2;
    }
    (path, at)
}

fn ends_with_colons(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && is_colon(tokens.get(at - 1)) && is_colon(tokens.get(at - 2))
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

/// What the items of a module are called, and which of them are modules.
fn declared_names(items: &[Item]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in items {
        match item {
            Item::Mod(module) => {
                names.insert(module.ident.to_string());
                names.insert(format!("mod {}", module.ident));
            }
            Item::Use(used) => imported_names(&used.tree, &mut names),
            _ => {}
        }
    }
    names
}

fn imported_names(tree: &UseTree, names: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => imported_names(&path.tree, names),
        UseTree::Group(group) => group.items.iter().for_each(|tree| imported_names(tree, names)),
        UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
        UseTree::Rename(name) => drop(names.insert(name.rename.to_string())),
        UseTree::Glob(_) => {}
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let is_test_configuration = |list: &syn::MetaList| list.path.is_ident("cfg") && list.tokens.to_string() == "test";
    matches!(&attribute.meta, Meta::List(list) if is_test_configuration(list)) || attribute.path().is_ident("test")
}

/// Where strings in attributes may be paths (`#[serde(with = "crate::…")]`).
fn strings(tokens: TokenStream) -> Vec<String> {
    let inner = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => strings(group.stream()),
        TokenTree::Literal(literal) => vec![literal.to_string().trim_matches('"').to_owned()],
        _ => Vec::new(),
    });
    inner.collect()
}

impl<'ast> Visit<'ast> for Scanner {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        } else if let Item::Mod(module) = item {
            self.in_tests = true;
            self.declare(module);
            self.in_tests = false;
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let Some((_, items)) = &module.content else { return self.declare(module) };
        self.module.push(module.ident.to_string());
        self.names.push(declared_names(items));
        visit::visit_item_mod(self, module);
        self.names.pop();
        self.module.pop();
    }

    fn visit_item_use(&mut self, used: &'ast syn::ItemUse) {
        let handed_on = !matches!(used.vis, Visibility::Inherited);
        self.add_tree(&used.tree, &[], handed_on);
    }

    fn visit_item_extern_crate(&mut self, named: &'ast syn::ItemExternCrate) {
        let used = if named.ident == "self" { Used::Root } else { Used::Other(named.ident.to_string()) };
        self.scan.imports.push(Import { line: named.ident.span().start().line, used, handed_on: false });
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !function.attrs.iter().any(is_for_tests) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    /// Who may see something is no use of it.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = names_of(path);
        if let (Some(first), 2..) = (path.segments.first(), names.len()) {
            self.add(first.ident.span().start().line, &names, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        self.visit_path(attribute.path());
        let Meta::List(list) = &attribute.meta else { return };
        self.add_tokens(list.tokens.clone());
        let paths = strings(list.tokens.clone()).into_iter().filter_map(|text| syn::parse_str::<syn::Path>(&text).ok());
        for names in paths.map(|path| names_of(&path)).filter(|names| names.len() > 1) {
            self.add(attribute.pound_token.spans[0].start().line, &names, false);
        }
    }
}

impl Scanner {
    fn declare(&mut self, module: &ItemMod) {
        assert!(
            !module.attrs.iter().any(|attribute| attribute.path().is_ident("path")),
            "{}: modules lie where their names say",
            module.ident
        );
        if module.content.is_none() {
            let path = [self.module.as_slice(), &[module.ident.to_string()]].concat();
            self.scan.declared.push(Declared { module: path, is_of_tests: self.in_tests });
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
