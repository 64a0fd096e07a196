//! Crashes: the real program, killed without warning at random moments under load, again and again.
//!
//! The platform lives in the test's own process, survives every crash, and keeps a journal of what
//! was asked. It behaves as the real one does: what was not answered with 200 is delivered again,
//! what was answered never is. After every kill [`books::Books`] compares catalogue, store and journal.
//!
//! What this cannot prove is the loss of power: after SIGKILL the kernel still holds every byte that
//! was written, synced or not. The order of the calls is what protects from that, and `regression::durability`
//! looks at it. Whether the disk means it when it says so is beyond any test.

mod books;
mod program;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use larkive::catalogue::FILE_NAME;
use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event::{self, App, MessageEvent};
use larkive::sandbox::kind::{Kind, sample_events};
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::Sender;
use larkive::sandbox::{Action, Route, Rule, Sandbox, SandboxOptions};
use serde_json::Value;
use tempfile::TempDir;

use self::books::Books;
use self::program::Program;
use crate::patience::Patience;

/// How often the service is killed.
const ROUNDS: u32 = 50;
/// How often the service and a `fetch` beside it are killed.
const ROUNDS_WITH_FETCH: u32 = 10;
/// Messages that the platform tries to deliver in one round.
const LETTERS_IN_HAND: usize = 20;
/// How long a program lives after it was started, or after it was ready to serve.
const FUSE_MS: std::ops::RangeInclusive<u64> = 20..=400;
/// One round in so many is over before the program is ready, while it takes up what the last one left.
const EARLY_ONE_IN: u32 = 5;
/// Deliveries of a round are spread over so many milliseconds, so that most kills hit some.
const SPREAD_MS: u64 = 300;
/// Files that are slow to come, so that every kill hits some of them half way: 24 pieces, 15 ms apart.
const SLOW: Action = Action::Drip { bytes: 4 << 10, every_ms: 15 };
const SLOW_BYTES: u64 = 96 << 10;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Longer than any lease that a killed `fetch` can leave.
const LEASES_ARE_OVER_MS: i64 = 3_600_000;
/// Names a seed to repeat; without it every run has another one.
const SEED_VARIABLE: &str = "CRASH_TEST_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_fifty_kills_and_nothing_is_fetched_twice() {
    let mut storm = Storm::new().await;
    for _ in 0..ROUNDS {
        storm.kill_under_load().await;
        storm.check().await;
    }
    storm.settle().await;
    storm.books.assert_kills_hit_downloads(ROUNDS as usize / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_fetch_had_claimed_is_taken_over_when_its_lease_is_over() {
    let mut storm = Storm::new().await;
    for _ in 0..ROUNDS_WITH_FETCH {
        storm.kill_beside_fetch().await;
        storm.check().await;
    }
    storm.books.assert_dead_claims_of("fetch-");
    storm.let_leases_end().await;
    storm.settle().await;
}

/// A message that the platform wants to deliver.
struct Letter {
    message_id: String,
    payload: Value,
    keys: Vec<String>,
}

/// A data directory, the platform, and what was delivered so far.
struct Storm {
    dice: fastrand::Rng,
    directory: TempDir,
    platform: Sandbox,
    app: App,
    /// Not answered yet; delivered again in the next round.
    in_hand: Vec<Letter>,
    books: Books,
    letters_written: u64,
}

impl Storm {
    async fn new() -> Self {
        let seed = std::env::var(SEED_VARIABLE).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        // The harness shows this when the test fails.
        println!("repeat with {SEED_VARIABLE}={seed}");
        let directory = tempfile::tempdir().unwrap();
        let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let app = App { app_id: program::APP_ID.into(), verification_token: Secret::new(program::VERIFICATION_TOKEN) };
        let books = Books::of(directory.path());
        let dice = fastrand::Rng::with_seed(seed);
        Self { dice, directory, platform, app, in_hand: Vec::new(), books, letters_written: 0 }
    }

    /// Starts the service, delivers to it, and kills it wherever it is then.
    async fn kill_under_load(&mut self) {
        let mut serve = Program::start(self.directory.path(), &self.platform.base_url(), &["serve"]);
        let fuse = self.fuse();
        if self.dice.u32(..EARLY_ONE_IN) == 0 {
            tokio::time::sleep(fuse).await;
            return serve.kill();
        }
        let address = serve.address().await;
        let kill = async {
            tokio::time::sleep(fuse).await;
            serve.kill();
        };
        self.deliver_until(address, kill).await;
    }

    /// The same with a `fetch` beside it, which dies first, last, or of old age.
    async fn kill_beside_fetch(&mut self) {
        let base_url = self.platform.base_url();
        let mut serve = Program::start(self.directory.path(), &base_url, &["serve"]);
        let address = serve.address().await;
        let letter = self.slow_file();
        let (message, key) = (letter.message_id.clone(), letter.keys[0].clone());
        self.books.permit(&message, &letter.keys);
        // The message of every other one arrives as an event as well, before or after.
        if self.dice.bool() {
            self.in_hand.push(letter);
        }
        let words = ["fetch", "resource", "--message", &message, "--key", &key, "--type", "file", "--timeout", "60s"];
        let mut fetch = Program::start(self.directory.path(), &base_url, &words);
        let (first, second) = (self.fuse(), self.fuse());
        let mut victims = [&mut serve, &mut fetch];
        self.dice.shuffle(&mut victims);
        let kill = async {
            for (victim, fuse) in victims.into_iter().zip([first, second]) {
                tokio::time::sleep(fuse).await;
                victim.kill();
            }
        };
        self.deliver_until(address, kill).await;
    }

    /// Delivers what is in hand while `kill` goes on, and keeps what was not answered.
    async fn deliver_until(&mut self, address: SocketAddr, kill: impl Future<Output = ()>) {
        while self.in_hand.len() < LETTERS_IN_HAND {
            let letter = self.letter();
            self.in_hand.push(letter);
        }
        let sender = self.sender(address);
        let deliveries = self.in_hand.drain(..).map(|letter| {
            let pause = Duration::from_millis(self.dice.u64(..SPREAD_MS));
            let sender = &sender;
            async move {
                tokio::time::sleep(pause).await;
                let answered = sender.deliver(&letter.payload).await.is_ok_and(|reply| reply.status == 200);
                (letter, answered)
            }
        });
        let deliveries: Vec<_> = deliveries.collect();
        let (deliveries, ()) = tokio::join!(join_all(deliveries), kill);
        for (letter, answered) in deliveries {
            if answered {
                self.books.expect(&letter.message_id, &letter.keys);
            } else {
                self.in_hand.push(letter);
            }
        }
    }

    /// Starts the service a last time, delivers the rest, and waits until nothing is left to do.
    async fn settle(&mut self) {
        let mut serve = Program::start(self.directory.path(), &self.platform.base_url(), &["serve"]);
        let address = serve.address().await;
        self.deliver_until(address, std::future::ready(())).await;
        let mut patience = Patience::new();
        loop {
            match self.books.unfinished().await {
                0 => break,
                left => patience.note("all work is finished", left),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        serve.kill();
        self.check().await;
        assert!(self.in_hand.is_empty(), "some deliveries were not answered by a healthy service");
        self.books.assert_settled(&self.platform.journal()).await;
    }

    /// What must hold at every moment, looked at while nothing runs.
    async fn check(&mut self) {
        self.books.audit(&self.platform.journal()).await;
    }

    /// Lets the leases of the dead end, as time would.
    async fn let_leases_end(&self) {
        let path = self.directory.path().join("data").join(FILE_NAME);
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let catalogue = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let shift = sqlx::query("UPDATE resources SET lease_until = lease_until - ? WHERE state = 'running'");
        shift.bind(LEASES_ARE_OVER_MS).execute(&catalogue).await.unwrap();
        catalogue.close().await;
    }

    fn fuse(&mut self) -> Duration {
        Duration::from_millis(self.dice.u64(FUSE_MS))
    }

    fn sender(&self, address: SocketAddr) -> Sender {
        let key = EncryptKey::new(Secret::new(program::ENCRYPT_KEY));
        Sender::new(&format!("http://{address}/webhook/event"), self.app.clone(), Some(key)).unwrap()
    }

    /// The next message: pictures, rich texts with equal bytes among them, files, and a fault now and then.
    fn letter(&mut self) -> Letter {
        match self.dice.u32(..10) {
            0..3 => self.sample(Kind::Image),
            3..5 => self.sample(Kind::Post),
            5 => self.sample(Kind::Media),
            6 => self.sample(Kind::Json),
            7 => self.slow_file(),
            _ => self.file_that_fails_once(),
        }
    }

    fn sample(&mut self, kind: Kind) -> Letter {
        let seed = self.next_seed();
        let sample = sample_events(kind, seed, &self.app, Clock::system().now()).remove(0);
        let keys = sample.resources.into_iter().map(|expected| expected.key).collect();
        Letter { message_id: sample.message_id.unwrap(), payload: sample.payload, keys }
    }

    fn slow_file(&mut self) -> Letter {
        let key = Media::Blob { size_bytes: SLOW_BYTES }.key(self.next_seed());
        self.platform.fault(Rule::on(Route::Resource, SLOW).key(&key));
        self.file(key)
    }

    fn file_that_fails_once(&mut self) -> Letter {
        let size_bytes = self.dice.u64(1..200_000);
        let key = Media::Blob { size_bytes }.key(self.next_seed());
        let after = Some(self.dice.u64(..size_bytes));
        let faults = [
            Action::Cut { after },
            Action::Reset { after },
            Action::Chunked { cut_after: after },
            Action::Surplus { bytes: 10 },
            Action::Empty,
            Action::Page { status: 502 },
        ];
        let fault = faults[self.dice.usize(..faults.len())].clone();
        self.platform.fault(Rule::on(Route::Resource, fault).key(&key).times(1));
        self.file(key)
    }

    fn file(&self, key: String) -> Letter {
        let message_id = format!("om_{}", event::hex_id(&["crash", &key]));
        let message: MessageEvent = event::file(&message_id, &key, "file.bin");
        Letter { message_id, payload: message.payload(&self.app, Clock::system().now()), keys: vec![key] }
    }

    fn next_seed(&mut self) -> u64 {
        self.letters_written += 1;
        self.letters_written
    }
}
