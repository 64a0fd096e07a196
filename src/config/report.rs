//! The report of `config check`: every setting with its value and where it comes from.

use super::apps::{AppDraft, Place};
use super::given::Given;
use super::layer::Raw;
use super::names::{self, Kind, Setting, Unset};
use super::problem::{Problems, one_line};
use super::sources::Sources;
use super::{Draft, Serving};
use crate::domain::app::AppKind;
use crate::domain::secret::MASKED;
use crate::domain::setting::{ShownSetting, ShownValue};

/// The state of the configuration, for people. Secrets are `***`.
#[derive(Debug)]
pub struct Report {
    /// Every setting; with several apps, every setting of each app.
    pub settings: Vec<ShownSetting>,
    /// Everything that keeps `serve` from starting.
    pub problems: Problems,
    /// What `serve` would warn about. Empty while there are problems.
    pub warnings: Vec<String>,
}

impl Report {
    /// Looks at everything that `serve` would look at.
    #[must_use]
    pub fn of(sources: &Sources) -> Self {
        let draft = Draft::read(sources);
        let settings = lines(&draft);
        let (problems, warnings) = match Serving::of(draft) {
            Ok(serving) => (Problems::default(), serving.warnings),
            Err(problems) => (problems, Vec::new()),
        };
        Self { settings, problems, warnings }
    }
}

pub(super) fn lines(draft: &Draft) -> Vec<ShownSetting> {
    let mut lines = Vec::new();
    for app in &draft.apps {
        lines.extend(kind_line(app));
        let of_apps = names::ALL.iter().filter(|setting| setting.is_for_app());
        lines.extend(of_apps.map(|setting| line(setting, &app.place, &app.values)));
    }
    let of_service = names::ALL.iter().filter(|setting| !setting.is_for_app());
    lines.extend(of_service.map(|setting| line(setting, &Place::Single, &draft.service)));
    lines
}

/// The kind of an app, which only the TOML file can say.
fn kind_line(app: &AppDraft) -> Option<ShownSetting> {
    let prefix = app.place.key_prefix();
    let value = match &app.kind {
        Some((kind, origin)) => ShownValue::Given { text: kind.to_string(), place: origin.to_string() },
        None if prefix.is_empty() => return None,
        None => ShownValue::Default(AppKind::default().to_string()),
    };
    Some(ShownSetting { key: format!("{prefix}kind"), value })
}

fn line(setting: &Setting, place: &Place, values: &Given) -> ShownSetting {
    let key = place.key(setting);
    let value = match (values.get(setting), setting.unset) {
        _ if values.is_refused(setting) => ShownValue::Refused,
        (Some(raw), _) => {
            ShownValue::Given { text: one_line(shown(setting, raw)), place: one_line(&source(&key, raw)) }
        }
        (None, Unset::Default(text)) => ShownValue::Default(text.to_owned()),
        (None, Unset::Means(meaning)) => ShownValue::Unset(meaning),
    };
    ShownSetting { key, value }
}

fn shown<'a>(setting: &Setting, raw: &'a Raw) -> &'a str {
    match setting.kind {
        Kind::Secret => MASKED,
        Kind::Plain | Kind::Later => raw.text.trim(),
    }
}

/// Where a value stands, and under which key if that is another one.
fn source(key: &str, raw: &Raw) -> String {
    if raw.key == key { raw.origin.to_string() } else { format!("{}: {}", raw.origin, raw.key) }
}
