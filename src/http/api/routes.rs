//! Every path of the API with its description: what is served and what the document says is this list.

use serde_json::json;

use super::endpoint::{Content, Endpoint, Parameter};
use super::fetch::{self, Body};
use super::messages::{self, Items};
use super::resources::{self, Queued};
use super::{changes, chats, content, events, reader, statistics, thumbnail};
use crate::catalogue::changes::Changes;
use crate::catalogue::listing::chat::Chat;
use crate::catalogue::listing::delivery::{Delivery, DeliveryResult};
use crate::catalogue::listing::resource::{Detail, Resource};
use crate::catalogue::listing::{DEFAULT_LIMIT, PAGE_LIMITS, Page};
use crate::catalogue::statistics::Breakdown;
use crate::domain::download::State;
use crate::domain::filter::Filter;
use crate::domain::resource::Role;
use crate::domain::source::Source;

const PAGED: &str = "Ask for the next page with `cursor` set to `next_cursor` and everything else as it was.";

const FROM: &str =
    "Sent at this time or later: RFC 3339 with zone, `YYYY-MM-DD`, or a span back from now such as `7d`.";

/// Every endpoint. Where two paths fit a request, the first one takes it.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::read("/openapi.json", "This description", |route| route.to(reader::document))
            .about("The API as an OpenAPI 3.1 document.")
            .answers_with(200, "The document.", Content::Text("application/json")),
        Endpoint::read("/docs", "This description, to be read", |route| route.to(reader::page))
            .about("The same as a page that needs nothing from anywhere else.")
            .answers_with(200, "The page.", Content::Text("text/html")),
    ];
    endpoints.extend(of_resources());
    endpoints.extend(of_everything_else());
    endpoints
}

fn of_resources() -> [Endpoint; 7] {
    [
        Endpoint::read("/v1/resources", "List resources", |route| route.to(resources::list))
            .about(
                "Newest first, and stable while rows are added: what was there when paging began comes \
                exactly once.",
            )
            .takes(filters().chain(paging()))
            .answers::<Page<Resource>>(200, PAGED)
            .refuses(400, "A parameter, a value or the cursor does not fit."),
        Endpoint::post("/v1/resources/retry", "Retry resources", |route| route.to(resources::retry_matching))
            .about(
                "Makes everything due that the filters ask for and that is `blocked`, `gone`, `impossible` or \
                waiting.",
            )
            .takes(filters())
            .takes([Parameter::word("all", "Without any filter: say that all of them are meant.", &["true", "false"])])
            .answers::<Queued>(202, "They are queued.")
            .refuses(400, "A filter does not fit, or there is none and `all` is not `true`."),
        Endpoint::read("/v1/resources/{id}", "Show a resource", |route| route.to(resources::show))
            .about("With every try to download it, the oldest first.")
            .takes([resource_id()])
            .answers::<Detail>(200, "The resource.")
            .refuses(404, "There is no such resource, or it is hidden."),
        Endpoint::read("/v1/resources/{id}/content", "Download a resource", |route| route.to(content::serve))
            .about(
                "The bytes, always as an attachment under the original name. `ETag` is the SHA-256; one range of \
                bytes can be asked for, with `If-Range` or without.",
            )
            .takes([resource_id()])
            .answers_with(200, "All bytes.", Content::Bytes)
            .answers_with(206, "The range of bytes that was asked for.", Content::Bytes)
            .refuses(404, "There is no such resource, or (`not_stored`) its bytes are not here.")
            .refuses(412, "`If-Match` names other bytes.")
            .refuses(416, "The range lies behind the end."),
        Endpoint::read("/v1/resources/{id}/thumbnail", "Show a small picture", |route| route.to(thumbnail::serve))
            .about("A WebP of at most 320 pixels a side, of an image or of the cover of a video.")
            .takes([resource_id()])
            .answers_with(200, "The picture.", Content::Bytes)
            .refuses(
                404,
                "There is no such resource, or (`no_thumbnail`) no picture of it, or (`thumbnail_not_ready`) not yet: \
                `Retry-After` says when to ask again.",
            ),
        Endpoint::post("/v1/resources/{id}/retry", "Retry a resource", |route| route.to(resources::retry_one))
            .takes([resource_id()])
            .answers::<Queued>(202, "It is queued, unless it is stored, running or due already.")
            .refuses(404, "There is no such resource."),
        Endpoint::post("/v1/fetch", "Fetch by key", |route| route.to(fetch::fetch))
            .about(
                "Archives one thing by its key, as the command `fetch` does. It may be asked for any number of \
                times.",
            )
            .takes_body::<Body>()
            .answers::<Resource>(202, "It is known now, and will be stored if it is not; `Location` leads to it.")
            .refuses(400, "The body does not say what to fetch.")
            .refuses(404, "It is known and hidden.")
            .refuses(408, "The body did not come in time.")
            .refuses(413, "The body is too long."),
    ]
}

