//! Every page, in both languages and both themes: nothing in it keeps anybody out, by the rules of
//! axe-core, and a picture of it for whoever wants to look.

use std::env;
use std::fs;
use std::path::PathBuf;

use super::reader::{CHINESE, ENGLISH, Reader};
use super::stage::{self, Place};
use super::{Theme, Window};
use crate::support::{TestApp, spawn_app};
use crate::tools;

/// The rules: a script that `./test` takes from a package that carries it.
const AXE: &str = "axe";
/// Runs the rules over a page and tells what is broken badly enough that somebody cannot go on.
const FIND_BARRIERS: &str = "
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations
        .filter(rule => ['serious', 'critical'].includes(rule.impact))
        .map(rule => `${rule.id}: ${rule.nodes.map(node => node.html + ' ' + node.any.map(one => one.message)).join('; ')}`);";
/// Where pictures of the pages are wanted, if they are.
const SCREENSHOTS: &str = "LARKIVE_TEST_SCREENSHOTS";
/// A usual screen, and a telephone.
const WIDE: (u32, u32) = (1280, 800);
const NARROW: (u32, u32) = (390, 844);

#[tokio::test]
async fn pages_in_chinese_keep_nobody_out() {
    look_at_every_page(&CHINESE).await;
}

#[tokio::test]
async fn pages_in_english_keep_nobody_out() {
    look_at_every_page(&ENGLISH).await;
}

async fn look_at_every_page(reader: &Reader) {
    let app = stage::a_week().await;
    let places = stage::places(&app).await;
    look_at_all(&app, &places, reader).await;
    let bare = spawn_app().await;
    look_at_all(&bare, &stage::bare_places(), reader).await;
}

async fn look_at_all(app: &TestApp, places: &[Place], reader: &Reader) {
    let rules = rules();
    let Some(window) = Window::open(app.admin_address, reader).await else { return };
    let mut barriers = look_at(&window, &Place::new("login", "/login"), reader, rules.as_deref()).await;
    window.sign_in().await;
    for place in places {
        barriers.extend(look_at(&window, place, reader, rules.as_deref()).await);
    }
    assert!(barriers.is_empty(), "{barriers:#?}");
    // What is wrong with a filter, and that there is no such page, is told by a page with a status of its own.
    window.assert_quiet_but_for(&[stage::BAD_FILTER, stage::NOWHERE]).await;
}

/// The rules as a script; nothing on a machine that is known not to have them.
fn rules() -> Option<String> {
    let rules = fs::read_to_string(tools::installed().join("axe.min.js"));
    rules.inspect_err(|_| tools::is_missing(AXE)).ok()
}

/// Looks at a page in both themes, and on a telephone.
async fn look_at(window: &Window, place: &Place, reader: &Reader, rules: Option<&str>) -> Vec<String> {
    let mut barriers = Vec::new();
    window.visit(&place.path).await;
    if let Some(rules) = rules {
        window.run(rules).await;
    }
    for (name, theme, size) in
        [("light", Theme::Light, WIDE), ("dark", Theme::Dark, WIDE), ("phone", Theme::Light, NARROW)]
    {
        window.wear(theme, size).await;
        let mut found = too_wide(window).await;
        if rules.is_some() && size == WIDE {
            found.extend(broken_rules(window).await);
        }
        barriers.extend(found.iter().map(|barrier| format!("{} {name}: {barrier}", place.path)));
        keep_picture(window, &format!("{}-{}-{name}", place.name, reader.tag)).await;
    }
    barriers
}

/// Whether the page has to be moved sideways to be read.
async fn too_wide(window: &Window) -> Vec<String> {
    let excess = window.value("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
    if excess == "0" { Vec::new() } else { vec![format!("{excess} pixels too wide")] }
}

async fn broken_rules(window: &Window) -> Vec<String> {
    let found = window.run(FIND_BARRIERS).await;
    found.as_array().unwrap().iter().map(|barrier| barrier.as_str().unwrap().to_owned()).collect()
}

/// Keeps a picture of the page, if anybody wants to see it.
async fn keep_picture(window: &Window, name: &str) {
    let Some(directory) = env::var_os(SCREENSHOTS).map(PathBuf::from) else { return };
    window.run("for (const image of document.images) { image.loading = 'eager'; }").await;
    window.until("[...document.images].every(image => image.complete)").await;
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.png")), window.picture().await).unwrap();
}
