//! The report: goals first, then every figure, as Markdown.

use std::fmt;

use crate::samples::{Samples, figure};

/// What a goal asks for.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// At least this share of another measurement.
    Share(&'static str, f64),
    /// At most this many times another measurement.
    Times(&'static str, f64),
    /// At most this much.
    AtMost(f64),
}

/// What was measured and what it should be.
const GOALS: [(&str, &str, Goal); 12] = [
    (
        "durable acks at C=64 against the same server storing nothing",
        "larkive, C=64, per second",
        Goal::Share("storing-nothing, C=64, per second", 0.40),
    ),
    (
        "… against one transaction for each event",
        "larkive, C=64, per second",
        Goal::Share("committing-each, C=64, per second", 5.0),
    ),
    (
        "… at C=1 against appending 4 KiB and fdatasync",
        "larkive, C=1, per second",
        Goal::Share("append 4 KiB + fdatasync, per second", 0.48),
    ),
    (
        "p99 at C=64 against the same server storing nothing",
        "larkive, C=64, p99, ms",
        Goal::Times("storing-nothing, C=64, p99, ms", 2.0),
    ),
    (
        "sustained: acks until everything is expanded, against storing nothing",
        "larkive, until the inbox is empty, per second",
        Goal::Share("storing-nothing, C=64, per second", 0.10),
    ),
    (
        "durable acks with older events against an empty catalogue",
        "larkive with older events, C=64, per second",
        Goal::Share("larkive, C=64, per second", 0.65),
    ),
    (
        "sustained with older events against an empty catalogue",
        "larkive with older events, until the inbox is empty, per second",
        Goal::Share("larkive, until the inbox is empty, per second", 0.65),
    ),
    (
        "sustained with the text index against without it",
        "with the text index, until the inbox is empty, per second",
        Goal::Share("without the text index, until the inbox is empty, per second", 0.8),
    ),
    (
        "archiving 100 KiB files against 16 threads that write, hash and sync them",
        "larkive, 100 KiB, files per second",
        Goal::Share("16 writing threads, 100 KiB, files per second", 0.45),
    ),
    (
        "archiving 16 large files against 16 threads that write, hash and sync them",
        "larkive, 16 large, MB per second",
        Goal::Share("16 writing threads, 16 large, MB per second", 0.6),
    ),
    ("peak memory with 16 large files, MiB", "larkive, 16 large, peak memory, MiB", Goal::AtMost(56.0)),
    ("idle memory after the start, MiB", "idle after the start, MiB", Goal::AtMost(28.0)),
];

impl Goal {
    fn measured(self, name: &str, samples: &Samples) -> Option<f64> {
        match self {
            Self::Share(base, _) | Self::Times(base, _) => samples.ratio(name, base),
            Self::AtMost(_) => samples.median(name),
        }
    }

    fn is_met(self, measured: f64) -> bool {
        match self {
            Self::Share(_, target) => measured >= target,
            Self::Times(_, target) | Self::AtMost(target) => measured <= target,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(_, target) => write!(f, "≥ {}", figure(*target)),
            Self::Times(_, target) | Self::AtMost(target) => write!(f, "≤ {}", figure(*target)),
        }
    }
}

/// Everything that was measured, ready to be printed.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    samples: &'a Samples,
}

impl<'a> Report<'a> {
    pub(crate) fn new(samples: &'a Samples) -> Self {
        Self { samples }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| Goal | Target | Measured | Met |\n|---|---|---|---|")?;
        for (title, name, goal) in GOALS {
            if let Some(measured) = goal.measured(name, self.samples) {
                let met = if goal.is_met(measured) { "yes" } else { "no" };
                writeln!(f, "| {title} | {goal} | {} | {met} |", figure(measured))?;
            }
        }
        writeln!(f, "\n| Figure | Median | Lowest | Highest |\n|---|---|---|---|")?;
        for (name, values) in self.samples.sorted() {
            if let (Some(median), Some(lowest), Some(highest)) =
                (self.samples.median(name), values.first(), values.last())
            {
                writeln!(f, "| {name} | {} | {} | {} |", figure(median), figure(*lowest), figure(*highest))?;
            }
        }
        Ok(())
    }
}
