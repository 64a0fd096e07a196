//! The running stand-in: a listener, its connections, and the handle that tests and commands hold.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Refusal;
use super::api::{self, Api};
use super::call::{Call, Route};
use super::control;
use super::delivery::{self, Delivered, Then};
use super::faults::{Action, Faults, Rule};
use super::journal::{Entry, Journal};
use super::wire::{Connection, NoRequest, Request};
use crate::clock::Clock;

/// How many calls the journal keeps unless told otherwise: some 40 MB of memory.
const JOURNAL_LIMIT: usize = 100_000;
/// Connections at once; more wait. Far above what one client opens, below the usual limit of open files.
const MAX_CONNECTIONS: usize = 900;
/// How long a connection may wait for its next request. Longer than clients keep theirs, so that
/// none is closed under a request that is on its way.
const IDLE_LIMIT: Duration = Duration::from_secs(300);
/// The pause after a failed accept; it fails when open files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many characters of a token the journal shows.
const TOKEN_SHOWN: usize = 10;

/// How to run the stand-in.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// A directory with files that are served under their names as keys.
    pub fixtures: Option<PathBuf>,
    /// How many calls the journal keeps.
    pub journal_limit: usize,
    /// Whether what is served is hashed for the journal.
    pub hashing: Hashing,
    /// The clock by which tokens expire.
    pub clock: Clock,
}

/// Whether the journal tells the SHA-256 of what was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// It does.
    On,
    /// It does not: for measuring somebody else on the same processor.
    Off,
}

impl Default for SandboxOptions {
    /// A free port of this machine, no fixtures, everything in the journal.
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            fixtures: None,
            journal_limit: JOURNAL_LIMIT,
            hashing: Hashing::On,
            clock: Clock::system(),
        }
    }
}

/// A running stand-in platform. It ends when it is stopped or dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    platform: Arc<Platform>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Platform {
    api: Api,
    faults: Faults,
    journal: Journal,
    hashing: Hashing,
    clock: Clock,
    calls: AtomicU64,
}

impl Sandbox {
    /// Starts listening; the work is done by tasks of the runtime that this is called in.
    ///
    /// # Errors
    /// The address cannot be taken.
    pub async fn start(options: SandboxOptions) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(options.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener.local_addr().context("cannot read the address listened on")?;
        let platform = Arc::new(Platform {
            api: Api::new(options.fixtures, options.clock.clone()),
            faults: Faults::default(),
            journal: Journal::new(options.journal_limit),
            hashing: options.hashing,
            clock: options.clock,
            calls: AtomicU64::new(0),
        });
        let sandbox = Self { address, platform, stopping: CancellationToken::new(), tasks: TaskTracker::new() };
        let accepting = accept(listener, sandbox.platform.clone(), sandbox.tasks.clone(), sandbox.stopping.clone());
        sandbox.tasks.spawn(sandbox.stopping.clone().run_until_cancelled_owned(accepting));
        Ok(sandbox)
    }

    /// What to configure as the platform's base URL, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        format!("http://{address}")
    }

    /// Adds a rule at the end of the fault script.
    pub fn fault(&self, rule: Rule) {
        self.platform.faults.add(rule);
    }

    /// Puts a message there to be asked for, with everything that is listed with it.
    pub fn put_message(&self, message_id: &str, items: Vec<serde_json::Value>) {
        self.platform.api.messages.put(message_id, items);
    }

    /// Empties the fault script.
    pub fn clear_faults(&self) {
        self.platform.faults.replace(Vec::new());
    }

    /// The calls so far, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.platform.journal.entries()
    }

    /// How often a key was asked for.
    #[must_use]
    pub fn requests_for(&self, key: &str) -> usize {
        self.platform.journal.count(|entry| entry.key.as_deref() == Some(key))
    }

    /// How often a route was called.
    #[must_use]
    pub fn requests_of(&self, route: Route) -> usize {
        self.platform.journal.count(|entry| entry.route == route)
    }

    /// Waits until a route was called so often; the calls need not be answered yet.
    pub async fn until_called(&self, route: Route, calls: usize) {
        self.platform.journal.until(calls, |entry| entry.route == route).await;
    }

    /// Closes everything and waits until it is closed.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn accept(listener: TcpListener, platform: Arc<Platform>, tasks: TaskTracker, stopping: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "Could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let platform = platform.clone();
        tasks.spawn(stopping.clone().run_until_cancelled_owned(async move {
            platform.converse(stream).await;
            drop(place);
        }));
    }
}

impl Platform {
    /// Answers one request after the other until either side closes.
    async fn converse(&self, stream: TcpStream) {
        // Without it the small pieces of a slow drip would wait for one another.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "Could not turn off Nagle's algorithm");
        }
        let mut connection = Connection::new(stream);
        while let Ok(next) = tokio::time::timeout(IDLE_LIMIT, connection.next_request()).await {
            let exchanged = match next {
                Ok(request) => {
                    let then = self.exchange(&mut connection, &request).await;
                    if request.is_the_last() { Ok(Then::Close) } else { then }
                }
                Err(NoRequest::Unreadable(status)) => {
                    let answer = Refusal::new(status, i64::from(status), "the request cannot be read").answer("");
                    let close = Action::Unsized;
                    delivery::deliver(&mut connection, answer, &close, &mut Delivered::default()).await
                }
                Err(NoRequest::Gone(_)) => return,
            };
            if !matches!(exchanged, Ok(Then::NextRequest)) {
                return;
            }
        }
    }

    async fn exchange(&self, connection: &mut Connection, request: &Request) -> std::io::Result<Then> {
        if request.path.starts_with(control::PREFIX) {
            let answer = control::answer(request, &self.journal, &self.faults);
            return delivery::deliver(connection, answer, &Action::Serve, &mut Delivered::default()).await;
        }
        let call = self.api.identify(request, Call::recognise(request));
        let ticket = self.journal.arrive(self.entry(request, &call));
        let (delay_ms, action) = self.faults.take(&call);
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let answer = self.api.answer(request, &call, &action, &self.log_id()).await;
        let answer = match self.clock.now().http_date() {
            Some(date) => answer.with("Date", date),
            None => answer,
        };
        let mut delivered = match self.hashing {
            Hashing::On => Delivered::hashing(),
            Hashing::Off => Delivered::default(),
        };
        let then = delivery::deliver(connection, answer, &action, &mut delivered).await;
        tracing::debug!(method = request.method, path = request.path, status = delivered.status, "Answered a call");
        self.journal.complete(ticket, delivered.status, delivered.bytes, delivered.digest());
        then
    }

    fn entry(&self, request: &Request, call: &Call) -> Entry {
        Entry {
            time: self.clock.now(),
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            route: call.route,
            message_id: call.message_id.clone(),
            key: call.key.clone(),
            range: request.header("range").map(str::to_owned),
            app_id: call.app_id.clone(),
            tenant_key: call.tenant_key.clone(),
            token: api::bearer(request).map(|token| token.chars().take(TOKEN_SHOWN).collect()),
            status: None,
            bytes: 0,
            sha256: None,
        }
    }

    /// A trace id in the looks of the platform's: 32 digits, never the same twice in a run.
    fn log_id(&self) -> String {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        format!("{:014}{call:018X}", self.clock.now().unix_ms())
    }
}
