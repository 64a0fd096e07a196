//! The stand-in's own routes under `/sandbox/`: its journal and its fault script.

use serde_json::json;

use super::answer::Answer;
use super::faults::{Faults, Rule};
use super::journal::Journal;
use super::wire::Request;

/// Where these routes live; nothing below it belongs to the platform.
pub(super) const PREFIX: &str = "/sandbox/";

/// Answers a request under [`PREFIX`].
pub(super) fn answer(request: &Request, journal: &Journal, faults: &Faults) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/sandbox/requests") => requests(journal),
        ("GET", "/sandbox/faults") => script(faults),
        ("PUT", "/sandbox/faults") => match serde_json::from_slice::<Vec<Rule>>(&request.body) {
            Ok(rules) => {
                faults.replace(rules);
                script(faults)
            }
            Err(error) => Answer::json(400, &json!({"error": format!("not a fault script: {error}")})),
        },
        ("DELETE", "/sandbox/faults") => {
            faults.replace(Vec::new());
            script(faults)
        }
        _ => Answer::json(
            404,
            &json!({"error": "there are GET /sandbox/requests and GET, PUT and DELETE /sandbox/faults"}),
        ),
    }
}

fn requests(journal: &Journal) -> Answer {
    let mut lines = String::new();
    for entry in journal.entries() {
        // Through the struct, not through a map: the members keep their order.
        lines.extend(serde_json::to_string(&entry).ok());
        lines.push('\n');
    }
    Answer::new(200, "application/x-ndjson", lines)
}

fn script(faults: &Faults) -> Answer {
    Answer::json(200, &json!(faults.script()))
}
