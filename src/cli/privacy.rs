//! Privacy of the service's process: it holds the app's secrets and what people said to each other.

use std::io;

/// Keeps other processes of the same user from reading this one's memory, and its memory out of core
/// files, and lets nothing that it starts gain privileges. Threads that run already are not covered.
///
/// # Errors
/// If the system refuses.
#[cfg(target_os = "linux")]
pub fn protect() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Other systems have their own ways.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn protect() -> io::Result<()> {
    Ok(())
}
