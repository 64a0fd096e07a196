//! Resources as records: the columns of `v_resources` for CSV, the telling ones for a table.

use super::output::{Record, human_bytes, value};
use crate::catalogue::listing::columns;
use crate::catalogue::listing::resource::Resource;
use crate::domain::cell::Cell;
use crate::domain::zone::Zone;

/// The heading under which times stand.
const SENT: &str = "SENT";

impl Record for Resource {
    const COLUMNS: &'static [&'static str] = columns::COLUMNS;
    const HEADINGS: &'static [&'static str] = &["ID", SENT, "STATE", "ROLE", "SIZE", "NAME", "CHAT", "REASON"];

    fn values(&self) -> Vec<Cell> {
        columns::values(self)
    }

    fn headings(zone: &Zone) -> Vec<String> {
        let in_zone =
            |heading: &&str| if *heading == SENT { format!("{SENT} ({zone})") } else { (*heading).to_owned() };
        Self::HEADINGS.iter().map(in_zone).collect()
    }

    fn cells(&self, zone: &Zone) -> Vec<String> {
        vec![
            self.id.to_string(),
            zone.clock(self.listed_at),
            self.state.to_string(),
            self.role.to_string(),
            value(self.size_bytes.map(human_bytes)),
            self.file_name.clone().unwrap_or_else(|| self.key.to_string()),
            value(self.chat_title().map(|title| title.told("direct"))),
            value(self.reason_code),
        ]
    }
}
