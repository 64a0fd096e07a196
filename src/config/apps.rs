//! Apps: the credentials of one app of the platform, and what each command needs of them.
//!
//! Nothing here is required by itself; a command asks for the view that it works with, and what
//! that view lacks is reported then.

use std::fmt;

use super::base_url::BaseUrl;
use super::given::Given;
use super::names::{self, Setting};
use super::problem::{Origin, Problem, Problems};
use super::sources::GatheredApp;
use super::values;
use crate::domain::app::AppKind;
use crate::domain::id::AppId;
use crate::domain::secret::Secret;

/// What it takes to call the platform as an app.
#[derive(Debug, Clone)]
pub struct PlatformAccess {
    /// The app's id.
    pub app_id: AppId,
    /// How it comes by its tokens.
    pub kind: AppKind,
    /// The app's secret.
    pub app_secret: Secret,
    /// Where the platform is.
    pub base_url: BaseUrl,
    /// What ticket images need besides; without it they cannot be fetched.
    pub helpdesk: Option<Helpdesk>,
}

/// The credentials of a helpdesk.
#[derive(Debug, Clone)]
pub struct Helpdesk {
    /// The helpdesk's id.
    pub id: String,
    /// Its token.
    pub token: Secret,
}

/// What authenticates the callbacks of an app.
#[derive(Debug, Clone)]
pub struct CallbackKeys {
    /// Stands in every callback.
    pub verification_token: Secret,
    /// With it every callback must be encrypted and signed.
    pub encrypt_key: Option<Secret>,
}

/// An app that is served: its callbacks are taken and its resources fetched.
#[derive(Debug, Clone)]
pub struct ServedApp {
    /// To call the platform.
    pub access: PlatformAccess,
    /// To authenticate its callbacks.
    pub callbacks: CallbackKeys,
}

/// An app whose events can be imitated.
#[derive(Debug, Clone)]
pub struct ImitatedApp {
    /// The app's id.
    pub app_id: AppId,
    /// Where the app's platform is: nobody should imitate events of an official one by accident.
    pub base_url: BaseUrl,
    /// What makes the events authentic.
    pub callbacks: CallbackKeys,
}

/// Where an app is described.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// By the `FEISHU_*` settings.
    Single,
    /// In the TOML file's `[[apps]]`, counted from 0.
    Listed { index: usize, origin: Origin },
}

impl Place {
    /// What stands before the app's keys in messages.
    pub(super) fn key_prefix(&self) -> String {
        match self {
            Self::Single => String::new(),
            Self::Listed { index, .. } => format!("apps[{index}]."),
        }
    }

    /// How a setting of the app is called here.
    pub(super) fn key(&self, setting: &Setting) -> String {
        match self {
            Self::Single => setting.name.to_owned(),
            Self::Listed { .. } => format!("{}{}", self.key_prefix(), setting.toml_key()),
        }
    }

    fn problem(&self, setting: &Setting, fault: impl fmt::Display) -> Problem {
        let key = self.key(setting);
        match self {
            Self::Single => {
                let example = setting.example_in(&Origin::Environment);
                Problem::new(&key, format_args!("{fault}; for example {example}"))
            }
            Self::Listed { origin, .. } => {
                Problem::at(&key, origin, format_args!("{fault}; for example {}", setting.example_in(origin)))
            }
        }
    }
}

/// An app as far as it is described.
pub(super) struct AppDraft {
    pub(super) place: Place,
    pub(super) kind: Option<(AppKind, Origin)>,
    pub(super) values: Given,
    pub(super) base_url: Option<BaseUrl>,
    app_id: Option<AppId>,
    app_secret: Option<Secret>,
    encrypt_key: Option<Secret>,
    verification_token: Option<Secret>,
    helpdesk: Option<Helpdesk>,
}

impl AppDraft {
    pub(super) fn read(gathered: GatheredApp, problems: &mut Problems) -> Self {
        let GatheredApp { place, kind, mut values } = gathered;
        let app_id = values.read(&names::APP_ID, values::app_id, problems);
        let app_secret = values.read(&names::APP_SECRET, values::secret, problems);
        let encrypt_key = values.read(&names::ENCRYPT_KEY, values::secret, problems);
        let verification_token = values.read(&names::VERIFICATION_TOKEN, values::secret, problems);
        let base_url = values.read_or_default(&names::BASE_URL, str::parse, problems);
        let helpdesk = helpdesk(&place, &mut values, problems);
        Self { place, kind, values, base_url, app_id, app_secret, encrypt_key, verification_token, helpdesk }
    }

    pub(super) fn app_id(&self) -> Option<&AppId> {
        self.app_id.as_ref()
    }

    /// Takes the app as one that is served, or reports what it lacks.
    pub(super) fn served(&self, problems: &mut Problems) -> Option<ServedApp> {
        let access = self.access(problems);
        let callbacks = self.callbacks(problems);
        Some(ServedApp { access: access?, callbacks: callbacks? })
    }

    /// Takes the app as one that calls the platform, or reports what it lacks.
    pub(super) fn access(&self, problems: &mut Problems) -> Option<PlatformAccess> {
        let app_id = self.require(&names::APP_ID, self.app_id.as_ref(), problems);
        let app_secret = self.require(&names::APP_SECRET, self.app_secret.as_ref(), problems);
        let (base_url, helpdesk) = (self.base_url.clone()?, self.helpdesk.clone());
        let kind = self.kind.as_ref().map_or_else(AppKind::default, |(kind, _)| *kind);
        Some(PlatformAccess { app_id: app_id?, kind, app_secret: app_secret?, base_url, helpdesk })
    }

    /// Takes the app as one whose events are imitated, or reports what it lacks.
    pub(super) fn imitated(&self, problems: &mut Problems) -> Option<ImitatedApp> {
        let app_id = self.require(&names::APP_ID, self.app_id.as_ref(), problems);
        let callbacks = self.callbacks(problems);
        Some(ImitatedApp { app_id: app_id?, base_url: self.base_url.clone()?, callbacks: callbacks? })
    }

    fn callbacks(&self, problems: &mut Problems) -> Option<CallbackKeys> {
        let token = self.require(&names::VERIFICATION_TOKEN, self.verification_token.as_ref(), problems);
        Some(CallbackKeys { verification_token: token?, encrypt_key: self.encrypt_key.clone() })
    }

    fn require<T: Clone>(&self, setting: &Setting, value: Option<&T>, problems: &mut Problems) -> Option<T> {
        if value.is_none() && !self.values.is_refused(setting) {
            problems.push(self.place.problem(setting, "is required and not set"));
        }
        value.cloned()
    }
}

/// The helpdesk's two settings are of use only together.
fn helpdesk(place: &Place, values: &mut Given, problems: &mut Problems) -> Option<Helpdesk> {
    let id = values.read(&names::HELPDESK_ID, values::helpdesk_id, problems);
    let token = values.read(&names::HELPDESK_TOKEN, values::secret, problems);
    let missing = match (id, token) {
        (Some(id), Some(token)) => return Some(Helpdesk { id, token }),
        (Some(_), None) => &names::HELPDESK_TOKEN,
        (None, Some(_)) => &names::HELPDESK_ID,
        (None, None) => return None,
    };
    if !values.is_refused(missing) {
        problems.push(place.problem(missing, "is missing: the helpdesk's id and token are needed together"));
    }
    None
}
