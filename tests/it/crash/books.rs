//! Bookkeeping across crashes: what was promised, against catalogue, store and the platform's journal.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use larkive::catalogue::{Catalogue, FILE_NAME};
use larkive::sandbox::samples::digest_of;
use larkive::sandbox::{Entry, Route};
use sqlx::Row as _;

use crate::support::{blob_below, sha256};

/// A resource: its message and its key.
pub type Id = (String, String);

/// A row of the table of resources.
struct Line {
    id: Id,
    state: String,
    sha256: Option<String>,
    lease: Option<Lease>,
}

/// A claim, told apart from every other one by its end.
type Lease = (String, i64);

/// What was seen and what was promised so far.
pub struct Books {
    data: PathBuf,
    /// What the archive answered for; it must be stored in the end.
    expected: BTreeSet<Id>,
    /// What may be there although nobody was promised it; if it is, it must be stored as well.
    permitted: BTreeSet<Id>,
    /// Requests by the time that a resource was first seen as stored: there must never be more.
    stored: HashMap<Id, usize>,
    /// Claims that a kill has cut off. Each may cost one request that no try tells of.
    lost: HashSet<(Id, Lease)>,
    /// Blobs that are there and were found complete.
    complete: HashSet<PathBuf>,
}

impl Books {
    /// Empty books for the archive that will be in `data` inside a directory.
    pub fn of(directory: &Path) -> Self {
        Self {
            data: directory.join("data"),
            expected: BTreeSet::new(),
            permitted: BTreeSet::new(),
            stored: HashMap::new(),
            lost: HashSet::new(),
            complete: HashSet::new(),
        }
    }

    /// Notes that the archive has promised to keep these.
    pub fn expect(&mut self, message_id: &str, keys: &[String]) {
        self.expected.extend(ids(message_id, keys));
    }

    /// Notes that the archive was asked for these by somebody who died before there was an answer.
    pub fn permit(&mut self, message_id: &str, keys: &[String]) {
        self.permitted.extend(ids(message_id, keys));
    }

    /// Checks what must hold after every crash, and remembers what it cost.
    pub async fn audit(&mut self, journal: &[Entry]) {
        let Some(catalogue) = self.open().await else { return };
        let lines = lines(&catalogue).await;
        catalogue.close().await;
        let requests = requests(journal);
        self.check_blobs();
        let mut stored = HashMap::new();
        for line in lines {
            if let Some(lease) = line.lease {
                self.lost.insert((line.id, lease));
            } else if line.state == "stored" {
                let path = self.blob_path(&line.sha256.expect("a digest"));
                assert!(self.complete.contains(&path), "{:?} is stored, but {} is missing", line.id, path.display());
                let count = requests.get(&line.id).copied().unwrap_or(0);
                stored.insert(line.id, count);
            }
        }
        for (id, count) in &self.stored {
            assert_eq!(
                stored.get(id),
                Some(count),
                "{id:?} was stored before and must stay so without being asked for"
            );
        }
        self.stored = stored;
    }

    /// How much is still to be done.
    pub async fn unfinished(&self) -> i64 {
        let catalogue = self.open().await.expect("a catalogue");
        let count = number(
            &catalogue,
            "SELECT (SELECT COUNT(*) FROM events WHERE event_row_id > (SELECT expanded_through FROM inbox_cursor))
                 + (SELECT COUNT(*) FROM resources WHERE state IN ('pending', 'running'))",
        );
        let count = count.await;
        catalogue.close().await;
        count
    }

    /// That enough kills came while something was being downloaded, or nothing was tested.
    pub fn assert_kills_hit_downloads(&self, kills: usize) {
        let ends: HashSet<i64> = self.lost.iter().map(|(_, (_, until))| *until).collect();
        assert!(ends.len() >= kills, "only {} kills hit a download", ends.len());
    }

