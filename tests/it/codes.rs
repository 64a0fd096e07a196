//! The code table as users meet it: one answer of the platform in, one state of a resource out.
//!
//! The lists below are written by hand from the platform's error tables and from what Larkive
//! promises about reasons. They are compared with the program's own table in both directions, so
//! that a row that is removed, added or changed fails here.

use std::collections::BTreeSet;
use std::time::Duration;

use larkive::catalogue::listing::resource::Detail;
use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::feishu::code::CODES;
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, event};
use serde_json::{Value, json};

use crate::support::{TestApp, spawn_app};

/// What a picture becomes whose every request is answered with a code.
struct Expected {
    state: State,
    /// Requests for the picture itself.
    requests: usize,
    attempts: u64,
    /// When it is tried again, in seconds from now.
    again_in: Option<(f64, f64)>,
}

/// What follows from a reason alone, whichever code it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Asked once, and that is the end of it.
    EndsAt(State),
    /// Asked once more with a new token before it ends.
    EndsAfterRefresh,
    /// Tried again after about a second.
    SoonAgain,
    /// Tried again after about a quarter of an hour.
    MuchLater,
    /// Waits; no attempt is counted.
    Waits,
    /// A few tries, then a person has to look.
    FewTries,
}

impl Course {
    fn expected(self) -> Expected {
        let (state, requests, attempts, again_in) = match self {
            Self::EndsAt(state) => (state, 1, 1, None),
            Self::EndsAfterRefresh => (State::Blocked, 2, 1, None),
            Self::SoonAgain | Self::FewTries => (State::Pending, 1, 1, Some((0.8, 1.2))),
            Self::MuchLater => (State::Pending, 1, 1, Some((720.0, 1080.0))),
            Self::Waits => (State::Pending, 1, 0, Some((0.8, 1.2))),
        };
        Expected { state, requests, attempts, again_in }
    }
}

const GONE: Course = Course::EndsAt(State::Gone);
const IMPOSSIBLE: Course = Course::EndsAt(State::Impossible);
const BLOCKED: Course = Course::EndsAt(State::Blocked);

/// Every reason that the platform can be the cause of, with its codes.
const CODE_TABLE: &[(&str, Course, &[i64])] = &[
    ("message_deleted", GONE, &[230_110, 230_011]),
    ("image_deleted", GONE, &[234_005, 154_404]),
    ("unsupported_message_type", IMPOSSIBLE, &[234_043]),
    ("not_in_message", IMPOSSIBLE, &[234_003]),
    ("not_owner", IMPOSSIBLE, &[234_008]),
    // Pictures are not asked for in parts.
    ("too_large", IMPOSSIBLE, &[234_037]),
    ("bad_request", IMPOSSIBLE, &[234_001, 230_001, 99_992_402, 154_000, 1_540_001, 2_250_001, 99_991_201]),
    ("message_unknown", IMPOSSIBLE, &[99_992_354]),
    ("ticket_mismatch", IMPOSSIBLE, &[154_004]),
    ("app_not_in_chat", BLOCKED, &[234_004, 230_002, 232_011]),
    ("external_chat", BLOCKED, &[234_009, 232_010]),
    ("restricted_mode", BLOCKED, &[234_038, 231_203]),
    ("dlp_denied", BLOCKED, &[14_009]),
    ("message_invisible", BLOCKED, &[234_040, 230_050, 230_073]),
    ("bot_disabled", BLOCKED, &[234_007, 230_006]),
    ("user_unavailable", BLOCKED, &[230_013]),
    ("tenant_key_deleted", BLOCKED, &[234_041]),
    ("scope_missing", BLOCKED, &[99_991_672, 99_991_676, 99_991_679, 230_027]),
    ("app_disabled", BLOCKED, &[99_991_662]),
    ("app_not_installed", BLOCKED, &[99_991_673, 232_034]),
    ("ip_not_allowed", BLOCKED, &[99_991_401]),
    ("quota_exhausted", BLOCKED, &[99_991_403]),
    ("credentials_rejected", BLOCKED, &[10_003, 10_014, 10_015, 20_002, 20_048, 99_991_543]),
    ("app_ticket_missing", BLOCKED, &[10_012, 10_016]),
    ("helpdesk_denied", BLOCKED, &[154_001, 154_003]),
    (
        "credentials_rejected",
        Course::EndsAfterRefresh,
        &[99_991_661, 99_991_663, 99_991_664, 99_991_665, 99_991_668, 99_991_671, 99_991_677],
    ),
    ("unauthorized", Course::EndsAfterRefresh, &[234_002, 14_005]),
    ("rate_limited", Course::Waits, &[99_991_400, 230_020, 11_232, 11_233, 11_247]),
    ("upstream_error", Course::SoonAgain, &[2_200, 234_019, 155_000, 1_540_002, 2_250_002, 40_003, 20_008, 20_050]),
    ("tenant_storage_error", Course::MuchLater, &[234_042]),
];

