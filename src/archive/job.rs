//! Jobs: what a kind of work has to bring along so that a lane can do it.

use std::time::Duration;

use crate::catalogue::CatalogueError;
use crate::catalogue::jobs::{Job, Kind, Settled};

/// A kind of work, done a step at a time.
pub trait Work {
    /// Which jobs it takes.
    const KIND: Kind;
    /// The pause between two steps.
    const PAUSE: Duration;

    /// Does a step of a job and settles it, in the transaction that writes what the step has changed. It has to be over
    /// well within a lease.
    ///
    /// # Errors
    /// If the catalogue fails; then nothing is changed, and the lane settles the job as failed.
    fn perform(&self, job: &Job) -> impl Future<Output = Result<Settled, CatalogueError>> + Send;
}
