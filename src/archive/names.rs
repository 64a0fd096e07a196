//! Names: what chats and people are called is looked up in the background, once in a while.
//!
//! It uses budgets of its own, asks for one thing at a time, writes seldom, and no download waits for
//! it. What goes wrong concerns names only and never a resource.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outage::{Admission, Kind, Outage};
use crate::catalogue::names::{self, Nameless, NamelessChat};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::download::Verdict;
use crate::domain::error::chain;
use crate::domain::id::{AppId, ChatId, OpenId, TenantKey};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::feishu::answer::Refusal;
use crate::feishu::client::Client;
use crate::feishu::names::{Named, PEOPLE_PER_CALL};

/// How long a name counts as young. Most chats and people keep theirs for years.
pub const GOOD_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long one that could not be named is left alone.
const ONE_RESTS_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long nobody is asked when the app may not ask: a person has to change that.
const APP_RESTS_FOR: Duration = Duration::from_secs(60 * 60);
/// How long nobody is asked when the platform fails or asks to wait, and how long the one rests
/// whose turn it was, or for whom nobody can ask yet, so that it does not stand in the way of all others.
const PLATFORM_RESTS_FOR: Duration = Duration::from_secs(60);
const TURN_RESTS_FOR: Duration = Duration::from_secs(10 * 60);
/// How long a list of members stays unread after it was read.
const MEMBERS_REST_FOR: Duration = Duration::from_secs(60 * 60);
/// Chats in one round, and people: what is due beyond that comes in the next one.
const CHATS_PER_ROUND: u32 = 20;
const PEOPLE_PER_ROUND: u32 = 50;
/// Pages of one list of members: the people that are looked for are mostly on the first.
const MEMBER_PAGES: usize = 10;
/// The pause before a round: names are in no hurry, and what is new has bytes to fetch first.
const BEFORE_ROUND: Duration = Duration::from_millis(500);
/// When to look for names that have grown old.
const POLL: Duration = Duration::from_secs(60);
/// What all questions for names are about, when it comes to whether the platform answers: they are asked
/// one after the other and prove no more than one resource does.
const SUBJECT: &str = "names";
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Looks up names for one app.
#[derive(Debug)]
pub struct Namer {
    catalogue: Catalogue,
    client: Client,
    outage: Outage,
    app_id: AppId,
    clock: Clock,
    /// Until when nobody is asked.
    closed: HashMap<Desk, Timestamp>,
    /// Whose closing the log has told.
    told: HashSet<Directory>,
}

/// A directory of one tenant: what closes it concerns no other tenant of a store app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Desk {
    directory: Directory,
    tenant_key: Option<TenantKey>,
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

/// What became of the question for a chat's name: the name, or until when to let the chat rest.
#[derive(Debug)]
struct ChatAnswer {
    chat_id: ChatId,
    asked_at: Timestamp,
    answer: Result<Option<String>, Timestamp>,
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
            Verdict::End(reason) if reason.may_clear_by_start() => Self::App,
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
    pub fn new(catalogue: Catalogue, (client, outage): (Client, Outage), app_id: AppId, clock: Clock) -> Self {
        Self { catalogue, client, outage, app_id, clock, closed: HashMap::new(), told: HashSet::new() }
    }

