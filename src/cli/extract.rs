//! `larkive extract`: which resources one event, message or listing names.
//!
//! Reads one JSON text and touches nothing else; no app, catalogue or network is needed. Rows show
//! what the archive would record before the first download.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use serde_json::Value;

use super::output::{FormatOption, Printer, Record, forgive_closed_pipe, stdout};
use super::{Exit, Outcome};
use crate::domain::cell::Cell;
use crate::domain::download::State;
use crate::domain::reason::ReasonCode;
use crate::domain::resource::{Found, ResourceType, Role};
use crate::domain::zone::Zone;
use crate::feishu::event::{Event, TicketMessage};
use crate::feishu::{content, event, json};

/// Stands for the app where an event is read outside of any.
const NO_APP: &str = "none";

/// Print the resources that an event or message names, without touching anything
///
/// Reads a decrypted event, a message, or an answer of the platform's message APIs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  larkive extract event.json\n  curl … | larkive extract - --format table\n\nExit codes: 0 also when there are none, 2 the input is neither an event nor a message."
)]
pub struct Options {
    /// JSON of one event, message or listing of messages; `-` reads it from standard input
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
    #[command(flatten)]
    format: FormatOption,
}

/// Prints the resources on stdout, and a note for each unknown part on stderr.
///
/// # Errors
/// If the input cannot be read, or is neither an event nor a message nor a listing.
pub fn run(options: &Options) -> Outcome {
    let Extraction { rows, notes } = extract(&options.read_input()?)?;
    for note in notes {
        eprintln!("larkive: {note}");
    }
    let print = || -> Outcome {
        let mut printer = Printer::new(stdout(), options.format.choose());
        printer.print(&rows)?;
        printer.finish::<ExtractedRow>()?;
        Ok(Exit::Done)
    };
    forgive_closed_pipe(print())
}

impl Options {
    /// The JSON text to look through.
    ///
    /// # Errors
    /// If the file cannot be read, or is not UTF-8.
    pub fn read_input(&self) -> anyhow::Result<String> {
        if self.file == Path::new("-") {
            return io::read_to_string(io::stdin()).context("Failed to read standard input");
        }
        fs::read_to_string(&self.file).with_context(|| format!("Failed to read {}", self.file.display()))
    }
}

/// One resource, as the command prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtractedRow {
    /// The message that names it; none if the input does not say.
    pub message_id: Option<String>,
    /// That message's type, as the platform says.
    pub message_type: Option<String>,
    /// What it is in its message.
    pub role: Role,
    /// The download API's `type`.
    #[serde(rename = "type")]
    pub kind: Option<ResourceType>,
    /// Its key.
    pub key: String,
    /// The name that the message gives it.
    pub file_name: Option<String>,
    /// The state that its row would begin in.
    pub state: State,
    /// Why that is not `pending`.
    pub reason_code: Option<ReasonCode>,
}

impl Record for ExtractedRow {
    const COLUMNS: &'static [&'static str] =
        &["message_id", "message_type", "role", "type", "key", "file_name", "state", "reason_code"];
    const HEADINGS: &'static [&'static str] =
        &["MESSAGE", "MESSAGE TYPE", "ROLE", "TYPE", "KEY", "NAME", "STATE", "REASON"];

    fn values(&self) -> Vec<Cell> {
        vec![
            Cell::text(self.message_id.as_ref()),
            Cell::text(self.message_type.as_ref()),
            Cell::text(Some(self.role)),
            Cell::text(self.kind),
            Cell::text(Some(&self.key)),
            Cell::text(self.file_name.as_ref()),
            Cell::text(Some(self.state)),
            Cell::text(self.reason_code),
        ]
    }

    fn cells(&self, _: &Zone) -> Vec<String> {
        self.values().iter().map(|cell| cell.as_str().to_owned()).collect()
    }
}

/// Everything found in one input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extraction {
    /// The resources, in the order of the input.
    pub rows: Vec<ExtractedRow>,
    /// What was not understood, one line each; safe to print on a terminal.
    pub notes: Vec<String>,
}

/// Finds the resources in an event (v2.0 or v1.0), in its `event` or `message` object, in one
/// message of a listing, or in a whole answer of the listing API.
///
/// # Errors
/// If the text is none of these; the line says what would help.
pub fn extract(text: &str) -> anyhow::Result<Extraction> {
    // Editors on Windows put a byte order mark before the text.
    let input: Value =
        json::read(text.trim_start_matches('\u{feff}')).map_err(|reason| anyhow!("the input {reason}"))?;
    let mut extraction = Extraction::default();
    if let Some(items) = listed(&input) {
        extraction.add_listing(items);
    } else if input.get("encrypt").is_some_and(Value::is_string) {
        bail!("the input is encrypted; decrypt it with the app's Encrypt Key first");
    } else if is_event(&input) {
        let event = event::read_value(&NO_APP.parse()?, &input).context("the event cannot be read")?;
        extraction.add_event(event);
    } else if let Some(message) = Message::of(input.get("message").unwrap_or(&input)) {
        extraction.add(&message, Forwards::StillClosed);
    } else {
        bail!(
            "the input is no event, message or listing of messages; an event has `schema` or `type`, \
             a message `message_type` and `content`, a listing `data.items`"
        );
    }
    Ok(extraction)
}

