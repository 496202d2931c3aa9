//! Tokens, credits, places: known before asking.

use crate::rig::{Rig, message, names, person};
use ponte_crm::zoho::{DataCentre, MemoryKeeper};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use ponte_simulator::zoho::{Config, Limits, Oauth};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn one_token_serves_all_and_survives_restarts() {
    let rig = Rig::start(Config::default()).await;
    rig.ready().await;
    let description = rig.crm().check().await.unwrap();
    assert!(description.contains("Zylker"), "{description}");
    for _ in 0..20 {
        rig.crm().check().await.unwrap();
    }
    assert_eq!(rig.zoho.stats().token_refreshes, 1);
    // Before its end it is replaced.
    rig.advance(3_590_000);
    rig.crm().check().await.unwrap();
    assert_eq!((rig.zoho.stats().token_refreshes, rig.zoho.stats().auth_failures), (2, 0));
}

#[tokio::test]
async fn no_more_than_ten_tokens_are_asked_for_in_ten_minutes_whatever_restarts() {
    let rig = Rig::start(Config::default()).await;
    rig.ready().await;
    let mut held = None;
    for _ in 0..30 {
        rig.zoho.expire_tokens();
        if let Err(error) = rig.crm().check().await {
            held = Some(error);
        }
    }
    let error = held.expect("the eleventh is not asked for");
    assert!(
        matches!(error.class, ErrorClass::Throttled { after_ms: Some(ms), .. } if ms > 500_000)
            || matches!(error.class, ErrorClass::Retryable { .. }),
        "{error:?}"
    );
    let stats = rig.zoho.stats();
    assert!(stats.token_refreshes <= 10, "{stats:?}");
    assert_eq!(stats.token_refreshes_refused, 0);
    rig.advance(620_000);
    let crm = rig.crm();
    for _ in 0..20 {
        if crm.check().await.is_ok() {
            return;
        }
    }
    panic!("it never comes back");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all_who_wait() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    rig.zoho.expire_tokens();
    let (a, b, c) = tokio::join!(crm.check(), crm.contact_fields(), crm.contacts_page(&[], None));
    let all = [a.map(|_| ()), b.map(|_| ()), c.map(|_| ())];
    assert!(all.iter().all(|r| r.is_ok()), "{all:?}");
    assert_eq!(rig.zoho.stats().token_refreshes, 2);
}

#[tokio::test]
async fn a_person_who_disconnects_the_app_is_noticed() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    rig.person("POST", "revoke_tokens", json!({})).await;
    let error = crm.check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "invalid_code"));
}

#[tokio::test]
async fn the_wrong_data_centre_is_told() {
    let rig = Rig::start(Config::default()).await;
    let mut config = rig.config.clone();
    config.accounts_url = format!("{}/@eu", rig.zoho.base_url());
    let error = rig.crm_with(config).check().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Auth);
    assert!(error.title.contains("another data centre"), "{error}");
    assert_eq!(DataCentre::parse("eu").unwrap().api(), "https://www.zohoapis.eu");
}

#[tokio::test]
async fn a_missing_scope_is_ours_to_mend() {
    let scopes = ["ZohoCRM.modules.ALL", "ZohoCRM.settings.ALL", "ZohoCRM.org.READ"].map(str::to_owned).into();
    let rig = Rig::start(Config { oauth: Oauth { scopes, ..Oauth::default() }, ..Config::default() }).await;
    let error = rig.crm().check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "OAUTH_SCOPE_MISMATCH"));
}

