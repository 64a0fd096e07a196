//! The catalogue: what was delivered and where every resource stands. The only place with SQL.
//!
//! SQLite in WAL mode, one writer at a time and a few readers. `synchronous=FULL`: what was committed
//! survives a power cut, which is what an answer of 200 promises, and so does everything else.

pub mod app_tickets;
pub mod by_hand;
pub mod changes;
pub mod chats;
pub mod checkpoint;
pub mod connections;
pub mod custody;
pub mod days;
mod direct;
pub mod endings;
pub mod events;
pub mod forwards;
pub mod jobs;
pub mod listing;
pub mod messages;
pub mod names;
pub mod query;
pub mod quotes;
pub mod reasons;
pub mod recalls;
pub mod replay;
pub mod requeue;
pub mod resources;
pub mod retry;
pub mod search;
mod statements;
pub mod statistics;
pub mod tenants;
pub mod thumbnails;
pub mod tickets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use self::connections::{Connections, Held};
use self::direct::Direct;
use crate::domain::zone::Zone;

/// The catalogue's file name inside the data directory.
pub const FILE_NAME: &str = "larkive.db";

/// How long a connection waits for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages in the log before a commit makes a checkpoint (64 MB of 4 KiB pages), where no task does: fewer, larger
/// ones keep the slowest commits short.
const CHECKPOINT_PAGES: u32 = 16_000;
/// Page cache of one connection in KiB (negative: SQLite's spelling for KiB). The writer's holds what a batch of a
/// backlog touches all over the catalogue: some two thousand pages. A reader's holds what a page of hits touches in
/// an archive of a million: fifty rows of three tables lie on as many leaves.
const WRITER_CACHE_KIB: &str = "-12288";
const READER_CACHE_KIB: &str = "-2048";
/// Connections for reading: pages and API calls overlap, memory stays small.
const READERS: usize = 4;

/// Rows of a large change. Each of them touches pages all over the catalogue, so that what a commit writes grows
/// far slower than the batch; this many hold up others for a tenth of a second.
pub const BATCH: usize = 1024;

/// Takes the write lock at once: a transaction that reads first might find it taken when it wants to write.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Who makes checkpoints.
#[derive(Debug, Clone, Copy)]
enum Checkpoints {
    /// Whoever commits, when the log has become long.
    InCommits,
    /// A task of the service (`checkpoint`).
    Apart,
}

impl Checkpoints {
    /// After how many pages in the log a commit makes one; never, if that is nothing.
    fn after_pages(self) -> u32 {
        match self {
            Self::InCommits => CHECKPOINT_PAGES,
            Self::Apart => 0,
        }
    }
}

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// An open catalogue. Cloned freely.
#[derive(Debug, Clone)]
pub struct Catalogue {
    read: Connections,
    /// The connection for short questions.
    direct: Arc<Direct>,
    /// Where its log lies.
    log: Arc<Path>,
    /// None if the catalogue was opened for reading only.
    writing: Option<Writing>,
    /// At whose midnight its days begin.
    zone: Zone,
}

/// What it takes to write: whoever does has the one connection, or its turn on the other.
#[derive(Debug, Clone)]
struct Writing {
    connections: Connections,
    /// The connection on which deliveries are written down.
    inbox: Arc<Direct>,
    /// The connection on which checkpoints are made.
    checkpoints: Arc<Direct>,
}

