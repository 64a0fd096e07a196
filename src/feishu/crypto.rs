//! The cryptography of callbacks: decryption, signatures and comparisons that take constant time.
//!
//! The scheme is the platform's own ("Receive and process events", `/document/server-docs/event-subscription-guide`):
//! AES-256-CBC under the SHA-256 of the Encrypt Key, and a SHA-256 over timestamp, nonce, key and
//! raw body. The ciphertext carries no proof of its origin; only the signature does. Nothing here
//! knows HTTP or JSON, and no failure says what was wrong.

use std::fmt;

use aes::Aes256;
use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::digest::Digest;
use crate::domain::secret::Secret;

/// The size of an AES block, and of the initialisation vector in front of the ciphertext.
const BLOCK_BYTES: usize = 16;

/// What a ciphertext holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decrypted {
    /// The plain text; with all that stands in its place, if the padding is bad.
    pub plain: Vec<u8>,
    /// Whether the padding is what it should be, so that the key may have been the right one.
    pub is_padded: bool,
}

/// An app's Encrypt Key, ready for use.
#[derive(Clone)]
pub struct EncryptKey {
    secret: Secret,
    cipher: Aes256,
}

/// The text is no ciphertext under this key. It does not say why: an answer that told bad padding
/// from bad JSON would let a stranger decrypt what they have recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the callback cannot be decrypted")]
pub struct Undecryptable;

impl EncryptKey {
    /// Derives the cipher from the text shown in the developer console.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        let derived = Sha256::digest(secret.reveal().as_bytes());
        Self { cipher: Aes256::new(&derived), secret }
    }

    /// Decrypts the `encrypt` member of a callback.
    ///
    /// # Errors
    /// [`Undecryptable`] if the text is not base64, not whole blocks, or badly padded.
    pub fn decrypt(&self, encrypt_base64: &str) -> Result<Vec<u8>, Undecryptable> {
        let Decrypted { plain, is_padded } = self.decrypt_blocks(encrypt_base64)?;
        if is_padded { Ok(plain) } else { Err(Undecryptable) }
    }

    /// Decrypts the `encrypt` member of a callback, whatever its padding: whoever goes on with bad padding as with
    /// good padding does not tell by the time it takes which of them it was.
    ///
    /// # Errors
    /// [`Undecryptable`] if the text is not base64, or not whole blocks; the sender knows that without us.
    pub fn decrypt_blocks(&self, encrypt_base64: &str) -> Result<Decrypted, Undecryptable> {
        let mut raw = STANDARD.decode(encrypt_base64).map_err(|_| Undecryptable)?;
        let (iv, blocks) = raw.split_first_chunk_mut::<BLOCK_BYTES>().ok_or(Undecryptable)?;
        let decryptor = cbc::Decryptor::inner_iv_init(self.cipher.clone(), (&*iv).into());
        let plain = decryptor.decrypt_padded::<NoPadding>(blocks).map_err(|_| Undecryptable)?;
        let last = plain.last_chunk::<BLOCK_BYTES>().ok_or(Undecryptable)?;
        let padding = padding(last);
        let plain_bytes = plain.len() - padding.unwrap_or_default();
        raw.copy_within(BLOCK_BYTES..BLOCK_BYTES + plain_bytes, 0);
        raw.truncate(plain_bytes);
        Ok(Decrypted { plain: raw, is_padded: padding.is_some() })
    }

    /// Encrypts what [`EncryptKey::decrypt`] reads. The `iv` must never be used twice.
    #[must_use]
    pub fn encrypt(&self, plaintext: &[u8], iv: [u8; BLOCK_BYTES]) -> String {
        let encryptor = cbc::Encryptor::inner_iv_init(self.cipher.clone(), &iv.into());
        let mut raw = iv.to_vec();
        raw.extend(encryptor.encrypt_padded_vec::<Pkcs7>(plaintext));
        STANDARD.encode(raw)
    }
}

impl fmt::Debug for EncryptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptKey(***)")
    }
}

/// How many bytes of the last block are padding (PKCS #7), if that is what it ends in. All bytes are looked at.
fn padding(last: &[u8; BLOCK_BYTES]) -> Option<usize> {
    let count = usize::from(last[BLOCK_BYTES - 1]);
    let agrees = |(place, byte): (usize, &u8)| (place + count < BLOCK_BYTES) | (usize::from(*byte) == count);
    let all_agree = last.iter().enumerate().map(agrees).fold(true, |all, one| all & one);
    (all_agree & (1..=BLOCK_BYTES).contains(&count)).then_some(count)
}

