//! `larkive helpdesk`: what a helpdesk needs besides the developer console.

use std::io::Write as _;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::{forgive_closed_pipe, stdout};
use super::{Exit, Outcome, choose_app, serve};
use crate::clock::Clock;
use crate::config::Fetching;
use crate::domain::app::AppKind;
use crate::domain::download::Upstream;
use crate::domain::id::AppId;
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
/// nothing. Only custom apps may: FEISHU_HELPDESK_ID and FEISHU_HELPDESK_TOKEN must be set, and the app needs the scope
/// `helpdesk:all:readonly`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  larkive helpdesk subscribe\n\nPrints what came of it. Exit codes: 0 subscribed, 1 refused (it says why), 2 could not run."
)]
struct Subscribe {
    /// The app that asks; needed only where several are configured
    #[arg(long, value_name = "APP_ID")]
    app: Option<AppId>,
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
/// If the app or its helpdesk is not configured.
pub async fn run(options: Options, fetching: Fetching) -> Outcome {
    let Command::Subscribe(Subscribe { app }) = options.command;
    let access = choose_app(&fetching.apps, app.as_ref(), |app| &app.app_id)?;
    ensure!(
        access.helpdesk.is_some(),
        "no helpdesk is configured for app {}; set FEISHU_HELPDESK_ID and FEISHU_HELPDESK_TOKEN",
        access.app_id
    );
    let answer = match access.kind {
        AppKind::Custom => {
            let settings = serve::client_settings(access, &fetching.settings);
            Client::new(settings, Metrics::new(), PlatformTime::new(Clock::system()))?
                .subscribe_to_ticket_messages()
                .await
        }
        AppKind::Store => Err(Refusal::custom_apps_only()),
    };
    forgive_closed_pipe(print(&Subscription::of(&access.app_id, answer)))
}

fn print(subscription: &Subscription<'_>) -> Outcome {
    writeln!(stdout(), "{}", serde_json::to_string(subscription)?)?;
    Ok(if subscription.subscribed { Exit::Done } else { Exit::Problems })
}
