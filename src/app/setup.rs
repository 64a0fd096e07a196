//! Everything that a serving archive needs to know, gathered from the configuration by whoever starts it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::archive::download;
use crate::config::DataLayout;
use crate::domain::app::AppKind;
use crate::domain::id::AppId;
use crate::domain::message::OnRecall;
use crate::domain::proxies::TrustedProxies;
use crate::domain::secret::Secret;
use crate::domain::setting::ShownSetting;
use crate::domain::zone::Zone;
use crate::feishu::client::ClientSettings;
use crate::feishu::webhook::AppKeys;

/// One app that is archived.
#[derive(Debug, Clone)]
pub struct AppSetup {
    /// What its callbacks are checked against.
    pub keys: AppKeys,
    /// How its bytes are fetched.
    pub client: ClientSettings,
    /// How it comes by its tokens.
    pub kind: AppKind,
}

/// Everything that a serving archive needs to know.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it keeps its things.
    pub layout: DataLayout,
    /// The apps it archives.
    pub apps: Vec<AppSetup>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it listens for everything but the webhook; none: at the same address.
    pub admin_listen: Option<SocketAddr>,
    /// Proxies whose word about a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// Connections that may be open at once, on all ports.
    pub max_connections: usize,
    /// The token of the API; none: there is no API.
    pub admin_token: Option<Secret>,
    /// Downloads in flight.
    pub download_concurrency: usize,
    /// What a try may take.
    pub limits: download::Limits,
    /// What becomes of what a recalled message showed.
    pub on_recall: OnRecall,
    /// Below this many free bytes downloads pause.
    pub min_free_bytes: u64,
    /// At whose midnight days begin.
    pub time_zone: Zone,
    /// The configuration as the pages show it.
    pub shown_settings: Vec<ShownSetting>,
    /// Where this program lies: it is started again for each thumbnail.
    pub program: PathBuf,
}

impl Setup {
    /// The apps it archives, by their ids.
    #[must_use]
    pub fn app_ids(&self) -> Vec<AppId> {
        self.apps.iter().map(|app| app.keys.app_id.clone()).collect()
    }
}
