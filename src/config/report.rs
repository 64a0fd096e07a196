//! The report of `config check`: every setting with its value and where it comes from.

use super::apps::{AppDraft, Place};
use super::given::Given;
use super::layer::Raw;
use super::names::{self, Kind, Setting, Unset};
use super::problem::{Problems, one_line};
use super::sources::Sources;
use super::{Draft, Serving};
use crate::domain::app::AppKind;

/// The state of the configuration, in lines for people. Secrets are `***`.
#[derive(Debug)]
pub struct Report {
    /// One line for each setting; with several apps, one for each setting of each app.
    pub settings: Vec<String>,
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

fn lines(draft: &Draft) -> Vec<String> {
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
fn kind_line(app: &AppDraft) -> Option<String> {
    let prefix = app.place.key_prefix();
    match &app.kind {
        Some((kind, origin)) => Some(format!("{prefix}kind={kind}   ({origin})")),
        None if prefix.is_empty() => None,
        None => Some(format!("{prefix}kind={}   (default)", AppKind::default())),
    }
}

fn line(setting: &Setting, place: &Place, values: &Given) -> String {
    let key = place.key(setting);
    if values.is_refused(setting) {
        return format!("{key}=   (refused)");
    }
    match (values.get(setting), setting.unset) {
        (Some(raw), _) => one_line(&format!("{key}={}   ({})", shown(setting, raw), source(&key, raw))),
        (None, Unset::Default(text)) => format!("{key}={text}   (default)"),
        (None, Unset::Means(meaning)) => format!("{key}=   (unset: {meaning})"),
    }
}

fn shown<'a>(setting: &Setting, raw: &'a Raw) -> &'a str {
    match setting.kind {
        Kind::Secret => "***",
        Kind::Plain | Kind::Later => raw.text.trim(),
    }
}

/// Where a value stands, and under which key if that is another one.
fn source(key: &str, raw: &Raw) -> String {
    if raw.key == key { raw.origin.to_string() } else { format!("{}: {}", raw.origin, raw.key) }
}