/// What can go wrong with the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// There is no catalogue, and this caller creates none.
    #[error(
        "there is no catalogue at {0}; `larkive serve` or `larkive demo --data-dir …` creates one, LARKIVE_DATA_DIR says where"
    )]
    Missing(PathBuf),
    /// The catalogue was written by a newer program.
    #[error("the catalogue {path} has version {found}, newer than this program's {known}; use the newer larkive")]
    Newer {
        /// The catalogue's file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The catalogue needs a migration, and this caller only reads.
    #[error(
        "the catalogue {path} has version {found}, older than this program's {known}; start `larkive serve` once to migrate it"
    )]
    Older {
        /// The catalogue's file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this program needs.
        known: i64,
    },
    /// It was made by a program whose migrations are not this one's: another product, or a version of ours from
    /// before the first release.
    #[error(
        "the catalogue {0} was made by a development version or another program and cannot be brought to this version; \
         move it away together with its -wal file, and `larkive serve` creates a new one"
    )]
    Foreign(PathBuf),
    /// A caller that may only read tried to write.
    #[error("this catalogue is open for reading only")]
    ReadOnly,
    /// A stored value is not what its column promises.
    #[error("the catalogue holds a bad value in {table}.{column}, row {row}: {message}")]
    BadValue {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row.
        row: i64,
        /// What is wrong with it.
        message: String,
    },
    /// The work was broken off from outside.
    #[error("the work was broken off")]
    Interrupted,
    /// SQLite said no.
    #[error("the catalogue failed")]
    Sqlite(#[from] sqlx::Error),
    /// SQLite said no to a short question.
    #[error("the catalogue failed")]
    Direct(#[from] rusqlite::Error),
}

impl CatalogueError {
    /// Whether the same request may succeed in a moment: others hold the connections or the lock.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        // SQLITE_BUSY.
        matches!(self, Self::Sqlite(sqlx::Error::PoolTimedOut)) || self.primary_code() == Some(5)
    }

    /// Whether there is no room on the disk.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        // SQLITE_FULL.
        self.primary_code() == Some(13)
    }

    /// SQLite's primary result code: the low byte of the extended one.
    fn primary_code(&self) -> Option<u32> {
        let code = match self {
            Self::Sqlite(sqlx::Error::Database(error)) => error.code()?.parse().ok()?,
            Self::Direct(error) => u32::try_from(error.sqlite_error()?.extended_code).ok()?,
            _ => return None,
        };
        Some(code & 0xff)
    }

    /// Whether the file is none of SQLite's.
    fn is_no_database(&self) -> bool {
        // SQLITE_NOTADB.
        self.primary_code() == Some(26)
    }

    /// Whether there is no catalogue, or an older program's: whoever may create and migrate can mend that.
    #[must_use]
    pub fn is_mended_by_migration(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Older { .. })
    }

    /// Whether the rows were refused (by a constraint), as opposed to the catalogue failing
    /// altogether: then other rows may still go in.
    #[must_use]
    pub fn is_about_the_rows(&self) -> bool {
        // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH.
        self.primary_code().is_some_and(|code| matches!(code, 18..=20))
    }
}

/// Several changes that are made together or not at all. Dropping it makes none of them.
#[derive(Debug)]
pub struct Transaction {
    held: Held,
}

impl Transaction {
    /// Makes the changes durable.
    ///
    /// # Errors
    /// If SQLite fails; then none of them is made.
    pub async fn commit(self) -> Result<(), CatalogueError> {
        Ok(self.held.commit().await?)
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.held
    }
}

impl Catalogue {
    /// Opens the catalogue at `path` for reading and writing, creates it if there is none, and brings it to this
    /// program's version. Only for who holds the lock of its data directory: nobody else may change it under
    /// another's hands.
    ///
    /// # Errors
    /// If it cannot be opened or created, or is newer than this program.
    pub async fn open(path: &Path) -> Result<Self, CatalogueError> {
        migrate(path).await?;
        Self::open_writing(path, Checkpoints::InCommits).await
    }

    /// The same for a service: no commit makes a checkpoint, so that none takes longer for it. Whoever opens it so
    /// has to make them ([`Self::checkpoint`]).
    ///
    /// # Errors
    /// If it cannot be opened or created, or is newer than this program.
    pub async fn open_to_serve(path: &Path) -> Result<Self, CatalogueError> {
        migrate(path).await?;
        Self::open_writing(path, Checkpoints::Apart).await
    }

    /// Opens an existing catalogue of exactly this program's version for reading and writing, alone or beside
    /// others.
    ///
    /// # Errors
    /// If there is none, or its version is another.
    pub async fn open_existing(path: &Path) -> Result<Self, CatalogueError> {
        Self::open_read_only(path).await?.close().await;
        Self::open_writing(path, Checkpoints::InCommits).await
    }

    async fn open_writing(path: &Path, checkpoints: Checkpoints) -> Result<Self, CatalogueError> {
        let options = connect_options(path).pragma("wal_autocheckpoint", checkpoints.after_pages().to_string());
        // What would undo a statement stays in memory: SQLite would make a file of it for each batch.
        let writing = options.clone().pragma("cache_size", WRITER_CACHE_KIB).pragma("temp_store", "memory");
        let writing = Writing {
            connections: Connections::open(writing, 1).await?,
            inbox: Arc::new(Direct::writing(path.to_owned(), checkpoints)),
            checkpoints: Arc::new(Direct::checkpointing(path.to_owned())),
        };
        Ok(Self { writing: Some(writing), ..Self::open_reading(path, options).await? })
    }

    async fn open_reading(path: &Path, options: SqliteConnectOptions) -> Result<Self, CatalogueError> {
        let read = readers(options).await?;
        let direct = Arc::new(Direct::reading(path.to_owned()));
        let log = checkpoint::log_of(path).into();
        Ok(Self { read, direct, log, writing: None, zone: Zone::default() })
    }

    /// Opens an existing catalogue of exactly this program's version for reading; creates and
    /// changes nothing.
    ///
    /// # Errors
    /// If there is none, or its version is another.
    pub async fn open_read_only(path: &Path) -> Result<Self, CatalogueError> {
        if !path.is_file() {
            return Err(CatalogueError::Missing(path.to_owned()));
        }
        let opened = Self::open_reading(path, connect_options(path).read_only(true)).await?;
        check_version(&opened.read, path).await?;
        Ok(opened)
    }

