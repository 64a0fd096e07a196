//! How fast Larkive is, and how little memory it takes, next to what the machine can do.
//!
//! `cargo bench` measures everything; `cargo bench -- --quick acks` measures less, and `-- --once` one whole round,
//! which two versions of the program can take in turn. What is compared runs in the same rounds, in turn, because
//! the speed of a machine changes from minute to minute.
//! `docs/benchmarks.md` says how to read the result.

mod acks;
mod archive;
mod baseline;
mod disk;
mod idle;
mod load;
mod older;
mod process;
mod report;
mod requests;
mod samples;
mod texts;

use std::process::ExitCode;

use anyhow::bail;

use crate::report::Report;
use crate::samples::Samples;

/// The groups of measurements, by the names they are chosen by.
const GROUPS: [(&str, Group); 5] = [
    ("acks", acks::run),
    ("texts", texts::run),
    ("archive", archive::run_small),
    ("large", archive::run_large),
    ("idle", idle::run),
];

type Group = fn(Extent, &mut Samples) -> anyhow::Result<()>;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Three rounds at full size.
    Full,
    /// One round at full size.
    Once,
    /// One small round: shows that everything works, and roughly how fast.
    Quick,
}

impl Extent {
    /// The value for the full extent, or the one for the quick one.
    pub(crate) fn choose<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full | Self::Once => full,
            Self::Quick => quick,
        }
    }

    fn rounds(self) -> u32 {
        match self {
            Self::Full => 3,
            Self::Once | Self::Quick => 1,
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match start(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(words: &[String]) -> anyhow::Result<()> {
    if let [first, rest @ ..] = words
        && first == baseline::WORD
    {
        return baseline::serve(rest);
    }
    let mut extent = Extent::Full;
    let mut chosen = Vec::new();
    for word in words {
        match word.as_str() {
            // Cargo adds it.
            "--bench" => {}
            "--quick" => extent = Extent::Quick,
            "--once" => extent = Extent::Once,
            name if GROUPS.iter().any(|(known, _)| *known == name) => chosen.push(name),
            other => {
                bail!(
                    "unknown argument {other:?}; known are --quick, --once, {}",
                    GROUPS.map(|(name, _)| name).join(", ")
                )
            }
        }
    }
    let mut samples = Samples::default();
    for (name, run) in GROUPS {
        if chosen.is_empty() || chosen.contains(&name) {
            run(extent, &mut samples)?;
        }
    }
    println!("{}", Report::new(&samples));
    Ok(())
}
