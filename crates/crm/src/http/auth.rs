//! Signing in: fixed keys, signatures over the request, tokens and sessions that are renewed by one caller at a time.
//! Must not touch: logs with secrets; the clock (passed in).
//! Failure story: a refused token or session is renewed once; refused again, someone must act.

use super::client::{encoded, put};
use super::config::{Algorithm, Auth, Encoding};
use super::errors::{Effect, Told};
use super::paging::origin;
use super::plan::Plan;
use super::template::Purpose;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use ponte_domain::Millis;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_net::{Clock, Egress, FreshToken, Refresh, RefreshingToken, Request, TokenSource, classify_read};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::sync::Arc;
use std::time::Duration;

/// How long before its end a token is replaced.
const MARGIN_MS: Millis = 60_000;
/// Used when a token's answer doesn't say how long it lives.
const USUAL_LIFE_S: i64 = 300;

/// A request before it is signed.
pub(super) struct Draft {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<(&'static str, String)>,
}

/// What signing adds to a request.
#[derive(Default)]
pub(super) struct Sign {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// `name=value`, encoded.
    pub(super) query: Option<String>,
    token: Option<SecretString>,
}

pub(super) struct Signer {
    plan: Arc<Plan>,
    clock: Clock,
    tokens: Option<Box<dyn TokenSource>>,
}

impl Signer {
    pub(super) fn new(plan: &Arc<Plan>, egress: &Egress, clock: &Clock) -> Self {
        let (plan, egress) = (Arc::clone(plan), egress.clone());
        let tokens: Option<Box<dyn TokenSource>> = match &plan.config.auth {
            Auth::OauthClient { .. } => {
                let refresh = OauthClient { plan: Arc::clone(&plan), egress };
                Some(Box::new(RefreshingToken::new(refresh, MARGIN_MS, clock.clone())))
            }
            Auth::Login { .. } => {
                let refresh = Login { plan: Arc::clone(&plan), egress, clock: clock.clone() };
                Some(Box::new(RefreshingToken::new(refresh, MARGIN_MS, clock.clone())))
            }
            _ => None,
        };
        Self { plan, clock: clock.clone(), tokens }
    }

    /// What to add to this request.
    pub(super) async fn sign(&self, draft: &Draft, now: Millis) -> Result<Sign, CallError> {
        let mut sign = Sign::default();
        match &self.plan.config.auth {
            Auth::None => {}
            Auth::Header { name, value } => sign.headers.push(secret(name, value.expose_secret())?),
            Auth::Bearer { token } => sign.headers.push(bearer(token)?),
            Auth::Basic { user, password } => sign.headers.push(basic(user, password)?),
            Auth::Query { name, value } => {
                sign.query = Some(encoded([(name.as_str(), value.expose_secret().to_owned())].iter()));
            }
            Auth::Hmac { secret: key, algorithm, encoding, headers, .. } => {
                let mut context = signable(draft, now);
                let signed = self.plan.templates.render("auth.signed", Purpose::Text, &context)?;
                let mac = mac(*algorithm, key.expose_secret().as_bytes(), signed.as_bytes());
                if let Some(context) = context.as_object_mut() {
                    context.insert("signature".to_owned(), json!(encode(*encoding, &mac)));
                }
                for name in headers.keys() {
                    let value = self.plan.templates.render(&format!("auth.headers.{name}"), Purpose::Text, &context)?;
                    sign.headers.push(secret(name, &value)?);
                }
            }
            Auth::OauthClient { .. } => {
                let token = self.token().await?;
                sign.headers.push(bearer(&token)?);
                sign.token = Some(token);
            }
            Auth::Login { header, .. } => {
                let token = self.token().await?;
                sign.headers.push(secret(header, token.expose_secret())?);
                sign.token = Some(token);
            }
        }
        Ok(sign)
    }

    async fn token(&self) -> Result<SecretString, CallError> {
        match &self.tokens {
            Some(tokens) => tokens.token().await,
            None => Err(CallError::new(ErrorClass::Configuration, "auth", "there is nothing to sign in with")),
        }
    }

