//! How a connection gets on: whose turn it is, since when, and whether it has to go.
//!
//! Written by the connection's own thread, read by whoever looks through the table.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// How long a client may take for the head of a request. actix answers 408 after five seconds, but
/// only for the first request of a connection.
const HEAD_WITHIN: Duration = Duration::from_secs(6);
/// How long a connection may say nothing between two requests. actix closes after five seconds.
const IDLE_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may fetch nothing of an answer. A player that pauses asks again for the rest.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);
/// How long a connection that is being closed may take for the rest of its answer.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// What comes behind the head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// A body of so many bytes.
    Bytes(u64),
    /// A body that says itself where it ends.
    Chunks,
}

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another request may come.
    Request,
    /// It is closed.
    Close,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Between two requests.
    Idle,
    /// The head of a request is coming, since then.
    Head(Instant),
    /// The head that came since then is handed out, and actix has not made a request of it yet.
    Handed(Instant),
    /// A request is being answered; so much of its body is wanted and still to come.
    Request(Follows),
    /// The last answer is given.
    Closing,
}

/// What may be read from a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The head of a request.
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// Some chunks of a body.
    Chunks,
    /// Nothing until an answer is given and fetched.
    Wait,
    /// Nothing any more.
    End,
    /// Nothing, and nothing may be written either: the connection had to go.
    Gone,
}

/// The progress of one connection.
#[derive(Debug)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    stage: Stage,
    /// When a byte came or went for the last time.
    moved_at: Instant,
    /// Whether the client does not fetch what was written.
    is_blocked: bool,
    /// Whether no further request is taken.
    is_last: bool,
    is_gone: bool,
    waker: Option<Waker>,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        let state =
            State { stage: Stage::Idle, moved_at: now, is_blocked: false, is_last: false, is_gone: false, waker: None };
        Self(Mutex::new(state))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Times and stages that a panic left half written are still times and stages.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is; the task is woken when that changes.
    pub(super) fn turn(&self, cx: &Context<'_>) -> Turn {
        let mut state = self.lock();
        state.wake_later(cx);
        match state.stage {
            _ if state.is_gone => Turn::Gone,
            Stage::Closing => Turn::End,
            Stage::Idle | Stage::Head(_) if state.is_last => Turn::End,
            _ if state.is_blocked => Turn::Wait,
            Stage::Idle | Stage::Head(_) => Turn::Head,
            Stage::Request(Follows::Bytes(left)) => Turn::Body(left),
            Stage::Request(Follows::Chunks) => Turn::Chunks,
            Stage::Handed(_) | Stage::Request(Follows::Nothing) => Turn::Wait,
        }
    }

    /// Whether the connection had to go.
    pub(super) fn is_gone(&self) -> bool {
        self.lock().is_gone
    }

    /// Whether nothing has come since the last answer.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().stage == Stage::Idle
    }

    /// Bytes of a head have come.
    pub(super) fn head_came(&self, now: Instant) {
        let mut state = self.lock();
        state.moved_at = now;
        if state.stage == Stage::Idle {
            state.stage = Stage::Head(now);
        }
    }

    /// The head is handed out. Nothing else is, until it is known what follows.
    pub(super) fn head_ended(&self) {
        let mut state = self.lock();
        if let Stage::Head(since) = state.stage {
            state.stage = Stage::Handed(since);
        }
    }

    /// So many bytes of the body have come.
    pub(super) fn body_came(&self, bytes: u64, now: Instant) {
        let mut state = self.lock();
        state.moved_at = now;
        if let Stage::Request(Follows::Bytes(left)) = state.stage {
            let left = left.saturating_sub(bytes);
            state.stage = Stage::Request(if left == 0 { Follows::Nothing } else { Follows::Bytes(left) });
        }
    }

    /// A request has begun. Its body stays with its sender until somebody reads it.
    pub(super) fn request_began(&self) {
        self.lock().stage = Stage::Request(Follows::Nothing);
    }

    /// Somebody reads the body of the request, which is this.
    pub(super) fn body_is_wanted(&self, follows: Follows) {
        self.turn_to(Stage::Request(follows));
    }

    /// Nothing more belongs to the request.
    pub(super) fn body_ended(&self) {
        self.lock().stage = Stage::Request(Follows::Nothing);
    }

    /// The answer is given.
    pub(super) fn answered(&self, next: Next) {
        self.lock().moved_at = Instant::now();
        self.turn_to(match next {
            Next::Request => Stage::Idle,
            Next::Close => Stage::Closing,
        });
    }

    /// No request is taken any more, whatever comes.
    pub(super) fn close(&self) {
        self.turn_to(Stage::Closing);
    }

    /// The request that is under way, if any, is the last one.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.is_last = true;
        state.wake();
    }

    /// Ends the connection, whatever it is doing.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.is_gone = true;
        state.wake();
    }

    fn turn_to(&self, stage: Stage) {
        let mut state = self.lock();
        state.stage = stage;
        state.wake();
    }

    /// Bytes of an answer were taken.
    pub(super) fn wrote(&self, now: Instant) {
        let mut state = self.lock();
        state.moved_at = now;
        if std::mem::take(&mut state.is_blocked) {
            state.wake();
        }
    }

    /// No byte of an answer can be written, because the client does not fetch what was written before.
    pub(super) fn blocked(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        state.is_blocked = true;
        state.wake_later(cx);
    }

    /// Since when the client has kept us waiting; none if it does not.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        let state = self.lock();
        let is_ours = state.stage == Stage::Request(Follows::Nothing) && !state.is_blocked;
        (!is_ours).then_some(state.moved_at)
    }

    /// Whether the client has kept us waiting for longer than anybody may.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let state = self.lock();
        let (since, within) = match state.stage {
            Stage::Head(since) | Stage::Handed(since) => (since, HEAD_WITHIN),
            Stage::Closing => (state.moved_at, CLOSED_WITHIN),
            _ if state.is_blocked => (state.moved_at, FETCHED_WITHIN),
            Stage::Idle => (state.moved_at, IDLE_WITHIN),
            // Whoever answers the request sees to its body.
            Stage::Request(_) => return false,
        };
        now.saturating_duration_since(since) > within
    }
}

impl State {
    fn wake_later(&mut self, cx: &Context<'_>) {
        self.waker.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
