//! Names: what chats and people are called is looked up in the background, once in a while.
//!
//! It uses budgets of its own, asks for one thing at a time, and no download waits for it. What
//! goes wrong concerns names only and never a resource.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalogue::names::{self, Nameless};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::download::Verdict;
use crate::domain::error::chain;
use crate::domain::id::{AppId, ChatId, OpenId};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::feishu::answer::Refusal;
use crate::feishu::client::Client;
use crate::feishu::names::PEOPLE_PER_CALL;

/// How long a name counts as young. Most chats and people keep theirs for years.
pub const GOOD_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long one that could not be named is left alone.
const ONE_RESTS_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long nobody is asked when the app may not ask: a person has to change that.
const APP_RESTS_FOR: Duration = Duration::from_secs(60 * 60);
/// How long nobody is asked when the platform fails or asks to wait, and how long the one rests
/// whose turn it was, so that it does not stand in the way of all others.
const PLATFORM_RESTS_FOR: Duration = Duration::from_secs(60);
const TURN_RESTS_FOR: Duration = Duration::from_secs(10 * 60);
/// How long a list of members stays unread after it was read.
const MEMBERS_REST_FOR: Duration = Duration::from_secs(60 * 60);
/// Chats in one round, and people: what is due beyond that comes in the next one.
const CHATS_PER_ROUND: u32 = 20;
const PEOPLE_PER_ROUND: u32 = 50;
/// Pages of one list of members: the people that are looked for are mostly on the first.
const MEMBER_PAGES: usize = 10;
/// The pause between rounds: names are in no hurry.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(500);
/// When to look for names that have grown old.
const POLL: Duration = Duration::from_secs(60);
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Looks up names for one app.
#[derive(Debug)]
pub struct Namer {
    catalogue: Catalogue,
    client: Client,
    app_id: AppId,
    clock: Clock,
    /// Until when nobody is asked.
    closed: HashMap<Directory, Timestamp>,
    /// Whose closing the log has told.
    told: HashSet<Directory>,
}

/// Where names are looked up. Each has permissions of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Directory {
    /// What chats are called.
    Chats,
    /// Who is in a chat.
    Members,
    /// What people are called.
    People,
}

/// Whom a refusal concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    /// Whoever was asked about.
    One,
    /// Everybody that the app might ask about.
    App,
    /// Nobody: the platform fails, or is asked too often.
    Platform,
}

impl Concern {
    fn of(refusal: &Refusal) -> Self {
        match refusal.verdict {
            Verdict::RateLimited { .. } | Verdict::Retry(_) => Self::Platform,
            Verdict::End(ReasonCode::Unauthorized | ReasonCode::QuotaExhausted) => Self::App,
            Verdict::End(reason) if reason.lies_in_configuration() => Self::App,
            Verdict::End(_) | Verdict::RetryFewTimes(_) => Self::One,
        }
    }

    /// How long the one rests that was asked about.
    fn rest(self) -> Duration {
        match self {
            Self::One => ONE_RESTS_FOR,
            Self::App => APP_RESTS_FOR,
            Self::Platform => TURN_RESTS_FOR,
        }
    }
}

impl Namer {
    /// One that has asked nobody yet.
    #[must_use]
    pub fn new(catalogue: Catalogue, client: Client, app_id: AppId, clock: Clock) -> Self {
        Self { catalogue, client, app_id, clock, closed: HashMap::new(), told: HashSet::new() }
    }

