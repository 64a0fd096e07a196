//! Calls: requests to the platform's API, recognised and taken apart.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::wire::Request;

/// An API of the platform that the stand-in plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// `POST /open-apis/auth/v3/tenant_access_token/internal`
    Token,
    /// `POST /open-apis/auth/v3/app_access_token`: a store app's own token, for its ticket.
    AppToken,
    /// `POST /open-apis/auth/v3/tenant_access_token`: a store app's token for one tenant.
    TenantToken,
    /// `POST /open-apis/auth/v3/app_ticket/resend`
    TicketResend,
    /// `GET /open-apis/im/v1/messages/{message_id}/resources/{file_key}?type=image|file`
    Resource,
    /// `GET /open-apis/im/v1/messages/{message_id}[?card_msg_content_type=user_card_content]`
    Message,
    /// `GET /open-apis/im/v1/images/{image_key}`
    Image,
    /// `GET /open-apis/im/v1/files/{file_key}`
    File,
    /// `GET /open-apis/baike/v1/files/{file_token}/download`
    Baike,
    /// `GET /open-apis/lingo/v1/files/{file_token}/download`
    Lingo,
    /// `GET /open-apis/helpdesk/v1/ticket_images?ticket_id=…&msg_id=…[&index=…]`
    TicketImage,
    /// `GET /open-apis/lingo/v1/entities?page_size=…[&page_token=…]`
    LingoEntities,
    /// `POST /open-apis/helpdesk/v1/events/subscribe`
    HelpdeskSubscribe,
    /// `GET /open-apis/im/v1/chats/{chat_id}`; the key is the chat.
    Chat,
    /// `GET /open-apis/im/v1/chats/{chat_id}/members`; the key is the chat.
    Members,
    /// `POST /open-apis/contact/v3/users/basic_batch`
    Users,
    /// Whatever the stand-in does not know; it answers 404.
    Other,
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) route: Route,
    pub(super) message_id: Option<String>,
    /// The key; of a ticket image `<ticket_id>/<msg_id>/<index or 0>`.
    pub(super) key: Option<String>,
    /// The app that calls, by its token or, where it asks for one, by its own word.
    pub(super) app_id: Option<String>,
    /// The tenant that its token is for; only store apps have one for each.
    pub(super) tenant_key: Option<String>,
}

impl Call {
    pub(super) fn recognise(request: &Request) -> Self {
        let segments: Vec<String> = request.path.split('/').skip(1).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let plain = |route| Self { route, message_id: None, key: None, app_id: None, tenant_key: None };
        let call = |route, key: &str| Self { key: Some(key.to_owned()), ..plain(route) };
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["open-apis", "auth", "v3", "tenant_access_token", "internal"]) => plain(Route::Token),
            ("POST", ["open-apis", "auth", "v3", "app_access_token"]) => plain(Route::AppToken),
            ("POST", ["open-apis", "auth", "v3", "tenant_access_token"]) => plain(Route::TenantToken),
            ("POST", ["open-apis", "auth", "v3", "app_ticket", "resend"]) => plain(Route::TicketResend),
            ("GET", ["open-apis", "im", "v1", "messages", message_id, "resources", key]) => {
                Self { message_id: Some((*message_id).to_owned()), ..call(Route::Resource, key) }
            }
            ("GET", ["open-apis", "im", "v1", "messages", message_id]) => {
                Self { message_id: Some((*message_id).to_owned()), ..plain(Route::Message) }
            }
            ("GET", ["open-apis", "im", "v1", "images", key]) => call(Route::Image, key),
            ("GET", ["open-apis", "im", "v1", "files", key]) => call(Route::File, key),
            ("GET", ["open-apis", "baike", "v1", "files", key, "download"]) => call(Route::Baike, key),
            ("GET", ["open-apis", "lingo", "v1", "files", key, "download"]) => call(Route::Lingo, key),
            ("GET", ["open-apis", "helpdesk", "v1", "ticket_images"]) => call(Route::TicketImage, &ticket_key(request)),
            ("GET", ["open-apis", "lingo", "v1", "entities"]) => plain(Route::LingoEntities),
            ("POST", ["open-apis", "helpdesk", "v1", "events", "subscribe"]) => plain(Route::HelpdeskSubscribe),
            ("GET", ["open-apis", "im", "v1", "chats", chat_id]) => call(Route::Chat, chat_id),
            ("GET", ["open-apis", "im", "v1", "chats", chat_id, "members"]) => call(Route::Members, chat_id),
            ("POST", ["open-apis", "contact", "v3", "users", "basic_batch"]) => plain(Route::Users),
            _ => plain(Route::Other),
        }
    }
}

fn ticket_key(request: &Request) -> String {
    let part = |name, otherwise: &str| request.parameter(name).unwrap_or_else(|| otherwise.to_owned());
    format!("{}/{}/{}", part("ticket_id", ""), part("msg_id", ""), part("index", "0"))
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
