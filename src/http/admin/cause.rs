//! A cause that keeps resources from being stored, as a card: the remedy first, then who has to act,
//! what happened, and what the platform said of the newest ones.

use super::item::Item;
use super::language::{Language, texts};
use super::query::link;
use super::vocabulary::{Time, visible_lines};
use crate::catalogue::Catalogue;
use crate::catalogue::listing::ListingError;
use crate::catalogue::listing::PageRequest;
use crate::catalogue::listing::attention::{self, Cause, Group};
use crate::catalogue::listing::resource::Resource;
use crate::domain::download::{State, Upstream};
use crate::domain::readable::visible;
use crate::domain::reason::{Bilingual, Owner};
use crate::domain::time::Timestamp;

/// How many of a group are shown with what the platform said of them.
const SAMPLES: u32 = 3;

texts! {
    /// The texts of cards.
    Texts {
        who = "处理人：", "Who acts: ";
        count = "共", "In all:";
        next_try = "下次尝试", "Next try";
        under_way = "正在重试：", "Being tried again: ";
        samples = "最近几条", "Newest";
        app = "应用", "App";
        show_all = "查看全部", "See all";
        retry = "全部重试", "Retry all";
        retry_one = "重试", "Retry";
    }
}

/// What a group of failures asks of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// A person has to act.
    Act,
    /// It is tried again by itself.
    Wait,
    /// It ended for good.
    Accept,
}

impl Call {
    pub(super) fn of(cause: &Cause) -> Self {
        match cause.reason.ends_in() {
            State::Blocked => Self::Act,
            State::Pending | State::Running | State::Stored => Self::Wait,
            State::Gone | State::Impossible => Self::Accept,
        }
    }
}

/// A group as it is shown.
#[derive(Debug)]
pub(super) struct CauseCard {
    pub(super) texts: &'static Texts,
    pub(super) app_id: String,
    pub(super) reason: &'static str,
    pub(super) remedy: &'static str,
    pub(super) cause: &'static str,
    /// Who has to act, if anybody.
    pub(super) owner: Option<&'static str>,
    /// How many are in the state of the reason.
    pub(super) count: String,
    /// How many are being tried once more.
    pub(super) under_way: Option<String>,
    /// The page of the group.
    pub(super) link: String,
    pub(super) samples: Vec<Sample>,
}

/// A resource that failed, with what the platform said.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) item: Item,
    pub(super) answer: Option<Answer>,
    pub(super) attempts: u64,
    pub(super) next_attempt_at: Option<Time>,
}

/// What the platform answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) http_status: Option<u16>,
    pub(super) code: Option<i64>,
    pub(super) msg: Option<String>,
    pub(super) log_id: Option<String>,
}

impl CauseCard {
    /// The card of a group, without samples.
    pub(super) fn new(group: &Group, language: Language) -> Self {
        let Cause { app_id, reason } = &group.cause;
        let spoken = |text: Bilingual| language.pick(text.zh, text.en);
        let owner = Some(reason.owner()).filter(|owner| *owner != Owner::Nobody);
        Self {
            texts: Texts::of(language),
            app_id: app_id.to_string(),
            reason: reason.as_str(),
            remedy: spoken(reason.remedy()),
            cause: spoken(reason.cause()),
            owner: owner.map(|owner| language.pick(owner.zh(), owner.en())),
            count: group.resources.to_string(),
            under_way: Some(group.under_way).filter(|count| !count.is_zero()).map(|count| count.to_string()),
            link: link(&format!("/failed/{reason}"), &[("app_id", Some(app_id.as_str()))]),
            samples: Vec::new(),
        }
    }

    /// The same with the newest of the group.
    pub(super) async fn with_samples(
        catalogue: &Catalogue,
        group: &Group,
        language: Language,
        now: Timestamp,
    ) -> Result<Self, ListingError> {
        let request = PageRequest { limit: SAMPLES, cursor: None };
        let newest = attention::failed(catalogue, &group.cause, &request, now).await?;
        let samples = newest.items.iter().map(|resource| Sample::new(resource, language)).collect();
        Ok(Self { samples, ..Self::new(group, language) })
    }
}

impl Sample {
    pub(super) fn new(resource: &Resource, language: Language) -> Self {
        Self {
            item: Item::new(resource, language),
            answer: resource.upstream.as_ref().map(Answer::from),
            attempts: resource.attempts,
            next_attempt_at: resource.next_attempt_at.map(Time::from),
        }
    }
}

impl From<&Upstream> for Answer {
    fn from(upstream: &Upstream) -> Self {
        Self {
            http_status: upstream.http_status,
            code: upstream.code,
            msg: upstream.msg.as_deref().map(visible_lines),
            log_id: upstream.log_id.as_deref().map(visible),
        }
    }
}
