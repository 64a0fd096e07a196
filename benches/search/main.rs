//! How long it takes to find something in archives of 10,000, 100,000 and 1,000,000 resources.
//!
//! `cargo bench --bench search`; `-- --quick` leaves out the largest archive. Every question is asked
//! of every archive in three rounds, in turn; what is printed is the median, and the largest archive
//! in comparison with the smallest.

#[path = "../rounds/mod.rs"]
#[expect(dead_code, reason = "the figures of this benchmark have a table of their own")]
mod rounds;

mod archive;
mod questions;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;

use crate::archive::Archive;
use crate::questions::{QUESTIONS, Question};
use crate::rounds::Extent;

const ROUNDS: u32 = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(extent) = Extent::asked_of("search") else { return Ok(()) };
    let sizes: &[u32] = extent.choose(&[10_000, 100_000, 1_000_000], &[10_000, 100_000]);
    let mut archives = Vec::new();
    for size in sizes {
        archives.push(Archive::generate(*size).await?);
    }
    let mut times = Times::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round}");
        for question in QUESTIONS {
            for archive in &archives {
                times.add(&question, archive.size, question.ask(archive).await.context(question.name)?);
            }
        }
    }
    print!("{}", times.table(sizes));
    Ok(())
}

/// What each question took of each archive in each round.
#[derive(Default)]
struct Times(BTreeMap<(&'static str, u32), Vec<Duration>>);

impl Times {
    fn add(&mut self, question: &Question, size: u32, took: Duration) {
        self.0.entry((question.name, size)).or_default().push(took);
    }

    fn median_ms(&self, name: &'static str, size: u32) -> Option<f64> {
        let mut times = self.0.get(&(name, size))?.clone();
        times.sort();
        Some(times.get(times.len() / 2)?.as_secs_f64() * 1000.0)
    }

    fn table(&self, sizes: &[u32]) -> String {
        let heads: Vec<String> = sizes.iter().map(|size| format!("{size}, ms")).collect();
        let mut table = format!("| Question | {} | largest / smallest |\n|---", heads.join(" | "));
        table.push_str(&"|---".repeat(sizes.len() + 1));
        table.push_str("|\n");
        for Question { name, .. } in QUESTIONS {
            let medians: Vec<f64> = sizes.iter().filter_map(|size| self.median_ms(name, *size)).collect();
            let cells: Vec<String> = medians.iter().map(|ms| format!("{ms:.2}")).collect();
            let ratio = medians.last().zip(medians.first()).map_or(0.0, |(last, first)| last / first);
            table.push_str(&format!("| {name} | {} | {ratio:.2} |\n", cells.join(" | ")));
        }
        table
    }
}
