//! Resources as records: the columns of `v_resources` for CSV, the telling ones for a table.

use super::output::{Record, human_bytes, value};
use crate::catalogue::listing::columns;
use crate::catalogue::listing::resource::Resource;
use crate::domain::time::Timestamp;

impl Record for Resource {
    const COLUMNS: &'static [&'static str] = columns::COLUMNS;
    const HEADINGS: &'static [&'static str] = &["ID", "SENT (UTC)", "STATE", "ROLE", "SIZE", "NAME", "CHAT", "REASON"];

    fn values(&self) -> Vec<String> {
        columns::values(self)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            short_time(self.listed_at),
            self.state.to_string(),
            self.role.to_string(),
            value(self.size_bytes.map(human_bytes)),
            self.file_name.clone().unwrap_or_else(|| self.key.to_string()),
            value(self.chat_title().map(|title| title.told("direct"))),
            value(self.reason_code),
        ]
    }
}

/// A time to the second, without the signs that only programs need.
fn short_time(time: Timestamp) -> String {
    time.to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}
