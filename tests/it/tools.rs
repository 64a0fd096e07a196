//! Programs that tests need beside ours, and which of them this machine is known not to have.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `./test` names what it could not install.
pub const WITHOUT: &str = "LARKIVE_TEST_WITHOUT";

/// Where `./test` installs what is no package of the system.
pub fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

/// The program and what `./test` installs, beside what the system has.
pub fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_larkive")).parent().unwrap();
    let datasette = installed().join("datasette/bin");
    format!("{}:{}:{}", program.display(), env::var("PATH").unwrap(), datasette.display())
}

/// Where a program lies.
pub fn find(tool: &str) -> Option<PathBuf> {
    let looked = Command::new("bash").args(["-c", &format!("command -v {tool}")]).env("PATH", path()).output();
    let looked = looked.unwrap();
    looked.status.success().then(|| String::from_utf8(looked.stdout).unwrap().trim().into())
}

/// Whether a program can be run.
pub fn is_there(tool: &str) -> bool {
    find(tool).is_some()
}

/// Whether system calls can be traced; where the machine is not known to forbid it, that they cannot is a failure.
pub fn can_trace() -> bool {
    let traced = find("strace").map(|strace| Command::new(strace).args(["-o", "/dev/null", "true"]).output().unwrap());
    let can = traced.is_some_and(|traced| traced.status.success());
    if !can {
        is_missing("strace");
    }
    can
}

/// Says that something is missing; a failure, unless this machine is known not to have it.
pub fn is_missing(tool: &str) {
    let known = env::var(WITHOUT).unwrap_or_default();
    let is_known = known.split_whitespace().any(|word| word == tool);
    assert!(is_known, "{tool} is missing; `./test` installs it, or {WITHOUT}={tool} leaves out what needs it");
}
