//! Thumbnails: made in the background for everything that came in, and at once for whoever waits.
//!
//! In the background one is made after the other: of what arrives in its order, and of what was there
//! before, newest first. What cannot be made is remembered, so that nothing is tried for ever.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::damage::{Examiner, Finding};
use crate::blob::checked::{CHECK_BYTES, Damage};
use crate::blob::space::Space;
use crate::blob::thumbnails::Thumbnails as Cache;
use crate::blocking::BlockingShare;
use crate::catalogue::thumbnails::{self, Arrived, Picture};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::digest::Digest;
use crate::domain::error::chain;
use crate::domain::id::ResourceId;
use crate::picture;
use crate::picture::apart::Workshop;
use crate::picture::shrink::MAX_BYTES;

/// Counts the ways in which thumbnails were made. What an earlier way could not do is tried again.
const RECIPE: &str = "1";
/// How many are made at once: one in the background does not hold up whoever waits, and more would
/// take more memory than all the rest of the program.
const AT_ONCE: usize = 2;
/// How many may be waited for: the pages of a few people, opened at the same time.
const WAITING: usize = 256;
/// How many are looked for at once: on a disk that hangs, others still need threads that may wait.
const LOOKING: usize = 8;
/// Uses of the cache at once: each takes a thread.
static CACHE_USERS: BlockingShare = BlockingShare::of(16);
/// How long somebody waits for a thumbnail before being told to ask again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Blobs looked at in one go.
const STRIDE: u32 = 256;
/// The pause after each that is made in the background, so that it never takes all of a processor.
const BREATH: Duration = Duration::from_millis(10);
/// How often to look for what has arrived.
const POLL: Duration = Duration::from_secs(1);
/// The pause after something failed, or while the disk is full.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What there is to show for a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Its thumbnail, a WebP file.
    Thumbnail(Vec<u8>),
    /// Nothing, now and later.
    Nothing,
    /// Nothing yet.
    NotYet,
}

/// Why nothing can be said about a thumbnail.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// The catalogue could not be read.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The cache failed.
    #[error("the cache of thumbnails failed")]
    Cache(#[from] io::Error),
    /// The picture could not be read.
    #[error("the picture could not be read")]
    Picture(#[from] Damage),
}

/// What came of making a thumbnail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It is there, or it is written down why there will be none.
    Settled,
    /// The picture is damaged.
    Impossible,
}

/// The thumbnails of an archive. Cloned freely.
#[derive(Debug, Clone)]
pub struct Thumbnails {
    catalogue: Catalogue,
    examiner: Examiner,
    cache: Cache,
    space: Space,
    workshop: Workshop,
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    looking: Arc<Semaphore>,
}

impl Thumbnails {
    /// Those of this catalogue and of the blobs that the examiner looks at, kept in `cache` and made by
    /// `workshop`.
    #[must_use]
    pub fn new(catalogue: Catalogue, (examiner, space): (Examiner, Space), cache: Cache, workshop: Workshop) -> Self {
        let [at_once, waiting, looking] = [AT_ONCE, WAITING, LOOKING].map(|places| Arc::new(Semaphore::new(places)));
        Self { catalogue, examiner, cache, space, workshop, at_once, waiting, looking }
    }

    /// The picture that stands for a resource, of which there may be a thumbnail: its own bytes, or a
    /// video's cover; and what there is to show for it already. Nothing if there is none or the
    /// resource is hidden.
    ///
    /// # Errors
    /// If the catalogue or the file system fails.
    pub async fn look_at(&self, id: ResourceId) -> Result<Option<(Picture, Shown)>, ThumbnailError> {
        let _place = self.looking.acquire().await.map_err(io::Error::other)?;
        let catalogue = self.catalogue.clone();
        // Who may see it and the file itself in one go: changing threads costs more than either.
        self.on_disk(move |cache| {
            let Some(picture) = thumbnails::picture_of(&catalogue, id)?.filter(is_suitable) else { return Ok(None) };
            let shown = look(cache, &picture.digest)?;
            Ok(Some((picture, shown)))
        })
        .await
    }

