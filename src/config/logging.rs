//! What the log looks like. Setting it up is the business of `telemetry`.

use super::names;
use super::problem::Problems;
use super::sources::{self, Gathered, Sources};
use super::values::LogFormat;

/// How to log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logging {
    /// Unset: text on a terminal, else JSON.
    pub format: Option<LogFormat>,
    /// `RUST_LOG`: which levels of which modules. Unset: a sensible choice.
    pub levels: Option<String>,
    /// Whether text may be coloured.
    pub colour: Colour,
}

/// Whether text may be coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal.
    #[default]
    OnTerminal,
    /// `NO_COLOR` is set.
    Never,
}

impl Logging {
    /// Reads only what concerns the log, only from the environment: for commands that need no
    /// configuration and must run beside a broken one.
    ///
    /// # Errors
    /// Says what is wrong with `LARKIVE_LOG_FORMAT`.
    pub fn of_environment(sources: &Sources) -> Result<Self, Problems> {
        let mut gathered = sources::gather_log_settings(sources);
        match Self::read(&mut gathered) {
            logging if gathered.problems.is_empty() => Ok(logging),
            _ => Err(gathered.problems),
        }
    }

    pub(super) fn read(gathered: &mut Gathered) -> Self {
        let format = gathered.service.read(&names::LOG_FORMAT, str::parse, &mut gathered.problems);
        let colour = if gathered.log.contains_key("NO_COLOR") { Colour::Never } else { Colour::OnTerminal };
        Self { format, levels: gathered.log.get("RUST_LOG").cloned(), colour }
    }
}
