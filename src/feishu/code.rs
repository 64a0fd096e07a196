//! What the platform's error codes mean: data, one row per code.
//!
//! The JSON body's `code` decides before the HTTP status, because the platform's gateway sends the
//! same code under different statuses (a refused token as 400, 401 and inside a 200; a rate limit
//! as 429 and 400) and the same status for different things (a deleted helpdesk image as 401).
//! `docs/reason-codes.md` and its Chinese twin show this table and are checked against it.

use crate::domain::download::Verdict;
use crate::domain::reason::ReasonCode;
use Class::{AskForParts, End, RateLimited, Refresh, Retry, RetryFewTimes};

/// What a refusal calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The token was not accepted: drop it and ask once more with a new one. If that is refused
    /// too, it ends with this reason.
    Refresh(ReasonCode),
    /// Too many calls: wait as long as the platform says. No attempt is counted.
    RateLimited,
    /// It may work later.
    Retry(ReasonCode),
    /// Nobody knows: a few tries, then a person has to look.
    RetryFewTimes(ReasonCode),
    /// It ends here.
    End(ReasonCode),
    /// Too large for one answer. Files may be asked for in parts; for anything else it ends as
    /// [`ReasonCode::TooLarge`].
    AskForParts,
}

impl Class {
    /// The reason that goes with it.
    #[must_use]
    pub fn reason(self) -> ReasonCode {
        match self {
            Refresh(reason) | Retry(reason) | RetryFewTimes(reason) | End(reason) => reason,
            RateLimited => ReasonCode::RateLimited,
            AskForParts => ReasonCode::TooLarge,
        }
    }

    /// The verdict once everything that can be done at once was done. `wait` is how long the
    /// platform asked to wait, where it said so.
    #[must_use]
    pub fn verdict(self, wait: Option<std::time::Duration>) -> Verdict {
        match self {
            RateLimited => Verdict::RateLimited { wait },
            Retry(reason) => Verdict::Retry(reason),
            RetryFewTimes(reason) => Verdict::RetryFewTimes(reason),
            Refresh(_) | End(_) | AskForParts => Verdict::End(self.reason()),
        }
    }
}

