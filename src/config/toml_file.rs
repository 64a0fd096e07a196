//! The syntax of the TOML file: the settings without prefix in lower case, and `[[apps]]`.
//!
//! Only takes apart what is written and says where; the meaning of values is not its business.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::apps::Place;
use super::layer::{Layer, Raw};
use super::names;
use super::problem::{Origin, Problem, Problems};
use super::sources::Reading;
use crate::domain::app::AppKind;

/// The key of the list of apps.
const APPS: &str = "apps";
/// The key of an app's kind, which has no variable of its own.
const KIND: &str = "kind";

/// What stands in the file.
#[derive(Default)]
pub(super) struct Document {
    pub(super) root: Layer,
    pub(super) apps: Vec<ListedApp>,
}

/// One of the `[[apps]]`.
pub(super) struct ListedApp {
    pub(super) place: Place,
    /// Its kind, if the file says one.
    pub(super) kind: Option<(AppKind, Origin)>,
    pub(super) settings: Layer,
}

/// Takes the file apart. Syntax errors do not hide the rest.
pub(super) fn read(path: &Path, text: &str, problems: &mut Problems) -> (Document, Reading) {
    let mut reader = Reader { path, text, problems, reading: Reading::Whole };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        // The library's own `Display` shows the line, which may be the one with the secret.
        let origin = reader.origin(error.span().map_or(0, |span| span.start));
        reader.unreadable(Problem::new(&origin.to_string(), error.message()));
    }
    let document = reader.document(table.get_ref());
    let reading = reader.reading;
    (document, reading)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: &'a mut Problems,
    reading: Reading,
}

impl Reader<'_> {
    fn document(&mut self, table: &DeTable<'_>) -> Document {
        let mut document = Document::default();
        for (key, value) in table {
            let origin = self.origin(key.span().start);
            let name = key.get_ref().as_ref();
            if name == APPS {
                document.apps = self.apps(value, &origin);
            } else if let Some((setting, form)) = names::toml_key(name) {
                self.put(&mut document.root, (setting, form), name.to_owned(), value, origin);
            } else {
                self.problems.push(Problem::at(name, &origin, names::unknown_toml_key(name, &[APPS])));
            }
        }
        document
    }

    fn apps(&mut self, value: &Spanned<DeValue<'_>>, origin: &Origin) -> Vec<ListedApp> {
        let listed = value.get_ref().as_array().filter(|apps| !apps.is_empty());
        let Some(listed) = listed else {
            self.unreadable(Problem::at(APPS, origin, "is not a list of apps; begin each app with a line [[apps]]"));
            return Vec::new();
        };
        let mut apps = Vec::new();
        for (index, app) in listed.iter().enumerate() {
            let origin = self.origin(app.span().start);
            let place = Place::Listed { index, origin };
            match app.get_ref().as_table() {
                Some(table) => apps.push(self.app(table, place)),
                None => {
                    self.unreadable(Problem::new(&place.key_prefix(), "is not a table; write [[apps]] above its keys"))
                }
            }
        }
        apps
    }

    fn app(&mut self, table: &DeTable<'_>, place: Place) -> ListedApp {
        let (mut kind, mut settings) = (None, Layer::default());
        for (key, value) in table {
            let origin = self.origin(key.span().start);
            let name = key.get_ref().as_ref();
            let written = format!("{}{name}", place.key_prefix());
            match names::toml_key(name) {
                _ if name == KIND => kind = self.kind(&written, value, origin),
                Some((setting, form)) if setting.is_for_app() => {
                    self.put(&mut settings, (setting, form), written, value, origin);
                }
                Some(_) => {
                    self.problems.push(Problem::at(
                        &written,
                        &origin,
                        "belongs to no app; write it above the first [[apps]]",
                    ));
                }
                None => self.problems.push(Problem::at(&written, &origin, names::unknown_toml_key(name, &[KIND]))),
            }
        }
        ListedApp { place, kind, settings }
    }

    fn kind(&mut self, written: &str, value: &Spanned<DeValue<'_>>, origin: Origin) -> Option<(AppKind, Origin)> {
        let text = value.get_ref().as_str();
        if text == Some("") {
            return None;
        }
        match text.unwrap_or_default().parse() {
            Ok(kind) => Some((kind, origin)),
            Err(error) => {
                self.problems.push(Problem::at(
                    written,
                    &origin,
                    format_args!("{error}; for example kind = \"store\""),
                ));
                None
            }
        }
    }

    fn put(
        &mut self,
        layer: &mut Layer,
        (setting, form): (&'static names::Setting, names::Form),
        key: String,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) {
        match plain_text(value.get_ref()) {
            Some(text) => layer.put(setting, form, Raw { key, text, origin }),
            None => {
                let fault =
                    format!("is neither a text nor a whole number; for example {}", setting.example_in(&origin));
                self.problems.push(Problem::at(&key, &origin, fault));
                layer.put_refused(setting, form);
            }
        }
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = 1 + self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count();
        Origin::Toml { path: self.path.to_owned(), line }
    }

    fn unreadable(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.reading = Reading::Partial;
    }
}

/// The value as one would write it in a variable: lists are separated by commas there.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}