#[tokio::test]
async fn credits_that_are_known_are_never_overdrawn() {
    let limits = Limits { credits: 2_000, ..Limits::default() };
    let rig = Rig::start(Config { limits, ..Config::default() }).await;
    let mut config = rig.config.clone();
    config.credits_per_day = Some(2_000);
    config.budget_percent = 100;
    let crm = rig.crm_with(config);
    crm.prepare().await.unwrap();
    let mut written = 0;
    let error = loop {
        let rows: Vec<_> = (0..100).map(|n| person(written + n, None)).collect();
        match crm.upsert_contacts(&rows).await {
            Ok(_) => written += 100,
            Err(error) => break error,
        }
    };
    assert!(matches!(error.class, ErrorClass::Throttled { after_ms: Some(ms), .. } if ms > 3_600_000), "{error:?}");
    let stats = rig.zoho.stats();
    assert_eq!(stats.rate_limited, 0);
    assert!(stats.credits_left < 20, "nearly all are used: {}", stats.credits_left);
    let budget = crm.budget();
    assert_eq!((budget.limit, budget.remaining), (Some(2_000), Some(u64::from(stats.credits_left))));
    // The day after they are back.
    rig.advance(86_400_000 + 600_000);
    rig.advance(0);
    assert!(crm.upsert_contacts(&[person(9_999, None)]).await.is_ok());
}

#[tokio::test]
async fn what_others_spend_is_read_from_the_answers() {
    let limits = Limits { credits: 2_000, ..Limits::default() };
    let rig = Rig::start(Config { limits, ..Config::default() }).await;
    let crm = rig.ready().await;
    rig.person("POST", "burn", json!({"credits": 1_300})).await;
    let mut made = 0;
    let error = loop {
        match crm.contacts_page(&names(&["Last_Name"]), None).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error.class, ErrorClass::Throttled { .. }) && error.code == "budget", "{error:?}");
    let left = rig.zoho.stats().credits_left;
    assert_eq!(rig.zoho.stats().rate_limited, 0);
    assert!(left < 3, "less than the next page costs, after {made} pages: {left}");
    assert_eq!(crm.budget().remaining, Some(u64::from(left)));
}

#[tokio::test]
async fn no_more_calls_at_once_than_zoho_takes() {
    let limits = Limits { concurrency: 5, heavy_concurrency: 5, ..Limits::default() };
    let rig = Rig::start(Config { limits, ..Config::default() }).await;
    let mut config = rig.config.clone();
    config.concurrency = 5;
    config.max_wait_ms = 10_000;
    let crm = Arc::new(rig.crm_with(config));
    crm.prepare().await.unwrap();
    let contact = crate::rig::ids(&crm.upsert_contacts(&[person(1, None)]).await.unwrap()).remove(0);
    let latency = ponte_simulator::chance::Latency { p50_ms: 20, p99_ms: 40 };
    rig.zoho.set_faults(ponte_simulator::zoho::Faults { latency, ..Default::default() });
    let tasks = (0..30u128).map(|n| {
        let (crm, contact) = (Arc::clone(&crm), contact.clone());
        tokio::spawn(async move {
            let rows: Vec<_> = (0..20).map(|m| message(n * 100 + m, &contact)).collect();
            crate::rig::ids(&crm.write_messages(&rows).await.unwrap());
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let stats = rig.zoho.stats();
    assert_eq!((stats.most_active, stats.rate_limited), (5, 0));
}

#[tokio::test]
async fn limits_that_others_use_up_slow_us_down() {
    let limits = Limits { concurrency: 1, ..Limits::default() };
    let rig = Rig::start(Config { limits, ..Config::default() }).await;
    let crm = Arc::new(rig.ready().await);
    let latency = ponte_simulator::chance::Latency { p50_ms: 50, p99_ms: 60 };
    rig.zoho.set_faults(ponte_simulator::zoho::Faults { latency, ..Default::default() });
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let crm = Arc::clone(&crm);
            tokio::spawn(async move { crm.contacts_page(&[], None).await })
        })
        .collect();
    for task in tasks {
        if let Err(error) = task.await.unwrap() {
            assert!(matches!(error.class, ErrorClass::Throttled { after_ms: Some(1..=30_000), .. }), "{error:?}");
        }
    }
    assert!(rig.zoho.stats().rate_limited > 0);
    assert!(crm.budget().held_until.is_some());
}

#[tokio::test]
async fn a_keeper_of_ones_own_is_asked_for_nothing_else() {
    let mut rig = Rig::start(Config::default()).await;
    rig.ready().await;
    // Another program with the same refresh token: its own keeper, its own token.
    rig.keeper = Arc::new(MemoryKeeper::default());
    rig.crm().check().await.unwrap();
    assert_eq!(rig.zoho.stats().token_refreshes, 2);
}
