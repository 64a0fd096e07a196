//! Configuration: settings from the environment, `.env` and a TOML file, checked as a whole.
//!
//! Every command loads the view that it works with: [`Settings`] alone, [`Serving`], [`Fetching`]
//! or [`Imitating`]. A view is complete when it exists; otherwise all problems are reported at
//! once, one line each. Loading reads files and changes nothing.

mod apps;
mod base_url;
mod data_layout;
mod dotenv;
mod given;
mod layer;
mod logging;
mod names;
mod problem;
mod report;
mod sources;
#[cfg(test)]
mod tests;
mod toml_file;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::apps::{CallbackKeys, Helpdesk, ImitatedApp, PlatformAccess, ServedApp};
pub use self::base_url::{BaseUrl, NotABaseUrl};
pub use self::data_layout::DataLayout;
pub use self::logging::{Colour, Logging};
pub use self::problem::{Origin, Problem, Problems};
pub use self::report::Report;
pub use self::sources::Sources;
pub use self::values::LogFormat;

use self::apps::AppDraft;
use self::given::Given;
use self::sources::{Gathered, Reading};
use crate::domain::message::OnRecall;
use crate::domain::proxies::TrustedProxies;
use crate::domain::secret::Secret;
use crate::domain::setting::ShownSetting;
use crate::domain::zone::Zone;
use crate::feishu::limit::Budget;
use crate::feishu::outbound::Outbound;

/// The settings of the service, whatever its apps are. `.env.example` explains each.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where callbacks and probes are answered, and everything else too unless `admin_listen` says so.
    pub listen: SocketAddr,
    /// Where all but callbacks and the liveness probe are answered.
    pub admin_listen: AdminListen,
    /// Proxies whose forwarding headers count.
    pub trusted_proxies: TrustedProxies,
    /// How calls leave for the platform.
    pub outbound: Outbound,
    /// The limit of calls per app, tenant and API; off never with an official host.
    pub call_budget: Budget,
    /// How long a failing resource is tried.
    pub retry_for: Duration,
    /// Where everything lies on disk.
    pub data: DataLayout,
    /// Opens the JSON API; without it that is off.
    pub admin_token: Option<Secret>,
    /// Downloads in flight, 1 to 256.
    pub download_concurrency: usize,
    /// Larger resources are refused.
    pub max_resource_bytes: u64,
    /// With less space left, downloads pause.
    pub min_free_bytes: u64,
    /// What becomes of recalled resources.
    pub on_recall: OnRecall,
    /// At whose midnight days begin.
    pub time_zone: Zone,
    /// What the log looks like.
    pub logging: Logging,
}

/// Where the API and the metrics are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminListen {
    /// At the same address as everything.
    Shared,
    /// At an address of their own.
    Own(SocketAddr),
}

/// What `serve` works with.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The service's settings.
    pub settings: Settings,
    /// The apps; never empty, no id twice.
    pub apps: Vec<ServedApp>,
    /// What is allowed and still deserves a line in the log, one sentence each.
    pub warnings: Vec<String>,
    /// Every setting as administrators may see it.
    pub shown: Vec<ShownSetting>,
}

/// What `fetch` and `helpdesk` work with.
#[derive(Debug, Clone)]
pub struct Fetching {
    /// The service's settings.
    pub settings: Settings,
    /// The apps; never empty, no id twice.
    pub apps: Vec<PlatformAccess>,
}

/// What `trigger` works with.
#[derive(Debug, Clone)]
pub struct Imitating {
    /// The service's settings.
    pub settings: Settings,
    /// The apps; never empty, no id twice.
    pub apps: Vec<ImitatedApp>,
}

impl Settings {
    /// Loads what a command needs that only works on the archive. No app needs to be described.
    ///
    /// # Errors
    /// Everything that is wrong, also with settings that the command would not use.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        Draft::read(sources).finish(|_, _| Some(())).map(|(settings, _)| settings)
    }
}

impl Serving {
    /// Loads what `serve` needs: for each app its id, its secret and its verification token.
    ///
    /// # Errors
    /// Everything that is wrong or missing.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        Self::of(Draft::read(sources))
    }

    fn of(draft: Draft) -> Result<Self, Problems> {
        let shown = report::lines(&draft);
        let (settings, apps) = draft.finish(AppDraft::served)?;
        let warnings = warnings(&settings, &apps);
        Ok(Self { settings, apps, warnings, shown })
    }
}

impl Fetching {
    /// Loads what `fetch` and `helpdesk` need: for each app its id and its secret.
    ///
    /// # Errors
    /// Everything that is wrong or missing.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let (settings, apps) = Draft::read(sources).finish(AppDraft::access)?;
        Ok(Self { settings, apps })
    }
}

impl Imitating {
    /// Loads what `trigger` needs: for each app its id and its verification token.
    ///
    /// # Errors
    /// Everything that is wrong or missing.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let (settings, apps) = Draft::read(sources).finish(AppDraft::imitated)?;
        Ok(Self { settings, apps })
    }
}

/// The configuration as far as it could be understood.
struct Draft {
    service: Given,
    /// `None` only after a problem was reported.
    settings: Option<Settings>,
    apps: Vec<AppDraft>,
    problems: Problems,
    reading: Reading,
}

impl Draft {
    fn read(sources: &Sources) -> Self {
        let mut gathered = sources::gather(sources);
        let settings = settings(&mut gathered, &sources.directory);
        let Gathered { service, apps, mut problems, reading, .. } = gathered;
        let apps = apps.into_iter().map(|app| AppDraft::read(app, &mut problems)).collect();
        let mut draft = Self { service, settings, apps, problems, reading };
        draft.refuse_unlimited_calls();
        draft.refuse_repeated_apps();
        draft
    }

