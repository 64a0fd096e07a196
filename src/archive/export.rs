//! Export: what a filter selects leaves the archive as files that need no Larkive: originals under
//! their names, a manifest, a page to look through it, and digests to check it with.
//!
//! Every blob is hashed while it is copied. What is not stored, turns out to be damaged, or has a name that
//! is refused where it goes, stands in the manifest alone. Memory does not grow with what is selected.

pub mod directory;
mod folder;
mod index;
mod manifest;
mod name;
pub mod package;
pub mod stream;
pub mod tar;
pub mod zip;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use self::folder::Folder;
use self::index::Index;
pub use self::manifest::Problem;
use self::manifest::{Fate, Manifest};
use self::package::{Entry, Package, Put, Source};
use super::damage::Examiner;
use crate::blob::checked::{Blobs, CheckedBlob, Damage};
use crate::blocking::BlockingShare;
use crate::catalogue::listing::Walk;
use crate::catalogue::listing::resource::{self, Resource};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::digest::Digest;
use crate::domain::download::State;
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// Resources named one by one that are read at once.
const STRIDE: usize = 500;

/// Exports that write at once. Each waits on its thread for whoever takes what it writes.
static PACKERS: BlockingShare = BlockingShare::of(16);

/// Which resources are exported.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Those that a filter asks for.
    Matching(Box<Filter>),
    /// These; hidden and unknown ones are left out.
    These(Vec<ResourceId>),
}

/// What happens during an export, for whoever watches.
#[derive(Debug)]
pub enum Progress<'a> {
    /// So many more bytes of originals were read.
    Bytes(u64),
    /// Another resource is done.
    Resource,
    /// The bytes of a stored resource are not in the package, or wrong in it.
    Failed(&'a Resource, &'a Problem),
    /// A blob is damaged, and the catalogue could not be told.
    NotNoted(Digest, &'a CatalogueError),
}

/// Somebody who watches.
pub type Watcher = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// An export that is about to be made.
#[derive(Clone)]
pub struct Export {
    /// Where the rows are.
    pub catalogue: Catalogue,
    /// Where the bytes are, and who is told where they are damaged.
    pub examiner: Examiner,
    /// What is exported.
    pub selection: Selection,
    /// When it was asked for.
    pub now: Timestamp,
    /// Who is told how it goes.
    pub watcher: Watcher,
}

/// What an export came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many resources were selected.
    pub resources: u64,
    /// How many of them have their bytes in the package.
    pub files: u64,
    /// How many bytes those are.
    pub bytes: u64,
    /// How many were in the package before.
    pub kept: u64,
    /// How many should have bytes and have none, or wrong ones.
    pub damaged: u64,
    /// How many have a name that is refused where the package is.
    pub refused: u64,
}

impl Summary {
    /// Whether everything that is stored is in the package as it should be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged == 0 && self.refused == 0
    }
}

impl Export {
    /// Puts everything into a package; `spool` is a directory for temporary files without a name.
    ///
    /// # Errors
    /// If the catalogue cannot be read or the package not be written. Damaged blobs and refused names are no
    /// error.
    pub async fn into_package(self, package: impl Package, spool: &Path) -> anyhow::Result<Summary> {
        let mut reader = Reader::begin(&self).await?;
        let mut packing = Packing::begin(&self, package, spool)?;
        let mut stretch = reader.next().await?;
        while !stretch.is_empty() {
            let adding = PACKERS.run(move || {
                stretch.iter().try_for_each(|resource| packing.add(resource))?;
                Ok::<_, anyhow::Error>(packing)
            });
            let (next, added) = tokio::join!(reader.next(), adding);
            packing = added.context("the export crashed")??;
            self.tell_of_damage(&mut packing.damaged).await;
            stretch = next?;
        }
        PACKERS.run(move || packing.close()).await.context("the export crashed")?
    }

    /// Has what was found damaged fetched again. An export that cannot say so is none the worse for it.
    async fn tell_of_damage(&self, damaged: &mut HashSet<(Digest, u64)>) {
        for (digest, size_bytes) in damaged.drain() {
            if let Err(error) = self.examiner.examine(digest, size_bytes).await {
                (self.watcher)(Progress::NotNoted(digest, &error));
            }
        }
    }
}

