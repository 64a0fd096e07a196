//! Files that Larkive makes, and who may read them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;

use crate::program::Workplace;
use crate::support::{spawn_app, until};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn everything_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            everything_below(&path, found);
        }
        found.push(path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_could_be_read_by_everybody_where_the_directory_was_somebody_elses() {
    let app = spawn_app().await;
    fs::set_permissions(&app.layout.directory, fs::Permissions::from_mode(0o755)).unwrap();
    let key = Media::Jpeg.key(1);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    app.assert_stored(&key).await;
    let thumbnail = format!("/api/v1/resources/{}/thumbnail", app.resource(&key).await.resource.id);
    until("there is a thumbnail", async || app.api(&thumbnail).await.status() == 200).await;
    let mut made = Vec::new();
    everything_below(&app.layout.directory, &mut made);
    let names: Vec<String> = made.iter().map(|path| path.display().to_string()).collect();
    for part in ["larkive.db", "larkive.db-wal", "larkive.db-shm", "serve.lock", "/sha256/", "/thumbnails/", "/spool"] {
        assert!(names.iter().any(|name| name.contains(part)), "no {part} in {names:?}");
    }
    for path in made {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{} is {:o}", path.display(), mode(&path));
    }
}

#[test]
fn nobody_was_told_that_others_may_look_into_the_data_directory() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let data = workplace.path("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let (serving, _) = workplace.serve();
    let log = serving.stop().ended(0).stderr;
    let warning = log.lines().find(|line| line.contains("chmod 700")).expect("a warning");
    assert!(warning.contains("WARN") && warning.contains(&data.display().to_string()), "{warning}");
}