    /// Ends with everything that a command needs, or with everything that is in its way.
    fn finish<A>(self, view: impl Fn(&AppDraft, &mut Problems) -> Option<A>) -> Result<(Settings, Vec<A>), Problems> {
        let mut problems = self.problems;
        let mut apps = Vec::new();
        if self.reading == Reading::Whole {
            apps.extend(self.apps.iter().filter_map(|app| view(app, &mut problems)));
        }
        match self.settings {
            Some(settings) if problems.is_empty() => Ok((settings, apps)),
            _ => Err(problems),
        }
    }

    /// The platform blocks apps that ignore its limits, so that no budget is for stand-ins only.
    fn refuse_unlimited_calls(&mut self) {
        let is_unlimited = self.settings.as_ref().is_some_and(|settings| settings.call_budget == Budget::OFF);
        let meets_official_host = self.apps.iter().filter_map(|app| app.base_url.as_ref()).any(BaseUrl::is_official);
        let Some(raw) = self.service.get(&names::CALL_BUDGET).filter(|_| is_unlimited && meets_official_host) else {
            return;
        };
        let example = names::CALL_BUDGET.example_in(&raw.origin);
        let fault =
            format!("may be off only with a stand-in platform, not with an official host; for example {example}");
        self.problems.push(raw.problem(fault));
    }

    fn refuse_repeated_apps(&mut self) {
        for (index, app) in self.apps.iter().enumerate() {
            let is_repeated =
                app.app_id().is_some() && self.apps.iter().take(index).any(|other| other.app_id() == app.app_id());
            if let Some(raw) = app.values.get(&names::APP_ID).filter(|_| is_repeated) {
                self.problems.push(raw.problem("is the id of an app further up too; describe each app once"));
            }
        }
    }
}

/// Reads every setting of the service before giving up on one of them.
fn settings(gathered: &mut Gathered, directory: &Path) -> Option<Settings> {
    let logging = Logging::read(gathered);
    let (values, problems) = (&mut gathered.service, &mut gathered.problems);
    let listen = values.read_or_default(&names::LISTEN, values::address, problems);
    let admin_listen = values.read(&names::ADMIN_LISTEN, values::address, problems);
    let trusted_proxies = values.read(&names::TRUSTED_PROXIES, str::parse, problems);
    let proxy = values.read(&names::PROXY, str::parse, problems);
    let authorities = values.read(&names::CA_FILE, |text| values::authorities(directory, text), problems);
    let call_budget = values.read_or_default(&names::CALL_BUDGET, str::parse, problems);
    let retry_for = values.read_or_default(&names::RETRY_FOR, values::retry_for, problems);
    let data = values.read_or_default(&names::DATA_DIR, |text| data_directory(directory, text), problems);
    let store = values.read(&names::STORE_URL, values::store, problems);
    let admin_token = values.read(&names::ADMIN_TOKEN, values::admin_token, problems);
    let download_concurrency =
        values.read_or_default(&names::DOWNLOAD_CONCURRENCY, values::download_concurrency, problems);
    let max_resource_bytes = values.read_or_default(&names::MAX_RESOURCE_BYTES, values::size_above_zero, problems);
    let min_free_bytes = values.read_or_default(&names::MIN_FREE_BYTES, values::size, problems);
    let on_recall = values.read_or_default(&names::ON_RECALL, str::parse, problems);
    let time_zone = values.read_or_default(&names::TIME_ZONE, str::parse, problems);
    let layout = DataLayout::within(&data?);
    Some(Settings {
        listen: listen?,
        admin_listen: admin_listen.filter(|own| Some(*own) != listen).map_or(AdminListen::Shared, AdminListen::Own),
        trusted_proxies: trusted_proxies.unwrap_or_default(),
        outbound: Outbound { proxy, authorities: authorities.unwrap_or_default() },
        call_budget: call_budget?,
        retry_for: retry_for?,
        data: store.into_iter().fold(layout, DataLayout::with_store),
        admin_token,
        download_concurrency: download_concurrency?,
        max_resource_bytes: max_resource_bytes?,
        min_free_bytes: min_free_bytes?,
        on_recall: on_recall?,
        time_zone: time_zone?,
        logging,
    })
}

fn data_directory(directory: &Path, text: &str) -> Result<PathBuf, String> {
    std::path::absolute(directory.join(text)).map_err(|error| format!("{text:?} is no directory ({error})"))
}

fn warnings(settings: &Settings, apps: &[ServedApp]) -> Vec<String> {
    let mut warnings = Vec::new();
    for ServedApp { access, callbacks } in apps {
        if callbacks.encrypt_key.is_none() {
            warnings.push(format!(
                "App {} has no Encrypt Key (FEISHU_ENCRYPT_KEY): its callbacks are in plain text and the verification \
                 token alone authenticates them.",
                access.app_id
            ));
        }
        if access.base_url.is_plain_http() {
            warnings.push(format!(
                "App {} calls {} (FEISHU_BASE_URL) over plain http: its credentials can be read on the way.",
                access.app_id, access.base_url
            ));
        }
    }
    if settings.admin_token.is_none() {
        warnings.push(
            "The pages and the JSON API are off and answer 404; set LARKIVE_ADMIN_TOKEN (16 characters or more) to turn them on."
                .to_owned(),
        );
    }
    warnings
}
