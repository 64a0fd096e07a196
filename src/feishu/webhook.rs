//! The door: raw bytes of a delivery in, a verified event (or a challenge) out.
//!
//! Order of checks, after "Configure the Encrypt Key" and "Send notifications to the developer's
//! server" in the platform's event documentation: the signature over the raw bytes comes before
//! decryption; a challenge arrives without a signature; with an Encrypt Key nothing else does, and
//! nothing in plain text counts. Only the decrypted object is looked at, never its siblings.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use super::crypto::{Decrypted, EncryptKey, same_secret, verify};
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

/// What came through the door.
#[derive(Debug)]
pub enum Inbound {
    /// The platform checks the address; the text goes back to it.
    Challenge(String),
    /// An event of this app.
    Event(VerifiedEvent),
}

/// An authentic event. [`open`] is the only way to get one.
#[derive(Debug, Clone)]
pub struct VerifiedEvent {
    app_id: AppId,
    identity: Identity,
    payload: String,
}

/// What a payload says about itself without being understood; a member of another type than text
/// counts as missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// `header.event_id` (v2.0) or `uuid` (v1.0).
    pub event_id: Option<String>,
    /// `header.event_type` (v2.0) or `event.type` (v1.0).
    pub event_type: Option<String>,
    /// The message that the event is about.
    pub message_id: Option<String>,
}

impl VerifiedEvent {
    /// The app that the event was sent to.
    #[must_use]
    pub fn app_id(&self) -> &AppId {
        &self.app_id
    }

    /// What the payload says about itself.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The decrypted JSON object, to the letter but for its verification tokens, in whose place [`MASKED_JSON`] stands.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }
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

/// Checks a delivery and opens it. By `time` is judged how old a signature is.
///
/// # Errors
/// Why it is refused. Nothing of the body may be used then.
pub fn open(
    keys: &AppKeys,
    signature: Option<SignatureHeaders<'_>>,
    body: &[u8],
    time: &PlatformTime,
) -> Result<Inbound, Rejected> {
    match &keys.encrypt_key {
        Some(encrypt_key) => open_encrypted(keys, encrypt_key, signature, body, time),
        None => open_plain(keys, body),
    }
}

/// Opens a delivery with the keys of the app that it proves to be for.
///
/// Every app's own rules hold: a body in plain text is never taken for an app with an Encrypt Key,
/// whatever its neighbours allow. All keys are tried on a delivery that none of them opens.
///
/// # Errors
/// The most telling of the reasons for which the apps refuse it.
pub fn open_for_any(
    apps: &[AppKeys],
    signature: Option<SignatureHeaders<'_>>,
    body: &[u8],
    time: &PlatformTime,
) -> Result<Inbound, Rejected> {
    let mut most_telling = Rejected::OnlyEncrypted;
    for keys in apps {
        match open(keys, signature, body, time) {
            Ok(inbound) => return Ok(inbound),
            Err(rejected) => most_telling = most_telling.max(rejected),
        }
    }
    Err(most_telling)
}

fn open_encrypted(
    keys: &AppKeys,
    encrypt_key: &EncryptKey,
    headers: Option<SignatureHeaders<'_>>,
    body: &[u8],
    time: &PlatformTime,
) -> Result<Inbound, Rejected> {
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
            Ok(Inbound::Event(_)) => Err(Rejected::Signature),
            // Whether it is the padding or what it hides, the counters are not to tell a stranger either.
            Err(Rejected::NotAnObject) => Err(Rejected::Undecryptable),
            other => other,
        },
    }
}

/// The ciphertext that a body carries.
fn sealed(body: &[u8]) -> Result<String, Rejected> {
    let outer = std::str::from_utf8(body).map_err(|_| Rejected::NotAnObject)?;
    Members::read(outer)?.text("encrypt").ok_or(Rejected::NotAnObject)
}

/// Decrypts a ciphertext and checks what is in it.
///
/// Bad padding costs the same work as good padding: else a stranger who sends a recorded ciphertext with changed bytes
/// could decrypt it byte by byte, by the time that answers take.
fn unseal(keys: &AppKeys, encrypt_key: &EncryptKey, encrypted: &str) -> Result<Inbound, Rejected> {
    let Decrypted { plain, is_padded } = encrypt_key.decrypt_blocks(encrypted).map_err(|_| Rejected::Undecryptable)?;
    let inbound =
        String::from_utf8(plain).map_err(|_| Rejected::NotAnObject).and_then(|plain| authenticate(keys, plain));
    if is_padded { inbound } else { Err(Rejected::Undecryptable) }
}

