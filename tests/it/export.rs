//! `larkive export`: what leaves the archive, and in what condition.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Cursor, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::StreamExt as _;
use larkive::archive::damage::Examiner;
use larkive::archive::export::stream::{Form, stream};
use larkive::archive::export::{Export, Selection};
use larkive::blob::checked::Blobs;
use larkive::catalogue::Catalogue;
use larkive::clock::Clock;
use larkive::domain::filter::Filter;
use larkive::domain::id::ResourceId;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::program::{Output, Workplace};
use crate::support::{blob_below, sha256};

/// 2026-03-01T12:00:00Z.
const NOON_MS: i64 = 1_772_366_400_000;

/// An archive whose rows and blobs a test writes itself.
struct Shelf {
    workplace: Workplace,
    rows: SqliteConnection,
}

impl Shelf {
    async fn new() -> Self {
        let workplace = Workplace::configured("http://127.0.0.1:9");
        workplace.serve().0.stop().ended(0);
        let options = SqliteConnectOptions::new().filename(workplace.path("data/larkive.db"));
        Self { workplace, rows: options.connect().await.unwrap() }
    }

    fn blob(&self, bytes: &[u8]) -> PathBuf {
        blob_below(&self.workplace.path("data/blobs"), &sha256(bytes))
    }

    /// Puts a stored file on the shelf.
    async fn put(&mut self, name: Option<&str>, bytes: &[u8]) -> ResourceId {
        self.put_at(name, bytes, NOON_MS).await
    }

    async fn put_at(&mut self, name: Option<&str>, bytes: &[u8], sent_at: i64) -> ResourceId {
        let path = self.blob(bytes);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        sqlx::query(
            "INSERT INTO blobs (digest, size_bytes, mime, stored_at, verified_at)
            VALUES (unhex(?1), ?2, 'text/plain', ?3, ?3) ON CONFLICT DO NOTHING",
        )
        .bind(sha256(bytes))
        .bind(bytes.len() as i64)
        .bind(sent_at)
        .execute(&mut self.rows)
        .await
        .unwrap();
        let done = sqlx::query(
            "INSERT INTO resources (app_id, source, owner, type, key, role, file_name, mime, size_bytes, blob_row_id,
                state, listed_at, seen_at, stored_at)
            VALUES ('cli_a', 'file', '', 'file', hex(randomblob(8)), 'file', ?, 'text/plain', ?,
                (SELECT blob_row_id FROM blobs WHERE digest = unhex(?)), 'stored', ?, ?, ?)",
        )
        .bind(name)
        .bind(bytes.len() as i64)
        .bind(sha256(bytes))
        .bind(sent_at)
        .bind(sent_at)
        .bind(sent_at)
        .execute(&mut self.rows)
        .await
        .unwrap();
        ResourceId(done.last_insert_rowid())
    }

    fn export(&self, words: &[&str]) -> Output {
        self.workplace.run(&[&["export", "--out"], words].concat())
    }

    fn manifest(&self, directory: &str) -> Vec<Value> {
        lines(&fs::read(self.workplace.path(directory).join("manifest.jsonl")).unwrap())
    }
}

fn lines(manifest: &[u8]) -> Vec<Value> {
    manifest
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Everything below a directory but hidden files, by its path in it.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                left.push(path);
            } else if !name.starts_with('.') {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn unzipped(zip: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let mut found = BTreeMap::new();
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let name = file.name().unwrap().into_owned();
        assert!(found.insert(name, bytes).is_none());
    }
    found
}

/// Unpacks with the system's own program, as anybody would.
fn untarred(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("export.tar");
    fs::write(&file, tar).unwrap();
    let into = directory.path().join("into");
    fs::create_dir(&into).unwrap();
    let status = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&into).status().unwrap();
    assert!(status.success());
    contents(&into)
}

/// What `sha256sum -c` says: whether all is well, and which files are not.
fn checked(directory: &Path) -> (bool, Vec<String>) {
    let output = Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(directory).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let failed = said.lines().filter_map(|line| line.strip_suffix(": FAILED")).map(str::to_owned);
    (output.status.success(), failed.collect())
}

