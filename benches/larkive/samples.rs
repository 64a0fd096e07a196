//! Samples: what was measured, under names, round by round.

use std::collections::BTreeMap;

/// Everything that was measured, in the order in which it was measured first.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    order: Vec<String>,
    values: BTreeMap<String, Vec<f64>>,
}

impl Samples {
    /// Adds what this round gave, and tells whoever waits in front of the screen.
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        eprintln!("  {name}: {}", figure(value));
        if !self.values.contains_key(name) {
            self.order.push(name.to_owned());
        }
        self.values.entry(name.to_owned()).or_default().push(value);
    }

    /// Names with their values, lowest first.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = (&str, Vec<f64>)> {
        self.order.iter().map(|name| (name.as_str(), sorted(self.values.get(name).cloned().unwrap_or_default())))
    }

    /// The median of the rounds.
    pub(crate) fn median(&self, name: &str) -> Option<f64> {
        middle(self.values.get(name)?.clone())
    }

    /// The median of what the rounds gave for `name` as a share of `base`. Both are taken from the
    /// same round, so that a machine that slows down between rounds changes nothing.
    pub(crate) fn ratio(&self, name: &str, base: &str) -> Option<f64> {
        let (values, bases) = (self.values.get(name)?, self.values.get(base)?);
        middle(values.iter().zip(bases).map(|(value, base)| value / base).collect())
    }
}

/// The middle one of some values.
pub(crate) fn middle(values: Vec<f64>) -> Option<f64> {
    let values = sorted(values);
    values.get(values.len() / 2).copied()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// A number with as many decimals as are worth reading.
pub(crate) fn figure(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
