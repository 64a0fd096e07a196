//! Requests: deliveries as the platform sends them, ready for the wire before anything is measured.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event::{self, App, MessageEvent, hex_id};
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::{Delivery, Sealing, seal};

pub(crate) const APP_ID: &str = "cli_a1b2c3d4e5f60708";
pub(crate) const ENCRYPT_KEY: &str = "encrypt-key-of-the-bench";
pub(crate) const VERIFICATION_TOKEN: &str = "verification-token-of-the-bench";

/// Requests as bytes, head and body.
pub(crate) type Requests = Arc<[Vec<u8>]>;

/// So many messages that show one picture each, all different, and different from those of any
/// other `series`.
pub(crate) fn images(series: &str, count: usize) -> Requests {
    build(count, |number| {
        let message_id = message_id(series, number);
        let key = format!("img_v3_02ab_{}g", hex_id(&["key", &message_id]));
        event::image(&message_id, &key)
    })
}

/// So many messages with one file each of this size, all different.
pub(crate) fn files(series: &str, count: usize, size_bytes: u64) -> Requests {
    build(count, |number| {
        let message_id = message_id(series, number);
        // The digits are the first 64 bits of a hash: another seed for every series and number.
        let digits = message_id.get(3..19).unwrap_or_default();
        let seed = u64::from_str_radix(digits, 16).unwrap_or(number as u64);
        event::file(&message_id, &Media::Blob { size_bytes }.key(seed), "measured.bin")
    })
}

/// So many messages with one file each that has a Chinese name, all different. Nothing is downloaded.
pub(crate) fn documents(series: &str, count: usize) -> Requests {
    build(count, |number| {
        let message_id = message_id(series, number);
        let key = format!("file_v3_02ab_{}g", hex_id(&["key", &message_id]));
        event::file(&message_id, &key, &format!("北京项目第{number}期会议纪要与费用清单.pdf"))
    })
}

fn message_id(series: &str, number: usize) -> String {
    format!("om_{}", hex_id(&[series, &number.to_string()]))
}

/// Builds on all processors: sealing takes some ten microseconds each.
fn build(count: usize, message: impl Fn(usize) -> MessageEvent + Sync) -> Requests {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = count.div_ceil(threads).max(1);
    let message = &message;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count)
            .step_by(share)
            .map(|first| scope.spawn(move || built(first..count.min(first + share), message)))
            .collect();
        // A thread that panicked has said why; fewer requests then show in the count.
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

fn built(numbers: std::ops::Range<usize>, message: &impl Fn(usize) -> MessageEvent) -> Vec<Vec<u8>> {
    let app = App { app_id: APP_ID.to_owned(), verification_token: Secret::new(VERIFICATION_TOKEN) };
    let key = EncryptKey::new(Secret::new(ENCRYPT_KEY));
    let now = Clock::system().now();
    // Messages that were all sent in one millisecond would be a case of its own.
    let sent_at = |number| now.after(Duration::from_millis(number as u64));
    let sealed = |number| seal(&message(number).payload(&app, sent_at(number)), Some(&key), Sealing::Proper, now);
    numbers.map(|number| wired(&sealed(number))).collect()
}

fn wired(delivery: &Delivery) -> Vec<u8> {
    let mut request = String::from("POST /webhook/event HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    request.push_str("Content-Type: application/json;charset=utf-8\r\n");
    for (name, value) in &delivery.headers {
        // Writing to a String does not fail.
        let _ = write!(request, "{name}: {value}\r\n");
    }
    let _ = write!(request, "Content-Length: {}\r\n\r\n", delivery.body.len());
    request.push_str(&delivery.body);
    request.into_bytes()
}