    /// The same catalogue for people of this time zone: its days are theirs, and so are dates in filters.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// At whose midnight its days begin; UTC unless it was said otherwise.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The connections for reading.
    #[must_use]
    pub fn read(&self) -> &Connections {
        &self.read
    }

    /// The connection for writing; there is one, and whoever holds it holds up everyone else.
    ///
    /// # Errors
    /// If the catalogue was opened for reading only.
    pub fn write(&self) -> Result<&Connections, CatalogueError> {
        Ok(&self.writing()?.connections)
    }

    fn writing(&self) -> Result<&Writing, CatalogueError> {
        self.writing.as_ref().ok_or(CatalogueError::ReadOnly)
    }

    /// A transaction for reading: everything that is read in it is as it was at one moment.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn snapshot(&self) -> Result<Transaction, CatalogueError> {
        Ok(Transaction { held: self.read.begin("BEGIN").await? })
    }

    /// Takes the write lock for several changes that belong together.
    ///
    /// # Errors
    /// If the catalogue is open for reading only, or the lock cannot be had.
    pub async fn begin(&self) -> Result<Transaction, CatalogueError> {
        Ok(Transaction { held: self.write()?.begin(BEGIN).await? })
    }

    /// Whether something can be written, durably.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn check_writable(&self) -> Result<(), CatalogueError> {
        let mut transaction = self.begin().await?;
        // It changes with every look: what stays as it is, SQLite does not write.
        sqlx::query("UPDATE write_probe SET writes = writes + 1").execute(transaction.connection()).await?;
        transaction.commit().await
    }

    /// Closes every connection; the last one out folds the log into the file.
    pub async fn close(&self) {
        self.direct.close();
        self.read.close().await;
        if let Some(Writing { connections, inbox, checkpoints }) = &self.writing {
            inbox.close();
            checkpoints.close();
            connections.close().await;
        }
    }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging()
}

async fn readers(options: SqliteConnectOptions) -> Result<Connections, CatalogueError> {
    Ok(Connections::open(options.pragma("query_only", "1").pragma("cache_size", READER_CACHE_KIB), READERS).await?)
}

/// Makes the file, for its owner alone: SQLite would make it for everybody, and gives its mode to the files
/// beside it.
async fn create_private(path: &Path) -> Result<(), CatalogueError> {
    let mut options = tokio::fs::OpenOptions::new();
    let created = options.create(true).truncate(false).write(true).mode(0o600).open(path).await;
    created.map(drop).map_err(|error| CatalogueError::Sqlite(sqlx::Error::Io(error)))
}

/// Creates the catalogue if there is none, and brings it to this program's version.
async fn migrate(path: &Path) -> Result<(), CatalogueError> {
    let options = connect_options(path).journal_mode(SqliteJournalMode::Wal).create_if_missing(true);
    create_private(path).await?;
    let mut connection = options.connect().await?;
    let migrated = MIGRATIONS.run(&mut connection).await;
    connection.close().await?;
    migrated.map_err(|error| match error {
        MigrateError::VersionMissing(found) if found > known_version() => {
            CatalogueError::Newer { path: path.to_owned(), found, known: known_version() }
        }
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => CatalogueError::Foreign(path.to_owned()),
        MigrateError::Execute(error) => CatalogueError::Sqlite(error),
        other => CatalogueError::Sqlite(sqlx::Error::Migrate(Box::new(other))),
    })
}

/// The version of an existing catalogue: nothing while somebody has only just created its file.
async fn version(read: &Connections, path: &Path) -> Result<i64, CatalogueError> {
    let foreign = || CatalogueError::Foreign(path.to_owned());
    let (tables, migrations): (i64, i64) =
        sqlx::query_as("SELECT COUNT(*), COUNT(*) FILTER (WHERE name = '_sqlx_migrations') FROM sqlite_schema")
            .fetch_one(read)
            .await
            .map_err(CatalogueError::Sqlite)
            .map_err(|error| if error.is_no_database() { foreign() } else { error })?;
    match (tables, migrations) {
        (0, _) => Ok(0),
        (_, 0) => Err(foreign()),
        _ => Ok(sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations WHERE success")
            .fetch_one(read)
            .await?),
    }
}

async fn check_version(read: &Connections, path: &Path) -> Result<(), CatalogueError> {
    let known = known_version();
    let found = version(read, path).await?;
    let path = path.to_owned();
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(CatalogueError::Newer { path, found, known }),
        std::cmp::Ordering::Less if found == 0 || MIGRATIONS.version_exists(found) => {
            Err(CatalogueError::Older { path, found, known })
        }
        std::cmp::Ordering::Less => Err(CatalogueError::Foreign(path)),
    }
}

/// The version of the catalogue that this program writes.
#[must_use]
pub fn known_version() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}