fn originals(contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, &[u8]> {
    let files = contents.iter().filter(|(path, _)| path.starts_with("files/"));
    files.map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect()
}

#[test]
fn the_whole_demo_can_be_taken_out_and_checked_in_every_form() {
    let workplace = Workplace::bare();
    workplace.run(&["demo", "--once", "--data-dir", "archive"]).ended(0);
    let workplace = workplace.with("LARKIVE_DATA_DIR", "archive");
    for target in ["out", "out.zip", "out.tar"] {
        workplace.run(&["export", "--out", target]).ended(0);
    }
    assert_eq!(checked(&workplace.path("out")), (true, vec![]));
    let directory = contents(&workplace.path("out"));
    let listed = workplace.run(&["list"]).ended(0).rows();
    let manifest = lines(&directory["manifest.jsonl"]);
    assert_eq!(manifest.len(), listed.len());
    for (line, row) in manifest.iter().zip(&listed) {
        let mut shown = line.clone();
        let path = shown.as_object_mut().unwrap().remove("path").unwrap();
        assert_eq!(shown.as_object_mut().unwrap().remove("problem"), Some(Value::Null));
        assert_eq!(&shown, row);
        match row["state"].as_str().unwrap() {
            "stored" => assert_eq!(sha256(&directory[path.as_str().unwrap()]), row["sha256"]),
            _ => assert_eq!(path, Value::Null),
        }
    }
    let stored = listed.iter().filter(|row| row["state"] == "stored").count();
    assert_eq!(originals(&directory).len(), stored);
    let table = csv::Reader::from_reader(directory["manifest.csv"].as_slice()).into_records().count();
    assert_eq!(table, listed.len());

    let (zip, tar) = (unzipped(&workplace.path("out.zip")), untarred(&fs::read(workplace.path("out.tar")).unwrap()));
    assert_eq!(originals(&zip), originals(&directory));
    assert_eq!(originals(&tar), originals(&directory));
    assert_eq!(zip.keys().collect::<Vec<_>>(), directory.keys().collect::<Vec<_>>());
    assert_eq!(tar.keys().collect::<Vec<_>>(), directory.keys().collect::<Vec<_>>());
    assert_eq!(workplace.contents().len(), 4, "{:?}", workplace.contents());
}

#[tokio::test]
async fn hostile_names_become_files_on_every_system_and_harm_no_reader() {
    let mut shelf = Shelf::new().await;
    let long = format!("{}.pdf", "课".repeat(83));
    let names = [
        "第四课#1?.pdf",
        "../../etc/passwd",
        "C:\\x.exe",
        "a\nb\0c.txt",
        "nul",
        "CON.txt",
        ".bashrc",
        "trailing. . ",
        "A.txt",
        "a.TXT",
        "é.txt",
        "e\u{301}.txt",
        "gpj\u{202e}exe.png",
        "<script>alert(1)</script>.html",
        "\"onmouseover=\"alert(1).html",
        "=HYPERLINK(\"http://x\").csv",
        "%2e%2e%2f.txt",
        "x-r000000000001.txt",
        "x.txt",
        "back\\slash.txt",
        &long,
        &long,
        "",
    ];
    for (at, name) in names.iter().enumerate() {
        shelf.put(Some(name), format!("bytes of {at}").as_bytes()).await;
    }
    shelf.put(None, b"without a name").await;
    shelf.export(&["out"]).ended(0);
    let root = shelf.workplace.path("out");
    let found = contents(&root);
    let files = originals(&found);
    assert_eq!(files.len(), names.len() + 1);
    let mut folded = BTreeSet::new();
    for path in files.keys() {
        let name = path.strip_prefix("files/2026-03-01/").unwrap();
        assert!(name.len() <= 255 && !name.starts_with('.') && !name.ends_with(['.', ' ']), "{name:?}");
        assert!(!name.contains(|c: char| c.is_control() || "<>:\"/\\|?*\u{202e}".contains(c)), "{name:?}");
        assert!(folded.insert(name.to_lowercase()), "{name:?}");
    }
    assert!(files.contains_key("files/2026-03-01/第四课#1_.pdf") && files.contains_key("files/2026-03-01/x.txt"));
    assert!(files.contains_key(format!("files/2026-03-01/{long}").as_str()));
    assert_eq!(checked(&root), (true, vec![]));
    for line in shelf.manifest("out") {
        assert_eq!(sha256(files[line["path"].as_str().unwrap()]), line["sha256"], "{line}");
    }
    let page = std::str::from_utf8(&found["index.html"]).unwrap();
    assert!(!page.contains("<script") && !page.contains("\"onmouseover") && !page.contains('\u{202e}'), "{page}");
    assert!(!page.contains("http:") && !page.contains("https:"), "{page}");
    for link in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let path = percent_encoding::percent_decode_str(link).decode_utf8().unwrap();
        assert!(root.join(path.as_ref()).is_file(), "{link}");
    }
    for row in csv::Reader::from_reader(found["manifest.csv"].as_slice()).records() {
        assert!(row.unwrap().iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])));
    }
}

