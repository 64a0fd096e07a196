//! Answers of the platform that were taken for what they are not.

use std::time::Duration;

use async_compression::tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder};
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Options, TestApp, sha256, spawn_app, spawn_app_with};

const HOUR: Duration = Duration::from_secs(3600);

/// Lets the platform hand out these bytes under a key, with headers set or (`null`) left out.
fn hand_out(app: &TestApp, key: &str, bytes: &[u8], headers: Value) {
    app.shelve(key, bytes);
    app.fault(json!({"route": "resource", "key": key, "do": {"headers": {"set": headers}}}));
}

/// State, reason and what was said of a resource.
async fn outcome(app: &TestApp, key: &str) -> (String, Option<&'static str>, String) {
    let resource = app.resource(key).await.resource;
    let said = resource.upstream.and_then(|upstream| upstream.msg).unwrap_or_default();
    (resource.state.to_string(), resource.reason_code.map(|reason| reason.as_str()), said)
}

const PAGES: [&str; 11] = [
    "<!DOCTYPE html><html><body>Please sign in</body></html>",
    "<!doctype HTML>",
    "\u{feff}  \r\n\t<html lang=\"zh\">",
    "<!-- a gateway's page --><html></html>",
    "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
    "<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>",
    "<Error>denied</Error>",
    "{\"code\":0,\"msg\":\"success\"}",
    "  {\"error\":\"denied\"}",
    "[{\"error\":\"denied\"}]",
    "{}",
];

#[tokio::test]
async fn a_page_that_came_in_place_of_an_image_was_stored_as_one() {
    let app = spawn_app().await;
    let types = [Value::Null, json!("application/octet-stream"), json!("image/png"), json!("image/svg+xml")];
    let mut keys = Vec::new();
    for (nth, page) in PAGES.iter().enumerate() {
        for (kind, content_type) in types.iter().enumerate() {
            let key = format!("img_page_{nth}_{kind}");
            let headers = json!({"content-disposition": null, "content-type": content_type});
            hand_out(&app, &key, page.as_bytes(), headers);
            app.deliver(&event::image(&format!("om_{key}"), &key)).await;
            keys.push((key, page));
        }
    }
    app.drain().await;
    for (key, page) in keys {
        let (state, reason, said) = outcome(&app, &key).await;
        assert_eq!((state.as_str(), reason), ("pending", Some("not_a_file")), "{key}: {page:?}");
        assert!(said.contains("instead of"), "{said}");
    }
    assert_eq!((app.count("SELECT COUNT(*) FROM blobs").await, app.spooled()), (0, 0));
}

#[tokio::test]
async fn a_long_page_or_one_that_dribbles_in_is_no_image_either() {
    let app = spawn_app().await;
    let long = format!("{}<!DOCTYPE html>{}", " ".repeat(1000), "x".repeat(200_000));
    let json = format!("{{\"items\":[{}1]}}", "1,".repeat(100_000));
    for (key, page) in [("img_long", &long), ("img_json", &json)] {
        hand_out(&app, key, page.as_bytes(), json!({"content-disposition": null, "content-type": null}));
        app.deliver(&event::image(&format!("om_{key}"), key)).await;
    }
    app.drain().await;
    for key in ["img_long", "img_json"] {
        let (state, reason, _) = outcome(&app, key).await;
        assert_eq!((state.as_str(), reason), ("pending", Some("not_a_file")), "{key}");
    }
}

#[tokio::test]
async fn what_somebody_sent_as_a_file_may_look_like_a_page() {
    let app = spawn_app().await;
    for (nth, page) in PAGES.iter().enumerate() {
        let (named, file) = (format!("img_named_{nth}"), format!("file_{nth}"));
        app.shelve(&named, page.as_bytes());
        app.deliver(&event::image(&format!("om_{named}"), &named)).await;
        hand_out(&app, &file, page.as_bytes(), json!({"content-disposition": null, "content-type": null}));
        app.deliver(&event::file(&format!("om_{file}"), &file, "page.html")).await;
    }
    let nearly = ["<3 pixels", "{\0binary", "[\u{1}binary", "{binary"];
    for (nth, bytes) in nearly.iter().enumerate() {
        let key = format!("img_nearly_{nth}");
        hand_out(&app, &key, bytes.as_bytes(), json!({"content-disposition": null, "content-type": null}));
        app.deliver(&event::image(&format!("om_{key}"), &key)).await;
    }
    app.drain().await;
    for resource in app.resources().await {
        assert_eq!(resource.state.to_string(), "stored", "{}: {:?}", resource.key, resource.upstream);
    }
    let png = Media::Png.key(1);
    app.fault(json!({"key": png, "do": {"headers": {"set": {"content-disposition": null, "content-type": null}}}}));
    app.deliver(&event::image("om_png", &png)).await;
    app.drain().await;
    app.assert_stored(&png).await;
}

/// Bytes in a content coding.
async fn encode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(bytes).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match coding.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => with!(GzipEncoder),
        "deflate" => with!(ZlibEncoder),
        "deflate without a header" => with!(DeflateEncoder),
        "br" => with!(BrotliEncoder),
        other => panic!("no coding {other}"),
    }
}