/// Every code that has a meaning of its own.
///
/// Sources are the error tables of the API pages under <https://open.feishu.cn/document> (message
/// resource, image, file, baike, lingo, ticket image, message, chat, tokens) and the page of
/// generic error codes.
pub const CODES: &[(i64, Class)] = &[
    // Tokens: the generic family, and refusals of one resource that look like a stale token.
    (99_991_661, Refresh(ReasonCode::CredentialsRejected)),
    (99_991_663, Refresh(ReasonCode::CredentialsRejected)),
    (99_991_664, Refresh(ReasonCode::CredentialsRejected)),
    (99_991_665, Refresh(ReasonCode::CredentialsRejected)),
    (99_991_668, Refresh(ReasonCode::CredentialsRejected)),
    (99_991_671, Refresh(ReasonCode::CredentialsRejected)),
    (99_991_677, Refresh(ReasonCode::CredentialsRejected)),
    (234_002, Refresh(ReasonCode::Unauthorized)),
    (14_005, Refresh(ReasonCode::Unauthorized)),
    // Rate limits: of the gateway, of one chat or user, of the whole system.
    (99_991_400, RateLimited),
    (230_020, RateLimited),
    (11_232, RateLimited),
    (11_233, RateLimited),
    (11_247, RateLimited),
    // Faults on the platform's side.
    (2_200, Retry(ReasonCode::UpstreamError)),
    (20_008, Retry(ReasonCode::UpstreamError)),
    (20_050, Retry(ReasonCode::UpstreamError)),
    (40_003, Retry(ReasonCode::UpstreamError)),
    (155_000, Retry(ReasonCode::UpstreamError)),
    (234_019, Retry(ReasonCode::UpstreamError)),
    (1_540_002, Retry(ReasonCode::UpstreamError)),
    (2_250_002, Retry(ReasonCode::UpstreamError)),
    (234_042, Retry(ReasonCode::TenantStorageError)),
    // Deleted.
    (230_011, End(ReasonCode::MessageDeleted)),
    (230_110, End(ReasonCode::MessageDeleted)),
    (234_005, End(ReasonCode::ImageDeleted)),
    (154_404, End(ReasonCode::ImageDeleted)),
    // Never handed out, whoever asks.
    (234_043, End(ReasonCode::UnsupportedMessageType)),
    (234_003, End(ReasonCode::NotInMessage)),
    (234_008, End(ReasonCode::NotOwner)),
    (234_037, AskForParts),
    (154_000, End(ReasonCode::BadRequest)),
    (230_001, End(ReasonCode::BadRequest)),
    (234_001, End(ReasonCode::BadRequest)),
    (1_540_001, End(ReasonCode::BadRequest)),
    (2_250_001, End(ReasonCode::BadRequest)),
    (99_991_201, End(ReasonCode::BadRequest)),
    (99_992_402, End(ReasonCode::BadRequest)),
    (99_992_354, End(ReasonCode::MessageUnknown)),
    (154_004, End(ReasonCode::TicketMismatch)),
    // The chat.
    (230_002, End(ReasonCode::AppNotInChat)),
    (232_011, End(ReasonCode::AppNotInChat)),
    (234_004, End(ReasonCode::AppNotInChat)),
    (232_010, End(ReasonCode::ExternalChat)),
    (234_009, End(ReasonCode::ExternalChat)),
    (14_009, End(ReasonCode::DlpDenied)),
    (231_203, End(ReasonCode::RestrictedMode)),
    (234_038, End(ReasonCode::RestrictedMode)),
    (230_050, End(ReasonCode::MessageInvisible)),
    (230_073, End(ReasonCode::MessageInvisible)),
    (234_040, End(ReasonCode::MessageInvisible)),
    // The app and the tenant.
    (230_006, End(ReasonCode::BotDisabled)),
    (234_007, End(ReasonCode::BotDisabled)),
    (230_013, End(ReasonCode::UserUnavailable)),
    (234_041, End(ReasonCode::TenantKeyDeleted)),
    (230_027, End(ReasonCode::ScopeMissing)),
    (99_991_672, End(ReasonCode::ScopeMissing)),
    (99_991_676, End(ReasonCode::ScopeMissing)),
    (99_991_679, End(ReasonCode::ScopeMissing)),
    (99_991_662, End(ReasonCode::AppDisabled)),
    (232_034, End(ReasonCode::AppNotInstalled)),
    (99_991_673, End(ReasonCode::AppNotInstalled)),
    (99_991_401, End(ReasonCode::IpNotAllowed)),
    (99_991_403, End(ReasonCode::QuotaExhausted)),
    (10_003, End(ReasonCode::CredentialsRejected)),
    (10_014, End(ReasonCode::CredentialsRejected)),
    (10_015, End(ReasonCode::CredentialsRejected)),
    (20_002, End(ReasonCode::CredentialsRejected)),
    (20_048, End(ReasonCode::CredentialsRejected)),
    (99_991_543, End(ReasonCode::CredentialsRejected)),
    (10_012, End(ReasonCode::AppTicketMissing)),
    (10_016, End(ReasonCode::AppTicketMissing)),
    (154_001, End(ReasonCode::HelpdeskDenied)),
    (154_003, End(ReasonCode::HelpdeskDenied)),
];

/// What an answer that brought nothing calls for: by its JSON code if that is known, else by its
/// HTTP status.
#[must_use]
pub fn classify(code: Option<i64>, http_status: u16) -> Class {
    let known = CODES.iter().find(|(known, _)| Some(*known) == code);
    known.map_or_else(|| classify_status(http_status), |(_, class)| *class)
}

