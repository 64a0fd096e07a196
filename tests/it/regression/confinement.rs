//! What processes of ours may do, and who may look into them.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use image::{ImageFormat, RgbImage};

const PROGRAM: &str = env!("CARGO_BIN_EXE_larkive");
/// Whom nothing belongs to.
const NOBODY: u32 = 65534;

/// A process that does not outlive the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// The value of a line of its status; nothing once it has ended.
    fn status(&self, name: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }
}

/// Large enough that making it small takes longer than looking at its process.
fn large_picture() -> fs::File {
    let picture = RgbImage::from_fn(4000, 4000, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes.get_ref()).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn the_process_that_reads_hostile_pictures_could_ask_the_system_for_anything() {
    let mut command = Command::new(PROGRAM);
    command.arg("thumbnail").env_clear().stdin(large_picture()).stdout(tempfile::tempfile().unwrap());
    let mut process = Process(command.spawn().unwrap());
    let mut seen = String::new();
    while process.0.try_wait().unwrap().is_none() && seen != "2" {
        seen = process.status("Seccomp").unwrap_or_default();
    }
    assert_eq!(seen, "2", "it works without a filter");
    assert_eq!(process.status("NoNewPrivs").as_deref(), Some("1"));
    assert_eq!(process.0.wait().unwrap().code(), Some(0), "and with one it still does its work");
}

#[test]
fn photographs_had_no_thumbnail_where_the_service_did_not_run_as_root() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("larkive");
    copy_program(&program);
    let photograph = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/samples/photo.jpg")).unwrap();
    let mut made = tempfile::tempfile().unwrap();
    let mut command = Command::new(&program);
    command.arg("thumbnail").env_clear().stdin(photograph).stdout(made.try_clone().unwrap());
    as_nobody(&mut command);
    assert_eq!(command.status().unwrap().code(), Some(0));
    let mut head = [0; 4];
    made.rewind().unwrap();
    made.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"RIFF");
}

/// Copies the program in a process of its own. Whatever this one starts meanwhile, for another test, would inherit the
/// file open for writing, and the system runs no program that somebody may still write.
fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(PROGRAM).arg(to).status().unwrap().success());
}

/// Root is held by no limit, and is not whom the service runs as.
fn as_nobody(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

#[test]
fn the_service_could_be_read_by_whoever_runs_as_the_same_user() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Under a name that the user may reach, wherever the build lies.
    let program = directory.path().join("larkive");
    copy_program(&program);
    let mut command = Command::new(&program);
    command.arg("serve").env_clear().current_dir(directory.path()).stdin(Stdio::null()).stderr(Stdio::piped());
    command.envs([
        ("FEISHU_APP_ID", "cli_program"),
        ("FEISHU_APP_SECRET", "secret"),
        ("FEISHU_VERIFICATION_TOKEN", "token"),
        ("LARKIVE_LISTEN", "127.0.0.1:0"),
    ]);
    as_nobody(&mut command);
    let mut process = Process(command.spawn().unwrap());
    let log = BufReader::new(process.0.stderr.take().unwrap());
    assert!(log.lines().any(|line| line.unwrap().contains("listening")), "it has not started");
    assert_eq!(process.status("NoNewPrivs").as_deref(), Some("1"));
    // The system gives what must not be read by its own user to root.
    let memory = fs::metadata(format!("/proc/{}/mem", process.0.id())).unwrap();
    assert_eq!(memory.uid(), 0, "its memory belongs to its user");
}
