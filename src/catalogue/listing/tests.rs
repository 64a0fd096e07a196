//! What every listing promises: the right rows, in order, each exactly once.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use sqlx::{AssertSqlSafe, Row as _};

use super::delivery::{DeliveryResult, deliveries};
use super::plan::Plan;
use super::resource::SELECT_RESOURCES;
use super::seed::{NOON_MS, Seed, Seeded, noon};
use super::selection::{FROM_RESOURCES, Sql, Window, push_order, push_selection};
use super::*;
use crate::catalogue::search::{self, Asked};
use crate::domain::download::State;
use crate::domain::folding::{End, Needle};
use crate::domain::id::{MessageId, ResourceId};

fn filter(pairs: &[(&str, &str)]) -> Filter {
    let mut filter = Filter::default();
    for (name, value) in pairs {
        filter.add(name, value).unwrap();
    }
    filter
}

async fn ids(seeded: &Seeded, pairs: &[(&str, &str)]) -> Vec<ResourceId> {
    let request = PageRequest { limit: 200, cursor: None };
    let page = resources(&seeded.catalogue, &filter(pairs), &request, noon()).await.unwrap();
    page.items.iter().map(|resource| resource.id).collect()
}

/// A plain resource, one that everything is different of, and one that is hidden.
async fn two_and_a_hidden_one() -> (Seeded, ResourceId, ResourceId) {
    let seeded = Seeded::new().await;
    let plain = seeded.add("img_0", Seed::default()).await;
    let wanted = Seed {
        app_id: "cli_b",
        message_id: "om_2".to_owned(),
        message_type: "file",
        chat_id: "oc_2",
        sender: "ou_2",
        text: Some("please see 50%_off Contract"),
        role: "file",
        file_name: Some("第四课#1.pdf"),
        mime: Some("application/pdf"),
        sent_at: NOON_MS - 86_400_000,
        ..Seed::stored(&"ab".repeat(32), 5000)
    };
    let wanted = seeded.add("file_1", wanted).await;
    seeded.add("img_9", Seed { message_id: "om_3".to_owned(), hidden: 1, ..Seed::default() }).await;
    seeded.run("UPDATE chats SET name = '报销群' WHERE chat_id = 'oc_2'").await;
    (seeded, plain, wanted)
}

#[tokio::test]
async fn every_filter_finds_its_own() {
    let (seeded, plain, wanted) = two_and_a_hidden_one().await;
    for pair in [
        ("state", "stored"),
        ("state", "stored,gone"),
        ("role", "file,video"),
        ("chat_id", "oc_2"),
        ("sender", "ou_2"),
        ("message_id", "om_2,om_404"),
        ("message_type", "file"),
        ("app_id", "cli_b"),
        ("sha256", &"AB".repeat(32)),
        ("mime", "application/pdf"),
        ("mime", "text/plain,application/*"),
        ("q", "课"),
        ("q", "contract 50%_OFF 报销"),
        ("q", "第四课#1"),
        ("q", "ＣＯＮＴＲ 四课"),
        ("q", "\"please see\" -发票"),
        ("q", "type:file,post"),
        ("q", "chat:报销 see"),
        ("q", "chat:oc_2"),
        ("q", "-chat:oc_1"),
        ("q", "sender:ou_2 -ext:png"),
        ("q", "ext:pdf,doc"),
        ("q", "-type:image 课"),
        ("q", "before:2h mime:application/* larger:5KB smaller:5KB state:stored"),
        ("q", "课 before:2h chat:oc_2 sender:ou_2 type:file"),
        ("q", "课 sort:relevance"),
        ("to", "2h"),
        ("to", "2026-03-01T12:00:00Z"),
        ("min_size", "5000"),
        ("max_size", "5 KB"),
    ] {
        assert_eq!(ids(&seeded, &[pair]).await, [wanted], "{pair:?}");
    }
    assert_eq!(ids(&seeded, &[("from", "2026-03-01T12:00:00Z")]).await, [plain]);
    assert_eq!(ids(&seeded, &[("source", "message")]).await, [plain, wanted]);
    assert_eq!(ids(&seeded, &[]).await, [plain, wanted]);
}

