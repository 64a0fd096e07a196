//! Who gets in, for how long, and where it goes on from there.

use std::time::Duration;

use reqwest::Method;

use super::browser::{Browser, between, text};
use crate::support::{ADMIN_TOKEN, Options, spawn_app, spawn_app_with};

#[tokio::test]
async fn without_a_token_there_are_no_pages() {
    let app = spawn_app_with(Options { admin_token: None, ..Options::default() }).await;
    let browser = Browser::new(&app);
    for path in ["/", "/login", "/resources", "/resources/r000000000001", "/nonsense"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (404, ""), "{path}");
        assert!(!answer.text().await.unwrap().contains("<html"), "{path}");
    }
    assert_eq!(browser.post("/login", &[("token", "")]).await.status(), 404);
}

#[tokio::test]
async fn with_an_address_of_their_own_the_pages_are_nowhere_else() {
    let admin_listen = Some("127.0.0.1:0".parse().unwrap());
    let app = spawn_app_with(Options { admin_listen, ..Options::default() }).await;
    assert_eq!(Browser::new(&app).get("/login").await.status(), 200);
    for path in ["/login", "/resources", "/"] {
        let answer = app.http.get(format!("http://{}{path}", app.address)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn who_has_not_signed_in_comes_to_the_form_and_from_there_to_where_they_wanted() {
    let app = spawn_app().await;
    let mut browser = Browser::new(&app);
    for path in ["/", "/resources", "/resources/r000000000001", "/resources/r000000000001/content"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), 303, "{path}");
        assert_eq!(text(answer.headers(), "location"), format!("/login?next={path}"));
    }
    let wanted = "/resources?q=%E5%8F%91%E7%A5%A8&view=table";
    let form = browser.get(wanted).await;
    let form = browser.page(text(form.headers(), "location")).await;
    let next = between(&form, "name=\"next\" value=\"", "\"").pop().unwrap().replace("&#38;", "&");
    let answer = browser.sign_in(ADMIN_TOKEN, &next).await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (303, wanted));
    assert!(browser.page(wanted).await.contains("value=\"发票\""));
    assert_eq!(text(browser.get("/login?next=/resources").await.headers(), "location"), "/resources");
}

#[tokio::test]
async fn signing_in_leads_to_no_other_host() {
    let app = spawn_app().await;
    for elsewhere in
        ["https://evil.test/", "//evil.test", "/\\evil.test", "/\t/evil.test", "javascript:alert(1)", "/\r\nX: y"]
    {
        let answer = Browser::new(&app).sign_in(ADMIN_TOKEN, elsewhere).await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (303, "/"), "{elsewhere:?}");
    }
}

#[tokio::test]
async fn guessing_is_throttled_and_forgotten_after_a_while() {
    let app = spawn_app().await;
    let mut browser = Browser::new(&app);
    for _ in 0..10 {
        let answer = browser.sign_in("not the token", "/").await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "set-cookie")), (403, ""));
        assert!(answer.text().await.unwrap().contains("That is not the token."));
    }
    let answer = browser.sign_in(ADMIN_TOKEN, "/").await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "retry-after")), (429, "900"));
    app.advance(Duration::from_secs(900)).await;
    assert_eq!(browser.sign_in(ADMIN_TOKEN, "/").await.status(), 303);
}

#[tokio::test]
async fn forms_of_a_third_of_a_megabyte_were_read_before_anybody_had_signed_in() {
    let app = spawn_app().await;
    let browser = Browser::new(&app);
    let padding = "x".repeat(4096);
    let token = [("token", ADMIN_TOKEN), ("padding", &padding)];
    assert_eq!(browser.post("/login", &token).await.status(), 413);
    let language = [("language", "en"), ("padding", &padding)];
    let answer = browser.post("/language", &language).await;
    assert_eq!(answer.status(), 413);
    assert!(answer.text().await.unwrap().contains("too large"));
    assert_eq!(browser.post("/language", &language[..1]).await.status(), 303);
}

#[tokio::test]
async fn attempts_to_sign_in_that_could_not_be_read_were_not_counted() {
    let app = spawn_app().await;
    let mut browser = Browser::new(&app);
    let padding = "x".repeat(4096);
    for _ in 0..10 {
        assert_eq!(browser.post("/login", &[("token", &padding)]).await.status(), 413);
    }
    assert_eq!(browser.sign_in(ADMIN_TOKEN, "/").await.status(), 429);
}

#[tokio::test]
async fn guesses_from_one_network_locked_every_administrator_out() {
    let behind_proxy = Options { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Options::default() };
    let app = spawn_app_with(behind_proxy).await;
    let browser = Browser::new(&app);
    let from = async |client: &str, token: &str| {
        let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-for", client)];
        browser.ask(Method::POST, "/login", &headers, Some(&[("token", token)])).await.status().as_u16()
    };
    for guesser in 0..700 {
        assert_eq!(from(&format!("2001:db8:0:{guesser:x}::1"), "a guess").await, 403);
    }
    for client in ["192.0.2.1", "2001:db8:1::1", "2001:db8:0:ffff::1"] {
        assert_eq!(from(client, ADMIN_TOKEN).await, 303, "{client}");
    }
    for guess in 0..9 {
        assert_eq!(from("2001:db8::1", "a guess").await, if guess < 2 { 403 } else { 429 }, "{guess}");
    }
}

#[tokio::test]
async fn sessions_end_by_signing_out_by_time_and_by_a_new_start() {
    let app = spawn_app().await;
    let browser = Browser::signed_in(&app).await;
    let answer = browser.post("/logout", &[]).await;
    assert_eq!(text(answer.headers(), "location"), "/login");
    assert!(text(answer.headers(), "set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get("/resources").await.status(), 303, "the old key opens nothing");

    let browser = Browser::signed_in(&app).await;
    app.advance(Duration::from_secs(11 * 3600)).await;
    assert_eq!(browser.get("/resources").await.status(), 200);
    app.advance(Duration::from_secs(12 * 3600)).await;
    assert_eq!(browser.get("/resources").await.status(), 303);

    let cookie = Browser::signed_in(&app).await.cookie;
    let app = app.restart().await;
    let mut browser = Browser::new(&app);
    browser.cookie = cookie;
    assert_eq!(browser.get("/resources").await.status(), 303);
}

#[tokio::test]
async fn the_cookie_is_for_this_site_only_and_for_https_where_a_trusted_proxy_says_so() {
    let behind_proxy = Options { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Options::default() };
    for (options, secure) in [(Options::default(), false), (behind_proxy, true)] {
        let app = spawn_app_with(options).await;
        let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-proto", "https")];
        let form: &[(&str, &str)] = &[("token", ADMIN_TOKEN)];
        let answer = Browser::new(&app).ask(Method::POST, "/login", &headers, Some(form)).await;
        let cookie = text(answer.headers(), "set-cookie");
        assert!(cookie.contains("; Path=/;") && cookie.contains("; HttpOnly"), "{cookie}");
        assert!(cookie.contains("; SameSite=Strict"), "{cookie}");
        assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
    }
}
