//! The house: imports go down only, and some crates are at home in one module.

mod handles;
mod scan;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use self::handles::handed_out;
use self::scan::{Import, Used, scan};

/// Each module, the modules of ours that it may use, and nothing else.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &["domain"]),
    ("metrics", &[]),
    ("log_limit", &[]),
    ("blocking", &[]),
    ("telemetry", &["domain", "clock", "config"]),
    ("feishu", &["domain", "clock", "metrics", "log_limit"]),
    ("catalogue", &["domain", "clock"]),
    ("blob", &["domain", "clock", "blocking"]),
    ("picture", &["domain"]),
    ("archive", &["domain", "clock", "metrics", "log_limit", "blocking", "feishu", "catalogue", "blob", "picture"]),
    ("worker", &["domain", "clock", "metrics", "log_limit", "catalogue", "blob", "archive"]),
    ("http", &["domain", "clock", "metrics", "log_limit", "blocking", "feishu", "catalogue", "blob", "archive"]),
    ("config", &["domain", "clock", "feishu", "catalogue"]),
    ("sandbox", &["domain", "clock", "feishu"]),
    (
        "app",
        &[
            "domain",
            "clock",
            "metrics",
            "feishu",
            "catalogue",
            "blob",
            "picture",
            "archive",
            "http",
            "worker",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "clock",
            "metrics",
            "telemetry",
            "feishu",
            "catalogue",
            "blob",
            "picture",
            "archive",
            "http",
            "worker",
            "config",
            "sandbox",
            "app",
        ],
    ),
];

/// Crates that only some modules may know.
const AT_HOME: &[(&str, &[&str])] = &[
    ("aes", &["feishu"]),
    ("cbc", &["feishu"]),
    ("sqlx", &["catalogue"]),
    ("rusqlite", &["catalogue"]),
    ("fnv", &["catalogue"]),
    ("reqwest", &["feishu", "sandbox", "cli"]),
    ("async_compression", &["feishu"]),
    ("sha2", &["feishu", "blob", "archive", "http", "sandbox"]),
    ("tempfile", &["blob", "archive"]),
    ("infer", &["blob", "sandbox"]),
    ("image", &["picture"]),
    ("jpeg_decoder", &["picture"]),
    ("webp", &["picture"]),
    ("seccompiler", &["picture"]),
    ("libc", &["picture"]),
    ("actix_web", &["http", "app"]),
    ("actix_http", &["http"]),
    ("actix_server", &["http"]),
    ("actix_service", &["http"]),
    ("prometheus_client", &["metrics"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("indicatif", &["cli"]),
    ("tar", &["archive"]),
    ("crc32fast", &["archive"]),
    ("icu_normalizer", &["archive", "domain"]),
    ("tracing_subscriber", &["telemetry"]),
    ("httparse", &["sandbox"]),
    ("png", &["sandbox"]),
    ("askama", &["http"]),
    ("governor", &["http"]),
    ("toml", &["config"]),
];

/// A file of the library, and what it uses.
struct Source {
    file: PathBuf,
    /// The module right below the root that it belongs to; none for the root itself.
    home: Option<String>,
    imports: Vec<Import>,
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The library's sources, found as the compiler finds them: from module to module. What is only compiled for
/// tests is left out.
fn sources() -> Vec<Source> {
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    collect(&src(), &mut files);
    let mut sources = Vec::new();
    let mut waiting = vec![(Vec::new(), src().join("lib.rs"))];
    while let Some((module, file)) = waiting.pop() {
        files.remove(&file);
        let found = scan(&module, &fs::read_to_string(&file).unwrap());
        for declared in found.declared {
            let file = file_of(&declared.module);
            if declared.is_of_tests {
                files.retain(|other| *other != file && !other.starts_with(file.with_extension("")));
            } else {
                waiting.push((declared.module, file));
            }
        }
        sources.push(Source { file, home: module.first().cloned(), imports: found.imports });
    }
    assert_eq!(files, BTreeSet::from([src().join("main.rs")]), "these files belong to no module");
    sources
}

fn file_of(module: &[String]) -> PathBuf {
    let path = module.iter().fold(src(), |path, name| path.join(name));
    let file = path.with_extension("rs");
    if file.exists() { file } else { path.join("mod.rs") }
}

fn collect(directory: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path);
        }
    }
}