#[tokio::test]
async fn damaged_bytes_are_named_and_the_rest_comes_whole() {
    let mut shelf = Shelf::new().await;
    let large = vec![7; 3 << 20];
    shelf.put(Some("good.txt"), b"good").await;
    shelf.put(Some("large good.bin"), &[large.as_slice(), b"!"].concat()).await;
    for (name, bytes) in [("missing", b"missing"), ("shorter", b"shorter"), ("changed", b"changed")] {
        shelf.put(Some(name), bytes).await;
    }
    shelf.put(Some("large changed"), &large).await;
    fs::remove_file(shelf.blob(b"missing")).unwrap();
    fs::write(shelf.blob(b"shorter"), "short").unwrap();
    fs::write(shelf.blob(b"changed"), "CHANGED").unwrap();
    fs::write(shelf.blob(&large), vec![8; large.len()]).unwrap();
    for target in ["out", "out.zip", "out.tar"] {
        let ended = shelf.export(&[target]).ended(1);
        for name in ["missing", "shorter", "changed", "large changed"] {
            assert!(ended.stderr.lines().any(|line| line.contains(&format!(" {name}: "))), "{name}: {}", ended.stderr);
        }
        // Each export is to find it for itself.
        let promised_again = "UPDATE blobs SET damage = NULL, damaged_at = NULL;
            UPDATE resources SET state = 'stored', stored_at = seen_at, reason_code = NULL";
        sqlx::raw_sql(promised_again).execute(&mut shelf.rows).await.unwrap();
    }
    let directory = contents(&shelf.workplace.path("out"));
    let (zip, tar) =
        (unzipped(&shelf.workplace.path("out.zip")), untarred(&fs::read(shelf.workplace.path("out.tar")).unwrap()));
    let good = BTreeSet::from(["files/2026-03-01/good.txt", "files/2026-03-01/large good.bin"]);
    for contents in [&directory, &zip] {
        assert_eq!(originals(contents).into_keys().collect::<BTreeSet<_>>(), good);
        let manifest = lines(&contents["manifest.jsonl"]);
        assert_eq!(manifest.len(), 6);
        for line in &manifest {
            assert_eq!(line["path"].is_null(), !line["problem"].is_null(), "{line}");
        }
    }
    assert_eq!(checked(&shelf.workplace.path("out")), (true, vec![]));

    // What a pipe has taken cannot be taken back: it is there, and whoever checks it sees that it is wrong.
    let spoilt = "files/2026-03-01/large changed";
    assert_eq!(tar[spoilt].len(), large.len());
    let sums = String::from_utf8(tar["SHA256SUMS"].clone()).unwrap();
    assert!(sums.contains(&format!("{}  {spoilt}\n", sha256(&large))), "{sums}");
    let line = lines(&tar["manifest.jsonl"]).into_iter().find(|line| line["path"] == spoilt).unwrap();
    assert!(line["problem"].as_str().unwrap().contains("SHA-256"), "{line}");
    assert_eq!(originals(&tar).len(), 3);
}

