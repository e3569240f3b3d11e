//! Holds the house as data: who may import whom, and what the pure layers must not name.
//!
//! The checker is a function over paths and sources, so that each rule is shown to fail on a planted violation. It reads
//! what stands in the source (`use` trees, paths, macro bodies), not what the compiler makes of it: a path that only a
//! procedural macro writes is not seen. What is compiled for tests alone is held to no rule but the names of modules.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, UseTree};

struct Layer {
    name: &'static str,
    /// No runtime, files, sockets, clock, environment, randomness, or maps whose order is open.
    pure: bool,
    may: &'static [&'static str],
}

const fn pure(name: &'static str, may: &'static [&'static str]) -> Layer {
    Layer { name, pure: true, may }
}

const fn io(name: &'static str, may: &'static [&'static str]) -> Layer {
    Layer { name, pure: false, may }
}

/// From the ground up: a layer may import only what stands above it in this list.
const HOUSE: &[Layer] = &[
    pure("tree", &[]),
    pure("spec", &["tree"]),
    pure("xds", &["tree"]),
    pure("telemetry", &[]),
    pure("rollout", &["spec"]),
    pure("analysis", &["spec", "telemetry"]),
    pure("translate", &["tree", "spec", "xds"]),
    pure("fleet", &["xds"]),
    pure("reconcile", &["tree", "spec", "xds", "telemetry", "rollout", "analysis", "translate", "fleet"]),
    io("source", &["tree", "spec"]),
    io("store", &["tree", "rollout"]),
    io("provider", &["spec", "rollout", "analysis"]),
    io("server", &["xds", "fleet", "telemetry"]),
    io("admin", &["reconcile", "fleet", "rollout"]),
    io("app", BELOW_APP),
    io("cli", BELOW_CLI),
    io("lib", &[]),
    io("main", &["cli"]),
];

const BELOW_APP: &[&str] = &[
    "tree",
    "spec",
    "xds",
    "telemetry",
    "rollout",
    "analysis",
    "translate",
    "fleet",
    "reconcile",
    "source",
    "store",
    "provider",
    "server",
    "admin",
];

const BELOW_CLI: &[&str] = &[
    "tree",
    "spec",
    "xds",
    "telemetry",
    "rollout",
    "analysis",
    "translate",
    "fleet",
    "reconcile",
    "source",
    "store",
    "provider",
    "server",
    "admin",
    "app",
];

/// What no pure layer may name, it or anything in it. Addresses are data, sockets are not.
const IMPURE: &[&str] = &[
    "tokio",
    "tonic",
    "axum",
    "notify",
    "ureq",
    "hyper",
    "hyper_util",
    "hyper_rustls",
    "rustls_native_certs",
    "prometheus_client",
    "procfs",
    "rand",
    "chrono::Local",
    "chrono::Utc",
    "std::fs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::env",
    "std::thread",
    "std::process",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::collections::hash_map",
    "std::collections::hash_set",
];

/// Names that say nothing: a thing lives with the layer that owns its meaning.
const VAGUE: &[&str] = &["util", "utils", "common", "types", "helper", "helpers", "misc", "prelude"];

const MAX_LINES: usize = 400;

/// Everything wrong with `sources`, given as path (from the root of the package) and text.
fn check(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut violations = BTreeSet::new();
    let mut reached = BTreeSet::new();
    let mut queue = vec![("src/lib.rs".to_owned(), false), ("src/main.rs".to_owned(), false)];
    while let Some((path, test)) = queue.pop() {
        let Some(text) = sources.get(&path) else { continue };
        if !reached.insert(path.clone()) {
            continue;
        }
        let file = match syn::parse_file(text) {
            Ok(file) => file,
            Err(error) => {
                violations.insert(format!("{path}: {error}"));
                continue;
            }
        };
        let mut reader = Reader { in_test: test, module: module_of(&path), ..Reader::default() };
        reader.visit_file(&file);
        for module in &reader.modules {
            if let Some(name) = module.path.last().filter(|name| VAGUE.contains(&name.as_str())) {
                violations.insert(format!("{path}: a module named {name} says nothing of what it is"));
            }
            if module.in_file {
                let base = format!("src/{}", module.path.join("/"));
                queue.extend([(format!("{base}.rs"), module.in_test), (format!("{base}/mod.rs"), module.in_test)]);
            }
        }
        if test {
            continue;
        }
        let lines = text.lines().count() - reader.test_lines;
        if lines > MAX_LINES {
            violations.insert(format!("{path}: {lines} lines without tests, more than {MAX_LINES}"));
        }
        check_names(&path, &reader, &mut violations);
    }
    let orphans = sources.keys().filter(|path| !reached.contains(*path));
    violations.extend(orphans.map(|path| format!("{path}: no mod names this file")));
    violations.into_iter().collect()
}

fn check_names(path: &str, reader: &Reader, violations: &mut BTreeSet<String>) {
    let own = match path {
        "src/lib.rs" => "lib".to_owned(),
        "src/main.rs" => "main".to_owned(),
        _ => module_of(path).swap_remove(0),
    };
    let Some(layer) = HOUSE.iter().find(|layer| layer.name == own) else {
        violations.insert(format!("{path}: the house has no layer {own}"));
        return;
    };
    for name in &reader.names {
        match reader.resolve(name, &own) {
            Meaning::Inside(target) => {
                let Some(target) = target.first().filter(|target| **target != own) else { continue };
                if !layer.may.contains(&target.as_str()) {
                    violations.insert(format!("{path}:{}: {own} may not import {target}", name.line));
                }
            }
            Meaning::Outside(target) if layer.pure => {
                for impure in IMPURE.iter().filter(|impure| names(&target, impure)) {
                    violations.insert(format!("{path}:{}: {own} is pure and names {impure}", name.line));
                }
            }
            Meaning::Outside(_) => {}
        }
    }
}

/// Whether `path` leads to `impure`, into it, or takes it in with a glob.
fn names(path: &[String], impure: &str) -> bool {
    let impure: Vec<&str> = impure.split("::").collect();
    match path.split_last() {
        Some((last, before)) if last == "*" && before.len() < impure.len() => impure[..before.len()] == *before,
        _ => path.len() >= impure.len() && path[..impure.len()] == *impure,
    }
}

/// `src/xds/session/mod.rs` and `src/xds/session.rs` are the module `xds::session`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main") { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// A path as written, and where.
struct Name {
    segments: Vec<String>,
    module: Vec<String>,
    line: usize,
}

/// A module that some `mod` declares.
struct Module {
    path: Vec<String>,
    /// Whether it stands in a file of its own, found by its name.
    in_file: bool,
    in_test: bool,
}

enum Meaning {
    /// From the root of this crate.
    Inside(Vec<String>),
    /// From the name of another crate, or something local that is none of either.
    Outside(Vec<String>),
}

/// Gathers what one file names.
#[derive(Default)]
struct Reader {
    module: Vec<String>,
    in_test: bool,
    names: Vec<Name>,
    /// What `use` binds in this file: name to path.
    bound: BTreeMap<String, Vec<String>>,
    modules: Vec<Module>,
    test_lines: usize,
}

impl Reader {
    fn resolve(&self, name: &Name, own: &str) -> Meaning {
        let mut segments = name.segments.clone();
        if let Some(path) = self.bound.get(&segments[0]).filter(|path| path[0] != segments[0]) {
            segments.splice(..1, path.iter().cloned());
        }
        let supers = segments.iter().take_while(|segment| *segment == "super" || *segment == "self").count();
        if supers > 0 {
            let up = segments.drain(..supers).filter(|segment| segment == "super").count();
            let parents = &name.module[..name.module.len().saturating_sub(up)];
            return Meaning::Inside([parents, &segments].concat());
        }
        match segments[0].as_str() {
            "crate" => Meaning::Inside(segments[1..].to_vec()),
            "serin" if own == "main" => Meaning::Inside(segments[1..].to_vec()),
            first if own == "lib" && HOUSE.iter().any(|layer| layer.name == first) => Meaning::Inside(segments),
            "core" | "alloc" => Meaning::Outside([&["std".to_owned()], &segments[1..]].concat()),
            _ => Meaning::Outside(segments),
        }
    }

    fn name(&mut self, segments: Vec<String>, line: usize) {
        if !self.in_test {
            self.names.push(Name { segments, module: self.module.clone(), line });
        }
    }

    /// A path outside `use`. A single word is local, or was bound by a `use` that has been looked at.
    fn path(&mut self, segments: Vec<String>, line: usize) {
        if segments.len() > 1 {
            self.name(segments, line);
        }
    }

    fn use_tree(&mut self, tree: &UseTree, mut path: Vec<String>) {
        match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                self.use_tree(&inner.tree, path);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(tree, path.clone())),
            UseTree::Glob(glob) => {
                path.push("*".into());
                self.name(path, glob.span().start().line);
            }
            UseTree::Name(name) => self.bind(path, &name.ident, &name.ident),
            UseTree::Rename(rename) => self.bind(path, &rename.ident, &rename.rename),
        }
    }

    fn bind(&mut self, mut path: Vec<String>, ident: &syn::Ident, bound: &syn::Ident) {
        let bound = if ident == "self" { path.last().cloned() } else { Some(bound.to_string()) };
        if ident != "self" {
            path.push(ident.to_string());
        }
        if let Some(bound) = bound.filter(|_| !self.in_test) {
            self.bound.insert(bound, path.clone());
        }
        self.name(path, ident.span().start().line);
    }

    /// The body of a macro is no syntax: every run of `ident::ident` counts.
    fn scan(&mut self, tokens: TokenStream) {
        let mut run = Vec::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.path(std::mem::take(&mut run), line);
                    }
                    line = ident.span().start().line;
                    run.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.path(std::mem::take(&mut run), line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.scan(group.stream());
                    }
                }
            }
        }
        self.path(run, line);
    }

    /// Visits something that may be there for tests alone.
    fn enter(&mut self, attributes: &[Attribute], span: proc_macro2::Span, visit: impl FnOnce(&mut Self)) {
        let outer = self.in_test;
        if !outer && attributes.iter().any(is_for_tests) {
            self.in_test = true;
            self.test_lines += span.end().line + 1 - span.start().line;
        }
        visit(self);
        self.in_test = outer;
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        self.enter(attributes(item), item.span(), |reader| visit::visit_item(reader, item));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Fn(item) => &item.attrs[..],
            ImplItem::Const(item) => &item.attrs,
            _ => &[],
        };
        self.enter(attributes, item.span(), |reader| visit::visit_impl_item(reader, item));
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        // A file found by `#[path]` is not found by its name: it stays an orphan.
        let in_file = item.content.is_none() && !item.attrs.iter().any(|attribute| attribute.path().is_ident("path"));
        self.modules.push(Module { path: self.module.clone(), in_file, in_test: self.in_test });
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.use_tree(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.visit_path(&mac.path);
        self.scan(mac.tokens.clone());
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
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

/// Exactly `#[cfg(test)]`: what is compiled for tests among others is not for tests alone.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
}

