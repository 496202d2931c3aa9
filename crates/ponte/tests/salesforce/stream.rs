//! Change data capture: news within moments, none lost while the stream is away.

use crate::rig::{Rig, person, written};
use ponte_crm::salesforce::SalesforceConfig;
use ponte_crm::salesforce::SalesforceObject;
use ponte_domain::crm::CrmHint;
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm as _;
use ponte_simulator::salesforce::{Config, Faults, Flags, Outage};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

async fn rig(config: Config, change: impl FnOnce(&mut SalesforceConfig)) -> Rig {
    let mut rig = Rig::bare(config, |_| {}).await;
    let here = rig.org.base_url();
    rig.crm = rig.another(crate::rig::app(), |c| {
        c.change_data_capture = true;
        c.pubsub_url = here;
        change(c);
    });
    rig
}

async fn heard(rig: &Rig) -> Vec<CrmHint> {
    tokio::time::timeout(Duration::from_secs(10), rig.crm.listen()).await.expect("nothing is told").unwrap().unwrap()
}

fn changed(id: &str) -> CrmHint {
    CrmHint::Changed { id: id.to_owned() }
}

#[tokio::test]
async fn news_comes_within_moments_and_the_first_is_to_look() {
    let rig = rig(Config::default(), |_| {}).await;
    assert!(rig.crm.capabilities().notifies);
    assert_eq!(heard(&rig).await, [CrmHint::Look], "what was before isn't known");
    let began = Instant::now();
    let id = rig.make("Contact", json!({"LastName": "Ana"})).await;
    assert_eq!(heard(&rig).await, [changed(&id)]);
    assert!(began.elapsed() < Duration::from_secs(2));
    rig.change("Contact", &id, json!({"LastName": "Ana Maria"})).await;
    assert_eq!(heard(&rig).await, [changed(&id)]);
    let other = rig.make("Contact", json!({"LastName": "Other"})).await;
    assert_eq!(heard(&rig).await, [changed(&other)]);
    rig.person(Method::DELETE, &format!("Contact/{id}"), Value::Null).await;
    assert_eq!(heard(&rig).await, [CrmHint::Gone { id: id.clone() }]);
    rig.person(Method::POST, &format!("Contact/{id}/restore"), Value::Null).await;
    assert_eq!(heard(&rig).await, [changed(&id)]);
    // Other objects are other topics.
    rig.make("Account", json!({"Name": "Acme"})).await;
    rig.make("Lead", json!({"LastName": "L", "Company": "C"})).await;
    let quiet = tokio::time::timeout(Duration::from_millis(200), rig.crm.listen()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    // Whoever gave up waiting hears the next all the same.
    rig.change("Contact", &other, json!({"LastName": "Again"})).await;
    assert_eq!(heard(&rig).await, [changed(&other)]);
}

#[tokio::test]
async fn thousands_at_once_all_come_though_few_may_be_under_way() {
    let rig = rig(Config::default(), |_| {}).await;
    heard(&rig).await;
    let people: Vec<Value> = (0..1_500).map(|n| json!({"LastName": format!("P{n}")})).collect();
    let made = rig.person(Method::POST, "Contact", json!({"records": people})).await;
    let wanted: BTreeSet<CrmHint> =
        made["ids"].as_array().unwrap().iter().map(|id| changed(id.as_str().unwrap())).collect();
    let mut told = BTreeSet::new();
    while told.len() < wanted.len() {
        told.extend(heard(&rig).await);
    }
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn what_happens_while_the_stream_is_away_is_told_afterwards() {
    let rig = rig(Config::default(), |_| {}).await;
    heard(&rig).await;
    let first = rig.make("Contact", json!({"LastName": "First"})).await;
    assert_eq!(heard(&rig).await, [changed(&first)]);
    rig.org.end_streams();
    let error = rig.crm.listen().await.unwrap_err();
    assert!(matches!(error.class, ErrorClass::Retryable { .. }), "{error:?}");
    let second = rig.make("Contact", json!({"LastName": "Second"})).await;
    assert_eq!(heard(&rig).await, [changed(&second)]);
    // The session ends: the stream ends with it, and the next has a new one.
    rig.org.end_sessions();
    assert!(rig.crm.listen().await.is_err());
    let third = rig.make("Contact", json!({"LastName": "Third"})).await;
    let mut tries = 0;
    let told = loop {
        match rig.crm.listen().await {
            Ok(hints) => break hints.unwrap(),
            Err(error) => assert!(matches!(error.class, ErrorClass::Retryable { .. }), "{error:?}"),
        }
        tries += 1;
        assert!(tries < 3);
    };
    assert_eq!(told, [changed(&third)]);
    rig.org.set_faults(Faults { outage: Some(Outage::Unavailable), ..Faults::default() });
    for _ in 0..3 {
        assert!(matches!(rig.crm.listen().await.unwrap_err().class, ErrorClass::Retryable { .. }));
    }
}

#[tokio::test]
async fn a_place_that_is_not_kept_any_more_means_looking_for_changes() {
    let rig = rig(Config::default(), |_| {}).await;
    heard(&rig).await;
    let id = rig.make("Contact", json!({"LastName": "Old"})).await;
    assert_eq!(heard(&rig).await, [changed(&id)]);
    rig.org.end_streams();
    assert!(rig.crm.listen().await.is_err());
    // Days pass, and the events of these days are forgotten.
    for _ in 0..3 {
        rig.make("Contact", json!({"LastName": "Unheard"})).await;
        rig.advance(73 * 3_600_000);
    }
    rig.make("Contact", json!({"LastName": "New"})).await;
    let mut tries = 0;
    let told = loop {
        match rig.crm.listen().await {
            Ok(hints) => break hints.unwrap(),
            Err(error) => assert!(matches!(error.class, ErrorClass::Retryable { .. }), "{error:?}"),
        }
        tries += 1;
        assert!(tries < 4, "no endless loop over a place that is refused");
    };
    assert_eq!(told, [CrmHint::Look]);
}

#[tokio::test]
async fn signs_of_life_are_no_news_and_move_the_place() {
    let flags = Flags { keepalive_ms: 30, ..Flags::default() };
    let rig = rig(Config { flags, ..Config::default() }, |_| {}).await;
    heard(&rig).await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), rig.crm.listen()).await;
    assert!(quiet.is_err());
    rig.org.end_streams();
    assert!(rig.crm.listen().await.is_err());
    let id = rig.make("Contact", json!({"LastName": "Between"})).await;
    assert_eq!(heard(&rig).await, [changed(&id)], "though no event was ever told before");
}