/// The messages of a listing, as the API answers or without the envelope.
fn listed(input: &Value) -> Option<&Vec<Value>> {
    input.pointer("/data/items").or_else(|| input.get("items"))?.as_array()
}

fn is_event(input: &Value) -> bool {
    let has = |member| input.get(member).is_some();
    has("schema") || has("event") && (has("header") || input.get("type").is_some_and(|kind| kind == "event_callback"))
}

/// Whether the messages inside a forward stand beside it.
#[derive(Clone, Copy, PartialEq)]
enum Forwards {
    StillClosed,
    Opened,
}

/// What extraction needs of a message; unlike the archive it does without ids.
struct Message<'a> {
    message_id: Option<&'a str>,
    message_type: &'a str,
    content: &'a str,
    recalled: bool,
}

impl<'a> Message<'a> {
    /// A message in an event's spelling or in a listing's.
    fn of(message: &'a Value) -> Option<Self> {
        let text = |path| message.pointer(path).and_then(Value::as_str);
        let recalled = message.get("deleted").and_then(Value::as_bool) == Some(true);
        let content = text("/content").or_else(|| text("/body/content"));
        Some(Self {
            message_id: text("/message_id").filter(|id| !id.is_empty()),
            message_type: text("/message_type").or_else(|| text("/msg_type"))?,
            content: if recalled { content.unwrap_or_default() } else { content? },
            recalled,
        })
    }
}

impl Extraction {
    fn add_event(&mut self, event: Event) {
        match event {
            Event::MessageReceived(message) => {
                let message = Message {
                    message_id: Some(message.message_id.as_str()),
                    message_type: &message.message_type,
                    content: &message.content,
                    recalled: false,
                };
                self.add(&message, Forwards::StillClosed);
            }
            Event::TicketMessage(message) => self.add_ticket_images(&message),
            Event::Unused { event_type } => self.notes.push(format!("an event of type {event_type:?} is not used")),
            Event::Recalled { .. }
            | Event::BotAdded(_)
            | Event::BotDeleted(_)
            | Event::ChatDisbanded(_)
            | Event::ChatUpdated(_)
            | Event::AppTicket { .. } => self.notes.push("an event of this type carries no message".to_owned()),
        }
    }

    /// Adds the messages of a listing. A forward whose messages are listed with it is open.
    fn add_listing(&mut self, items: &[Value]) {
        let upper = |item: &Value| item.get("upper_message_id").and_then(Value::as_str).map(str::to_owned);
        let containers: HashSet<String> = items.iter().filter_map(upper).collect();
        for (position, item) in items.iter().enumerate() {
            let Some(message) = Message::of(item) else {
                self.notes.push(format!("item {position} is no message"));
                continue;
            };
            let lists_children = message.message_id.is_some_and(|id| containers.contains(id));
            let opened = lists_children || upper(item).is_some();
            self.add(&message, if opened { Forwards::Opened } else { Forwards::StillClosed });
        }
    }

    fn add(&mut self, message: &Message<'_>, forwards: Forwards) {
        let name = message.message_id.unwrap_or("the message").escape_debug().to_string();
        if message.recalled {
            self.notes.push(format!("{name}: recalled, its content is gone"));
            return;
        }
        let content = content::read(message.message_type, message.content);
        self.notes.extend(content.notes.iter().map(|note| format!("{name}: {note}")));
        let found = content.resources.into_iter().map(|found| ExtractedRow::of(message, found));
        self.rows.extend(found);
        if content.forward && forwards == Forwards::StillClosed {
            self.add_forward(message);
        }
    }

    /// A forward that is not opened yet is a row of its own, named like its message.
    fn add_forward(&mut self, message: &Message<'_>) {
        let key = message.message_id.unwrap_or_default().parse();
        match key {
            Ok(key) => {
                let found = Found { role: Role::Forward, kind: None, key, file_name: None, cover: None };
                self.rows.push(ExtractedRow::of(message, found));
            }
            Err(_) => self.notes.push("the message: a forward without message_id cannot be opened".to_owned()),
        }
    }

    /// Images of helpdesk tickets have no key of their own: ticket, message and position name them.
    fn add_ticket_images(&mut self, message: &TicketMessage) {
        for position in &message.images {
            self.rows.push(ExtractedRow {
                message_id: message.message_id.as_ref().map(ToString::to_string),
                message_type: message.message_type.clone(),
                role: Role::Image,
                kind: None,
                key: format!("{}/{}/{}", message.ticket_id, message.ticket_message_id, position.unwrap_or(0)),
                file_name: None,
                state: State::Pending,
                reason_code: None,
            });
        }
    }
}

impl ExtractedRow {
    fn of(message: &Message<'_>, found: Found) -> Self {
        let reason_code = found.hopeless();
        Self {
            message_id: message.message_id.map(str::to_owned),
            message_type: Some(message.message_type.to_owned()),
            role: found.role,
            kind: found.kind,
            state: reason_code.map_or(State::Pending, ReasonCode::state),
            reason_code,
            key: found.key.into(),
            file_name: found.file_name,
        }
    }
}