    /// Makes a thumbnail that was not made yet, and waits for it for a while.
    ///
    /// # Errors
    /// If the file system fails.
    pub async fn wait_for(&self, picture: Picture) -> Result<Shown, ThumbnailError> {
        let Ok(place) = self.waiting.clone().try_acquire_owned() else { return Ok(Shown::NotYet) };
        let (thumbnails, digest) = (self.clone(), picture.digest);
        // In a task of its own: whoever has lost patience finds it the next time.
        let making = tokio::spawn(async move {
            let made = thumbnails.make(&picture).await;
            made.as_ref().err().into_iter().for_each(|error| tell(digest, error));
            drop(place);
            made.ok()
        });
        match timeout(PATIENCE, making).await {
            Ok(Ok(Some(Made::Impossible))) => Ok(Shown::Nothing),
            Ok(_) => self.on_disk(move |cache| Ok(look(cache, &digest)?)).await,
            Err(_) => Ok(Shown::NotYet),
        }
    }

    /// Makes a thumbnail, or remembers why there is none, unless either was done before.
    async fn make(&self, picture: &Picture) -> Result<Made, ThumbnailError> {
        let digest = picture.digest;
        let _turn = self.at_once.acquire().await.map_err(io::Error::other)?;
        if self.on_disk(move |cache| Ok(cache.has(&digest) || is_refused(cache, &digest)?)).await? {
            return Ok(Made::Settled);
        }
        if self.space.is_short()? {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "too little space is left for thumbnails").into());
        }
        let Some(picture) = self.sound(picture).await? else { return Ok(Made::Impossible) };
        let draft = self.on_disk(|cache| Ok(cache.draft()?)).await?;
        let made = self.workshop.shrink(picture, draft.output()?).await?;
        self.on_disk(move |cache| match made {
            Ok(()) => Ok(cache.keep(&digest, draft)?),
            Err(refusal) => {
                tracing::debug!(blob.sha256 = %digest, %refusal, "There will be no thumbnail of blob {digest}");
                Ok(cache.mark(&digest, &format!("{RECIPE} {refusal}"))?)
            }
        })
        .await?;
        Ok(Made::Settled)
    }

    /// The bytes of a picture, if they are what they were: a thumbnail of others, or the verdict that there is
    /// none, would stay under the digest of the right ones.
    async fn sound(&self, picture: &Picture) -> Result<Option<Stdio>, ThumbnailError> {
        let (blobs, digest, size_bytes) = (self.examiner.blobs().clone(), picture.digest, picture.size_bytes);
        let open = move || {
            let mut blob = blobs.open(digest, size_bytes)?;
            blob.check(&mut vec![0; CHECK_BYTES])?;
            Ok::<_, Damage>(blob.into_input()?)
        };
        let opened = CACHE_USERS.run(open).await?;
        let damage = match opened {
            Ok(input) => return Ok(Some(input)),
            Err(damage) => damage,
        };
        match self.examiner.examine(digest, size_bytes).await? {
            Finding::Damaged => Ok(None),
            Finding::Sound | Finding::Unreadable => Err(damage.into()),
        }
    }

    /// Does something with the cache away from the threads that answer.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cache) -> Result<T, ThumbnailError> + Send + 'static,
    ) -> Result<T, ThumbnailError> {
        let cache = self.cache.clone();
        CACHE_USERS.run(move || work(&cache)).await?
    }
}

/// What there is to show for a picture already.
fn look(cache: &Cache, digest: &Digest) -> io::Result<Shown> {
    if let Some(bytes) = cache.read(digest)? {
        return Ok(Shown::Thumbnail(bytes));
    }
    Ok(if is_refused(cache, digest)? { Shown::Nothing } else { Shown::NotYet })
}

fn tell(digest: Digest, error: &ThumbnailError) {
    tracing::warn!(blob.sha256 = %digest, error = %chain(error), "Could not make a thumbnail of blob {digest}");
}

/// Whether it is worth a try.
fn is_suitable(picture: &Picture) -> bool {
    picture::is_readable(&picture.mime) && picture.size_bytes <= MAX_BYTES
}

