//! Reading: pages, changes since a cursor, records by id, through deletions, merges and conversions.

use crate::rig::{Rig, now, person, written};
use ponte_crm::salesforce::SalesforceObject;
use ponte_domain::crm::CrmChange;
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm as _;
use ponte_simulator::salesforce::{Config, Faults, Limits};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn names(fields: &[&str]) -> Vec<String> {
    fields.iter().map(ToString::to_string).collect()
}

fn ids(changes: &[CrmChange]) -> BTreeSet<String> {
    changes
        .iter()
        .map(|change| match change {
            CrmChange::Record(record) => record.id.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn crowd(rig: &Rig, n: usize) -> BTreeSet<String> {
    let people: Vec<Value> =
        (0..n).map(|n| json!({"LastName": format!("P{n}"), "Email": format!("p{n}@example.org")})).collect();
    let made = rig.person(Method::POST, "Contact", json!({"records": people})).await;
    made["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn thousands_that_changed_in_the_same_second_are_all_seen_once() {
    // A page holds less than was asked for, as with wide records.
    let limits = Limits { query_batch: 700, ..Limits::default() };
    let rig = Rig::with(Config { limits, ..Config::default() }, |_| {}).await;
    let cursor = rig.crm.cursor_now().await.unwrap();
    let made = crowd(&rig, 4_500).await;
    let (changes, next) = rig.changes(&["LastName"], &cursor).await;
    assert_eq!(changes.len(), 4_500, "none twice within a round");
    assert_eq!(ids(&changes), made);
    // Later, when the overlap is past, only what is new comes.
    rig.advance(11 * 60_000);
    let (_, next) = rig.changes(&["LastName"], &next).await;
    let one = made.first().unwrap();
    rig.change("Contact", one, json!({"LastName": "Changed"})).await;
    let (changes, _) = rig.changes(&["LastName", "Email"], &next).await;
    let [CrmChange::Record(record)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((record.id.as_str(), &record.values[0]), (one.as_str(), &json!("Changed")));
    assert!((record.modified_at.unwrap() - now()).abs() < 12 * 60_000);
}

#[tokio::test]
async fn a_look_that_finds_nothing_costs_one_call_and_for_leads_two() {
    for (object, cost) in [(SalesforceObject::Contact, 1), (SalesforceObject::Lead, 2)] {
        let rig = Rig::with(Config::default(), |c| c.object = object).await;
        let cursor = rig.crm.cursor_now().await.unwrap();
        let (_, cursor) = rig.changes(&["LastName"], &cursor).await;
        let before = rig.calls();
        let (changes, _) = rig.changes(&["LastName"], &cursor).await;
        assert!(changes.is_empty());
        assert_eq!(rig.calls() - before, cost);
    }
}

#[tokio::test]
async fn what_commits_late_with_an_older_time_is_not_lost() {
    let rig = Rig::start().await;
    let cursor = rig.crm.cursor_now().await.unwrap();
    crowd(&rig, 3).await;
    let (_, cursor) = rig.changes(&[], &cursor).await;
    rig.org.set_faults(Faults { late_stamp: 1.0, late_stamp_ms: 9 * 60_000, ..Faults::default() });
    let late = rig.make("Contact", json!({"LastName": "Late"})).await;
    let (changes, _) = rig.changes(&[], &cursor).await;
    assert!(ids(&changes).contains(&late));
}

#[tokio::test]
async fn deletions_merges_and_restored_records_are_told() {
    let rig = Rig::start().await;
    let [gone, loser, winner, back] = ["a", "b", "c", "d"].map(|n| json!({"LastName": n}));
    let (gone, loser) = (rig.make("Contact", gone).await, rig.make("Contact", loser).await);
    let (winner, back) = (rig.make("Contact", winner).await, rig.make("Contact", back).await);
    let cursor = rig.crm.cursor_now().await.unwrap();
    rig.person(Method::DELETE, &format!("Contact/{gone}"), Value::Null).await;
    rig.person(Method::DELETE, &format!("Contact/{back}"), Value::Null).await;
    rig.person(Method::POST, &format!("Contact/{back}/restore"), Value::Null).await;
    rig.person(Method::POST, &format!("Contact/{winner}/merge"), json!({"losers": [loser]})).await;
    let (changes, _) = rig.changes(&["LastName"], &cursor).await;
    assert!(changes.contains(&CrmChange::Gone { id: gone.clone() }));
    assert!(changes.contains(&CrmChange::Merged { from: loser.clone(), into: winner.clone() }));
    assert!(changes.iter().any(|c| matches!(c, CrmChange::Record(r) if r.id == back)));
    let wanted =
        [winner.clone(), gone, loser, "0035g00000000ZZ".to_owned(), "bad id".to_owned(), winner[..15].to_owned()];
    let read = rig.crm.read_contacts(&wanted, &names(&["LastName", "Name"])).await.unwrap();
    let found: Vec<Option<&str>> = read.iter().map(|r| r.as_ref().map(|r| r.id.as_str())).collect();
    let there = Some(winner.as_str());
    assert_eq!(found, [there, None, there, None, None, there]);
    assert_eq!(read[0].as_ref().unwrap().values, [json!("c"), json!("c")]);
}

#[tokio::test]
async fn chains_of_merges_lead_to_their_end() {
    let rig = Rig::start().await;
    let mut chain = Vec::new();
    for n in 0..4 {
        chain.push(rig.make("Contact", json!({"LastName": format!("C{n}")})).await);
    }
    for pair in chain.windows(2) {
        rig.person(Method::POST, &format!("Contact/{}/merge", pair[1]), json!({"losers": [pair[0]]})).await;
    }
    let read = rig.crm.read_contacts(&chain, &[]).await.unwrap();
    assert!(read.iter().all(|r| r.as_ref().unwrap().id == chain[3]));
}

#[tokio::test]
async fn a_converted_lead_is_told_and_its_contact_read_from_then_on() {
    let rig = Rig::with(Config::default(), |c| c.object = SalesforceObject::Lead).await;
    let made = rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    let lead = written(&made[0]).0;
    let stranger = rig.make("Contact", json!({"LastName": "Stranger"})).await;
    let cursor = rig.crm.cursor_now().await.unwrap();
    let converted = rig.person(Method::POST, &format!("Lead/{lead}/convert"), Value::Null).await;
    let contact = converted["contactId"].as_str().unwrap().to_owned();
    let (changes, cursor) = rig.changes(&["Company", "LastName"], &cursor).await;
    assert!(changes.contains(&CrmChange::Merged { from: lead.clone(), into: contact.clone() }));
    let read = rig.crm.read_contacts(std::slice::from_ref(&lead), &names(&["Company", "LastName"])).await.unwrap();
    assert_eq!(read[0].as_ref().unwrap().id, contact);
    assert_eq!(read[0].as_ref().unwrap().values, [Value::Null, json!("Souza1")], "a contact has no company of its own");
    // Linked to it, the contact is ours to follow; strangers' aren't.
    let row = ponte_domain::crm::ContactWrite { crm_id: Some(contact.clone()), ..person(1, None) };
    rig.crm.upsert_contacts(&[row]).await.unwrap();
    let (changes, _) = rig.changes(&["LastName"], &cursor).await;
    assert!(
        changes
            .iter()
            .any(|c| matches!(c, CrmChange::Record(r) if r.id == contact && r.person == Some(person(1, None).person)))
    );
    assert!(!changes.iter().any(|c| matches!(c, CrmChange::Record(r) if r.id == stranger)));
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = rig.crm.contacts_page(&names(&["LastName"]), after.as_deref()).await.unwrap();
        all.extend(page.records.into_iter().map(|r| r.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all, [contact]);
}

#[tokio::test]
async fn all_contacts_come_page_by_page_each_once() {
    let limits = Limits { query_batch: 700, ..Limits::default() };
    let rig = Rig::with(Config { limits, ..Config::default() }, |_| {}).await;
    let made = crowd(&rig, 2_500).await;
    let (mut seen, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = rig.crm.contacts_page(&names(&["Email", "Id", "SystemModstamp"]), after.as_deref()).await.unwrap();
        seen.extend(page.records.into_iter().map(|r| r.id));
        pages += 1;
        // Sessions end meanwhile, cursors of the org with them.
        rig.org.end_sessions();
        rig.advance(31_000);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (2_500, 4));
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), made);
}

#[tokio::test]
async fn a_cursor_that_is_too_old_or_broken_means_reading_everything() {
    let rig = Rig::start().await;
    let old = rig.crm.cursor_now().await.unwrap();
    rig.advance(15 * 24 * 3_600_000);
    for cursor in [old.as_str(), "nonsense"] {
        assert_eq!(rig.crm.changes(&[], cursor).await.unwrap_err().class, ErrorClass::Gone);
    }
    let fresh = rig.crm.cursor_now().await.unwrap();
    let error = rig.crm.changes(&names(&["Nothing__c"]), &fresh).await.unwrap_err();
    assert_eq!((&error.class, error.detail.as_deref()), (&ErrorClass::Configuration, Some("fields=Nothing__c")));
    let error = rig.crm.changes(&names(&["LastName FROM User --"]), &fresh).await.unwrap_err();
    assert_eq!(error.code, "fields_invalid");
}
