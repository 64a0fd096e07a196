//! The platform's API as the stand-in plays it: tokens for everybody, bytes for whoever has one.

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use serde_json::json;

use super::answer::{Answer, Refusal};
use super::call::{Call, Route};
use super::desk::Desk;
use super::dictionary;
use super::directory;
use super::faults::{Action, RangeFault, Spelling};
use super::listing::{Cards, Messages};
use super::samples::{self, Origin};
use super::shelf::{Item, Reader, Shelf};
use super::ticket::{self, TicketImage};
use super::tokens::{Holder, Tokens};
use super::wire::Request;
use crate::clock::Clock;
use crate::domain::resource::ResourceType;

/// The API with what it remembers.
#[derive(Debug)]
pub(super) struct Api {
    shelf: Shelf,
    /// The messages that can be asked for.
    pub(super) messages: Messages,
    tokens: Tokens,
    clock: Clock,
}

/// What a request for bytes wants of them.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nonsense,
}

impl Api {
    pub(super) fn new(fixtures: Option<PathBuf>, clock: Clock) -> Self {
        Self { shelf: Shelf::new(fixtures), messages: Messages::default(), tokens: Tokens::default(), clock }
    }

    /// Adds who calls, as far as the call tells.
    pub(super) fn identify(&self, request: &Request, call: Call) -> Call {
        let Some(holder) = self.desk().caller(request) else { return call };
        let (app_id, tenant_key) = (Some(holder.app_id().to_owned()), holder.tenant_key().map(str::to_owned));
        Call { app_id, tenant_key, ..call }
    }

    /// Where tokens are handed out.
    fn desk(&self) -> Desk<'_> {
        Desk { tokens: &self.tokens, now: self.clock.now() }
    }

    /// Answers a call: as it should be, or as the action wants it.
    pub(super) async fn answer(&self, request: &Request, call: &Call, action: &Action, log_id: &str) -> Answer {
        let answer = match scripted(action, log_id) {
            Some(answer) => answer,
            None => match self.proper(request, call, action).await {
                Ok(answer) => altered(answer, action),
                Err(refusal) => refusal.answer(log_id),
            },
        };
        answer.with("X-Tt-Logid", log_id)
    }

    async fn proper(&self, request: &Request, call: &Call, action: &Action) -> Result<Answer, Refusal> {
        match call.route {
            Route::Token | Route::AppToken | Route::TenantToken | Route::TicketResend => {
                self.desk().answer(request, call.route, action)
            }
            Route::Chat | Route::Members | Route::Users => {
                self.authorise(request)?;
                let data = directory::answer(request, call)?;
                Ok(Answer::json(200, &json!({"code": 0, "msg": "success", "data": data})))
            }
            Route::Other => Err(Refusal::new(404, 404, "404 page not found")),
            Route::Message => {
                self.authorise(request)?;
                self.list(request, call)
            }
            Route::LingoEntities => {
                self.authorise(request)?;
                dictionary::page(request)
            }
            Route::HelpdeskSubscribe => {
                self.authorise(request)?;
                ticket::subscribe(request)
            }
            _ => {
                self.authorise(request)?;
                let item = self.look_up(request, call).await?;
                let name = match action {
                    Action::Disposition { file_name: Some(name), .. } => Some(name.clone()),
                    _ => item.file_name.clone(),
                };
                let answer = hand_out(request, call.route, item, action).await?;
                Ok(match name {
                    Some(name) => answer.with("Content-Disposition", disposition(&name, spelling(action))),
                    None => answer,
                })
            }
        }
    }

    fn authorise(&self, request: &Request) -> Result<(), Refusal> {
        let Some(token) = bearer(request) else {
            return Err(Refusal::new(
                400,
                99991661,
                "Missing access token for authorization. Please make a request with token attached.",
            ));
        };
        if matches!(self.tokens.holder_of(token, self.clock.now()), None | Some(Holder::Store { .. })) {
            return Err(Refusal::new(
                400,
                99991663,
                "Invalid access token for authorization. Please make a test attempt with correct token type.",
            ));
        }
        Ok(())
    }

    fn list(&self, request: &Request, call: &Call) -> Result<Answer, Refusal> {
        let cards = match request.parameter("card_msg_content_type").as_deref() {
            Some("user_card_content") => Cards::AsSent,
            _ => Cards::Rendered,
        };
        let items = self.messages.list(call.message_id.as_deref().unwrap_or_default(), cards);
        let items = items.ok_or_else(|| Refusal::new(400, 230002, "Bot/User can NOT be out of the chat."))?;
        Ok(Answer::json(200, &json!({"code": 0, "msg": "success", "data": {"items": items}})))
    }

    async fn look_up(&self, request: &Request, call: &Call) -> Result<Item, Refusal> {
        let key = call.key.as_deref().unwrap_or_default();
        match call.route {
            Route::Resource => {
                let asked: Option<ResourceType> = request.parameter("type").and_then(|text| text.parse().ok());
                let asked = asked.ok_or_else(|| Refusal::new(400, 234001, "Invalid request param."))?;
                if call.message_id.as_deref().is_some_and(|id| self.messages.is_inside_forward(id)) {
                    return Err(Refusal::new(400, 234003, "File not in msg."));
                }
                let item = self.shelf.find(key).await;
                let item = item.ok_or_else(|| Refusal::new(400, 234003, "File not in msg."))?;
                if item.kind.is_some_and(|kind| kind != asked) {
                    return Err(Refusal::new(400, 234001, "Invalid request param."));
                }
                Ok(item)
            }
            Route::Baike => self.shelf.find(key).await.ok_or_else(|| Refusal::new(400, 1540001, "invalid param")),
            Route::Lingo => self.shelf.find(key).await.ok_or_else(|| Refusal::new(400, 2250001, "invalid param")),
            Route::TicketImage => self.shelf.find_ticket_image(&TicketImage::asked_for(request)?).await,
            // What somebody sent is not the app's own, whatever the app was shown of it.
            Route::Image | Route::File if samples::origin_of(key) == Some(Origin::Sent) => {
                Err(Refusal::new(400, 234008, "The app is not the resource sender."))
            }
            _ => self.shelf.find(key).await.ok_or_else(|| Refusal::new(400, 234003, "File not in msg.")),
        }
    }
}

