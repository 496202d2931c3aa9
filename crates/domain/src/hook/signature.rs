//! Signatures of pushed events by the Standard Webhooks specification 1.0.0 (github.com/standard-webhooks/standard-webhooks):
//! HMAC-SHA256 over `id.timestamp.body` under the bytes that the secret encodes, in base64, after `v1,`. Several signatures
//! stand side by side while a secret is rotated.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes that a secret may have, by the specification.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs what is pushed: `whsec_` and base64. `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    key: Vec<u8>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A secret of these bytes, which must be random.
    #[must_use]
    pub fn of(bytes: [u8; 32]) -> Self {
        Self { text: format!("{PREFIX}{}", STANDARD.encode(bytes)), key: bytes.to_vec() }
    }

    /// Reads `whsec_…`; `None` when it isn't one, or is of a length that the specification doesn't allow (24 to 64 bytes).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let key = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        LENGTHS.contains(&key.len()).then(|| Self { text: text.to_owned(), key })
    }

    /// The text for its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    fn sign(&self, id: &str, timestamp: i64, body: &str) -> Option<String> {
        // A key of any length is good for this MAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// The header `webhook-signature`: one signature for each secret. `timestamp`: seconds since 1970, as in `webhook-timestamp`.
pub fn sign<'a>(secrets: impl Iterator<Item = &'a Secret>, id: &str, timestamp: i64, body: &str) -> String {
    secrets.filter_map(|secret| secret.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &str = r#"{"test": 2432232314}"#;

    fn published() -> Secret {
        Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    #[test]
    fn the_signature_is_that_of_the_published_test_vector() {
        let signed = sign([&published()].into_iter(), ID, AT, BODY);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_part_counts() {
        let good = sign([&published()].into_iter(), ID, AT, BODY);
        for other in [
            sign([&published()].into_iter(), "msg_other", AT, BODY),
            sign([&published()].into_iter(), ID, AT + 1, BODY),
            sign([&published()].into_iter(), ID, AT, "{}"),
            sign([&Secret::of([7; 32])].into_iter(), ID, AT, BODY),
        ] {
            assert_ne!(other, good);
        }
    }

    #[test]
    fn two_secrets_give_two_signatures() {
        let (old, new) = (published(), Secret::of([7; 32]));
        let both = sign([&new, &old].into_iter(), ID, AT, BODY);
        let [first, second] = both.split(' ').collect::<Vec<_>>()[..] else { panic!("{both}") };
        assert_eq!(first, sign([&new].into_iter(), ID, AT, BODY));
        assert_eq!(second, sign([&old].into_iter(), ID, AT, BODY));
    }

    #[test]
    fn a_secret_is_read_back_and_not_printed() {
        let secret = Secret::of([7; 32]);
        assert_eq!(Secret::parse(secret.reveal()), Some(secret.clone()));
        assert!(!format!("{secret:?}").contains("BwcH"));
        for bad in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!"] {
            assert_eq!(Secret::parse(bad), None, "{bad}");
        }
    }
}