/// The signature of a callback: lower-case hexadecimal, as in `X-Lark-Signature`. The timestamp
/// and the nonce count to the letter, the body as its raw bytes.
#[must_use]
pub fn signature(timestamp: &str, nonce: &str, key: &EncryptKey, body: &[u8]) -> String {
    let hash = Sha256::new()
        .chain_update(timestamp)
        .chain_update(nonce)
        .chain_update(key.secret.reveal())
        .chain_update(body)
        .finalize();
    Digest::from(<[u8; 32]>::from(hash)).to_string()
}

/// Whether `claimed` is the signature of this callback, told in constant time.
#[must_use]
pub fn verify(timestamp: &str, nonce: &str, key: &EncryptKey, body: &[u8], claimed: &str) -> bool {
    signature(timestamp, nonce, key, body).as_bytes().ct_eq(claimed.as_bytes()).into()
}

#[cfg(test)]
thread_local! {
    /// How many secrets this thread has compared.
    pub(super) static COMPARISONS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Whether two secrets are equal, told in a time that depends on neither their bytes nor on how
/// far they agree.
#[must_use]
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    #[cfg(test)]
    COMPARISONS.set(COMPARISONS.get() + 1);
    Sha256::digest(a).ct_eq(&Sha256::digest(b)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the platform's page on receiving events; its plaintext is not JSON.
    const PAGE: &str = "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=";

    /// From the tests of the platform's Node SDK.
    const NODE: &str = "tT1xP+ovuc0T3b/rnZX3ax76exqAn0ANQ6/U45GcciC0mgNBc8JtvqOJGNAPMKpgRs2dVU1NYk9VDeqS8T4SYtU0hzNU54aS84WnxvZ3VFfDcy/RyABlNqlUiGyLDzFI0yxdCMT4KR/YEQXlt6nZi50KwRlZ+A75r645KesZuLMljezYyY8VeeXEVjPw35+e";
    const NODE_PLAIN: &str = r#"{"challenge":"5634b122-c042-4634-bc7f-b07a3c3e77ad","token":"iRdCP2WwXNBXRM3mGLqhrgch3cn0gbT6","type":"url_verification"}"#;

    /// From the tests of the platform's Go SDK; its padding is a whole block.
    const GO: &str = "bZ3L7yh6m3Fkuffl4g+3uGjIHnhOm5fVZbKVuyT8t7tcd5ABMYm8l28/X900ZL3knZ7n+sCREu/H2WnIzft0amC7+xWqNH8o25IU63N4BnZWfHh+4hyG76QPd19vkw2bPJCx9aqxK8Nz+xqFNbk0RdgyWhmgd30jSxHtcQXAllkI7FMpGpOCteJad3bLXPDBQIV/xkCtKICCS7Z63gakpxZCLaRZ3qCXP1fapHh+LBIupxenrU6ysc7I3nHmjmKie41IiWwS5puG4zQHhVbq6KWLcgWm/3NBZOPQy53ucMu75SXA55I7jarVLZXWUcqBGrcgE3vouWbtwgZuzmoTQl0GSh5VYSVvpW992BuGxUWj0XjPYdICJm6Cr7xouNXwMcdb7N8caVdkdSZeEnswG19qSyDoQhklwzNGW0yiaayulBqJNjfge/G5V3401c2XaIuAeEIo+QQ4RSNpRGfnHkbu/j55FGQAGWjpuBNaIwZbaUoVP3NkGP+vM5rpEDe3sL2GN+Xsd+g9yBs7FqdMV8mXTGgLjCqjrPrke5/km76Q3Pe6KPs2YexMRG4MkSx3xUTzZnNn7zIzShPcjeSwBd2pxk6ht5N+fzueZdxl6Oo=";
    const GO_PLAIN: &str = r#"{"schema":"2.0","header":{"event_id":"f7984f25108f8137722bb63cee927e66","event_type":"contact.user.created_v3","app_id":"cli_xxxxxxxx","tenant_key":"xxxxxxx","create_time":"1603977298000000","token":"v"},"event":{"object":{"open_id":"ou_7dab8a3d3cdcc9da365777c7ad535d62","union_id":"on_576833b917gda3d939b9a3c2d53e72c8","user_id":"e33ggbyz","name":"张三","employee_no":"employee_no"}},"challenge":"1212","type":"url_verification"}"#;

    /// From the tests of the platform's Java SDK: the same text with another type.
    const JAVA: &str = "4T4ivT/PR2APX9OYkhRKtu54s1rtIpj9xJU69Hs1yWQ/1RutbufsBs9xjx5YC3u/0hMRF49sN0kevQiEL8iB3bVEdpfyJXzXGDfKUjvKQTmG64GbMdTW6qRpadVPem3f32jHuT6fc+4TRg4BigwoUId+l/D+vcIwu3mDgAEbaqzWfmvccmpiRMfQbh9JhdK/akmrRjo/CXPLM+hZciFXJMSpKueV3SjZJoSls5y0ZTHC8zak/Mp/DSl1wa4mYe5laP367Lnl4ylGiXBKx3Ku29oWv79rYcO/5QT63H4rkl8bwYmAzScpb2KNnV11L3xiDzJp3hFdfXczUvm93FXu4Lw8eDAsRzIWCccKrqHh0UvtDJD95tNn6LvYew4+Xbk1RD4k7UzWJS9AMobOK778NLNxfQ+Kn7MKzBHilXnSIVY5V+dcsOOdfqJviW4yWmT73JHYKq1qJip7Cw7lbkmRMUmettUwdVFWxeXH6iTex3YXCgqoriCx/MzeQhdNEycipooB/vHItRt1CF44uFWj9tf8n3TdbdH4dNMD0hw8ejHJSbEHb9HAGCugUniN8BzL9wxE959JU4cu3BKjDuIk5oS9hLR1mSc3vKBuSa3VKOE=";

    fn key(text: &str) -> EncryptKey {
        EncryptKey::new(Secret::new(text))
    }

    #[test]
    fn the_published_ciphertexts_decrypt_and_encrypt_again() {
        let check = |key_text: &str, encrypted: &str, plain: &str| {
            let key = key(key_text);
            assert_eq!(key.decrypt(encrypted).as_deref(), Ok(plain.as_bytes()));
            let iv = STANDARD.decode(encrypted).unwrap()[..16].try_into().unwrap();
            assert_eq!(key.encrypt(plain.as_bytes(), iv), encrypted);
        };
        check("test key", PAGE, "hello world");
        check("mazhe.nerd", NODE, NODE_PLAIN);
        check("1212121212", GO, GO_PLAIN);
        check("1212121212", JAVA, &GO_PLAIN.replace("url_verification", "url_verification1"));
    }

    #[test]
    fn what_is_no_ciphertext_is_refused() {
        let key = key("test key");
        let mut raw = STANDARD.decode(PAGE).unwrap();
        for cut in [0, 15, 16, 17, 31] {
            assert_eq!(key.decrypt(&STANDARD.encode(&raw[..cut])), Err(Undecryptable), "{cut} bytes");
        }
        assert_eq!(key.decrypt("not base64!"), Err(Undecryptable));
        // "hello world" is followed by five bytes of 5. A changed bit in the vector changes the same
        // bit of the only block: at place 11 one of the five, at place 15 the count itself.
        for (place, flip) in [(11, 1), (15, 5), (15, 5 ^ 17), (15, 5 ^ 6)] {
            raw[place] ^= flip;
            assert_eq!(key.decrypt(&STANDARD.encode(&raw)), Err(Undecryptable), "place {place}, flip {flip}");
            raw[place] ^= flip;
        }
    }

    #[test]
    fn signatures_cover_timestamp_nonce_key_and_raw_body() {
        let check = |timestamp, key_text: &str, body: &str, expected: &str| {
            let key = key(key_text);
            assert_eq!(signature(timestamp, "nonce", &key, body.as_bytes()), expected);
            assert!(verify(timestamp, "nonce", &key, body.as_bytes(), expected));
            assert!(!verify(timestamp, "nonce", &key, format!("{body} ").as_bytes(), expected));
            assert!(!verify(timestamp, "other", &key, body.as_bytes(), expected));
            assert!(!verify(timestamp, "nonce", &key, body.as_bytes(), &expected[..63]));
        };
        let wrapped = |encrypted| format!(r#"{{"encrypt":"{encrypted}"}}"#);
        let expected = "4dca085198cb3216defc5b65b0668c1328b038a22dbadf2bc6c4fdc3d32bbc45";
        check("timestamp", "1212121212", GO_PLAIN, expected);
        let expected = "7a51a17e7c0c52c059d226070d35f8d76e041993495ffaf5f3d05603c810e253";
        check("timestamp", "1212121212", &wrapped(JAVA), expected);
        let expected = "ae52b1bf3fbd738bdf0d7e91578544104b230a2aff9f132c51a1bdac933f2697";
        check("1608725989", "test key", &wrapped(PAGE), expected);
    }

    #[test]
    fn secrets_are_compared_whole_and_never_shown() {
        assert!(same_secret(b"token", b"token"));
        assert!(!same_secret(b"token", b"token "));
        assert!(!same_secret(b"", b"token"));
        assert_eq!(format!("{:?}", key("1212121212")), "EncryptKey(***)");
    }
}
