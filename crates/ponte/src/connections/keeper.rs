//! Keeps what a connection signs in with in the vault, so that it outlives a restart and other nodes know it: what a person granted, the
//! tokens that came of it, and an authorisation that was begun.
//! Must not touch: logs with tokens.
//! Failure story: a token is replaced whole or not at all. What came of an earlier grant is not believed after a new one.

use crate::adapters::now;
use crate::wiring::WORKSPACE;
use async_trait::async_trait;
use ponte_crm::grant::FreshGrant;
use ponte_crm::keeper::{KeeperError, TokenKeeper};
use ponte_crm::zoho::{KeeperError as ZohoError, KeptToken, TokenKeeper as ZohoKeeper};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ports::vault::Vault;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a person granted, as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Grant {
    refresh_token: String,
    /// The vendor's server that gave it.
    pub(super) server: String,
    scopes: Vec<String>,
    /// When.
    pub(super) at: Millis,
    /// When the vendor refused it.
    pub(super) refused_at: Option<Millis>,
}

impl Grant {
    /// Of what an exchange gave.
    pub(super) fn new(fresh: FreshGrant, at: Millis) -> Self {
        let refresh_token = fresh.refresh_token.expose_secret().to_owned();
        Self { refresh_token, server: fresh.server, scopes: fresh.scopes, at, refused_at: None }
    }
}

/// Keeps one connection's secrets.
#[derive(Clone)]
pub(super) struct Keeper {
    vault: Arc<dyn Vault>,
    connection: String,
}

impl Keeper {
    /// A keeper for this connection; nothing is touched yet.
    pub(super) fn new(vault: Arc<dyn Vault>, connection: &str) -> Self {
        Self { vault, connection: connection.to_owned() }
    }

    fn name(&self, what: &str) -> String {
        format!("crm/{}/{what}", self.connection)
    }

    async fn get(&self, what: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.vault.secret(WORKSPACE, &self.name(what)).await
    }

    async fn put(&self, what: &str, secret: Vec<u8>) -> Result<(), StoreError> {
        self.vault.keep_secret(WORKSPACE, &self.name(what), secret, now()).await
    }

    /// What was begun.
    pub(super) async fn begun(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.get("state").await
    }

    /// Takes away what was begun.
    pub(super) async fn take_begun(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.vault.take_secret(WORKSPACE, &self.name("state")).await
    }

    /// Keeps what is begun.
    pub(super) async fn begin(&self, begun: Vec<u8>, at: Millis) -> Result<(), StoreError> {
        self.vault.keep_secret(WORKSPACE, &self.name("state"), begun, at).await
    }

    /// What was granted.
    pub(super) async fn granted(&self) -> Result<Option<Grant>, StoreError> {
        let Some(text) = self.get("grant").await? else { return Ok(None) };
        // The parser's words could quote the token.
        serde_json::from_slice(&text).map(Some).map_err(|_| StoreError::Corrupt(self.name("grant")))
    }

    /// Keeps a grant; what came of the one before is of no use any more.
    pub(super) async fn grant(&self, grant: &Grant) -> Result<(), StoreError> {
        let text = serde_json::to_vec(grant).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.put("grant", text).await?;
        self.vault.forget_secret(WORKSPACE, &self.name("token")).await
    }

    /// Forgets everything of this connection.
    pub(super) async fn forget(&self) -> Result<(), StoreError> {
        for what in ["grant", "token", "state"] {
            self.vault.forget_secret(WORKSPACE, &self.name(what)).await?;
        }
        Ok(())
    }

    /// The newest refresh token of a grant.
    pub(super) async fn newest(&self, grant: &Grant) -> Result<SecretString, StoreError> {
        self.follows(&SecretString::from(grant.refresh_token.clone())).await
    }

    /// What followed from this refresh token, or the token itself.
    async fn follows(&self, first: &SecretString) -> Result<SecretString, StoreError> {
        let kept = self.get("token").await?.and_then(|text| String::from_utf8(text).ok());
        Ok(match kept.as_deref().and_then(|text| text.split_once('\n')) {
            Some((origin, token)) if origin == hash(first) && !token.is_empty() => token.to_owned().into(),
            _ => first.clone(),
        })
    }

    /// A grant that is good.
    async fn good(&self) -> Result<Option<Grant>, StoreError> {
        Ok(self.granted().await?.filter(|grant| grant.refused_at.is_none()))
    }

