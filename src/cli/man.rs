//! `larkive man`: the manual, made from the same definitions as `--help`.

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;

use super::output::{forgive_closed_pipe, stdout};
use super::{Exit, Outcome};

/// Print the manual page of the program, or of one command
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive man > /usr/share/man/man1/larkive.1
  larkive man export | man -l -")]
pub struct Options {
    /// A command
    command: Option<String>,
}

/// Prints a page.
///
/// # Errors
/// If there is no such command, or the page cannot be written.
pub fn run(options: &Options, mut program: Command) -> Outcome {
    // Gives each command the name that its page is found under: larkive-list(1).
    program.build();
    let meant = options.command.as_ref().map_or(Some(&program), |name| program.find_subcommand(name));
    let meant = meant.context("there is no such command; `larkive --help` lists them")?.clone();
    let mut page = Vec::new();
    Man::new(meant).render(&mut page)?;
    let mut out = stdout();
    let printed = out.write_all(&page).and_then(|()| out.flush());
    forgive_closed_pipe(printed.map(|()| Exit::Done).map_err(Into::into))
}
