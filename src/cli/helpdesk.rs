//! `larkive helpdesk`: what a helpdesk needs besides the developer console.

use std::io::Write as _;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::fetch::ask_for_tenant;
use super::output::{forgive_closed_pipe, stdout};
use super::{Exit, Outcome, choose_app, serve};
use crate::archive::app_ticket;
use crate::archive::asker::{Asker, NoTenant};
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::{Fetching, PlatformAccess};
use crate::domain::app::AppKind;
use crate::domain::download::Upstream;
use crate::domain::id::{AppId, TenantKey};
use crate::domain::reason::{Bilingual, ReasonCode};
use crate::feishu::answer::Refusal;
use crate::feishu::client::Client;
use crate::feishu::platform_time::PlatformTime;
use crate::metrics::Metrics;

/// Set up the events of a helpdesk
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Subscribe(Subscribe),
}

/// Ask the helpdesk for an event for each message in a ticket
///
/// Ticket images arrive by themselves once this was done and the event
/// `helpdesk.ticket_message.created_v1` is chosen in the developer console. Doing it again changes
/// nothing. FEISHU_HELPDESK_ID and FEISHU_HELPDESK_TOKEN must be set, and the app needs the scope
/// `helpdesk:all:readonly`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  larkive helpdesk subscribe\n\nPrints what came of it. Exit codes: 0 subscribed, 1 refused (it says why), 2 could not run."
)]
struct Subscribe {
    /// The app that asks; needed only where several are configured
    #[arg(long, value_name = "APP_ID")]
    app: Option<AppId>,
    /// The tenant whose helpdesk it is; needed only by a store app with several
    #[arg(long, value_name = "TENANT_KEY")]
    tenant: Option<TenantKey>,
}

/// What came of a subscription.
#[derive(Debug, Serialize)]
struct Subscription<'a> {
    app_id: &'a AppId,
    subscribed: bool,
    reason_code: Option<ReasonCode>,
    reason: Option<&'static str>,
    remedy: Option<Bilingual>,
    upstream: Option<Upstream>,
}

impl<'a> Subscription<'a> {
    fn of(app_id: &'a AppId, answer: Result<(), Refusal>) -> Self {
        let refused = answer.err();
        let reason_code = refused.as_ref().map(Refusal::reason);
        Self {
            app_id,
            subscribed: refused.is_none(),
            reason_code,
            reason: reason_code.map(|reason| reason.cause().en),
            remedy: reason_code.map(ReasonCode::remedy),
            upstream: refused.map(|refusal| refusal.upstream),
        }
    }
}

/// Does what was asked for and prints what came of it.
///
/// # Errors
/// If the app or its helpdesk is not configured, or a store app has no catalogue or no tenant.
pub async fn run(options: Options, fetching: Fetching) -> Outcome {
    let Command::Subscribe(Subscribe { app, tenant }) = options.command;
    let access = choose_app(&fetching.apps, app.as_ref(), |app| &app.app_id)?;
    ensure!(
        access.helpdesk.is_some(),
        "no helpdesk is configured for app {}; set FEISHU_HELPDESK_ID and FEISHU_HELPDESK_TOKEN",
        access.app_id
    );
    let client = connect(access, tenant, &fetching).await?;
    let subscription = Subscription::of(&access.app_id, client.subscribe_to_ticket_messages().await);
    forgive_closed_pipe(print(&subscription))
}

/// A store app's tickets and tenants stand in the catalogue; a custom app needs none.
async fn connect(access: &PlatformAccess, tenant: Option<TenantKey>, fetching: &Fetching) -> anyhow::Result<Client> {
    let settings = serve::client_settings(access, &fetching.settings);
    let time = PlatformTime::new(Clock::system());
    let asker = Asker { app_id: access.app_id.clone(), kind: access.kind, tenant_key: tenant };
    if asker.kind == AppKind::Custom {
        ensure!(asker.tenant_key.is_none(), "{}", NoTenant::Custom(asker.app_id));
        return Client::new(settings, Metrics::new(), time);
    }
    let catalogue = Catalogue::open_read_only(&fetching.settings.data.catalogue).await?;
    let tenant_key = asker.tenant(&catalogue).await.map_err(ask_for_tenant)?;
    let client = app_ticket::connect(settings, asker.kind, &catalogue, Metrics::new(), time)?;
    Ok(client.for_tenant(tenant_key.as_ref()))
}

fn print(subscription: &Subscription<'_>) -> Outcome {
    writeln!(stdout(), "{}", serde_json::to_string(subscription)?)?;
    Ok(if subscription.subscribed { Exit::Done } else { Exit::Problems })
}