fn classify_status(http_status: u16) -> Class {
    match http_status {
        429 => RateLimited,
        // A proxy's word on our way out, not the platform's.
        407 => Retry(ReasonCode::UpstreamError),
        401 => Refresh(ReasonCode::CredentialsRejected),
        400..=499 => RetryFewTimes(ReasonCode::UnknownCode),
        500.. => Retry(ReasonCode::UpstreamError),
        // A redirect is never followed with credentials, and a success that holds an unknown
        // error is none: something other than the file's host answered.
        _ => Retry(ReasonCode::NotAFile),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::domain::download::State;

    /// Set to write the generated tables into the documents instead of comparing.
    const UPDATE: &str = "UPDATE_DOCS";
    const BEGIN: &str = "<!-- generated from src/domain/reason.rs and src/feishu/code.rs: begin -->\n";
    const END: &str = "<!-- generated: end -->\n";

    #[test]
    fn every_code_stands_once_and_leads_to_the_state_of_its_reason() {
        for (row, (code, class)) in CODES.iter().enumerate() {
            assert!(CODES[..row].iter().all(|(earlier, _)| earlier != code), "{code} stands twice");
            let pending = class.reason().state() == State::Pending;
            let tried_again = matches!(class, RateLimited | Retry(_));
            assert_eq!(pending, tried_again, "{code}: {class:?}");
            for status in [200, 400, 401, 429, 500] {
                assert_eq!(classify(Some(*code), status), *class, "{code} under HTTP {status}");
            }
        }
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        let unknown = RetryFewTimes(ReasonCode::UnknownCode);
        for (code, status, class) in [
            (None, 429, RateLimited),
            (None, 401, Refresh(ReasonCode::CredentialsRejected)),
            (Some(123_456), 401, Refresh(ReasonCode::CredentialsRejected)),
            (None, 404, unknown),
            (None, 407, Retry(ReasonCode::UpstreamError)),
            (Some(123_456), 400, unknown),
            (Some(0), 503, Retry(ReasonCode::UpstreamError)),
            (None, 302, Retry(ReasonCode::NotAFile)),
            (Some(123_456), 200, Retry(ReasonCode::NotAFile)),
        ] {
            assert_eq!(classify(code, status), class, "{code:?} under HTTP {status}");
        }
    }

    #[test]
    fn the_documents_show_these_tables() {
        check_document("docs/reason-codes.md", &english());
        check_document("docs/reason-codes.zh-CN.md", &chinese());
    }

    fn check_document(path: &str, table: &str) {
        let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = std::fs::read_to_string(&full).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (shown, after) = rest.split_once(END).unwrap();
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(full, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        } else {
            assert!(shown == table, "{path} is out of date: run {UPDATE}=1 cargo test --lib feishu::code");
        }
    }

    fn english() -> String {
        let head = ["Reason", "State", "Upstream codes", "Who can mend it", "Cause", "Remedy"];
        table(head, |reason| [reason.owner().en(), reason.cause().en, reason.remedy().en])
    }

    fn chinese() -> String {
        let head = ["原因", "状态", "平台错误码", "处理人", "说明", "处理办法"];
        table(head, |reason| [reason.owner().zh(), reason.cause().zh, reason.remedy().zh])
    }

    fn table(head: [&str; 6], texts: fn(ReasonCode) -> [&'static str; 3]) -> String {
        let mut table = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
        for reason in ReasonCode::ALL {
            let (state, codes, texts) = (reason.state(), codes_of(*reason), texts(*reason).join(" | "));
            writeln!(table, "| `{reason}` | `{state}` | {codes} | {texts} |").unwrap();
        }
        table
    }

    fn codes_of(reason: ReasonCode) -> String {
        let rows = CODES.iter().filter(|(_, class)| class.reason() == reason);
        let codes: Vec<_> = rows.map(|(code, _)| code.to_string()).collect();
        if codes.is_empty() { "–".to_owned() } else { codes.join(", ") }
    }
}
