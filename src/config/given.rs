//! What is given: the winning text of each setting, and the rules applied to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::layer::{Layer, Raw};
use super::names::{Kind, Setting};
use super::problem::{Problem, Problems};

/// Settings that belong together: the service's, or those of one app.
#[derive(Default)]
pub(super) struct Given {
    texts: BTreeMap<&'static str, Raw>,
    refused: BTreeSet<&'static str>,
}

impl Given {
    /// The text of a setting, unless it is unset or refused.
    pub(super) fn get(&self, setting: &Setting) -> Option<&Raw> {
        self.texts.get(setting.name)
    }

    /// Every text that was given.
    pub(super) fn all(&self) -> impl Iterator<Item = &Raw> {
        self.texts.values()
    }

    /// Whether something was written that is wrong, and reported.
    pub(super) fn is_refused(&self, setting: &Setting) -> bool {
        self.refused.contains(setting.name)
    }

    /// Reads a setting with its rule. What breaks the rule is reported and from then on refused.
    pub(super) fn read<T, E: fmt::Display>(
        &mut self,
        setting: &'static Setting,
        rule: impl FnOnce(&str) -> Result<T, E>,
        problems: &mut Problems,
    ) -> Option<T> {
        let raw = self.texts.get(setting.name)?;
        let text = if setting.kind == Kind::Secret { raw.text.as_str() } else { raw.text.trim() };
        match rule(text) {
            Ok(value) => Some(value),
            Err(fault) => {
                let example = setting.example_in(&raw.origin);
                problems.push(raw.problem(format_args!("{fault}; for example {example}")));
                self.refuse(setting);
                None
            }
        }
    }

    /// Reads a setting, or its default, with its rule. `None` only after a problem was reported.
    pub(super) fn read_or_default<T, E: fmt::Display>(
        &mut self,
        setting: &'static Setting,
        rule: impl FnOnce(&str) -> Result<T, E>,
        problems: &mut Problems,
    ) -> Option<T> {
        if self.texts.contains_key(setting.name) || self.refused.contains(setting.name) {
            return self.read(setting, rule, problems);
        }
        let default = setting.default_text();
        rule(default).map_err(|fault| problems.push(Problem::new(setting.name, format_args!("default {fault}")))).ok()
    }

    fn refuse(&mut self, setting: &'static Setting) {
        self.texts.remove(setting.name);
        self.refused.insert(setting.name);
    }

    /// Takes what a layer says, unless a stronger one has spoken.
    pub(super) fn take_from(
        &mut self,
        layer: &mut Layer,
        setting: &'static Setting,
        directory: &Path,
        problems: &mut Problems,
    ) {
        if self.texts.contains_key(setting.name) || self.refused.contains(setting.name) || !layer.contains(setting) {
            return;
        }
        match layer.take(setting, directory, problems) {
            Some(raw) => drop(self.texts.insert(setting.name, raw)),
            None => self.refuse(setting),
        }
    }
}
