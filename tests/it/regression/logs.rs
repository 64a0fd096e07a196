//! Lines of the log from which nobody could tell which message they were about.

use std::fs;

use larkive::sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};

use crate::patience::Patience;
use crate::program::Workplace;

/// How many resources have had their try.
const TRIED: &str = "SELECT COUNT(*) AS tried FROM v_resources WHERE state = 'stored' OR reason_code IS NOT NULL";

fn until_tried(workplace: &Workplace, count: u64) {
    let mut patience = Patience::new();
    loop {
        let counted = workplace.run(&["sql", TRIED]).ended(0);
        if counted.rows()[0]["tried"] == count {
            return;
        }
        patience.note(&format!("{count} are tried"), counted.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_about_a_resource_did_not_say_of_which_message_it_is() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    let (serving, address) = workplace.serve();
    let url = format!("http://{address}/webhook/event");
    let answers = [
        json!("serve"),
        json!({"answer": {"status": 400, "code": 234_038, "msg": "restricted"}}),
        json!({"page": {"status": 502}}),
        json!("serve"),
        // The last one, because it stops everything that comes after it.
        json!({"rate_limited": {"status": 429, "reset": 3600}}),
    ];
    let store = workplace.path("data/blobs/sha256");
    let mut told = Vec::new();
    for (nth, answer) in answers.into_iter().enumerate() {
        if nth == 3 {
            fs::rename(&store, workplace.path("aside")).unwrap();
            fs::write(&store, "in the way").unwrap();
        }
        // Every call gets this answer, so that an earlier one's next try takes it away from nobody.
        platform.clear_faults();
        platform.fault(serde_json::from_value(json!({"route": "resource", "do": answer})).unwrap());
        let sent = workplace.run(&["trigger", "image", "--url", &url]).ended(0).rows().remove(0);
        told.push(sent["message_id"].as_str().unwrap().to_owned());
        until_tried(&workplace, nth as u64 + 1);
    }
    let served = serving.stop().ended(0);

    let lines: Vec<Value> = served.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let about: Vec<&Value> = lines.iter().filter(|line| line.get("resource.id").is_some()).collect();
    for line in &about {
        assert!(told.iter().any(|known| line["message.id"] == known.as_str()), "{line}");
        assert_eq!(line["app.id"], "cli_program", "{line}");
    }
    for message_id in &told {
        assert!(about.iter().any(|line| line["message.id"] == message_id.as_str()), "{message_id} in {about:?}");
    }
    let about_here = about.iter().filter(|line| line["message.id"] == told[3].as_str());
    assert!(about_here.clone().any(|line| line["reason"] == "local_failure"), "{about:?}");
    let is_why = |line: &&Value| line["message"] == "Cannot write to the store" && line["error"].is_string();
    assert!(about_here.copied().any(|line| is_why(&line)), "{about:?}");
}
