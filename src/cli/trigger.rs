//! `larkive trigger`: sends sample events to a running webhook, as the platform would.

use std::io::{self, Write};

use anyhow::{bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::output::forgive_closed_pipe;
use super::{Exit, Outcome};
use crate::clock::Clock;
use crate::domain::id::AppId;
use crate::domain::secret::Secret;
use crate::feishu::crypto::EncryptKey;
use crate::sandbox::event::App;
use crate::sandbox::kind::{self, Kind};
use crate::sandbox::sender::{Sender, SentEvent};

/// Events on their way at once: enough to keep a webhook busy, few enough for any machine.
const IN_FLIGHT: usize = 16;
/// The domains of the real platform; a base URL below them means a real archive.
const OFFICIAL_DOMAINS: [&str; 3] = ["feishu.cn", "larksuite.com", "larkoffice.com"];

const EXAMPLES: &str = "\
App, Verification Token and Encrypt Key are those that `larkive serve` reads. The bytes of the
resources are served by `larkive sandbox` (FEISHU_BASE_URL=http://127.0.0.1:8081). Every event is
printed as one JSON object with the status it was answered with and the resources it carries.

Examples:
  larkive trigger --list
  larkive trigger image
  larkive trigger post --url http://127.0.0.1:9090/webhook/event
  larkive trigger image --count 1000 | jq -r '.resources[].sha256'

Exit codes: 0 all answered 200, 1 some were not, 2 no server or wrong usage.";

/// Send sample events to a running webhook, encrypted and signed as the platform does it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The kind of event to send
    #[arg(value_name = "KIND", required_unless_present = "list")]
    pub kind: Option<Kind>,
    /// Print the kinds of events and do nothing else
    #[arg(long)]
    pub list: bool,
    /// The webhook to send to
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/webhook/event")]
    pub url: String,
    /// How many different events of that kind
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// The app to imitate; needed only where several are configured
    #[arg(long, value_name = "APP_ID")]
    pub app: Option<AppId>,
    /// Send samples although the configured base URL is the real platform's
    #[arg(long)]
    pub into_production: bool,
}

/// What the configuration says about the app whose webhook is tried.
#[derive(Debug, Clone)]
pub struct TriggerTarget {
    /// Its id.
    pub app_id: AppId,
    /// Its Verification Token.
    pub verification_token: Secret,
    /// Its Encrypt Key.
    pub encrypt_key: Option<Secret>,
    /// The base URL that its resources are fetched from.
    pub base_url: String,
}

/// Sends the events and prints what became of them. The configuration is asked for only when
/// something is to be sent.
///
/// # Errors
/// Nobody listens, the configuration is wrong, or it is a real archive's.
pub async fn run(args: Args, configured: impl FnOnce(Option<&AppId>) -> anyhow::Result<TriggerTarget>) -> Outcome {
    let Some(kind) = args.kind.filter(|_| !args.list) else {
        let listed = list(&mut io::stdout().lock());
        return forgive_closed_pipe(listed.map(|()| Exit::Done).map_err(Into::into));
    };
    let target = configured(args.app.as_ref())?;
    if is_official(&target.base_url) && !args.into_production {
        bail!(
            "the configured base URL is {}, the real platform: the samples would end up in a real archive; \
             point FEISHU_BASE_URL to `larkive sandbox`, or add --into-production",
            target.base_url
        );
    }
    ensure!(
        target.encrypt_key.is_some() || !kind.needs_encrypt_key(),
        "{kind} needs an Encrypt Key; set FEISHU_ENCRYPT_KEY"
    );
    let app = App { app_id: target.app_id.into(), verification_token: target.verification_token };
    let sender = Sender::new(&args.url, app, target.encrypt_key.map(EncryptKey::new))?;
    forgive_closed_pipe(send_all(&sender, kind, args.count).await)
}

/// Prints the kinds, each with a few words.
fn list(out: &mut impl Write) -> io::Result<()> {
    let width = Kind::ALL.iter().map(|kind| kind.as_str().len()).max().unwrap_or(0);
    Kind::ALL.iter().try_for_each(|kind| writeln!(out, "{:width$}  {}", kind.as_str(), kind.about()))
}

async fn send_all(sender: &Sender, kind: Kind, count: u32) -> Outcome {
    // Other seeds in every run, so that nothing of it has been archived before.
    let first_seed = fastrand::u64(..);
    let clock = Clock::system();
    let samples = (0..u64::from(count))
        .flat_map(|place| kind::sample_events(kind, first_seed.wrapping_add(place), sender.app(), clock.now()));
    let mut sent = stream::iter(samples).map(|sample| sender.send(sample)).buffered(IN_FLIGHT);
    let mut exit = Exit::Done;
    while let Some(event) = sent.try_next().await? {
        if event.status != Some(200) {
            exit = Exit::Problems;
        }
        print(&event)?;
    }
    Ok(exit)
}

fn print(event: &SentEvent) -> anyhow::Result<()> {
    let line = serde_json::to_string(event)?;
    writeln!(io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Whether a base URL belongs to the real platform.
fn is_official(base_url: &str) -> bool {
    let parsed = url::Url::parse(base_url).ok();
    let host = parsed.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    OFFICIAL_DOMAINS
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_hosts_are_known_whatever_stands_before_them() {
        for official in ["https://open.feishu.cn", "https://OPEN.larksuite.com/", "https://feishu.cn:443"] {
            assert!(is_official(official), "{official}");
        }
        for other in ["http://127.0.0.1:8081", "https://notfeishu.cn", "https://feishu.cn.example.org", "nonsense"] {
            assert!(!is_official(other), "{other}");
        }
    }
}