/// The token of a request.
pub(super) fn bearer(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ").filter(|token| !token.is_empty())
}

/// The answers that a script gives without looking at anything.
fn scripted(action: &Action, log_id: &str) -> Option<Answer> {
    match action {
        Action::Answer { status, code, msg, headers } => {
            let answer = Refusal::new(*status, *code, msg).answer(log_id);
            Some(headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value.as_bytes())))
        }
        Action::Page { status } => {
            let page =
                format!("<!DOCTYPE html><html><head><title>{status}</title></head><body>{status}</body></html>\n");
            Some(Answer::new(*status, "text/html; charset=utf-8", page))
        }
        Action::TokenExpired { status } => {
            Some(Refusal::new(*status, 99991663, "Invalid access token for authorization.").answer(log_id))
        }
        Action::RateLimited { status, reset } => {
            let answer = Refusal::new(*status, 99991400, "request trigger frequency limit").answer(log_id);
            Some(match reset {
                Some(seconds) => {
                    answer.with("x-ogw-ratelimit-limit", "50").with("x-ogw-ratelimit-reset", seconds.to_string())
                }
                None => answer,
            })
        }
        _ => None,
    }
}

/// A proper answer with the changes that an action wants.
fn altered(answer: Answer, action: &Action) -> Answer {
    match action {
        Action::Empty => answer.carrying(Reader::Fixed(Bytes::new()), 0),
        Action::Headers { set } => set.iter().fold(answer, |answer, (name, value)| match value {
            Some(value) => answer.with(name, value.as_bytes()),
            None => answer.without(name),
        }),
        _ => answer,
    }
}

/// The bytes of an item, or the part of them that was asked for. Only files know ranges.
async fn hand_out(request: &Request, route: Route, item: Item, action: &Action) -> Result<Answer, Refusal> {
    let total = item.size_bytes;
    let ranged = route == Route::Resource && request.parameter("type").as_deref() == Some("file");
    let asked = request.header("range").filter(|_| ranged);
    if asked.is_none() && *action == Action::RefuseWhole {
        return Err(Refusal::new(400, 234037, "Downloaded file size exceeds limit."));
    }
    let wanted = match (asked, action) {
        (_, Action::Range(RangeFault::Ignored)) | (None, _) => Wanted::Whole,
        (_, Action::Range(RangeFault::Refused)) => Wanted::Nonsense,
        (Some(text), _) => wanted(text, total),
    };
    let mime = item.mime;
    match wanted {
        Wanted::Nonsense => Ok(Answer::new(416, mime, "").with("Content-Range", format!("bytes */{total}"))),
        Wanted::Whole => Ok(Answer::new(200, mime, "").carrying(item.open(0..total).await?, total)),
        Wanted::Part(range) => {
            let end = if *action == Action::Range(RangeFault::OneByte) { range.start + 1 } else { range.end };
            let shift = u64::from(*action == Action::Range(RangeFault::Shifted));
            let claim = format!("bytes {}-{}/{total}", range.start + shift, end - 1 + shift);
            let answer = Answer::new(206, mime, "").with("Content-Range", claim);
            Ok(answer.carrying(item.open(range.start..end).await?, end - range.start))
        }
    }
}

/// Reads a `Range` of one part; RFC 9110 allows to answer any other with the whole.
fn wanted(text: &str, total: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::Whole;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..total.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..total,
        (Err(_), Ok(last)) if first.is_empty() => total.saturating_sub(last)..total,
        _ => return Wanted::Whole,
    };
    if range.is_empty() { Wanted::Nonsense } else { Wanted::Part(range) }
}

fn spelling(action: &Action) -> Spelling {
    match action {
        Action::Disposition { spelling, .. } => *spelling,
        _ => Spelling::Raw,
    }
}

/// `Content-Disposition` for a file name, in one of the spellings that were seen.
fn disposition(name: &str, spelling: Spelling) -> Vec<u8> {
    let percent = || utf8_percent_encode(name, NON_ALPHANUMERIC);
    match spelling {
        Spelling::Raw => format!("attachment; filename=\"{}\"", name.replace('"', "\\\"")).into_bytes(),
        Spelling::Unquoted => format!("attachment; filename={name}").into_bytes(),
        Spelling::Extended => format!("attachment; filename*=UTF-8''{}", percent()).into_bytes(),
        Spelling::Percent => format!("attachment; filename=\"{}\"", percent()).into_bytes(),
        Spelling::Gbk => {
            let (encoded, _, _) = encoding_rs::GBK.encode(name);
            [b"attachment; filename=\"", encoded.as_ref(), b"\""].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let check = |text, expected| assert_eq!(wanted(text, 100), expected, "{text}");
        check("bytes=0-9", Wanted::Part(0..10));
        check("bytes=90-", Wanted::Part(90..100));
        check("bytes=90-1000", Wanted::Part(90..100));
        check("bytes=-7", Wanted::Part(93..100));
        check("bytes=-700", Wanted::Part(0..100));
        check("bytes=100-", Wanted::Nonsense);
        check("bytes=9-0", Wanted::Whole);
        check("bytes=-0", Wanted::Nonsense);
        check("bytes=0-1,5-6", Wanted::Whole);
        check("lines=1-2", Wanted::Whole);
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nonsense);
    }
}
