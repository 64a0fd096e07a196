//! How fast resources are found in messages: the whole corpus, over and over, on one core.
//!
//! `cargo bench --bench extraction`; `-- --quick` measures less.

mod rounds;

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use larkive::cli::extract::extract;

use crate::rounds::{Extent, Figures};

const MB: f64 = 1_000_000.0;

fn main() -> io::Result<()> {
    let Some(extent) = Extent::asked_of("extraction") else { return Ok(()) };
    let corpus = corpus()?;
    let mut figures = Figures::default();
    for round in 1..=extent.rounds() {
        eprintln!("extraction, round {round}");
        measure(&corpus, extent.choose(Duration::from_secs(5), Duration::from_millis(500)), &mut figures);
    }
    println!("{figures}");
    Ok(())
}

/// Every body of the corpus.
fn corpus() -> io::Result<Vec<String>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events");
    let mut bodies = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(".expected.json") {
            bodies.push(fs::read_to_string(path)?);
        }
    }
    Ok(bodies)
}

fn measure(corpus: &[String], for_at_least: Duration, figures: &mut Figures) {
    let corpus_bytes: usize = corpus.iter().map(String::len).sum();
    let (mut passes, mut resources) = (0_u32, 0);
    let begun = Instant::now();
    while begun.elapsed() < for_at_least {
        passes += 1;
        let found = corpus.iter().filter_map(|body| extract(body).ok());
        resources += found.map(|extraction| extraction.rows.len()).sum::<usize>();
    }
    let seconds = begun.elapsed().as_secs_f64();
    figures.add("extraction, events per second and core", f64::from(passes) * corpus.len() as f64 / seconds);
    figures.add("extraction, resources per second and core", resources as f64 / seconds);
    figures.add("extraction, MB per second and core", f64::from(passes) * corpus_bytes as f64 / MB / seconds);
}
