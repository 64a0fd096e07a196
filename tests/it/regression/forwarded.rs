//! What proxies say of those who ask.

use larkive::domain::proxies::TrustedProxies;

use crate::support::{ADMIN_TOKEN, Options, TestApp, spawn_app_with};

async fn behind_a_proxy() -> TestApp {
    let trusted_proxies: TrustedProxies = "127.0.0.1".parse().unwrap();
    spawn_app_with(Options { trusted_proxies, ..Options::default() }).await
}

#[tokio::test]
async fn a_second_line_of_addresses_passed_the_throttle() {
    let app = behind_a_proxy().await;
    let url = format!("http://{}/api/v1/stats", app.admin_address);
    let mut statuses = Vec::new();
    for number in 0..130 {
        // The first line is what the client wrote, the second what the proxy adds.
        let request = app.http.get(&url).header("X-Forwarded-For", format!("198.51.100.{number}"));
        let answer = request.header("X-Forwarded-For", "203.0.113.9").bearer_auth("wrong").send().await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    let other = app.http.get(&url).header("X-Forwarded-For", "203.0.113.9").header("X-Forwarded-For", "203.0.113.10");
    assert_eq!(other.bearer_auth("wrong").send().await.unwrap().status(), 401, "somebody else may still guess");
}

#[tokio::test]
async fn a_second_line_of_protocols_was_not_read() {
    let app = behind_a_proxy().await;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (lines, secure) in [(["https", "http"], false), (["http", "https"], true)] {
        let request = http.post(format!("http://{}/login", app.admin_address)).header("Sec-Fetch-Site", "same-origin");
        let request = lines.iter().fold(request, |request, line| request.header("X-Forwarded-Proto", *line));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let answer = request.body(format!("token={ADMIN_TOKEN}")).send().await.unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert_eq!(cookie.contains("; Secure"), secure, "{lines:?}: {cookie}");
    }
}
