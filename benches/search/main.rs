//! How long it takes to find something in archives of 10,000, 100,000 and 1,000,000 resources.
//!
//! `cargo bench --bench search`; `-- --quick` leaves out the largest archive, `-- --keep` keeps the archives for
//! the next run with it. Every question is asked of every archive in three rounds, in turn. What is printed of
//! each archive: the median and the 99th percentile of all answers, and the slowest first answer, with nothing
//! of the archive in any memory.

#[path = "../rounds/mod.rs"]
#[expect(dead_code, reason = "the figures of this benchmark have a table of their own")]
mod rounds;

mod archive;
mod questions;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;

use crate::archive::{Archive, Life};
use crate::questions::{Answers, QUESTIONS, Question};
use crate::rounds::Extent;

const ROUNDS: u32 = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(extent) = Extent::asked_of("search") else { return Ok(()) };
    let sizes: &[u32] = extent.choose(&[10_000, 100_000, 1_000_000], &[10_000, 100_000]);
    let life = if std::env::args().any(|word| word == "--keep") { Life::Kept } else { Life::OneRun };
    let mut archives = Vec::new();
    for size in sizes {
        archives.push(Archive::of(*size, life).await?);
    }
    let mut times = Times::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round}");
        for question in QUESTIONS {
            for archive in &mut archives {
                archive.reopen().await?;
                let answers = times.0.entry((question.name, archive.size)).or_default();
                answers.push(question.ask(archive).await.context(question.name)?);
            }
        }
    }
    print!("{}", times.table(sizes));
    Ok(())
}

/// What each question took of each archive in each round: the first answer, then the others.
#[derive(Default)]
struct Times(BTreeMap<(&'static str, u32), Vec<Answers>>);

impl Times {
    fn row(&self, name: &'static str, size: u32) -> Option<String> {
        let rounds = self.0.get(&(name, size))?;
        let mut times: Vec<Duration> = rounds.iter().flat_map(|round| round.others.iter().copied()).collect();
        times.sort();
        let first = rounds.iter().map(|round| round.first).max()?;
        let figures = [times.get(times.len() / 2), times.get(times.len() * 99 / 100), Some(&first)];
        let figures: Vec<String> = figures.into_iter().flatten().map(|time| milliseconds(*time)).collect();
        Some(figures.join(" | "))
    }

    fn table(&self, sizes: &[u32]) -> String {
        let heads: Vec<String> = sizes.iter().map(|size| format!("{size}: median, ms | p99 | first")).collect();
        let mut table = format!("| Question | {} |\n|---", heads.join(" | "));
        table.push_str(&"|---".repeat(sizes.len() * 3));
        table.push_str("|\n");
        for Question { name, .. } in QUESTIONS {
            let cells: Vec<String> = sizes.iter().filter_map(|size| self.row(name, *size)).collect();
            table.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
        }
        table
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}
