//! Signing in by every way, and sessions that end.

use crate::rig::{Rig, app, now};
use async_trait::async_trait;
use ponte_crm::salesforce::{KeeperError, SalesforceAuth, TokenKeeper};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm as _;
use ponte_simulator::salesforce::{Config, Oauth};
use secrecy::{ExposeSecret, SecretString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const KEY: &str = include_str!("../../../simulator/tests/keys/salesforce_jwt.pem");

#[derive(Default)]
struct Drawer {
    token: Mutex<Option<String>>,
    broken: AtomicBool,
}

#[async_trait]
impl TokenKeeper for Drawer {
    async fn load(&self) -> Result<Option<SecretString>, KeeperError> {
        Ok(self.token.lock().unwrap().clone().map(SecretString::from))
    }

    async fn save(&self, token: &SecretString) -> Result<(), KeeperError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(KeeperError("the disk is full".into()));
        }
        *self.token.lock().unwrap() = Some(token.expose_secret().to_owned());
        Ok(())
    }
}

fn drawer(token: Option<&str>) -> Arc<Drawer> {
    Arc::new(Drawer { token: Mutex::new(token.map(str::to_owned)), broken: AtomicBool::new(false) })
}

fn refresh(keeper: &Arc<Drawer>) -> SalesforceAuth {
    SalesforceAuth::Refresh {
        client_id: "sim-client".into(),
        client_secret: Some("sim-client-secret".into()),
        keeper: keeper.clone(),
    }
}

fn jwt(key: &str) -> SalesforceAuth {
    SalesforceAuth::Jwt {
        client_id: "sim-client".into(),
        username: "integration@ponte.example".into(),
        private_key: key.to_owned().into(),
        audience: "https://login.salesforce.com".into(),
    }
}

#[tokio::test]
async fn every_way_of_signing_in_works_and_an_ended_session_is_replaced_once() {
    let rig = Rig::start().await;
    for (auth, grant) in [
        (app(), "client_credentials"),
        (jwt(KEY), "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        (refresh(&drawer(Some("sim-refresh-token"))), "refresh_token"),
    ] {
        let crm = rig.another(auth, |_| {});
        assert!(crm.check().await.unwrap().contains("Contact records can be read"));
        rig.org.end_sessions();
        crm.check().await.unwrap();
        assert_eq!(rig.org.stats().sessions[grant], 2, "{grant}");
    }
}

#[tokio::test]
async fn many_callers_with_an_ended_session_ask_for_one_new_one() {
    let rig = Rig::start().await;
    rig.crm.check().await.unwrap();
    rig.org.end_sessions();
    let crm = Arc::new(rig.crm);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let crm = crm.clone();
            tokio::spawn(async move { crm.check().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(rig.org.stats().sessions["client_credentials"], 2);
}

#[tokio::test]
async fn a_rotated_refresh_token_is_kept_before_its_session_is_used() {
    let rig = Rig::start().await;
    let keeper = drawer(Some("sim-refresh-token"));
    let crm = rig.another(refresh(&keeper), |_| {});
    keeper.broken.store(true, Ordering::SeqCst);
    let before = rig.org.stats().budget_spent;
    let error = crm.check().await.unwrap_err();
    assert_eq!(error.code, "token_not_kept");
    assert!(matches!(error.class, ErrorClass::Retryable { .. }));
    assert_eq!(rig.org.stats().budget_spent, before, "nothing was called with it");
    keeper.broken.store(false, Ordering::SeqCst);
    crm.check().await.unwrap();
    let kept = keeper.token.lock().unwrap().clone().unwrap();
    assert_ne!(kept, "sim-refresh-token");
    // After a restart the kept one is good, the first one isn't.
    rig.another(refresh(&keeper), |_| {}).check().await.unwrap();
    assert_ne!(keeper.token.lock().unwrap().clone().unwrap(), kept);
    let error = rig.another(refresh(&drawer(Some("sim-refresh-token"))), |_| {}).check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "invalid_grant"));
    let error = rig.another(refresh(&drawer(None)), |_| {}).check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "not_connected"));
}

#[tokio::test]
async fn wrong_credentials_are_a_matter_of_auth_and_wrong_keys_of_configuration() {
    let rig = Rig::start().await;
    let wrong = SalesforceAuth::ClientCredentials { client_id: "sim-client".into(), client_secret: "wrong".into() };
    let error = rig.another(wrong, |_| {}).check().await.unwrap_err();
    assert_eq!((&error.class, error.code.as_str()), (&ErrorClass::Auth, "invalid_client"));
    assert!(!format!("{error:?}").contains("wrong"));
    let error = rig.another(jwt("no key"), |_| {}).check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "private_key"));
    let oauth = Oauth { scopes: vec!["refresh_token".into()], ..Oauth::default() };
    let narrow = Rig::bare(Config { oauth, ..Config::default() }, |_| {}).await;
    assert_eq!(narrow.crm.check().await.unwrap_err().class, ErrorClass::Configuration, "the scope api is missing");
    assert!(now() > 0);
}
