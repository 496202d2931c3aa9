//! Secrets at rest: AES-256-GCM, a fresh nonce each time, bound to workspace and name, so that rows can't change places. The key is not
//! in the database.
//! Failure story: without the key, or with another one, nothing is read and that is said; nothing is overwritten by it.

use crate::SqlStore;
use crate::conn::vals;
use crate::store::write;
use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::vault::Vault;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::Arc;

/// The key that secrets are encrypted with.
#[derive(Clone)]
pub struct VaultKey(Arc<LessSafeKey>);

impl std::fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VaultKey")
    }
}

impl VaultKey {
    /// From 32 bytes; `None` when there are more or fewer.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(|key| Self(Arc::new(LessSafeKey::new(key))))
    }

    fn seal(&self, about: &str, mut secret: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let failed = |_| StoreError::Unavailable("a secret can't be encrypted".into());
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let aad = Aad::from(about.as_bytes());
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut secret).map_err(failed)?;
        Ok([nonce.as_slice(), &secret].concat())
    }

    fn open(&self, about: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let failed =
            || StoreError::Unavailable(format!("the secret {about} was encrypted with another key, or changed"));
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or_else(failed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
        let mut rest = rest.to_vec();
        let aad = Aad::from(about.as_bytes());
        self.0.open_in_place(nonce, aad, &mut rest).map(|secret| secret.to_vec()).map_err(|_| failed())
    }
}

fn about(workspace: WorkspaceId, name: &str) -> String {
    format!("{workspace}/{name}")
}

impl SqlStore {
    fn key(&self) -> Result<VaultKey, StoreError> {
        let missing = "there is no key for secrets: give [secrets] key, 32 bytes in base64 (openssl rand -base64 32)";
        self.vault_key.clone().ok_or_else(|| StoreError::Unavailable(missing.into()))
    }
}

#[async_trait]
impl Vault for SqlStore {
    async fn secret(&self, workspace: WorkspaceId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> = self
            .reader()
            .await?
            .first("SELECT sealed FROM secret WHERE workspace_id = $1 AND name = $2", vals![workspace.0, name])
            .await?;
        let Some((sealed,)) = row else { return Ok(None) };
        self.key()?.open(&about(workspace, name), &sealed).map(Some)
    }

    async fn keep_secret(
        &self,
        workspace: WorkspaceId,
        name: &str,
        secret: Vec<u8>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let sealed = self.key()?.seal(&about(workspace, name), secret)?;
        let name = name.to_owned();
        write!(self, (name, sealed), |c| {
            c.exec(
                "INSERT INTO secret (workspace_id, name, sealed, changed_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (workspace_id, name) DO UPDATE SET sealed = excluded.sealed, changed_at = excluded.changed_at",
                vals![workspace.0, name.as_str(), sealed.as_ref().clone(), now],
            )
            .await
            .map(|_| ())
        })
    }

    async fn take_secret(&self, workspace: WorkspaceId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.key()?;
        let whole = name.to_owned();
        let row: Option<(Vec<u8>,)> = write!(self, (whole), |c| {
            let at = vals![workspace.0, whole.as_str()];
            c.first("DELETE FROM secret WHERE workspace_id = $1 AND name = $2 RETURNING sealed", at).await
        })?;
        row.map(|(sealed,)| key.open(&about(workspace, name), &sealed)).transpose()
    }

    async fn forget_secret(&self, workspace: WorkspaceId, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        write!(self, (name), |c| {
            let key = vals![workspace.0, name.as_str()];
            c.exec("DELETE FROM secret WHERE workspace_id = $1 AND name = $2", key).await.map(|_| ())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_same_key_name_and_bytes_give_the_secret_back(secret: Vec<u8>, at in 0usize..200, bit in 0u8..8) {
            let key = VaultKey::new(&[7; 32]).unwrap();
            let sealed = key.seal("1/a", secret.clone()).unwrap();
            prop_assert!(secret.len() < 4 || !sealed.windows(secret.len()).any(|w| w == secret));
            prop_assert_eq!(key.open("1/a", &sealed).unwrap(), secret);
            prop_assert!(key.open("1/b", &sealed).is_err());
            prop_assert!(VaultKey::new(&[8; 32]).unwrap().open("1/a", &sealed).is_err());
            let mut changed = sealed.clone();
            let at = at % changed.len();
            changed[at] ^= 1 << bit;
            prop_assert!(key.open("1/a", &changed).is_err());
        }
    }

    #[test]
    fn the_key_is_not_printed_and_has_32_bytes() {
        assert!(VaultKey::new(&[1; 31]).is_none());
        assert_eq!(format!("{:?}", VaultKey::new(&[1; 32])), "Some(VaultKey)");
    }
}