    /// True when signing again may help after a refusal.
    pub(super) fn renews(&self, sign: &Sign) -> bool {
        // Clocks go on: a signature is made anew, but a key that was refused stays refused.
        let _ = &self.clock;
        matches!((&self.tokens, &sign.token), (Some(tokens), Some(token)) if tokens.invalidate(token))
    }
}

fn secret(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), CallError> {
    let mut headers = HeaderMap::new();
    put(&mut headers, name, value)?;
    let (name, mut value) = headers
        .into_iter()
        .next()
        .and_then(|(name, value)| Some((name?, value)))
        .ok_or_else(|| CallError::new(ErrorClass::Configuration, "auth", "the header to sign in with is empty"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn bearer(token: &SecretString) -> Result<(HeaderName, HeaderValue), CallError> {
    secret(AUTHORIZATION.as_str(), &format!("Bearer {}", token.expose_secret()))
}

fn basic(user: &str, password: &SecretString) -> Result<(HeaderName, HeaderValue), CallError> {
    let both = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
    secret(AUTHORIZATION.as_str(), &format!("Basic {both}"))
}

/// What a signature may cover.
fn signable(draft: &Draft, now: Millis) -> Value {
    let host = origin(&draft.url).unwrap_or_default();
    let body = draft.body.as_ref().map(|(_, body)| body.as_str()).unwrap_or_default();
    let date = Timestamp::from_millisecond(now).map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    json!({
        "method": draft.method.as_str(),
        "path": draft.url.get(host.len()..).unwrap_or_default(),
        "host": host.split("://").nth(1).unwrap_or_default(),
        "body": body,
        "body_sha256": hex::encode(Sha256::digest(body)),
        "timestamp": now.div_euclid(1_000),
        "timestamp_ms": now,
        "date": date.unwrap_or_default(),
    })
}

/// The names of [`signable`], for checking templates.
pub(super) const SIGNABLE: &[&str] =
    &["method", "path", "host", "body", "body_sha256", "timestamp", "timestamp_ms", "date"];

/// An authentication code. Keys of any length are taken.
pub(super) fn mac(algorithm: Algorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::Sha256 => {
            Hmac::<Sha256>::new_from_slice(key).map(|m| m.chain_update(text).finalize().into_bytes().to_vec())
        }
        Algorithm::Sha512 => {
            Hmac::<Sha512>::new_from_slice(key).map(|m| m.chain_update(text).finalize().into_bytes().to_vec())
        }
    }
    .unwrap_or_default()
}

pub(super) fn encode(encoding: Encoding, raw: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(raw),
        Encoding::Base64 => STANDARD.encode(raw),
    }
}

struct OauthClient {
    plan: Arc<Plan>,
    egress: Egress,
}

#[async_trait]
impl Refresh for OauthClient {
    async fn refresh(&self) -> Result<FreshToken, CallError> {
        let Auth::OauthClient { token_url, client_id, client_secret, scope, in_body } = &self.plan.config.auth else {
            return Err(CallError::new(ErrorClass::Configuration, "auth", "no OAuth client"));
        };
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(scope.as_deref().map(|scope| ("scope", scope)));
        if *in_body {
            form.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.expose_secret())]);
        }
        let mut request = Request::post("http", token_url.as_str())
            .timeout(Duration::from_millis(self.plan.config.request_timeout_ms))
            .form(&form);
        if !*in_body {
            let (name, value) = basic(client_id, client_secret)?;
            request = request.header(name, value);
        }
        let response = self.egress.call(request).await.map_err(|e| classify_read(&e))?;
        let status = response.status.as_u16();
        let class = match status {
            200 | 201 => None,
            400 | 401 | 403 => Some(ErrorClass::Auth),
            _ => Some(ErrorClass::Retryable { after_ms: None }),
        };
        if let Some(class) = class {
            return Err(CallError::new(class, "token_endpoint", "the CRM gave no access token").with_status(status));
        }
        let answer: Value = response.json().unwrap_or_default();
        let token = answer.get("access_token").and_then(Value::as_str).map(SecretString::from).ok_or_else(|| {
            let class = ErrorClass::Retryable { after_ms: None };
            CallError::new(class, "token_answer", "the answer of the token address holds no access_token")
        })?;
        let life_s = answer.get("expires_in").and_then(|v| v.as_i64().or_else(|| v.as_str()?.parse().ok()));
        Ok(FreshToken { token, expires_in_ms: life_s.unwrap_or(USUAL_LIFE_S).max(1).saturating_mul(1_000) })
    }
}

