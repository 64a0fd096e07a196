//! The charts of the overview: what came in by kind, and bytes by whether they were new, each with a
//! table that says the same.

use super::chart::{Chart, Column};
use super::figures::grouped;
use super::language::{Language, texts};
use crate::catalogue::days::DayTally;
use crate::domain::readable::human_bytes;
use crate::domain::resource::Role;

texts! {
    /// The texts of the charts.
    Texts {
        found = "每日收到", "Received per day";
        bytes = "每日归档量", "Bytes stored per day";
        images = "图片", "Images";
        files = "文件", "Files";
        voices = "语音", "Voice";
        videos = "视频", "Videos";
        others = "其他", "Other";
        new_bytes = "新内容", "New content";
        saved_bytes = "重复内容（未占空间）", "Duplicates, kept once";
        day = "日期", "Day";
        total = "合计", "Total";
        nothing = "这段时间没有数据。", "Nothing in this time.";
    }
}

/// A chart with everything around it.
#[derive(Debug)]
pub(super) struct DayChart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// The chart in a sentence, for who does not see it.
    pub(super) summary: String,
    pub(super) legend: Vec<&'static str>,
    pub(super) chart: Chart,
    pub(super) top: String,
    pub(super) half: String,
    pub(super) first_day: String,
    pub(super) last_day: String,
    /// The days that brought something, the newest first: the day, each series, and the sum.
    pub(super) rows: Vec<(String, Vec<String>)>,
}

/// What a chart shows of each day.
struct Subject {
    id: &'static str,
    title: &'static str,
    legend: Vec<&'static str>,
    values: fn(&DayTally) -> Vec<u64>,
    spelled: fn(u64) -> String,
}

/// What came in, by kind.
pub(super) fn received(days: &[DayTally], language: Language) -> DayChart {
    let texts = Texts::of(language);
    let legend = vec![texts.images, texts.files, texts.voices, texts.videos, texts.others];
    let subject = Subject { id: "received", title: texts.found, legend, values: by_kind, spelled: grouped };
    DayChart::new(subject, days, language)
}

/// Bytes, by whether they were new.
pub(super) fn bytes(days: &[DayTally], language: Language) -> DayChart {
    let texts = Texts::of(language);
    let legend = vec![texts.new_bytes, texts.saved_bytes];
    let subject = Subject { id: "bytes", title: texts.bytes, legend, values: by_novelty, spelled: human_bytes };
    DayChart::new(subject, days, language)
}

fn by_kind(tally: &DayTally) -> Vec<u64> {
    let mut kinds = [0; 5];
    for (role, found) in &tally.roles {
        let [images, files, voices, videos, others] = &mut kinds;
        let kind = match role {
            Role::Image | Role::CardImage => images,
            Role::File => files,
            Role::Audio => voices,
            Role::Video => videos,
            Role::Cover | Role::Sticker | Role::Folder | Role::Forward => others,
        };
        *kind += found;
    }
    kinds.to_vec()
}

fn by_novelty(tally: &DayTally) -> Vec<u64> {
    vec![tally.bytes.saturating_sub(tally.saved_bytes), tally.saved_bytes]
}

impl DayChart {
    fn new(subject: Subject, days: &[DayTally], language: Language) -> Self {
        let Subject { id, title, legend, values, spelled } = subject;
        let columns = days.iter().map(|tally| {
            let values = values(tally);
            Column { title: column_title(tally, &legend, &values, spelled), values }
        });
        let chart = Chart::new(columns.collect());
        let something = days.iter().rev().filter(|tally| values(tally).iter().any(|value| *value > 0));
        let rows = something.map(|tally| (tally.day.to_string(), row(&values(tally), spelled)));
        Self {
            id,
            title,
            summary: summary(days, values, spelled, language),
            top: spelled(chart.top),
            half: spelled(chart.half()),
            first_day: days.first().map(|tally| tally.day.to_string()).unwrap_or_default(),
            last_day: days.last().map(|tally| tally.day.to_string()).unwrap_or_default(),
            rows: rows.collect(),
            legend,
            chart,
        }
    }
}

fn column_title(tally: &DayTally, legend: &[&str], values: &[u64], spelled: fn(u64) -> String) -> String {
    let mut title = format!("{}: {}", tally.day, spelled(values.iter().sum()));
    for (name, value) in legend.iter().zip(values).filter(|(_, value)| **value > 0) {
        title.push_str(&format!("\n{name}: {}", spelled(*value)));
    }
    title
}

fn row(values: &[u64], spelled: fn(u64) -> String) -> Vec<String> {
    let sum: u64 = values.iter().sum();
    values.iter().chain([&sum]).map(|value| spelled(*value)).collect()
}

fn summary(
    days: &[DayTally],
    values: fn(&DayTally) -> Vec<u64>,
    spelled: fn(u64) -> String,
    language: Language,
) -> String {
    let total = |tally: &DayTally| values(tally).iter().sum::<u64>();
    let all: u64 = days.iter().map(total).sum();
    match days.iter().max_by_key(|tally| total(tally)).filter(|_| all > 0) {
        Some(most) => {
            let (all, day, highest) = (spelled(all), most.day, spelled(total(most)));
            language
                .pick(format!("共 {all}，{day} 最多：{highest}。"), format!("{all} in all. Most on {day}: {highest}."))
        }
        None => Texts::of(language).nothing.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::day::Day;

    #[test]
    fn a_chart_its_table_and_its_sentence_say_the_same() {
        let quiet = DayTally {
            day: Day::from_number(20_513).unwrap(),
            found: 0,
            stored: 0,
            bytes: 0,
            saved_bytes: 0,
            roles: BTreeMap::new(),
        };
        let busy = DayTally {
            day: Day::from_number(20_514).unwrap(),
            found: 3,
            stored: 3,
            bytes: 3_000_000,
            saved_bytes: 1_000_000,
            roles: BTreeMap::from([(Role::Image, 1), (Role::CardImage, 1), (Role::Sticker, 1)]),
        };
        let days = [quiet, busy];
        let received = received(&days, Language::English);
        assert_eq!(
            received.rows,
            [("2026-03-02".to_owned(), ["2", "0", "0", "0", "1", "3"].map(str::to_owned).to_vec())]
        );
        assert_eq!(received.summary, "3 in all. Most on 2026-03-02: 3.");
        assert_eq!(received.chart.bars[1].title, "2026-03-02: 3\nImages: 2\nOther: 1");
        let bytes = bytes(&days, Language::Chinese);
        assert_eq!(bytes.rows[0].1, ["2.0 MB", "1.0 MB", "3.0 MB"]);
        assert_eq!(super::bytes(&days[..1], Language::English).summary, "Nothing in this time.");
    }
}
