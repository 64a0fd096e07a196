//! Names: every setting there is, with its example and what it means when it is not set.
//!
//! A setting has one name in the environment and in `.env`, and a key in the TOML file: the name
//! without its prefix, in lower case. A secret also has a `_FILE` twin that names a file to read
//! it from.

use super::problem::Origin;

/// The end of the name of a secret's twin.
const FILE_SUFFIX: &str = "_FILE";
/// A `FEISHU_*` name within this many edits of a known one is taken for a typing mistake. Names
/// further away belong to other programs: the prefix is not ours.
const TYPO_EDITS: usize = 2;
/// A known name within this many edits of an unknown one is worth suggesting.
const SUGGESTION_EDITS: usize = 4;

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// The variable's name.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unset: Unset,
    /// A value that would be accepted, for error messages.
    pub(super) example: &'static str,
}

/// How a setting is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// Never printed; may be given as a file.
    Secret,
    /// Belongs to a feature of a later version; refused when it is set.
    Later,
}

/// What holds when a setting is not set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unset {
    /// The value it then has, as one would write it.
    Default(&'static str),
    /// What it then means, in words.
    Means(&'static str),
}

macro_rules! settings {
    ($($id:ident = $name:literal, $kind:ident, $unset:ident($text:literal), $example:literal;)*) => {
        $(pub(super) static $id: Setting =
            Setting { name: $name, kind: Kind::$kind, unset: Unset::$unset($text), example: $example };)*
        /// Every setting, in the order of `.env.example`.
        pub(super) static ALL: &[&Setting] = &[$(&$id),*];
    };
}

settings! {
    APP_ID = "FEISHU_APP_ID", Plain, Means("required by serve, fetch, helpdesk and trigger"), "cli_a1b2c3d4e5f60708";
    APP_SECRET = "FEISHU_APP_SECRET", Secret,
        Means("required by serve, fetch and helpdesk"), "<App Secret of the developer console>";
    ENCRYPT_KEY = "FEISHU_ENCRYPT_KEY", Secret,
        Means("callbacks are authenticated by the verification token alone"), "<Encrypt Key of the developer console>";
    VERIFICATION_TOKEN = "FEISHU_VERIFICATION_TOKEN", Secret,
        Means("required by serve and trigger"), "<Verification Token of the developer console>";
    BASE_URL = "FEISHU_BASE_URL", Plain, Default("https://open.feishu.cn"), "https://open.larksuite.com";
    EVENTS = "FEISHU_EVENTS", Later, Means("not available in this version"), "webhook";
    HELPDESK_ID = "FEISHU_HELPDESK_ID", Plain,
        Means("ticket images cannot be fetched"), "6939771743531696147";
    HELPDESK_TOKEN = "FEISHU_HELPDESK_TOKEN", Secret,
        Means("ticket images cannot be fetched"), "<helpdesk token>";
    LISTEN = "LARKIVE_LISTEN", Plain, Default("127.0.0.1:8080"), "127.0.0.1:8080";
    ADMIN_LISTEN = "LARKIVE_ADMIN_LISTEN", Plain,
        Means("everything is served at LARKIVE_LISTEN"), "127.0.0.1:8081";
    TRUSTED_PROXIES = "LARKIVE_TRUSTED_PROXIES", Plain,
        Means("forwarding headers are ignored"), "127.0.0.1, 10.0.0.0/8";
    PROXY = "LARKIVE_PROXY", Secret, Means("the platform is called directly"), "http://proxy.example:3128";
    CA_FILE = "LARKIVE_CA_FILE", Plain,
        Means("only the system's certificate authorities are believed"), "/etc/ssl/company.pem";
    CALL_BUDGET = "LARKIVE_CALL_BUDGET", Plain, Default("50/s 1000/min"), "50/s 1000/min";
    RETRY_FOR = "LARKIVE_RETRY_FOR", Plain, Default("72h"), "72h";
    DATA_DIR = "LARKIVE_DATA_DIR", Plain, Default("./data"), "/var/lib/larkive";
    STORE_URL = "LARKIVE_STORE_URL", Plain, Means("file://<data dir>/blobs"), "file:///srv/larkive/blobs";
    ADMIN_TOKEN = "LARKIVE_ADMIN_TOKEN", Secret,
        Means("pages and JSON API are off"), "<16 characters or more, say from openssl rand -hex 32>";
    DOWNLOAD_CONCURRENCY = "LARKIVE_DOWNLOAD_CONCURRENCY", Plain, Default("16"), "16";
    MAX_RESOURCE_BYTES = "LARKIVE_MAX_RESOURCE_BYTES", Plain, Default("2 GiB"), "2 GiB";
    MIN_FREE_BYTES = "LARKIVE_MIN_FREE_BYTES", Plain, Default("1 GiB"), "1 GiB";
    ON_RECALL = "LARKIVE_ON_RECALL", Plain, Default("keep"), "hide";
    BACKFILL_ON_JOIN = "LARKIVE_BACKFILL_ON_JOIN", Later, Means("not available in this version"), "30d";
    VERIFY_EVERY = "LARKIVE_VERIFY_EVERY", Later, Means("not available in this version"), "30d";
    ALERT_CHAT = "LARKIVE_ALERT_CHAT", Later, Means("not available in this version"), "oc_a1b2c3d4";
    TIME_ZONE = "LARKIVE_TIME_ZONE", Plain, Default("UTC"), "Asia/Shanghai";
    LOG_FORMAT = "LARKIVE_LOG_FORMAT", Plain, Means("text on a terminal, else json"), "json";
    CONFIG = "LARKIVE_CONFIG", Plain, Means("no TOML file is read"), "/etc/larkive.toml";
}

impl Setting {
    /// Whether the setting belongs to one app, so that each of several apps has its own.
    pub(super) fn is_for_app(&self) -> bool {
        self.name.starts_with("FEISHU_")
    }

    /// The default as one would write it; nothing for a setting that has none.
    pub(super) fn default_text(&self) -> &'static str {
        match self.unset {
            Unset::Default(text) => text,
            Unset::Means(_) => "",
        }
    }

    /// The key in the TOML file.
    pub(super) fn toml_key(&self) -> String {
        let stem = self.name.strip_prefix("FEISHU_").or_else(|| self.name.strip_prefix("LARKIVE_"));
        stem.unwrap_or(self.name).to_ascii_lowercase()
    }

    /// A line that sets it, in the syntax of the place where it was or should be written.
    pub(super) fn example_in(&self, origin: &Origin) -> String {
        match origin {
            Origin::Toml { .. } => format!("{} = \"{}\"", self.toml_key(), self.example),
            Origin::CommandLine | Origin::Environment | Origin::Dotenv { .. } => {
                format!("{}={}", self.name, self.example)
            }
        }
    }
}

