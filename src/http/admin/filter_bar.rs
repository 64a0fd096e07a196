//! The filters above the list: a field for each that people use, and what was wrong with its value.

use super::figures::grouped;
use super::language::{Language, texts};
use super::question::Question;
use super::{trouble, vocabulary};
use crate::catalogue::statistics::Statistics;
use crate::domain::download::State;
use crate::domain::readable::visible;
use crate::domain::resource::Role;

texts! {
    /// The texts of the filters.
    Texts {
        heading = "筛选", "Filters";
        search = "搜索", "Search";
        search_hint = "文件名、消息、会话、发送者", "File name, message, chat, sender";
        state = "状态", "State";
        role = "类型", "Kind";
        any = "全部", "Any";
        chat = "会话 ID", "Chat ID";
        sender = "发送者 ID", "Sender ID";
        from = "起始时间", "From";
        to = "截止时间", "To";
        time_hint = "2026-01-31 或 7d", "2026-01-31 or 7d";
        min_size = "大小不小于", "Size at least";
        max_size = "大小不大于", "Size at most";
        size_hint = "10MB", "10MB";
        more = "更多条件", "More filters";
        apply = "查询", "Apply";
        clear = "重置", "Clear";
        remove = "去掉", "Remove";
    }
}

/// The filters as the page shows them.
#[derive(Debug)]
pub(super) struct FilterBar {
    pub(super) texts: &'static Texts,
    pub(super) search: Field,
    pub(super) state: Choice,
    pub(super) role: Choice,
    /// Fields that are needed less often.
    pub(super) more: Vec<Field>,
    /// Whether one of those is in use, so that they should be seen.
    pub(super) more_is_open: bool,
    /// Filters without a field, which a link has set: shown, and removed by a link.
    pub(super) others: Vec<Other>,
    /// Whether there is any filter.
    pub(super) is_in_use: bool,
}

/// A filter that is typed.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) value: String,
    pub(super) trouble: Option<String>,
}

/// A filter that is chosen.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) options: Vec<Opt>,
    pub(super) trouble: Option<String>,
}

/// One value that can be chosen.
#[derive(Debug)]
pub(super) struct Opt {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// A filter without a field.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) shown: String,
    pub(super) trouble: Option<String>,
    pub(super) without: String,
}

impl FilterBar {
    pub(super) fn new(question: &Question, statistics: &Statistics, language: Language) -> Self {
        let texts = Texts::of(language);
        let builder = Builder { question, texts, language };
        let more = vec![
            builder.field("chat_id", texts.chat, "oc_…"),
            builder.field("sender", texts.sender, "ou_…"),
            builder.field("from", texts.from, texts.time_hint),
            builder.field("to", texts.to, texts.time_hint),
            builder.field("min_size", texts.min_size, texts.size_hint),
            builder.field("max_size", texts.max_size, texts.size_hint),
        ];
        // What is kept are counts of the whole archive: beside another filter they would mislead.
        let kept = |filter, count: Option<&u64>| count.copied().filter(|_| question.is_at_most(filter));
        let states = State::ALL.iter().map(|state| {
            (state.as_str(), vocabulary::state(*state, language), kept("state", statistics.states.get(state)))
        });
        let roles = Role::ALL
            .iter()
            .map(|role| (role.as_str(), vocabulary::role(*role, language), kept("role", statistics.roles.get(role))));
        Self {
            texts,
            search: builder.field("q", texts.search, texts.search_hint),
            state: builder.choice("state", texts.state, states),
            role: builder.choice("role", texts.role, roles),
            more_is_open: more.iter().any(|field| !field.value.is_empty()),
            others: builder.others(&more),
            more,
            is_in_use: !question.given.is_empty(),
        }
    }
}

/// Builds fields of what was asked.
struct Builder<'q> {
    question: &'q Question,
    texts: &'static Texts,
    language: Language,
}

impl Builder<'_> {
    fn field(&self, name: &'static str, label: &'static str, hint: &'static str) -> Field {
        Field { name, label, hint, value: self.question.given_for(name), trouble: self.trouble(name) }
    }

    fn choice<'a>(
        &self,
        name: &'static str,
        label: &'static str,
        choices: impl Iterator<Item = (&'a str, &'static str, Option<u64>)>,
    ) -> Choice {
        let given = self.question.given_for(name);
        let any = Opt { value: String::new(), label: self.texts.any.to_owned(), is_chosen: given.is_empty() };
        let mut options = vec![any];
        options.extend(choices.map(|(value, label, count)| Opt {
            value: value.to_owned(),
            label: count.map_or_else(|| label.to_owned(), |count| format!("{label} ({})", grouped(count))),
            is_chosen: value == given,
        }));
        // Several values at once come from a link; they stay one choice.
        if !options.iter().any(|option| option.is_chosen) {
            options.push(Opt { label: visible(&given), value: given, is_chosen: true });
        }
        Choice { name, label, options, trouble: self.trouble(name) }
    }

    /// What was given beside the fields.
    fn others(&self, more: &[Field]) -> Vec<Other> {
        let has_field =
            |name: &str| ["q", "state", "role"].contains(&name) || more.iter().any(|field| field.name == name);
        let others = self.question.given.iter().filter(|(name, _)| !has_field(name));
        let other = |(name, value): &(String, String)| Other {
            name: name.clone(),
            value: value.clone(),
            shown: visible(&format!("{name}: {value}")),
            trouble: self.trouble(name),
            without: self.question.without(name),
        };
        others.map(other).collect()
    }

    /// What is wrong with a filter, in the reader's language.
    fn trouble(&self, name: &str) -> Option<String> {
        let (_, error) = self.question.troubles.iter().find(|(troubled, _)| troubled == name)?;
        Some(trouble::of(error, self.language))
    }
}
