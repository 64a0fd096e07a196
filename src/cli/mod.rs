//! The command line: one file per command, words typed to exit codes.

pub mod config_check;
pub mod demo;
pub mod extract;
pub mod fetch;
pub mod filter;
pub mod health;
pub mod list;
pub mod named;
pub mod output;
pub mod record;
pub mod retry;
pub mod sandbox;
pub mod serve;
pub mod show;
pub mod stats;
pub mod trigger;

/// How a command that could run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Exit code 0.
    Done,
    /// It finished and found problems: exit code 1.
    Problems,
}

/// A command's end; an error is "could not run", printed as one line, exit code 2.
pub type Outcome = anyhow::Result<Exit>;