/// Whether this recipe was tried in vain.
fn is_refused(cache: &Cache, digest: &Digest) -> io::Result<bool> {
    let mark = cache.marked(digest)?;
    Ok(mark.and_then(|mark| mark.split_once(' ').map(|(recipe, _)| recipe == RECIPE)).unwrap_or(false))
}

/// Makes thumbnails in the background.
#[derive(Debug)]
pub struct Thumbnailer {
    thumbnails: Thumbnails,
}

/// Which blobs were seen to: all from `oldest` to `newest`, in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    oldest: i64,
    newest: i64,
}

impl Progress {
    /// None yet of so many.
    fn before_all(last: i64) -> Self {
        Self { oldest: last + 1, newest: last }
    }

    /// Reads what [`Self::text`] wrote; nothing if that was for another recipe.
    fn read(text: &str) -> Option<Self> {
        let rows = text.strip_prefix(RECIPE)?.strip_prefix(' ')?;
        let (oldest, newest) = rows.split_once(' ')?;
        Some(Self { oldest: oldest.parse().ok()?, newest: newest.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{RECIPE} {} {}", self.oldest, self.newest)
    }

    fn extend(&mut self, row: i64) {
        self.oldest = self.oldest.min(row);
        self.newest = self.newest.max(row);
    }
}

impl Thumbnailer {
    /// One that makes these.
    #[must_use]
    pub fn new(thumbnails: Thumbnails) -> Self {
        Self { thumbnails }
    }

    /// Works until `shutdown`. What is under way then is made another time.
    pub async fn run(self, mut news: watch::Receiver<()>, shutdown: CancellationToken) {
        let work = async {
            let mut seen_to = None;
            loop {
                news.borrow_and_update();
                match self.round(&mut seen_to).await {
                    Ok(true) => {}
                    // Without news it is the end of a download that brings something to do.
                    Ok(false) => drop(timeout(POLL, news.changed()).await),
                    Err(error) => {
                        tracing::error!(error = %chain(&error), "Cannot make thumbnails");
                        tokio::time::sleep(AFTER_FAILURE).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(work).await;
    }

    /// Sees to some blobs; returns whether there were any.
    async fn round(&self, seen_to: &mut Option<Progress>) -> Result<bool, ThumbnailError> {
        if self.thumbnails.space.is_short()? {
            tokio::time::sleep(AFTER_FAILURE).await;
            return Ok(false);
        }
        let mut progress = match *seen_to {
            Some(progress) => progress,
            None => self.progress().await?,
        };
        let blobs = self.next(progress).await?;
        for blob in &blobs {
            self.see_to(&blob.picture).await;
            progress.extend(blob.row);
        }
        *seen_to = Some(progress);
        if !blobs.is_empty() {
            self.thumbnails.on_disk(move |cache| Ok(cache.set_progress(&progress.text())?)).await?;
        }
        Ok(!blobs.is_empty())
    }

    /// What an earlier process got done.
    async fn progress(&self) -> Result<Progress, ThumbnailError> {
        let known = self.thumbnails.on_disk(|cache| Ok(cache.progress()?)).await?;
        match known.and_then(|text| Progress::read(&text)) {
            Some(progress) => Ok(progress),
            None => Ok(Progress::before_all(thumbnails::last_arrived(self.thumbnails.catalogue.read()).await?)),
        }
    }

    /// What to see to next: what has arrived, else what was there before.
    async fn next(&self, progress: Progress) -> Result<Vec<Arrived>, CatalogueError> {
        let read = self.thumbnails.catalogue.read();
        let new = thumbnails::arrived_after(read, progress.newest, STRIDE).await?;
        if !new.is_empty() || progress.oldest <= 1 {
            return Ok(new);
        }
        thumbnails::arrived_before(read, progress.oldest, STRIDE).await
    }

    /// Makes the thumbnail of one blob. What goes wrong with it must not hold up the others for long;
    /// whoever wants to see it has it tried again.
    async fn see_to(&self, picture: &Picture) {
        if !is_suitable(picture) {
            return;
        }
        let pause = match self.thumbnails.make(picture).await {
            Ok(_) => BREATH,
            Err(error) => {
                tell(picture.digest, &error);
                AFTER_FAILURE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
