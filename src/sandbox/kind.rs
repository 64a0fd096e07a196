//! The kinds of sample events, and what an archive ought to make of each.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::event::{self, App, GROUP_CHAT, MessageEvent, Notice, NoticeEvent, TimeUnit, hex_id};
use super::listing::Listed;
use super::noise::mixed;
use super::samples::{Media, Origin};
use super::sender::Sealing;
use super::ticket::{Images, TicketEvent, TicketImage};
use crate::domain::digest::Digest;
use crate::domain::download::State;
use crate::domain::reason::ReasonCode;
use crate::domain::resource::{ResourceType, Role, names};
use crate::domain::time::Timestamp;

/// What the usual group is called after it was renamed.
const NEW_GROUP_NAME: &str = "产品与设计组";

/// A kind of sample event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A PNG picture, different every time.
    Image,
    /// A photograph in JPEG.
    Jpeg,
    /// A picture in WebP.
    Webp,
    /// A moving GIF.
    Gif,
    /// A ZIP sent as a file.
    File,
    /// A PDF.
    Pdf,
    /// A JSON file that looks like an error of the platform.
    Json,
    /// A text file with a long Chinese name.
    TextFile,
    /// A file of 40 MiB.
    Big,
    /// A voice message.
    Audio,
    /// A video with its cover.
    Media,
    /// A rich text with pictures, a video and an attached file.
    Post,
    /// A forward: a picture twice, a file, a card, and a forward with a rich text inside.
    MergeForward,
    /// A text that answers a picture which nobody told of.
    Quote,
    /// A text without any resource.
    Text,
    /// A sticker; the platform hands out none.
    Sticker,
    /// A folder; the platform hands out none.
    Folder,
    /// A type that nobody has heard of, with keys deep inside.
    UnknownType,
    /// An image message whose content is no JSON.
    ContentUnreadable,
    /// One message delivered twice under two event ids.
    Duplicate,
    /// An image message with times in microseconds.
    Micros,
    /// A message in a helpdesk ticket that is an image.
    TicketImage,
    /// A post in a helpdesk ticket with three images.
    TicketPost,
    /// A picture whose message is recalled at once.
    Recalled,
    /// The bot is added to the usual group.
    BotAdded,
    /// The bot is removed from the usual group.
    BotDeleted,
    /// The usual group gets another name.
    ChatRenamed,
    /// The usual group forbids downloads.
    ChatRestricted,
    /// The usual group allows downloads again.
    ChatUnrestricted,
    /// The usual group is disbanded.
    ChatDisbanded,
    /// An event in the v1.0 envelope.
    V1,
    /// A store app's ticket.
    AppTicket,
    /// The platform's check of the address: encrypted, not signed.
    UrlVerification,
    /// An encrypted event without a signature.
    Unsigned,
    /// An encrypted event with a wrong signature.
    BadSignature,
    /// A signed event that was changed on its way.
    Tampered,
}

names!(
    Kind,
    UnknownKind,
    "kind of sample event",
    Image = "image",
    Jpeg = "jpeg",
    Webp = "webp",
    Gif = "gif",
    File = "file",
    Pdf = "pdf",
    Json = "json",
    TextFile = "text_file",
    Big = "big",
    Audio = "audio",
    Media = "media",
    Post = "post",
    MergeForward = "merge_forward",
    Quote = "quote",
    Text = "text",
    Sticker = "sticker",
    Folder = "folder",
    UnknownType = "unknown_type",
    ContentUnreadable = "content_unreadable",
    Duplicate = "duplicate",
    Micros = "micros",
    TicketImage = "ticket_image",
    TicketPost = "ticket_post",
    Recalled = "recalled",
    BotAdded = "bot_added",
    BotDeleted = "bot_deleted",
    ChatRenamed = "chat_renamed",
    ChatRestricted = "chat_restricted",
    ChatUnrestricted = "chat_unrestricted",
    ChatDisbanded = "chat_disbanded",
    V1 = "v1",
    AppTicket = "app_ticket",
    UrlVerification = "url_verification",
    Unsigned = "unsigned",
    BadSignature = "bad_signature",
    Tampered = "tampered",
);

