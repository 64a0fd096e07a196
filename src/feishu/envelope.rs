//! The envelope of a payload: what it says of itself before anybody believes or understands it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

/// What a payload says about itself without being understood; a member of another type than text
/// counts as missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// `header.event_id` (v2.0) or `uuid` (v1.0).
    pub event_id: Option<String>,
    /// `header.event_type` (v2.0) or `event.type` (v1.0).
    pub event_type: Option<String>,
    /// The message that the event is about.
    pub message_id: Option<String>,
}

/// A payload, read as far as it says of itself.
pub(super) struct Envelope<'a> {
    top: Members<'a>,
    header: Option<Members<'a>>,
    challenge: Option<String>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a payload.
    pub(super) fn read(payload: &'a str) -> serde_json::Result<Self> {
        let top = Members::read(payload)?;
        let header = top.object("header");
        let challenge = top.text("challenge").filter(|_| top.text("type").as_deref() == Some("url_verification"));
        Ok(Self { top, header, challenge })
    }

    /// The text to echo, if it is a check of the address.
    pub(super) fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    /// The verification token. Which one counts follows the envelope: v2.0 carries it in the header, v1.0 and
    /// challenges at the top.
    pub(super) fn token(&self) -> Option<String> {
        let in_header = || self.header.as_ref().and_then(|header| header.text("token"));
        match (&self.challenge, &self.header) {
            (Some(_), _) => self.top.text("token").or_else(in_header),
            (None, Some(_)) => in_header(),
            (None, None) => self.top.text("token"),
        }
    }

    /// Where verification tokens stand in the text that the envelope was read from.
    pub(super) fn tokens(&self, text: &str) -> [Option<Range<usize>>; 2] {
        [Some(&self.top), self.header.as_ref()].map(|members| members.and_then(|members| members.place("token", text)))
    }

    /// The app that it names, if it names one, and which event it is.
    pub(super) fn event(&self) -> (Option<String>, Identity) {
        let event = self.top.object("event");
        let app_id = self.header.as_ref().or(event.as_ref()).and_then(|object| object.text("app_id"));
        let message = event.as_ref().and_then(|event| event.object("message"));
        let message_id = message.as_ref().or(event.as_ref()).and_then(|object| object.text("message_id"));
        let (event_id, event_type) = match &self.header {
            Some(header) => (header.text("event_id"), header.text("event_type")),
            None => (self.top.text("uuid"), event.as_ref().and_then(|event| event.text("type"))),
        };
        (app_id, Identity { event_id, event_type, message_id })
    }
}

/// The members of a JSON object, unread. The whole text is checked to be JSON, however deep, but
/// only what is asked for is parsed. Of members with the same name the last counts.
pub(super) struct Members<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Members<'a> {
    /// Reads an object.
    pub(super) fn read(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(Self)
    }

    /// Whether it has this member and no other.
    pub(super) fn has_only(&self, name: &str) -> bool {
        self.0.len() == 1 && self.0.contains_key(name)
    }

    /// A member that is a text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// Where the value of a member stands in the text that it was read from.
    fn place(&self, name: &str, text: &str) -> Option<Range<usize>> {
        let value = self.0.get(name)?.get();
        let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let place = start..start + value.len();
        (text.get(place.clone()) == Some(value)).then_some(place)
    }

    fn object(&self, name: &str) -> Option<Members<'a>> {
        self.0.get(name).copied().and_then(|value| serde_json::from_str(value.get()).ok()).map(Self)
    }
}