#[tokio::test]
async fn what_a_filter_does_not_ask_for_is_not_found() {
    let (seeded, ..) = two_and_a_hidden_one().await;
    for nothing in [
        ("q", "contract 报废"),
        ("q", "50%off"),
        ("q", "ontract"),
        ("q", "\"contrac\""),
        ("q", "课四"),
        ("q", "课 -contract"),
        ("q", "课 -报销"),
        ("q", "课 chat:oc_1"),
        ("q", "课 chat:nowhere"),
        ("q", "课 type:image"),
        ("q", "课 after:2h"),
        ("message_id", "om_3"),
        ("mime", "application/pd"),
        ("min_size", "5001"),
    ] {
        assert_eq!(ids(&seeded, &[nothing]).await, [], "{nothing:?}");
    }
    assert_eq!(ids(&seeded, &[("state", "stored"), ("chat_id", "oc_1")]).await, []);
}

#[tokio::test]
async fn a_row_tells_what_the_view_tells() {
    let seeded = Seeded::new().await;
    seeded.run("INSERT INTO senders (app_id, open_id, name) VALUES ('cli_a', 'ou_1', '王芳')").await;
    let stored = seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
    let blocked = seeded.add("img_2", Seed::ended(State::Blocked, "restricted_mode")).await;
    for id in [stored, blocked] {
        let resource = resource::find(&seeded.catalogue, id).await.unwrap().unwrap();
        let json = serde_json::to_value(&resource).unwrap();
        let view = sqlx::query("SELECT * FROM v_resources WHERE id = ?")
            .bind(id.to_string())
            .fetch_one(seeded.catalogue.read())
            .await
            .unwrap();
        for column in
            ["app_id", "message_id", "chat_id", "role", "key", "type", "mime", "sha256", "state", "reason_code"]
        {
            assert_eq!(json[column].as_str(), view.get::<Option<&str>, _>(column), "{column}");
        }
        assert_eq!(json["sender"]["name"], "王芳");
        assert_eq!(json["size_bytes"].as_i64(), view.get("size_bytes"));
        assert_eq!(resource.blob_path.as_deref(), view.get::<Option<&str>, _>("blob_path"));
        assert_eq!(json["upstream"]["code"].as_i64(), view.get("upstream_code"));
        assert_eq!(json["remedy"].is_null(), id == stored);
        assert!(json["recalled_at"].is_null() && json["sent_at"] == "2026-03-01T12:00:00.000Z");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_is_an_error_that_says_where() {
    let seeded = Seeded::new().await;
    let id = seeded.add("img_1", Seed::ended(State::Gone, "message_deleted")).await;
    seeded.run("UPDATE resources SET reason_code = 'because'").await;
    let error = resource::find(&seeded.catalogue, id).await.unwrap_err().to_string();
    assert!(error.contains("resources.reason_code, row 1"), "{error}");
}

#[tokio::test]
async fn a_message_is_found_for_each_app_that_saw_it() {
    let seeded = Seeded::new().await;
    for app_id in ["cli_c", "cli_a", "cli_b"] {
        seeded.add("img_1", Seed { app_id, ..Seed::default() }).await;
    }
    seeded.run("UPDATE messages SET hidden = 1 WHERE app_id = 'cli_b'").await;
    let id: MessageId = "om_1".parse().unwrap();
    let apps: Vec<String> =
        message::find(&seeded.catalogue, &id).await.unwrap().iter().map(|found| found.app_id.to_string()).collect();
    assert_eq!(apps, ["cli_a", "cli_c"]);
}

#[tokio::test]
async fn deliveries_are_found_by_what_became_of_them() {
    let seeded = Seeded::new().await;
    let mut by_result = std::collections::HashMap::new();
    for outcome in [None, Some("unparsed"), Some("duplicate"), None, Some("pending")] {
        let id = seeded.add_delivery(outcome).await;
        by_result.entry(outcome).or_insert_with(Vec::new).push(id);
    }
    seeded.run("UPDATE inbox_cursor SET expanded_through = 3").await;
    let found = async |results: &[DeliveryResult]| {
        let request = PageRequest { limit: 50, cursor: None };
        let page = deliveries(&seeded.catalogue, results, &request, noon()).await.unwrap();
        page.items.iter().map(|delivery| delivery.id.0).collect::<Vec<_>>()
    };
    assert_eq!(found(&[]).await, [5, 4, 3, 2, 1]);
    assert_eq!(found(&[DeliveryResult::Pending]).await, [5, 4]);
    assert_eq!(found(&[DeliveryResult::Expanded]).await, [1]);
    assert_eq!(found(&[DeliveryResult::Unparsed]).await, [2]);
    assert_eq!(found(&[DeliveryResult::Unparsed, DeliveryResult::Duplicate]).await, [3, 2]);
    assert_eq!(found(&[DeliveryResult::Unparsed, DeliveryResult::Expanded]).await, [2, 1]);
    assert_eq!(found(&[DeliveryResult::Ignored]).await, [0_i64; 0]);
}

#[tokio::test]
async fn what_changes_is_found_as_it_is_now() {
    let seeded = Seeded::new().await;
    let seed = Seed { file_name: Some("旧名.pdf"), text: Some("合同"), ..Seed::default() };
    let first = seeded.add("img_1", seed.clone()).await;
    let second = seeded.add("img_2", seed).await;
    seeded.run("UPDATE resources SET file_name = '新名.pdf' WHERE key = 'img_1'").await;
    assert_eq!(ids(&seeded, &[("q", "旧名")]).await, [second]);
    assert_eq!(ids(&seeded, &[("q", "新名 合同")]).await, [first]);
    seeded.run("UPDATE messages SET text = '发票'").await;
    assert_eq!(ids(&seeded, &[("q", "合同")]).await, []);
    // The row that was indexed anew comes with the others of its millisecond, in any order.
    let mut both = ids(&seeded, &[("q", "发票")]).await;
    both.sort();
    assert_eq!(both, [first, second]);
    seeded.run("UPDATE resources SET listed_at = listed_at + 5 WHERE key = 'img_1'").await;
    assert_eq!(ids(&seeded, &[("q", "发票")]).await, [first, second]);
    seeded.run("UPDATE chats SET name = '财务'").await;
    seeded.run("UPDATE chats SET name = '行政'").await;
    assert_eq!(ids(&seeded, &[("q", "财务")]).await, []);
    assert_eq!(ids(&seeded, &[("q", "行政 新名")]).await, [first]);
    seeded.run("DELETE FROM resources WHERE key = 'img_1'").await;
    assert_eq!(ids(&seeded, &[("q", "发票")]).await, [second]);
}

#[tokio::test]
async fn the_best_come_first_and_each_once_when_relevance_counts() {
    let seeded = Seeded::new().await;
    let named = |message_id: &str, file_name, sent_at| Seed {
        message_id: message_id.to_owned(),
        text: Some("关于发票"),
        file_name,
        sent_at,
        ..Seed::default()
    };
    let in_text = seeded.add("img_1", named("om_1", Some("总结.pdf"), NOON_MS)).await;
    let at_the_beginning = seeded.add("img_2", named("om_2", Some("发票.pdf"), 0)).await;
    let in_the_name = seeded.add("img_3", named("om_3", Some("电子发票.pdf"), 5)).await;
    let best = filter(&[("q", "发票 sort:relevance")]);
    let mut request = PageRequest { limit: 1, cursor: None };
    let mut seen = Vec::new();
    loop {
        let page = resources(&seeded.catalogue, &best, &request, noon()).await.unwrap();
        seen.extend(page.items.iter().map(|resource| resource.id));
        seeded.add(&format!("late_{}", seen.len()), named("om_late", Some("发票"), NOON_MS)).await;
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [at_the_beginning, in_the_name, in_text]);
}

#[tokio::test]
async fn a_page_that_would_take_too_long_stops_and_says_so() {
    let seeded = Seeded::new().await;
    seeded.add("img", Seed::default()).await;
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
        INSERT INTO resources (app_id, source, owner, type, key, role, state, listed_at, seen_at, file_name)
        SELECT 'cli_a', 'image', '', '', 'img_' || i, 'image', 'pending', i, i, 'a b' FROM n",
    )
    .execute(seeded.catalogue.write().unwrap())
    .await
    .unwrap();
    seeded.run("UPDATE resources SET size_bytes = 7, file_name = 'a  b' WHERE key = 'img_3'").await;
    for (pairs, expected_pages) in [(vec![("max_size", "7")], 3), (vec![("q", "\"a  b\" smaller:7")], 10)] {
        let rare = filter(&pairs);
        let mut request = PageRequest { limit: 50, cursor: None };
        let (mut pages, mut seen) = (0, 0);
        loop {
            let page = resources(&seeded.catalogue, &rare, &request, noon()).await.unwrap();
            assert_eq!(page.stopped_early, page.next_cursor.is_some());
            (pages, seen) = (pages + 1, seen + page.items.len());
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        assert_eq!((pages, seen), (expected_pages, 1), "{pairs:?}");
        let mut walk = Walk::new(&seeded.catalogue, rare.clone(), noon());
        assert_eq!(walk.next().await.unwrap().len(), 1);
        assert!(count_up_to(&seeded.catalogue, &rare, 1000, noon()).await.unwrap().more);
    }
    let count = count_up_to(&seeded.catalogue, &Filter::default(), 1000, noon()).await.unwrap();
    assert_eq!(count, Count { seen: 1000, more: true });
    let count = count_up_to(&seeded.catalogue, &filter(&[("chat_id", "oc_1")]), 1000, noon()).await.unwrap();
    assert_eq!(count, Count { seen: 1, more: false });
}

#[tokio::test]
async fn a_beginning_of_more_words_than_can_be_put_together_in_time_is_found_in_the_texts() {
    let seeded = Seeded::new().await;
    seeded
        .run(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
            INSERT INTO resources (app_id, source, owner, type, key, role, state, listed_at, seen_at, file_name)
            SELECT 'cli_a', 'image', '', '', 'img_' || i, iif(i % 3, 'image', 'file'), 'pending', i, i,
                'q' || hex(randomblob(20)) FROM n",
        )
        .await;
    let other = seeded.add("img", Seed { file_name: Some("faq.png"), ..Seed::default() }).await;
    let asked = search::ask(seeded.catalogue.read(), &Needle::new("q", End::Anywhere).unwrap()).await.unwrap();
    assert_eq!(asked, Asked::Partly(None));
    for (q, rows) in [("q", 6000), ("q type:file", 2000), ("q -\"a b\"", 6000)] {
        let mut walk = Walk::new(&seeded.catalogue, filter(&[("q", q)]), noon());
        let mut seen: Vec<i64> = Vec::new();
        loop {
            let stretch = walk.next().await.unwrap();
            if stretch.is_empty() {
                break;
            }
            seen.extend(stretch.iter().map(|resource| resource.id.0));
        }
        assert!(seen.is_sorted_by(|newer, older| newer > older), "{q}");
        assert_eq!(seen.len(), rows, "{q}");
    }
    assert_eq!(ids(&seeded, &[("q", "-q")]).await, [other]);
    assert_eq!(ids(&seeded, &[("q", "faq -q")]).await, [other]);
    assert_eq!(ids(&seeded, &[("q", "q sort:relevance")]).await.len(), 200);
}

/// The steps in which SQLite reads a page of what these filters ask for, and their order.
async fn steps(seeded: &Seeded, pairs: &[(&str, &str)]) -> Vec<String> {
    let plan = Plan::new(&seeded.catalogue, &filter(pairs), noon()).await.unwrap();
    let window = Window { after: Some(Position { sort: NOON_MS, row: 7 }), through: None };
    let mut sql = Sql::new("EXPLAIN QUERY PLAN ");
    sql.push(SELECT_RESOURCES.as_str()).push(FROM_RESOURCES);
    push_selection(&mut sql, &plan, window);
    push_order(&mut sql, 50);
    let rows = sql.build().fetch_all(seeded.catalogue.read()).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn every_single_filter_reads_an_index_in_order_and_sorts_nothing() {
    let seeded = Seeded::new().await;
    let sha256 = "ab".repeat(32);
    for (pairs, index) in [
        (vec![], "resources_listed"),
        (vec![("from", "7d"), ("to", "1d")], "resources_listed"),
        (vec![("state", "stored")], "resources_listed"),
        (vec![("state", "blocked")], "resources_by_state"),
        (vec![("state", "blocked,gone")], "resources_listed"),
        (vec![("chat_id", "oc_1")], "resources_by_chat"),
        (vec![("chat_id", "oc_1"), ("from", "7d")], "resources_by_chat"),
        (vec![("sender", "ou_1")], "resources_by_sender"),
        (vec![("sender", "ou_1"), ("chat_id", "oc_1"), ("to", "7d")], "resources_by_sender"),
        (vec![("app_id", "cli_a")], "resources_by_app"),
        (vec![("role", "image")], "resources_by_role"),
        (vec![("message_type", "post")], "resources_by_message_type"),
        (vec![("mime", "image/png")], "resources_by_mime"),
        (vec![("mime", "image/*")], "resources_listed"),
        (vec![("source", "lingo")], "resources_by_source"),
        (vec![("source", "message")], "resources_listed"),
        (vec![("sha256", &sha256)], "resources_by_blob"),
        (vec![("q", "type:image -state:gone")], "resources_by_role"),
        (vec![("q", "after:7d larger:1MB")], "resources_listed"),
    ] {
        let plan = steps(&seeded, &pairs).await;
        assert!(plan[0].contains(index), "{pairs:?}: {plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("SORT") || step.contains("B-TREE")), "{pairs:?}: {plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("search_index")), "{pairs:?}: {plan:#?}");
    }
    let plan = steps(&seeded, &[("message_id", "om_1")]).await;
    assert!(!plan.iter().any(|step| step.starts_with("SCAN") && !step.contains("apps")), "{plan:#?}");
}

/// Turns pages of the given size while rows come in, and returns what was seen.
async fn turn_pages(seeded: &Seeded, limit: u32, incoming: &[i64]) -> Vec<ResourceId> {
    let mut seen = Vec::new();
    let mut incoming = incoming.iter().enumerate();
    let mut request = PageRequest { limit, cursor: None };
    loop {
        let page = resources(&seeded.catalogue, &Filter::default(), &request, noon()).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        seen.extend(page.items.iter().map(|resource| resource.id));
        if let Some((n, offset)) = incoming.next() {
            seeded.add(&format!("late_{n}"), Seed { sent_at: NOON_MS + offset, ..Seed::default() }).await;
        }
        match page.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => return seen,
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 12, failure_persistence: None, ..Config::default() })]

    /// Times come from a small range, so that many rows share one and the id has to tell them apart.
    #[test]
    fn what_was_there_when_paging_began_comes_exactly_once_in_order(
        offsets in prop::collection::vec(0_i64..6, 0..25),
        incoming in prop::collection::vec(0_i64..6, 0..8),
        limit in 1_u32..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let seeded = Seeded::new().await;
            let mut before = Vec::new();
            for (n, offset) in offsets.iter().enumerate() {
                let seed = Seed { sent_at: NOON_MS + offset, ..Seed::default() };
                before.push((NOON_MS + offset, seeded.add(&format!("img_{n}"), seed).await));
            }
            before.sort();
            before.reverse();
            let seen = turn_pages(&seeded, limit, &incoming).await;
            let of_those_before: Vec<_> =
                seen.iter().copied().filter(|id| before.iter().any(|(_, there)| there == id)).collect();
            prop_assert_eq!(of_those_before, before.iter().map(|(_, id)| *id).collect::<Vec<_>>());
            let mut distinct = seen.clone();
            distinct.sort();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), seen.len());
            Ok::<(), TestCaseError>(())
        })?;
    }
}

