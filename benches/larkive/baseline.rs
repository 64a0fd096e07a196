//! Baselines: the same web server around less. One checks and opens deliveries and keeps nothing;
//! one writes each in a transaction of its own before it answers.

use std::net::TcpListener;
use std::path::Path;
use std::slice;

use actix_web::http::header::HeaderMap;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context, bail};
use larkive::catalogue::Catalogue;
use larkive::catalogue::events::{self, NewEvent};
use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::feishu::platform_time::PlatformTime;
use larkive::feishu::verified::{Inbound, VerifiedEvent, from_webhook};
use larkive::feishu::webhook::{AppKeys, SignatureHeaders};

use crate::process;
use crate::requests::{APP_ID, ENCRYPT_KEY, VERIFICATION_TOKEN};

/// The argument by which the bench starts itself as a baseline.
pub(crate) const WORD: &str = "serve-baseline";
const SUCCESS: &str = "{\"msg\":\"success\"}";

/// A server to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Baseline {
    /// It keeps nothing.
    StoringNothing,
    /// It commits each event by itself.
    CommittingEach,
}

impl Baseline {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::StoringNothing => "storing-nothing",
            Self::CommittingEach => "committing-each",
        }
    }
}

/// What a baseline works with.
#[derive(Clone)]
struct Receiver {
    keys: AppKeys,
    clock: Clock,
    time: PlatformTime,
    catalogue: Option<Catalogue>,
}

impl Receiver {
    fn open(&self, headers: &HeaderMap, body: &[u8]) -> Option<VerifiedEvent> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signature = SignatureHeaders {
            timestamp: text("X-Lark-Request-Timestamp")?,
            nonce: text("X-Lark-Request-Nonce")?,
            signature: text("X-Lark-Signature")?,
        };
        match from_webhook(slice::from_ref(&self.keys), Some(signature), body, &self.time) {
            Ok(Inbound::Event(event)) => Some(event),
            Ok(Inbound::Challenge(_)) | Err(_) => None,
        }
    }

    async fn keep(&self, event: &VerifiedEvent) -> anyhow::Result<()> {
        let Some(catalogue) = self.catalogue.clone() else { return Ok(()) };
        let identity = event.identity();
        let event = NewEvent {
            app_id: event.app_id().clone(),
            event_id: identity.event_id.clone(),
            event_type: identity.event_type.clone(),
            message_id: identity.message_id.clone(),
            received_at: self.clock.now(),
            payload: event.payload().to_owned(),
        };
        let turn = catalogue.write()?.acquire().await?;
        Ok(tokio::task::spawn_blocking(move || events::append(&catalogue, &turn, &[event])).await??)
    }
}

/// Serves until it is killed. The address goes to stdout.
pub(crate) fn serve(words: &[String]) -> anyhow::Result<()> {
    let [name, directory] = words else { bail!("{WORD} NAME DIRECTORY") };
    let catalogue = match name.as_str() {
        name if name == Baseline::StoringNothing.as_str() => None,
        name if name == Baseline::CommittingEach.as_str() => Some(process::catalogue_path(Path::new(directory))),
        other => bail!("no baseline is called {other}"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let catalogue = match catalogue {
            Some(path) => {
                std::fs::create_dir_all(path.parent().context("no directory")?)?;
                Some(Catalogue::open(&path).await?)
            }
            None => None,
        };
        let clock = Clock::system();
        let time = PlatformTime::new(clock.clone());
        listen(Receiver { keys: keys()?, clock, time, catalogue }).await
    })
}

fn keys() -> anyhow::Result<AppKeys> {
    Ok(AppKeys {
        app_id: APP_ID.parse()?,
        verification_token: Secret::new(VERIFICATION_TOKEN),
        encrypt_key: Some(EncryptKey::new(Secret::new(ENCRYPT_KEY))),
    })
}

async fn listen(receiver: Receiver) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::new(receiver.clone())).route("/webhook/event", web::post().to(receive))
    });
    listener.set_nonblocking(true)?;
    Ok(server.listen(listener)?.run().await?)
}

async fn receive(receiver: web::Data<Receiver>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let Some(event) = receiver.open(request.headers(), &body) else { return HttpResponse::Unauthorized().finish() };
    match receiver.keep(&event).await {
        Ok(()) => HttpResponse::Ok().content_type("application/json").body(SUCCESS),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}
