//! Secrets: kept, replaced, forgotten, by workspace, and unreadable without their key.

use crate::support::{T0, W, options};
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::vault::Vault;
use ponte_store::{SqlStore, VaultKey};
use ponte_testkit::{Engine, TestDatabase};

async fn secrets(engine: Engine) {
    let db = TestDatabase::of(engine).await.unwrap();
    let open = async |key: Option<[u8; 32]>| {
        let key = key.map(|k| VaultKey::new(&k).unwrap());
        SqlStore::open(options(&db, "n"), T0).await.unwrap().with_vault_key(key)
    };
    let store = open(Some([1; 32])).await;
    assert_eq!(store.secret(W, "crm/a/refresh").await.unwrap(), None);
    store.keep_secret(W, "crm/a/refresh", b"first".to_vec(), T0).await.unwrap();
    store.keep_secret(W, "crm/a/refresh", b"second".to_vec(), T0 + 1).await.unwrap();
    store.keep_secret(WorkspaceId(2), "crm/a/refresh", b"theirs".to_vec(), T0).await.unwrap();
    assert_eq!(store.secret(W, "crm/a/refresh").await.unwrap().unwrap(), b"second");
    let other = open(Some([2; 32])).await;
    assert!(other.secret(W, "crm/a/refresh").await.unwrap_err().to_string().contains("another key"));
    let without = open(None).await;
    assert!(without.keep_secret(W, "x", vec![1], T0).await.unwrap_err().to_string().contains("openssl rand"));
    store.keep_secret(W, "once", b"only".to_vec(), T0).await.unwrap();
    let (one, two) = tokio::join!(store.take_secret(W, "once"), store.take_secret(W, "once"));
    let got: Vec<Vec<u8>> = [one, two].into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(got, [b"only".to_vec()], "to one caller only");
    store.forget_secret(W, "crm/a/refresh").await.unwrap();
    assert_eq!(store.secret(W, "crm/a/refresh").await.unwrap(), None);
    assert_eq!(store.secret(WorkspaceId(2), "crm/a/refresh").await.unwrap().unwrap(), b"theirs");
}

#[tokio::test]
async fn secrets_are_kept_encrypted_sqlite() {
    secrets(Engine::Sqlite).await;
}

#[tokio::test]
async fn secrets_are_kept_encrypted_postgres() {
    secrets(Engine::Postgres).await;
}
