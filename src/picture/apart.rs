//! A process of its own for each picture: both ends of it.
//!
//! The process is this program again, started with [`COMMAND`]. It gets a picture as its input and a
//! file for what it makes, and nothing else: no environment, no terminal. The first thing it does is to
//! give up what it does not need. A decoder that is led astray by a hostile file can neither
//! take the memory or the time of the service, nor open a file, a connection or another process. On Linux
//! it can make no other calls than the few that its work takes, or does not work at all.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, nice, setrlimit};
use tokio::process::Command;

use super::Refusal;
use super::shrink::shrink;

/// The word that the program is started with to become such a process.
pub const COMMAND: &str = "thumbnail";

/// The memory that the process may map: a decoded picture, what making it smaller takes, and itself.
const MAX_MEMORY_BYTES: u64 = 256 << 20;
/// The processor time that it may use: a hundred times what a photograph takes.
const MAX_CPU_SECONDS: u64 = 10;
/// How long it may take: longer than its processor time, because it stands back behind the service.
const WITHIN: Duration = Duration::from_secs(60);
/// The most bytes that it may write; a picture of this size has a tenth of them.
const MAX_MADE_BYTES: u64 = 512 << 10;
/// How far it stands back behind everything else that wants the processor.
const NICENESS: i32 = 5;

/// How the process says that it made nothing. 0 to 2 mean what they mean for every command.
const TOO_LARGE: u8 = 10;
const UNREADABLE: u8 = 11;
/// How it says that it cannot be confined, and therefore looked at nothing.
const UNCONFINED: u8 = 12;

/// Starts such processes.
#[derive(Debug, Clone)]
pub struct Workshop {
    program: PathBuf,
}

impl Workshop {
    /// With the program at this path, which has to be this one.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Makes a small picture of `picture`, a file, written to `made`. The inner result is final.
    ///
    /// # Errors
    /// If there was no process, or somebody else ended it: another try may succeed.
    pub async fn shrink(&self, picture: impl Into<Stdio>, made: impl Into<Stdio>) -> io::Result<Result<(), Refusal>> {
        let mut process = Command::new(&self.program)
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(picture)
            .stdout(made)
            .stderr(Stdio::null())
            // A Ctrl-C in a terminal is meant for the service, which decides what becomes of its processes.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        match tokio::time::timeout(WITHIN, process.wait()).await {
            Ok(ended) => verdict(ended?),
            Err(_) => {
                process.kill().await?;
                Err(io::Error::new(io::ErrorKind::TimedOut, "the machine was too busy to make a thumbnail"))
            }
        }
    }
}

/// What the end of a process says about its picture.
fn verdict(ended: ExitStatus) -> io::Result<Result<(), Refusal>> {
    const CODES: [(u8, Refusal); 2] = [(TOO_LARGE, Refusal::TooLarge), (UNREADABLE, Refusal::Unreadable)];
    let signalled = |signal: Signal| ended.signal() == Some(signal.as_raw());
    if ended.success() {
        return Ok(Ok(()));
    }
    if ended.code() == Some(UNCONFINED.into()) {
        let message = "there are no thumbnails: this kernel has no filters for system calls (seccomp), without which no picture is decoded";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    if ended.code() == Some(2) || signalled(Signal::TERM) || signalled(Signal::KILL) {
        return Err(io::Error::other(format!("the process for a thumbnail could not do its work: {ended}")));
    }
    let refused = CODES.into_iter().find(|(code, _)| ended.code() == Some((*code).into()));
    Ok(Err(refused.map_or(Refusal::Broke, |(_, refusal)| refusal)))
}

/// The path of this program. On Linux it leads to the running one even after another was installed in
/// its place.
///
/// # Errors
/// If the system does not say.
pub fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

/// What the process does: one picture from its input to its output.
#[must_use]
pub fn work() -> ExitCode {
    match work_within_limits() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Refusal::TooLarge)) => ExitCode::from(TOO_LARGE),
        Ok(Err(Refusal::Unreadable | Refusal::Broke)) => ExitCode::from(UNREADABLE),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => ExitCode::from(UNCONFINED),
        Err(_) => ExitCode::from(2),
    }
}

fn work_within_limits() -> io::Result<Result<(), Refusal>> {
    let picture = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    give_up_the_rest(&picture)?;
    match shrink(BufReader::new(picture)) {
        Ok(small) => {
            let mut out = io::stdout().lock();
            out.write_all(&small)?;
            out.flush().map(Ok)
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Gives up, for good, everything that making a small picture does not need.
fn give_up_the_rest(picture: &File) -> io::Result<()> {
    // At the first limit the system says why it ends the process, at the second it does not.
    limit(Resource::Cpu, MAX_CPU_SECONDS, MAX_CPU_SECONDS + 1)?;
    limit(Resource::Fsize, MAX_MADE_BYTES, MAX_MADE_BYTES)?;
    // Not of processes: the decoder of JPEG has threads, and the limit of those counts what the same user has
    // elsewhere.
    for unneeded in [Resource::Nofile, Resource::Core] {
        limit(unneeded, 0, 0)?;
    }
    if cfg!(target_os = "linux") {
        limit(Resource::As, MAX_MEMORY_BYTES, MAX_MEMORY_BYTES)?;
    }
    nice(NICENESS)?;
    confine(picture)
}

/// Nobody can look into this process, and it can make no more calls than it needs. Last of all, because
/// none of what comes before could be done after it.
#[cfg(target_os = "linux")]
fn confine(picture: &File) -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    super::confinement::confine(picture.as_fd())
}

/// Elsewhere the limits are all there is.
#[cfg(not(target_os = "linux"))]
fn confine(_: &File) -> io::Result<()> {
    Ok(())
}

/// Lowers a limit and how far it could be raised again. What is lower already stays so.
fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limits = Rlimit { current: Some(current.min(allowed)), maximum: Some(maximum.min(allowed)) };
    Ok(setrlimit(resource, limits)?)
}
