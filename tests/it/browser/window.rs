//! A window of a real browser: what somebody does in it, what they see, and what goes on behind it.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::driver::Driver;
use super::reader::Reader;
use crate::support::{ADMIN_TOKEN, TestApp, until};

/// Where downloads go, in the browser's home.
pub const DOWNLOADS: &str = "downloads";
/// What the WebDriver page calls a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How the addresses of pages begin that are the browser's own.
const START: [&str; 2] = ["chrome:", "chrome-untrusted:"];

/// A light or a dark page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

/// A browser with one window on one archive.
pub struct Window {
    driver: Driver,
    session: String,
    site: String,
    /// What the browser has told of its pages so far: it tells everything once.
    told: RefCell<Vec<Value>>,
}

impl Window {
    /// A browser of this reader's; nothing on a machine that is known not to have one.
    pub async fn open(site: SocketAddr, reader: &Reader) -> Option<Self> {
        let driver = Driver::start()?;
        let session = driver.open(reader.language).await;
        Some(Self { driver, session, site: format!("http://{site}"), told: RefCell::default() })
    }

    /// The same, in which the reader has signed in.
    pub async fn signed_in(app: &TestApp, reader: &Reader) -> Option<Self> {
        let window = Self::open(app.admin_address, reader).await?;
        window.sign_in().await;
        Some(window)
    }

    /// Signs in by the form that stands before every page.
    pub async fn sign_in(&self) {
        self.visit("/").await;
        self.write("#token", ADMIN_TOKEN).await;
        self.click("main button.primary").await;
        self.until("location.pathname === '/'").await;
    }

    async fn call(&self, path: &str, body: Value) -> Result<Value, String> {
        self.driver.call(Method::POST, &format!("{}/{path}", self.session), body).await
    }

    /// Opens a path of the archive, as somebody does who types it.
    pub async fn visit(&self, path: &str) {
        self.call("url", json!({"url": format!("{}{path}", self.site)})).await.unwrap();
    }

    /// Runs a script's body in the page; what it returns, also by a promise.
    pub async fn run(&self, script: &str) -> Value {
        self.try_to_run(script).await.unwrap()
    }

    async fn try_to_run(&self, script: &str) -> Result<Value, String> {
        self.call("execute/sync", json!({"script": script, "args": []})).await
    }

    /// What an expression is worth, as text.
    pub async fn value(&self, expression: &str) -> String {
        let value = self.run(&format!("return String({expression});")).await;
        value.as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true. A page that is just being left has no answer yet.
    pub async fn until(&self, condition: &str) {
        let script = format!("return Boolean({condition});");
        until(condition, async || self.try_to_run(&script).await == Ok(Value::Bool(true))).await;
    }

    /// The element that a selector finds, once it is there.
    async fn element(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({})", json!(selector))).await;
        let found = self.call("element", json!({"using": "css selector", "value": selector})).await.unwrap();
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks at an element, which has to be where it can be clicked at.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.call(&format!("element/{element}/click"), json!({})).await.unwrap();
    }

    /// Types into a field.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.call(&format!("element/{element}/value"), json!({"text": text})).await.unwrap();
    }

    /// The text of an element, as it is seen, once it is there.
    pub async fn text(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({})", json!(selector))).await;
        self.value(&format!("document.querySelector({}).innerText", json!(selector))).await
    }

    /// How wide the window is, and what its reader prefers.
    pub async fn wear(&self, theme: Theme, (width, height): (u32, u32)) {
        let theme = if theme == Theme::Dark { "dark" } else { "light" };
        // A colour that is on its way to another is neither.
        let still = json!({"name": "prefers-reduced-motion", "value": "reduce"});
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme}, still]});
        self.command("Emulation.setEmulatedMedia", media).await;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", size).await;
        self.command("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
    }

    /// A command of the DevTools protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.call("goog/cdp/execute", json!({"cmd": name, "params": parameters})).await.unwrap()
    }

    /// All of the page as a PNG file.
    pub async fn picture(&self) -> Vec<u8> {
        let shot = self.command("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
        BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    /// Waits for the file that was downloaded; its name and its bytes.
    pub async fn downloaded(&self) -> (String, Vec<u8>) {
        // That a file is there under its name says nothing of its bytes; the browser says when it is whole.
        until("a file is downloaded", async || self.told().await.iter().any(is_whole_download)).await;
        let directory = self.driver.home().join(DOWNLOADS);
        let files: Vec<_> = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name()).collect();
        let [name] = files.as_slice() else { panic!("not one file but {files:?}") };
        let bytes = fs::read(directory.join(name)).unwrap();
        (name.to_str().unwrap().to_owned(), bytes)
    }

    /// Everything that the browser has told of its pages.
    async fn told(&self) -> Vec<Value> {
        let news = self.log("performance").await;
        let messages = news.iter().map(|line| serde_json::from_str(line["message"].as_str().unwrap()).unwrap());
        let mut told = self.told.borrow_mut();
        told.extend(messages.map(|mut told: Value| told["message"].take()));
        told.clone()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        self.call("se/log", json!({"type": kind})).await.unwrap().as_array().unwrap().clone()
    }

    /// Asserts that the console was silent and that nobody but the archive was asked for anything.
    pub async fn assert_quiet(&self) {
        self.assert_quiet_but_for(&[]).await;
    }

    /// The same where the console may speak of these.
    pub async fn assert_quiet_but_for(&self, expected: &[&str]) {
        let mut console = self.log("browser").await;
        console.retain(|line| !expected.iter().any(|part| line["message"].as_str().unwrap().contains(part)));
        assert!(console.is_empty(), "{console:#?}");
        let asked: Vec<String> = self.told().await.iter().filter_map(asked_for).collect();
        assert!(!asked.is_empty(), "the log of requests is not kept");
        let own = [self.site.as_str(), "data:", "blob:"];
        let elsewhere: Vec<_> = asked.iter().filter(|url| !own.iter().any(|own| url.starts_with(own))).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}

/// Whether it is told that a download has ended well.
fn is_whole_download(message: &Value) -> bool {
    message["method"] == "Page.downloadProgress" && message["params"]["state"] == "completed"
}

/// The address, where a request is told of that was not made by the page that a browser starts with: on a slow machine
/// that one gets as far as asking for what stands on it.
fn asked_for(message: &Value) -> Option<String> {
    let request = &message["params"];
    let is_of_the_start =
        START.iter().any(|start| request["documentURL"].as_str().is_some_and(|of| of.starts_with(start)));
    let is_asked = message["method"] == "Network.requestWillBeSent" && !is_of_the_start;
    is_asked.then(|| request["request"]["url"].as_str().map(str::to_owned))?
}