fn open_plain(keys: &AppKeys, body: &[u8]) -> Result<Inbound, Rejected> {
    let text = std::str::from_utf8(body).map_err(|_| Rejected::NotAnObject)?;
    let members = Members::read(text)?;
    if members.0.len() == 1 && members.0.contains_key("encrypt") {
        return Err(Rejected::OnlyEncrypted);
    }
    authenticate(keys, text.to_owned())
}

/// Checks token and app of a plain payload and tells challenge and event apart.
///
/// Which token counts follows the envelope: v2.0 carries it in the header, v1.0 and challenges at
/// the top. The app of a challenge is not checked, because a challenge names none.
fn authenticate(keys: &AppKeys, payload: String) -> Result<Inbound, Rejected> {
    let mended = json::replace_lone_surrogates(&payload);
    let top = Members::read(&mended)?;
    let header = top.object("header");
    let header_token = header.as_ref().and_then(|header| header.text("token"));
    let challenge = top.text("challenge").filter(|_| top.text("type").as_deref() == Some("url_verification"));
    let token = match (&challenge, &header) {
        (Some(_), _) => top.text("token").or(header_token),
        (None, Some(_)) => header_token,
        (None, None) => top.text("token"),
    };
    let expected = keys.verification_token.reveal().as_bytes();
    if !token.is_some_and(|token| same_secret(token.as_bytes(), expected)) {
        return Err(Rejected::Token);
    }
    if let Some(challenge) = challenge {
        return Ok(Inbound::Challenge(challenge));
    }
    let event = top.object("event");
    let told_app = header.as_ref().or(event.as_ref()).and_then(|object| object.text("app_id"));
    if told_app.is_some_and(|app_id| app_id != keys.app_id.as_str()) {
        return Err(Rejected::OtherApp);
    }
    let identity = identity(&top, header.as_ref(), event.as_ref());
    let tokens =
        [Some(&top), header.as_ref()].map(|members| members.and_then(|members| members.place("token", &mended)));
    let payload = masked(payload, tokens);
    Ok(Inbound::Event(VerifiedEvent { app_id: keys.app_id.clone(), identity, payload }))
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

fn identity(top: &Members<'_>, header: Option<&Members<'_>>, event: Option<&Members<'_>>) -> Identity {
    let message = event.and_then(|event| event.object("message"));
    let message_id = message.as_ref().or(event).and_then(|object| object.text("message_id"));
    let (event_id, event_type) = match header {
        Some(header) => (header.text("event_id"), header.text("event_type")),
        None => (top.text("uuid"), event.and_then(|event| event.text("type"))),
    };
    Identity { event_id, event_type, message_id }
}

/// The members of a JSON object, unread. The whole text is checked to be JSON, however deep, but
/// only what is asked for is parsed. Of members with the same name the last counts.
struct Members<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, Rejected> {
        serde_json::from_str(text).map(Self).map_err(|_| Rejected::NotAnObject)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// Where the value of a member stands in the text that it was read from.
    fn place(&self, name: &str, text: &str) -> Option<Range<usize>> {
        let value = self.0.get(name)?.get();
        let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let place = start..start + value.len();
        (text.get(place.clone()) == Some(value)).then_some(place)
    }

    fn object(&self, name: &str) -> Option<Members<'a>> {
        self.0.get(name).copied().and_then(|value| serde_json::from_str(value.get()).ok()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::clock::Clock;
    use crate::feishu::crypto::COMPARISONS;

    const KEY: &str = "1212121212";

    /// [`super::open`], before the platform has told its time.
    fn open(keys: &AppKeys, signature: Option<SignatureHeaders<'_>>, body: &[u8]) -> Result<Inbound, Rejected> {
        super::open(keys, signature, body, &PlatformTime::new(Clock::system()))
    }

    fn keys(token: &str, encrypt_key: Option<&str>) -> AppKeys {
        AppKeys {
            app_id: "cli_a".parse().unwrap(),
            verification_token: Secret::new(token),
            encrypt_key: encrypt_key.map(|key| EncryptKey::new(Secret::new(key))),
        }
    }

    fn result(inbound: Result<Inbound, Rejected>) -> String {
        match inbound {
            Ok(Inbound::Challenge(challenge)) => format!("challenge {challenge}"),
            Ok(Inbound::Event(event)) => format!("event {:?}", event.identity()),
            Err(rejected) => rejected.label().to_owned(),
        }
    }

    fn plain(token: &str, body: &str) -> String {
        result(open(&keys(token, None), None, body.as_bytes()))
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
        let payload = |body: &str| match open(&keys("t", None), None, body.as_bytes()) {
            Ok(Inbound::Event(event)) => event.payload().to_owned(),
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
        assert_eq!(result(open(&keys, None, &challenge)), "challenge c1");
        let event = encrypted(r#"{"schema":"2.0","header":{"token":"t","app_id":"cli_a"},"event":{}}"#);
        assert_eq!(result(open(&keys, None, &event)), "signature");
        let headers = SignatureHeaders { timestamp: "1", nonce: "2", signature: "00" };
        assert_eq!(result(open(&keys, Some(headers), &challenge)), "signature");
    }

    #[test]
    fn members_beside_the_encrypted_text_do_not_count() {
        let keys = keys("t", Some(KEY));
        let mut body: serde_json::Value =
            serde_json::from_slice(&encrypted(r#"{"token":"wrong","type":"url_verification","challenge":"c"}"#))
                .unwrap();
        body["token"] = "t".into();
        assert_eq!(result(open(&keys, None, body.to_string().as_bytes())), "token");
        assert_eq!(
            result(open(&keys, None, br#"{"challenge":"c","token":"t","type":"url_verification"}"#)),
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
            (result(open(&keys, None, body.as_bytes())), COMPARISONS.get() - before)
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
            result(open(&keys, None, body.as_bytes()))
        };
        assert_eq!(garbage(MAX_UNSIGNED_BYTES), "undecryptable");
        assert_eq!(garbage(MAX_UNSIGNED_BYTES + 1), "signature");
        let challenge = format!(r#"{{"challenge":"{}","token":"t","type":"url_verification"}}"#, "c".repeat(4000));
        assert_eq!(result(open(&keys, None, &encrypted(&challenge))), "signature");
    }

    #[test]
    fn a_delivery_is_opened_by_the_app_that_it_is_for_and_by_no_other() {
        let app = |app_id: &str, token, key| AppKeys { app_id: app_id.parse().unwrap(), ..keys(token, key) };
        let apps = [app("cli_plain", "t1", None), app("cli_a", "t2", Some("k2")), app("cli_b", "t2", Some("k2"))];
        let event = |app_id: &str, token: &str| format!(r#"{{"header":{{"token":"{token}","app_id":"{app_id}"}}}}"#);
        let time = PlatformTime::new(Clock::system());
        let opened = |headers: Option<SignatureHeaders<'_>>, body: &str| match open_for_any(
            &apps,
            headers,
            body.as_bytes(),
            &time,
        ) {
            Ok(Inbound::Event(event)) => event.app_id().to_string(),
            other => result(other),
        };
        assert_eq!(opened(None, &event("cli_plain", "t1")), "cli_plain");
        // The token of one app opens no other, nor in plain text an app with an Encrypt Key.
        assert_eq!(opened(None, &event("cli_plain", "t2")), "token");
        assert_eq!(opened(None, &event("cli_a", "t1")), "app");
        assert_eq!(opened(None, &event("cli_a", "t2")), "token");

        let key = EncryptKey::new(Secret::new("k2"));
        let sealed = |plain: &str| {
            let body = serde_json::json!({ "encrypt": key.encrypt(plain.as_bytes(), [7; 16]) }).to_string();
            let signature = crate::feishu::crypto::signature("1", "2", &key, body.as_bytes());
            (body, signature)
        };
        let signed = |plain: &str| {
            let (body, signature) = sealed(plain);
            opened(Some(SignatureHeaders { timestamp: "1", nonce: "2", signature: &signature }), &body)
        };
        // Two apps with the same keys are told apart by the app that the event names.
        assert_eq!((signed(&event("cli_a", "t2")), signed(&event("cli_b", "t2"))), ("cli_a".into(), "cli_b".into()));
        assert_eq!(signed(&event("cli_plain", "t1")), "token");
        let unsigned = sealed(&event("cli_a", "t2")).0;
        assert!(open_for_any(&apps, None, unsigned.as_bytes(), &time).is_err());
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
        assert_eq!(result(open(&keys("t", None), None, b"{\"token\":\"\xff\"}")), "malformed");
    }
}
