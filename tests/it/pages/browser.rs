//! A browser without a window, and what is read in the pages that it gets.

use larkive::sandbox::event;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};

use crate::support::{ADMIN_TOKEN, TestApp};

/// A browser that keeps its cookies and follows no redirect.
pub struct Browser<'a> {
    pub app: &'a TestApp,
    http: Client,
    pub cookie: Option<String>,
    pub language: &'static str,
}

impl<'a> Browser<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { app, http, cookie: None, language: "en" }
    }

    pub async fn signed_in(app: &'a TestApp) -> Self {
        let mut browser = Self::new(app);
        let answer = browser.sign_in(ADMIN_TOKEN, "/").await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (303, "/"));
        browser
    }

    pub async fn sign_in(&mut self, token: &str, next: &str) -> Response {
        let answer = self.post("/login", &[("token", token), ("next", next)]).await;
        if let Some(cookie) = answer.headers().get("set-cookie") {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        answer
    }

    pub async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let origin = format!("http://{}", self.app.admin_address);
        self.ask(Method::POST, path, &[("origin", &origin)], Some(form)).await
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: Option<&[(&str, &str)]>,
    ) -> Response {
        let mut request = self.http.request(method, format!("http://{}{path}", self.app.admin_address));
        request = request.header("accept-language", self.language);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        request.send().await.unwrap()
    }

    /// The HTML of a page that is there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }
}

pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name.parse::<HeaderName>().unwrap()).map_or("", |value| str::from_utf8(value.as_bytes()).unwrap())
}

/// The parts of a page between two words.
pub fn between<'h>(html: &'h str, before: &str, after: &str) -> Vec<&'h str> {
    html.split(before).skip(1).map(|rest| rest.split(after).next().unwrap()).collect()
}

/// Delivers a file of these bytes; the path of its page.
pub async fn shelved(app: &TestApp, key: &str, name: &str, bytes: &[u8]) -> String {
    app.shelve(key, bytes);
    app.deliver(&event::file(&format!("om_{key}"), key, name)).await;
    app.drain().await;
    format!("/resources/{}", app.resource(key).await.resource.id)
}
