//! How fast an export is, next to a plain copy of the same files, and how much memory it takes,
//! whatever is selected.
//!
//! `cargo bench --bench export`; `-- --quick` measures less. Memory needs Linux.

mod rounds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use larkive::blob::store::Store;
use larkive::catalogue::{Catalogue, FILE_NAME};
use larkive::config::DataLayout;
use larkive::domain::digest::Digest;
use tempfile::TempDir;

use crate::rounds::{Extent, Figures};

const MB: f64 = 1_000_000.0;
const KIB_OF_MIB: f64 = 1024.0;
const SMALL_BYTES: usize = 100 << 10;
const LARGE_BYTES: usize = 64 << 20;
/// How often the memory of a running export is looked at. Its peak is kept by the system.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(extent) = Extent::asked_of("export") else { return Ok(()) };
    let mut figures = Figures::default();
    speed(extent, &mut figures).await?;
    memory(extent, &mut figures).await?;
    println!("{figures}");
    Ok(())
}

/// Small and large files, copied and exported in turn.
async fn speed(extent: Extent, figures: &mut Figures) -> anyhow::Result<()> {
    let archive = Archive::create().await?;
    let (small, large) = extent.choose((4000, 8), (400, 1));
    let mut bytes = 0;
    for seed in 0..small + large {
        let size = if seed < small { SMALL_BYTES } else { LARGE_BYTES };
        let digest = archive.store_noise(seed, size).await?;
        archive.add(digest, size, 1).await?;
        bytes += size;
    }
    let mut rate = |name, begun: Instant| figures.add(name, bytes as f64 / MB / begun.elapsed().as_secs_f64());
    for round in 1..=extent.rounds() {
        eprintln!("{small} files of 100 KiB and {large} of 64 MiB, round {round}");
        let out = archive.path("out");
        let begun = Instant::now();
        let copied = Command::new("cp").arg("-r").arg(&archive.layout.store).arg(&out).status()?;
        ensure!(copied.success(), "cp failed");
        rate("plain copy, MB per second", begun);
        fs::remove_dir_all(&out)?;
        for (name, target) in [
            ("export to a directory, MB per second", "out"),
            ("export to a ZIP, MB per second", "out.zip"),
            ("export to a tar, MB per second", "out.tar"),
        ] {
            let begun = Instant::now();
            archive.export(target)?;
            rate(name, begun);
            let out = archive.path(target);
            if out.is_dir() { fs::remove_dir_all(out)? } else { fs::remove_file(out)? }
        }
    }
    Ok(())
}

/// A great many resources, all of them with the same little file.
async fn memory(extent: Extent, figures: &mut Figures) -> anyhow::Result<()> {
    let archive = Archive::create().await?;
    let digest = archive.store_noise(0, 10).await?;
    archive.add(digest, 10, extent.choose(1_000_000, 20_000)).await?;
    for (name, target) in
        [("many files to a tar, peak memory, MiB", "out.tar"), ("many files to a ZIP, peak memory, MiB", "out.zip")]
    {
        figures.add(name, archive.export(target)?);
        fs::remove_file(archive.path(target))?;
    }
    Ok(())
}

struct Archive {
    directory: TempDir,
    layout: DataLayout,
    catalogue: Catalogue,
    store: Store,
}

impl Archive {
    async fn create() -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))?;
        let layout = DataLayout::within(&directory.path().join("data"));
        fs::create_dir_all(&layout.directory)?;
        let catalogue = Catalogue::open(&layout.directory.join(FILE_NAME)).await?;
        let store = Store::open(&layout.store, &layout.spool)?;
        Ok(Self { directory, layout, catalogue, store })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn store_noise(&self, seed: usize, size: usize) -> anyhow::Result<Digest> {
        let mut noise = vec![0; size];
        fastrand::Rng::with_seed(seed as u64).fill(&mut noise);
        let mut staging = self.store.stage("bench", size as u64)?;
        staging.write(&noise)?;
        Ok(self.store.publish(staging.finish()).await?)
    }

    /// Adds so many resources with these bytes, one a second.
    async fn add(&self, digest: Digest, size: usize, count: i64) -> anyhow::Result<()> {
        sqlx::query("INSERT INTO blobs (digest, size_bytes, stored_at, verified_at) VALUES (unhex(?), ?, 0, 0)")
            .bind(digest.to_string())
            .bind(size as i64)
            .execute(self.catalogue.write()?)
            .await?;
        sqlx::query(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO resources (app_id, source, owner, type, key, role, file_name, mime, size_bytes, blob_row_id, state,
                listed_at, seen_at, stored_at)
            SELECT 'cli_bench', 'file', '', 'file', ?2 || i, 'file', '会议纪要' || (i % 1000) || '.bin',
                'application/octet-stream', ?3, (SELECT blob_row_id FROM blobs WHERE digest = unhex(?2)), 'stored', 1772366400000 + i * 1000, 0, 0
            FROM n",
        )
        .bind(count)
        .bind(digest.to_string())
        .bind(size as i64)
        .execute(self.catalogue.write()?)
        .await?;
        Ok(())
    }

    /// Exports everything; returns the most memory that took, in MiB.
    fn export(&self, target: &str) -> anyhow::Result<f64> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_larkive"))
            .args(["export", "--out", target])
            .current_dir(self.directory.path())
            .env_clear()
            .stderr(Stdio::null())
            .spawn()?;
        let mut peak = 0.0;
        let status = loop {
            peak = peak_mib(Path::new(&format!("/proc/{}/status", child.id()))).unwrap_or(peak);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(LOOK_AGAIN);
        };
        ensure!(status.success(), "the export ended with {status}");
        Ok(peak)
    }
}

/// None once the process has ended.
fn peak_mib(status: &Path) -> anyhow::Result<f64> {
    let status = fs::read_to_string(status)?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(peak.context("the process has ended")?.parse::<f64>()? / KIB_OF_MIB)
}