/// Whether a module may use what an import leads to.
fn may(module: &str, used: &Used) -> bool {
    match used {
        Used::Root => false,
        Used::Module(used) => {
            let row = MAY_USE.iter().find(|(name, _)| *name == module);
            used == module || row.is_some_and(|(_, may_use)| may_use.contains(&used.as_str()))
        }
        Used::Other(name) => {
            AT_HOME.iter().find(|(known, _)| known == name).is_none_or(|(_, homes)| homes.contains(&module))
        }
    }
}

/// What is wrong with what a module uses; nothing if it may.
fn objection(home: &str, import: &Import) -> Option<String> {
    let used = match &import.used {
        Used::Root => return Some("names the root, and so everything below it".to_owned()),
        Used::Module(name) => format!("crate::{name}"),
        Used::Other(name) => name.clone(),
    };
    if !may(home, &import.used) {
        return Some(format!("uses {used}"));
    }
    // Under a name of this module, everybody who may use it could use what is not theirs.
    let user_of_home = |(module, may_use): &&(&str, &[&str])| *module != home && may_use.contains(&home);
    let outsider = MAY_USE.iter().filter(user_of_home).find(|(module, _)| !may(module, &import.used));
    outsider.filter(|_| import.handed_on).map(|(outsider, _)| format!("hands {used} on to {outsider}"))
}

