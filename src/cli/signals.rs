//! Signals: the first one asks to stop, the second one insists.

use std::process;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that a second signal has ended: it did not finish what it was doing.
const BROKEN_OFF: i32 = 1;

/// A token that the first SIGINT or SIGTERM cancels. A second signal ends the process at once, with
/// exit code 1; what was under way then is taken up at the next start.
///
/// # Errors
/// If the system does not let signals be caught.
pub fn shutdown() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if last {
                tracing::warn!("Stopped at once by a second signal");
                process::exit(BROKEN_OFF);
            }
            tracing::info!("stopping; a second signal stops at once");
            stop.cancel();
        }
    });
    Ok(token)
}
