//! The documents: a README that shows the way in, pages in both languages, links that lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a README may take, so that the way in is seen without searching for it.
const README_LINES: usize = 70;
/// Pages of measurements and for contributors, which are in English only.
const ENGLISH_ONLY: [&str; 2] = ["benchmarks.md", "reliability.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pages_below(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    pages
}

fn all_pages() -> Vec<PathBuf> {
    [pages_below("."), pages_below("docs")].concat()
}

/// The lines of a page outside its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// Where the links of a page lead, but for those to other hosts.
fn links(text: &str) -> Vec<String> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1));
    let targets = targets.map(|rest| rest.split(')').next().unwrap().to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchors of a page's headings, made as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |title: String| title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    titles.map(|title| kept(title).replace(' ', "-")).collect()
}

fn leads_somewhere(page: &Path, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    path.exists() && (anchor.is_empty() || anchors(&read(&path)).contains(anchor))
}

/// The languages' names of one page: `api.md` and `api.zh-CN.md`.
fn twin(page: &str) -> String {
    page.replace(".md", ".zh-CN.md")
}

#[test]
fn a_readme_begins_with_its_title_and_fits_on_a_screen() {
    for name in ["README.md", "README.zh-CN.md"] {
        let text = read(&root().join(name));
        assert_eq!(text.lines().next(), Some("# Larkive"), "{name}");
        assert!(text.lines().count() <= README_LINES, "{name} has {} lines", text.lines().count());
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let pages = all_pages();
    let followed: Vec<(PathBuf, String)> =
        pages.iter().flat_map(|page| links(&read(page)).into_iter().map(|link| (page.clone(), link))).collect();
    assert!(followed.len() > 50, "only {} links were found", followed.len());
    for (page, link) in followed {
        assert!(leads_somewhere(&page, &link), "{} links to {link}", page.display());
    }
}

#[test]
fn the_index_names_every_page_in_its_language() {
    for (index, chinese) in [("README.md", false), ("README.zh-CN.md", true)] {
        let named: BTreeSet<String> = links(&read(&root().join("docs").join(index))).into_iter().collect();
        for page in pages_below("docs") {
            let page = page.file_name().unwrap().to_str().unwrap().to_owned();
            let ours = page.ends_with(".zh-CN.md") == chinese || ENGLISH_ONLY.contains(&page.as_str());
            assert!(!ours || page == index || named.contains(&page), "docs/{index} leaves out {page}");
        }
    }
}

#[test]
fn every_page_for_users_is_there_in_both_languages() {
    let names = |page: &PathBuf| page.file_name().unwrap().to_str().unwrap().to_owned();
    let pages: BTreeSet<String> = pages_below("docs").iter().map(names).collect();
    let english = pages.iter().filter(|page| !page.ends_with(".zh-CN.md") && !ENGLISH_ONLY.contains(&page.as_str()));
    for page in english {
        assert!(pages.contains(&twin(page)), "docs/{page} has no docs/{}", twin(page));
    }
}
