//! Recording: how tries ended goes into the catalogue, many endings in one commit.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{app_ticket, chat, recall};
use crate::catalogue::custody;
use crate::catalogue::endings::{self, Finished};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::error::chain;
use crate::domain::id::MessageId;

/// Endings in one transaction.
const BATCH: usize = 256;
/// A transaction is eight trips to the connection's thread and a sync: an ending waits for this much company, but
/// not for long.
const COMPANY: usize = 64;
const WAITS_FOR_COMPANY: Duration = Duration::from_millis(10);
/// Endings that may wait; there are never more than downloads in flight.
const QUEUE: usize = 1024;
/// The pause after the catalogue failed; the endings wait, because the bytes are already there.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Records endings for one lease owner. Cloned freely.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<(Finished, oneshot::Sender<()>)>,
}

impl Recorder {
    /// Starts the task that writes. It ends, with everything written, when the last recorder is dropped.
    #[must_use]
    pub fn start(catalogue: Catalogue, owner: String) -> (Self, JoinHandle<()>) {
        let (queue, endings) = mpsc::channel(QUEUE);
        (Self { queue }, tokio::spawn(run(catalogue, owner, endings)))
    }

    /// Records one ending and returns when it is durable. A catalogue that fails is tried again
    /// until it works.
    pub async fn record(&self, finished: Finished) {
        let (written, done) = oneshot::channel();
        // The writer ends only after every recorder is gone, so both can only fail while the
        // runtime is being torn down; then the lease gives the resource back.
        if self.queue.send((finished, written)).await.is_ok() {
            let _ = done.await;
        }
    }
}

async fn run(catalogue: Catalogue, owner: String, mut endings: mpsc::Receiver<(Finished, oneshot::Sender<()>)>) {
    let mut batch = Vec::with_capacity(BATCH);
    while endings.recv_many(&mut batch, BATCH).await > 0 {
        let company = async { while batch.len() < COMPANY && endings.recv_many(&mut batch, BATCH).await > 0 {} };
        // Whether it came or not, what is there is written.
        let _ = tokio::time::timeout(WAITS_FOR_COMPANY, company).await;
        let (mut finished, written): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        while let Err(error) = write_somehow(&catalogue, &owner, &mut finished).await {
            tracing::error!(error = %chain(&error), endings = finished.len(), "Cannot record how downloads ended");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        for done in written {
            // Whoever waited may have been stopped meanwhile.
            let _ = done.send(());
        }
    }
}

/// Writes a batch; one that the catalogue refuses is written ending by ending, so that the one
/// that is refused stands alone. That counts as a failure of ours and is tried again later.
async fn write_somehow(catalogue: &Catalogue, owner: &str, finished: &mut [Finished]) -> Result<(), CatalogueError> {
    match write(catalogue, owner, finished).await {
        Err(error) if error.is_about_the_rows() => {}
        other => return other,
    }
    for one in finished {
        match write(catalogue, owner, std::slice::from_mut(one)).await {
            Err(error) if error.is_about_the_rows() => {
                let message_id = one.message_id.as_ref().map(MessageId::as_str);
                tracing::error!(resource.id = %one.id, message.id = message_id, app.id = %one.app_id,
                    error = %chain(&error), "The catalogue refuses how a download ended");
                one.ending = one.unrecorded.clone();
                write(catalogue, owner, std::slice::from_mut(one)).await?;
            }
            other => other?,
        }
    }
    Ok(())
}

/// Records endings in one commit, once, in the light of what became of their messages and chats
/// meanwhile.
///
/// # Errors
/// If the catalogue fails; then nothing is recorded.
pub async fn write(catalogue: &Catalogue, owner: &str, finished: &mut [Finished]) -> Result<(), CatalogueError> {
    let mut transaction = catalogue.begin().await?;
    recall::explain(&mut transaction, finished).await?;
    let healed = endings::record(&mut transaction, owner, finished).await?;
    chat::reconsider(&mut transaction, finished).await?;
    app_ticket::requeue_overtaken(&mut transaction, finished).await?;
    transaction.commit().await?;
    if healed.is_full
        && let Err(error) = custody::settle(catalogue).await
    {
        // A job stands for what is left, and what these endings are about is recorded.
        tracing::error!(error = %chain(&error), "Cannot give bytes that are back to all who had lost them");
    }
    Ok(())
}