impl Kind {
    /// What it is, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Image => "a PNG picture, different every time",
            Self::Jpeg => "a photograph in JPEG",
            Self::Webp => "a picture in WebP",
            Self::Gif => "a moving GIF",
            Self::File => "a ZIP sent as a file",
            Self::Pdf => "a PDF",
            Self::Json => "a JSON file that looks like an error of the platform",
            Self::TextFile => "a text file with a long Chinese name",
            Self::Big => "a file of 40 MiB",
            Self::Audio => "a voice message (Opus in Ogg)",
            Self::Media => "a video (MP4) with its cover",
            Self::Post => "a rich text with pictures, a video and an attached file",
            Self::MergeForward => "a forward: a picture twice, a file, a card, and a forward with a rich text inside",
            Self::Quote => "a text that answers a picture which nobody told of",
            Self::Text => "a text without any resource",
            Self::Sticker => "a sticker, which the platform does not hand out",
            Self::Folder => "a folder, which the platform does not hand out",
            Self::UnknownType => "an unknown message type with keys deep inside",
            Self::ContentUnreadable => "an image message whose content is no JSON",
            Self::Duplicate => "one message delivered twice under two event ids",
            Self::Micros => "an image message with times in microseconds",
            Self::TicketImage => "a message in a helpdesk ticket that is an image",
            Self::TicketPost => "a post in a helpdesk ticket with three images",
            Self::Recalled => "a picture whose message is recalled at once",
            Self::BotAdded => "the bot is added to the usual group",
            Self::BotDeleted => "the bot is removed from the usual group",
            Self::ChatRenamed => "the usual group gets another name",
            Self::ChatRestricted => "the usual group forbids downloads",
            Self::ChatUnrestricted => "the usual group allows downloads again",
            Self::ChatDisbanded => "the usual group is disbanded",
            Self::V1 => "an event in the v1.0 envelope",
            Self::AppTicket => "a store app's ticket",
            Self::UrlVerification => "the platform's check of the address: encrypted, not signed",
            Self::Unsigned => "an encrypted event without a signature; expect 401",
            Self::BadSignature => "an encrypted event with a wrong signature; expect 401",
            Self::Tampered => "a signed event changed on its way; expect 401",
        }
    }

    /// How its deliveries are sealed.
    #[must_use]
    pub fn sealing(self) -> Sealing {
        match self {
            Self::UrlVerification | Self::Unsigned => Sealing::Unsigned,
            Self::BadSignature => Sealing::BadSignature,
            Self::Tampered => Sealing::Tampered,
            _ => Sealing::Proper,
        }
    }

    /// How many images it has, if it is a message in a ticket.
    fn in_ticket(self) -> Option<Images> {
        match self {
            Self::TicketImage => Some(Images::One),
            Self::TicketPost => Some(Images::Post),
            _ => None,
        }
    }

    /// Whether it makes sense only with an Encrypt Key.
    #[must_use]
    pub fn needs_encrypt_key(self) -> bool {
        matches!(self, Self::Unsigned | Self::BadSignature | Self::Tampered)
    }
}

/// One delivery of a sample, and what it ought to bring into the archive.
#[derive(Debug, Clone)]
pub struct SampleEvent {
    /// The kind it was made for.
    pub kind: Kind,
    /// Its event id; a check of the address has none.
    pub event_id: Option<String>,
    /// The message it carries.
    pub message_id: Option<String>,
    /// The event itself.
    pub payload: Value,
    /// How it is to be sealed.
    pub sealing: Sealing,
    /// The resources of its message; none if the event must be refused.
    pub resources: Vec<Expected>,
}