#[tokio::test]
async fn an_export_found_damage_and_the_rows_stayed_stored() {
    let mut shelf = Shelf::new().await;
    for (name, bytes) in [
        ("missing", "missing"),
        ("copy of it", "missing"),
        ("shorter", "shorter"),
        ("changed", "changed"),
        ("good", "good"),
    ] {
        shelf.put(Some(name), bytes.as_bytes()).await;
    }
    fs::remove_file(shelf.blob(b"missing")).unwrap();
    fs::write(shelf.blob(b"shorter"), "short").unwrap();
    fs::write(shelf.blob(b"changed"), "CHANGED").unwrap();
    let standing = async |shelf: &mut Shelf| -> Vec<(String, String, Option<String>, Option<String>)> {
        let question = "SELECT file_name, state, reason_code, blob_path FROM v_resources ORDER BY file_name";
        sqlx::query_as(question).fetch_all(&mut shelf.rows).await.unwrap()
    };
    // Where nothing is asked of the store nothing is found.
    shelf.export(&["none", "--state", "gone"]).ended(0);
    assert!(standing(&mut shelf).await.iter().all(|(_, state, ..)| state == "stored"));
    shelf.export(&["out"]).ended(1);
    let expected = [
        ("changed", "pending", Some("blob_corrupt")),
        ("copy of it", "pending", Some("blob_missing")),
        ("good", "stored", None),
        ("missing", "pending", Some("blob_missing")),
        ("shorter", "pending", Some("blob_corrupt")),
    ];
    for (row, (name, state, reason)) in standing(&mut shelf).await.iter().zip(expected) {
        assert_eq!((row.0.as_str(), row.1.as_str(), row.2.as_deref()), (name, state, reason));
        assert_eq!(row.3.is_some(), state == "stored", "{name}");
    }
    let queued = shelf.workplace.run(&["retry", "--all"]).ended(0).stdout;
    assert_eq!(queued.trim(), "{\"queued\":4}");
    // What is not stored is no fault of the export.
    shelf.export(&["again"]).ended(0);
}

#[tokio::test]
async fn an_export_that_was_broken_off_goes_on_and_ends_as_what_is_asked_for() {
    let mut shelf = Shelf::new().await;
    for at in 0..5 {
        shelf.put(Some(&format!("{at}.txt")), format!("bytes of {at}").as_bytes()).await;
    }
    shelf.put_at(Some("old.txt"), b"old", 0).await;
    shelf.export(&["out"]).ended(0);
    let root = shelf.workplace.path("out");
    let day = root.join("files/2026-03-01");
    let kept = fs::metadata(day.join("0.txt")).unwrap();
    assert_eq!(kept.mtime(), NOON_MS / 1000);
    fs::remove_file(day.join("1.txt")).unwrap();
    fs::write(day.join("2.txt"), "BYTES OF 2").unwrap();
    fs::write(day.join("3.txt"), "byt").unwrap();
    fs::write(day.join(".larkive-part"), "byt").unwrap();
    fs::write(day.join("left over.txt"), "from before").unwrap();
    fs::remove_file(root.join("SHA256SUMS")).unwrap();
    sqlx::query("UPDATE resources SET state = 'gone', reason_code = 'message_deleted' WHERE file_name = 'old.txt'")
        .execute(&mut shelf.rows)
        .await
        .unwrap();
    let resumed = shelf.export(&["out"]).ended(0);
    assert!(resumed.stderr.contains("2 of them were there already"), "{}", resumed.stderr);
    assert_eq!(fs::metadata(day.join("0.txt")).unwrap().ino(), kept.ino());
    assert_eq!(checked(&root), (true, vec![]));
    let names: Vec<String> = originals(&contents(&root)).into_keys().map(str::to_owned).collect();
    assert_eq!(names, (0..5).map(|at| format!("files/2026-03-01/{at}.txt")).collect::<Vec<_>>());
    assert!(!day.join(".larkive-part").exists() && !root.join("files/1970-01-01").exists());

    shelf.export(&["out", "--max-size", "1"]).refused("other filters");
    fs::create_dir(shelf.workplace.path("mine")).unwrap();
    fs::write(shelf.workplace.path("mine/letter.txt"), "").unwrap();
    shelf.export(&["mine"]).refused("not empty");
}

