//! The house: imports go down only, and some crates are at home in one module.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module, the modules of ours that it may use, and nothing else.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &["domain"]),
    ("metrics", &[]),
    ("telemetry", &["domain", "clock", "config"]),
    ("feishu", &["domain", "clock", "metrics"]),
    ("catalogue", &["domain", "clock"]),
    ("blob", &["domain", "clock"]),
    ("picture", &["domain"]),
    ("archive", &["domain", "clock", "metrics", "feishu", "catalogue", "blob", "picture"]),
    ("worker", &["domain", "clock", "metrics", "catalogue", "blob", "archive"]),
    ("http", &["domain", "clock", "metrics", "feishu", "catalogue", "blob", "archive"]),
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
    ("reqwest", &["feishu", "sandbox", "cli"]),
    ("sha2", &["feishu", "blob", "http", "sandbox"]),
    ("tempfile", &["blob", "archive"]),
    ("infer", &["blob", "sandbox"]),
    ("image", &["picture"]),
    ("jpeg_decoder", &["picture"]),
    ("webp", &["picture"]),
    ("actix_web", &["http", "app"]),
    ("askama", &["http"]),
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
    ("toml", &["config"]),
    ("askama", &["http"]),
];

struct Import {
    file: PathBuf,
    line: usize,
    module: String,
    used: String,
}

/// Every path that begins with `crate::` or with one of the crates above, outside comments.
fn imports() -> Vec<Import> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut imports = Vec::new();
    files.retain(|file| !is_test_module(file));
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in product.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for used in used_names(code) {
                let (file, module) = (relative.to_owned(), module.clone());
                imports.push(Import { file, line: number + 1, module, used });
            }
        }
    }
    imports
}

/// Whether the file is a module of tests: its parent declares it so.
fn is_test_module(file: &Path) -> bool {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let parent = file.with_file_name("mod.rs");
    fs::read_to_string(parent).is_ok_and(|parent| {
        ["mod", "pub(crate) mod", "pub(super) mod"]
            .iter()
            .any(|form| parent.contains(&format!("#[cfg(test)]\n{form} {name};")))
    })
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn used_names(code: &str) -> Vec<String> {
    let ours = code.match_indices("crate::").map(|(at, found)| {
        let rest = &code[at + found.len()..];
        format!("crate::{}", rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
    });
    let theirs = AT_HOME.iter().filter(|(name, _)| {
        code.match_indices(&format!("{name}::")).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
    });
    ours.chain(theirs.map(|(name, _)| (*name).to_owned())).collect()
}

fn allowed(import: &Import) -> bool {
    if matches!(import.module.as_str(), "lib" | "main") {
        return true;
    }
    if let Some((_, homes)) = AT_HOME.iter().find(|(name, _)| *name == import.used) {
        return homes.contains(&import.module.as_str());
    }
    let Some(used) = import.used.strip_prefix("crate::") else { return true };
    let Some((_, may_use)) = MAY_USE.iter().find(|(module, _)| *module == import.module) else { return false };
    used.is_empty() || used == import.module || may_use.contains(&used)
}

#[test]
fn imports_go_down_only() {
    let imports = imports();
    assert!(imports.len() > 100, "the scan found only {} imports", imports.len());
    let wrong: Vec<String> = imports
        .iter()
        .filter(|import| !allowed(import))
        .map(|import| format!("src/{}:{} uses {}", import.file.display(), import.line, import.used))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_row() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for module in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        assert!(MAY_USE.iter().any(|(name, _)| *name == module), "src/lib.rs has {module}, the table has not");
    }
}