/// Answers without a code that is known: the HTTP status decides.
const STATUS_TABLE: &[(u16, &str, Course)] = &[
    (302, "not_a_file", Course::SoonAgain),
    (400, "unknown_code", Course::FewTries),
    (401, "credentials_rejected", Course::EndsAfterRefresh),
    (403, "unknown_code", Course::FewTries),
    (404, "unknown_code", Course::FewTries),
    (407, "upstream_error", Course::SoonAgain),
    (418, "unknown_code", Course::FewTries),
    (429, "rate_limited", Course::Waits),
    (500, "upstream_error", Course::SoonAgain),
    (502, "upstream_error", Course::SoonAgain),
    (503, "upstream_error", Course::SoonAgain),
    (504, "upstream_error", Course::SoonAgain),
    (599, "upstream_error", Course::SoonAgain),
];

/// A code that nobody has heard of.
const UNKNOWN_CODE: i64 = 7_654_321;

/// One line of either table, on its own key.
struct Row {
    key: String,
    name: String,
    reason: &'static str,
    course: Course,
}

impl Row {
    fn new(seed: u64, name: String, reason: &'static str, course: Course) -> Self {
        Self { key: Media::Png.key(seed), name, reason, course }
    }
}

fn answer(key: &str, status: u16, code: i64) -> Value {
    json!({"route": "resource", "key": key,
        "do": {"answer": {"status": status, "code": code, "msg": "as the script says"}}})
}

/// Delivers a picture for each row and checks where each ends.
async fn walk(app: &TestApp, rows: &[Row]) {
    for row in rows {
        app.deliver(&event::image(&format!("om_{}", row.key), &row.key)).await;
    }
    app.drain().await;
    for row in rows {
        check(app, row).await;
    }
}

async fn check(app: &TestApp, row: &Row) {
    let Row { key, name, reason, course } = row;
    let expected = course.expected();
    let found = app.resource(key).await.resource;
    assert_eq!(found.reason_code.map(ReasonCode::as_str), Some(*reason), "{name}");
    assert_eq!(found.state, expected.state, "{name}");
    assert_eq!(found.attempts, expected.attempts, "{name}");
    assert_eq!(app.platform.requests_for(key), expected.requests, "requests of {name}");
    assert!(found.remedy.is_some(), "{name}");
    let wait = found.next_attempt_at.map(|at| at.since(app.clock.now()).as_secs_f64());
    let fits = match (wait, expected.again_in) {
        (None, None) => true,
        (Some(wait), Some((least, most))) => (least..=most).contains(&wait),
        _ => false,
    };
    assert!(fits, "{name}: again in {wait:?} s");
}

#[test]
fn the_program_knows_exactly_these_codes() {
    let promised: BTreeSet<(i64, &str)> =
        CODE_TABLE.iter().flat_map(|(reason, _, codes)| codes.iter().map(|code| (*code, *reason))).collect();
    let known: BTreeSet<(i64, &str)> = CODES.iter().map(|(code, class)| (*code, class.reason().as_str())).collect();
    assert_eq!(known, promised);
    assert!(!CODES.iter().any(|(code, _)| *code == UNKNOWN_CODE));
}

