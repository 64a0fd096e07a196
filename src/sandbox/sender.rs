//! The sending side of the platform: seals events as it does and posts them to a webhook.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Value, json};

use super::event::App;
use super::kind::{Expected, Kind, SampleEvent};
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::feishu::crypto::{self, EncryptKey};

/// How long a webhook may take to answer; the platform gives up then, too.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a connection may take; the platform's own limit.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How an event is put into a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// As the platform does: encrypted and signed.
    Proper,
    /// Encrypted, without a signature.
    Unsigned,
    /// Encrypted, with the signature of something else.
    BadSignature,
    /// Encrypted and signed, then one character of the ciphertext changed.
    Tampered,
}

/// A request as it goes to a webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The headers besides `Content-Type`, which is JSON.
    pub headers: Vec<(&'static str, String)>,
    /// The body, byte by byte as signed.
    pub body: String,
}

/// Posts events to one webhook.
#[derive(Debug, Clone)]
pub struct Sender {
    http: reqwest::Client,
    url: reqwest::Url,
    app: App,
    encrypt_key: Option<EncryptKey>,
    clock: Clock,
}

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Why a webhook did not answer.
#[derive(Debug, thiserror::Error)]
pub enum NoReply {
    /// Nobody listens there.
    #[error("cannot connect to {url}")]
    NoServer {
        /// The address.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It took the request and no whole answer came back in time.
    #[error("no answer from {url}")]
    NoAnswer {
        /// The address.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
}

/// A sample event that was sent.
#[derive(Debug, Clone, Serialize)]
pub struct SentEvent {
    /// Its kind.
    pub kind: Kind,
    /// Its event id.
    pub event_id: Option<String>,
    /// Its message.
    pub message_id: Option<String>,
    /// The HTTP status of the answer; none if none came.
    pub status: Option<u16>,
    /// What it ought to bring into the archive.
    pub resources: Vec<Expected>,
}

/// Puts an event into a request. Without a key it goes as plain JSON, whatever the sealing.
#[must_use]
pub fn seal(payload: &Value, key: Option<&EncryptKey>, sealing: Sealing, now: Timestamp) -> Delivery {
    let plain = payload.to_string();
    let Some(key) = key else { return Delivery { headers: Vec::new(), body: plain } };
    // No secret hangs on these: the receiver is tried out, and its key was made for trying.
    let iv = fastrand::u128(..).to_le_bytes();
    let nonce = format!("{:016x}", fastrand::u64(..));
    let timestamp = now.unix_ms().div_euclid(1000).to_string();
    let encrypted = key.encrypt(plain.as_bytes(), iv);
    let body = json!({ "encrypt": encrypted }).to_string();
    let signature = match sealing {
        Sealing::Unsigned => return Delivery { headers: Vec::new(), body },
        Sealing::BadSignature => crypto::signature(&timestamp, &nonce, key, b"something else"),
        Sealing::Proper | Sealing::Tampered => crypto::signature(&timestamp, &nonce, key, body.as_bytes()),
    };
    let headers =
        vec![("X-Lark-Request-Timestamp", timestamp), ("X-Lark-Request-Nonce", nonce), ("X-Lark-Signature", signature)];
    match sealing {
        Sealing::Tampered => Delivery { headers, body: json!({ "encrypt": tampered(&encrypted) }).to_string() },
        _ => Delivery { headers, body },
    }
}

impl Sender {
    /// A sender for a webhook; with an Encrypt Key it encrypts and signs.
    ///
    /// # Errors
    /// The address is no URL, or there is no way to speak TLS.
    pub fn new(url: &str, app: App, encrypt_key: Option<EncryptKey>) -> anyhow::Result<Self> {
        // Fails when somebody was first, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(ANSWER_LIMIT)
            .connect_timeout(CONNECT_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            // The webhook is one of ours, mostly on this machine; a proxy would only be in the way.
            .no_proxy()
            .build()
            .context("cannot set up an HTTP client")?;
        let url = url
            .parse()
            .with_context(|| format!("{url:?} is not a URL; an example is http://127.0.0.1:8080/webhook/event"))?;
        Ok(Self { http, url, app, encrypt_key, clock: Clock::system() })
    }

    /// The same sender, which signs with the time of another clock.
    #[must_use]
    pub fn on(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The app whose events it sends.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Sends a sample.
    ///
    /// # Errors
    /// Nobody listens. A missing or late answer is no error: it shows as a missing status.
    pub async fn send(&self, sample: SampleEvent) -> Result<SentEvent, NoReply> {
        let status = match self.post(&self.sealed(&sample.payload, sample.sealing)).await {
            Ok(reply) => Some(reply.status),
            Err(NoReply::NoAnswer { .. }) => None,
            Err(error @ NoReply::NoServer { .. }) => return Err(error),
        };
        let SampleEvent { kind, event_id, message_id, resources, .. } = sample;
        Ok(SentEvent { kind, event_id, message_id, status, resources })
    }

    /// Sends an event as the platform does.
    ///
    /// # Errors
    /// No answer came.
    pub async fn deliver(&self, payload: &Value) -> Result<Reply, NoReply> {
        self.post(&self.sealed(payload, Sealing::Proper)).await
    }

    /// Puts an event into a request with this sender's key.
    #[must_use]
    pub fn sealed(&self, payload: &Value, sealing: Sealing) -> Delivery {
        seal(payload, self.encrypt_key.as_ref(), sealing, self.clock.now())
    }

    /// Posts a request.
    ///
    /// # Errors
    /// No answer came.
    pub async fn post(&self, delivery: &Delivery) -> Result<Reply, NoReply> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json;charset=utf-8")
            .body(delivery.body.clone());
        for (name, value) in &delivery.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.map_err(|error| self.no_reply(error))?;
        let status = response.status().as_u16();
        let body = response.text().await.map_err(|error| self.no_reply(error))?;
        Ok(Reply { status, body })
    }

    fn no_reply(&self, source: reqwest::Error) -> NoReply {
        let url = self.url.to_string();
        if source.is_connect() { NoReply::NoServer { url, source } } else { NoReply::NoAnswer { url, source } }
    }
}

/// The text with its middle character changed to another of the same alphabet.
fn tampered(encrypted: &str) -> String {
    let middle = encrypted.len() / 2;
    let change = |(place, letter)| match letter {
        'A' if place == middle => 'B',
        _ if place == middle => 'A',
        other => other,
    };
    encrypted.chars().enumerate().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::sandbox::event;
    use crate::sandbox::kind::sample_events;

    fn app() -> App {
        App { app_id: "cli_1".to_owned(), verification_token: Secret::new("token") }
    }

    fn verifies(delivery: &Delivery, key: &EncryptKey) -> bool {
        let header = |name| delivery.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let (Some(timestamp), Some(nonce), Some(signature)) =
            (header("X-Lark-Request-Timestamp"), header("X-Lark-Request-Nonce"), header("X-Lark-Signature"))
        else {
            return false;
        };
        crypto::verify(timestamp, nonce, key, delivery.body.as_bytes(), signature)
    }

    fn opened(delivery: &Delivery, key: &EncryptKey) -> Value {
        let body: Value = serde_json::from_str(&delivery.body).unwrap();
        serde_json::from_slice(&key.decrypt(body["encrypt"].as_str().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn sealed_events_verify_and_open_unless_they_should_not() {
        let key = EncryptKey::new(Secret::new("key"));
        let payload = event::image("om_1", "img_1").payload(&app(), Timestamp::EPOCH);
        let sealed = |sealing| seal(&payload, Some(&key), sealing, Timestamp::EPOCH);
        assert!(verifies(&sealed(Sealing::Proper), &key));
        assert_eq!(opened(&sealed(Sealing::Proper), &key), payload);
        assert_ne!(sealed(Sealing::Proper).body, sealed(Sealing::Proper).body, "the vector is fresh every time");
        assert!(sealed(Sealing::Unsigned).headers.is_empty());
        assert_eq!(opened(&sealed(Sealing::Unsigned), &key), payload);
        assert!(!verifies(&sealed(Sealing::BadSignature), &key));
        assert!(!verifies(&sealed(Sealing::Tampered), &key));
        let plain = seal(&payload, None, Sealing::Proper, Timestamp::EPOCH);
        assert_eq!((serde_json::from_str(&plain.body).ok(), plain.headers), (Some(payload.clone()), Vec::new()));
    }

    #[test]
    fn samples_are_told_apart_by_kind_and_seed_and_nothing_else() {
        let mut seen = std::collections::HashSet::new();
        for kind in Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Big) {
            for seed in [1, 2] {
                let events = sample_events(kind, seed, &app(), Timestamp::EPOCH);
                assert_eq!(events[0].payload, sample_events(kind, seed, &app(), Timestamp::EPOCH)[0].payload);
                for event in events {
                    assert!(seen.insert(event.payload.to_string()), "{kind} {seed}");
                }
            }
        }
    }
}