    /// Remembers that the vendor no longer takes a token, when it is the newest of the grant.
    async fn refuse(&self, token: &SecretString) {
        let done = async {
            let Some(mut grant) = self.good().await? else { return Ok(()) };
            if self.newest(&grant).await?.expose_secret() != token.expose_secret() {
                return Ok(());
            }
            grant.refused_at = Some(now());
            let text = serde_json::to_vec(&grant).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            self.put("grant", text).await?;
            tracing::error!(connection = %self.connection, "the CRM no longer takes what was granted: the connection waits; \
                run `ponte crm authorize {}`, nothing is lost", self.connection);
            Ok::<(), StoreError>(())
        };
        if let Err(error) = done.await {
            tracing::error!(connection = %self.connection, "that the grant was refused can't be kept: {error}");
        }
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

fn zoho(error: &StoreError) -> ZohoError {
    ZohoError(error.to_string())
}

#[async_trait]
impl ZohoKeeper for Keeper {
    async fn load(&self) -> Result<Option<KeptToken>, ZohoError> {
        let Some(text) = self.get("token").await.map_err(|e| zoho(&e))? else { return Ok(None) };
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
        self.put("token", text).await.map_err(|e| zoho(&e))
    }

    async fn granted(&self) -> Result<Option<(SecretString, String)>, ZohoError> {
        let grant = self.good().await.map_err(|e| zoho(&e))?;
        Ok(grant.map(|grant| (grant.refresh_token.into(), grant.server)))
    }

    async fn refused(&self, token: &SecretString) {
        self.refuse(token).await;
    }
}

/// A refresh token that follows from the one in the configuration, or from the one that a person granted. With it is kept a hash of the
/// one that the chain began with: when somebody connected again, what is kept is of no use any more.
pub(super) struct Chain {
    /// Where it is kept.
    pub(super) keeper: Keeper,
    /// As configured; `None`: as granted.
    pub(super) first: Option<SecretString>,
}

impl Chain {
    async fn origin(&self) -> Result<Option<SecretString>, KeeperError> {
        if self.first.is_some() {
            return Ok(self.first.clone());
        }
        let grant = self.keeper.good().await.map_err(|e| KeeperError(e.to_string()))?;
        Ok(grant.map(|grant| grant.refresh_token.into()))
    }
}

#[async_trait]
impl TokenKeeper for Chain {
    async fn load(&self) -> Result<Option<SecretString>, KeeperError> {
        let Some(first) = self.origin().await? else { return Ok(None) };
        self.keeper.follows(&first).await.map(Some).map_err(|e| KeeperError(e.to_string()))
    }

    async fn save(&self, token: &SecretString) -> Result<(), KeeperError> {
        let Some(first) = self.origin().await? else { return Ok(()) };
        if first.expose_secret() == token.expose_secret() {
            return Ok(());
        }
        let text = format!("{}\n{}", hash(&first), token.expose_secret());
        self.keeper.put("token", text.into_bytes()).await.map_err(|e| KeeperError(e.to_string()))
    }

    async fn refused(&self, token: &SecretString) {
        if self.first.is_none() {
            self.keeper.refuse(token).await;
        }
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
        let chain = |first: &str| Chain { keeper: Keeper::new(Arc::clone(&vault), "sf"), first: Some(first.into()) };
        let load = async |first: &str| chain(first).load().await.unwrap().unwrap().expose_secret().to_owned();
        assert_eq!(load("one").await, "one");
        chain("one").save(&SecretString::from("two")).await.unwrap();
        assert_eq!(load("one").await, "two");
        assert_eq!(load("new").await, "new", "somebody connected again");

        let keeper = Keeper::new(Arc::clone(&vault), "zoho");
        assert!(ZohoKeeper::load(&keeper).await.unwrap().is_none());
        let kept = KeptToken {
            access_token: Some("1000.a.b".to_owned().into()),
            expires_at: 5,
            api_domain: Some("https://www.zohoapis.eu".to_owned()),
            asked_at: vec![1, 2],
        };
        ZohoKeeper::save(&keeper, &kept).await.unwrap();
        let again = ZohoKeeper::load(&keeper).await.unwrap().unwrap();
        assert_eq!(again.access_token.unwrap().expose_secret(), "1000.a.b");
        assert_eq!((again.expires_at, again.api_domain, again.asked_at), (5, kept.api_domain.clone(), vec![1, 2]));
    }
}
