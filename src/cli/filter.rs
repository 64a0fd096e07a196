//! Filters on the command line: the names of the API's parameters with `-` for `_`.

use clap::Args;

use crate::domain::filter::{Filter, FilterError};

/// Which resources. Values can be repeated or listed with commas (any of them); different options
/// must all hold.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters (repeat or list with commas for any of several values)")]
pub struct FilterOptions {
    /// pending, running, stored, blocked, gone or impossible
    #[arg(long, value_name = "STATE")]
    state: Vec<String>,
    /// image, file, audio, video, cover, sticker, folder, card_image or forward
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// The chat, oc_…
    #[arg(long, visible_alias = "chat", value_name = "ID")]
    chat_id: Vec<String>,
    /// Who sent it, ou_…
    #[arg(long, value_name = "ID")]
    sender: Vec<String>,
    /// The message, om_…
    #[arg(long, value_name = "ID")]
    message_id: Vec<String>,
    /// The message's type as the platform says: image, file, post …
    #[arg(long, value_name = "TYPE")]
    message_type: Vec<String>,
    /// message, image, file, baike, lingo or ticket_image
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// The app that saw it, cli_…
    #[arg(long, value_name = "ID")]
    app_id: Vec<String>,
    /// The digest of the bytes, 64 hexadecimal digits
    #[arg(long, value_name = "DIGEST")]
    sha256: Vec<String>,
    /// The media type: image/png, or a family: image/*
    #[arg(long, value_name = "TYPE")]
    mime: Vec<String>,
    /// A search: words, "exact phrases", -not, type: chat: sender: after: before: larger: smaller: state: sha256:
    /// ext: mime: sort:relevance
    #[arg(long, value_name = "SEARCH")]
    q: Vec<String>,
    /// Sent at this time or later: 2026-01-31 (midnight in LARKIVE_TIME_ZONE), 2026-01-31T09:30:00+08:00, or 7d for a week ago
    #[arg(long, value_name = "TIME")]
    from: Vec<String>,
    /// Sent before this time
    #[arg(long, value_name = "TIME")]
    to: Vec<String>,
    /// At least this large: 1048576, 10MB, 2GiB
    #[arg(long, value_name = "SIZE")]
    min_size: Vec<String>,
    /// At most this large
    #[arg(long, value_name = "SIZE")]
    max_size: Vec<String>,
}

impl FilterOptions {
    /// The filter that was typed.
    ///
    /// # Errors
    /// If a value does not fit its filter.
    pub fn parse(&self) -> Result<Filter, FilterError> {
        let typed = [
            ("state", &self.state),
            ("role", &self.role),
            ("chat_id", &self.chat_id),
            ("sender", &self.sender),
            ("message_id", &self.message_id),
            ("message_type", &self.message_type),
            ("source", &self.source),
            ("app_id", &self.app_id),
            ("sha256", &self.sha256),
            ("mime", &self.mime),
            ("q", &self.q),
            ("from", &self.from),
            ("to", &self.to),
            ("min_size", &self.min_size),
            ("max_size", &self.max_size),
        ];
        let mut filter = Filter::default();
        for (name, values) in typed {
            for value in values {
                filter.add(name, value)?;
            }
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn parse(arguments: &[&str]) -> Filter {
        let command = FilterOptions::augment_args(Command::new("list").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).unwrap();
        FilterOptions::from_arg_matches(&matches).unwrap().parse().unwrap()
    }

    #[test]
    fn every_filter_has_its_option() {
        let sha256 = "ab".repeat(32);
        for name in Filter::NAMES {
            let value = match name {
                "state" => "gone",
                "role" | "source" => "image",
                "sha256" => &sha256,
                "mime" => "image/png",
                "from" | "to" => "7d",
                "min_size" | "max_size" => "10",
                _ => "word",
            };
            let option = format!("--{}", name.replace('_', "-"));
            let mut expected = Filter::default();
            expected.add(name, value).unwrap();
            assert_eq!(parse(&[&option, value]), expected, "{option}");
        }
        assert_eq!(parse(&["--chat", "oc_1", "--chat-id", "oc_2"]), parse(&["--chat-id", "oc_1,oc_2"]));
    }
}
