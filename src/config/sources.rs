//! Sources: where settings are written, and what stands there, still as text.
//!
//! The environment wins over `.env`, and `.env` over the TOML file. An empty value is no value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::apps::Place;
use super::dotenv::{self, Entry};
use super::given::Given;
use super::layer::{Layer, Raw};
use super::names::{self, Form, Setting, Variable};
use super::problem::{Origin, Problem, Problems};
use super::toml_file::{self, ListedApp};
use crate::domain::app::AppKind;

/// The most that `.env` or the TOML file may hold: thousands of apps.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// The variables that other programs know too and that the log obeys.
const LOG_VARIABLES: [&str; 2] = ["RUST_LOG", "NO_COLOR"];

/// Where to read settings from: a value, so that nothing depends on the process that runs it.
#[derive(Clone, Default)]
pub struct Sources {
    /// The working directory: `.env` is looked for here, and relative paths begin here.
    pub directory: PathBuf,
    /// The environment.
    pub environment: BTreeMap<String, OsString>,
    /// The TOML file named on the command line. Without it `LARKIVE_CONFIG` may name one.
    pub config: Option<PathBuf>,
}

impl Sources {
    /// The sources of this process, and the TOML file that its command line names.
    ///
    /// # Errors
    /// When the working directory is gone or may not be seen.
    pub fn of_process(config: Option<PathBuf>) -> io::Result<Self> {
        let environment =
            std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value)).collect();
        Ok(Self { directory: std::env::current_dir()?, environment, config })
    }
}

/// Everything that was written, as text.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) service: Given,
    /// The one app of the environment, or those of the file. Never empty.
    pub(super) apps: Vec<GatheredApp>,
    /// The values of [`LOG_VARIABLES`].
    pub(super) log: BTreeMap<&'static str, String>,
    pub(super) problems: Problems,
    pub(super) reading: Reading,
}

/// What was written about one app.
pub(super) struct GatheredApp {
    pub(super) place: Place,
    /// Its kind, if that was written.
    pub(super) kind: Option<(AppKind, Origin)>,
    pub(super) values: Given,
}

/// Whether all sources could be read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reading {
    #[default]
    Whole,
    /// Some text was no configuration at all, so that nothing can be called missing.
    Partial,
}

/// Reads all sources.
pub(super) fn gather(sources: &Sources) -> Gathered {
    let mut gathered = Gathered::default();
    let mut variables = gathered.environment(&sources.environment);
    variables.put_behind(gathered.dotenv(sources));
    gathered.name_config(sources, &mut variables);
    let file = gathered.toml_file(sources);
    gathered.settle(sources, variables, file);
    gathered
}

/// Reads only what concerns the log, and only from the environment.
pub(super) fn gather_log_settings(sources: &Sources) -> Gathered {
    let is_wanted = |name: &str| name == names::LOG_FORMAT.name || LOG_VARIABLES.contains(&name);
    let mut environment = sources.environment.clone();
    environment.retain(|name, _| is_wanted(name));
    let mut gathered = Gathered::default();
    let mut variables = gathered.environment(&environment);
    gathered.service.take_from(&mut variables, &names::LOG_FORMAT, &sources.directory, &mut gathered.problems);
    gathered
}

impl Gathered {
    fn environment(&mut self, environment: &BTreeMap<String, OsString>) -> Layer {
        let mut layer = Layer::default();
        for (name, value) in environment {
            self.keep_log_variable(name, value.to_str());
            let Some((setting, form)) = self.recognise(name, &Origin::Environment) else { continue };
            let Some(text) = value.to_str() else {
                self.problems.push(Problem::at(name, &Origin::Environment, "is not UTF-8 text"));
                layer.put_refused(setting, form);
                continue;
            };
            layer.put(setting, form, Raw { key: name.clone(), text: text.to_owned(), origin: Origin::Environment });
        }
        layer
    }

