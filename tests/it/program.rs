//! The program as it is installed: a process with arguments, an environment and a directory of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::patience::Patience;
use crate::tools;

pub const APP_SECRET: &str = "the-app-secret-of-the-tests";
pub const VERIFICATION_TOKEN: &str = "the-verification-token-of-the-tests";
pub const ENCRYPT_KEY: &str = "the-encrypt-key-of-the-tests";
pub const ADMIN_TOKEN: &str = "the-admin-token-of-the-tests";
/// What must never be printed or logged.
pub const SECRETS: [&str; 4] = [APP_SECRET, VERIFICATION_TOKEN, ENCRYPT_KEY, ADMIN_TOKEN];

const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How many of its last lines are shown when a process did not end as it should.
const LINES_SHOWN: usize = 20;

/// A working directory and an environment to run the program in.
pub struct Workplace {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a process that has ended left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A process that runs until it is told to stop. It does not outlive the test.
pub struct Running {
    child: Child,
    stdout: Captured,
    stderr: Captured,
}

/// What a process has written so far.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Workplace {
    /// One without any configuration.
    pub fn bare() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// One that is configured to archive from this platform, on any free port.
    pub fn configured(base_url: &str) -> Self {
        Self::bare()
            .with("FEISHU_APP_ID", "cli_program")
            .with("FEISHU_APP_SECRET", APP_SECRET)
            .with("FEISHU_VERIFICATION_TOKEN", VERIFICATION_TOKEN)
            .with("FEISHU_ENCRYPT_KEY", ENCRYPT_KEY)
            .with("FEISHU_BASE_URL", base_url)
            .with("LARKIVE_ADMIN_TOKEN", ADMIN_TOKEN)
            .with("LARKIVE_LISTEN", "127.0.0.1:0")
            .with("LARKIVE_MIN_FREE_BYTES", "0")
            .with("LARKIVE_CALL_BUDGET", "off")
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
        self
    }

    /// A path inside the working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The names of what lies in the working directory.
    pub fn contents(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The program, not started yet, with nothing to read and both outputs captured.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Command::new(env!("CARGO_BIN_EXE_larkive")), arguments)
    }

    fn command_of(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).env_clear().current_dir(self.directory.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.start(arguments).wait()
    }

    /// Runs the program to its end with something on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Running::watch(child).wait()
    }

    /// Runs the program until its first line was read, and closes its standard output then.
    pub fn run_for_one_line(&self, arguments: &[&str]) -> (String, Output) {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        (first, Running::watch(child).wait())
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::watch(self.command(arguments).spawn().unwrap())
    }

    /// Starts the program as somebody does who may have so many files open, unless they ask for more.
    pub fn start_with_open_files(&self, soft_limit: u32, arguments: &[&str]) -> Running {
        let script = format!("ulimit -S -n {soft_limit} && exec \"$0\" \"$@\"");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_larkive")]);
        Running::watch(self.command_of(shell, arguments).spawn().unwrap())
    }

    /// Starts `serve` and waits until it listens; where it does.
    pub fn serve(&self) -> (Running, String) {
        Self::listening(self.start(&["serve"]))
    }

    /// The same with these system calls written to a file, with everything that is no number in hexadecimal.
    pub fn serve_traced(&self, calls: &str, to: &Path) -> (Running, String) {
        // The process that is started becomes the program's own; its tracer is nobody's child.
        let mut strace = Command::new(tools::find("strace").unwrap());
        strace.args(["-D", "-f", "-y", "-xx", "-s", "8192", "-e", calls, "-o"]).arg(to);
        strace.arg(env!("CARGO_BIN_EXE_larkive"));
        Self::listening(Running::watch(self.command_of(strace, &["serve"]).spawn().unwrap()))
    }

    fn listening(serving: Running) -> (Running, String) {
        let listening = serving.log_line("listening");
        let address = listening["address"].as_str().unwrap().to_owned();
        (serving, address)
    }
}

fn whole_line_with(lines: &str, text: &str) -> Option<String> {
    let whole = |line: &&str| line.ends_with('\n') && line.contains(text);
    lines.split_inclusive('\n').find(whole).map(|line| line.trim_end().to_owned())
}

impl Running {
    pub fn watch(mut child: Child) -> Self {
        let stdout = child.stdout.take().map(Captured::of).unwrap_or_default();
        let stderr = child.stderr.take().map(Captured::of).unwrap_or_default();
        Self { child, stdout, stderr }
    }

    /// The first line of the log with this message.
    pub fn log_line(&self, message: &str) -> Value {
        let with_message = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == message).then_some(line)
        };
        self.look_for(&self.stderr, |log| log.lines().find_map(with_message))
    }

    /// The first whole line of its log that contains this text, where it is no JSON.
    pub fn log_line_with(&self, text: &str) -> String {
        self.look_for(&self.stderr, |log| whole_line_with(log, text))
    }

    /// The first whole line on its standard output that contains this text.
    pub fn line_with(&self, text: &str) -> String {
        self.look_for(&self.stdout, |lines| whole_line_with(lines, text))
    }

    fn look_for<T>(&self, captured: &Captured, find: impl Fn(&str) -> Option<T>) -> T {
        let mut patience = Patience::new();
        loop {
            if let Some(found) = find(&captured.text()) {
                return found;
            }
            patience.note("a line of its output", (self.stdout.text(), self.stderr.text()));
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself; the most memory that it had, in KiB.
    pub fn wait_and_weigh(mut self) -> (Output, u64) {
        let status = format!("/proc/{}/status", self.child.id());
        let mut most = 0;
        while self.child.try_wait().unwrap().is_none() {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
            most = line.map_or(most, |kib| kib.parse().unwrap());
            thread::yield_now();
        }
        (self.wait(), most)
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Output {
        let mut patience = Patience::new();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            patience.note("its end", self.stderr.text());
            thread::sleep(LOOK_AGAIN);
        };
        Output { code: status.code(), stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }

    /// Stops it as a service manager does.
    pub fn stop(self) -> Output {
        self.terminate();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Captured {
    fn of(mut stream: impl std::io::Read + Send + 'static) -> Self {
        let captured = Self::default();
        let writing = captured.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                writing.0.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        captured
    }

    /// What has come, decoded as a whole: a piece may end within a character.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Everything, once the other end is closed and read.
    fn whole(&self) -> String {
        while Arc::strong_count(&self.0) > 1 {
            thread::sleep(LOOK_AGAIN);
        }
        self.text()
    }
}

impl Output {
    /// Its standard output as JSON objects, one a line.
    pub fn rows(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts how it ended.
    pub fn ended(self, code: i32) -> Self {
        let lines: Vec<_> = self.stdout.lines().chain(self.stderr.lines()).collect();
        let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
        assert_eq!(self.code, Some(code), "{last}");
        self
    }

    /// Asserts that it could not run, said why in one line, and printed no result.
    pub fn refused(self, why: &str) -> Self {
        let refused = self.ended(2);
        assert_eq!((refused.stdout.as_str(), refused.stderr.lines().count()), ("", 1), "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{why:?} in {:?}", refused.stderr);
        refused
    }

    /// Asserts that no secret was printed.
    pub fn keeps_secrets(&self) {
        for secret in SECRETS {
            assert!(!self.stdout.contains(secret) && !self.stderr.contains(secret), "{secret} in {self:?}");
        }
    }
}
