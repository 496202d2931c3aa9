//! How a connection is authorised by a person: what was begun and what was granted are kept in the vault, so that any node can end it and
//! every node notices within a second.
//! May touch: three secrets of the connection in the vault: `state`, `grant`, and what the keeper keeps.
//! Must not touch: logs with codes, states or tokens.
//! Failure story: a grant is kept whole before anybody hears that it is there. Killed between the vendor's answer and that, the person is
//! asked again. A state is taken away by its first use, before the code is exchanged.

use super::keeper::{Grant, Keeper};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ponte_crm::grant::GrantApp;
use ponte_domain::error::{CallError, ErrorClass, StoreError};
use ponte_domain::ports::access::{Access, AccessError, Callback, Granted, Standing};
use ponte_domain::{MINUTE, Millis};
use ponte_net::Egress;
use serde::{Deserialize, Serialize};

/// How long a person has.
const LIFE: Millis = 10 * MINUTE;

/// What was begun.
#[derive(Serialize, Deserialize)]
struct Begun {
    state: String,
    verifier: String,
    redirect_uri: String,
    until: Millis,
}

/// The ways of one connection.
pub(super) struct Grants {
    pub(super) app: GrantApp,
    pub(super) keeper: Keeper,
    pub(super) egress: Egress,
    /// Codes that are pasted come from the vendor's console, not from what was begun (Zoho's self client).
    pub(super) console_codes: bool,
    /// A refresh token stands in the configuration, which goes before any grant.
    pub(super) configured: bool,
}

impl Grants {
    /// Takes what was begun away, when `fits` says so of it and it is not too old.
    async fn take(&self, fits: impl Fn(&Begun) -> bool, now: Millis) -> Result<Begun, AccessError> {
        // Looked at first: a wrong word must not spoil what somebody else began.
        let seen = self.keeper.begun().await?.ok_or(AccessError::Stale)?;
        let read = |bytes: &[u8]| serde_json::from_slice::<Begun>(bytes).ok();
        if !read(&seen).is_some_and(|begun| fits(&begun) && now < begun.until) {
            return Err(AccessError::Stale);
        }
        let taken = self.keeper.take_begun().await?;
        taken.as_deref().and_then(read).filter(fits).ok_or(AccessError::Stale)
    }

    async fn exchange(
        &self,
        code: &str,
        begun: Option<&Begun>,
        server: Option<&str>,
        now: Millis,
    ) -> Result<Granted, AccessError> {
        if self.configured {
            let title = "a refresh_token stands in the configuration: take it out, then authorise";
            return Err(CallError::new(ErrorClass::Configuration, "configured", title).into());
        }
        let begun = begun.map(|b| (b.redirect_uri.as_str(), b.verifier.as_str()));
        let fresh = self.app.exchange(&self.egress, code, begun, server).await?;
        let missing_scopes = self.app.missing(&fresh.scopes);
        self.keeper.grant(&Grant::new(fresh, now)).await?;
        Ok(Granted { missing_scopes })
    }
}

