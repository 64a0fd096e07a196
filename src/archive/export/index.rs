//! The pages of an export: what is in it, for people with a browser and without a network.
//!
//! They ask no host for anything and run no script. Names of strangers are escaped, and kept from
//! turning the direction of what stands around them.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::manifest::{Fate, Problem};
use super::{Summary, name, name_in};
use crate::catalogue::listing::resource::Resource;
use crate::domain::download::State;
use crate::domain::resource::Role;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// The folder of all pages but the first.
pub(super) const PAGES: &str = "pages";
/// How many resources stand on a page: as many as a browser shows without a pause.
const ROWS: usize = 500;
/// What stays as it is in a link.
const IN_LINKS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a browser shows without running anything; everything else is for saving. A browser that opens a
/// file from a disk goes by its ending, and one that is given it by a server mostly by its type: both have to
/// say the same.
const SHOWN: [(&str, &[&str]); 17] = [
    ("avif", &["image/avif"]),
    ("bmp", &["image/bmp", "image/x-ms-bmp"]),
    ("gif", &["image/gif"]),
    ("jpeg", &["image/jpeg"]),
    ("jpg", &["image/jpeg"]),
    ("m4a", &["audio/m4a", "audio/mp4", "audio/x-m4a"]),
    ("m4v", &["video/mp4", "video/x-m4v"]),
    ("mov", &["video/quicktime"]),
    ("mp3", &["audio/mpeg"]),
    ("mp4", &["audio/mp4", "video/mp4"]),
    ("ogg", &["audio/ogg", "audio/opus", "video/ogg"]),
    ("opus", &["audio/ogg", "audio/opus"]),
    ("pdf", &["application/pdf"]),
    ("png", &["image/png"]),
    ("txt", &["text/plain"]),
    ("wav", &["audio/wav", "audio/x-wav"]),
    ("webm", &["audio/webm", "video/webm"]),
];

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:80rem;padding:1rem}\
table{border-collapse:collapse;width:100%}\
th,td{border-bottom:1px solid #8886;padding:.35rem .6rem .35rem 0;text-align:start;vertical-align:top}\
td:first-child{overflow-wrap:anywhere}\
.n{text-align:end;white-space:nowrap}\
.w{color:#b3261e}\
@media(prefers-color-scheme:dark){.w{color:#ff8a80}}\
nav{display:flex;gap:1.5rem;margin:1rem 0}";

/// The pages that are being made, newest resources first.
pub(super) struct Index {
    asked_at: Timestamp,
    /// Whose clocks show the times.
    zone: Zone,
    /// The rows of the page that is being filled.
    rows: String,
    count: usize,
    /// The rows of the first page, which is finished last, because it says what everything came to.
    first: Option<String>,
    /// How many pages are finished or being filled.
    pages: usize,
}

impl Index {
    /// No pages yet.
    pub(super) fn new(asked_at: Timestamp, zone: Zone) -> Self {
        Self { asked_at, zone, rows: String::new(), count: 0, first: None, pages: 1 }
    }

    /// Adds a resource. Returns the page before it, with its path, if that is finished now.
    pub(super) fn add(&mut self, resource: &Resource, fate: &Fate) -> Option<(String, String)> {
        let finished = if self.count == ROWS { self.turn() } else { None };
        // Links on later pages begin one folder further down.
        let up = if self.pages == 1 { "" } else { "../" };
        push_row(&mut self.rows, resource, fate, (up, &self.zone));
        self.count += 1;
        finished
    }

    /// The pages that are left, with their paths.
    pub(super) fn close(&mut self, summary: &Summary) -> Vec<(String, String)> {
        let last = std::mem::take(&mut self.rows);
        let Some(first) = self.first.take() else {
            return vec![("index.html".to_owned(), self.first_page(&last, summary))];
        };
        let first = ("index.html".to_owned(), self.first_page(&first, summary));
        vec![(page_path(self.pages), self.later_page(&last, self.pages)), first]
    }

    /// Whether a file in the folder of pages is one of them.
    pub(super) fn has_page(&self, name: &str) -> bool {
        let number = name.strip_suffix(".html").and_then(|number| number.parse::<usize>().ok());
        number.is_some_and(|number| (2..=self.pages).contains(&number) && name == format!("{number}.html"))
    }

    fn turn(&mut self) -> Option<(String, String)> {
        let rows = std::mem::take(&mut self.rows);
        let number = self.pages;
        self.pages += 1;
        self.count = 0;
        if number == 1 {
            self.first = Some(rows);
            return None;
        }
        Some((page_path(number), self.later_page(&rows, number)))
    }

    fn first_page(&self, rows: &str, summary: &Summary) -> String {
        let Summary { resources, files, bytes, damaged, refused, .. } = summary;
        let mut warning = String::new();
        if *damaged > 0 {
            let _ = write!(
                warning,
                "<p class=\"w\"><span lang=\"zh\">{damaged} 个文件已损坏，详见清单。</span> <span lang=\"en\">{damaged} files are damaged; the manifest says which.</span></p>"
            );
        }
        if *refused > 0 {
            let _ = write!(
                warning,
                "<p class=\"w\"><span lang=\"zh\">{refused} 个文件因文件名不被接受而未导出，详见清单。</span> <span lang=\"en\">{refused} files are left out, because their names were refused here; the manifest says which.</span></p>"
            );
        }
        let head = format!(
            "<p><span lang=\"zh\">共 {resources} 项，{files} 个文件，{bytes} 字节；导出于 {at}。</span> \
            <span lang=\"en\">{resources} resources, {files} files, {bytes} bytes; exported at {at}.</span></p>{warning}\
            <nav><a href=\"manifest.csv\" download>manifest.csv</a><a href=\"manifest.jsonl\" download>manifest.jsonl</a>\
            <a href=\"SHA256SUMS\" download>SHA256SUMS</a></nav>",
            at = self.asked_at,
        );
        page((&head, rows), &self.links(1), &self.zone)
    }

    fn later_page(&self, rows: &str, number: usize) -> String {
        page(("", rows), &self.links(number), &self.zone)
    }

    /// Where to go from a page. A page is finished once it is known whether another follows.
    fn links(&self, number: usize) -> String {
        let up = if number == 1 { "pages/" } else { "" };
        let mut links = String::new();
        if number > 1 {
            let before = if number == 2 { "../index.html".to_owned() } else { format!("{}.html", number - 1) };
            let _ = write!(links, "<a href=\"{before}\" rel=\"prev\">← 上一页 Previous</a>");
        }
        if number < self.pages {
            let _ = write!(links, "<a href=\"{up}{}.html\" rel=\"next\">下一页 Next →</a>", number + 1);
        }
        links
    }
}

fn page_path(number: usize) -> String {
    format!("{PAGES}/{number}.html")
}

fn page((head, rows): (&str, &str), links: &str, zone: &Zone) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"zh\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
        <meta name=\"referrer\" content=\"no-referrer\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <title>Larkive</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
        <h1><span lang=\"zh\">导出的文件</span> · <span lang=\"en\">Exported files</span></h1>\n{head}\n\
        <table>\n<thead><tr><th scope=\"col\">文件 File</th><th scope=\"col\">种类 Kind</th>\
        <th scope=\"col\" class=\"n\">字节 Bytes</th><th scope=\"col\">时间 Time ({zone})</th>\
        <th scope=\"col\">会话 Chat</th><th scope=\"col\">发送者 Sender</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
        <nav>{links}</nav>\n</body>\n</html>\n"
    )
}

fn push_row(rows: &mut String, resource: &Resource, fate: &Fate, (up, zone): (&str, &Zone)) {
    let chat = resource.chat_title().map(|title| title.told("单聊 direct"));
    let sender = resource.sender.name.clone().or_else(|| resource.sender.open_id.as_ref().map(ToString::to_string));
    let _ = writeln!(
        rows,
        "<tr><td>{}{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        named(resource, fate, up),
        standing(resource, fate),
        role(resource.role),
        resource.size_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
        zone.clock(resource.listed_at),
        stranger(chat.as_deref().unwrap_or_default()),
        stranger(sender.as_deref().unwrap_or_default()),
    );
}

/// The name, as a link where there is a file.
fn named(resource: &Resource, fate: &Fate, up: &str) -> String {
    let Some(path) = &fate.path else {
        let name = resource.file_name.as_deref().and_then(name::portable);
        return stranger(&name.unwrap_or_else(|| resource.id.to_string()));
    };
    let name = name_in(path);
    let saved = if is_shown(name, resource.mime.as_deref().unwrap_or_default()) { "" } else { " download" };
    format!("<a href=\"{up}{}\"{saved}>{}</a>", utf8_percent_encode(path, IN_LINKS), stranger(name))
}

fn is_shown(name: &str, mime: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    SHOWN.iter().any(|(known, types)| ending.eq_ignore_ascii_case(known) && types.contains(&mime))
}

/// Why there is no file, or what is wrong with it, and what can be done.
fn standing(resource: &Resource, fate: &Fate) -> String {
    if let Some(problem) = &fate.problem {
        let (zh, en) = match problem {
            Problem::Damaged(_) => ("已损坏", "damaged"),
            Problem::Refused { .. } => ("未导出", "left out"),
        };
        return format!(
            "<div class=\"w\"><span lang=\"zh\">{zh}</span> · <span lang=\"en\">{en}</span>: {}</div>",
            escaped(&problem.to_string())
        );
    }
    if resource.state == State::Stored {
        return String::new();
    }
    let mut standing = format!("<div class=\"w\">{}", state(resource.state));
    if let (Some(code), Some(remedy)) = (resource.reason_code, resource.remedy) {
        let (zh, en) = (escaped(remedy.zh), escaped(remedy.en));
        let _ = write!(standing, " ({code})<br><span lang=\"zh\">{zh}</span><br><span lang=\"en\">{en}</span>");
    }
    standing + "</div>"
}

fn state(state: State) -> &'static str {
    match state {
        State::Pending | State::Running => "尚未取得 · not here yet",
        State::Stored => "已存档 · stored",
        State::Blocked => "需要处理 · needs a person",
        State::Gone => "已被删除 · deleted before it was here",
        State::Impossible => "平台不提供 · not handed out",
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Image => "图片 image",
        Role::File => "文件 file",
        Role::Audio => "语音 audio",
        Role::Video => "视频 video",
        Role::Cover => "封面 cover",
        Role::Sticker => "表情 sticker",
        Role::Folder => "文件夹 folder",
        Role::CardImage => "卡片图片 card image",
        Role::Forward => "合并转发 forward",
    }
}

/// What a stranger wrote, in a direction of its own.
fn stranger(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}
