//! The configuration as its users meet it: variables and files in, settings or problems out.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::domain::app::AppKind;

/// A working directory of its own.
struct Desk {
    directory: tempfile::TempDir,
    sources: Sources,
}

impl Desk {
    fn new(variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let sources = Sources { directory: directory.path().to_owned(), environment, config: None };
        Self { directory, sources }
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn toml(mut self, text: &str) -> Self {
        self.sources.config = Some("larkive.toml".into());
        self.file("larkive.toml", text)
    }

    fn settings(&self) -> Settings {
        Settings::load(&self.sources).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn serving(&self) -> Serving {
        Serving::load(&self.sources).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The problems of `serve`, each as one line.
    fn problems(&self) -> Vec<String> {
        let problems = Serving::load(&self.sources).err().unwrap_or_default();
        let lines: Vec<_> = problems.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), problems.iter().count(), "one line each");
        lines
    }
}

const APP: [(&str, &str); 3] =
    [("FEISHU_APP_ID", "cli_1"), ("FEISHU_APP_SECRET", "s3cret"), ("FEISHU_VERIFICATION_TOKEN", "s3cret")];

fn with_app(more: &[(&str, &str)]) -> Desk {
    let variables: Vec<_> = APP.iter().chain(more).copied().collect();
    Desk::new(&variables)
}

/// The one problem that a variable causes beside a complete app.
fn fault(name: &str, value: &str) -> String {
    let mut problems = with_app(&[(name, value)]).problems();
    assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
    problems.remove(0)
}

#[test]
fn nothing_configured_is_enough_to_read_an_archive() {
    let desk = Desk::new(&[]);
    let settings = desk.settings();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin_listen, AdminListen::Shared);
    assert_eq!(settings.retry_for, Duration::from_secs(72 * 3600));
    assert_eq!(settings.data, DataLayout::within(&desk.directory.path().join("data")));
    assert_eq!((settings.max_resource_bytes, settings.min_free_bytes), (2 << 30, 1 << 30));
    assert_eq!((settings.download_concurrency, settings.on_recall), (16, OnRecall::Keep));
    assert_eq!((settings.admin_token.is_none(), settings.logging), (true, Logging::default()));
}

#[test]
fn each_command_asks_for_what_it_needs_and_names_all_that_is_missing() {
    let keys = |problems: Problems| -> Vec<String> {
        problems.iter().map(|line| line.to_string().split(':').next().unwrap().to_owned()).collect()
    };
    let sources = Desk::new(&[("LARKIVE_LISTEN", "nowhere")]).sources;
    let serving = keys(Serving::load(&sources).unwrap_err());
    let listen = "LARKIVE_LISTEN (environment)";
    assert_eq!(serving, [listen, "FEISHU_APP_ID", "FEISHU_APP_SECRET", "FEISHU_VERIFICATION_TOKEN"]);
    assert_eq!(keys(Fetching::load(&sources).unwrap_err()), [listen, "FEISHU_APP_ID", "FEISHU_APP_SECRET"]);
    assert_eq!(keys(Imitating::load(&sources).unwrap_err()), [listen, "FEISHU_APP_ID", "FEISHU_VERIFICATION_TOKEN"]);
    assert_eq!(keys(Settings::load(&sources).unwrap_err()), [listen]);
}

