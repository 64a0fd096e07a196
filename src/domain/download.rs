//! The life of a download: its states, what one try can end in, and how long to wait for the next.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::reason::ReasonCode;
use super::resource::names;

/// Where a resource stands.
///
/// ```text
/// pending -> running -> stored
///               \-> pending (try again, lease over) | blocked | gone | impossible
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Due now, or at its next attempt. Entered by expansion, a failed try, a lease that ran out,
    /// `retry`, and a blob found missing; left by a worker's claim.
    Pending,
    /// Claimed by a worker under a lease. Left by the result, or by the end of the lease.
    Running,
    /// The bytes are durable in the store and their digest is recorded. Left only when the blob
    /// is found missing or wrong, or by a forced fetch.
    Stored,
    /// A person has to act first. Left when the cause clears, or by `retry`.
    Blocked,
    /// Deleted or recalled upstream before the bytes were here. Left by `retry`.
    Gone,
    /// The platform does not hand it out. Left by `retry`.
    Impossible,
}

names!(
    State,
    UnknownState,
    "state",
    Pending = "pending",
    Running = "running",
    Stored = "stored",
    Blocked = "blocked",
    Gone = "gone",
    Impossible = "impossible",
);

/// What a try that brought no bytes means for its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The platform asked to wait. No attempt is counted.
    RateLimited {
        /// How long it said; none where it said nothing.
        wait: Option<Duration>,
    },
    /// It may work later.
    Retry(ReasonCode),
    /// An unknown refusal: a few tries ([`UNKNOWN_CODE_TRIES`]), then a person has to look.
    RetryFewTimes(ReasonCode),
    /// It ends here, in the state that the reason belongs to.
    End(ReasonCode),
}

impl Verdict {
    /// The reason that goes with it.
    #[must_use]
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::RateLimited { .. } => ReasonCode::RateLimited,
            Self::Retry(reason) | Self::RetryFewTimes(reason) | Self::End(reason) => reason,
        }
    }
}

/// How often an unknown 4xx code is tried before its resource is blocked.
pub const UNKNOWN_CODE_TRIES: u32 = 3;
/// The first pause after a failure.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The first pause after a storage error on the tenant's side (code 234042), which people have to mend.
pub const FIRST_TENANT_STORAGE_PAUSE: Duration = Duration::from_secs(15 * 60);
/// The longest pause between two tries.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How far a pause is spread to either side, so that what failed together does not return together.
pub const JITTER: f64 = 0.2;

/// The pause before the try after the `failures`th failure in a row: doubling from the reason's
/// first pause up to [`LONGEST_PAUSE`], spread by [`JITTER`]. `chance` is a number from 0 to 1.
#[must_use]
pub fn pause(reason: ReasonCode, failures: u32, chance: f64) -> Duration {
    let first = match reason {
        ReasonCode::TenantStorageError => FIRST_TENANT_STORAGE_PAUSE,
        _ => FIRST_PAUSE,
    };
    let doublings = failures.saturating_sub(1).min(31);
    let plain = first.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    plain.mul_f64(1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0))
}

/// What the platform answered when a try failed; kept to the letter for whoever has to look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Upstream {
    /// The HTTP status, if there was an answer at all.
    pub http_status: Option<u16>,
    /// The JSON body's `code`.
    pub code: Option<i64>,
    /// The JSON body's `msg`, or what went wrong with the transfer.
    pub msg: Option<String>,
    /// The platform's trace id (`X-Tt-Logid`), which its support asks for.
    pub log_id: Option<String>,
}

impl fmt::Display for Upstream {
    /// One line for logs: status, code, message and trace id, as far as there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.http_status.map(|status| format!("HTTP {status}")),
            self.code.map(|code| format!("code {code}")),
            self.msg.as_ref().map(|msg| format!("{msg:?}")),
            self.log_id.as_ref().map(|log_id| format!("log id {log_id:?}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_spread_by_a_fifth() {
        let seconds = |reason, failures, chance| pause(reason, failures, chance).as_secs_f64();
        assert_eq!(seconds(ReasonCode::UpstreamError, 1, 0.5), 1.0);
        assert_eq!(seconds(ReasonCode::UpstreamError, 4, 0.5), 8.0);
        assert_eq!(seconds(ReasonCode::UpstreamError, 500, 0.5), 3600.0);
        assert_eq!(seconds(ReasonCode::UpstreamError, 1, 0.0), 0.8);
        assert_eq!(seconds(ReasonCode::UpstreamError, 1, 1.0), 1.2);
        assert_eq!(seconds(ReasonCode::TenantStorageError, 1, 0.5), 900.0);
    }
}
