//! Authentic events, and the doors that they come through. Nothing outside this file can make one.
//!
//! A door is a function here that has a proof of where a payload comes from before it calls the one constructor:
//! [`from_webhook`] has the checks of [`super::webhook`].

use super::envelope::Identity;
use super::platform_time::PlatformTime;
use super::webhook::{self, AppKeys, Authentic, Rejected, SignatureHeaders};
use crate::domain::id::AppId;

/// An authentic event. The doors of this file are the only way to get one.
#[derive(Debug, Clone)]
pub struct VerifiedEvent {
    app_id: AppId,
    identity: Identity,
    payload: String,
}

/// What came by webhook.
#[derive(Debug)]
pub enum Inbound {
    /// The platform checks the address; the text goes back to it.
    Challenge(String),
    /// An event of one of the apps.
    Event(VerifiedEvent),
}

impl VerifiedEvent {
    /// For the doors of this file alone.
    fn new(app_id: &AppId, identity: Identity, payload: String) -> Self {
        Self { app_id: app_id.clone(), identity, payload }
    }

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

    /// The decrypted JSON object, to the letter but for its verification tokens, in whose place
    /// [`MASKED_JSON`](crate::domain::secret::MASKED_JSON) stands.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }
}

/// The webhook's door: checks a delivery and opens it with the keys of the app that it proves to be for. By `time`
/// is judged how old a signature is.
///
/// Every app's own rules hold: a body in plain text is never taken for an app with an Encrypt Key,
/// whatever its neighbours allow. All keys are tried on a delivery that none of them opens.
///
/// # Errors
/// The most telling of the reasons for which the apps refuse it. Nothing of the body may be used then.
pub fn from_webhook(
    apps: &[AppKeys],
    signature: Option<SignatureHeaders<'_>>,
    body: &[u8],
    time: &PlatformTime,
) -> Result<Inbound, Rejected> {
    let mut most_telling = Rejected::OnlyEncrypted;
    for keys in apps {
        match webhook::check(keys, signature, body, time) {
            Ok(Authentic::Challenge(challenge)) => return Ok(Inbound::Challenge(challenge)),
            Ok(Authentic::Event(identity, payload)) => {
                return Ok(Inbound::Event(VerifiedEvent::new(&keys.app_id, identity, payload)));
            }
            Err(rejected) => most_telling = most_telling.max(rejected),
        }
    }
    Err(most_telling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::secret::Secret;
    use crate::feishu::crypto::{EncryptKey, signature};

    fn keys(app_id: &str, token: &str, encrypt_key: Option<&str>) -> AppKeys {
        AppKeys {
            app_id: app_id.parse().unwrap(),
            verification_token: Secret::new(token),
            encrypt_key: encrypt_key.map(|key| EncryptKey::new(Secret::new(key))),
        }
    }

    #[test]
    fn a_delivery_is_opened_by_the_app_that_it_is_for_and_by_no_other() {
        let apps = [keys("cli_plain", "t1", None), keys("cli_a", "t2", Some("k2")), keys("cli_b", "t2", Some("k2"))];
        let event = |app_id: &str, token: &str| format!(r#"{{"header":{{"token":"{token}","app_id":"{app_id}"}}}}"#);
        let time = PlatformTime::new(Clock::system());
        let opened = |headers: Option<SignatureHeaders<'_>>, body: &str| match from_webhook(
            &apps,
            headers,
            body.as_bytes(),
            &time,
        ) {
            Ok(Inbound::Event(event)) => event.app_id().to_string(),
            Ok(Inbound::Challenge(challenge)) => challenge,
            Err(rejected) => rejected.label().to_owned(),
        };
        assert_eq!(opened(None, &event("cli_plain", "t1")), "cli_plain");
        // The token of one app opens no other, nor in plain text an app with an Encrypt Key.
        assert_eq!(opened(None, &event("cli_plain", "t2")), "token");
        assert_eq!(opened(None, &event("cli_a", "t1")), "app");
        assert_eq!(opened(None, &event("cli_a", "t2")), "token");

        let key = EncryptKey::new(Secret::new("k2"));
        let sealed = |plain: &str| {
            let body = serde_json::json!({ "encrypt": key.encrypt(plain.as_bytes(), [7; 16]) }).to_string();
            let signature = signature("1", "2", &key, body.as_bytes());
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
        assert!(from_webhook(&apps, None, unsigned.as_bytes(), &time).is_err());
    }
}
