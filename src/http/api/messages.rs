//! Messages: one by its id, with its resources, for each app that saw it.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Api, answer};
use crate::catalogue::listing::Walk;
use crate::catalogue::listing::message::{self, Message};
use crate::catalogue::listing::resource::Resource;
use crate::domain::filter::Filter;
use crate::domain::id::MessageId;
use crate::http::error::Problem;

/// A message with what hangs on it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageWithResources")]
struct Item {
    #[serde(flatten)]
    message: Message,
    /// The resources that it shows, newest first.
    resources: Vec<Resource>,
}

/// Every app's view of one message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessagesWithResources")]
pub(super) struct Items {
    /// One for each app that saw the message.
    items: Vec<Item>,
}

/// `GET /api/v1/messages/{message_id}`
pub(super) async fn show(
    api: web::Data<Api>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::not_found("there is no such message");
    let id: MessageId = id.parse().map_err(|_| unknown())?;
    let messages = message::find(&api.catalogue, &id).await?;
    if messages.is_empty() {
        return Err(unknown());
    }
    let mut items = Vec::with_capacity(messages.len());
    for message in messages {
        let resources = resources_of(&api, &message).await?;
        items.push(Item { message, resources });
    }
    answer::json(&request, &Items { items })
}

/// The resources of one message; their number is bounded by what a message can carry.
async fn resources_of(api: &Api, message: &Message) -> Result<Vec<Resource>, Problem> {
    let filter = Filter {
        app_id: vec![message.app_id.clone()],
        message_id: vec![message.message_id.clone()],
        ..Filter::default()
    };
    let mut walk = Walk::new(&api.catalogue, filter, api.clock.now());
    let mut resources = Vec::new();
    loop {
        let stretch = walk.next().await?;
        if stretch.is_empty() {
            return Ok(resources);
        }
        resources.extend(stretch);
    }
}
