//! Authorisation by a person: the address to send them to, the exchange of the code they bring back, revocation. One flow for all vendors
//! (RFC 6749 section 4.1, proof keys by RFC 7636), for they differ in addresses and words only. Facts: crm-apis sections 1 to 3, Auth.
//! May touch: the egress door. Must not touch: logs with codes or tokens; where tokens are kept.
//! Failure story: a code is good for one exchange. When its answer is lost the person is asked again; nothing was kept.

use crate::percent::percent;
use crate::secret::SecretText;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_net::{Egress, Request, classify_read};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// An app at a vendor that people authorise.
#[derive(Debug, Clone)]
pub struct GrantApp {
    /// Short name for metrics and errors: `hubspot`.
    pub vendor: &'static str,
    /// Client id, or consumer key.
    pub client_id: String,
    /// Client secret; none for a public client.
    pub client_secret: Option<SecretString>,
    /// Where the person is asked, without query.
    pub authorize_url: String,
    /// Server of the token endpoint; no slash at the end.
    pub token_server: String,
    /// Servers that a callback may name instead. The client secret goes there, so nothing else is believed.
    pub other_servers: Vec<String>,
    /// Path of the token endpoint.
    pub token_path: String,
    /// Path of the revocation endpoint.
    pub revoke_path: String,
    /// Scopes that are asked for.
    pub scopes: Vec<String>,
    /// What stands between two scopes in the address.
    pub scope_separator: &'static str,
    /// Sends a proof key.
    pub pkce: bool,
    /// Further parameters of the address.
    pub extra: Vec<(&'static str, &'static str)>,
}

/// What an exchange gave.
#[derive(Debug, Clone)]
pub struct FreshGrant {
    /// The refresh token.
    pub refresh_token: SecretString,
    /// Scopes that were granted; empty when the answer doesn't say.
    pub scopes: Vec<String>,
    /// The server that gave it.
    pub server: String,
}

#[derive(Deserialize)]
struct Answer {
    refresh_token: Option<SecretText>,
    scope: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
}

impl GrantApp {
    /// The address where a person says yes.
    #[must_use]
    pub fn address(&self, redirect_uri: &str, state: &str, verifier: &str) -> String {
        let scopes = self.scopes.join(self.scope_separator);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", redirect_uri),
            ("scope", scopes.as_str()),
            ("state", state),
        ];
        if self.pkce {
            query.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        query.extend(self.extra.iter().copied());
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        format!("{}?{}", self.authorize_url, query.join("&"))
    }

    /// The server to ask: the one that a callback named, when it is one of the vendor's.
    fn server(&self, named: Option<&str>) -> Result<String, CallError> {
        let Some(named) = named.map(|n| n.trim_end_matches('/')) else { return Ok(self.token_server.clone()) };
        if named == self.token_server || self.other_servers.iter().any(|known| known == named) {
            return Ok(named.to_owned());
        }
        let title = "the callback names a server that isn't the vendor's: nothing was sent there";
        Err(CallError::new(ErrorClass::Permanent, "unknown_server", title))
    }