/// The sources of this package.
fn sources() -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                sources.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(sources)
}

#[test]
fn the_house_stands_as_it_was_drawn() {
    let sources = sources().expect("readable sources");
    assert!(sources.len() > 20, "only {} files were read", sources.len());
    let violations = check(&sources);
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn layers_rest_only_on_what_stands_below_them() {
    for (index, layer) in HOUSE.iter().enumerate() {
        for below in layer.may {
            let stands = HOUSE[..index].iter().find(|known| known.name == *below);
            let below = stands.unwrap_or_else(|| panic!("{} may import {below}, which is not below it", layer.name));
            assert!(below.pure || !layer.pure, "{} is pure and may import {}", layer.name, below.name);
        }
    }
}

/// What is wrong with a small house to which `files` are added.
fn planted(files: &[(&str, &str)]) -> Vec<String> {
    let mut sources: BTreeMap<String, String> = BTreeMap::from([
        ("src/lib.rs".into(), "pub mod server;\npub mod spec;\npub mod translate;\npub mod xds;\n".into()),
        ("src/main.rs".into(), "fn main() { serin::cli::run() }\n".into()),
        ("src/server/mod.rs".into(), "use tokio::net::TcpListener;\nuse crate::xds::Session;\n".into()),
        ("src/spec/mod.rs".into(), "use std::net::{IpAddr, SocketAddr};\nuse std::time::Duration;\n".into()),
        ("src/translate/mod.rs".into(), "use crate::{spec::SpecSet, xds::{self, Snapshot}};\n".into()),
        ("src/xds/mod.rs".into(), "mod node;\nuse std::collections::BTreeMap;\n".into()),
        ("src/xds/node.rs".into(), "use super::Session;\npub(super) fn f(_: crate::xds::Node) {}\n".into()),
    ]);
    sources.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    check(&sources)
}

#[test]
fn a_house_without_faults_has_none() {
    assert_eq!(planted(&[]), [""; 0]);
    assert_eq!(
        planted(&[("src/spec/mod.rs", "fn f(notify: u8) -> u8 { m!(notify); notify }")]),
        [""; 0],
        "a local word"
    );
}

#[test]
fn imports_outside_the_table_are_found() {
    for (text, violation) in [
        ("use crate::spec::Rollout;", "src/xds/node.rs:1: xds may not import spec"),
        ("use crate::{\n    xds::Node,\n    spec::{Rollout, Split},\n};", "src/xds/node.rs:3: xds may not import spec"),
        ("use crate::spec as s;", "src/xds/node.rs:1: xds may not import spec"),
        ("use super::super::spec::Rollout;", "src/xds/node.rs:1: xds may not import spec"),
        ("mod inner { use super::super::super::spec; }", "src/xds/node.rs:1: xds may not import spec"),
        ("fn f() -> crate::server::Ads { todo!() }", "src/xds/node.rs:1: xds may not import server"),
        ("fn f() { vec![1, crate::server::PORT]; }", "src/xds/node.rs:1: xds may not import server"),
        ("macro_rules! m { () => { $crate::spec::f() } }", "src/xds/node.rs:1: xds may not import spec"),
        ("use super::super as root;\nfn f() { root::spec::f(); }", "src/xds/node.rs:2: xds may not import spec"),
        ("use crate::*;", "src/xds/node.rs:1: xds may not import *"),
    ] {
        assert_eq!(planted(&[("src/xds/node.rs", text)]), [violation], "{text}");
    }
    assert_eq!(
        planted(&[("src/main.rs", "use serin::xds::Node;\nfn main() {}")]),
        ["src/main.rs:1: main may not import xds"]
    );
    assert_eq!(
        planted(&[("src/lib.rs", "mod server;\nmod spec;\nmod translate;\nmod xds;\npub use xds::Node;\n")]),
        ["src/lib.rs:5: lib may not import xds"]
    );
    assert_eq!(
        planted(&[("src/server/mod.rs", "use crate::spec::SpecSet;")]),
        ["src/server/mod.rs:1: server may not import spec"]
    );
}

#[test]
fn impure_names_in_a_pure_layer_are_found() {
    for impure in IMPURE {
        let violation = |line| vec![format!("src/spec/mod.rs:{line}: spec is pure and names {impure}")];
        assert_eq!(planted(&[("src/spec/mod.rs", &format!("\nuse {impure};"))]), violation(2));
        assert_eq!(planted(&[("src/spec/mod.rs", &format!("fn f() {{ {impure}::g(); }}"))]), violation(1));
        assert_eq!(planted(&[("src/spec/mod.rs", &format!("fn f() {{ m!(a, {impure}::g()) }}"))]), violation(1));
        assert_eq!(planted(&[("src/server/mod.rs", &format!("use {impure};"))]), [""; 0]);
        assert_eq!(planted(&[("src/spec/mod.rs", &format!("#[cfg(test)]\nmod tests {{ use {impure}; }}"))]), [""; 0]);
    }
    for (text, impure) in [
        ("use std::{fmt, fs};", "std::fs"),
        ("use std::time;\nfn f() { time::Instant::now(); }", "std::time::Instant"),
        ("use std::net::*;", "std::net::TcpStream"),
        ("fn f() { assert!(std::env::args().next().is_some()); }", "std::env"),
        ("#[cfg(any(test, fuzzing))]\nuse rand::Rng;", "rand"),
    ] {
        let violations = planted(&[("src/spec/mod.rs", text)]);
        assert!(violations.iter().any(|v| v.ends_with(&format!("spec is pure and names {impure}"))), "{violations:?}");
    }
}

#[test]
fn files_that_no_mod_names_are_found() {
    assert_eq!(planted(&[("src/spec/lost.rs", "")]), ["src/spec/lost.rs: no mod names this file"]);
    assert_eq!(
        planted(&[("src/spec/mod.rs", "#[path = \"lost.rs\"]\nmod found;"), ("src/spec/lost.rs", "")]),
        ["src/spec/lost.rs: no mod names this file"]
    );
    assert_eq!(
        planted(&[("src/spec/mod.rs", "mod a { mod b; }"), ("src/spec/a/b.rs", "mod c;"), ("src/spec/a/b/c.rs", "")]),
        [""; 0]
    );
    assert_eq!(
        planted(&[
            ("src/lib.rs", "mod server;\nmod spec;\nmod translate;\nmod xds;\nmod attic;"),
            ("src/attic.rs", "")
        ]),
        ["src/attic.rs: the house has no layer attic"]
    );
}

#[test]
fn long_files_are_found_and_tests_not_counted() {
    let long = "// a line\n".repeat(MAX_LINES);
    assert_eq!(planted(&[("src/spec/mod.rs", &long)]), [""; 0]);
    assert_eq!(
        planted(&[("src/spec/mod.rs", &format!("{long}// one more\n"))]),
        ["src/spec/mod.rs: 401 lines without tests, more than 400"]
    );
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}\n", &long[10 * "// a line\n".len()..]);
    assert_eq!(planted(&[("src/spec/mod.rs", &tests)]), [""; 0]);
    let apart = [("src/spec/mod.rs", "#[cfg(test)]\nmod tests;"), ("src/spec/tests.rs", &*format!("{long}{long}"))];
    assert_eq!(planted(&apart), [""; 0]);
    assert_eq!(
        planted(&[("src/spec/mod.rs", "mod tests;"), apart[1]]),
        ["src/spec/tests.rs: 800 lines without tests, more than 400"],
        "compiled without cfg(test), it is no test"
    );
}

#[test]
fn modules_whose_names_say_nothing_are_found() {
    for name in VAGUE {
        let path = format!("src/spec/{name}.rs");
        assert_eq!(
            planted(&[("src/spec/mod.rs", &format!("mod {name};")), (&path, "")]),
            [format!("src/spec/mod.rs: a module named {name} says nothing of what it is")]
        );
    }
    assert_eq!(planted(&[("src/spec/mod.rs", "mod util { }")]).len(), 1, "in the file itself too");
}

#[test]
fn a_file_that_does_not_parse_is_no_blind_spot() {
    assert_eq!(planted(&[("src/spec/mod.rs", "fn (")]).len(), 1);
}