fn word() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    crate::vault::getrandom(&mut bytes).map_err(|e| StoreError::Unavailable(e.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[async_trait]
impl Access for Grants {
    async fn standing(&self) -> Result<Standing, StoreError> {
        if self.configured {
            return Ok(Standing::Configured);
        }
        Ok(match self.keeper.granted().await? {
            Some(grant) if grant.refused_at.is_none() => Standing::Authorised { since: grant.at },
            other => Standing::Unauthorised { refused_at: other.and_then(|grant| grant.refused_at) },
        })
    }

    async fn begin(&self, redirect_uri: &str, now: Millis) -> Result<String, AccessError> {
        let begun =
            Begun { state: word()?, verifier: word()?, redirect_uri: redirect_uri.to_owned(), until: now + LIFE };
        let address = self.app.address(redirect_uri, &begun.state, &begun.verifier);
        let bytes = serde_json::to_vec(&begun).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.keeper.begin(bytes, now).await?;
        Ok(address)
    }

    async fn finish(&self, callback: Callback, now: Millis) -> Result<Granted, AccessError> {
        let state = callback.state.filter(|state| !state.is_empty()).ok_or(AccessError::Stale)?;
        let begun = self.take(|begun| begun.state == state, now).await?;
        if let Some(error) = callback.error {
            // A word of the vendor's, cut should it be anything else.
            let word = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            return Err(AccessError::Refused(word));
        }
        let code = callback.code.ok_or(AccessError::Stale)?;
        self.exchange(&code, Some(&begun), callback.accounts_server.as_deref(), now).await
    }

    async fn finish_with(&self, code: &str, now: Millis) -> Result<Granted, AccessError> {
        if self.console_codes {
            return self.exchange(code, None, None, now).await;
        }
        let begun = self.take(|_| true, now).await?;
        self.exchange(code, Some(&begun), None, now).await
    }

    async fn withdraw(&self) -> Result<bool, AccessError> {
        let Some(grant) = self.keeper.granted().await? else { return Ok(false) };
        let server = Some(grant.server.as_str()).filter(|server| !server.is_empty());
        if grant.refused_at.is_none() {
            let newest = self.keeper.newest(&grant).await?;
            self.app.revoke(&self.egress, &newest, server).await?;
        }
        self.keeper.forget().await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponte_domain::ports::vault::Vault;
    use ponte_net::EgressConfig;
    use ponte_store::{Database, Options, SqlStore, VaultKey};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn refusal(state: &str) -> Callback {
        Callback { state: Some(state.to_owned()), error: Some("access_denied".to_owned()), ..Callback::default() }
    }

    fn grants(vault: Arc<dyn Vault>) -> Grants {
        Grants {
            app: GrantApp {
                vendor: "test",
                client_id: "c".to_owned(),
                client_secret: None,
                authorize_url: "https://crm.example/authorize".to_owned(),
                token_server: "https://crm.example".to_owned(),
                other_servers: Vec::new(),
                token_path: "/token".to_owned(),
                revoke_path: "/revoke".to_owned(),
                scopes: Vec::new(),
                scope_separator: " ",
                pkce: true,
                extra: Vec::new(),
            },
            keeper: Keeper::new(vault, "c"),
            egress: Egress::new(&EgressConfig::default()).unwrap(),
            console_codes: false,
            configured: false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn only_the_newest_state_is_good_once_and_for_ten_minutes(
            wrong in "[A-Za-z0-9_-]{0,50}", cut in 0usize..43, age in 0..2 * LIFE, now in 0..1_000_000_i64,
        ) {
            ponte_net::install_crypto();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let folder = tempfile::tempdir().unwrap();
                let database = Database::Sqlite(folder.path().join("p.db"));
                let options = Options { database, node: "n".into(), serve: false, connections: 1, migrate: true };
                let store = SqlStore::open(options, 0).await.unwrap().with_vault_key(VaultKey::new(&[7; 32]));
                let grants = grants(Arc::new(store));
                let state_of = |url: &str| url.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
                let before = state_of(&grants.begin("http://127.0.0.1:1/callback", now).await.unwrap());
                let state = state_of(&grants.begin("http://127.0.0.1:1/callback", now).await.unwrap());
                prop_assert!(state != before && state.len() == 43);
                for other in [wrong.as_str(), before.as_str(), state.get(..cut).unwrap(), ""] {
                    let stale = matches!(grants.finish(refusal(other), now).await, Err(AccessError::Stale));
                    prop_assert!(stale || other == state);
                }
                let done = grants.finish(refusal(&state), now + age).await;
                if age < LIFE {
                    prop_assert!(matches!(done, Err(AccessError::Refused(ref word)) if word == "access_denied"));
                } else {
                    prop_assert!(matches!(done, Err(AccessError::Stale)));
                }
                prop_assert!(matches!(grants.finish(refusal(&state), now + LIFE).await, Err(AccessError::Stale)));
                Ok::<(), TestCaseError>(())
            })?;
        }
    }
}
