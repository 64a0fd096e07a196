//! Dictionary: every image of the company's dictionary, page by page, each once.
//!
//! It finds keys and fetches nothing; what is found is fetched like anything else.

use std::collections::HashSet;
use std::time::Duration;

use crate::domain::download::{Verdict, pause};
use crate::domain::id::ResourceKey;
use crate::feishu::answer::Refusal;
use crate::feishu::client::Client;
use crate::feishu::dictionary::DictionaryPage;

/// More pages than any dictionary has (a hundred entries each): whoever serves more never ends.
const MAX_PAGES: u32 = 10_000;
/// How often a page is asked for before the walk gives up.
const TRIES: u32 = 5;

/// A walk through the dictionary.
#[derive(Debug)]
pub struct Walk {
    client: Client,
    seen: HashSet<ResourceKey>,
    next: Next,
    pages: u32,
}

#[derive(Debug)]
enum Next {
    First,
    Page(String),
    Nowhere,
}

/// Why a walk does not go on.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The platform refused a page, or failed too often.
    #[error("the dictionary cannot be listed: {} ({}) {}", .0.reason().cause().en, .0.upstream, .0.reason().remedy().en)]
    Refused(Refusal),
    /// Its pages do not come to an end.
    #[error("the dictionary does not come to an end: the platform repeats a page, or has more than {MAX_PAGES}")]
    Endless,
}

impl Walk {
    /// A walk that begins at the first page.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, seen: HashSet::new(), next: Next::First, pages: 0 }
    }

    /// The images of the next page that were on none before it; none when everything was seen.
    ///
    /// # Errors
    /// If the platform refuses, fails for long, or does not end.
    pub async fn next(&mut self) -> Result<Option<Vec<ResourceKey>>, WalkError> {
        let page = match &self.next {
            Next::First => None,
            Next::Page(page) => Some(page.as_str()),
            Next::Nowhere => return Ok(None),
        };
        let DictionaryPage { mut images, next_page } = self.ask(page).await.map_err(WalkError::Refused)?;
        self.pages += 1;
        if self.pages >= MAX_PAGES || (next_page.is_some() && next_page.as_deref() == page) {
            return Err(WalkError::Endless);
        }
        self.next = next_page.map_or(Next::Nowhere, Next::Page);
        images.retain(|image| self.seen.insert(image.clone()));
        Ok(Some(images))
    }

    /// Asks for a page until it comes, with pauses, for a few times.
    async fn ask(&self, page: Option<&str>) -> Result<DictionaryPage, Refusal> {
        let mut tries = 1;
        loop {
            match self.client.dictionary_page(page).await {
                Err(refusal) if tries < TRIES => {
                    let Some(wait) = wait_after(&refusal, tries) else { return Err(refusal) };
                    tokio::time::sleep(wait).await;
                    tries += 1;
                }
                answered => return answered,
            }
        }
    }
}

/// How long to wait before asking again; nothing if that is of no use.
fn wait_after(refusal: &Refusal, tries: u32) -> Option<Duration> {
    let usual = pause(refusal.reason(), tries, fastrand::f64());
    match refusal.verdict {
        Verdict::RateLimited { wait } => Some(wait.unwrap_or(usual)),
        Verdict::Retry(_) | Verdict::RetryFewTimes(_) => Some(usual),
        Verdict::End(_) => None,
    }
}
