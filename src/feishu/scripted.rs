//! A platform for tests: answers every request as a script says, over real sockets, byte by byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, ClientSettings};
use super::limit::Budget;
use super::outbound::Outbound;
use super::platform_time::PlatformTime;
use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::metrics::Metrics;

/// What happens to a request.
pub(super) enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then a reset.
    Reset(Vec<u8>),
    /// These bytes, then silence.
    Silence(Vec<u8>),
}

/// A running platform, and what was asked of it.
pub(super) struct Platform {
    base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Writes an answer; the length is declared unless `headers` say how the body ends.
pub(super) fn answer(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Content-Length") || header.starts_with("Transfer-Encoding")) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += &headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    Reply::Bytes([head.as_bytes(), b"\r\n", body].concat())
}

/// Writes a JSON answer.
pub(super) fn json(status: u16, body: impl AsRef<[u8]>) -> Reply {
    answer(status, &["Content-Type: application/json; charset=utf-8"], body)
}

impl Platform {
    /// Starts one. The script gets a request's head (and body), and how many of the same kind
    /// (token or not) came before it; where it says nothing, a token request gets a token `t-<n>`
    /// and anything else a 404.
    pub(super) async fn start(script: impl Fn(&str, usize) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        tokio::spawn({
            let requests = Arc::clone(&requests);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&requests)));
                }
            }
        });
        Self { base_url, requests }
    }

    /// One that has shut down: its address refuses connections.
    pub(super) async fn unreachable() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        Self { base_url, requests: Arc::default() }
    }

    /// A client of this platform, with a short idle time-out.
    pub(super) fn client(&self) -> (Client, Metrics) {
        let metrics = Metrics::new();
        let settings = ClientSettings {
            base_url: self.base_url.parse().unwrap(),
            app_id: "cli_test".parse().unwrap(),
            app_secret: Secret::new("secret"),
            helpdesk: Some(("12345".to_owned(), Secret::new("ht-sometoken"))),
            budget: Budget::OFF,
            idle_timeout: Duration::from_secs(1),
            outbound: Outbound::default(),
        };
        let time = PlatformTime::new(Clock::system());
        (Client::new(settings, metrics.clone(), time).unwrap(), metrics)
    }

    /// The requests for tokens, or the others, in the order they came.
    pub(super) fn requests(&self, for_tokens: IsToken) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| kind_of(request) == for_tokens).cloned().collect()
    }
}

/// Whether a request asks for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IsToken {
    Yes,
    No,
}

fn kind_of(request: &str) -> IsToken {
    if request.starts_with("POST /open-apis/auth/v3/") { IsToken::Yes } else { IsToken::No }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<impl Fn(&str, usize) -> Option<Reply>>,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let request = read_request(&mut stream).await;
    let before = {
        let mut requests = requests.lock().unwrap();
        requests.push(request.clone());
        requests.iter().filter(|earlier| kind_of(earlier) == kind_of(&request)).count() - 1
    };
    let reply = script(&request, before).unwrap_or_else(|| match kind_of(&request) {
        IsToken::Yes => {
            let token = before + 1;
            json(200, format!(r#"{{"code":0,"msg":"ok","tenant_access_token":"t-{token}","expire":7200}}"#))
        }
        IsToken::No => answer(404, &[], ""),
    });
    let (Reply::Bytes(bytes) | Reply::Reset(bytes) | Reply::Silence(bytes)) = &reply;
    // The client may have given up; what it makes of that is what the test looks at.
    let _ = stream.write_all(bytes).await;
    match reply {
        Reply::Bytes(_) => drop(stream.shutdown().await),
        Reply::Reset(_) => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
        Reply::Silence(_) => drop(stream.read(&mut [0]).await),
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}
