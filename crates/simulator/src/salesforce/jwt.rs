//! JWT bearer assertions: RS256 over the claims, checked with the app's public key.
//! May touch: nothing. Must not touch: tokens.

use super::config::Oauth;
use super::error::Refusal;
use super::oauth::{parts, timely};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

/// Refuses an assertion in Salesforce's words.
pub(super) fn check(assertion: &str, oauth: &Oauth, own_url: &str, now_s: i64) -> Result<(), Refusal> {
    let refuse = |description| Refusal::oauth(400, "invalid_grant", description);
    let (header, claims, signed, signature) = parts(assertion).ok_or_else(|| refuse("invalid assertion"))?;
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(refuse("algorithm is not supported"));
    }
    if claim("iss") != oauth.client_id {
        return Err(Refusal::oauth(400, "invalid_client_id", "client identifier invalid"));
    }
    let key = rsa_key(&oauth.jwt_public_key).ok_or_else(|| refuse("no public key"))?;
    if UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(signed.as_bytes(), &signature).is_err() {
        return Err(refuse("invalid assertion"));
    }
    let audience = claim("aud").trim_end_matches('/');
    if audience != own_url && !oauth.jwt_audiences.iter().any(|known| known == audience) {
        return Err(refuse("audience is invalid"));
    }
    if !timely(&claims, now_s) {
        return Err(refuse("expired authorization code"));
    }
    if claim("sub") != oauth.username {
        return Err(refuse("user hasn't approved this consumer"));
    }
    Ok(())
}

/// The bare RSA key inside a PEM `PUBLIC KEY`.
fn rsa_key(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = STANDARD.decode(body).ok()?;
    // SubjectPublicKeyInfo: a sequence of the algorithm and a bit string, whose first byte counts unused bits.
    let (info, _) = element(&der, 0x30)?;
    let (_, rest) = element(info, 0x30)?;
    let (bits, _) = element(rest, 0x03)?;
    bits.get(1..).map(<[u8]>::to_vec)
}

/// The content of a DER element with this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (short, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*short) {
        length @ 0..128 => (length, rest),
        many => {
            let (digits, rest) = rest.split_at_checked(many - 128)?;
            (digits.iter().fold(0_usize, |n, digit| n << 8 | usize::from(*digit)), rest)
        }
    };
    (*first == tag).then(|| rest.split_at_checked(length)).flatten()
}
