//! What a delivery by webhook has to pass. Only [`super::verified`] makes an event of what did.
//!
//! Order of checks, after "Configure the Encrypt Key" and "Send notifications to the developer's
//! server" in the platform's event documentation: the signature over the raw bytes comes before
//! decryption; a challenge arrives without a signature; with an Encrypt Key nothing else does, and
//! nothing in plain text counts. Only the decrypted object is looked at, never its siblings.

use std::cmp::Reverse;
use std::ops::Range;

use super::crypto::{Decrypted, EncryptKey, same_secret, verify};
use super::envelope::{Envelope, Identity, Members};
use super::json;
use super::platform_time::{PlatformTime, Untimely};
use crate::domain::id::AppId;
use crate::domain::secret::{MASKED_JSON, Secret};

/// The longest body that is looked into without a signature: a challenge has a few hundred bytes.
const MAX_UNSIGNED_BYTES: usize = 4096;

/// What one app's callbacks are checked against.
#[derive(Debug, Clone)]
pub struct AppKeys {
    /// The app whose events are taken.
    pub app_id: AppId,
    /// The token inside every callback.
    pub verification_token: Secret,
    /// With it, callbacks must be encrypted and events signed.
    pub encrypt_key: Option<EncryptKey>,
}

/// The signature headers of a delivery, as they came.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignatureHeaders<'a> {
    /// `X-Lark-Request-Timestamp`.
    pub timestamp: &'a str,
    /// `X-Lark-Request-Nonce`.
    pub nonce: &'a str,
    /// `X-Lark-Signature`.
    pub signature: &'a str,
}

/// Why a delivery was refused. For the log and the counters; the sender is not told.
///
/// In the order of how far a delivery got: where several apps refuse one, the last of their reasons
/// says most about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Rejected {
    /// The body is encrypted, and there is no Encrypt Key.
    #[error("the body is encrypted, but FEISHU_ENCRYPT_KEY is not set")]
    OnlyEncrypted,
    /// The signature is wrong, or missing on something other than a challenge.
    #[error("the signature is wrong or missing")]
    Signature,
    /// The signature is right, and the time that it covers is not.
    #[error("{0}")]
    Untimely(Untimely),
    /// The body, or what it decrypts to, is not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// With an Encrypt Key, the body does not decrypt.
    #[error("the body does not decrypt")]
    Undecryptable,
    /// The verification token is wrong or missing.
    #[error("the verification token is wrong or missing")]
    Token,
    /// The event belongs to another app.
    #[error("the event belongs to another app")]
    OtherApp,
}

impl Rejected {
    /// The `result` label of `larkive_events_total`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Signature | Self::Untimely(_) => "signature",
            Self::Undecryptable => "undecryptable",
            Self::NotAnObject | Self::OnlyEncrypted => "malformed",
            Self::Token => "token",
            Self::OtherApp => "app",
        }
    }
}

/// What passed the checks.
#[derive(Debug)]
pub(super) enum Authentic {
    /// The platform checks the address; the text goes back to it.
    Challenge(String),
    /// An event of this app: what it says of itself, and the decrypted JSON object without its verification tokens.
    Event(Identity, String),
}

/// Checks a delivery. By `time` is judged how old a signature is.
pub(super) fn check(
    keys: &AppKeys,
    signature: Option<SignatureHeaders<'_>>,
    body: &[u8],
    time: &PlatformTime,
) -> Result<Authentic, Rejected> {
    match &keys.encrypt_key {
        Some(encrypt_key) => check_encrypted(keys, encrypt_key, signature, body, time),
        None => check_plain(keys, body),
    }
}

fn check_encrypted(
    keys: &AppKeys,
    encrypt_key: &EncryptKey,
    headers: Option<SignatureHeaders<'_>>,
    body: &[u8],
    time: &PlatformTime,
) -> Result<Authentic, Rejected> {
    match headers {
        Some(SignatureHeaders { timestamp, nonce, signature }) => {
            if !verify(timestamp, nonce, encrypt_key, body, signature) {
                return Err(Rejected::Signature);
            }
            time.judge(timestamp).map_err(Rejected::Untimely)?;
            unseal(keys, encrypt_key, &sealed(body)?)
        }
        None if body.len() > MAX_UNSIGNED_BYTES => Err(Rejected::Signature),
        None => match unseal(keys, encrypt_key, &sealed(body)?) {
            Ok(Authentic::Event(..)) => Err(Rejected::Signature),
            // Whether it is the padding or what it hides, the counters are not to tell a stranger either.
            Err(Rejected::NotAnObject) => Err(Rejected::Undecryptable),
            other => other,
        },
    }
}

/// The ciphertext that a body carries.
fn sealed(body: &[u8]) -> Result<String, Rejected> {
    let outer = std::str::from_utf8(body).map_err(|_| Rejected::NotAnObject)?;
    let members = Members::read(outer).map_err(|_| Rejected::NotAnObject)?;
    members.text("encrypt").ok_or(Rejected::NotAnObject)
}

