//! `larkive config check`: what is configured, where it comes from, and what is wrong with it.

use std::io::Write;

use super::output::forgive_closed_pipe;
use super::{Exit, Outcome};
use crate::config::{Report, Sources};

/// What the help says below the options.
pub const AFTER_HELP: &str = "\
Prints one line for each setting: NAME=value and where the value comes from, with secrets as ***.
Problems go to stderr, one line each, with an example of what would be right.

Exit codes: 0 `serve` would start with this configuration, 1 it would not (see stderr).

Examples:
  larkive config check
  larkive --config /etc/larkive.toml config check
  FEISHU_APP_SECRET_FILE=/run/secrets/app_secret larkive config check";

/// Checks everything that `serve` needs, without starting or creating anything.
///
/// # Errors
/// When the report cannot be written.
pub fn run(sources: &Sources, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Outcome {
    forgive_closed_pipe(print(sources, stdout, stderr))
}

fn print(sources: &Sources, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Outcome {
    let report = Report::of(sources);
    for line in &report.settings {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()?;
    for warning in &report.warnings {
        writeln!(stderr, "warning: {warning}")?;
    }
    for problem in report.problems.iter() {
        writeln!(stderr, "{problem}")?;
    }
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Problems })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> (Exit, String, String) {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let sources = Sources { directory: "/nonexistent".into(), environment, config: None };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = run(&sources, &mut stdout, &mut stderr).unwrap();
        (exit, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn a_good_configuration_is_shown_without_its_secrets() {
        let (exit, stdout, stderr) = check(&[
            ("FEISHU_APP_ID", "cli_1"),
            ("FEISHU_APP_SECRET", "s3cret-one"),
            ("FEISHU_VERIFICATION_TOKEN", "s3cret-two"),
            ("LARKIVE_ADMIN_TOKEN", "s3cret-three-long-enough"),
        ]);
        assert_eq!(exit, Exit::Done, "{stderr}");
        for line in [
            "FEISHU_APP_ID=cli_1   (environment)",
            "FEISHU_APP_SECRET=***   (environment)",
            "FEISHU_ENCRYPT_KEY=   (unset: callbacks are authenticated by the verification token alone)",
            "LARKIVE_LISTEN=127.0.0.1:8080   (default)",
            "LARKIVE_VERIFY_EVERY=   (unset: not available in this version)",
        ] {
            assert!(stdout.lines().any(|shown| shown == line), "{line}\n{stdout}");
        }
        assert!(!format!("{stdout}{stderr}").contains("s3cret"), "{stdout}{stderr}");
        assert!(stderr.starts_with("warning: App cli_1 has no Encrypt Key"), "{stderr}");
    }

    #[test]
    fn problems_are_one_line_each_and_hide_what_was_written() {
        let (exit, stdout, stderr) = check(&[
            ("FEISHU_APP_ID", "cli_1"),
            ("FEISHU_APP_SECRET", "line one\nline two"),
            ("FEISHU_BASE_URL", "https://me:password@open.feishu.cn"),
        ]);
        assert_eq!(exit, Exit::Problems);
        let keys: Vec<_> = stderr.lines().filter_map(|line| line.split([' ', ':']).next()).collect();
        assert_eq!(keys, ["FEISHU_APP_SECRET", "FEISHU_BASE_URL", "FEISHU_VERIFICATION_TOKEN"], "{stderr}");
        assert!(!format!("{stdout}{stderr}").contains("password@"), "{stdout}{stderr}");
        assert!(stdout.contains("FEISHU_BASE_URL=   (refused)\n"), "{stdout}");
    }
}
