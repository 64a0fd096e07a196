//! The `larkive` program: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    larkive::cli::run()
}
