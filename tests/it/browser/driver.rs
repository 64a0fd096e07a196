//! The browser's driver: Debian's `chromedriver`, which starts and steers Chromium.
//!
//! It is spoken to as the W3C's WebDriver page describes (`https://www.w3.org/TR/webdriver2/`): JSON
//! over HTTP. What of it is needed here is a handful of calls, made with the client that the tests
//! have anyway. A crate for it (thirtyfour, fantoccini) would take their place, but not that of starting
//! and ending the driver, of waiting, and of the browser's log, and would bring a dozen others along.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tools;

const CHROMEDRIVER: &str = "chromedriver";
/// What the driver prints once it listens, before the port.
const STARTED: &str = "started successfully on port ";

/// A running driver with a home of its own. The browsers that it has started end with it.
pub struct Driver {
    process: Child,
    port: u16,
    home: TempDir,
    http: Client,
}

impl Driver {
    /// Starts one on a free port; nothing on a machine that is known not to have it.
    pub fn start() -> Option<Self> {
        if !tools::is_there(CHROMEDRIVER) {
            tools::is_missing(CHROMEDRIVER);
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut process = Command::new(CHROMEDRIVER)
            .arg("--port=0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            // Else names of downloads that are not ASCII are written otherwise.
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said.find_map(|line| line.split_once(STARTED)?.1.trim_end_matches('.').parse().ok());
        // Whoever writes to a pipe that nobody reads stops some day.
        thread::spawn(move || said.for_each(drop));
        let http = Client::builder().no_proxy().build().unwrap();
        Some(Self { process, port: port.expect("a driver that listens"), home, http })
    }

    /// Opens a browser for somebody who reads this language; the path of its session.
    pub async fn open(&self, language: &str) -> String {
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": self.arguments(), "prefs": {
                "intl.accept_languages": language,
                "download.default_directory": self.home.path().join(super::window::DOWNLOADS),
            }},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let session = self.call(Method::POST, "/session", json!({"capabilities": {"alwaysMatch": capabilities}})).await;
        format!("/session/{}", session.unwrap()["sessionId"].as_str().unwrap())
    }

    /// Headless, silent, and with nobody to talk to but this machine.
    fn arguments(&self) -> Vec<String> {
        let profile = self.home.path().join("profile");
        let fixed = [
            "--headless",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--mute-audio",
            "--no-first-run",
            "--no-proxy-server",
        ];
        let mut arguments: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        if rustix::process::geteuid().is_root() {
            // Chromium refuses to run in its sandbox as root.
            arguments.push("--no-sandbox".to_owned());
        }
        arguments
    }

    /// One call; the value that is answered, or what went wrong.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let request = self.http.request(method.clone(), format!("http://127.0.0.1:{}{path}", self.port));
        let request = if method == Method::POST { request.body(body.to_string()) } else { request };
        let answer = request.send().await.unwrap();
        let is_well = answer.status().is_success();
        let mut answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        match answer["value"].take() {
            value if is_well => Ok(value),
            trouble => Err(format!("{path}: {}: {}", trouble["error"], trouble["message"])),
        }
    }

    /// The directory that it and its browsers keep everything in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Driver {
    /// The driver has to end its browsers itself: nobody else knows their processes. It answers when
    /// it has, and goes.
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let asked =
                write!(stream, "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port);
            let _ = asked.and_then(|()| stream.read_to_end(&mut Vec::new()));
        } else {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