#[test]
fn every_value_is_checked_and_answered_with_an_example() {
    for (name, value, expected) in [
        ("LARKIVE_LISTEN", "localhost", "\"localhost\" is not an IP address with a port; for example LARKIVE_LISTEN="),
        ("LARKIVE_ADMIN_LISTEN", ":1", "not an IP address with a port"),
        ("LARKIVE_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "\"proxy\" is neither"),
        ("LARKIVE_CALL_BUDGET", "50", "not a call budget"),
        ("LARKIVE_CALL_BUDGET", "off", "not with an official host"),
        ("LARKIVE_RETRY_FOR", "72", "not a span"),
        ("LARKIVE_RETRY_FOR", "4000d", "longer than 3650d"),
        ("LARKIVE_STORE_URL", "blobs", "absolute path of a directory; for example LARKIVE_STORE_URL=file:///"),
        ("LARKIVE_STORE_URL", "s3://bucket/a", "not available in this version"),
        ("LARKIVE_ADMIN_TOKEN", "short", "shorter than 16 characters"),
        ("LARKIVE_DOWNLOAD_CONCURRENCY", "0", "from 1 to 256"),
        ("LARKIVE_DOWNLOAD_CONCURRENCY", "257", "from 1 to 256"),
        ("LARKIVE_MAX_RESOURCE_BYTES", "0", "would let nothing through"),
        ("LARKIVE_MIN_FREE_BYTES", "1 XB", "not a size"),
        ("LARKIVE_ON_RECALL", "drop", "there are keep, hide"),
        ("LARKIVE_LOG_FORMAT", "xml", "there are text, json"),
        ("FEISHU_EVENTS", "connection", "not available in this version"),
        ("LARKIVE_BACKFILL_ON_JOIN", "30d", "not available in this version"),
        ("LARKIVE_VERIFY_EVERY", "off", "not available in this version"),
        ("LARKIVE_ALERT_CHAT", "oc_1", "not available in this version"),
        ("LARKIVE_CONFIG", "missing.toml", "cannot be read"),
        ("LARKIVE_LISTN", "127.0.0.1:80", "did you mean LARKIVE_LISTEN?"),
        ("FEISHU_BASE_URL", "http://open.feishu.cn", "plain http to a public host"),
        ("FEISHU_ENCRYPT_KEY", "two\nlines", "contains a line break"),
        ("FEISHU_ENCRYT_KEY", "k3y", "did you mean FEISHU_ENCRYPT_KEY?"),
    ] {
        let line = fault(name, value);
        assert!(line.starts_with(&format!("{name} (environment): ")) && line.contains(expected), "{line}");
    }
    assert!(fault("FEISHU_HELPDESK_ID", "1").starts_with("FEISHU_HELPDESK_TOKEN: is missing"));
}

#[test]
fn what_belongs_to_others_or_is_empty_is_ignored() {
    let desk = with_app(&[
        ("LARKIVE_SERVICE_HOST", "10.0.0.1"),
        ("LARKIVE_PORT", "tcp://10.0.0.1:80"),
        ("FEISHU_WEBHOOK_URL", "https://example.com"),
        ("LARKIVE_LISTEN", ""),
        ("LARKIVE_VERIFY_EVERY", ""),
        ("FEISHU_ENCRYPT_KEY", ""),
        ("FEISHU_ENCRYPT_KEY_FILE", " "),
    ]);
    let serving = desk.serving();
    assert_eq!(serving.settings.listen.to_string(), "127.0.0.1:8080");
    assert!(serving.apps[0].callbacks.encrypt_key.is_none());
}

#[test]
fn the_environment_wins_over_dotenv_and_that_over_toml() {
    let desk = with_app(&[("LARKIVE_RETRY_FOR", "1h"), ("LARKIVE_CONFIG", ""), ("LARKIVE_ON_RECALL", "")])
        .file(
            ".env",
            "LARKIVE_RETRY_FOR=2h\nLARKIVE_DOWNLOAD_CONCURRENCY=2\nRUST_LOG=debug\nLARKIVE_CONFIG=larkive.toml\n",
        )
        .file(
            "larkive.toml",
            "retry_for = '3h'\ndownload_concurrency = 3\nmax_resource_bytes = '3 MB'\non_recall = 'hide'\n",
        );
    let settings = desk.settings();
    assert_eq!(settings.retry_for, Duration::from_secs(3600));
    assert_eq!(settings.download_concurrency, 2);
    assert_eq!(settings.max_resource_bytes, 3_000_000);
    assert_eq!(settings.on_recall, OnRecall::Hide);
    assert_eq!(settings.logging.levels.as_deref(), Some("debug"));
}

#[test]
fn problems_in_dotenv_name_their_line() {
    let desk = with_app(&[]).file(
        ".env",
        "OTHER=\"unclosed but not ours\nLARKIVE_LISTN=1\nLARKIVE_DATA_DIR=$HOME/data\n\
         LARKIVE_ON_RECALL=keep\nLARKIVE_ON_RECALL=hide\n",
    );
    let starts: Vec<_> = desk.problems().iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(
        starts,
        ["LARKIVE_LISTN (.env line 2)", "LARKIVE_DATA_DIR (.env line 3)", "LARKIVE_ON_RECALL (.env line 5)"]
    );
    let broken = Desk::new(&[]).file(".env", "\nnonsense\n").problems();
    assert_eq!(broken.len(), 1, "what is missing cannot be told from a broken file: {broken:?}");
    assert!(broken[0].starts_with(".env: line 2 is not NAME=value"), "{broken:?}");
}

