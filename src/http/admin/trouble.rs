//! What is wrong with a filter, told to people in their language; where the words are English anyway, they
//! are those of the API.

use super::language::{Language, texts};
use crate::domain::filter::{FilterError, MAX_VALUE_BYTES, MAX_VALUES, ValueProblem};
use crate::domain::query::{MAX_WORDS, QueryProblem};
use crate::domain::readable::visible;

texts! {
    /// What would fit.
    Texts {
        time = "请写成 2026-01-31T09:30:00+08:00、2026-01-31（当天零点），或从现在往前的时长，如 90m、36h、7d。",
            "Write 2026-01-31T09:30:00+08:00, 2026-01-31 (midnight) or a span back from now such as 90m, 36h or 7d.";
        size = "请写字节数，或带单位的数，如 10MB、2GiB。", "Write bytes, or a number with a unit such as 10MB or 2GiB.";
        choice = "没有这个选项。", "There is no such choice.";
        id = "不是可用的 ID。", "This is no usable ID.";
        digest = "请写 64 位十六进制的 SHA-256。", "Write a SHA-256 in 64 hexadecimal digits.";
        mime = "请写媒体类型，如 image/png，或一类，如 image/*。",
            "Write a media type such as image/png, or a family such as image/*.";
        extension = "请写文件扩展名，如 pdf。", "Write the end of a file name, such as pdf.";
        sort = "请写 sort:relevance（按相关度）或 sort:newest（按时间）。", "Write sort:relevance or sort:newest.";
        twice = "只能写一次。", "This can be said only once.";
        empty = "这里是空的。", "This is empty.";
        unknown_name = "没有这个筛选条件。", "There is no such filter.";
    }
}

/// What is wrong with a filter.
pub(super) fn of(error: &FilterError, language: Language) -> String {
    let texts = Texts::of(language);
    match error {
        FilterError::UnknownName(_) => texts.unknown_name.to_owned(),
        FilterError::BadValue { name, problem, .. } => match problem {
            ValueProblem::Twice => texts.twice.to_owned(),
            ValueProblem::Empty => texts.empty.to_owned(),
            ValueProblem::TooLong => too_long(language),
            ValueProblem::TooMany => language
                .pick(format!("最多可写 {MAX_VALUES} 个值。"), format!("At most {MAX_VALUES} values are taken.")),
            ValueProblem::Unfit(_) => texts.fitting(name).to_owned(),
        },
        FilterError::BadQuery { position, problem } => {
            let what = of_query(problem, language);
            language.pick(format!("第 {position} 个字符：{what}"), format!("At character {position}: {what}"))
        }
    }
}

/// What is wrong at a place of a search.
fn of_query(problem: &QueryProblem, language: Language) -> String {
    let texts = Texts::of(language);
    match problem {
        QueryProblem::NoWord => language.pick("没有可以搜索的词。", "There is no word to look for.").to_owned(),
        QueryProblem::TooLong => too_long(language),
        QueryProblem::TooManyWords => language.pick(
            format!("最多可搜索 {MAX_WORDS} 个词或短语。"),
            format!("At most {MAX_WORDS} words and phrases are looked for."),
        ),
        QueryProblem::EmptyPhrase => language
            .pick("引号之间没有文字或数字。", "There is no letter or digit between the quotation marks.")
            .to_owned(),
        QueryProblem::OpenPhrase => {
            language.pick("这个引号没有结束。", "This quotation mark is never closed.").to_owned()
        }
        QueryProblem::NoOpposite { name } => {
            language.pick(format!("{name}: 前面不能加减号。"), format!("{name}: cannot be turned round with a dash."))
        }
        QueryProblem::NoValue { name } => {
            language.pick(format!("{name}: 后面缺少值。"), format!("{name}: wants a value."))
        }
        QueryProblem::BadValue { name: "type" | "state", allowed } => {
            language.pick(format!("没有这个选项。（{allowed}）"), format!("There is no such choice: {allowed}."))
        }
        QueryProblem::BadValue { name, .. } => texts.fitting(name).to_owned(),
        QueryProblem::UnknownName { typed, name } => {
            let typed = visible(typed);
            language.pick(
                format!("没有 {typed}: 这个条件。请写 {name}:，或给这段文字加上引号。"),
                format!("There is no {typed}: to ask for. Write {name}: or put the text into quotation marks."),
            )
        }
        QueryProblem::Twice => texts.twice.to_owned(),
        QueryProblem::NothingToRank => language
            .pick("按相关度排序需要有要搜索的词。", "Ordering by relevance needs words to be relevant to.")
            .to_owned(),
    }
}

fn too_long(language: Language) -> String {
    language.pick(format!("最长 {MAX_VALUE_BYTES} 字节。"), format!("This is longer than {MAX_VALUE_BYTES} bytes."))
}

impl Texts {
    /// What would fit something of this name, in a filter or a search.
    fn fitting(&self, name: &str) -> &'static str {
        match name {
            "from" | "to" | "after" | "before" => self.time,
            "min_size" | "max_size" | "larger" | "smaller" => self.size,
            "state" | "role" | "source" => self.choice,
            "sha256" => self.digest,
            "mime" => self.mime,
            "ext" => self.extension,
            "sort" => self.sort,
            _ => self.id,
        }
    }
}
