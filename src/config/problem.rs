//! Problems: what is wrong with a configuration, one line for each fault.
//!
//! A problem names the key as it was written, where it stands, what is wrong and an example. It
//! never carries the value of a secret.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option on the command line.
    CommandLine,
    /// A variable of the process environment.
    Environment,
    /// A line of the `.env` file in the working directory.
    Dotenv {
        /// Counted from 1.
        line: usize,
    },
    /// A line of the TOML file.
    Toml {
        /// The file, as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment => f.write_str("environment"),
            Self::Dotenv { line } => write!(f, ".env line {line}"),
            Self::Toml { path, line } => write!(f, "{} line {line}", path.display()),
        }
    }
}

/// One fault in the configuration. `Display` is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    line: String,
}

impl Problem {
    /// A fault of something that stands nowhere, such as a required setting that is missing.
    pub(super) fn new(key: &str, fault: impl fmt::Display) -> Self {
        Self { line: one_line(&format!("{key}: {fault}")) }
    }

    /// A fault of a key that was written somewhere.
    pub(super) fn at(key: &str, origin: &Origin, fault: impl fmt::Display) -> Self {
        Self { line: one_line(&format!("{key} ({origin}): {fault}")) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Everything that is wrong with the configuration, found in one pass. `Display` is one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Writes control characters as escapes: names and values come from outside, and a line is a line.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
