//! Names that lead to this machine.

use reqwest::Method;

use crate::support::{ADMIN_TOKEN, Options, TestApp, spawn_app_with};

async fn status(app: &TestApp, method: Method, path: &str, host: &str) -> u16 {
    let request = app.http.request(method, format!("http://{}{path}", app.admin_address));
    request.header("host", host).bearer_auth(ADMIN_TOKEN).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_strangers_page_whose_name_led_to_this_machine_could_read_the_metrics() {
    let app = spawn_app_with(Options::default()).await;
    let port = app.admin_address.port();
    for path in ["/metrics", "/readyz", "/login", "/api/v1/stats", "/api/openapi.json", "/assets/1/larkive.css"] {
        for stranger in ["evil.example".to_owned(), format!("127.0.0.1.evil.example:{port}")] {
            assert_eq!(status(&app, Method::GET, path, &stranger).await, 421, "{path} of {stranger}");
        }
    }
    for path in ["/metrics", "/readyz", "/login", "/api/v1/stats"] {
        for host in ["localhost", "larkive:9090", "10.1.2.3", "[::1]:8080", "app.localhost"] {
            assert_eq!(status(&app, Method::GET, path, host).await, 200, "{path} of {host}");
        }
    }
    let refusal = app.http.get(format!("http://{}/metrics", app.admin_address)).header("host", "evil.example");
    let refusal = refusal.send().await.unwrap().text().await.unwrap();
    assert!(refusal.contains("LARKIVE_TRUSTED_PROXIES") && !refusal.contains("larkive_events"), "{refusal}");
}

#[tokio::test]
async fn a_proxy_in_front_of_a_loopback_address_passes_on_any_host() {
    let app = spawn_app_with(Options::default()).await;
    assert_eq!(status(&app, Method::GET, "/healthz", "larkive.example.com").await, 200);
    assert_eq!(status(&app, Method::POST, "/webhook/event", "larkive.example.com").await, 415);
    let trusted = Options { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Options::default() };
    let everywhere = Options { admin_listen: Some("0.0.0.0:0".parse().unwrap()), ..Options::default() };
    for options in [trusted, everywhere] {
        let mut app = spawn_app_with(options).await;
        app.admin_address.set_ip("127.0.0.1".parse().unwrap());
        for path in ["/metrics", "/login", "/api/v1/stats"] {
            assert_eq!(status(&app, Method::GET, path, "larkive.example.com").await, 200, "{path}");
        }
    }
}
