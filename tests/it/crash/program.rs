//! The program as a process of its own, which can be killed and never outlives the test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::oneshot;

// No other test's, so that nobody else can take a delivery at a port that a dead process has left.
pub const APP_ID: &str = "cli_crash";
pub const VERIFICATION_TOKEN: &str = "verification-token-of-the-crash-test";
pub const ENCRYPT_KEY: &str = "encrypt-key-of-the-crash-test";

/// The exit code of a program that could not run.
const COULD_NOT_RUN: i32 = 2;

/// A running program. Dropping it kills it.
pub struct Program {
    child: Child,
    address: Option<oneshot::Receiver<SocketAddr>>,
    log: Option<JoinHandle<Vec<String>>>,
}

impl Program {
    /// Starts a command on the data directory `data` inside `directory`.
    pub fn start(directory: &Path, base_url: &str, words: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_larkive"))
            .args(words)
            // Neither settings of the environment nor a `.env` in the working directory.
            .env_clear()
            .current_dir(directory)
            .env("FEISHU_APP_ID", APP_ID)
            .env("FEISHU_APP_SECRET", "app-secret")
            .env("FEISHU_VERIFICATION_TOKEN", VERIFICATION_TOKEN)
            .env("FEISHU_ENCRYPT_KEY", ENCRYPT_KEY)
            .env("FEISHU_BASE_URL", base_url)
            .env("LARKIVE_LISTEN", "127.0.0.1:0")
            .env("LARKIVE_CALL_BUDGET", "off")
            .env("LARKIVE_MIN_FREE_BYTES", "1MiB")
            .env("LARKIVE_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, address) = oneshot::channel();
        let stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || read_log(stderr, told));
        Self { child, address: Some(address), log: Some(log) }
    }

    /// The address that it listens on, once it does.
    pub async fn address(&mut self) -> SocketAddr {
        match self.address.take().expect("asked once").await {
            Ok(address) => address,
            Err(_) => panic!("it ended before it listened:\n{}", self.end().join("\n")),
        }
    }

    /// Kills it with SIGKILL, unless it has ended. It must not have complained.
    pub fn kill(&mut self) {
        let log = self.end();
        let complaints: Vec<_> = log.iter().filter(|line| line.contains(r#""level":"ERROR""#)).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let status = self.child.wait().unwrap();
        assert_ne!(status.code(), Some(COULD_NOT_RUN), "{log:#?}");
    }

    fn end(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().map_or_else(Vec::new, |log| log.join().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is dead already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the log to its end; tells the address as soon as it stands there.
fn read_log(stderr: ChildStderr, told: oneshot::Sender<SocketAddr>) -> Vec<String> {
    let mut told = Some(told);
    let lines = BufReader::new(stderr).split(b'\n').map_while(Result::ok);
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .inspect(|line| {
            if let Some(address) = listening(line)
                && let Some(told) = told.take()
            {
                // Nobody asks for the address of a program that dies early.
                let _ = told.send(address);
            }
        })
        .collect()
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["address"].as_str()?.parse().ok())?
}