#[tokio::test]
async fn leads_and_their_contacts_are_heard_and_strangers_objects_are_not() {
    let captured = ["Contact", "Lead", "Account"].map(str::to_owned).to_vec();
    let rig = rig(Config { captured, ..Config::default() }, |c| c.object = SalesforceObject::Lead).await;
    heard(&rig).await;
    rig.make("Account", json!({"Name": "Acme"})).await;
    let lead = rig.make("Lead", json!({"LastName": "L", "Company": "C"})).await;
    assert_eq!(heard(&rig).await, [changed(&lead)]);
    let converted = rig.person(Method::POST, &format!("Lead/{lead}/convert"), Value::Null).await;
    let mut told: BTreeSet<CrmHint> = BTreeSet::new();
    while told.len() < 2 {
        told.extend(heard(&rig).await);
    }
    assert_eq!(told, BTreeSet::from([changed(&lead), changed(converted["contactId"].as_str().unwrap())]));
}

#[tokio::test]
async fn fields_that_are_made_meanwhile_hold_nothing_up() {
    let rig = rig(Config::default(), |_| {}).await;
    heard(&rig).await;
    let before = rig.make("Contact", json!({"LastName": "Before"})).await;
    rig.crm.prepare().await.unwrap();
    let after = rig.make("Contact", json!({"LastName": "After"})).await;
    let mut told = BTreeSet::new();
    while told.len() < 2 {
        told.extend(heard(&rig).await);
    }
    assert_eq!(told, BTreeSet::from([changed(&before), changed(&after)]));
}

#[tokio::test]
async fn what_was_undone_is_not_told_and_what_we_write_is() {
    let rig = rig(Config::default(), |_| {}).await;
    rig.crm.prepare().await.unwrap();
    heard(&rig).await;
    let url = format!("{}/services/data/v66.0/composite/sobjects", rig.org.base_url());
    let row = |name: Value| json!({"attributes": {"type": "Contact"}, "LastName": name});
    let body = json!({"allOrNone": true, "records": [row(json!("Undone")), row(json!(null))]});
    let token = ponte_simulator::salesforce::DEFAULT_TOKEN;
    rig.http.post(url).bearer_auth(token).json(&body).send().await.unwrap();
    let made = rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    assert_eq!(heard(&rig).await, [changed(&written(&made[0]).0)]);
}

#[tokio::test]
async fn who_does_not_listen_says_so_and_what_is_not_selected_is_told() {
    let plain = Rig::bare(Config::default(), |_| {}).await;
    assert_eq!(plain.crm.listen().await.unwrap(), None);
    let rig = rig(Config { captured: vec!["Lead".to_owned()], ..Config::default() }, |_| {}).await;
    let error = rig.crm.listen().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Configuration);
    assert!(error.code.contains("topic"), "{error:?}");
}
