//! The recipes in `docs/querying.md`: each is run, in order and in one shell, against a demo's archive.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::Workplace;
use crate::tools;

/// What recipes need besides the program and what every system has.
const TOOLS: [&str; 4] = ["curl", "jq", "sqlite3", "datasette"];
/// What is printed between two recipes.
const SEAM: &str = "== recipe";

fn blocks(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document);
    let text = fs::read_to_string(path).unwrap();
    text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The tools that this machine is known not to have; any other that is missing is a failure.
fn missing_tools() -> Vec<&'static str> {
    TOOLS.into_iter().filter(|tool| !tools::is_there(tool)).inspect(|tool| tools::is_missing(tool)).collect()
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
        // The program refuses settings that it does not know.
        .env_remove(tools::WITHOUT)
        .env("PATH", tools::path())
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
