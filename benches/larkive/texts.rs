//! Texts: what it costs that everything that comes in can be searched at once.

use larkive::catalogue::Catalogue;
use tempfile::TempDir;

use crate::Extent;
use crate::acks::Platform;
use crate::load::fire;
use crate::process::{self, Serve, catalogue_path};
use crate::requests;
use crate::samples::Samples;

/// Connections, as in the largest load of the acks.
const CONNECTIONS: usize = 64;
/// Downloads would share the processor with what is measured: one call a minute all but stops them.
const BUDGET: &str = "1/min";
/// What notes resources for the text index. Without it there is nothing to index.
const NOTES: [&str; 2] = ["DROP TRIGGER resources_to_search", "DROP TRIGGER resources_to_search_again"];

/// Measures, in rounds, deliveries of files with Chinese names until all are expanded.
pub(crate) fn run(extent: Extent, samples: &mut Samples) -> anyhow::Result<()> {
    let platform = Platform::start()?;
    for round in 1..=extent.rounds() {
        eprintln!("texts, round {round}");
        let documents = requests::documents(&format!("texts {round}"), extent.choose(40_000, 8_000));
        for (name, statements) in [("with", &[] as &[&str]), ("without", &NOTES)] {
            let directory = prepared(statements)?;
            let serve = Serve::start(directory.path(), &platform.url, BUDGET)?;
            let within = extent.choose(std::time::Duration::from_secs(3), std::time::Duration::from_secs(1));
            let load = fire(serve.server.address, &documents, CONNECTIONS, within)?;
            serve.wait_for_empty_inbox()?;
            let per_second = load.answered() as f64 / load.begun.elapsed().as_secs_f64();
            samples.add(&format!("{name} the text index, until the inbox is empty, per second"), per_second);
        }
    }
    Ok(())
}

/// A directory whose catalogue was changed before the server starts.
fn prepared(statements: &'static [&'static str]) -> anyhow::Result<TempDir> {
    let directory = process::directory()?;
    let path = catalogue_path(directory.path());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let catalogue = Catalogue::open(&path).await?;
        for statement in statements {
            sqlx::query(*statement).execute(catalogue.write()?).await?;
        }
        catalogue.close().await;
        anyhow::Ok(())
    })?;
    Ok(directory)
}