    fn dotenv(&mut self, sources: &Sources) -> Layer {
        let mut layer = Layer::default();
        let text = match read_text(&sources.directory.join(".env"), MAX_CONFIG_BYTES) {
            Ok(text) => text,
            // A directory of that name is a Python environment and none of our business.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {
                return layer;
            }
            Err(error) => {
                self.unreadable(Problem::new(".env", format_args!("cannot be read: {error}")));
                return layer;
            }
        };
        for entry in dotenv::entries(&text) {
            match entry {
                Entry::Assignment { line, name, value } => self.dotenv_line(&mut layer, line, name, value),
                Entry::Unreadable { line } => {
                    let example = names::LISTEN.example_in(&Origin::Dotenv { line });
                    let fault = format!("line {line} is not NAME=value; for example {example}");
                    self.unreadable(Problem::new(".env", fault));
                }
            }
        }
        layer
    }

    fn dotenv_line(&mut self, layer: &mut Layer, line: usize, name: String, value: Result<String, dotenv::Fault>) {
        self.keep_log_variable(&name, value.as_deref().ok());
        let origin = Origin::Dotenv { line };
        let Some((setting, form)) = self.recognise(&name, &origin) else { return };
        if layer.has(setting, form) {
            self.problems.push(Problem::at(&name, &origin, "stands in the file twice; keep one line"));
        }
        match value {
            Ok(text) => layer.put(setting, form, Raw { key: name, text, origin }),
            Err(fault) => {
                self.problems.push(Problem::at(&name, &origin, format_args!("{fault}; for example {name}='value'")));
                layer.put_refused(setting, form);
            }
        }
    }

    fn keep_log_variable(&mut self, name: &str, value: Option<&str>) {
        let known = LOG_VARIABLES.into_iter().find(|&known| known == name);
        if let (Some(name), Some(value)) = (known, value.filter(|value| !value.is_empty())) {
            self.log.entry(name).or_insert_with(|| value.to_owned());
        }
    }

    fn recognise(&mut self, name: &str, origin: &Origin) -> Option<(&'static Setting, Form)> {
        match names::variable(name) {
            Variable::Known(setting, form) => Some((setting, form)),
            Variable::Refused(fault) => {
                self.problems.push(Problem::at(name, origin, fault));
                None
            }
            Variable::Foreign => None,
        }
    }

    /// Finds out which TOML file is meant: the command line's, else that of `LARKIVE_CONFIG`.
    fn name_config(&mut self, sources: &Sources, variables: &mut Layer) {
        if let Some(path) = &sources.config {
            let text = path.to_string_lossy().into_owned();
            variables.put(
                &names::CONFIG,
                Form::Value,
                Raw { key: "--config".to_owned(), text, origin: Origin::CommandLine },
            );
        }
        self.service.take_from(variables, &names::CONFIG, &sources.directory, &mut self.problems);
    }

    fn toml_file(&mut self, sources: &Sources) -> toml_file::Document {
        let Some(raw) = self.service.get(&names::CONFIG) else { return toml_file::Document::default() };
        let named = PathBuf::from(raw.text.trim());
        let path = sources.config.as_ref().unwrap_or(&named);
        let text = match read_text(&sources.directory.join(path), MAX_CONFIG_BYTES) {
            Ok(text) => text,
            Err(error) => {
                let example = names::CONFIG.example;
                let problem =
                    raw.problem(format_args!("names a file that cannot be read ({error}); for example {example}"));
                self.unreadable(problem);
                return toml_file::Document::default();
            }
        };
        let (document, reading) = toml_file::read(path, &text, &mut self.problems);
        if reading == Reading::Partial {
            self.reading = Reading::Partial;
        }
        document
    }

    /// Decides what wins, and which apps there are.
    fn settle(&mut self, sources: &Sources, mut variables: Layer, mut file: toml_file::Document) {
        let directory = &sources.directory;
        let mut single = Given::default();
        for &setting in names::ALL {
            let values = if setting.is_for_app() { &mut single } else { &mut self.service };
            for layer in [&mut variables, &mut file.root] {
                values.take_from(layer, setting, directory, &mut self.problems);
            }
        }
        if file.apps.is_empty() {
            self.apps.push(GatheredApp { place: Place::Single, kind: None, values: single });
            return;
        }
        for raw in single.all() {
            let fault = "describes a single app, but the TOML file lists apps; \
                         move it into its [[apps]], for example app_id = \"cli_a1b2\"";
            self.problems.push(raw.problem(fault));
        }
        for ListedApp { place, kind, mut settings } in file.apps {
            let mut values = Given::default();
            for &setting in names::ALL.iter().filter(|setting| setting.is_for_app()) {
                values.take_from(&mut settings, setting, directory, &mut self.problems);
            }
            self.apps.push(GatheredApp { place, kind, values });
        }
    }

    fn unreadable(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.reading = Reading::Partial;
    }
}

/// Reads a file that ought to be small.
pub(super) fn read_text(path: &Path, limit_bytes: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(io::Error::other(format!("it is larger than {limit_bytes} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}