#[test]
fn secrets_may_be_files_but_not_both() {
    let variables =
        [("FEISHU_APP_ID", "cli_1"), ("FEISHU_APP_SECRET_FILE", "secret"), ("FEISHU_VERIFICATION_TOKEN_FILE", "token")];
    let serving = Desk::new(&variables).file("secret", " s3cret \r\n").file("token", "t0ken").serving();
    assert_eq!(serving.apps[0].access.app_secret.reveal(), " s3cret ");
    assert_eq!(serving.apps[0].callbacks.verification_token.reveal(), "t0ken");
    let problems = Desk::new(&variables).file("token", "\n").problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("cannot be read (No such file") && problems[1].contains("is empty"), "{problems:?}");
    assert!(fault("FEISHU_APP_SECRET_FILE", "s3cret-file").contains("is set together with FEISHU_APP_SECRET"));
    let two_line_ends = with_app(&[("FEISHU_ENCRYPT_KEY_FILE", "key")]).file("key", "k3y\n\n").problems();
    assert!(two_line_ends[0].contains("contains a line break"), "{two_line_ends:?}");
}

#[test]
fn several_apps_stand_in_the_toml_file() {
    let desk = Desk::new(&[]).toml(
        r#"
        trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
        call_budget = "off"

        [[apps]]
        app_id = "cli_1"
        app_secret_file = "secret"
        verification_token = "t0ken"
        base_url = "http://localhost:1"

        [[apps]]
        kind = "store"
        app_id = "cli_2"
        app_secret = "s3cret"
        verification_token = "t0ken"
        encrypt_key = "k3y"
        base_url = "https://stand-in.example"
        helpdesk_id = "7"
        helpdesk_token = "h3lp"
        "#,
    );
    let serving = desk.file("secret", "s3cret\n").serving();
    let ids: Vec<_> = serving.apps.iter().map(|app| app.access.app_id.as_str()).collect();
    assert_eq!(ids, ["cli_1", "cli_2"]);
    assert_eq!((serving.apps[0].access.kind, serving.apps[1].access.kind), (AppKind::Custom, AppKind::Store));
    assert_eq!(serving.apps[1].access.helpdesk.as_ref().unwrap().id, "7");
    assert!(
        serving.settings.call_budget == Budget::OFF && serving.settings.trusted_proxies.contains([10, 1, 1, 1].into())
    );
    let warned = ["App cli_1 has no Encrypt Key", "App cli_1 calls http://localhost:1 ", "The pages and the JSON API"];
    assert!(serving.warnings.iter().zip(warned).all(|(line, start)| line.starts_with(start)), "{:?}", serving.warnings);
    assert_eq!(serving.warnings.len(), warned.len());
}

#[test]
fn problems_in_toml_name_key_file_and_line() {
    let problems = Desk::new(&[("FEISHU_ENCRYPT_KEY", "k3y")])
        .toml(
            r#"lissten = "x"
max_resource_bytes = 1.5
verify_every = "30d"
[[apps]]
app_id = "cli_1"
app_secret = "s3cret"
kind = "shop"
listen = "127.0.0.1:1"
[[apps]]
app_id = "cli_1"
app_secret = "s3cret"
app_secrets = "s3cret"
verification_token = "t0ken"
base_url = "http://example.com"
"#,
        )
        .problems();
    let at = |key: &str, line: usize, what: &str| {
        let start = format!("{key} (larkive.toml line {line}): ");
        assert!(problems.iter().any(|p| p.starts_with(&start) && p.contains(what)), "{start}{what}\n{problems:#?}");
    };
    at("lissten", 1, "did you mean listen?");
    at("max_resource_bytes", 2, "neither a text nor a whole number; for example max_resource_bytes = \"2 GiB\"");
    at("verify_every", 3, "not available");
    at("apps[0].kind", 7, "\"shop\" is no kind of app; there are custom, store; for example kind = \"store\"");
    at("apps[0].listen", 8, "belongs to no app");
    at("apps[0].verification_token", 4, "is required and not set; for example verification_token = ");
    at("apps[1].app_id", 10, "the id of an app further up");
    at("apps[1].app_secrets", 12, "did you mean app_secret?");
    at("apps[1].base_url", 14, "plain http to a public host");
    assert!(problems.iter().any(|line| line.starts_with("FEISHU_ENCRYPT_KEY (environment): describes a single app")));
    assert_eq!(problems.len(), 10, "{problems:#?}");
    assert!(!problems.join("").contains("s3cret"), "{problems:#?}");
}

