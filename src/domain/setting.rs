//! Settings as they are shown: what holds and where it comes from, never a secret.

use std::fmt;

/// One setting with what holds for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its name, as it is written where it is set.
    pub key: String,
    /// What holds.
    pub value: ShownValue,
}

/// What holds for a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownValue {
    /// Somebody gave it.
    Given {
        /// What was given, on one line; `***` for a secret.
        text: String,
        /// Where it stands.
        place: String,
    },
    /// Nobody gave it, and this is what holds instead.
    Default(String),
    /// Nobody gave it, which means this.
    Unset(&'static str),
    /// What was given is wrong.
    Refused,
}

impl fmt::Display for ShownSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.value {
            ShownValue::Given { text, place } => write!(f, "{key}={text}   ({place})"),
            ShownValue::Default(text) => write!(f, "{key}={text}   (default)"),
            ShownValue::Unset(meaning) => write!(f, "{key}=   (unset: {meaning})"),
            ShownValue::Refused => write!(f, "{key}=   (refused)"),
        }
    }
}