/// What is selected, newest first, a stretch at a time.
enum Reader<'a> {
    Walk(Box<Walk<'a>>),
    These { catalogue: &'a Catalogue, left: std::vec::IntoIter<ResourceId> },
}

impl<'a> Reader<'a> {
    async fn begin(export: &'a Export) -> Result<Self, CatalogueError> {
        match &export.selection {
            Selection::Matching(filter) => {
                // Folders are of days, and each is begun once; ranking would also leave out what is old.
                Ok(Self::Walk(Box::new(Walk::new(&export.catalogue, filter.newest_first(), export.now))))
            }
            Selection::These(ids) => {
                let left = resource::in_order(&export.catalogue, ids).await?.into_iter();
                Ok(Self::These { catalogue: &export.catalogue, left })
            }
        }
    }

    async fn next(&mut self) -> Result<Vec<Resource>, CatalogueError> {
        match self {
            Self::Walk(walk) => walk.next().await,
            Self::These { catalogue, left } => next_of_these(catalogue, left).await,
        }
    }
}

/// The next resources that are there to be seen; none once there are no ids left.
async fn next_of_these(
    catalogue: &Catalogue,
    left: &mut std::vec::IntoIter<ResourceId>,
) -> Result<Vec<Resource>, CatalogueError> {
    loop {
        let ids: Vec<ResourceId> = left.take(STRIDE).collect();
        let mut resources = resource::find_all(catalogue, &ids).await?;
        resources.sort_by_key(|resource| std::cmp::Reverse((resource.listed_at, resource.id)));
        if ids.is_empty() || !resources.is_empty() {
            return Ok(resources);
        }
    }
}

/// An export that is being made, on a thread that may wait.
struct Packing<P> {
    package: P,
    blobs: Blobs,
    /// What was found damaged in this stretch.
    damaged: HashSet<(Digest, u64)>,
    folder: Folder,
    manifest: Manifest,
    index: Index,
    /// Whose days the folders are of.
    zone: Zone,
    summary: Summary,
    watcher: Watcher,
}

impl<P: Package> Packing<P> {
    fn begin(export: &Export, package: P, spool: &Path) -> anyhow::Result<Self> {
        let manifest = Manifest::begin(spool, export.now)
            .with_context(|| format!("cannot create temporary files in {}", spool.display()))?;
        let zone = export.catalogue.zone().clone();
        Ok(Self {
            package,
            blobs: export.examiner.blobs().clone(),
            damaged: HashSet::new(),
            folder: Folder::default(),
            manifest,
            index: Index::new(export.now, zone.clone()),
            zone,
            summary: Summary::default(),
            watcher: export.watcher.clone(),
        })
    }

    fn add(&mut self, resource: &Resource) -> anyhow::Result<()> {
        let path = Folder::path_of(resource, &self.zone);
        if path != self.folder.path() {
            self.complete_folder()?;
            self.folder = Folder::new(path);
        }
        let fate = self.put(resource)?;
        self.summary.resources += 1;
        self.manifest.add(resource, &fate)?;
        if let Some((page, html)) = self.index.add(resource, &fate) {
            self.manifest.put_made(&mut self.package, &page, html.as_bytes())?;
        }
        (self.watcher)(Progress::Resource);
        Ok(())
    }

    /// Puts the bytes of a resource into the package, if it has any.
    fn put(&mut self, resource: &Resource) -> anyhow::Result<Fate> {
        let (State::Stored, Some(digest), Some(size_bytes)) = (resource.state, resource.sha256, resource.size_bytes)
        else {
            return Ok(Fate { path: None, problem: None });
        };
        let path = self.folder.place(resource);
        let entry = Entry { path: &path, size_bytes, digest: Some(digest), modified: resource.listed_at };
        let put = match self.blobs.open(digest, size_bytes) {
            Ok(blob) => self.package.put(&entry, &mut Watched { blob, watcher: &self.watcher })?,
            Err(damage) => Put::Omitted(damage),
        };
        let (there, problem) = match put {
            Put::Whole => (true, None),
            Put::Kept => {
                self.summary.kept += 1;
                (self.watcher)(Progress::Bytes(size_bytes));
                (true, None)
            }
            Put::Omitted(damage) => (false, Some(Problem::Damaged(damage))),
            Put::Spoilt(damage) => (true, Some(Problem::Damaged(damage))),
            Put::Refused(error) => (false, Some(Problem::Refused { name: name_in(&path).to_owned(), error })),
        };
        if there {
            // Of a spoilt file too: whoever checks it shall see that it is wrong.
            self.manifest.add_sum(digest, &path)?;
        }
        self.count(size_bytes, problem.as_ref());
        if let Some(Problem::Damaged(_)) = problem {
            self.damaged.insert((digest, size_bytes));
        }
        if let Some(problem) = &problem {
            (self.watcher)(Progress::Failed(resource, problem));
        }
        Ok(Fate { path: there.then_some(path), problem })
    }

    fn count(&mut self, size_bytes: u64, problem: Option<&Problem>) {
        match problem {
            Some(Problem::Damaged(_)) => self.summary.damaged += 1,
            Some(Problem::Refused { .. }) => self.summary.refused += 1,
            None => {
                self.summary.files += 1;
                self.summary.bytes += size_bytes;
            }
        }
    }

    fn complete_folder(&mut self) -> anyhow::Result<()> {
        let Self { folder, package, .. } = self;
        if !folder.is_empty() {
            package.complete(folder.path(), &|name| folder.may_hold(name))?;
        }
        Ok(())
    }

    fn close(mut self) -> anyhow::Result<Summary> {
        self.complete_folder()?;
        let pages = self.index.close(&self.summary);
        for (page, html) in &pages {
            self.manifest.put_made(&mut self.package, page, html.as_bytes())?;
        }
        self.package.complete(index::PAGES, &|name| self.index.has_page(name))?;
        self.manifest.close(&mut self.package)?;
        self.package.close()?;
        Ok(self.summary)
    }
}

/// The last part of a path in a package.
fn name_in(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// A blob whose reading is watched.
struct Watched<'a> {
    blob: CheckedBlob,
    watcher: &'a Watcher,
}

impl Source for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Damage> {
        let count = self.blob.read(buffer)?;
        (self.watcher)(Progress::Bytes(count as u64));
        Ok(count)
    }
}
