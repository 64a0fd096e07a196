//! The words for what every page shows: states, roles, times and sizes, in the reader's language.

use super::language::Language;
use crate::domain::download::State;
use crate::domain::readable::visible;
use crate::domain::resource::Role;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// What a state is called.
pub(super) fn state(state: State, language: Language) -> &'static str {
    match state {
        State::Pending => language.pick("等待下载", "Pending"),
        State::Running => language.pick("正在下载", "Running"),
        State::Stored => language.pick("已归档", "Stored"),
        State::Blocked => language.pick("需要处理", "Blocked"),
        State::Gone => language.pick("已撤回或删除", "Gone"),
        State::Impossible => language.pick("无法获取", "Impossible"),
    }
}

/// What a role is called.
pub(super) fn role(role: Role, language: Language) -> &'static str {
    match role {
        Role::Image => language.pick("图片", "Image"),
        Role::File => language.pick("文件", "File"),
        Role::Audio => language.pick("语音", "Audio"),
        Role::Video => language.pick("视频", "Video"),
        Role::Cover => language.pick("视频封面", "Cover"),
        Role::Sticker => language.pick("表情包", "Sticker"),
        Role::Folder => language.pick("文件夹", "Folder"),
        Role::CardImage => language.pick("卡片图片", "Card image"),
        Role::Forward => language.pick("合并转发", "Forward"),
    }
}

/// What a type of message is called; one that nobody knows keeps its name.
pub(super) fn message_type(kind: &str, language: Language) -> String {
    let known = match kind {
        "text" => language.pick("文本", "Text"),
        "post" => language.pick("富文本", "Rich text"),
        "image" => language.pick("图片", "Image"),
        "file" => language.pick("文件", "File"),
        "folder" => language.pick("文件夹", "Folder"),
        "audio" => language.pick("语音", "Audio"),
        "media" | "video" => language.pick("视频", "Video"),
        "sticker" => language.pick("表情包", "Sticker"),
        "interactive" => language.pick("卡片", "Card"),
        "merge_forward" => language.pick("转发的聊天记录", "Forwarded messages"),
        "share_chat" => language.pick("群名片", "Shared chat"),
        "share_user" => language.pick("个人名片", "Shared contact"),
        "system" => language.pick("系统消息", "System message"),
        "location" => language.pick("位置", "Location"),
        "hongbao" => language.pick("红包", "Red packet"),
        "video_chat" => language.pick("视频会议", "Video meeting"),
        "todo" => language.pick("任务", "Task"),
        "vote" => language.pick("投票", "Vote"),
        "calendar" | "share_calendar_event" | "general_calendar" => language.pick("日程", "Calendar event"),
        other => return visible(other),
    };
    known.to_owned()
}

/// What a chat of one person with the bot is called.
pub(super) fn direct_chat(language: Language) -> &'static str {
    language.pick("单聊", "Direct chat")
}

/// A point in time, for machines and for readers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(Timestamp);

impl Time {
    /// RFC 3339 in UTC.
    pub(super) fn machine(&self) -> String {
        self.0.to_string()
    }

    /// Up to the minute, by the clocks of a time zone.
    pub(super) fn text(&self, zone: &Zone) -> String {
        zone.clock(self.0).get(..16).unwrap_or_default().to_owned()
    }
}

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

/// A text of several lines whose every line is harmless to show.
pub(super) fn visible_lines(text: &str) -> String {
    text.lines().map(|line| visible(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}
