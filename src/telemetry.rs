//! The log: lines on stderr, for people or as JSON, and a line for each panic.
//!
//! What is logged is decided where it happens; here is only how it looks and where it goes.

mod fields;

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::thread;

use anyhow::Context;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use self::fields::SafeFields;
use crate::clock::Clock;
use crate::config::{Colour, LogFormat, Logging};

/// Our own steps, and of the libraries only what went wrong: they narrate every connection and
/// every statement.
const DEFAULT_LEVELS: &str = "warn,larkive=info";

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Terminal,
    Pipe,
}

/// Starts the log of this process and has panics written to it. For `main`, once.
///
/// # Errors
/// When `RUST_LOG` cannot be understood, or a log is running already.
pub fn start(logging: &Logging, clock: Clock) -> anyhow::Result<()> {
    let output = if io::stderr().is_terminal() { Output::Terminal } else { Output::Pipe };
    subscriber(logging, clock, output, io::stderr)?.try_init().context("Failed to start the log")?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn subscriber<W>(
    logging: &Logging,
    clock: Clock,
    output: Output,
    writer: W,
) -> anyhow::Result<impl Subscriber + Send + Sync + use<W>>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let levels = logging.levels.as_deref().unwrap_or(DEFAULT_LEVELS);
    let filter = EnvFilter::builder()
        .parse(levels)
        .context("RUST_LOG is not understood; for example RUST_LOG=info,larkive=debug")?;
    let is_coloured = output == Output::Terminal && logging.colour == Colour::OnTerminal;
    let lines = tracing_subscriber::fmt::layer()
        .with_timer(LogTime(clock))
        .with_writer(writer)
        .with_ansi(is_coloured)
        // A closed stderr would otherwise be complained about on stderr, which panics.
        .log_internal_errors(false);
    let default_format = if output == Output::Terminal { LogFormat::Text } else { LogFormat::Json };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match logging.format.unwrap_or(default_format) {
        LogFormat::Text => lines.fmt_fields(SafeFields).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(filter)))
}

/// RFC 3339 in UTC with milliseconds, as everywhere else.
struct LogTime(Clock);

impl FormatTime for LogTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", self.0.now())
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    // Captured only if RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        panic.place = place,
        panic.thread = thread.name().unwrap_or("unnamed"),
        panic.backtrace = backtrace,
        "Panicked at {place}: {}",
        printable(panic.payload())
    );
}

/// A panic's message, if it was written in the source. One put together at run time may contain
/// anything, also secrets and message text.
fn printable(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(the message was made at run time and is not logged)")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::secret::Secret;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(logging: &Logging, output: Output, write: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let clock = Clock::fixed(crate::domain::time::Timestamp::EPOCH);
        let subscriber = subscriber(logging, clock, output, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, write);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_pipe_gets_flat_json_with_our_time_and_no_secret() {
        let page = logged(&Logging::default(), Output::Pipe, || {
            tracing::info!(message.id = "om_1", token = %Secret::new("s3cret"), "Took a message");
            tracing::debug!("unseen");
        });
        let line: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert_eq!(line["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "Took a message");
        assert_eq!(line["message.id"], "om_1");
        assert_eq!(line["token"], "***");
    }

    #[test]
    fn a_terminal_gets_text_in_colour_unless_it_is_unwanted() {
        let write = || tracing::info!("Took a message");
        let coloured = logged(&Logging::default(), Output::Terminal, write);
        assert!(coloured.contains("Took a message") && coloured.contains('\u{1b}'), "{coloured:?}");
        let plain = logged(&Logging { colour: Colour::Never, ..Logging::default() }, Output::Terminal, write);
        assert!(plain.starts_with("1970-01-01T00:00:00.000Z  INFO "), "{plain:?}");
    }

    #[test]
    fn words_of_others_forged_lines_fields_and_orders_to_the_terminal() {
        let text = Logging { format: Some(LogFormat::Text), colour: Colour::Never, ..Logging::default() };
        let forged = "om_1\n1970-01-01T00:00:00.000Z ERROR forged\u{1b}[2J app.id=cli_evil \u{202e}\r\u{85}\u{2028}\"";
        let page = logged(&text, Output::Pipe, || {
            tracing::warn!(event.id = forged, error = %forged, name = ?Some(forged), plain = %"om_2", empty = "", "Took {forged}");
        });
        assert_eq!(page.lines().count(), 1, "{page}");
        let line = page.strip_suffix('\n').unwrap();
        assert!(!line.chars().any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}')), "{line:?}");
        assert!(line.ends_with(" plain=om_2 empty=\"\""), "{line}");
        let escaped =
            r#"om_1\n1970-01-01T00:00:00.000Z ERROR forged\u{1b}[2J app.id=cli_evil \u{202e}\r\u{85}\u{2028}\""#;
        assert!(line.contains(&format!(r#" event.id="{escaped}" error="{escaped}" name=""#)), "{line}");
        let json = logged(&Logging::default(), Output::Pipe, || tracing::warn!(event.id = forged, "Took {forged}"));
        assert_eq!(json.lines().count(), 1);
        assert!(!json.trim_end().chars().any(|c| c.is_ascii_control()), "{json:?}");
    }

    #[test]
    fn levels_that_make_no_sense_are_refused() {
        let logging = Logging { levels: Some("larkive=loud".to_owned()), ..Logging::default() };
        let refused = subscriber(&logging, Clock::system(), Output::Pipe, io::sink).err();
        assert!(format!("{:#}", refused.unwrap()).starts_with("RUST_LOG is not understood"));
    }

    #[test]
    fn a_panics_message_is_logged_only_if_it_is_source_text() {
        let caught = std::panic::catch_unwind(|| std::panic::panic_any("fixed")).unwrap_err();
        assert_eq!(printable(caught.as_ref()), "fixed");
        let made_at_run_time: Box<dyn Any + Send> = Box::new("token=s3cret".to_owned());
        assert!(!printable(made_at_run_time.as_ref()).contains("s3cret"));
    }
}