/// Decrypts a ciphertext and checks what is in it.
///
/// Bad padding costs the same work as good padding: else a stranger who sends a recorded ciphertext with changed bytes
/// could decrypt it byte by byte, by the time that answers take.
fn unseal(keys: &AppKeys, encrypt_key: &EncryptKey, encrypted: &str) -> Result<Authentic, Rejected> {
    let Decrypted { plain, is_padded } = encrypt_key.decrypt_blocks(encrypted).map_err(|_| Rejected::Undecryptable)?;
    let inbound =
        String::from_utf8(plain).map_err(|_| Rejected::NotAnObject).and_then(|plain| authenticate(keys, plain));
    if is_padded { inbound } else { Err(Rejected::Undecryptable) }
}

fn check_plain(keys: &AppKeys, body: &[u8]) -> Result<Authentic, Rejected> {
    let text = std::str::from_utf8(body).map_err(|_| Rejected::NotAnObject)?;
    let members = Members::read(text).map_err(|_| Rejected::NotAnObject)?;
    if members.has_only("encrypt") {
        return Err(Rejected::OnlyEncrypted);
    }
    authenticate(keys, text.to_owned())
}

/// Checks token and app of a plain payload and tells challenge and event apart. The app of a challenge is not
/// checked, because a challenge names none.
fn authenticate(keys: &AppKeys, payload: String) -> Result<Authentic, Rejected> {
    let mended = json::replace_lone_surrogates(&payload);
    let envelope = Envelope::read(&mended).map_err(|_| Rejected::NotAnObject)?;
    let expected = keys.verification_token.reveal().as_bytes();
    if !envelope.token().is_some_and(|token| same_secret(token.as_bytes(), expected)) {
        return Err(Rejected::Token);
    }
    if let Some(challenge) = envelope.challenge() {
        return Ok(Authentic::Challenge(challenge.to_owned()));
    }
    let (told_app, identity) = envelope.event();
    if told_app.is_some_and(|app_id| app_id != keys.app_id.as_str()) {
        return Err(Rejected::OtherApp);
    }
    let tokens = envelope.tokens(&mended);
    Ok(Authentic::Event(identity, masked(payload, tokens)))
}