#[tokio::test]
async fn exactly_what_the_filters_select_is_exported() {
    let mut shelf = Shelf::new().await;
    for name in ["small.txt", "larger file.txt", "another.txt"] {
        shelf.put(Some(name), name.as_bytes()).await;
    }
    let names = |contents: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        originals(contents).into_keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
    };
    shelf.export(&["out.zip", "--min-size", "11"]).ended(0);
    assert_eq!(names(&unzipped(&shelf.workplace.path("out.zip"))), ["another.txt", "larger file.txt"]);
    shelf.export(&["out.zip", "--state", "gone"]).ended(0);
    assert_eq!(names(&unzipped(&shelf.workplace.path("out.zip"))), Vec::<String>::new());
    shelf.export(&["none", "--state", "gone"]).ended(0);
    assert_eq!(checked(&shelf.workplace.path("none")), (true, vec![]));
    shelf.export(&["out.tar.gz"]).refused("pipe");
    shelf.export(&["out.zip", "--state", "lost"]).refused("impossible");
    shelf.export(&["nowhere/out.zip"]).refused("nowhere/out.zip");
    shelf.workplace.run(&["export"]).ended(2);
    assert_eq!(unzipped(&shelf.workplace.path("out.zip")).len(), 4);
}

#[tokio::test]
async fn an_export_of_many_files_is_looked_through_page_by_page() {
    const FILES: usize = 1_200;
    let mut shelf = Shelf::new().await;
    let first = shelf.put(Some("the same.txt"), b"x").await;
    sqlx::query(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO resources (app_id, source, owner, type, key, role, file_name, mime, size_bytes, blob_row_id, state,
            listed_at, seen_at, stored_at)
        SELECT app_id, source, owner, type, 'k' || i, role, file_name, mime, size_bytes, blob_row_id, state,
            listed_at, seen_at, stored_at
        FROM n, resources WHERE resource_row_id = ?",
    )
    .bind(FILES as i64)
    .bind(first.0)
    .execute(&mut shelf.rows)
    .await
    .unwrap();
    shelf.export(&["out"]).ended(0);
    let root = shelf.workplace.path("out");
    assert_eq!(checked(&root), (true, vec![]));
    let mut linked = BTreeSet::new();
    let mut next = Some(root.join("index.html"));
    while let Some(page) = next.take() {
        let text = fs::read_to_string(&page).unwrap();
        for (link, rest) in text.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"')) {
            let path = percent_encoding::percent_decode_str(link).decode_utf8().unwrap();
            let meant = fs::canonicalize(page.with_file_name("").join(path.as_ref())).unwrap();
            if rest.starts_with(" rel=\"next\"") {
                next = Some(meant);
            } else if meant.parent() == Some(&fs::canonicalize(root.join("files/2026-03-01")).unwrap()) {
                assert!(linked.insert(meant), "{link} twice");
            }
        }
    }
    assert_eq!(linked.len(), FILES);
}

