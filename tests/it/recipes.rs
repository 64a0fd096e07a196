//! The recipes in `docs/querying.md`: each is run, in order and in one shell, against a demo's archive.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::Workplace;

/// What recipes need besides the program and what every system has.
const TOOLS: [&str; 4] = ["curl", "jq", "sqlite3", "datasette"];
/// Where `./test` names the tools that it could not install.
const WITHOUT: &str = "LARKIVE_TEST_WITHOUT";
/// What is printed between two recipes.
const SEAM: &str = "== recipe";

fn blocks(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document);
    let text = fs::read_to_string(path).unwrap();
    text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The program and what `./test` installs go before what the system has.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_larkive")).parent().unwrap();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/datasette/bin");
    format!("{}:{}:{}", program.display(), env::var("PATH").unwrap(), tools.display())
}

fn is_there(tool: &str) -> bool {
    let looked = Command::new("bash").args(["-c", &format!("command -v {tool}")]).env("PATH", path()).output();
    looked.unwrap().status.success()
}

/// The tools that this machine is known not to have; any other that is missing is a failure.
fn missing_tools() -> Vec<&'static str> {
    let known = env::var(WITHOUT).unwrap_or_default();
    let missing: Vec<_> = TOOLS.into_iter().filter(|tool| !is_there(tool)).collect();
    for tool in &missing {
        let is_known = known.split_whitespace().any(|word| word == *tool);
        assert!(is_known, "{tool} is missing; `./test` installs it, or {WITHOUT}={tool} leaves its recipes out");
    }
    missing
}

#[test]
fn every_recipe_does_what_it_says() {
    let missing = missing_tools();
    let recipes = blocks("querying.md");
    assert!(recipes.len() >= 10, "{} recipes", recipes.len());
    let workplace = Workplace::bare();
    let demo = workplace.start(&["demo", "--data-dir", "data", "--listen", "127.0.0.1:0"]);
    let invitation: Value = serde_json::from_str(&demo.line_with("admin_token")).unwrap();
    let needs_missing = |recipe: &String| missing.iter().any(|tool| recipe.contains(tool));
    let run: Vec<&String> = recipes.iter().filter(|recipe| !needs_missing(recipe)).collect();
    let script: String = run.iter().map(|recipe| format!("{recipe}\necho '{SEAM}'\n")).collect();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(workplace.path(""))
        .env_remove(WITHOUT)
        .env("PATH", path())
        .env("ARCHIVE_URL", invitation["address"].as_str().unwrap())
        .env("LARKIVE_ADMIN_TOKEN", invitation["admin_token"].as_str().unwrap())
        .output()
        .unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let answers: Vec<&str> = said.split(SEAM).collect();
    let last = run.get(answers.len() - 1).map_or("", |recipe| recipe.as_str());
    assert!(output.status.success(), "{last}\n{failed}");
    for (recipe, answer) in run.iter().zip(&answers) {
        assert!(!answer.trim().is_empty(), "nothing came of\n{recipe}\n{failed}");
    }
    demo.stop();
}

#[test]
fn both_languages_have_the_same_recipes() {
    assert_eq!(blocks("querying.md"), blocks("querying.zh-CN.md"));
}
