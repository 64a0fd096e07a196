//! Faults: a script of what the stand-in platform shall do wrong, and when.
//!
//! A script is a list of rules. A call goes down the list and is taken by the first rule that
//! matches it and is not used up; a call that no rule takes is answered as it should be.
//!
//! ```json
//! [
//!   {"route": "token", "do": {"token_life": {"seconds": 5}}},
//!   {"route": "resource", "key": "img_v3_1", "after": 1, "times": 2, "do": {"cut": {"after": 100}}},
//!   {"route": "resource", "delay_ms": 2000}
//! ]
//! ```

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::call::{Call, Route};

/// One rule of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The API it concerns; absent: every API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The key it concerns; absent: every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The message it concerns; absent: every message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The app it concerns; absent: every app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// How many matching calls it lets pass first.
    #[serde(default)]
    pub after: u64,
    /// How many calls it takes after that; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How long to wait before anything is answered.
    #[serde(default)]
    pub delay_ms: u64,
    /// What to do then; absent: answer as it should be.
    #[serde(default, rename = "do")]
    pub action: Action,
}

/// What to do with a call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Answer as it should be.
    #[default]
    Serve,
    /// Never answer; the connection stays open until the client leaves.
    Hang,
    /// Answer an error in the platform's form. A status of 200 makes it an error in disguise.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body's `code`.
        code: i64,
        /// The body's `msg`.
        #[serde(default)]
        msg: String,
        /// More headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Answer an HTML page, as gateways and sign-in walls do.
    Page {
        /// The HTTP status.
        status: u16,
    },
    /// The right headers and no byte: `Content-Length: 0`.
    Empty,
    /// Close the connection after so many bytes of the promised body; without a number before the answer.
    Cut {
        /// How many bytes.
        #[serde(default)]
        after: Option<u64>,
    },
    /// The same with a TCP reset.
    Reset {
        /// How many bytes.
        #[serde(default)]
        after: Option<u64>,
    },
    /// Send so many bytes of the promised body, then nothing; the connection stays open.
    Stall {
        /// How many bytes.
        after: u64,
    },
    /// Send the whole body, then so many bytes more than `Content-Length` promised.
    Surplus {
        /// How many bytes too many.
        bytes: u64,
    },
    /// Promise a wrong `Content-Length`, send the true body, close.
    Length {
        /// What is promised.
        promise: u64,
    },
    /// Send the body chunked, without a length; with a number, close before the last chunk after so many bytes.
    Chunked {
        /// How many bytes.
        #[serde(default)]
        cut_after: Option<u64>,
    },
    /// Send the body without any length and close, as HTTP/1.0 did.
    Unsized,
    /// Send the body in small pieces with a pause before each.
    Drip {
        /// The size of a piece.
        bytes: u64,
        /// The pause.
        every_ms: u64,
    },
    /// Refuse the token: code 99991663 under this status (400, 401 and even 200 were seen).
    TokenExpired {
        /// The HTTP status.
        status: u16,
    },
    /// Refuse for the rate: code 99991400 under this status (429, older APIs 400).
    RateLimited {
        /// The HTTP status.
        status: u16,
        /// What `x-ogw-ratelimit-reset` says, in seconds; absent: no such header.
        #[serde(default)]
        reset: Option<u64>,
    },
    /// Hand out a new token with this life.
    TokenLife {
        /// Its `expire`.
        seconds: u64,
    },
    /// Set headers of a proper answer, or with `null` leave them out.
    Headers {
        /// By name in any case.
        set: BTreeMap<String, Option<String>>,
    },
    /// Spell the file name in `Content-Disposition` differently.
    Disposition {
        /// How.
        spelling: Spelling,
        /// Another name than the item's own.
        #[serde(default)]
        file_name: Option<String>,
    },
    /// Refuse whole bodies with code 234037; ranges are served.
    RefuseWhole,
    /// Treat ranges wrongly.
    Range(RangeFault),
}

/// Ways to spell a file name in `Content-Disposition`; all were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// `filename="…"` with the UTF-8 bytes as they are. The usual one.
    Raw,
    /// `filename=…` without quotes.
    Unquoted,
    /// `filename*=UTF-8''…` (RFC 5987).
    Extended,
    /// `filename="…"`, percent-encoded.
    Percent,
    /// `filename="…"` in GBK.
    Gbk,
}

/// Ways to treat a `Range` wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RangeFault {
    /// Answer 200 with everything.
    Ignored,
    /// Answer 416.
    Refused,
    /// Claim in `Content-Range` to begin one byte later than it does.
    Shifted,
    /// Give one byte of what was asked.
    OneByte,
    /// Give so many bytes more than `Content-Range` says.
    Overlong {
        /// How many bytes too many.
        bytes: u64,
    },
}

