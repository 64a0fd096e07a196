//! What went wrong once. Each test is named after it.

mod answers;
mod backlog;
mod codes;
mod confinement;
mod connections;
mod deliveries;
mod durability;
mod files;
mod forwarded;
mod host;
mod ids;
mod local_failures;
mod log;
mod logs;
mod network;
mod open_files;
mod outage;
mod questions;
mod requeue;
mod stopping;
mod time_zone;
mod unreadable_deliveries;
mod versions;

use crate::support::spawn_app;

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_ended_because_of_a_shutdown_were_taken_for_crashed() {
    let mut app = spawn_app().await;
    for _ in 0..20 {
        // Complains unless the archive says that it ended because it was told to.
        app = app.restart().await;
    }
}