/// A resource as an archive ought to have it in the end.
#[derive(Debug, Clone, Serialize)]
pub struct Expected {
    /// Its key.
    pub key: String,
    /// How it must be asked for; none for what is never handed out.
    #[serde(rename = "type")]
    pub kind: Option<ResourceType>,
    /// The SHA-256 of its bytes.
    pub sha256: Option<Digest>,
    /// How many bytes it has.
    pub size_bytes: Option<u64>,
    /// The message that it belongs to, where that is not the delivered one.
    #[serde(skip)]
    pub owner: Option<String>,
    /// What it is in its message.
    #[serde(skip)]
    pub role: Role,
    /// The name it ought to get, from the message or from the download's header.
    #[serde(skip)]
    pub file_name: Option<String>,
    /// Where it ought to end.
    #[serde(skip)]
    pub state: State,
    /// Why, unless it is stored.
    #[serde(skip)]
    pub reason_code: Option<ReasonCode>,
}

impl Expected {
    fn stored(role: Role, media: Media, seed: u64) -> Self {
        let sample = media.sample(seed);
        Self {
            key: media.key(seed),
            kind: Some(sample.kind),
            sha256: Some(sample.digest()),
            size_bytes: Some(sample.size_bytes()),
            owner: None,
            role,
            file_name: sample.file_name,
            state: State::Stored,
            reason_code: None,
        }
    }

    /// What lies under a key in the dictionary, or among what the app uploaded.
    #[must_use]
    pub fn by_hand(media: Media, origin: Origin, seed: u64) -> Self {
        let role = match media.kind() {
            ResourceType::Image => Role::Image,
            ResourceType::File => Role::File,
        };
        Self { key: media.key_from(origin, seed), ..Self::stored(role, media, seed) }
    }

    fn in_ticket(image: &TicketImage) -> Option<Self> {
        let sample = image.sample().ok()?;
        Some(Self {
            key: image.key(),
            kind: None,
            sha256: Some(sample.digest()),
            size_bytes: Some(sample.size_bytes()),
            owner: None,
            role: Role::Image,
            file_name: None,
            state: State::Stored,
            reason_code: None,
        })
    }

    fn impossible(role: Role, key: &str, file_name: Option<&str>, reason: ReasonCode) -> Self {
        Self {
            key: key.to_owned(),
            kind: None,
            sha256: None,
            size_bytes: None,
            owner: None,
            role,
            file_name: file_name.map(str::to_owned),
            state: reason.state(),
            reason_code: Some(reason),
        }
    }
}

/// The deliveries of one sample. Ids and keys follow from the kind and the seed.
#[must_use]
pub fn sample_events(kind: Kind, seed: u64, app: &App, now: Timestamp) -> Vec<SampleEvent> {
    let event_id = hex_id(&["event", kind.as_str(), &seed.to_string()]);
    if let Some(images) = kind.in_ticket() {
        return vec![in_ticket(kind, TicketEvent::sample(images, seed), app, now)];
    }
    let Some((message, mut resources)) = message(kind, seed) else {
        return vec![without_message(kind, event_id, app, now)];
    };
    if kind.needs_encrypt_key() {
        resources.clear();
    }
    let delivery = |event_id: &str| SampleEvent {
        kind,
        event_id: Some(event_id.to_owned()),
        message_id: Some(message.message_id.clone()),
        payload: message.redelivered(event_id).payload(app, now),
        sealing: kind.sealing(),
        resources: resources.clone(),
    };
    match kind {
        Kind::Duplicate => vec![delivery(&event_id), delivery(&hex_id(&["again", &event_id]))],
        Kind::Recalled => vec![delivery(&event_id), recall(&message.message_id, &event_id, app, now)],
        _ => vec![delivery(&event_id)],
    }
}

fn recall(message_id: &str, event_id: &str, app: &App, now: Timestamp) -> SampleEvent {
    let notice = Notice::Recalled { message_id: message_id.to_owned() };
    let event = NoticeEvent { event_id: hex_id(&["recall", event_id]), notice };
    SampleEvent {
        kind: Kind::Recalled,
        payload: event.payload(app, now),
        event_id: Some(event.event_id),
        message_id: Some(message_id.to_owned()),
        sealing: Sealing::Proper,
        resources: Vec::new(),
    }
}

