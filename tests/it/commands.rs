//! Commands: what somebody asks for is told in the log with who it was.

use serde_json::{Value, json};

use crate::program::{ADMIN_TOKEN, Workplace};

#[tokio::test]
async fn who_asks_for_a_change_is_told_in_the_log() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let (serving, address) = workplace.serve();
    // No stand-in platform of this process has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = |path: &str| format!("http://{address}{path}");

    let wanted = json!({ "source": "image", "key": "img_1" }).to_string();
    let ordered = http.post(url("/api/v1/fetch")).bearer_auth(ADMIN_TOKEN).body(wanted).send().await.unwrap();
    let ordered: Value = serde_json::from_str(&ordered.text().await.unwrap()).unwrap();
    let line = serving.log_line("Took a command from token:admin: order");
    assert_eq!((&line["actor"], &line["subject"]), (&json!("token:admin"), &ordered["id"]));

    let ours = |path: &str, body: String| {
        let request = http.post(url(path)).header("origin", format!("http://{address}"));
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let signed_in = ours("/login", format!("token={ADMIN_TOKEN}&next=/")).send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    let retried = ours("/failed/retry", "extent=blocked".to_owned()).header("cookie", cookie).send().await.unwrap();
    assert_eq!(retried.status(), 303);
    let line = serving.log_line("Took a command from person:admin: retry");
    assert_eq!((&line["actor"], &line["subject"]), (&json!("person:admin"), &json!("state=blocked")));

    let nobody = http.post(url("/api/v1/resources/retry?all=true")).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    let log = serving.stop().ended(0).stderr;
    assert_eq!(log.matches("Took a command").count(), 2, "{log}");
}