#[test]
fn imports_go_down_only() {
    let sources = sources();
    let count: usize = sources.iter().map(|source| source.imports.len()).sum();
    assert!(count > 1000, "the scan found only {count} imports");
    let mut wrong = Vec::new();
    for source in &sources {
        let Some(home) = &source.home else { continue };
        let file = source.file.strip_prefix(src()).unwrap().display();
        for import in &source.imports {
            let objection = objection(home, import);
            wrong.extend(objection.map(|objection| format!("src/{file}:{} {objection}", import.line)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_row() {
    for source in sources() {
        let Some(home) = source.home else { continue };
        assert!(
            MAY_USE.iter().any(|(name, _)| *name == home),
            "{} is of {home}, and the table has no {home}",
            source.file.display()
        );
    }
}

#[test]
fn no_path_and_no_file_leaves_the_store() {
    let mut wrong = Vec::new();
    for Source { file, .. } in sources().into_iter().filter(|source| source.home.as_deref() == Some("blob")) {
        let handed_out = handed_out(&fs::read_to_string(&file).unwrap());
        wrong.extend(handed_out.into_iter().map(|by| format!("{} by {by}", file.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    for source in [
        "pub fn f() -> std::path::PathBuf {}",
        "impl S { pub async fn f(&self) -> io::Result<Option<(u8, File)>> {} }",
        "pub struct S { pub f: Arc<Path> }",
        "impl S { pub fn f(&self) -> impl AsRef<Path> {} }",
    ] {
        assert_eq!(handed_out(source), ["f"], "{source}");
    }
    let kept = "pub struct S { pub(super) f: File } impl S { pub(super) fn f() -> File {} pub fn g(_: &Path) {} }";
    assert!(handed_out(kept).is_empty());
}

/// What is wrong with a source that is planted below a module.
fn objections_below(home: &str, source: &str) -> Vec<String> {
    let module = [home.to_owned(), "planted".to_owned()];
    scan(&module, source).imports.iter().filter_map(|import| objection(home, import)).collect()
}

fn objections_to(source: &str) -> Vec<String> {
    objections_below("blob", source)
}

#[test]
fn no_spelling_hides_an_import_that_goes_up() {
    for source in [
        "use crate::archive::Download;",
        "use crate::{archive, domain};",
        "use crate::{domain::time::Timestamp, clock::Clock, archive::{download, expand}};",
        "use crate::{\n    domain,\n    archive,\n};",
        "use {crate::archive as domain, std::fs};",
        "use crate::archive::*;",
        "use super::super::archive::Download;",
        "use self::super::super::{archive::Download};",
        "pub use crate::archive::Download;",
        "mod inner { use super::super::super::archive::Download; }",
        "fn f() { use crate::{archive}; }",
        "fn f() { crate :: archive :: f(); }",
        "fn f() { super::super::archive::f(); }",
        "fn f(_: Vec<crate::archive::Download>) {}",
        "fn f() { <crate::archive::Download as Default>::default(); }",
        "fn f() { println!(\"{}\", crate::archive::f()); }",
        "fn f() { tokio::select! { x = super::super::archive::f() => {} } }",
        "macro_rules! m { () => { $crate::archive::f() } }",
        "macro_rules! m { () => { use crate::{domain, archive}; } }",
        "#[derive(serde::Serialize)] struct S { #[serde(with = \"crate::archive::spelled\")] x: u8 }",
        "#[crate::archive::attribute] fn f() {}",
        "impl crate::archive::Trait for S {}",
        "pub(crate) const X: u32 = crate::archive::X;",
    ] {
        let found = objections_to(source);
        assert!(found.iter().any(|objection| objection == "uses crate::archive"), "{source}: {found:?}");
    }
}

#[test]
fn no_spelling_hides_a_crate_that_is_at_home_elsewhere() {
    for source in [
        "use sqlx;",
        "use sqlx::Row as _;",
        "use ::sqlx::Row;",
        "use {std::fs, sqlx::{Row, query}};",
        "use sqlx as blob;",
        "extern crate sqlx as blob;",
        "fn f() { sqlx::query(\"\"); }",
        "fn f() { vec![sqlx::query(\"\")]; }",
        "#[derive(sqlx::FromRow)] struct S;",
    ] {
        assert_eq!(objections_to(source).first().map(String::as_str), Some("uses sqlx"), "{source}");
    }
}

#[test]
fn nobody_takes_everything_or_hands_on_what_is_another_modules() {
    for source in [
        "use crate::*;",
        "use crate as house;",
        "use super::super::*;",
        "use super::{super as house};",
        "extern crate self as house;",
    ] {
        let found = objections_to(source);
        assert!(found.iter().any(|objection| objection.starts_with("names the root")), "{source}: {found:?}");
    }
    let hands_on = |home, source| objections_below(home, source).first().cloned().unwrap_or_default();
    assert_eq!(hands_on("feishu", "pub use crate::metrics::Metrics;"), "hands crate::metrics on to config");
    assert_eq!(hands_on("catalogue", "pub(crate) use sqlx::Row;"), "hands sqlx on to archive");
}

#[test]
fn what_is_allowed_is_no_objection() {
    for source in [
        "use crate::{blob::spool, clock::Clock, domain::{self, time::Timestamp}};",
        "pub use crate::domain::digest::Digest;",
        "use super::spool::Staging; use self::child::X; mod child {}",
        "use super::*;",
        "pub(in crate::archive) fn f() {}",
        "#[cfg(test)] mod tests { use crate::archive::Download; }",
        "#[test] fn f() { crate::archive::f(); }",
        "// use crate::archive;\n/// [`crate::archive`]\nfn f() { let archive = \"crate::archive\"; }",
        "mod image {} use image::X; fn f() { image::f(); }",
        "struct S; impl S { #[cfg(test)] fn f() { crate::archive::f(); } }",
    ] {
        assert_eq!(objections_to(source), Vec::<String>::new(), "{source}");
    }
}