#[tokio::test]
async fn every_code_leads_where_it_should() {
    let app = spawn_app().await;
    let mut rows = Vec::new();
    for (reason, course, codes) in CODE_TABLE {
        for code in codes.iter().filter(|_| *course != Course::Waits) {
            let row = Row::new(*code as u64, format!("code {code}"), reason, *course);
            // One status for all of them: only the code can tell them apart.
            app.fault(answer(&row.key, 400, *code));
            rows.push(row);
        }
    }
    walk(&app, &rows).await;
}

/// Each on its own, because a rate limit holds up the whole API.
#[tokio::test]
async fn every_code_of_a_rate_limit_waits_without_an_attempt() {
    let codes = CODE_TABLE.iter().filter(|(_, course, _)| *course == Course::Waits).flat_map(|(_, _, codes)| *codes);
    for code in codes {
        let app = spawn_app().await;
        let row = Row::new(1, format!("code {code}"), "rate_limited", Course::Waits);
        app.fault(answer(&row.key, 400, *code));
        walk(&app, &[row]).await;
    }
}

#[tokio::test]
async fn without_a_known_code_the_status_decides() {
    for (status, reason, course) in STATUS_TABLE {
        for code in [0, UNKNOWN_CODE] {
            let app = spawn_app().await;
            let row = Row::new(1, format!("HTTP {status} with code {code}"), reason, *course);
            app.fault(answer(&row.key, *status, code));
            walk(&app, &[row]).await;
        }
    }
}

#[tokio::test]
async fn codes_of_the_token_endpoint_end_a_resource_with_the_same_reasons() {
    for (code, reason) in [
        (10_003, "credentials_rejected"),
        (10_014, "credentials_rejected"),
        (10_015, "credentials_rejected"),
        (20_002, "credentials_rejected"),
        (10_012, "app_ticket_missing"),
        (99_991_663, "credentials_rejected"),
        (99_991_662, "app_disabled"),
    ] {
        let app = spawn_app().await;
        app.fault(json!({"route": "token", "do": {"answer": {"status": 200, "code": code, "msg": "no"}}}));
        let key = Media::Png.key(1);
        app.deliver(&event::image("om_1", &key)).await;
        app.drain().await;
        let found = app.resource(&key).await.resource;
        assert_eq!(found.state, State::Blocked, "{code}");
        assert_eq!(found.reason_code.map(ReasonCode::as_str), Some(reason), "{code}");
        assert_eq!(found.upstream.and_then(|upstream| upstream.code), Some(code));
        assert_eq!((app.platform.requests_of(Route::Token), app.platform.requests_for(&key)), (1, 0), "{code}");
    }
}

/// One picture whose requests meet one rule.
async fn one_picture(rule: Value) -> (TestApp, String) {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.fault(rule);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    (app, key)
}

/// Requests for the key, and for tokens.
fn requests(app: &TestApp, key: &str) -> (usize, usize) {
    (app.platform.requests_for(key), app.platform.requests_of(Route::Token))
}

fn reason(detail: &Detail) -> Option<&'static str> {
    detail.resource.reason_code.map(ReasonCode::as_str)
}

#[tokio::test]
async fn a_deleted_image_under_401_refreshes_no_token() {
    let (app, key) = one_picture(answer(&Media::Png.key(1), 401, 154_404)).await;
    let found = app.resource(&key).await;
    assert_eq!((found.resource.state, reason(&found)), (State::Gone, Some("image_deleted")));
    assert_eq!(requests(&app, &key), (1, 1));
}

