//! Raw bodies at the webhook's door, through what no outsider gets past: the signature.
//!
//! Each input comes three ways: in plain text, encrypted by nobody, and as the plaintext of a
//! properly encrypted and signed delivery, so that everything behind the door is reached as well.

#![no_main]

use std::slice::from_ref;

use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::{EncryptKey, signature};
use larkive::feishu::event;
use larkive::feishu::platform_time::PlatformTime;
use larkive::feishu::verified::{Inbound, from_webhook};
use larkive::feishu::webhook::{AppKeys, SignatureHeaders};
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "token";
const TIMESTAMP: &str = "1763625600";
const NONCE: &str = "nonce";

fuzz_target!(|body: &[u8]| {
    let (Ok(app_id), Ok(text)) = ("cli_fuzz".parse(), str::from_utf8(body)) else { return };
    let plain = AppKeys { app_id, verification_token: Secret::new(TOKEN), encrypt_key: None };
    let key = EncryptKey::new(Secret::new("key"));
    let encrypted = AppKeys { encrypt_key: Some(key.clone()), ..plain.clone() };

    // No answer of a platform has told what time it is, so that signatures do not grow old.
    let time = PlatformTime::new(Clock::system());

    read_on(from_webhook(from_ref(&plain), None, body, &time).ok());

    assert!(
        !matches!(from_webhook(from_ref(&encrypted), None, body, &time), Ok(Inbound::Event(_))),
        "an unsigned event came in"
    );

    let sealed = format!(r#"{{"encrypt":"{}"}}"#, key.encrypt(text.as_bytes(), [7; 16]));
    let signature = signature(TIMESTAMP, NONCE, &key, sealed.as_bytes());
    let headers = SignatureHeaders { timestamp: TIMESTAMP, nonce: NONCE, signature: &signature };
    read_on(from_webhook(from_ref(&encrypted), Some(headers), sealed.as_bytes(), &time).ok());
});

/// What is authentic is read next.
fn read_on(inbound: Option<Inbound>) {
    if let Some(Inbound::Event(verified)) = inbound {
        let refused = event::read(verified.app_id(), verified.payload()).err();
        assert!(refused.is_none_or(|reason| reason.to_string().len() <= 200));
    }
}