#[test]
fn broken_toml_is_reported_without_the_line_that_may_hold_a_secret() {
    for text in ["app_secret = \"s3cret\nlisten = 1", "app_secret = s3cret", "[[apps]\napp_secret = 's3cret'"] {
        let problems = Desk::new(&[]).toml(text).problems();
        assert!(problems.iter().any(|line| line.starts_with("larkive.toml line 1: ")), "{problems:?}");
        assert!(!problems.join("").contains("s3cret"), "{problems:?}");
    }
    for text in ["apps = []", "apps = 'cli_1'", "[apps]\napp_id = 'cli_1'"] {
        let problems = Desk::new(&[]).toml(text).problems();
        assert!(problems[0].contains("is not a list of apps"), "{problems:?}");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn a_store_elsewhere_has_its_own_spool() {
    let elsewhere = with_app(&[("LARKIVE_DATA_DIR", "/srv/a"), ("LARKIVE_STORE_URL", "file:///mnt/blobs")]).settings();
    assert_eq!(elsewhere.data.spool, Path::new("/mnt/blobs/.spool"));
    assert_eq!(elsewhere.data.catalogue, Path::new("/srv/a/larkive.db"));
    let usual = with_app(&[("LARKIVE_DATA_DIR", "/srv/a/"), ("LARKIVE_STORE_URL", "file:///srv/a/blobs/")]).settings();
    assert_eq!(usual.data, DataLayout::within(Path::new("/srv/a")));
}

#[test]
fn the_log_can_be_set_up_beside_a_broken_configuration() {
    let broken = [("LARKIVE_LISTEN", "nowhere"), ("NO_COLOR", "1"), ("LARKIVE_LOG_FORMAT", "json")];
    let logging = Logging::of_environment(&Desk::new(&broken).sources).unwrap();
    assert_eq!(logging, Logging { format: Some(LogFormat::Json), levels: None, colour: Colour::Never });
    assert!(Logging::of_environment(&Desk::new(&[("LARKIVE_LOG_FORMAT", "xml")]).sources).is_err());
}

#[test]
fn secrets_do_not_show_in_debug() {
    let desk = with_app(&[("FEISHU_ENCRYPT_KEY", "s3cret"), ("LARKIVE_ADMIN_TOKEN", "s3cret-s3cret-s3cret")]);
    assert!(!format!("{:?}", desk.serving()).contains("s3cret"));
}

#[test]
fn the_example_file_names_every_setting_with_its_default() {
    let example = include_str!("../../.env.example");
    let uncommented: Vec<_> = example
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase())).unwrap_or(line)
        })
        .collect();
    let assignments: Vec<_> =
        uncommented.iter().filter_map(|line| line.split_once('=').filter(|_| !line.starts_with('#'))).collect();
    let mut named: Vec<_> = assignments.iter().map(|(name, _)| *name).collect();
    let mut known: Vec<_> = names::ALL.iter().map(|setting| setting.name).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
    for (name, value) in assignments {
        let setting = names::ALL.iter().find(|setting| setting.name == name).unwrap();
        assert_eq!(value, setting.default_text(), "{name}");
    }

    let from_example = with_app(&[]).file(".env", &uncommented.join("\n"));
    let from_nothing = with_app(&[]);
    let shown = |desk: &Desk| {
        // What is shown says where each value stands, which differs.
        let serving = Serving { shown: Vec::new(), ..desk.serving() };
        let text = format!("{serving:?}");
        text.replace(&desk.directory.path().display().to_string(), "")
    };
    assert_eq!(shown(&from_example), shown(&from_nothing));
}