    /// Exchanges a code. `redirect_uri` and `verifier`: as when it was begun; none for a code that the vendor's console made.
    ///
    /// # Errors
    /// When the vendor refuses the code or the app, or can't be reached.
    pub async fn exchange(
        &self,
        egress: &Egress,
        code: &str,
        begun: Option<(&str, &str)>,
        server: Option<&str>,
    ) -> Result<FreshGrant, CallError> {
        let server = self.server(server)?;
        let mut form =
            vec![("grant_type", "authorization_code"), ("client_id", self.client_id.as_str()), ("code", code)];
        form.extend(self.client_secret.as_ref().map(|secret| ("client_secret", secret.expose_secret())));
        if let Some((redirect_uri, verifier)) = begun {
            form.push(("redirect_uri", redirect_uri));
            form.extend(self.pkce.then_some(("code_verifier", verifier)));
        }
        let request = Request::post(self.vendor, format!("{server}{}", self.token_path)).form(&form);
        let response = egress.call(request).await.map_err(|e| classify_read(&e))?;
        let status = response.status.as_u16();
        if let Ok(Answer { refresh_token: Some(SecretText(refresh_token)), scope, scopes }) = response.json::<Answer>()
            && status == 200
        {
            let told = scope.unwrap_or_default();
            let told = told.split([' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned);
            return Ok(FreshGrant { refresh_token, scopes: told.chain(scopes).collect(), server });
        }
        let body = response.json::<Value>().unwrap_or(Value::Null);
        let code = code_of(&body)
            .unwrap_or_else(|| if status == 200 { "no_refresh_token" } else { "token_endpoint" }.to_owned());
        if status >= 500 {
            let class = ErrorClass::Retryable { after_ms: None };
            return Err(CallError::new(class, code, "the vendor's token server is not well").with_status(status));
        }
        let title = "the vendor doesn't take this code: it is old, was used, or belongs to another app or address";
        Err(CallError::new(ErrorClass::Auth, code, title).with_status(status))
    }

    /// Withdraws a refresh token. One that the vendor doesn't know any more is withdrawn.
    ///
    /// # Errors
    /// When the vendor can't be reached or refuses the app.
    pub async fn revoke(&self, egress: &Egress, token: &SecretString, server: Option<&str>) -> Result<(), CallError> {
        let server = self.server(server)?;
        let mut form = vec![("token", token.expose_secret()), ("client_id", self.client_id.as_str())];
        form.extend(self.client_secret.as_ref().map(|secret| ("client_secret", secret.expose_secret())));
        form.push(("token_type_hint", "refresh_token"));
        let request = Request::post(self.vendor, format!("{server}{}", self.revoke_path)).form(&form);
        let response = egress.call(request).await.map_err(|e| classify_read(&e))?;
        let status = response.status.as_u16();
        let code = code_of(&response.json::<Value>().unwrap_or(Value::Null));
        match (status, code.as_deref()) {
            (200 | 204, None) | (200..=499, Some("invalid_code" | "invalid_token" | "unsupported_token_type")) => {
                Ok(())
            }
            _ => {
                let title = "the vendor didn't withdraw the grant";
                let class = ErrorClass::Retryable { after_ms: None };
                Err(CallError::new(class, code.unwrap_or_else(|| "revoke".to_owned()), title).with_status(status))
            }
        }
    }

    /// Scopes that were asked for and not given; none when the vendor didn't say.
    #[must_use]
    pub fn missing(&self, granted: &[String]) -> Vec<String> {
        let has = |scope: &String| granted.iter().any(|g| g.eq_ignore_ascii_case(scope) || g == "full");
        if granted.is_empty() { Vec::new() } else { self.scopes.iter().filter(|s| !has(s)).cloned().collect() }
    }
}

/// The vendor's word for what went wrong: words only, for a description may name the person.
pub(crate) fn code_of(body: &Value) -> Option<String> {
    let word = ["error", "category"].iter().find_map(|name| body.get(name)?.as_str())?;
    Some(word.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> GrantApp {
        GrantApp {
            vendor: "zoho",
            client_id: "1000.A B".to_owned(),
            client_secret: None,
            authorize_url: "https://accounts.zoho.eu/oauth/v2/auth".to_owned(),
            token_server: "https://accounts.zoho.eu".to_owned(),
            other_servers: vec!["https://accounts.zoho.com".to_owned()],
            token_path: "/oauth/v2/token".to_owned(),
            revoke_path: "/oauth/v2/token/revoke".to_owned(),
            scopes: vec!["a.ALL".to_owned(), "b.READ".to_owned()],
            scope_separator: ",",
            pkce: true,
            extra: vec![("access_type", "offline")],
        }
    }

    #[test]
    fn the_address_has_all_parts_encoded_and_no_secret() {
        // The pair of verifier and challenge is that of RFC 7636, appendix B.
        let address =
            app().address("http://127.0.0.1:1/callback", "s&t", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            address,
            "https://accounts.zoho.eu/oauth/v2/auth?response_type=code&client_id=1000.A%20B&redirect_uri=\
             http%3A%2F%2F127.0.0.1%3A1%2Fcallback&scope=a.ALL%2Cb.READ&state=s%26t\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&access_type=offline"
        );
    }

    #[test]
    fn the_secret_goes_to_the_vendors_servers_only() {
        assert_eq!(app().server(None).unwrap(), "https://accounts.zoho.eu");
        assert_eq!(app().server(Some("https://accounts.zoho.com/")).unwrap(), "https://accounts.zoho.com");
        for bad in ["https://accounts.zoho.com.evil.example", "http://accounts.zoho.com", "https://zoho.com", ""] {
            assert!(app().server(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_not_granted_is_told() {
        assert_eq!(app().missing(&["A.all".to_owned()]), ["b.READ"]);
        assert!(app().missing(&[]).is_empty());
    }
}
