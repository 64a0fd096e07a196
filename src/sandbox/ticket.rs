//! The stand-in's helpdesk: images in tickets, the events that tell of them, the subscription.
//!
//! Sample tickets have an id that is a number beginning with 65. What a message in one is follows
//! from the last digit of its id: with 0 it is an image, with any other digit a post with so many.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::event::{App, SENDER, TENANT_KEY, hex_id};
use super::noise::mixed;
use super::samples::{Media, Sample};
use super::wire::Request;
use crate::domain::time::Timestamp;

/// How the app shows that it may see the helpdesk.
const HELPDESK_AUTHORIZATION: &str = "x-lark-helpdesk-authorization";
/// The chat of every sample ticket; helpdesk events carry plain digits.
pub const TICKET_CHAT: &str = "6949088236610273307";

/// An image in a ticket, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketImage {
    /// The ticket.
    pub ticket_id: String,
    /// The message in it.
    pub msg_id: String,
    /// The position in a post.
    pub index: Option<u32>,
}

impl TicketImage {
    pub(super) fn asked_for(request: &Request) -> Result<Self, Refusal> {
        show_access(request)?;
        let given = |name| request.parameter(name).ok_or_else(bad_request);
        let index = request.parameter("index").map(|text| text.parse()).transpose().map_err(|_| bad_request())?;
        Ok(Self { ticket_id: given("ticket_id")?, msg_id: given("msg_id")?, index })
    }

    /// The key that an archive gives it.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.ticket_id, self.msg_id, self.index.unwrap_or(0))
    }

    /// Its bytes, if there is such an image and it is asked for in the right way.
    pub(super) fn sample(&self) -> Result<Sample, Refusal> {
        let unknown = || Refusal::new(404, 154004, "ticket and message do not match");
        let number = |id: &str| id.parse::<u64>().map_err(|_| unknown());
        let (ticket, message) = (number(&self.ticket_id)?, number(&self.msg_id)?);
        if !self.ticket_id.starts_with("65") {
            return Err(unknown());
        }
        match (message % 10, self.index) {
            (0, Some(_)) | (1.., None) => return Err(bad_request()),
            (images @ 1.., Some(index)) if u64::from(index) >= images => return Err(unknown()),
            _ => {}
        }
        let seed = mixed(mixed(ticket) ^ message).wrapping_add(u64::from(self.index.unwrap_or(0)));
        Ok(Media::Png.sample(seed))
    }
}

fn bad_request() -> Refusal {
    Refusal::new(400, 154000, "bad request")
}

fn show_access(request: &Request) -> Result<(), Refusal> {
    match request.header(HELPDESK_AUTHORIZATION) {
        Some(_) => Ok(()),
        None => Err(Refusal::new(403, 154003, "no access")),
    }
}

/// Answers a subscription to events of tickets. Nothing depends on it.
pub(super) fn subscribe(request: &Request) -> Result<Answer, Refusal> {
    show_access(request)?;
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| bad_request())?;
    match body.get("events").and_then(Value::as_array) {
        Some(events) if !events.is_empty() => Ok(Answer::json(200, &json!({ "code": 0, "msg": "success" }))),
        _ => Err(bad_request()),
    }
}

/// A `helpdesk.ticket_message.created_v1` event.
#[derive(Debug, Clone)]
pub struct TicketEvent {
    /// The id of the delivery.
    pub event_id: String,
    /// The id of the message in its chat.
    pub message_id: String,
    /// The ticket.
    pub ticket_id: String,
    /// The id of the message in the ticket.
    pub msg_id: String,
}

impl TicketEvent {
    /// A sample: an image, or a post with so many images.
    #[must_use]
    pub fn sample(images: Images, seed: u64) -> Self {
        let last_digit = match images {
            Images::One => 0,
            Images::Post => 3,
        };
        let digits = mixed(seed) % 10_000_000_000_000_000;
        let name = [&last_digit.to_string(), "ticket", &seed.to_string()];
        Self {
            event_id: hex_id(&["event", &hex_id(&name)]),
            message_id: format!("om_{}", hex_id(&name)),
            ticket_id: format!("65{digits:016}"),
            msg_id: format!("69{digits:016}{last_digit}"),
        }
    }

    /// Its images, in their order.
    #[must_use]
    pub fn images(&self) -> Vec<TicketImage> {
        let image = |index| TicketImage { ticket_id: self.ticket_id.clone(), msg_id: self.msg_id.clone(), index };
        match self.msg_id.bytes().next_back() {
            Some(digit @ b'1'..=b'9') => (0..u32::from(digit - b'0')).map(|index| image(Some(index))).collect(),
            _ => vec![image(None)],
        }
    }

    /// The event in the v2.0 envelope, sent now.
    #[must_use]
    pub fn payload(&self, app: &App, now: Timestamp) -> Value {
        let keys: Vec<String> = self.images().iter().map(|image| format!("img_{}", hex_id(&[&image.key()]))).collect();
        let content = match keys.as_slice() {
            [only] if self.msg_id.ends_with('0') => json!({ "msg_type": "image", "image_key": only }),
            keys => json!({ "msg_type": "post", "content": "请看附图", "image_keys": keys }),
        };
        json!({
            "schema": "2.0",
            "header": {
                "event_id": self.event_id,
                "event_type": "helpdesk.ticket_message.created_v1",
                "create_time": now.unix_ms().to_string(),
                "token": app.verification_token.reveal(),
                "app_id": app.app_id,
                "tenant_key": TENANT_KEY,
            },
            "event": {
                "ticket_message_id": self.msg_id,
                "message_id": self.message_id,
                "msg_type": content.get("msg_type"),
                "position": "1",
                "sender_id": { "open_id": SENDER },
                "sender_type": 2,
                "text": "请看附图",
                "ticket": { "ticket_id": self.ticket_id, "status": 2, "comments": [] },
                "event_id": hex_id(&["inner", &self.event_id]),
                "chat_id": TICKET_CHAT,
                "content": content,
            },
        })
    }
}

/// How many images a sample has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// The message is an image.
    One,
    /// The message is a post with three.
    Post,
}