/// The script and how far it has run.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Running>>);

#[derive(Debug)]
struct Running {
    rule: Rule,
    reached: u64,
}

impl Rule {
    /// A rule for every call of a route.
    #[must_use]
    pub fn on(route: Route, action: Action) -> Self {
        Self { route: Some(route), key: None, message: None, app: None, after: 0, times: None, delay_ms: 0, action }
    }

    /// Only for this key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Only for this message.
    #[must_use]
    pub fn message(mut self, message_id: &str) -> Self {
        self.message = Some(message_id.to_owned());
        self
    }

    /// Lets the first `calls` pass.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Self {
        self.after = calls;
        self
    }

    /// Takes `calls` and no more.
    #[must_use]
    pub fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// Waits before anything is answered.
    #[must_use]
    pub fn delay_ms(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    fn concerns(&self, call: &Call) -> bool {
        self.route.is_none_or(|route| route == call.route)
            && self.key.as_ref().is_none_or(|key| call.key.as_ref() == Some(key))
            && self.message.as_ref().is_none_or(|message| call.message_id.as_ref() == Some(message))
            && self.app.as_ref().is_none_or(|app| call.app_id.as_ref() == Some(app))
    }
}

impl Running {
    /// Whether the rule takes one more call that has reached it.
    fn takes(&mut self) -> bool {
        self.reached += 1;
        let turn = self.reached.saturating_sub(self.rule.after);
        turn > 0 && self.rule.times.is_none_or(|times| turn <= times)
    }
}

impl Faults {
    /// Adds a rule at the end.
    pub(super) fn add(&self, rule: Rule) {
        self.running().push(Running { rule, reached: 0 });
    }

    /// Puts another script in place of this one.
    pub(super) fn replace(&self, script: Vec<Rule>) {
        *self.running() = script.into_iter().map(|rule| Running { rule, reached: 0 }).collect();
    }

    /// The script as it was given.
    pub(super) fn script(&self) -> Vec<Rule> {
        self.running().iter().map(|running| running.rule.clone()).collect()
    }

    /// What shall happen to a call: a delay and an action.
    pub(super) fn take(&self, call: &Call) -> (u64, Action) {
        let mut running = self.running();
        let mut concerned = running.iter_mut().filter(|running| running.rule.concerns(call));
        let taken = concerned.find_map(|running| running.takes().then_some(&running.rule));
        taken.map_or((0, Action::Serve), |rule| (rule.delay_ms, rule.action.clone()))
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(route: Route, key: &str) -> Call {
        Call { route, message_id: Some("om_1".to_owned()), key: Some(key.to_owned()), app_id: None, tenant_key: None }
    }

    #[test]
    fn a_script_is_read_from_json() {
        let script = r#"[
            {"route": "token", "do": {"token_life": {"seconds": 5}}},
            {"route": "resource", "key": "k", "after": 1, "times": 2, "do": {"cut": {"after": 100}}},
            {"delay_ms": 5},
            {"do": "hang"},
            {"do": {"reset": {}}},
            {"do": {"range": "ignored"}},
            {"do": {"range": {"overlong": {"bytes": 40}}}},
            {"do": {"headers": {"set": {"content-type": "text/html", "content-disposition": null}}}},
            {"do": {"disposition": {"spelling": "gbk"}}}
        ]"#;
        let rules: Vec<Rule> = serde_json::from_str(script).unwrap();
        assert_eq!(rules[1], Rule::on(Route::Resource, Action::Cut { after: Some(100) }).key("k").after(1).times(2));
        assert_eq!(serde_json::from_value::<Vec<Rule>>(serde_json::to_value(&rules).unwrap()).unwrap(), rules);
        for bad in [r#"[{"rout":"token"}]"#, r#"[{"do":{"cut":{"afer":1}}}]"#, r#"[{"do":"explode"}]"#] {
            assert!(serde_json::from_str::<Vec<Rule>>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_skips_takes_and_is_used_up() {
        let faults = Faults::default();
        faults.add(Rule::on(Route::Resource, Action::Hang).key("a").after(1).times(2));
        faults.add(Rule::on(Route::Resource, Action::Empty).message("om_1"));
        let next = || faults.take(&call(Route::Resource, "a")).1;
        assert_eq!([next(), next(), next(), next()], [Action::Empty, Action::Hang, Action::Hang, Action::Empty]);
        assert_eq!(faults.take(&call(Route::Resource, "b")), (0, Action::Empty));
        assert_eq!(faults.take(&call(Route::Image, "a")), (0, Action::Serve));
    }
}
