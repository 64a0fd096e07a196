//! Quoted messages that could not be had, as cards: the remedy first, then which messages.

use super::cause::Answer;
use super::item::Named;
use super::language::{Language, texts};
use super::vocabulary::Time;
use crate::catalogue::listing::quoted::{FailedQuote, QuotedGroup};
use crate::domain::readable::visible;
use crate::domain::reason::{Bilingual, Owner};

texts! {
    /// The texts of these cards.
    Texts {
        title = "未能取得的被回复消息", "Quoted messages that could not be had";
        lead = "有人回复了这些消息，但机器人没有收到过，也读取不到，其中可能有文件。",
            "Somebody answered these messages, which never came here and cannot be read. There may be files in them.";
        message = "消息", "Message";
        quoted_by = "回复它的消息", "Answered by";
        who = "处理人：", "Who acts: ";
        app = "应用", "App";
        retry = "重新查询", "Ask again";
    }
}

/// What keeps some quoted messages.
#[derive(Debug)]
pub(super) struct QuotedCard {
    pub(super) app_id: String,
    pub(super) reason: &'static str,
    pub(super) remedy: &'static str,
    pub(super) cause: &'static str,
    /// Who has to act, if anybody.
    pub(super) owner: Option<&'static str>,
    pub(super) newest: Vec<Quoted>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Quoted {
    pub(super) message_id: String,
    pub(super) quoted_by: String,
    pub(super) chat: Option<Named>,
    pub(super) answer: Option<Answer>,
    pub(super) asked_at: Option<Time>,
}

impl QuotedCard {
    pub(super) fn new(group: &QuotedGroup, language: Language) -> Self {
        let reason = group.cause.reason;
        let spoken = |text: Bilingual| language.pick(text.zh, text.en);
        let owner = Some(reason.owner()).filter(|owner| *owner != Owner::Nobody);
        Self {
            app_id: group.cause.app_id.to_string(),
            reason: reason.as_str(),
            remedy: spoken(reason.remedy()),
            cause: spoken(reason.cause()),
            owner: owner.map(|owner| language.pick(owner.zh(), owner.en())),
            newest: group.newest.iter().map(|quote| Quoted::new(quote, language)).collect(),
        }
    }
}

impl Quoted {
    fn new(quote: &FailedQuote, language: Language) -> Self {
        let chat = quote.chat_id.as_ref().zip(quote.chat_title());
        Self {
            message_id: visible(quote.message_id.as_str()),
            quoted_by: visible(quote.quoted_by.as_str()),
            chat: chat.map(|(id, title)| Named::chat(id, title, language)),
            answer: quote.upstream.as_ref().map(Answer::from),
            asked_at: quote.asked_at.map(Time::from),
        }
    }
}