fn without_message(kind: Kind, event_id: String, app: &App, now: Timestamp) -> SampleEvent {
    let (event_id, payload) = match (kind, notice(kind)) {
        (Kind::UrlVerification, _) => (None, event::url_verification(app, &event_id)),
        (Kind::AppTicket, _) => {
            (Some(event_id.clone()), event::app_ticket(app, &event_id, &format!("ticket-{event_id}"), now))
        }
        (_, Some(notice)) => {
            let event = NoticeEvent { event_id, notice };
            (Some(event.event_id.clone()), event.payload(app, now))
        }
        (_, None) => (Some(event_id.clone()), event::v1(app, &event_id, now)),
    };
    SampleEvent { kind, event_id, message_id: None, payload, sealing: kind.sealing(), resources: Vec::new() }
}

fn in_ticket(kind: Kind, event: TicketEvent, app: &App, now: Timestamp) -> SampleEvent {
    let resources = event.images().iter().filter_map(Expected::in_ticket).collect();
    SampleEvent {
        kind,
        payload: event.payload(app, now),
        event_id: Some(event.event_id),
        message_id: Some(event.message_id),
        sealing: kind.sealing(),
        resources,
    }
}

/// What a sample tells of the usual group.
fn notice(kind: Kind) -> Option<Notice> {
    let chat_id = GROUP_CHAT.to_owned();
    Some(match kind {
        Kind::BotAdded => Notice::BotAdded { chat_id },
        Kind::BotDeleted => Notice::BotDeleted { chat_id },
        Kind::ChatRenamed => Notice::ChatRenamed { chat_id, name: NEW_GROUP_NAME.to_owned() },
        Kind::ChatRestricted => Notice::ChatRestricted { chat_id, downloads: "not_anyone" },
        Kind::ChatUnrestricted => Notice::ChatRestricted { chat_id, downloads: "all_members" },
        Kind::ChatDisbanded => Notice::ChatDisbanded { chat_id },
        _ => return None,
    })
}

/// The message of a sample and its resources; none for what carries no message.
fn message(kind: Kind, seed: u64) -> Option<(MessageEvent, Vec<Expected>)> {
    let id = format!("om_{}", hex_id(&["message", kind.as_str(), &seed.to_string()]));
    Some(match kind {
        Kind::BotAdded
        | Kind::BotDeleted
        | Kind::ChatRenamed
        | Kind::ChatRestricted
        | Kind::ChatUnrestricted
        | Kind::ChatDisbanded
        | Kind::TicketImage
        | Kind::TicketPost
        | Kind::V1
        | Kind::AppTicket
        | Kind::UrlVerification => return None,
        Kind::Image | Kind::Recalled | Kind::Duplicate | Kind::Unsigned | Kind::BadSignature | Kind::Tampered => {
            image(&id, Media::Png, seed)
        }
        Kind::Micros => {
            let (message, resources) = image(&id, Media::Png, seed);
            (MessageEvent { unit: TimeUnit::Microseconds, ..message }, resources)
        }
        Kind::Jpeg => image(&id, Media::Jpeg, seed),
        Kind::Webp => image(&id, Media::Webp, seed),
        Kind::Gif => image(&id, Media::Gif, seed),
        Kind::File => file(&id, Media::Zip, seed),
        Kind::Pdf => file(&id, Media::Pdf, seed),
        Kind::Json => file(&id, Media::Json, seed),
        Kind::TextFile => file(&id, Media::Text, seed),
        Kind::Big => file(&id, Media::Big, seed),
        Kind::Audio => {
            let voice = Expected::stored(Role::Audio, Media::Voice, seed);
            (event::audio(&id, &voice.key), vec![voice])
        }
        Kind::Media => video(&id, seed),
        Kind::Post => post(&id, seed),
        Kind::UnknownType => unknown(&id, seed),
        Kind::MergeForward => forward(seed),
        Kind::Quote => quote(&id, seed),
        Kind::Sticker => sticker(&id, seed),
        Kind::Folder => folder(&id, seed),
        Kind::ContentUnreadable => (MessageEvent::new(&id, "image", "[Image] cannot be shown"), Vec::new()),
        Kind::Text => (MessageEvent::new(&id, "text", json!({"text": "明天见"}).to_string()), Vec::new()),
    })
}

