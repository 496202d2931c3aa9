//! JWT bearer assertions: RS256 over who asks, for whom, of whom, until when. Facts: crm-apis section 2, Auth.
//! Must not touch: the clock (passed in), logs; the key is a secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ponte_domain::Millis;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

/// Salesforce takes assertions that end within three minutes.
const LIFE_S: i64 = 150;

/// The key can't be used. Says why, without the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No `PRIVATE KEY` or `RSA PRIVATE KEY` block.
    #[error("the private key is no PEM text with a PRIVATE KEY or RSA PRIVATE KEY block")]
    NoPem,
    /// A block that holds no RSA key that can sign.
    #[error("the private key is no RSA key of 2,048 to 4,096 bits")]
    NoRsa,
}

/// Reads a private key, to tell at the start whether it can sign.
///
/// # Errors
/// Why it can't.
pub fn check_private_key(pem: &SecretString) -> Result<(), BadKey> {
    key(pem).map(drop)
}

fn key(pem: &SecretString) -> Result<RsaKeyPair, BadKey> {
    let text = pem.expose_secret();
    let block = |name: &str| {
        let (_, rest) = text.split_once(&format!("-----BEGIN {name}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {name}-----"))?;
        let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        STANDARD.decode(packed).ok()
    };
    if let Some(der) = block("PRIVATE KEY") {
        return RsaKeyPair::from_pkcs8(&der).map_err(|_| BadKey::NoRsa);
    }
    let der = block("RSA PRIVATE KEY").ok_or(BadKey::NoPem)?;
    RsaKeyPair::from_der(&der).map_err(|_| BadKey::NoRsa)
}

/// An assertion for the token endpoint.
pub(super) fn assertion(
    client_id: &str,
    username: &str,
    audience: &str,
    pem: &SecretString,
    now: Millis,
) -> Result<SecretString, BadKey> {
    let key = key(pem)?;
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": client_id, "sub": username, "aud": audience, "exp": now.div_euclid(1_000) + LIFE_S});
    let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(|_| BadKey::NoRsa)?;
    Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_key_is_told_apart() {
        let bad = |text: &str| check_private_key(&SecretString::from(text.to_owned())).unwrap_err();
        assert_eq!(bad("no key"), BadKey::NoPem);
        assert_eq!(bad("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"), BadKey::NoRsa);
        assert_eq!(bad("-----BEGIN RSA PRIVATE KEY-----\n!\n-----END RSA PRIVATE KEY-----"), BadKey::NoPem);
    }
}