    /// That somebody whose name begins like this died over its work.
    pub fn assert_dead_claims_of(&self, owner: &str) {
        assert!(self.lost.iter().any(|(_, (dead, _))| dead.starts_with(owner)), "no {owner} died over its work");
    }

    /// Checks what must hold in the end, when all is done and nothing runs.
    pub async fn assert_settled(&mut self, journal: &[Entry]) {
        let catalogue = self.open().await.expect("a catalogue");
        self.assert_kept(&lines(&catalogue).await);
        self.assert_no_needless_request(&catalogue, &requests(journal)).await;
        assert_counters_tell_the_truth(&catalogue).await;
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(catalogue.read()).await.unwrap();
        assert_eq!(verdict, "ok");
        assert_empty(&catalogue, "PRAGMA foreign_key_check").await;
        catalogue.close().await;
        assert_eq!(names_in(&self.data.join("spool")), Vec::<String>::new());
        assert_eq!(names_in(&self.data.join("blobs")), ["sha256"]);
    }

    /// Everything that was promised is there with the right bytes, and there is nothing else.
    fn assert_kept(&self, lines: &[Line]) {
        let kept: BTreeMap<&Id, &Line> = lines.iter().map(|line| (&line.id, line)).collect();
        let lost: Vec<_> = self.expected.iter().filter(|id| !kept.contains_key(id)).collect();
        assert!(lost.is_empty(), "promised, and not there: {lost:?}");
        let surplus: Vec<_> =
            kept.keys().filter(|id| !self.expected.contains(id) && !self.permitted.contains(id)).collect();
        assert!(surplus.is_empty(), "there, and never asked for: {surplus:?}");
        for (id, line) in &kept {
            let digest = digest_of(&id.1).expect("a key of the stand-in").to_string();
            assert_eq!((line.state.as_str(), line.sha256.as_deref()), ("stored", Some(digest.as_str())), "{id:?}");
        }
        let named: HashSet<PathBuf> =
            lines.iter().filter_map(|line| line.sha256.as_deref()).map(|digest| self.blob_path(digest)).collect();
        assert_eq!(self.complete, named, "blobs that no row tells of");
    }

    /// Every request ended in a recorded try, or in a claim that a kill cut off; and what was stored
    /// was stored by one try.
    async fn assert_no_needless_request(&self, catalogue: &Catalogue, requests: &HashMap<Id, usize>) {
        let tries = sqlx::query(
            "SELECT COALESCE(m.message_id, r.owner) AS message_id, r.key, COUNT(*) AS tries,
                 SUM(t.result = 'stored') AS good
             FROM resources AS r LEFT JOIN messages AS m USING (message_row_id) JOIN tries AS t USING (resource_row_id)
             GROUP BY r.resource_row_id",
        );
        for row in tries.fetch_all(catalogue.read()).await.unwrap() {
            let id: Id = (row.get("message_id"), row.get("key"));
            let (tries, good): (i64, i64) = (row.get("tries"), row.get("good"));
            let lost = self.lost.iter().filter(|(claimed, _)| *claimed == id).count();
            let asked = requests.get(&id).copied().unwrap_or(0);
            assert!(asked <= tries as usize + lost, "{id:?}: {asked} requests, {tries} tries, {lost} cut off");
            assert_eq!(good, 1, "{id:?} was stored more than once");
        }
    }

    /// Looks for every blob, and reads those that were not there before: complete under its final
    /// name or not there.
    fn check_blobs(&mut self) {
        let known = std::mem::take(&mut self.complete);
        let mut directories = vec![self.data.join("blobs/sha256")];
        while let Some(directory) = directories.pop() {
            // A service that was killed very early has not made it yet.
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.map(Result::unwrap) {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    directories.push(path);
                    continue;
                }
                if !known.contains(&path) {
                    assert_eq!(path, self.blob_path(&sha256(&fs::read(&path).unwrap())));
                }
                self.complete.insert(path);
            }
        }
    }

    fn blob_path(&self, digest: &str) -> PathBuf {
        blob_below(&self.data.join("blobs"), digest)
    }

    /// The catalogue; none while nobody lived long enough to make one, which promises nothing.
    async fn open(&self) -> Option<Catalogue> {
        match Catalogue::open_read_only(&self.data.join(FILE_NAME)).await {
            Ok(catalogue) => Some(catalogue),
            Err(error) if self.expected.is_empty() => {
                println!("no catalogue yet: {error}");
                None
            }
            Err(error) => panic!("the catalogue does not open: {error}"),
        }
    }
}

