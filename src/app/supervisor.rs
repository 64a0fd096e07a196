//! The supervisor of a serving archive's tasks: none of them may end before it is told to.

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long the recorder may take to write what it still has.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Why a serving archive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    OnRequest,
    /// One of its tasks crashed.
    ByFault,
}

/// The tasks of a serving archive, by their names.
#[derive(Default)]
pub(super) struct Supervisor {
    tasks: JoinSet<&'static str>,
}

impl Supervisor {
    /// Starts a task.
    pub(super) fn add(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for the shutdown, or for a task that ended too early, which shuts down the rest.
    pub(super) async fn watch(&mut self, shutdown: &CancellationToken) -> Ended {
        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ended::OnRequest,
            ended = self.tasks.join_next() => ended,
        };
        ended_early(ended, shutdown)
    }

    /// Waits for every task to end as it was told.
    pub(super) async fn finish(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "A task crashed");
            }
        }
    }
}

/// What it means that a task has ended, told by its name, before anybody saw the shutdown. Both may have come about
/// in the same moment: who ended as told has not ended too early.
pub(super) fn ended_early(ended: Option<Result<&'static str, JoinError>>, shutdown: &CancellationToken) -> Ended {
    match ended {
        Some(Ok(_)) if shutdown.is_cancelled() => return Ended::OnRequest,
        Some(Ok(task)) => tracing::error!(task, "A task ended too early"),
        Some(Err(error)) => tracing::error!(%error, "A task crashed"),
        None => tracing::error!("There is nothing to do"),
    }
    shutdown.cancel();
    Ended::ByFault
}

/// Lets the recorder write what it still has, for a while: a catalogue that fails must not hold up the end.
/// What was not recorded is tried again after the next start.
pub(super) async fn finish(recording: JoinHandle<()>) {
    if recording.is_finished() {
        return;
    }
    let stop = recording.abort_handle();
    match tokio::time::timeout(WRITE_WITHIN, recording).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "The recorder crashed"),
        Err(_) => {
            tracing::error!("The recorder could not finish in time");
            stop.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_ended_in_the_moment_of_the_shutdown_has_not_crashed() {
        let shutdown = CancellationToken::new();
        assert_eq!(ended_early(Some(Ok("recorder")), &shutdown), Ended::ByFault);
        assert!(shutdown.is_cancelled(), "the others end, too");
        assert_eq!(ended_early(Some(Ok("recorder")), &shutdown), Ended::OnRequest);
        let crash = tokio::spawn(async { panic!("in the middle of its work") }).await;
        assert_eq!(ended_early(Some(crash), &shutdown), Ended::ByFault);
    }
}
