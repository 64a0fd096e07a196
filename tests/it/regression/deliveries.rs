//! What went wrong with deliveries: replays, floods, disks that are slow or full, and what the log made of them.

use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::{Sealing, Sender};
use larkive::sandbox::{Sandbox, SandboxOptions};

use crate::program::{self, Workplace};

/// A sender of events to a program that was started with this configuration.
fn sender_to(address: &str) -> Sender {
    let app =
        event::App { app_id: "cli_program".to_owned(), verification_token: Secret::new(program::VERIFICATION_TOKEN) };
    let key = EncryptKey::new(Secret::new(program::ENCRYPT_KEY));
    Sender::new(&format!("http://{address}/webhook/event"), app, Some(key)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_deliveries_flooded_the_log() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let (serving, address) = Workplace::configured(&platform.base_url()).serve();
    let sender = sender_to(&address);
    let begun = std::time::Instant::now();
    let refused = sender.sealed(&event::url_verification(sender.app(), "c"), Sealing::BadSignature);
    for _ in 0..300 {
        assert_eq!(sender.post(&refused).await.unwrap().status, 401);
    }
    let most = 1 + begun.elapsed().as_secs() as usize;
    let log = serving.stop().ended(0).stderr;
    let lines = log.lines().filter(|line| line.contains("\"cause\":\"signature\"")).count();
    assert!((1..=most).contains(&lines), "{lines} lines, at most {most}:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_forged_lines_of_the_log() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    let workplace = workplace.with("LARKIVE_LOG_FORMAT", "text").with("RUST_LOG", "larkive=debug");
    let serving = workplace.start(&["serve"]);
    let listening = serving.log_line_with(" address=");
    let (_, address) = listening.split_once(" address=").unwrap();
    let sender = sender_to(address.split(' ').next().unwrap());
    let mut payload = event::image("om_1", &Media::Png.key(1)).payload(sender.app(), Clock::system().now());
    payload["header"]["event_id"] = "x\n2026-01-01T00:00:00.000Z ERROR larkive: forged\u{1b}[2J".into();
    assert_eq!(sender.deliver(&payload).await.unwrap().status, 200);
    let log = serving.stop().ended(0).stderr;
    assert!(log.contains("ERROR larkive: forged"), "the id is logged:\n{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00.000Z")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
}
