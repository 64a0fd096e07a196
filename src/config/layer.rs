//! Layers: the settings of one place, each as its text, before anything is decided.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::names::{Form, Kind, Setting};
use super::problem::{Origin, Problem, Problems};
use super::sources::read_text;

/// The most that a secret's file may hold: far more than any secret, far less than a wrong file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The text of one setting and where it stands. It may be a secret: never printed as a whole.
pub(super) struct Raw {
    /// The key as it was written.
    pub(super) key: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

impl Raw {
    pub(super) fn problem(&self, fault: impl fmt::Display) -> Problem {
        Problem::at(&self.key, &self.origin, fault)
    }
}

/// The settings of one place by name; `None` stands for one that is already reported as wrong.
#[derive(Default)]
pub(super) struct Layer(BTreeMap<(&'static str, Form), Option<Raw>>);

impl Layer {
    /// Adds what is written, unless it is empty.
    pub(super) fn put(&mut self, setting: &'static Setting, form: Form, raw: Raw) {
        if !raw.text.trim().is_empty() {
            self.0.insert((setting.name, form), Some(raw));
        }
    }

    /// Adds that something is written here which is wrong, and reported.
    pub(super) fn put_refused(&mut self, setting: &'static Setting, form: Form) {
        self.0.insert((setting.name, form), None);
    }

    /// Adds what another place has and this one has not.
    pub(super) fn put_behind(&mut self, other: Layer) {
        for (name, raw) in other.0 {
            self.0.entry(name).or_insert(raw);
        }
    }

    /// Whether a setting was written, in whichever form.
    pub(super) fn contains(&self, setting: &'static Setting) -> bool {
        self.has(setting, Form::Value) || self.has(setting, Form::File)
    }

    /// Whether this very name was written.
    pub(super) fn has(&self, setting: &'static Setting, form: Form) -> bool {
        self.0.contains_key(&(setting.name, form))
    }

    /// Takes a setting out, reading its file if that is how it is given.
    pub(super) fn take(&mut self, setting: &'static Setting, directory: &Path, problems: &mut Problems) -> Option<Raw> {
        let value = self.0.remove(&(setting.name, Form::Value)).flatten();
        let file = self.0.remove(&(setting.name, Form::File)).flatten();
        let raw = match (value, file) {
            (Some(value), Some(file)) => {
                problems.push(file.problem(format_args!("is set together with {}; keep one of them", value.key)));
                return None;
            }
            (None, Some(file)) => secret_of(file, directory).map_err(|problem| problems.push(problem)).ok()?,
            (value, None) => value?,
        };
        if setting.kind == Kind::Later {
            let instead = format!("is not available in this version; leave it unset, for example {}=", setting.name);
            problems.push(raw.problem(instead));
            return None;
        }
        Some(raw)
    }
}

/// Reads the file that a `_FILE` twin names. Neither its path nor its content is repeated in a
/// problem: people put the secret itself there by mistake.
fn secret_of(file: Raw, directory: &Path) -> Result<Raw, Problem> {
    let path = directory.join(&file.text);
    let example = format!("{}=/run/secrets/name", file.key);
    let mut text = read_text(&path, MAX_SECRET_BYTES).map_err(|error| {
        file.problem(format_args!("names a file that cannot be read ({error}); for example {example}"))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(file.problem("names a file that is empty; write the secret into it"));
    }
    Ok(Raw { text, ..file })
}
