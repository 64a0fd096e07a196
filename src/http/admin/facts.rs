//! Everything that is recorded of one resource, line by line.

use super::figures::grouped;
use super::item::Named;
use super::language::{Language, texts};
use super::vocabulary::{self, Time};
use crate::blob::store::Store;
use crate::catalogue::listing::resource::Resource;
use crate::domain::readable::{human_bytes, visible};
use crate::domain::time::Timestamp;

texts! {
    /// The names of what is recorded.
    Texts {
        role = "类型", "Kind";
        file_name = "文件名", "File name";
        mime = "媒体类型", "Media type";
        size = "大小", "Size";
        bytes = "字节", "bytes";
        chat = "会话", "Chat";
        sender = "发送者", "Sender";
        sent_at = "发送时间", "Sent";
        seen_at = "收到时间", "First heard of";
        stored_at = "归档时间", "Stored";
        recalled_at = "撤回时间", "Recalled";
        next_attempt_at = "下次尝试", "Next try";
        attempts = "尝试次数", "Tries";
        sha256 = "SHA-256", "SHA-256";
        path = "存放位置", "Where the bytes are";
        message = "消息 ID", "Message ID";
        through = "经由转发下载", "Downloaded through";
        key = "资源 Key", "Resource key";
        source = "来源接口", "Source";
        app = "应用 ID", "App ID";
        id = "资源 ID", "Resource ID";
    }
}

/// One line.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: Value,
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Value {
    /// Words.
    Text(String),
    /// Something to be copied to the letter.
    Code(String),
    /// A point in time.
    Time(Time),
    /// Everything else that has this in common.
    Link {
        /// The filter.
        filter: &'static str,
        /// Its value, and what that is called.
        named: Named,
    },
}

/// What is recorded of a resource.
pub(super) fn facts(resource: &Resource, store: &Store, language: Language) -> Vec<Fact> {
    let texts = Texts::of(language);
    let place = resource.sha256.filter(|_| resource.blob_path.is_some()).map(|digest| store.location(&digest));
    let lines = [
        (texts.role, Some(Value::Text(vocabulary::role(resource.role, language).to_owned()))),
        (texts.file_name, resource.file_name.as_deref().map(visible).map(Value::Text)),
        (texts.mime, resource.mime.as_deref().map(visible).map(Value::Text)),
        (texts.size, resource.size_bytes.map(|size| size_in(size, texts.bytes))),
        (texts.chat, Named::chat_of(resource, language).map(|named| Value::Link { filter: "chat_id", named })),
        (texts.sender, Named::sender_of(resource).map(|named| Value::Link { filter: "sender", named })),
        (texts.sent_at, time(resource.sent_at)),
        (texts.seen_at, time(Some(resource.seen_at))),
        (texts.stored_at, time(resource.stored_at)),
        (texts.recalled_at, time(resource.recalled_at)),
        (texts.next_attempt_at, time(resource.next_attempt_at)),
        (texts.attempts, Some(Value::Text(resource.attempts.to_string()))),
        (texts.sha256, resource.sha256.map(code)),
        (texts.path, place.map(code)),
        (texts.message, resource.message_id.as_ref().map(code)),
        (texts.through, resource.download_message_id.as_ref().map(code)),
        (texts.key, Some(code(&resource.key))),
        (texts.source, Some(code(resource.source))),
        (texts.app, Some(code(&resource.app_id))),
        (texts.id, Some(code(resource.id))),
    ];
    lines.into_iter().filter_map(|(name, value)| Some(Fact { name, value: value? })).collect()
}

fn code(value: impl ToString) -> Value {
    Value::Code(visible(&value.to_string()))
}

fn time(time: Option<Timestamp>) -> Option<Value> {
    time.map(|time| Value::Time(time.into()))
}

fn size_in(size_bytes: u64, unit: &str) -> Value {
    let exact = format!("{} {unit}", grouped(size_bytes));
    Value::Text(if size_bytes < 1000 { exact } else { format!("{} ({exact})", human_bytes(size_bytes)) })
}
