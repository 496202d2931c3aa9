//! Keeps the tokens that a connection gets while it works, in the vault, so that they outlive a restart and other nodes know them.
//! Must not touch: logs with tokens.
//! Failure story: a token is replaced whole or not at all.

use crate::adapters::now;
use crate::wiring::WORKSPACE;
use async_trait::async_trait;
use ponte_crm::salesforce::{KeeperError as SalesforceError, TokenKeeper as SalesforceKeeper};
use ponte_crm::zoho::{KeeperError as ZohoError, KeptToken, TokenKeeper as ZohoKeeper};
use ponte_domain::Millis;
use ponte_domain::ports::vault::Vault;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Keeps one connection's token.
pub(super) struct Keeper {
    vault: Arc<dyn Vault>,
    name: String,
}

impl Keeper {
    /// A keeper for this connection; nothing is touched yet.
    pub(super) fn new(vault: Arc<dyn Vault>, connection: &str) -> Self {
        Self { vault, name: format!("crm/{connection}/token") }
    }

    async fn get(&self) -> Result<Option<Vec<u8>>, String> {
        self.vault.secret(WORKSPACE, &self.name).await.map_err(|e| e.to_string())
    }

    async fn put(&self, secret: Vec<u8>) -> Result<(), String> {
        self.vault.keep_secret(WORKSPACE, &self.name, secret, now()).await.map_err(|e| e.to_string())
    }
}

/// A Zoho token as it is kept.
#[derive(Serialize, Deserialize)]
struct Written {
    access_token: Option<String>,
    expires_at: Millis,
    api_domain: Option<String>,
    #[serde(default)]
    asked_at: Vec<Millis>,
}

#[async_trait]
impl ZohoKeeper for Keeper {
    async fn load(&self) -> Result<Option<KeptToken>, ZohoError> {
        let Some(text) = self.get().await.map_err(ZohoError)? else { return Ok(None) };
        // The parser's words could quote the token.
        let written: Written =
            serde_json::from_slice(&text).map_err(|_| ZohoError("what is kept is no token".to_owned()))?;
        Ok(Some(KeptToken {
            access_token: written.access_token.map(SecretString::from),
            expires_at: written.expires_at,
            api_domain: written.api_domain,
            asked_at: written.asked_at,
        }))
    }

    async fn save(&self, kept: &KeptToken) -> Result<(), ZohoError> {
        let written = Written {
            access_token: kept.access_token.as_ref().map(|token| token.expose_secret().to_owned()),
            expires_at: kept.expires_at,
            api_domain: kept.api_domain.clone(),
            asked_at: kept.asked_at.clone(),
        };
        let text = serde_json::to_vec(&written).map_err(|error| ZohoError(error.to_string()))?;
        self.put(text).await.map_err(ZohoError)
    }
}

/// A Salesforce refresh token that follows from the one in the configuration. With it is kept a hash of the one that the chain began
/// with: when somebody connected again and put a new one there, what is kept is of no use any more.
pub(super) struct Chain {
    /// Where it is kept.
    pub(super) keeper: Keeper,
    /// As configured.
    pub(super) first: SecretString,
}

#[async_trait]
impl SalesforceKeeper for Chain {
    async fn load(&self) -> Result<Option<SecretString>, SalesforceError> {
        let kept = self.keeper.get().await.map_err(SalesforceError)?.and_then(|text| String::from_utf8(text).ok());
        Ok(Some(match kept.as_deref().and_then(|text| text.split_once('\n')) {
            Some((origin, token)) if origin == hash(&self.first) && !token.is_empty() => token.to_owned().into(),
            _ => self.first.clone(),
        }))
    }

    async fn save(&self, token: &SecretString) -> Result<(), SalesforceError> {
        let text = format!("{}\n{}", hash(&self.first), token.expose_secret());
        self.keeper.put(text.into_bytes()).await.map_err(SalesforceError)
    }
}

fn hash(token: &SecretString) -> String {
    Sha256::digest(token.expose_secret()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponte_store::{Database, Options, SqlStore, VaultKey};

    #[tokio::test]
    async fn the_newest_token_outlives_a_restart_and_a_new_connection_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(folder.path().join("p.db"));
        let options = Options { database, node: "n".into(), serve: false, connections: 1, migrate: true };
        let store = SqlStore::open(options, 0).await.unwrap().with_vault_key(VaultKey::new(&[7; 32]));
        let vault: Arc<dyn Vault> = Arc::new(store);
        let chain = |first: &str| Chain { keeper: Keeper::new(Arc::clone(&vault), "sf"), first: first.into() };
        let load = async |first: &str| chain(first).load().await.unwrap().unwrap().expose_secret().to_owned();
        assert_eq!(load("one").await, "one");
        chain("one").save(&SecretString::from("two")).await.unwrap();
        assert_eq!(load("one").await, "two");
        assert_eq!(load("new").await, "new", "somebody connected again");

        let keeper = Keeper::new(Arc::clone(&vault), "zoho");
        assert!(keeper.load().await.unwrap().is_none());
        let kept = KeptToken {
            access_token: Some("1000.a.b".to_owned().into()),
            expires_at: 5,
            api_domain: Some("https://www.zohoapis.eu".to_owned()),
            asked_at: vec![1, 2],
        };
        keeper.save(&kept).await.unwrap();
        let again = keeper.load().await.unwrap().unwrap();
        assert_eq!(again.access_token.unwrap().expose_secret(), "1000.a.b");
        assert_eq!((again.expires_at, again.api_domain, again.asked_at), (5, kept.api_domain.clone(), vec![1, 2]));
    }
}