#[tokio::test]
async fn a_cursor_keeps_the_time_that_seven_days_ago_was_counted_from() {
    let seeded = Seeded::new().await;
    for n in 0..3 {
        let seed = Seed { sent_at: NOON_MS - 3_600_000, ..Seed::default() };
        seeded.add(&format!("img_{n}"), seed).await;
    }
    let hour = filter(&[("from", "1h")]);
    let first = resources(&seeded.catalogue, &hour, &PageRequest { limit: 2, cursor: None }, noon()).await.unwrap();
    let later = Timestamp::from_unix_ms(NOON_MS + 1).unwrap();
    let request = PageRequest { limit: 2, cursor: first.next_cursor };
    let second = resources(&seeded.catalogue, &hour, &request, later).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next_cursor), (2, 1, None));

    let other = resources(&seeded.catalogue, &filter(&[("from", "2h")]), &request, later).await;
    assert!(matches!(other, Err(ListingError::BadCursor)));
}

#[tokio::test]
async fn a_walk_sees_more_than_one_stretch() {
    let seeded = Seeded::new().await;
    seeded.add("img", Seed::default()).await;
    let count = STRIDE * 2;
    sqlx::query(AssertSqlSafe(format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
        INSERT INTO resources (app_id, source, owner, type, key, role, state, listed_at, seen_at)
        SELECT 'cli_a', 'image', '', '', 'img_' || i, 'image', 'pending', i % 7, i FROM n"
    )))
    .execute(seeded.catalogue.write().unwrap())
    .await
    .unwrap();
    let mut walk = Walk::new(&seeded.catalogue, Filter::default(), noon());
    let mut seen = 0;
    loop {
        let stretch = walk.next().await.unwrap();
        if stretch.is_empty() {
            break;
        }
        seen += stretch.len();
    }
    assert_eq!(seen, STRIDE * 2 + 1);
}
