//! Questions that are asked of every archive.

use std::time::{Duration, Instant};

use anyhow::ensure;
use larkive::catalogue::Catalogue;
use larkive::catalogue::listing::{self, Page, PageRequest, resource::Resource};
use larkive::catalogue::{listing::chat, statistics};
use larkive::domain::filter::Filter;
use larkive::domain::time::Timestamp;

use crate::archive::Archive;

/// How long a question is asked again and again in one round, and how often at least.
const AT_LEAST: Duration = Duration::from_millis(100);
const TIMES: usize = 40;
/// A look at everything takes longer and is no answer of ours, only a comparison.
const SCANS: usize = 3;
/// Resources on a first page, and on each of the pages up to the hundredth.
const FIRST_LIMIT: u32 = 50;
const DEEP_LIMIT: u32 = 10;
const DEEP_PAGES: u32 = 100;

/// How long answers took.
pub(crate) struct Answers {
    pub(crate) first: Duration,
    pub(crate) others: Vec<Duration>,
}

/// A question.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    about: About,
}

/// What is asked.
enum About {
    /// The first page of a filter.
    First(&'static [(&'static str, &'static str)]),
    /// Its hundredth page; the pages before are not timed.
    Hundredth(&'static [(&'static str, &'static str)]),
    /// A look at every name and text.
    Scan(&'static str),
    /// How much there is, up to a thousand.
    Count(&'static [(&'static str, &'static str)]),
    /// What an overview shows.
    Overview,
}

const RANGE: [(&str, &str); 2] = [("from", "2023-11-15"), ("to", "2030-01-01")];

macro_rules! questions {
    ($($name:literal = $about:expr),* $(,)?) => { [$(Question { name: $name, about: $about }),*] };
}

pub(crate) const QUESTIONS: [Question; 54] = questions! {
    "票 (1 character)" = About::First(&[("q", "票")]),
    "发票" = About::First(&[("q", "发票")]),
    "琉璃瓦 (rare)" = About::First(&[("q", "琉璃瓦")]),
    "会议纪要" = About::First(&[("q", "会议纪要")]),
    "会议纪要 from a chat by its name" = About::First(&[("q", "会议纪要 chat:销售1部")]),
    "发票, hundredth page" = About::Hundredth(&[("q", "发票")]),
    "琴棋书画 (name of a chat)" = About::First(&[("q", "琴棋书画")]),
    "发票 in a large chat" = About::First(&[("q", "发票"), ("chat_id", "oc_0")]),
    "发票 in a small chat" = About::First(&[("q", "发票"), ("chat_id", "oc_280")]),
    "发票 type:image larger:5MB" = About::First(&[("q", "发票 type:image larger:5MB")]),
    "发票 sort:relevance" = About::First(&[("q", "发票 sort:relevance")]),
    "会议纪要 sort:relevance" = About::First(&[("q", "会议纪要 sort:relevance")]),
    "pdf (word)" = About::First(&[("q", "pdf")]),
    "pdf, hundredth page" = About::Hundredth(&[("q", "pdf")]),
    "pdf sort:relevance" = About::First(&[("q", "pdf sort:relevance")]),
    "发票 -pdf" = About::First(&[("q", "发票 -pdf")]),
    "p (beginning of words)" = About::First(&[("q", "p")]),
    "12 (beginning of numbers)" = About::First(&[("q", "12")]),
    "1 (beginning of numbers)" = About::First(&[("q", "1")]),
    "12 sort:relevance" = About::First(&[("q", "12 sort:relevance")]),
    "LIKE %票%" = About::Scan("%票%"),
    "LIKE %发票%" = About::Scan("%发票%"),
    "LIKE %琉璃瓦%" = About::Scan("%琉璃瓦%"),
    "LIKE %会议纪要%" = About::Scan("%会议纪要%"),
    "everything" = About::First(&[]),
    "everything, hundredth page" = About::Hundredth(&[]),
    "a time range" = About::First(&RANGE),
    "state=stored" = About::First(&[("state", "stored")]),
    "state=stored, hundredth page" = About::Hundredth(&[("state", "stored")]),
    "state=blocked" = About::First(&[("state", "blocked")]),
    "role=image" = About::First(&[("role", "image")]),
    "role=image, hundredth page" = About::Hundredth(&[("role", "image")]),
    "role=sticker (rare)" = About::First(&[("role", "sticker")]),
    "role=image in a time range" = About::First(&[("role", "image"), RANGE[0], RANGE[1]]),
    "chat_id, large" = About::First(&[("chat_id", "oc_0")]),
    "chat_id, large, hundredth page" = About::Hundredth(&[("chat_id", "oc_0")]),
    "sender" = About::First(&[("sender", "ou_0")]),
    "sender, hundredth page" = About::Hundredth(&[("sender", "ou_0")]),
    "message_type=post" = About::First(&[("message_type", "post")]),
    "source=message" = About::First(&[("source", "message")]),
    "app_id" = About::First(&[("app_id", "cli_b")]),
    "app_id, hundredth page" = About::Hundredth(&[("app_id", "cli_b")]),
    "mime=video/mp4" = About::First(&[("mime", "video/mp4")]),
    "mime=video/mp4, hundredth page" = About::Hundredth(&[("mime", "video/mp4")]),
    "mime=image/*" = About::First(&[("mime", "image/*")]),
    "sha256" = About::First(&[("sha256", "0000000000000000000000000000000000000000000000000000000000000007")]),
    "state=blocked,gone" = About::First(&[("state", "blocked,gone")]),
    "role=sticker and state=blocked" = About::First(&[("role", "sticker"), ("state", "blocked")]),
    "max_size=1000 (one in ten million)" = About::First(&[("max_size", "1000")]),
    "count of everything, up to 1000" = About::Count(&[]),
    "count of role=image, up to 1000" = About::Count(&[("role", "image")]),
    "count of 发票, up to 1000" = About::Count(&[("q", "发票")]),
    "count of pdf, up to 1000" = About::Count(&[("q", "pdf")]),
    "statistics and chats" = About::Overview,
};

impl Question {
    /// Asks once, and then often enough to tell which answers are slow.
    pub(crate) async fn ask(&self, archive: &Archive) -> anyhow::Result<Answers> {
        let catalogue = &archive.catalogue;
        let (filter, request) = match self.about {
            About::Hundredth(pairs) => (filter(pairs)?, deep(catalogue, &filter(pairs)?).await?),
            About::First(pairs) | About::Count(pairs) => {
                (filter(pairs)?, PageRequest { limit: FIRST_LIMIT, cursor: None })
            }
            About::Scan(_) | About::Overview => (Filter::default(), PageRequest { limit: FIRST_LIMIT, cursor: None }),
        };
        let first = self.time(catalogue, &filter, &request).await?;
        let (started, mut others) = (Instant::now(), Vec::new());
        let times = if matches!(self.about, About::Scan(_)) { SCANS } else { TIMES };
        while others.len() < times || started.elapsed() < AT_LEAST {
            others.push(self.time(catalogue, &filter, &request).await?);
        }
        Ok(Answers { first, others })
    }

    async fn time(&self, catalogue: &Catalogue, filter: &Filter, request: &PageRequest) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.answer(catalogue, filter, request).await?;
        Ok(started.elapsed())
    }

    async fn answer(&self, catalogue: &Catalogue, filter: &Filter, request: &PageRequest) -> anyhow::Result<()> {
        match self.about {
            About::First(_) | About::Hundredth(_) => {
                page(catalogue, filter, request).await?;
            }
            About::Count(_) => {
                let count = listing::count_up_to(catalogue, filter, 1000, now()?).await?;
                ensure!(count.seen > 0, "nothing to count");
            }
            About::Scan(pattern) => scan(catalogue, pattern).await?,
            About::Overview => {
                statistics::statistics(catalogue).await?;
                chat::chats(catalogue, request, now()?).await?;
            }
        }
        Ok(())
    }
}

fn now() -> anyhow::Result<Timestamp> {
    Ok("2030-01-01T00:00:00Z"
        .parse::<larkive::domain::filter::Moment>()?
        .resolve(Timestamp::EPOCH, &larkive::domain::zone::Zone::default()))
}

fn filter(pairs: &[(&str, &str)]) -> anyhow::Result<Filter> {
    let mut filter = Filter::default();
    for (name, value) in pairs {
        filter.add(name, value)?;
    }
    Ok(filter)
}

async fn page(catalogue: &Catalogue, filter: &Filter, request: &PageRequest) -> anyhow::Result<Page<Resource>> {
    Ok(listing::resources(catalogue, filter, request, now()?).await?)
}

/// The request for the hundredth page, or the last one before it.
async fn deep(catalogue: &Catalogue, filter: &Filter) -> anyhow::Result<PageRequest> {
    let mut request = PageRequest { limit: DEEP_LIMIT, cursor: None };
    for _ in 1..DEEP_PAGES {
        match page(catalogue, filter, &request).await?.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => break,
        }
    }
    Ok(request)
}

async fn scan(catalogue: &Catalogue, pattern: &str) -> anyhow::Result<()> {
    let count: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM resources AS r LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
         WHERE r.file_name LIKE ?1 OR m.text LIKE ?1",
    )
    .bind(pattern)
    .fetch_one(catalogue.read())
    .await?;
    ensure!(count > 0, "{pattern} finds nothing");
    Ok(())
}