#[tokio::test]
async fn a_token_code_is_a_token_code_under_any_status() {
    for status in [200, 400, 401, 403] {
        let (app, key) =
            one_picture(json!({"route": "resource", "times": 1, "do": {"token_expired": {"status": status}}})).await;
        let stored = app.assert_stored(&key).await;
        assert_eq!(stored.resource.attempts, 1, "the retry after a refresh is no attempt of its own");
        assert_eq!(requests(&app, &key), (2, 2), "under {status}");
    }
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_an_alarm_and_no_loop() {
    let (app, key) = one_picture(json!({"route": "resource", "do": {"token_expired": {"status": 400}}})).await;
    app.advance(Duration::from_secs(24 * 3600)).await;
    let found = app.resource(&key).await;
    assert_eq!((found.resource.state, reason(&found)), (State::Blocked, Some("credentials_rejected")));
    assert_eq!(requests(&app, &key), (2, 2));
}

#[tokio::test]
async fn a_json_file_is_stored_and_a_json_error_is_not() {
    let app = spawn_app().await;
    let (file, error) = (Media::Json.key(1), Media::Json.key(2));
    app.fault(answer(&error, 200, 230_110));
    app.deliver(&event::file("om_1", &file, "error.json")).await;
    app.deliver(&event::file("om_2", &error, "error.json")).await;
    app.drain().await;
    app.assert_stored(&file).await;
    let refused = app.resource(&error).await;
    assert_eq!((refused.resource.state, reason(&refused)), (State::Gone, Some("message_deleted")));
    assert_eq!(refused.resource.upstream.unwrap().http_status, Some(200));
}

#[tokio::test]
async fn a_file_too_large_for_one_answer_is_asked_for_in_ranges() {
    let app = spawn_app().await;
    let key = Media::Zip.key(1);
    app.fault(json!({"route": "resource", "key": key, "do": "refuse_whole"}));
    app.deliver(&event::file("om_1", &key, "a.zip")).await;
    app.drain().await;
    app.assert_stored(&key).await;
    let ranges: Vec<bool> = app
        .platform
        .journal()
        .iter()
        .filter(|entry| entry.key.as_ref() == Some(&key))
        .map(|entry| entry.range.is_some())
        .collect();
    assert_eq!(ranges, [false, true]);
}

#[tokio::test]
async fn rate_limits_that_name_no_time_back_off() {
    let rule = json!({"route": "resource", "times": 3, "do": {"rate_limited": {"status": 429}}});
    let (app, key) = one_picture(rule).await;
    for (nth, seconds) in [1.0, 2.0, 4.0].into_iter().enumerate() {
        let waiting = app.resource(&key).await.resource;
        assert_eq!((waiting.state, waiting.attempts), (State::Pending, 0));
        assert_eq!(app.platform.requests_for(&key), nth + 1);
        let wait = waiting.next_attempt_at.unwrap().since(app.clock.now());
        assert!((seconds * 0.8..=seconds * 1.2).contains(&wait.as_secs_f64()), "the {nth}th wait is {wait:?}");
        app.advance(wait).await;
    }
    assert_eq!(app.assert_stored(&key).await.resource.attempts, 1);
}

#[tokio::test]
async fn an_unknown_refusal_is_tried_three_times_and_kept_to_the_letter() {
    let (app, key) = one_picture(answer(&Media::Png.key(1), 409, UNKNOWN_CODE)).await;
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(app.resource(&key).await.resource.state, State::Pending);
    app.advance(Duration::from_secs(60)).await;
    app.advance(Duration::from_secs(24 * 3600)).await;
    let found = app.resource(&key).await;
    assert_eq!((found.resource.state, reason(&found)), (State::Blocked, Some("unknown_code")));
    assert_eq!((found.resource.attempts, app.platform.requests_for(&key), found.tries.len()), (3, 3, 3));
    let upstream = found.resource.upstream.unwrap();
    assert_eq!((upstream.http_status, upstream.code), (Some(409), Some(UNKNOWN_CODE)));
    assert_eq!(upstream.msg.as_deref(), Some("as the script says"));
    assert!(upstream.log_id.is_some_and(|log_id| !log_id.is_empty()));
}