    /// Works until `shutdown`; `news` is told when there may be somebody new.
    pub async fn run(mut self, mut news: watch::Receiver<()>, shutdown: CancellationToken) {
        let work = async {
            loop {
                tokio::time::sleep(BEFORE_ROUND).await;
                news.borrow_and_update();
                if let Err(error) = self.round().await {
                    tracing::error!(app.id = %self.app_id, error = %chain(&error), "Cannot record names");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
                // Without news it is the time that makes names old.
                let _ = tokio::time::timeout(POLL, news.changed()).await;
            }
        };
        shutdown.run_until_cancelled(work).await;
    }

    /// Looks up what is due, as far as a round goes, unless the app is paused.
    async fn round(&mut self) -> Result<(), CatalogueError> {
        if self.outage.is_paused(Kind::Names) && !self.is_any_due().await? {
            return Ok(());
        }
        // Held until the end of this round.
        let mut admission = self.outage.admit(Kind::Names);
        match &mut admission {
            Admission::Open => {}
            Admission::Probe(probe) => probe.asks_for(SUBJECT),
            Admission::Wait(_) => return Ok(()),
        }
        self.name_chats().await?;
        self.name_people().await
    }

    async fn is_any_due(&self) -> Result<bool, CatalogueError> {
        let (read, now) = (self.catalogue.read(), self.clock.now());
        Ok(!names::chats_due(read, &self.app_id, now, 1).await?.is_empty()
            || !names::people_due(read, &self.app_id, now, 1).await?.is_empty())
    }

    async fn name_chats(&mut self) -> Result<(), CatalogueError> {
        let due = names::chats_due(self.catalogue.read(), &self.app_id, self.clock.now(), CHATS_PER_ROUND).await?;
        let mut answers = Vec::new();
        for chat in due {
            let asked_at = self.clock.now();
            let answer = self.ask_for_chat(&chat).await;
            answers.push(ChatAnswer { chat_id: chat.chat_id, asked_at, answer });
        }
        self.record_chats(&answers).await
    }

    /// What a chat is called; until when to let it rest, if nobody tells.
    async fn ask_for_chat(&mut self, chat: &NamelessChat) -> Result<Option<String>, Timestamp> {
        let desk = Desk { directory: Directory::Chats, tenant_key: chat.tenant_key.clone() };
        let client = self.client_at(&desk)?;
        let answer = client.chat_name(&chat.chat_id).await.inspect(|_| self.outage.note_answer(Kind::Names));
        answer.map_err(|refusal| self.clock.now().after(self.weigh(desk, &refusal).rest()))
    }

    async fn record_chats(&self, answers: &[ChatAnswer]) -> Result<(), CatalogueError> {
        if answers.is_empty() {
            return Ok(());
        }
        let mut transaction = self.catalogue.begin().await?;
        for ChatAnswer { chat_id, asked_at, answer } in answers {
            match answer {
                Ok(name) => {
                    let (chat, due_at) = ((&self.app_id, chat_id), asked_at.after(GOOD_FOR));
                    names::name_chat(&mut transaction, chat, name.as_deref(), *asked_at, due_at).await?;
                }
                Err(due_at) => names::postpone_chat(&mut transaction, &self.app_id, chat_id, *due_at).await?,
            }
        }
        transaction.commit().await
    }

    /// Names people: first from the lists of members of their chats, which need no permission for
    /// contacts and tell a hundred names at once, then one by one.
    async fn name_people(&mut self) -> Result<(), CatalogueError> {
        let due = names::people_due(self.catalogue.read(), &self.app_id, self.clock.now(), PEOPLE_PER_ROUND).await?;
        let mut nameless: BTreeMap<OpenId, Option<TenantKey>> =
            due.iter().map(|person| (person.open_id.clone(), person.tenant_key.clone())).collect();
        for ((chat_id, tenant_key), people) in by_chat(due) {
            for named in self.name_from_members(&chat_id, tenant_key, people).await? {
                nameless.remove(&named);
            }
        }
        for (tenant_key, people) in by_tenant(nameless) {
            let desk = Desk { directory: Directory::People, tenant_key };
            for some in people.chunks(PEOPLE_PER_CALL) {
                self.name_directly(&desk, some).await?;
            }
        }
        Ok(())
    }

    /// Names whoever is on a chat's list of members; returns who of the wanted was.
    async fn name_from_members(
        &mut self,
        chat_id: &ChatId,
        tenant_key: Option<TenantKey>,
        mut wanted: HashSet<OpenId>,
    ) -> Result<HashSet<OpenId>, CatalogueError> {
        let now = self.clock.now();
        let desk = Desk { directory: Directory::Members, tenant_key };
        let due = names::members_due(self.catalogue.read(), &self.app_id, chat_id, now).await?;
        let Some(client) = self.client_at(&desk).ok().filter(|_| due) else { return Ok(HashSet::new()) };
        let (members, refusal) = read_members(&client, chat_id, &wanted).await;
        if refusal.is_none() {
            self.outage.note_answer(Kind::Names);
        }
        let rest = refusal.map_or(MEMBERS_REST_FOR, |refusal| self.weigh(desk, &refusal).rest());
        let mut transaction = self.catalogue.begin().await?;
        names::name_people(&mut transaction, &self.app_id, &members, now.after(GOOD_FOR)).await?;
        names::postpone_members(&mut transaction, &self.app_id, chat_id, now.after(rest)).await?;
        transaction.commit().await?;
        Ok(members.into_iter().filter_map(|(open_id, _)| wanted.take(&open_id)).collect())
    }

    /// Asks for people by their ids. Where one of several may be at fault, each is asked for alone.
    async fn name_directly(&mut self, desk: &Desk, people: &[OpenId]) -> Result<(), CatalogueError> {
        if self.ask_for(desk, people).await? == Some(Concern::One) && people.len() > 1 {
            for one in people {
                self.ask_for(desk, std::slice::from_ref(one)).await?;
            }
        }
        Ok(())
    }

    /// Asks for people and records who was found; the others rest. Returns whom a refusal concerns.
    async fn ask_for(&mut self, desk: &Desk, people: &[OpenId]) -> Result<Option<Concern>, CatalogueError> {
        let now = self.clock.now();
        let (named, concern, rest_until) = match self.client_at(desk) {
            Err(until) => (Vec::new(), None, until),
            Ok(client) => match client.people(people).await {
                // Who is left out of an answer has no name that this app may see.
                Ok(named) => {
                    self.outage.note_answer(Kind::Names);
                    (named, None, now.after(Concern::One.rest()))
                }
                Err(refusal) => {
                    let concern = self.weigh(desk.clone(), &refusal);
                    (Vec::new(), Some(concern), now.after(concern.rest()))
                }
            },
        };
        let mut transaction = self.catalogue.begin().await?;
        names::postpone_people(&mut transaction, &self.app_id, people, rest_until).await?;
        names::name_people(&mut transaction, &self.app_id, &named, now.after(GOOD_FOR)).await?;
        transaction.commit().await?;
        Ok(concern)
    }

    /// Who asks at a desk; if there is no use in asking, until when there is none.
    fn client_at(&self, desk: &Desk) -> Result<Client, Timestamp> {
        let now = self.clock.now();
        if let Some(until) = self.closed.get(desk).filter(|until| now < **until) {
            return Err(*until);
        }
        let client = self.client.for_tenant(desk.tenant_key.as_ref());
        // The tenant is known as soon as there is a message.
        if client.lacks_tenant() { Err(now.after(TURN_RESTS_FOR)) } else { Ok(client) }
    }

    /// Decides whom a refusal concerns, and closes the desk for a while if it is everybody.
    fn weigh(&mut self, desk: Desk, refusal: &Refusal) -> Concern {
        // Whatever it means for the app, a name rests as its verdict says.
        let _ = self.outage.heed(Kind::Names, SUBJECT, refusal);
        let concern = Concern::of(refusal);
        let (app_id, now, upstream) = (&self.app_id, self.clock.now(), &refusal.upstream);
        let directory = desk.directory;
        match concern {
            Concern::One => tracing::debug!(app.id = %app_id, ?directory, %upstream, "A name cannot be looked up"),
            Concern::Platform => {
                tracing::debug!(app.id = %app_id, ?directory, %upstream, "Names cannot be looked up now");
                self.closed.insert(desk, now.after(PLATFORM_RESTS_FOR));
            }
            Concern::App => {
                self.closed.insert(desk, now.after(APP_RESTS_FOR));
                if self.told.insert(directory) {
                    tracing::info!(app.id = %app_id, ?directory, %upstream,
                        "App {app_id} may not look up names; everything else goes on without them");
                }
            }
        }
        concern
    }
}

/// Reads a list of members until everybody who is wanted was on it. Returns what was read, and why
/// that was not more.
async fn read_members(client: &Client, chat_id: &ChatId, wanted: &HashSet<OpenId>) -> (Vec<Named>, Option<Refusal>) {
    let (mut read, mut page): (Vec<Named>, _) = (Vec::new(), None);
    for _ in 0..MEMBER_PAGES {
        match client.members(chat_id, page.as_deref()).await {
            Ok(members) => {
                read.extend(members.people);
                page = members.next_page;
            }
            Err(refusal) => return (read, Some(refusal)),
        }
        let found = read.iter().filter(|(open_id, _)| wanted.contains(open_id)).count();
        if page.is_none() || found >= wanted.len() {
            break;
        }
    }
    (read, None)
}

/// The people of each chat; who was seen in none is left out.
fn by_chat(people: Vec<Nameless>) -> BTreeMap<(ChatId, Option<TenantKey>), HashSet<OpenId>> {
    let mut chats: BTreeMap<_, HashSet<OpenId>> = BTreeMap::new();
    for Nameless { open_id, chat_id, tenant_key } in people {
        if let Some(chat_id) = chat_id {
            chats.entry((chat_id, tenant_key)).or_default().insert(open_id);
        }
    }
    chats
}

/// The people of each tenant.
fn by_tenant(people: BTreeMap<OpenId, Option<TenantKey>>) -> BTreeMap<Option<TenantKey>, Vec<OpenId>> {
    let mut tenants: BTreeMap<_, Vec<OpenId>> = BTreeMap::new();
    for (open_id, tenant_key) in people {
        tenants.entry(tenant_key).or_default().push(open_id);
    }
    tenants
}