fn of_everything_else() -> [Endpoint; 6] {
    [
        Endpoint::read("/v1/messages/{message_id}", "Show a message", |route| route.to(messages::show))
            .about("As each app saw it, with its resources.")
            .takes([Parameter::text("message_id", "The message, `om_…`.")])
            .answers::<Items>(200, "The message, once for each app.")
            .refuses(404, "There is no such message, or it is hidden."),
        Endpoint::read("/v1/chats", "List chats", |route| route.to(chats::list))
            .about("With counts and bytes; the chat that was heard of last comes first.")
            .takes(paging())
            .answers::<Page<Chat>>(200, PAGED)
            .refuses(400, "A parameter, a value or the cursor does not fit."),
        Endpoint::read("/v1/stats", "Statistics", |route| route.to(statistics::show))
            .answers::<Breakdown>(200, "How much there is."),
        Endpoint::read("/v1/changes", "Follow changes", |route| route.to(changes::list))
            .about(
                "Every change of a resource has a number, higher than those before it. Ask again with \
                `after` set to `next_after`; keep `next_after` once you have dealt with the items. Each \
                resource is shown as it stands now, so a change may be told twice and is never missed. One \
                that is no longer shown has only `id` and `hidden`. Names of chats and people are looked \
                up afterwards and make no change.",
            )
            .takes([
                Parameter::number("after", "`next_after` of the answer before; 0 from the beginning.", 0, None),
                limit("The most changes that are looked at."),
            ])
            .answers::<Changes>(200, "What has changed; no items if nothing has.")
            .refuses(400, "A parameter or value does not fit.")
            .refuses(410, "`feed_restarted`: `after` lies behind the last change, so the numbers began anew."),
        Endpoint::read("/v1/events", "List deliveries", |route| route.to(events::list))
            .about("Every authentic event, newest first, also those that could not be read.")
            .takes([results()])
            .takes(paging())
            .answers::<Page<Delivery>>(200, PAGED)
            .refuses(400, "A parameter, a value or the cursor does not fit."),
        Endpoint::post("/v1/events/{id}/replay", "Replay a delivery", |route| route.to(events::replay))
            .about("Reads the delivery again, for example with a newer version of the program.")
            .takes([row_id("The delivery.", "^e[0-9a-f]{12}$")])
            .answers::<Queued>(202, "It is queued.")
            .refuses(404, "There is no such delivery."),
    ]
}

fn row_id(description: &'static str, pattern: &'static str) -> Parameter {
    let schema = json!({ "type": "string", "pattern": pattern });
    Parameter { schema, ..Parameter::text("id", description) }
}

fn resource_id() -> Parameter {
    row_id("The resource.", "^r[0-9a-f]{12}$")
}

fn results() -> Parameter {
    let results = words(DeliveryResult::ALL, DeliveryResult::as_str);
    Parameter::word("result", "With one of these results.", &results).repeated()
}

fn paging() -> [Parameter; 2] {
    [
        limit("The most items on the page."),
        Parameter::text("cursor", "`next_cursor` of the page before. It does not expire, and fits these filters only."),
    ]
}

fn limit(description: &'static str) -> Parameter {
    let (least, most) = PAGE_LIMITS.into_inner();
    let mut limit = Parameter::number("limit", description, least, Some(most));
    limit.schema["default"] = DEFAULT_LIMIT.into();
    limit
}

fn filters() -> impl Iterator<Item = Parameter> {
    Filter::NAMES.into_iter().map(filter)
}

fn filter(name: &'static str) -> Parameter {
    let text = Parameter::text;
    match name {
        "state" => Parameter::word(name, "In one of these states.", &words(State::ALL, State::as_str)).repeated(),
        "role" => Parameter::word(name, "In one of these roles.", &words(Role::ALL, Role::as_str)).repeated(),
        "source" => {
            Parameter::word(name, "From one of these APIs of the platform.", &words(&Source::ALL, Source::as_str))
                .repeated()
        }
        "chat_id" => text(name, "In one of these chats.").repeated(),
        "sender" => text(name, "Sent by one of these people or bots, `ou_…`.").repeated(),
        "message_id" => text(name, "Owned by one of these messages.").repeated(),
        "message_type" => text(name, "In messages of one of these types.").repeated(),
        "app_id" => text(name, "Seen by one of these apps.").repeated(),
        "sha256" => text(name, "With one of these digests.").repeated(),
        "mime" => text(name, "Of one of these media types, such as `image/png` or `image/*`.").repeated(),
        "q" => text(name, "A search in names and texts."),
        "from" => text(name, FROM),
        "to" => text(name, "Sent before this time; written like `from`."),
        "min_size" => text(name, "At least this many bytes, such as `10MB`."),
        "max_size" => text(name, "At most this many bytes, such as `1GiB`."),
        other => text(other, "See the documentation of filters."),
    }
}

fn words<T: Copy>(all: &[T], as_str: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().copied().map(as_str).collect()
}