/// Whether a name gives the value itself or the file that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Value,
    File,
}

/// What the name of an environment variable turns out to be.
pub(super) enum Variable {
    Known(&'static Setting, Form),
    /// Meant for this program and wrong; the text says what to do instead.
    Refused(String),
    /// Somebody else's.
    Foreign,
}

/// Looks at the name of a variable.
pub(super) fn variable(name: &str) -> Variable {
    if let Some((setting, form)) = known(name, |setting| setting.name.to_owned(), FILE_SUFFIX) {
        return Variable::Known(setting, form);
    }
    // Kubernetes injects these for a service that is called `larkive`.
    if name.starts_with("LARKIVE_SERVICE_") || name.starts_with("LARKIVE_PORT") {
        return Variable::Foreign;
    }
    let near = closest(name, ALL.iter().flat_map(|setting| names_of(setting)));
    let is_ours = match &near {
        _ if name.starts_with("LARKIVE_") => true,
        Some((_, edits)) if name.starts_with("FEISHU_") => *edits <= TYPO_EDITS,
        _ => is_file_twin_of_plain(name),
    };
    if is_ours { Variable::Refused(refusal(name, near)) } else { Variable::Foreign }
}

/// What a key of the TOML file sets, if it is one.
pub(super) fn toml_key(key: &str) -> Option<(&'static Setting, Form)> {
    known(key, Setting::toml_key, "_file").filter(|(setting, _)| setting.name != CONFIG.name)
}

/// What to say about a key of the TOML file that is none.
pub(super) fn unknown_toml_key(key: &str, others: &[&str]) -> String {
    let keys = ALL.iter().filter(|setting| setting.name != CONFIG.name).map(|setting| setting.toml_key());
    match closest(key, keys.chain(others.iter().map(|&other| other.to_owned()))) {
        Some((near, _)) => format!("is not a setting; did you mean {near}?"),
        None => format!("is not a setting; a setting is {} = \"{}\", for example", LISTEN.toml_key(), LISTEN.example),
    }
}

fn known(name: &str, name_of: impl Fn(&Setting) -> String, suffix: &str) -> Option<(&'static Setting, Form)> {
    let find = |wanted: &str| ALL.iter().copied().find(|setting| name_of(setting) == wanted);
    if let Some(setting) = find(name) {
        return Some((setting, Form::Value));
    }
    let setting = find(name.strip_suffix(suffix)?)?;
    (setting.kind == Kind::Secret).then_some((setting, Form::File))
}

fn names_of(setting: &Setting) -> impl Iterator<Item = String> + use<> {
    let twin = (setting.kind == Kind::Secret).then(|| format!("{}{FILE_SUFFIX}", setting.name));
    std::iter::once(setting.name.to_owned()).chain(twin)
}

fn closest(name: &str, candidates: impl Iterator<Item = String>) -> Option<(String, usize)> {
    candidates
        .map(|candidate| (strsim::osa_distance(name, &candidate), candidate))
        .filter(|(edits, _)| *edits <= SUGGESTION_EDITS)
        .min()
        .map(|(edits, candidate)| (candidate, edits))
}

fn is_file_twin_of_plain(name: &str) -> bool {
    name.strip_suffix(FILE_SUFFIX).is_some_and(|stem| ALL.iter().any(|setting| setting.name == stem))
}

fn refusal(name: &str, near: Option<(String, usize)>) -> String {
    if is_file_twin_of_plain(name) {
        return format!("is not a setting: only secrets are read from files, such as {}{FILE_SUFFIX}", APP_SECRET.name);
    }
    match near {
        Some((near, _)) => format!("is not a setting; did you mean {near}?"),
        None => {
            format!("is not a setting; .env.example lists them all, for example {}={}", LISTEN.name, LISTEN.example)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str) -> String {
        match variable(name) {
            Variable::Known(setting, Form::Value) => setting.name.to_owned(),
            Variable::Known(setting, Form::File) => format!("file of {}", setting.name),
            Variable::Refused(why) => why,
            Variable::Foreign => "foreign".to_owned(),
        }
    }

    #[test]
    fn names_are_known_refused_or_somebody_elses() {
        for (name, expected) in [
            ("FEISHU_APP_ID", "FEISHU_APP_ID"),
            ("LARKIVE_ADMIN_TOKEN_FILE", "file of LARKIVE_ADMIN_TOKEN"),
            ("LARKIVE_LISTN", "did you mean LARKIVE_LISTEN?"),
            ("LARKIVE_SOMETHING_ELSE", "for example LARKIVE_LISTEN=127.0.0.1:8080"),
            ("LARKIVE_LISTEN_FILE", "only secrets"),
            ("FEISHU_APP_ID_FILE", "only secrets"),
            ("FEISHU_APPID", "did you mean FEISHU_APP_ID?"),
            ("FEISHU_APP_SERCET", "did you mean FEISHU_APP_SECRET?"),
            ("FEISHU_ENCRYPT_KEY_FLIE", "did you mean FEISHU_ENCRYPT_KEY_FILE?"),
            ("FEISHU_APP_TOKEN", "foreign"),
            ("FEISHU_WEBHOOK_URL", "foreign"),
            ("LARKIVE_SERVICE_HOST", "foreign"),
            ("LARKIVE_PORT_8080_TCP_ADDR", "foreign"),
            ("PATH", "foreign"),
        ] {
            assert!(verdict(name).ends_with(expected) || verdict(name).contains(expected), "{name}: {}", verdict(name));
        }
    }

    #[test]
    fn no_two_settings_share_a_toml_key() {
        let mut keys: Vec<_> = ALL.iter().map(|setting| setting.toml_key()).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), ALL.len());
    }
}
