//! Questions in SQL that took more than they were given.

use std::process::Stdio;

use crate::program::{Running, Workplace};

/// What the program has before it asks, what SQLite may take, and rows on their way out.
const MOST_KIB: u64 = 512 << 10;

fn workplace() -> Workplace {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    workplace.serve().0.stop().ended(0);
    workplace
}

fn numbers(most: u32) -> String {
    format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {most})")
}

#[test]
fn a_function_that_takes_for_ever_outlived_its_time() {
    let workplace = workplace();
    // Compares ten million bytes at ten million places.
    let long = "SELECT instr(printf('%.*c', 20000000, 'a'), printf('%.*c', 10000000, 'a') || 'b')";
    let ended = workplace.run(&["sql", long, "--timeout", "1s"]).ended(1);
    assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the time is up"), "{}", ended.stderr);
}

#[test]
fn what_was_answered_before_the_time_was_up_is_printed() {
    let workplace = workplace();
    let long =
        "SELECT 1 AS n UNION ALL SELECT instr(printf('%.*c', 20000000, 'a'), printf('%.*c', 10000000, 'a') || 'b')";
    let question = format!("{} SELECT i FROM n UNION ALL SELECT * FROM ({long})", numbers(1000));
    let ended = workplace.run(&["sql", &question, "--timeout", "2s"]).ended(1);
    assert!(ended.stdout.lines().count() >= 200, "{}", ended.stdout.lines().count());
}

#[test]
fn one_aggregate_took_all_memory() {
    let workplace = workplace();
    let texts = vec!["group_concat(hex(zeroblob(1000000)))"; 30].join(", ");
    let question = format!("{} SELECT MAX(i), {texts} FROM n", numbers(15));
    let (ended, most) = Running::watch(workplace.command(&["sql", &question]).spawn().unwrap()).wait_and_weigh();
    ended.refused("it takes more memory than the 256 MiB");
    assert!(0 < most && most < MOST_KIB, "{most} KiB");
}

#[test]
fn one_value_took_all_memory() {
    let workplace = workplace();
    for value in
        ["hex(zeroblob(100000000))", "replace(hex(zeroblob(10000000)), '0', '00000000')", "hex(randomblob(500000000))"]
    {
        let question = format!("SELECT {value}");
        let (ended, most) = Running::watch(workplace.command(&["sql", &question]).spawn().unwrap()).wait_and_weigh();
        ended.refused("ask for less at a time");
        assert!(0 < most && most < MOST_KIB, "{value}: {most} KiB");
    }
}

#[test]
fn long_rows_were_gathered_two_hundred_at_a_time() {
    let workplace = workplace();
    let question = format!("{} SELECT i, hex(zeroblob(14000000)) AS x FROM n", numbers(24));
    let mut asking = workplace.command(&["sql", &question, "--format", "csv"]);
    let (ended, most) = Running::watch(asking.stdout(Stdio::null()).spawn().unwrap()).wait_and_weigh();
    ended.ended(0);
    assert!(0 < most && most < MOST_KIB, "{most} KiB");
}
