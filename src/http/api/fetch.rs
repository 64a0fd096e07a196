//! Fetching by hand: a thing is named, becomes a row, and is left to the worker.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Api;
use crate::archive::asker::{Asker, NoTenant};
use crate::catalogue::listing::resource;
use crate::catalogue::resources::Take;
use crate::domain::actor::Actor;
use crate::domain::id::{MessageId, ResourceKey};
use crate::domain::resource::ResourceType;
use crate::domain::source::{Source, Target};
use crate::http::error::Problem;
use crate::http::exchange::BodyFault;

/// The longest body: a few ids and a key.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// What can be fetched from.
const SOURCES: [&str; 8] = ["resource", "message", "image", "file", "baike", "lingo", "ticket-image", "ticket_image"];

/// What to fetch, as the caller says it. Which members are needed depends on the source.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Body {
    /// Where it is asked for, as the command line or as a resource's JSON says it.
    #[schemars(required, extend("enum" = SOURCES))]
    source: Option<String>,
    /// The app that asks; needed where several are served.
    app_id: Option<String>,
    /// In whose name a store app asks, where no message tells (`resource`, `image`, `file`).
    tenant: Option<String>,
    /// The message (`resource`).
    message: Option<String>,
    /// The key (all but `ticket-image`).
    key: Option<String>,
    /// `image` or `file` (`resource`).
    r#type: Option<String>,
    /// The ticket (`ticket-image`).
    ticket: Option<String>,
    /// The ticket's message (`ticket-image`).
    msg: Option<String>,
    /// The position of the image in a post, from 0 (`ticket-image`).
    index: Option<u32>,
    /// Whether to ask again for what is stored already.
    force: Option<bool>,
}

/// The limit of every body: only this route has one.
pub(super) fn body_limit() -> web::PayloadConfig {
    web::PayloadConfig::new(MAX_BODY_BYTES)
}

/// `POST /api/v1/fetch`
pub(super) async fn fetch(
    api: web::Data<Api>,
    caller: web::ReqData<Actor>,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let mut body = read(body)?;
    let mut asker = choose_app(&api.apps, body.app_id.take())?;
    asker.tenant_key = body.tenant.take().map(|tenant| parsed("tenant", Some(tenant))).transpose()?;
    let take = if body.force.take() == Some(true) { Take::Anyway } else { Take::Pending };
    let target = body.target()?;
    let id = api.commands(caller).order(&asker, &target, take).await.map_err(without_tenant)?;
    (api.wake)();
    let hidden = || Problem::not_found("the resource is hidden, because its message was recalled");
    let resource = resource::find(&api.catalogue, id).await?.ok_or_else(hidden)?;
    Ok(HttpResponse::Accepted().insert_header((header::LOCATION, format!("/api/v1/resources/{id}"))).json(resource))
}

fn read(body: Result<web::Bytes, actix_web::Error>) -> Result<Body, Problem> {
    let body = body.map_err(|error| unreadable(error.as_error().map_or(BodyFault::Broken, BodyFault::of)))?;
    serde_json::from_slice(&body).map_err(|error| {
        let example = r#"{"source":"image","key":"img_…"}"#;
        Problem::bad_request("bad_body", format!("the body is not what is expected ({error}); for example {example}"))
    })
}

fn unreadable(fault: BodyFault) -> Problem {
    let (code, detail) = match fault {
        BodyFault::TooLarge => ("too_large", format!("the body is longer than {MAX_BODY_BYTES} bytes")),
        BodyFault::TooSlow => ("too_slow", "the body did not come in time".to_owned()),
        BodyFault::TooBusy => ("busy", "too much is coming in at once; try again in a moment".to_owned()),
        BodyFault::Broken => ("bad_body", "the body could not be read".to_owned()),
    };
    Problem::new(fault.status(), code, detail)
}

fn without_tenant(error: NoTenant) -> Problem {
    match error {
        NoTenant::Custom(_) => bad_value("tenant", error),
        NoTenant::NoneKnown(_) | NoTenant::Several(..) => {
            Problem::bad_request("missing_value", format!("tenant: {error}"))
        }
        NoTenant::Catalogue(error) => error.into(),
    }
}

/// The app that asks: the one that is named, or the only one there is.
fn choose_app(apps: &[Asker], named: Option<String>) -> Result<Asker, Problem> {
    let wrong = |detail| Problem::bad_request("bad_value", detail);
    match (named, apps) {
        (Some(named), apps) => {
            let known = apps.iter().find(|app| app.app_id.as_str() == named);
            known.cloned().ok_or_else(|| wrong("app_id: no such app is served here".to_owned()))
        }
        (None, [app]) => Ok(app.clone()),
        (None, _) => Err(wrong("app_id: several apps are served here; say which one asks".to_owned())),
    }
}

impl Body {
    /// Reads the members that the source needs; any other one is refused.
    fn target(mut self) -> Result<Target, Problem> {
        let named = required("source", self.source.take())?;
        let source = Source::from_words(&named).map_err(|error| bad_value("source", error))?;
        let target = match source {
            Source::Message => Target::MessageResource {
                message_id: parsed::<MessageId>("message", self.message.take())?,
                key: self.key()?,
                kind: parsed::<ResourceType>("type", self.r#type.take())?,
            },
            Source::Image => Target::Image { key: self.key()? },
            Source::File => Target::File { key: self.key()? },
            Source::Baike => Target::Baike { key: self.key()? },
            Source::Lingo => Target::Lingo { key: self.key()? },
            Source::TicketImage => Target::TicketImage {
                ticket_id: required("ticket", self.ticket.take())?,
                msg_id: required("msg", self.msg.take())?,
                index: self.index.take(),
            },
        };
        match self.left_over() {
            Some(name) => Err(bad_value(name, format_args!("it has no meaning for the source {source}"))),
            None => Ok(target),
        }
    }

    fn key(&mut self) -> Result<ResourceKey, Problem> {
        parsed("key", self.key.take())
    }

    /// A member that nobody asked for.
    fn left_over(&self) -> Option<&'static str> {
        [
            ("message", self.message.is_some()),
            ("key", self.key.is_some()),
            ("type", self.r#type.is_some()),
            ("ticket", self.ticket.is_some()),
            ("msg", self.msg.is_some()),
            ("index", self.index.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

fn required(name: &str, value: Option<String>) -> Result<String, Problem> {
    let missing = || Problem::bad_request("missing_value", format!("{name}: it is missing"));
    value.filter(|value| !value.is_empty()).ok_or_else(missing)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: Option<String>) -> Result<T, Problem> {
    required(name, value)?.parse().map_err(|error| bad_value(name, error))
}

fn bad_value(name: &str, fault: impl std::fmt::Display) -> Problem {
    Problem::bad_request("bad_value", format!("{name}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_that_are_named_are_the_sources_there_are() {
        for source in SOURCES {
            assert!(Source::from_words(source).is_ok(), "{source}");
        }
        for source in Source::ALL {
            assert!(SOURCES.contains(&source.as_str()), "{source}");
        }
    }
}