/// The payload with [`MASKED_JSON`] in these places: whoever reads the archive could pretend to be the platform with
/// what stands there.
fn masked(mut payload: String, places: [Option<Range<usize>>; 2]) -> String {
    let mut places: Vec<_> = places.into_iter().flatten().collect();
    // The last one first, so that the others stay where they are.
    places.sort_by_key(|place| Reverse(place.start));
    for place in places {
        payload.replace_range(place, MASKED_JSON);
    }
    payload
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::clock::Clock;
    use crate::feishu::crypto::COMPARISONS;

    const KEY: &str = "1212121212";

    /// [`super::check`], before the platform has told its time.
    fn check(keys: &AppKeys, signature: Option<SignatureHeaders<'_>>, body: &[u8]) -> Result<Authentic, Rejected> {
        super::check(keys, signature, body, &PlatformTime::new(Clock::system()))
    }

    fn keys(token: &str, encrypt_key: Option<&str>) -> AppKeys {
        AppKeys {
            app_id: "cli_a".parse().unwrap(),
            verification_token: Secret::new(token),
            encrypt_key: encrypt_key.map(|key| EncryptKey::new(Secret::new(key))),
        }
    }

    fn result(checked: Result<Authentic, Rejected>) -> String {
        match checked {
            Ok(Authentic::Challenge(challenge)) => format!("challenge {challenge}"),
            Ok(Authentic::Event(identity, _)) => format!("event {identity:?}"),
            Err(rejected) => rejected.label().to_owned(),
        }
    }

    fn plain(token: &str, body: &str) -> String {
        result(check(&keys(token, None), None, body.as_bytes()))
    }

    fn encrypted(plaintext: &str) -> Vec<u8> {
        let key = EncryptKey::new(Secret::new(KEY));
        serde_json::json!({ "encrypt": key.encrypt(plaintext.as_bytes(), [7; 16]) }).to_string().into_bytes()
    }

    #[test]
    fn a_challenge_needs_the_token_and_a_text_to_echo() {
        let challenge = r#"{"challenge":"c1","token":"t","type":"url_verification"}"#;
        assert_eq!(plain("t", challenge), "challenge c1");
        assert_eq!(plain("other", challenge), "token");
        assert_eq!(
            plain("t", r#"{"challenge":1,"token":"t","type":"url_verification"}"#).split(' ').next(),
            Some("event")
        );
    }

    #[test]
    fn the_envelope_decides_which_token_counts() {
        let v2 = r#"{"schema":"2.0","token":"t","header":{"token":"x","app_id":"cli_a"},"event":{}}"#;
        assert_eq!(plain("t", v2), "token");
        assert_eq!(plain("x", v2).split(' ').next(), Some("event"));
        let v1 =
            r#"{"uuid":"u","token":"t","type":"event_callback","event":{"app_id":"cli_a","type":"p2p_chat_create"}}"#;
        assert!(plain("t", v1).contains("p2p_chat_create"));
        assert_eq!(plain("t", &v1.replace("cli_a", "cli_b")), "app");
    }

    #[test]
    fn tokens_of_the_envelope_are_not_kept_and_everything_else_is() {
        let payload = |body: &str| match check(&keys("t", None), None, body.as_bytes()) {
            Ok(Authentic::Event(_, payload)) => payload,
            other => result(other),
        };
        for (told, kept) in [
            (
                r#"{"token" : "t", "header":{"token":"t","app_id":"cli_a"},"event":{"text":"\ud800 t","token":"t"}}"#,
                r#"{"token" : "***", "header":{"token":"***","app_id":"cli_a"},"event":{"text":"\ud800 t","token":"t"}}"#,
            ),
            (r#"{"uuid":"u","tok\u0065n":"\u0074","event":{}}"#, r#"{"uuid":"u","tok\u0065n":"***","event":{}}"#),
            (r#"{"header":{"a":1,"token":"t"},"token":null}"#, r#"{"header":{"a":1,"token":"***"},"token":"***"}"#),
        ] {
            assert_eq!(payload(told), kept);
        }
    }

    #[test]
    fn unsigned_bodies_are_challenges_or_nothing() {
        let keys = keys("t", Some(KEY));
        let challenge = encrypted(r#"{"challenge":"c1","token":"t","type":"url_verification"}"#);
        assert_eq!(result(check(&keys, None, &challenge)), "challenge c1");
        let event = encrypted(r#"{"schema":"2.0","header":{"token":"t","app_id":"cli_a"},"event":{}}"#);
        assert_eq!(result(check(&keys, None, &event)), "signature");
        let headers = SignatureHeaders { timestamp: "1", nonce: "2", signature: "00" };
        assert_eq!(result(check(&keys, Some(headers), &challenge)), "signature");
    }

    #[test]
    fn members_beside_the_encrypted_text_do_not_count() {
        let keys = keys("t", Some(KEY));
        let mut body: serde_json::Value =
            serde_json::from_slice(&encrypted(r#"{"token":"wrong","type":"url_verification","challenge":"c"}"#))
                .unwrap();
        body["token"] = "t".into();
        assert_eq!(result(check(&keys, None, body.to_string().as_bytes())), "token");
        assert_eq!(
            result(check(&keys, None, br#"{"challenge":"c","token":"t","type":"url_verification"}"#)),
            "malformed"
        );
    }

    #[test]
    fn bad_padding_was_answered_sooner_than_good_padding() {
        let keys = keys("t", Some(KEY));
        // How it ends, and how many tokens are compared on the way, with the last so many bytes missing. Plain text of
        // whole blocks is followed by a block of padding, without which it ends in blanks.
        let end = |plaintext: &str, missing: usize| {
            assert_eq!(plaintext.len() % 16, 0);
            let encrypted = STANDARD.decode(EncryptKey::new(Secret::new(KEY)).encrypt(plaintext.as_bytes(), [7; 16]));
            let mut encrypted = encrypted.unwrap();
            encrypted.truncate(encrypted.len() - missing);
            let body = serde_json::json!({ "encrypt": STANDARD.encode(encrypted) }).to_string();
            let before = COMPARISONS.get();
            (result(check(&keys, None, body.as_bytes())), COMPARISONS.get() - before)
        };
        let event = format!("{:160}", r#"{"schema":"2.0","header":{"token":"t"},"event":{}}"#);
        assert_eq!(end(&event, 0), ("signature".to_owned(), 1));
        assert_eq!(end(&event, 16), ("undecryptable".to_owned(), 1), "the same work, in vain");
        for missing in [0, 16] {
            assert_eq!(end(&format!("{:160}", "no object"), missing), ("undecryptable".to_owned(), 0));
        }
    }

    #[test]
    fn long_bodies_were_decrypted_before_they_were_found_to_be_unsigned() {
        let keys = keys("t", Some(KEY));
        let garbage = |bytes: usize| {
            let body = format!(r#"{{"encrypt":"{}"}}"#, "A".repeat(bytes - r#"{"encrypt":""}"#.len()));
            assert_eq!(body.len(), bytes);
            result(check(&keys, None, body.as_bytes()))
        };
        assert_eq!(garbage(MAX_UNSIGNED_BYTES), "undecryptable");
        assert_eq!(garbage(MAX_UNSIGNED_BYTES + 1), "signature");
        let challenge = format!(r#"{{"challenge":"{}","token":"t","type":"url_verification"}}"#, "c".repeat(4000));
        assert_eq!(result(check(&keys, None, &encrypted(&challenge))), "signature");
    }

    #[test]
    fn depth_and_odd_types_do_not_hide_an_authentic_event() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let body =
            format!(r#"{{"header":{{"token":"t","event_id":7,"event_type":"x","app_id":"cli_a"}},"event":{deep}}}"#);
        assert!(plain("t", &body).contains(r#"event_id: None, event_type: Some("x")"#));
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for body in ["", "[]", "\"x\"", "{", r#"{"a":1}x"#, "\u{feff}{}", r#"{"encrypt":"x"}"#] {
            assert_eq!(plain("t", body), "malformed", "{body}");
        }
        assert_eq!(result(check(&keys("t", None), None, b"{\"token\":\"\xff\"}")), "malformed");
    }
}
