//! Proof that a webhook comes from Meta: HMAC-SHA-256 of the raw bytes with the app secret, and the verify token of the
//! subscription handshake. Facts: whatsapp-api 2.1.
//! May touch: values. Must not touch: the body as JSON (the signature covers bytes, never a re-serialisation).
//! Failure story: none. A body either proves itself or is refused; nothing is remembered.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt;

/// What the apps at Meta share with us: `1..n` secrets each, all valid at once while one is being replaced.
#[derive(Debug, Clone)]
pub struct AppSecrets {
    /// App secrets, newest first. Each must be non-empty.
    pub app_secrets: Vec<SecretString>,
    /// What Meta repeats in the subscription handshake. Must be non-empty.
    pub verify_token: SecretString,
}

/// Which of the configured apps it was: position in the list given to [`Secrets::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppIndex(pub usize);

/// Why a webhook is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No `X-Hub-Signature-256` header.
    #[error("the signature header is missing")]
    Missing,
    /// The header is not `sha256=` and 64 hexadecimal digits.
    #[error("the signature header is malformed")]
    Malformed,
    /// No configured app secret gives this signature.
    #[error("the signature doesn't match")]
    Mismatch,
}

/// Why the secrets can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// No app at all: every webhook would be refused.
    #[error("no app is configured")]
    NoApp,
    /// This app has no secret, or an empty one, with which anyone could sign.
    #[error("app {0} has no app secret or an empty one")]
    NoSecret(usize),
    /// This app has an empty verify token, which anyone could guess.
    #[error("app {0} has an empty verify token")]
    NoToken(usize),
}

/// Checks signatures and handshakes. Cheap to share; holds keyed states and digests, no secret as text.
#[derive(Clone)]
pub struct Secrets {
    keyed: Vec<(AppIndex, Hmac<Sha256>)>,
    tokens: Vec<(AppIndex, [u8; 32])>,
    token_key: Hmac<Sha256>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("apps", &self.tokens.len()).field("secrets", &self.keyed.len()).finish()
    }
}

impl Secrets {
    /// Prepares the keys of all apps, so that no webhook pays for it.
    ///
    /// # Errors
    /// Empty lists and empty secrets, which would let anyone in or no one.
    pub fn new(apps: &[AppSecrets]) -> Result<Self, SecretsError> {
        if apps.is_empty() {
            return Err(SecretsError::NoApp);
        }
        // The key only brings tokens of any length to one length; it protects nothing.
        let token_key = keyed("verify token").ok_or(SecretsError::NoApp)?;
        let mut secrets = Self { keyed: Vec::new(), tokens: Vec::with_capacity(apps.len()), token_key };
        for (i, app) in apps.iter().enumerate() {
            if app.app_secrets.is_empty() {
                return Err(SecretsError::NoSecret(i));
            }
            for secret in &app.app_secrets {
                let state = keyed(secret.expose_secret()).ok_or(SecretsError::NoSecret(i))?;
                secrets.keyed.push((AppIndex(i), state));
            }
            let token = app.verify_token.expose_secret();
            if token.is_empty() {
                return Err(SecretsError::NoToken(i));
            }
            let digest = secrets.token_digest(token).finalize().into_bytes().into();
            secrets.tokens.push((AppIndex(i), digest));
        }
        Ok(secrets)
    }

    /// Which app signed `body`. `header` is `X-Hub-Signature-256`: `sha256=` and hexadecimal digits of either case.
    /// Comparison takes the same time wherever the difference is.
    ///
    /// # Errors
    /// See [`SignatureError`]; the answer to Meta is 401 for all of them.
    pub fn verify(&self, body: &[u8], header: Option<&str>) -> Result<AppIndex, SignatureError> {
        let header = header.map(str::trim).filter(|h| !h.is_empty()).ok_or(SignatureError::Missing)?;
        let digits = header.strip_prefix("sha256=").ok_or(SignatureError::Malformed)?;
        let mut tag = [0; 32];
        hex::decode_to_slice(digits, &mut tag).map_err(|_| SignatureError::Malformed)?;
        for (app, state) in &self.keyed {
            let mut mac = state.clone();
            mac.update(body);
            if mac.verify_slice(&tag).is_ok() {
                return Ok(*app);
            }
        }
        Err(SignatureError::Mismatch)
    }

    /// Which app asks to subscribe: `hub.mode` must be `subscribe` and `hub.verify_token` ours. All tokens are compared,
    /// in the same time each. `None`: answer 403.
    #[must_use]
    pub fn verify_subscription(&self, mode: &str, token: &str) -> Option<AppIndex> {
        if mode != "subscribe" {
            return None;
        }
        let mut found = None;
        for (app, expected) in &self.tokens {
            let same = self.token_digest(token).verify_slice(expected).is_ok();
            if same && found.is_none() {
                found = Some(*app);
            }
        }
        found
    }

