//! Connections: what stands between the sockets and actix, on every port.
//!
//! actix reads from a connection whatever comes, also while nobody fetches its answers, keeps one
//! whose request body is never read, and counts nothing. So it gets a stream of ours instead of the
//! socket (`Connection`), which hands out one request at a time and tells a table of all
//! connections ([`Connections`]) how it gets on; the table closes what has stalled when room runs
//! short. What the two tell each other is a `Progress`.

mod head_end;
mod progress;
mod stream;
mod table;

pub use self::progress::{Follows, Next};
pub(super) use self::stream::Connection;
pub use self::table::{Connections, Limits, Member, Refused, capacity};
