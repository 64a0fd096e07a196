//! `larkive sql`, `completions` and `man`, as they are typed.

use serde_json::{Value, json};

use crate::program::Workplace;

/// An archive with nothing in it, of which questions can be asked.
fn workplace() -> Workplace {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    workplace.serve().0.stop().ended(0);
    workplace
}

#[test]
fn an_answer_has_the_same_values_in_every_format() {
    let workplace = workplace();
    let question = "SELECT 1 AS n, '发票,1' AS name, NULL AS none, 0.5 AS half, x'00ff' AS bytes, 2 AS n";
    let ask = |format| workplace.run(&["sql", question, "--format", format]).ended(0).stdout;
    let row = json!({"n": 1, "name": "发票,1", "none": null, "half": 0.5, "bytes": "00ff", "n:1": 2});
    assert_eq!(serde_json::from_str::<Value>(&ask("ndjson")).unwrap(), row);
    assert_eq!(serde_json::from_str::<Value>(&ask("json")).unwrap(), json!([row]));
    assert_eq!(ask("csv"), "n,name,none,half,bytes,n:1\n1,\"发票,1\",,0.5,00ff,2\n");
    assert_eq!(ask("table").lines().count(), 2);
    let nothing = workplace.run(&["sql", "SELECT id FROM v_resources", "--format", "csv"]).ended(0);
    assert_eq!(nothing.stdout, "id\n");
}

#[test]
fn cells_of_csv_began_like_formulas() {
    let workplace = workplace();
    let csv = |question: &str| workplace.run(&["sql", question, "--format", "csv"]).ended(0).stdout;
    let formulas =
        ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\"=1", " \" =1", "＝1", "\u{feff}=1"];
    for formula in formulas {
        let rows = csv(&format!("SELECT '{formula}' AS text"));
        let mut table = csv::Reader::from_reader(rows.as_bytes());
        let cell = table.records().next().unwrap().unwrap()[0].to_owned();
        assert_eq!(cell, format!("'{formula}"));
    }
    assert_eq!(csv("SELECT -5 AS a, -0.5 AS b, '-5' AS c, 'a=b' AS d"), "a,b,c,d\n-5,-0.5,'-5,a=b\n");
    // Programs read JSON, where a text stays what it is.
    let json = workplace.run(&["sql", "SELECT '=1' AS text", "--format", "ndjson"]).ended(0).stdout;
    assert_eq!(json, "{\"text\":\"=1\"}\n");
}

#[test]
fn what_may_not_be_asked_is_refused_in_one_line() {
    let workplace = workplace();
    let refused = |question: &str, why: &str| {
        workplace.run(&["sql", question]).refused(why);
    };
    refused("DELETE FROM resources", "only reading is allowed");
    refused("SELECT payload FROM events", "events.payload is prohibited");
    refused("SELECT ticket FROM app_tickets", "app_tickets.ticket is prohibited");
    refused("ATTACH '/etc/passwd' AS other", "only reading is allowed");
    refused("PRAGMA journal_mode = DELETE", "only reading is allowed");
    refused("SELECT 1; SELECT 2", "more than one statement");
    refused("SELECT colour FROM v_resources", "no such column: colour");
    refused("", "no question");
    Workplace::configured("http://127.0.0.1:9").run(&["sql", "SELECT 1"]).refused("there is no catalogue");
    workplace.run(&["sql", "SELECT 1", "--timeout", "soon"]).ended(2);
}

#[test]
fn a_question_ends_with_its_time_and_a_closed_pipe() {
    let workplace = workplace();
    let count = |to: &str| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n {to}) SELECT");
    let endless = format!("{} MAX(i) FROM n", count(""));
    let ended = workplace.run(&["sql", &endless, "--timeout", "1s"]).ended(1);
    assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1));
    assert!(ended.stderr.contains("the time is up"), "{}", ended.stderr);
    let (first, closed) = workplace.run_for_one_line(&["sql", &format!("{} i FROM n", count(""))]);
    assert_eq!((first.as_str(), closed.code, closed.stderr.as_str()), ("{\"i\":1}\n", Some(0), ""));
}

#[test]
fn completions_and_manual_come_from_the_definitions() {
    let workplace = Workplace::bare();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = workplace.run(&["completions", shell]).ended(0).stdout;
        assert!(script.contains("trigger") && script.contains("message-id"), "{shell}");
    }
    workplace.run(&["completions", "cmd"]).ended(2);
    let page = workplace.run(&["man"]).ended(0).stdout;
    assert!(page.contains(".TH larkive 1") && page.contains("larkive\\-list(1)"), "{page}");
    let page = workplace.run(&["man", "list"]).ended(0).stdout;
    assert!(page.contains(".TH larkive-list 1") && page.contains("min\\-size"), "{page}");
    workplace.run(&["man", "dance"]).refused("no such command");
    assert_eq!(workplace.contents(), Vec::<String>::new());
}
