//! How many files this program may have open, connections among them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and returns what is in force then. The soft limit is low
/// for the sake of programs that cannot count beyond 1,024, of which this is none.
pub(super) fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, limit = ?limit.current, "Cannot raise the limit of open files");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}
