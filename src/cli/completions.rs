//! `larkive completions`: what a shell needs to complete the words of a command line.

use std::io::Write as _;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::output::{forgive_closed_pipe, stdout};
use super::{Exit, Outcome};

/// Print the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive completions bash > /usr/share/bash-completion/completions/larkive
  larkive completions zsh > \"${fpath[1]}/_larkive\"
  larkive completions fish > ~/.config/fish/completions/larkive.fish")]
pub struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// If they cannot be written.
pub fn run(options: &Options, mut command: Command) -> Outcome {
    // Made in memory: the generator panics where it cannot write.
    let mut script = Vec::new();
    generate(options.shell, &mut command, "larkive", &mut script);
    let mut out = stdout();
    let printed = out.write_all(&script).and_then(|()| out.flush());
    forgive_closed_pipe(printed.map(|()| Exit::Done).map_err(Into::into))
}
