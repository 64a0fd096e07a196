//! `larkive serve`: webhook, workers, API, health and metrics until a signal comes.

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, open_files, signals};
use crate::app::{App, AppSetup, Setup};
use crate::archive::download::Limits;
use crate::clock::Clock;
use crate::config::{AdminListen, PlatformAccess, ServedApp, Serving, Settings};
use crate::feishu::client::{ClientSettings, IDLE_TIMEOUT};
use crate::feishu::crypto::EncryptKey;
use crate::feishu::webhook::AppKeys;
use crate::http::connection::capacity;
use crate::picture::apart::this_program;

/// Run the archive: webhook, downloads, JSON API, health and metrics
///
/// Settings come from the environment, `.env` or a TOML file; `larkive config check` shows them.
/// The first SIGINT or SIGTERM finishes what is under way, a second one stops at once.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  FEISHU_APP_ID=cli_a1b2 FEISHU_APP_SECRET=… \\\n    FEISHU_VERIFICATION_TOKEN=… FEISHU_ENCRYPT_KEY=… larkive serve\n\nExit codes: 0 after a signal, 1 a task crashed, 2 could not start (configuration, address taken, catalogue newer or in use)."
)]
pub struct Options {}

/// Serves until a signal comes.
///
/// # Errors
/// If it cannot start.
pub async fn run(serving: Serving) -> Outcome {
    for warning in &serving.warnings {
        tracing::warn!("{warning}");
    }
    let shutdown = signals::shutdown()?;
    let max_connections = capacity(open_files::raise());
    let app = App::open(setup(&serving, this_program()?, max_connections), Clock::system()).await?;
    Ok(app.serve(shutdown).await?.into())
}

fn setup(Serving { settings, apps, shown, .. }: &Serving, program: PathBuf, max_connections: usize) -> Setup {
    Setup {
        layout: settings.data.clone(),
        apps: apps.iter().map(|app| app_setup(app, settings)).collect(),
        listen: settings.listen,
        admin_listen: match settings.admin_listen {
            AdminListen::Shared => None,
            AdminListen::Own(address) => Some(address),
        },
        trusted_proxies: settings.trusted_proxies.clone(),
        max_connections,
        admin_token: settings.admin_token.clone(),
        download_concurrency: settings.download_concurrency,
        limits: limits(settings),
        on_recall: settings.on_recall,
        min_free_bytes: settings.min_free_bytes,
        time_zone: settings.time_zone.clone(),
        shown_settings: shown.clone(),
        program,
    }
}

fn app_setup(ServedApp { access, callbacks }: &ServedApp, settings: &Settings) -> AppSetup {
    AppSetup {
        keys: AppKeys {
            app_id: access.app_id.clone(),
            verification_token: callbacks.verification_token.clone(),
            encrypt_key: callbacks.encrypt_key.clone().map(EncryptKey::new),
        },
        client: client_settings(access, settings),
        kind: access.kind,
    }
}

/// How an app's bytes are fetched, from its configuration.
#[must_use]
pub fn client_settings(access: &PlatformAccess, settings: &Settings) -> ClientSettings {
    ClientSettings {
        base_url: access.base_url.as_url().clone(),
        app_id: access.app_id.clone(),
        app_secret: access.app_secret.clone(),
        helpdesk: access.helpdesk.as_ref().map(|helpdesk| (helpdesk.id.clone(), helpdesk.token.clone())),
        budget: settings.call_budget,
        idle_timeout: IDLE_TIMEOUT,
        outbound: settings.outbound.clone(),
    }
}

/// What a try may take, from the configuration.
#[must_use]
pub fn limits(settings: &Settings) -> Limits {
    Limits { max_resource_bytes: settings.max_resource_bytes, retry_for: settings.retry_for }
}