const CODINGS: [(&str, &str); 6] = [
    ("gzip", "gzip"),
    ("GZIP", "gzip"),
    ("x-gzip", "gzip"),
    ("deflate", "deflate"),
    ("deflate", "deflate without a header"),
    ("br", "br"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_content_coding_was_called_a_login_page() {
    let app = spawn_app().await;
    let text: Vec<u8> = (0..20_000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let plain = Media::Png.key(1);
    app.deliver(&event::image("om_plain", &plain)).await;
    app.drain().await;
    let picture_bytes = std::fs::read(app.blob_path(&app.resource(&plain).await.resource)).unwrap();
    for (nth, (coding, encoder)) in CODINGS.iter().enumerate() {
        let (file, image) = (format!("file_{nth}"), format!("img_{nth}"));
        hand_out(&app, &file, &encode(encoder, &text).await, json!({"content-encoding": coding}));
        let headers = json!({"content-encoding": coding, "content-disposition": null, "content-type": null});
        hand_out(&app, &image, &encode(encoder, &picture_bytes).await, headers);
        app.deliver(&event::file(&format!("om_{file}"), &file, "numbers.txt")).await;
        app.deliver(&event::image(&format!("om_{image}"), &image)).await;
    }
    app.drain().await;
    for (nth, (coding, encoder)) in CODINGS.iter().enumerate() {
        for (key, bytes) in [(format!("file_{nth}"), &text), (format!("img_{nth}"), &picture_bytes)] {
            let stored = app.resource(&key).await.resource;
            let digest = stored.sha256.map(|digest| digest.to_string());
            assert_eq!(digest, Some(sha256(bytes)), "{coding} by {encoder}: {:?}", stored.upstream);
            assert_eq!((stored.size_bytes, stored.attempts), (Some(bytes.len() as u64), 1), "{coding}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_that_is_not_known_is_named() {
    let app = spawn_app().await;
    for (nth, coding) in ["zstd", "compress", "gzip, br", "something-new"].into_iter().enumerate() {
        let key = format!("file_{nth}");
        hand_out(&app, &key, b"bytes", json!({"content-encoding": coding}));
        app.deliver(&event::file(&format!("om_{key}"), &key, "a.bin")).await;
        app.drain().await;
        let (state, reason, said) = outcome(&app, &key).await;
        assert_eq!((state.as_str(), reason), ("pending", Some("not_a_file")), "{coding}");
        assert!(said.contains(coding), "{coding} in {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coded_file_that_is_cut_or_damaged_is_never_stored() {
    let app = spawn_app().await;
    let text: Vec<u8> = (0..20_000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    for (nth, (coding, encoder)) in CODINGS.iter().enumerate() {
        let coded = encode(encoder, &text).await;
        let mut damaged = coded.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].fill(0xff);
        let mut cases = vec![("cut", coded[..middle].to_vec()), ("empty", Vec::new())];
        // The other codings carry no checksum.
        if ["gzip", "deflate"].contains(encoder) {
            cases.push(("damaged", damaged));
        }
        for (what, bytes) in cases {
            let key = format!("file_{what}_{nth}");
            hand_out(&app, &key, &bytes, json!({"content-encoding": coding}));
            app.deliver(&event::file(&format!("om_{key}"), &key, "numbers.txt")).await;
            app.drain().await;
            let found = app.resource(&key).await.resource;
            let reason = found.reason_code.map(|reason| reason.as_str());
            assert_eq!(reason, Some("transfer_broken"), "{what} {coding}: {:?}", found.upstream);
        }
    }
    let key = "file_not_gzip";
    hand_out(&app, key, b"plain words", json!({"content-encoding": "gzip"}));
    app.deliver(&event::file("om_not_gzip", key, "a.txt")).await;
    app.drain().await;
    assert_eq!(outcome(&app, key).await.1, Some("not_a_file"));
    assert_eq!(app.spooled(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_answer_that_swells_beyond_the_limit_is_stopped_there() {
    let app = spawn_app_with(Options { max_resource_bytes: 1 << 20, ..Options::default() }).await;
    let bomb = vec![0; 8 << 20];
    for (coding, encoder) in [("gzip", "gzip"), ("deflate", "deflate"), ("br", "br")] {
        let coded = encode(encoder, &bomb).await;
        assert!(coded.len() < 100_000, "{} bytes", coded.len());
        let key = format!("file_{coding}");
        hand_out(&app, &key, &coded, json!({"content-encoding": coding}));
        app.deliver(&event::file(&format!("om_{key}"), &key, "zeros.bin")).await;
    }
    app.drain().await;
    for resource in app.resources().await {
        let reason = resource.reason_code.map(|reason| reason.as_str());
        assert_eq!(
            (resource.state.to_string().as_str(), reason),
            ("impossible", Some("too_large")),
            "{}",
            resource.key
        );
    }
    let received = app.metric("larkive_download_bytes_total").await.unwrap();
    assert!(received < 4.0 * f64::from(1 << 20), "{received} bytes were undone");
    assert_eq!(app.spooled(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coded_file_that_breaks_off_is_fetched_again_from_its_beginning() {
    let app = spawn_app().await;
    let mut noise = vec![0; 6 << 20];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    let (key, coded) = ("file_large", encode("gzip", &noise).await);
    app.shelve(key, &coded);
    // The rules are used up one after the other: the first answer is cut, the next ones are whole.
    app.fault(json!({"key": key, "times": 1, "do": {"length": {"promise": coded.len() + 100}}}));
    app.fault(json!({"key": key, "do": {"headers": {"set": {"content-encoding": "gzip"}}}}));
    app.deliver(&event::file("om_large", key, "noise.bin")).await;
    app.drain().await;
    app.advance(HOUR).await;
    let stored = app.resource(key).await.resource;
    assert_eq!(stored.sha256.map(|digest| digest.to_string()), Some(sha256(&noise)), "{:?}", stored.upstream);
}