fn image(id: &str, media: Media, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let picture = Expected::stored(Role::Image, media, seed);
    (event::image(id, &picture.key), vec![picture])
}

fn file(id: &str, media: Media, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let file = Expected::stored(Role::File, media, seed);
    (event::file(id, &file.key, file.file_name.as_deref().unwrap_or_default()), vec![file])
}

fn video(id: &str, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let video = Expected::stored(Role::Video, Media::Video, seed);
    let cover = Expected::stored(Role::Cover, Media::Cover, seed);
    let name = video.file_name.clone().unwrap_or_default();
    (event::media(id, &video.key, &cover.key, &name), vec![video, cover])
}

/// A rich text with everything that has bytes: a picture, a video with its cover, a picture inside
/// markdown, and a file in the attachment zone.
fn post(id: &str, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let picture = Expected::stored(Role::Image, Media::Png, mixed(seed));
    let video = Expected::stored(Role::Video, Media::Video, mixed(seed));
    let cover = Expected::stored(Role::Cover, Media::Cover, mixed(seed));
    let drawn = Expected::stored(Role::Image, Media::Webp, mixed(seed));
    let attached = Expected::stored(Role::File, Media::Pdf, mixed(seed));
    let body = json!({
        "title": "周报",
        "content": [
            [{"tag": "text", "text": "本周的照片和录像：", "style": ["bold"]}],
            [{"tag": "img", "image_key": picture.key}],
            [{"tag": "media", "file_key": video.key, "image_key": cover.key}],
        ],
        "content_v2": [
            [{"tag": "img", "image_key": picture.key}],
            [{"tag": "md", "text": format!("另见 ![图]({})", drawn.key)}],
        ],
        "files": [{"file_key": attached.key, "file_name": attached.file_name, "is_folder": false}],
    });
    (event::post(id, &body), vec![picture, video, cover, drawn, attached])
}

/// A forward whose messages follow from its id.
fn forward(seed: u64) -> (MessageEvent, Vec<Expected>) {
    let seeds = (mixed(seed), mixed(mixed(seed)));
    let inside = |n, expected: Expected| Expected { owner: Some(Listed::Album.child(seed, n)), ..expected };
    let resources = vec![
        inside(1, Expected::stored(Role::Image, Media::Png, seeds.0)),
        inside(2, Expected::stored(Role::File, Media::Zip, seeds.0)),
        inside(3, Expected::stored(Role::CardImage, Media::Webp, seeds.0)),
        inside(4, Expected::stored(Role::Image, Media::Png, seeds.0)),
        inside(6, Expected::stored(Role::Image, Media::Png, seeds.1)),
    ];
    (event::merge_forward(&Listed::Album.id(seed)), resources)
}

fn quote(id: &str, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let quoted = Listed::Picture.id(seed);
    let picture = Expected::stored(Role::Image, Media::Png, mixed(seed));
    (event::reply(id, &quoted), vec![Expected { owner: Some(quoted), ..picture }])
}

fn unknown(id: &str, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let picture = Expected::stored(Role::Image, Media::Png, mixed(seed));
    let file = Expected::stored(Role::File, Media::Zip, mixed(seed));
    let content = json!({"scene": {"layers": [{"image_key": picture.key}, {"model": {"file_key": file.key}}]}});
    (MessageEvent::new(id, "hologram", content.to_string()), vec![picture, file])
}

fn sticker(id: &str, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let key = format!("file_v3_sticker_{seed:016x}");
    let sticker = Expected::impossible(Role::Sticker, &key, None, ReasonCode::StickerNotOffered);
    (event::sticker(id, &key), vec![sticker])
}

fn folder(id: &str, seed: u64) -> (MessageEvent, Vec<Expected>) {
    let (key, name) = (format!("file_v3_folder_{seed:016x}"), "项目文件夹");
    let folder = Expected::impossible(Role::Folder, &key, Some(name), ReasonCode::FolderNotOffered);
    (event::folder(id, &key, name), vec![folder])
}