struct Login {
    plan: Arc<Plan>,
    egress: Egress,
    clock: Clock,
}

#[async_trait]
impl Refresh for Login {
    async fn refresh(&self) -> Result<FreshToken, CallError> {
        let config = &self.plan.config;
        let Auth::Login { user, password, lives_seconds, .. } = &config.auth else {
            return Err(CallError::new(ErrorClass::Configuration, "auth", "no login"));
        };
        let context = json!({"user": user, "password": password.expose_secret()});
        let templates = &self.plan.templates;
        let path = templates.render("auth.login", Purpose::Path, &context)?;
        let body = templates.render("auth.login", Purpose::Json, &context)?;
        let url = format!("{}{path}", config.base_url.trim_end_matches('/'));
        let request = Request::post("http", url)
            .timeout(Duration::from_millis(config.request_timeout_ms))
            .body("application/json", body);
        let response = self.egress.call(request).await.map_err(|e| classify_read(&e))?;
        let status = response.status.as_u16();
        let answer: Value = response.json().unwrap_or_default();
        let success = response.status.is_success();
        let told =
            Told { status, success, retry_after: response.header("retry-after"), now: (self.clock)(), body: &answer };
        if let Some(mut error) = self.plan.error_of(told, Effect::Repeatable) {
            // Whatever it is that doesn't pass by itself: the login was refused.
            if !matches!(error.class, ErrorClass::Retryable { .. } | ErrorClass::Throttled { .. }) {
                error = refused(status);
            }
            return Err(error);
        }
        let value = templates.render("auth.value", Purpose::Text, &json!({"user": user, "answer": answer}))?;
        if value.trim().is_empty() {
            return Err(refused(status));
        }
        Ok(FreshToken { token: value.into(), expires_in_ms: lives_seconds.max(&1).saturating_mul(1_000) })
    }
}

fn refused(status: u16) -> CallError {
    CallError::new(ErrorClass::Auth, "login_refused", "the CRM refuses the login").with_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_published_one() {
        // RFC 4231, test case 2.
        let hex = encode(Encoding::Hex, &mac(Algorithm::Sha256, b"Jefe", b"what do ya want for nothing?"));
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long = encode(Encoding::Hex, &mac(Algorithm::Sha512, b"Jefe", b"what do ya want for nothing?"));
        assert!(long.starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"));
    }

    #[test]
    fn what_is_signed_is_the_request_as_it_leaves() {
        let draft = Draft {
            method: Method::POST,
            url: "https://crm.test:8443/api/c?a=1".into(),
            headers: HeaderMap::new(),
            body: Some(("application/json", "{}".into())),
        };
        let said = signable(&draft, 1_795_401_000_123);
        assert_eq!(
            (&said["method"], &said["path"], &said["host"]),
            (&json!("POST"), &json!("/api/c?a=1"), &json!("crm.test:8443"))
        );
        assert_eq!(
            (&said["timestamp"], &said["date"]),
            (&json!(1_795_401_000), &json!("Mon, 23 Nov 2026 02:30:00 GMT"))
        );
        assert!(
            SIGNABLE.iter().all(|name| said.get(*name).is_some()) && said.as_object().unwrap().len() == SIGNABLE.len()
        );
    }
}
