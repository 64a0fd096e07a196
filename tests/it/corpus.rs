//! The corpus: what must be found in each body under `tests/fixtures/events`.
//!
//! `NAME.json` is an event, message or listing; `NAME.expected.json` the rows that `larkive extract`
//! prints for it, written by hand from the platform's documentation. A new shape is a new pair.

use std::fs;
use std::path::{Path, PathBuf};

use larkive::cli::extract::extract;
use serde_json::Value;

/// Fewer bodies than this mean that the corpus was not found, or was thinned out.
const LEAST_BODIES: usize = 140;

/// Every body of the corpus with the file of its expectation.
pub(crate) fn bodies() -> Vec<(PathBuf, PathBuf)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events");
    let mut bodies: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .map(|path| (path.clone(), path.with_extension("expected.json")))
        .collect();
    bodies.sort();
    bodies
}

#[test]
fn every_body_yields_what_it_should() {
    let bodies = bodies();
    let failures: Vec<String> = bodies.iter().filter_map(|(body, expected)| failure(body, expected)).collect();
    assert!(failures.is_empty(), "{} bodies fail:\n\n{}", failures.len(), failures.join("\n"));
    assert!(bodies.len() >= LEAST_BODIES, "only {} bodies", bodies.len());
}

#[test]
fn what_is_no_message_is_refused_with_a_hint() {
    let check = |input: &str, hint: &str| {
        let refusal = format!("{:#}", extract(input).unwrap_err());
        assert!(refusal.contains(hint), "{input}: {refusal}");
    };
    check(r#"{"encrypt":"P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="}"#, "Encrypt Key");
    check(r#"{"challenge":"c","token":"t","type":"url_verification"}"#, "no event, message or listing");
    check(r#"{"code":230002,"msg":"Bot/User can NOT be out of the chat."}"#, "no event, message or listing");
    check(r#"{"schema":"2.0","header":{"event_type":"im.message.receive_v1"}}"#, "event.message.message_id is missing");
    check(r#"{"message_type":"image"}"#, "no event, message or listing");
    check("image_key", "not JSON");
    check("", "not JSON");
    check(&"[".repeat(100_000), "512 levels");
}

#[test]
fn what_was_not_understood_is_noted() {
    let notes = |message_type: &str, content: &str| {
        let message = serde_json::json!({"message_id": "om_1", "message_type": message_type, "content": content});
        extract(&message.to_string()).unwrap().notes
    };
    assert_eq!(
        notes("post", r#"{"content":[[{"tag":"gallery"},{"tag":"gallery"}]]}"#),
        [r#"om_1: unknown tag "gallery""#]
    );
    assert_eq!(
        notes("interactive", r#"{"elements":[{"tag":"\u001b[2J"}]}"#),
        [r#"om_1: unknown card tag "\u{1b}[2J""#]
    );
    assert_eq!(notes("poll_v9", "{}"), [r#"om_1: unknown message type "poll_v9""#]);
    assert_eq!(
        notes("image", r#"{"image_key":""}"#),
        ["om_1: image_key is empty", "om_1: the content has no image_key"]
    );
    assert_eq!(notes("image", "img_1"), ["om_1: the content is not JSON (line 1, column 1)"]);
    assert_eq!(notes("post", r#"{"content":[[{"tag":"text","text":"secret"}]]}"#), [""; 0]);
}

fn failure(body: &Path, expected: &Path) -> Option<String> {
    let name = body.file_stem()?.to_string_lossy();
    let Ok(expected) = fs::read_to_string(expected) else {
        return Some(format!("{name}: has no {name}.expected.json\n"));
    };
    let expected: Vec<Value> = serde_json::from_str(&expected).unwrap();
    let rows = match extract(&fs::read_to_string(body).unwrap()) {
        Ok(extraction) => extraction.rows,
        Err(refusal) => return Some(format!("{name}: refused, {refusal:#}\n")),
    };
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    (rows != expected).then(|| format!("{name}:\n{}", difference(&expected, &rows)))
}

/// Both lists of rows, one row a line, those that are in one place only marked with `-` or `+`.
fn difference(expected: &[Value], rows: &[Value]) -> String {
    let mut lines = String::new();
    for place in 0..expected.len().max(rows.len()) {
        match (expected.get(place), rows.get(place)) {
            (Some(wanted), Some(found)) if wanted == found => lines += &format!("    {found}\n"),
            (wanted, found) => {
                lines.extend(wanted.map(|wanted| format!("  - {wanted}\n")));
                lines.extend(found.map(|found| format!("  + {found}\n")));
            }
        }
    }
    lines
}