    /// Works until `shutdown`; `news` is told when there may be somebody new.
    pub async fn run(mut self, mut news: watch::Receiver<()>, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            news.borrow_and_update();
            let pause = match shutdown.run_until_cancelled(self.round()).await {
                None => return,
                Some(Ok(())) => POLL,
                Some(Err(error)) => {
                    tracing::error!(app.id = %self.app_id, error = %chain(&error), "Cannot record names");
                    AFTER_FAILURE
                }
            };
            let wait = async {
                tokio::time::sleep(BETWEEN_ROUNDS).await;
                // An archive that lets go of the bell is about to end; then `shutdown` tells.
                let _ = tokio::time::timeout(pause, news.changed()).await;
            };
            shutdown.run_until_cancelled(wait).await;
        }
    }

    /// Looks up what is due, as far as a round goes.
    async fn round(&mut self) -> Result<(), CatalogueError> {
        self.name_chats().await?;
        self.name_people().await
    }

    async fn name_chats(&mut self) -> Result<(), CatalogueError> {
        let due = names::chats_due(self.catalogue.read(), &self.app_id, self.clock.now(), CHATS_PER_ROUND).await?;
        for chat_id in due {
            if self.closed_until(Directory::Chats).is_some() {
                break;
            }
            let now = self.clock.now();
            match self.client.chat_name(&chat_id).await {
                Ok(name) => {
                    let chat = (&self.app_id, &chat_id);
                    names::name_chat(&self.catalogue, chat, name.as_deref(), now, now.after(GOOD_FOR)).await?;
                }
                Err(refusal) => {
                    let until = now.after(self.weigh(Directory::Chats, &refusal).rest());
                    names::postpone_chat(&self.catalogue, &self.app_id, &chat_id, until).await?;
                }
            }
        }
        Ok(())
    }

    /// Names people: first from the lists of members of their chats, which need no permission for
    /// contacts and tell a hundred names at once, then one by one.
    async fn name_people(&mut self) -> Result<(), CatalogueError> {
        let due = names::people_due(self.catalogue.read(), &self.app_id, self.clock.now(), PEOPLE_PER_ROUND).await?;
        let mut nameless: BTreeSet<OpenId> = due.iter().map(|person| person.open_id.clone()).collect();
        for (chat_id, people) in by_chat(due) {
            let named = self.name_from_members(&chat_id, people).await?;
            nameless.retain(|open_id| !named.contains(open_id));
        }
        let nameless: Vec<OpenId> = nameless.into_iter().collect();
        for some in nameless.chunks(PEOPLE_PER_CALL) {
            self.name_directly(some).await?;
        }
        Ok(())
    }

    /// Reads a chat's list of members until everybody who is looked for was found; returns who was.
    async fn name_from_members(
        &mut self,
        chat_id: &ChatId,
        mut wanted: HashSet<OpenId>,
    ) -> Result<HashSet<OpenId>, CatalogueError> {
        let mut found = HashSet::new();
        let now = self.clock.now();
        let due = names::members_due(self.catalogue.read(), &self.app_id, chat_id, now).await?;
        if !due || self.closed_until(Directory::Members).is_some() {
            return Ok(found);
        }
        let (mut page, mut rest) = (None, MEMBERS_REST_FOR);
        for _ in 0..MEMBER_PAGES {
            let members = match self.client.members(chat_id, page.as_deref()).await {
                Ok(members) => members,
                Err(refusal) => {
                    rest = self.weigh(Directory::Members, &refusal).rest();
                    break;
                }
            };
            names::name_people(&self.catalogue, &self.app_id, &members.people, now.after(GOOD_FOR)).await?;
            found.extend(members.people.into_iter().map(|(open_id, _)| open_id).filter(|id| wanted.remove(id)));
            page = members.next_page;
            if page.is_none() || wanted.is_empty() {
                break;
            }
        }
        names::postpone_members(&self.catalogue, &self.app_id, chat_id, now.after(rest)).await?;
        Ok(found)
    }

    /// Asks for people by their ids. Where one of several may be at fault, each is asked for alone.
    async fn name_directly(&mut self, people: &[OpenId]) -> Result<(), CatalogueError> {
        if self.ask_for(people).await? == Some(Concern::One) && people.len() > 1 {
            for one in people {
                self.ask_for(std::slice::from_ref(one)).await?;
            }
        }
        Ok(())
    }

    /// Asks for people and records who was found; the others rest. Returns whom a refusal concerns.
    async fn ask_for(&mut self, people: &[OpenId]) -> Result<Option<Concern>, CatalogueError> {
        let now = self.clock.now();
        if let Some(until) = self.closed_until(Directory::People) {
            names::postpone_people(&self.catalogue, &self.app_id, people, until).await?;
            return Ok(None);
        }
        let (named, concern) = match self.client.people(people).await {
            Ok(named) => (named, None),
            Err(refusal) => (Vec::new(), Some(self.weigh(Directory::People, &refusal))),
        };
        // Who is left out of an answer has no name that this app may see.
        let rest = concern.unwrap_or(Concern::One).rest();
        names::postpone_people(&self.catalogue, &self.app_id, people, now.after(rest)).await?;
        names::name_people(&self.catalogue, &self.app_id, &named, now.after(GOOD_FOR)).await?;
        Ok(concern)
    }

    fn closed_until(&self, directory: Directory) -> Option<Timestamp> {
        self.closed.get(&directory).copied().filter(|until| self.clock.now() < *until)
    }

    /// Decides whom a refusal concerns, and asks nobody for a while if it is everybody.
    fn weigh(&mut self, directory: Directory, refusal: &Refusal) -> Concern {
        let concern = Concern::of(refusal);
        let upstream = &refusal.upstream;
        let (app_id, now) = (&self.app_id, self.clock.now());
        match concern {
            Concern::One => tracing::debug!(app.id = %app_id, ?directory, %upstream, "A name cannot be looked up"),
            Concern::Platform => {
                tracing::debug!(app.id = %app_id, ?directory, %upstream, "Names cannot be looked up now");
                self.closed.insert(directory, now.after(PLATFORM_RESTS_FOR));
            }
            Concern::App => {
                self.closed.insert(directory, now.after(APP_RESTS_FOR));
                if self.told.insert(directory) {
                    tracing::info!(app.id = %app_id, ?directory, %upstream,
                        "App {app_id} may not look up names; everything else goes on without them");
                }
            }
        }
        concern
    }
}

/// The people of each chat; who was seen in none is left out.
fn by_chat(people: Vec<Nameless>) -> BTreeMap<ChatId, HashSet<OpenId>> {
    let mut chats: BTreeMap<ChatId, HashSet<OpenId>> = BTreeMap::new();
    for Nameless { open_id, chat_id } in people {
        if let Some(chat_id) = chat_id {
            chats.entry(chat_id).or_default().insert(open_id);
        }
    }
    chats
}