#[tokio::test]
async fn a_tar_goes_through_a_pipe_and_ends_quietly_where_nobody_reads() {
    let mut shelf = Shelf::new().await;
    shelf.put(Some("发票.txt"), b"piped").await;
    shelf.put(Some("large.bin"), &vec![1; 4 << 20]).await;
    let run = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larkive"));
        command.args(["export", "--out", "-"]).env_clear().env("LARKIVE_DATA_DIR", shelf.workplace.path("data"));
        command.current_dir(shelf.workplace.path("data")).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
    };
    let piped = run(Stdio::piped()).wait_with_output().unwrap();
    assert!(piped.status.success());
    assert_eq!(untarred(&piped.stdout)["files/2026-03-01/发票.txt"], b"piped");
    let mut unread = run(Stdio::piped());
    drop(unread.stdout.take());
    assert_eq!(unread.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_made_no_faster_than_it_is_taken() {
    let mut shelf = Shelf::new().await;
    let wanted = shelf.put(Some("wanted.txt"), b"wanted").await;
    shelf.put(Some("large.bin"), &vec![1; 8 << 20]).await;
    let spool = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open_read_only(&shelf.workplace.path("data/larkive.db")).await.unwrap();
    let export = |selection| Export {
        catalogue: catalogue.clone(),
        examiner: Examiner::beside(
            shelf.workplace.path("data/larkive.db"),
            Blobs::at(&shelf.workplace.path("data/blobs")),
        ),
        selection,
        now: Clock::system().now(),
        watcher: Arc::new(|_| ()),
    };
    for form in [Form::Zip, Form::Tar] {
        let stream = stream(export(Selection::These(vec![wanted, ResourceId(404), wanted])), form, spool.path());
        let pieces: Vec<_> = stream.collect().await;
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
        let found = if form == Form::Tar {
            untarred(&bytes)
        } else {
            let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            let mut text = Vec::new();
            zip.by_name("files/2026-03-01/wanted.txt").unwrap().read_to_end(&mut text).unwrap();
            BTreeMap::from([("files/2026-03-01/wanted.txt".to_owned(), text)])
        };
        assert_eq!(originals(&found), BTreeMap::from([("files/2026-03-01/wanted.txt", &b"wanted"[..])]));
    }
    // Whoever goes away leaves nobody behind who waits: the exporter's share of the watcher is dropped.
    let watcher: Arc<dyn Fn(larkive::archive::export::Progress<'_>) + Send + Sync> = Arc::new(|_| ());
    let all = Export { watcher: watcher.clone(), ..export(Selection::Matching(Box::<Filter>::default())) };
    let mut begun = Box::pin(stream(all, Form::Tar, spool.path()));
    begun.next().await.unwrap().unwrap();
    drop(begun);
    while Arc::strong_count(&watcher) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_page_of_a_stranger_was_opened_because_it_called_itself_a_picture() {
    let mut shelf = Shelf::new().await;
    let names = [
        ("image/png", "page.html", false),
        ("image/png", "page.png.HTM", false),
        ("text/plain", "script.svg", false),
        ("video/mp4", "no ending", false),
        ("image/svg+xml", "drawing.png", false),
        ("text/html", "page.txt", false),
        ("audio/mpeg", "sound.png", false),
        ("image/png", "picture.PNG", true),
        ("image/jpeg", "picture.jpeg", true),
        ("text/plain", "letter.txt", true),
        ("application/pdf", "paper.pdf", true),
    ];
    for (mime, name, _) in names {
        let id = shelf.put(Some(name), name.as_bytes()).await;
        let update = sqlx::query("UPDATE resources SET mime = ? WHERE resource_row_id = ?").bind(mime).bind(id.0);
        update.execute(&mut shelf.rows).await.unwrap();
    }
    shelf.export(&["out"]).ended(0);
    let page = fs::read_to_string(shelf.workplace.path("out/index.html")).unwrap();
    for (mime, name, is_opened) in names {
        let link = page.split("<a ").find(|link| link.contains(&format!(">{name}<"))).unwrap();
        assert_eq!(!link.contains("\" download>"), is_opened, "{mime} {name}: {link}");
    }
}

#[tokio::test]
async fn an_export_ended_at_the_first_name_that_its_target_refused() {
    let mut shelf = Shelf::new().await;
    let long = format!("{}.txt", "x".repeat(251));
    shelf.put(Some("before.txt"), b"before").await;
    shelf.put(Some(&long), b"too long for where it goes").await;
    shelf.put(Some("after.txt"), b"after").await;
    // So deep that a short name still has room in a path, and a long one has not.
    let deep = format!("{}/out", vec!["d".repeat(203); 19].join("/"));
    let root = shelf.workplace.path(&deep);
    fs::create_dir_all(&root).unwrap();
    let ended = shelf.export(&[&deep]).ended(1);
    assert!(ended.stderr.lines().any(|line| line.contains(&long) && line.contains("too long")), "{}", ended.stderr);

    let found = contents(&root);
    let whole = ["files/2026-03-01/after.txt", "files/2026-03-01/before.txt"];
    assert_eq!(originals(&found).into_keys().collect::<Vec<_>>(), whole);
    assert_eq!(checked(&root), (true, vec![]));
    let refused: Vec<Value> = shelf.manifest(&deep).into_iter().filter(|line| !line["problem"].is_null()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((&refused[0]["file_name"], &refused[0]["path"]), (&Value::from(long.as_str()), &Value::Null));
    assert!(refused[0]["problem"].as_str().unwrap().contains("refuses"), "{}", refused[0]);
    let page = std::str::from_utf8(&found["index.html"]).unwrap();
    assert!(page.contains("refuses the name") && !page.contains("damaged"), "{page}");
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_file_ended_an_export() {
    let mut shelf = Shelf::new().await;
    for name in ["a.txt", "b.txt", "c.txt"] {
        shelf.put(Some(name), name.as_bytes()).await;
    }
    shelf.export(&["out"]).ended(0);
    let day = shelf.workplace.path("out/files/2026-03-01");
    fs::remove_file(day.join("b.txt")).unwrap();
    fs::create_dir_all(day.join("b.txt/mine")).unwrap();
    let ended = shelf.export(&["out"]).ended(1);
    assert!(ended.stderr.contains("b.txt"), "{}", ended.stderr);
    assert!(day.join("a.txt").is_file() && day.join("c.txt").is_file() && day.join("b.txt/mine").is_dir());
    assert!(!day.join(".larkive-part").exists());
    fs::remove_dir_all(day.join("b.txt")).unwrap();
    shelf.export(&["out"]).ended(0);
    assert_eq!(checked(&shelf.workplace.path("out")), (true, vec![]));
}

#[tokio::test]
async fn an_archive_that_was_named_twice_lost_half_of_its_ending() {
    let mut shelf = Shelf::new().await;
    for name in ["archive.tar.bz2", "dump.SQL.gz", "v1.2.tar.gz", "minutes 2026.05.gz"] {
        for bytes in ["one", "two"] {
            shelf.put(Some(name), format!("{name} {bytes}").as_bytes()).await;
        }
    }
    shelf.export(&["out"]).ended(0);
    let found = contents(&shelf.workplace.path("out"));
    let names: Vec<&str> = originals(&found).into_keys().map(|path| path.rsplit('/').next().unwrap()).collect();
    for (stem, ending) in
        [("archive", ".tar.bz2"), ("dump", ".SQL.gz"), ("v1.2", ".tar.gz"), ("minutes 2026.05", ".gz")]
    {
        assert!(names.contains(&format!("{stem}{ending}").as_str()), "{names:?}");
        let is_second = |name: &&str| name.starts_with(&format!("{stem}-r")) && name.ends_with(ending);
        let second = names.iter().copied().find(is_second).unwrap_or_else(|| panic!("{stem}{ending}: {names:?}"));
        assert_eq!(second.len(), stem.len() + "-r000000000001".len() + ending.len());
    }
}

#[tokio::test]
async fn names_that_a_file_system_takes_for_one_became_two() {
    let mut shelf = Shelf::new().await;
    // Each pair is one name where case, composition or what cannot be seen makes no difference.
    let pairs = [
        ("Straẞe.txt", "strasse.txt"),
        ("葛\u{e0100}.txt", "葛.txt"),
        ("Ⱥ.txt", "ⱥ.txt"),
        ("ΌΣΟΣ.txt", "όσος.txt"),
        ("ŉ.txt", "ʼN.txt"),
        ("a\u{34f}b.txt", "ab.txt"),
        ("각.txt", "\u{1100}\u{1161}\u{11a8}.txt"),
    ];
    for (one, other) in pairs {
        shelf.put(Some(one), one.as_bytes()).await;
        shelf.put(Some(other), format!("other {other}").as_bytes()).await;
    }
    shelf.export(&["out"]).ended(0);
    let found = contents(&shelf.workplace.path("out"));
    let distinguished = originals(&found).into_keys().filter(|path| path.contains("-r0")).count();
    assert_eq!((originals(&found).len(), distinguished), (2 * pairs.len(), pairs.len()));
}