    fn token_digest(&self, token: &str) -> Hmac<Sha256> {
        let mut mac = self.token_key.clone();
        mac.update(token.as_bytes());
        mac
    }
}

fn keyed(secret: &str) -> Option<Hmac<Sha256>> {
    if secret.is_empty() {
        return None;
    }
    Hmac::new_from_slice(secret.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMPACT: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    const SPACED: &[u8] = br#"{"object": "whatsapp_business_account", "entry": []}"#;
    const COMPACT_TAG: &str = "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756";
    const SPACED_TAG: &str = "56cbbaf4961c6cfdae48b7f116c047e5eb513d2c931baae63a2bc1afd26f803a";
    const OTHER_TAG: &str = "769b03d8c2ae6498f2d1e1f7299c0ba55448c69d741e7b0bb243d852d8a8d8c7";

    fn app(secrets: &[&str], token: &str) -> AppSecrets {
        AppSecrets {
            app_secrets: secrets.iter().map(|s| SecretString::from(*s)).collect(),
            verify_token: SecretString::from(token),
        }
    }

    fn two_apps() -> Secrets {
        Secrets::new(&[app(&["newer", "test_app_secret"], "tok-a"), app(&["otro_secreto"], "tok-b")]).expect("secrets")
    }

    #[test]
    fn published_vectors_hold_and_name_the_app() {
        let secrets = two_apps();
        let verify = |body: &[u8], tag: &str| secrets.verify(body, Some(&format!("sha256={tag}")));
        assert_eq!(verify(COMPACT, COMPACT_TAG), Ok(AppIndex(0)));
        assert_eq!(verify(SPACED, SPACED_TAG), Ok(AppIndex(0)));
        assert_eq!(verify(COMPACT, OTHER_TAG), Ok(AppIndex(1)));
        assert_eq!(verify(COMPACT, &COMPACT_TAG.to_uppercase()), Ok(AppIndex(0)));
        assert_eq!(verify(SPACED, COMPACT_TAG), Err(SignatureError::Mismatch));
    }

    #[test]
    fn bad_headers_are_told_apart() {
        let secrets = two_apps();
        assert_eq!(secrets.verify(COMPACT, None), Err(SignatureError::Missing));
        assert_eq!(secrets.verify(COMPACT, Some("")), Err(SignatureError::Missing));
        for bad in ["sha1=00", "sha256=", "sha256=zz", COMPACT_TAG, &format!("sha256={COMPACT_TAG}00"), "sha256=é"] {
            assert_eq!(secrets.verify(COMPACT, Some(bad)), Err(SignatureError::Malformed), "{bad}");
        }
    }

    #[test]
    fn a_removed_secret_no_longer_counts() {
        let secrets = Secrets::new(&[app(&["newer"], "t")]).expect("secrets");
        assert_eq!(secrets.verify(COMPACT, Some(&format!("sha256={COMPACT_TAG}"))), Err(SignatureError::Mismatch));
    }

    #[test]
    fn handshake_names_the_app() {
        let secrets = two_apps();
        assert_eq!(secrets.verify_subscription("subscribe", "tok-b"), Some(AppIndex(1)));
        assert_eq!(secrets.verify_subscription("subscribe", "tok-a"), Some(AppIndex(0)));
        for (mode, token) in [("subscribe", "tok"), ("subscribe", ""), ("unsubscribe", "tok-a"), ("", "tok-a")] {
            assert_eq!(secrets.verify_subscription(mode, token), None, "{mode} {token}");
        }
    }

    #[test]
    fn empty_secrets_are_refused() {
        assert_eq!(Secrets::new(&[]).err(), Some(SecretsError::NoApp));
        assert_eq!(Secrets::new(&[app(&[], "t")]).err(), Some(SecretsError::NoSecret(0)));
        assert_eq!(Secrets::new(&[app(&["a"], "t"), app(&["a", ""], "t")]).err(), Some(SecretsError::NoSecret(1)));
        assert_eq!(Secrets::new(&[app(&["a"], "")]).err(), Some(SecretsError::NoToken(0)));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let text = format!("{:?} {:?}", two_apps(), app(&["newer"], "tok-a"));
        assert!(!text.contains("newer") && !text.contains("tok-a") && !text.contains("otro"), "{text}");
    }

    proptest! {
        #[test]
        fn one_flipped_bit_is_noticed(at in 0usize..COMPACT.len(), bit in 0u8..8) {
            let mut body = COMPACT.to_vec();
            body[at] ^= 1 << bit;
            let header = format!("sha256={COMPACT_TAG}");
            prop_assert_eq!(two_apps().verify(&body, Some(&header)), Err(SignatureError::Mismatch));
        }
    }
}