fn ids(message_id: &str, keys: &[String]) -> impl Iterator<Item = Id> {
    keys.iter().map(move |key| (message_id.to_owned(), key.clone()))
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn requests(journal: &[Entry]) -> HashMap<Id, usize> {
    let mut counts = HashMap::new();
    for entry in journal.iter().filter(|entry| entry.route == Route::Resource) {
        let (Some(message_id), Some(key)) = (&entry.message_id, &entry.key) else { continue };
        *counts.entry((message_id.clone(), key.clone())).or_default() += 1;
    }
    counts
}

async fn lines(catalogue: &Catalogue) -> Vec<Line> {
    let rows = sqlx::query(
        "SELECT COALESCE(message_id, owner) AS message_id, key, state, lower(hex(digest)) AS sha256, lease_owner,
             lease_until
         FROM resources LEFT JOIN messages USING (message_row_id) LEFT JOIN blobs USING (blob_row_id)",
    );
    let rows = rows.fetch_all(catalogue.read()).await.unwrap();
    let line = |row: &sqlx::sqlite::SqliteRow| Line {
        id: (row.get("message_id"), row.get("key")),
        state: row.get("state"),
        sha256: row.get("sha256"),
        lease: row.get::<Option<String>, _>("lease_owner").zip(row.get("lease_until")),
    };
    rows.iter().map(line).collect()
}

/// The counters that triggers keep are the counts that a look at every row gives.
async fn assert_counters_tell_the_truth(catalogue: &Catalogue) {
    let kept_and_counted = [
        (
            "SELECT role, state, resources, bytes FROM tallies WHERE resources <> 0 OR bytes <> 0",
            "SELECT role, state, COUNT(*), SUM(COALESCE(size_bytes, 0)) FROM resources GROUP BY role, state",
        ),
        (
            "SELECT app_id, chat_id, state, resources, bytes FROM chat_tallies WHERE resources <> 0 OR bytes <> 0",
            "SELECT app_id, chat_id, state, COUNT(*), SUM(COALESCE(size_bytes, 0)) FROM resources
             GROUP BY app_id, chat_id, state",
        ),
        (
            "SELECT name, value FROM totals",
            "SELECT 'messages', COUNT(*) FROM messages
             UNION ALL SELECT 'chats', COUNT(*) FROM chats
             UNION ALL SELECT 'blobs', COUNT(*) FROM blobs
             UNION ALL SELECT 'blob_bytes', SUM(size_bytes) FROM blobs",
        ),
        ("SELECT chat_id, messages FROM chats", "SELECT chat_id, COUNT(*) FROM messages GROUP BY chat_id"),
        (
            "SELECT blob_row_id, size_bytes FROM blobs",
            "SELECT DISTINCT blob_row_id, size_bytes FROM resources WHERE blob_row_id IS NOT NULL",
        ),
    ];
    for (kept, counted) in kept_and_counted {
        assert_empty(catalogue, &format!("SELECT * FROM ({kept}) EXCEPT SELECT * FROM ({counted})")).await;
        assert_empty(catalogue, &format!("SELECT * FROM ({counted}) EXCEPT SELECT * FROM ({kept})")).await;
    }
}

async fn assert_empty(catalogue: &Catalogue, query: &str) {
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(catalogue.read()).await.unwrap();
    assert_eq!(rows.len(), 0, "rows of {query}");
}

async fn number(catalogue: &Catalogue, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(catalogue.read()).await.unwrap()
}
