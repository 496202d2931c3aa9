//! People: made once, found by number in every spelling, followed through merges and conversions.

use crate::rig::{Rig, failed, linked, person, written};
use ponte_crm::salesforce::{SalesforceDuplicates, SalesforceObject};
use ponte_domain::crm::{ContactWrite, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm as _;
use ponte_simulator::salesforce::{Config, DuplicateAction, DuplicateRule, Flags};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn mapped(row: ContactWrite, fields: &[(&str, Value)]) -> ContactWrite {
    let fields: BTreeMap<String, Value> = fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    ContactWrite { fields, ..row }
}

#[tokio::test]
async fn new_people_are_made_once_however_often_they_are_written() {
    let rig = Rig::start().await;
    rig.crm.prepare().await.unwrap();
    let rows: Vec<ContactWrite> = (0..450).map(|n| person(n, Some(&format!("1650555{n:04}")))).collect();
    let first = rig.crm.upsert_contacts(&rows).await.unwrap();
    assert!(first.iter().all(|r| written(r).1), "all are new");
    // The answers got lost, and everything is tried again.
    let again = rig.crm.upsert_contacts(&rows).await.unwrap();
    for (first, again) in first.iter().zip(&again) {
        assert_eq!((written(first).0, false), written(again));
    }
    let contacts = rig.org.records("Contact");
    assert_eq!(contacts.len(), 450);
    assert_eq!(rig.org.duplicates("Contact", "Ponte_Id__c").unwrap().sharing, 0);
    let one = &rig.record("Contact", &written(&first[7]).0).values;
    assert_eq!(one["Ponte_Id__c"], rows[7].person.to_string());
    assert_eq!((one["FirstName"].as_str(), one["LastName"].as_str()), ("Ana", "Souza7"));
    assert_eq!((one["MobilePhone"].as_str(), one["Ponte_WhatsApp_Id__c"].as_str()), ("+16505550007", "16505550007"));
    assert_eq!(one["Ponte_Last_Inbound_At__c"], "2026-11-23T02:30:00.000Z");
}

#[tokio::test]
async fn existing_contacts_are_adopted_by_their_number_in_any_spelling_and_keep_what_is_theirs() {
    let rig = Rig::start().await;
    let spellings = [
        ("+55 11 98765-4321", "5511987654321"),
        ("(650) 555-1234", "16505551234"),
        ("0049 1511 1000011", "4915111000011"),
        ("+52 1 55 1234 5678", "525512345678"),
        ("+55 11 8765-0000", "5511987650000"),
    ];
    let mut there = Vec::new();
    for (n, (spelling, _)) in spellings.iter().enumerate() {
        let field = if n % 2 == 0 { "Phone" } else { "MobilePhone" };
        there.push(rig.make("Contact", json!({"LastName": format!("Known{n}"), field: spelling})).await);
    }
    let rows: Vec<ContactWrite> = spellings
        .iter()
        .enumerate()
        .map(|(n, (_, phone))| mapped(person(n as u128, Some(phone)), &[("Title", json!("changed"))]))
        .collect();
    let results = rig.crm.upsert_contacts(&rows).await.unwrap();
    for ((n, result), id) in results.iter().enumerate().zip(&there) {
        assert_eq!(written(result), (id.clone(), false), "{}", spellings[n].0);
        let values = &rig.record("Contact", id).values;
        assert_eq!(values["LastName"], format!("Known{n}"));
        assert_eq!(values.get("Title"), None, "an adopted record keeps its own");
        assert_eq!(values["Ponte_Id__c"], rows[n].person.to_string());
    }
    assert_eq!(rig.org.records("Contact").len(), spellings.len());
    // Found by our id now, mapped values are written.
    rig.crm.upsert_contacts(&rows).await.unwrap();
    assert_eq!(rig.record("Contact", &there[0]).values["Title"], "changed");
}

#[tokio::test]
async fn a_contact_that_search_does_not_show_yet_is_found_all_the_same() {
    let flags = Flags { search_lag_ms: 600_000, ..Flags::default() };
    let rig = Rig::with(Config { flags, ..Config::default() }, |_| {}).await;
    let id = rig.make("Contact", json!({"LastName": "New", "MobilePhone": "(650) 555-1234"})).await;
    let results = rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    assert_eq!(written(&results[0]), (id, false));
    // Also when thousands of others are new.
    let crowd: Vec<Value> =
        (0..2_500).map(|n| json!({"LastName": format!("P{n}"), "Phone": format!("+49{n:09}")})).collect();
    rig.person(Method::POST, "Contact", json!({"records": crowd})).await;
    let id = rig.make("Contact", json!({"LastName": "New", "HomePhone": "(650) 555-9876"})).await;
    let results = rig.crm.upsert_contacts(&[person(2, Some("16505559876"))]).await.unwrap();
    assert_eq!(written(&results[0]), (id, false));
}

#[tokio::test]
async fn other_peoples_records_and_doubtful_ones_are_left_alone() {
    let rig = Rig::start().await;
    let first = rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    // Another person of ours with the same number.
    let second = rig.crm.upsert_contacts(&[person(2, Some("16505551234"))]).await.unwrap();
    assert_ne!(written(&first[0]).0, written(&second[0]).0);
    for name in ["A", "B"] {
        rig.make("Contact", json!({"LastName": name, "Phone": "(11) 98765-4321"})).await;
    }
    rig.make("Contact", json!({"LastName": "C", "Phone": "+351 11987654321"})).await;
    let results = rig.crm.upsert_contacts(&[person(3, Some("5511987654321"))]).await.unwrap();
    assert!(written(&results[0]).1, "two that could be, one of another country: none is taken");
}

#[tokio::test]
async fn linked_contacts_are_changed_by_id_and_a_gone_one_is_told() {
    let rig = Rig::start().await;
    let id = rig.make("Contact", json!({"LastName": "Berg", "Description": "old", "DoNotCall": true})).await;
    let gone = rig.make("Contact", json!({"LastName": "Gone"})).await;
    rig.person(Method::DELETE, &format!("Contact/{gone}"), Value::Null).await;
    let row = mapped(
        linked(1, &id[..15]),
        &[("Description", json!(null)), ("DoNotCall", json!(null)), ("Title", json!("Dr"))],
    );
    let rows = [row, linked(2, &gone), linked(3, "0015g0000000001AAA"), linked(4, "0035g00000000ZZ")];
    let results = rig.crm.upsert_contacts(&rows).await.unwrap();
    assert_eq!(written(&results[0]), (id.clone(), false));
    let values = &rig.record("Contact", &id).values;
    assert_eq!(
        (values.get("Description"), values["Title"].as_str(), values["DoNotCall"].as_str()),
        (None, "Dr", "false")
    );
    assert_eq!(values["LastName"], "Berg", "names of linked records belong to the CRM");
    for result in &results[1..] {
        assert_eq!(failed(result).class, ErrorClass::Gone, "{result:?}");
    }
}

#[tokio::test]
async fn a_merged_contact_is_followed() {
    let rig = Rig::start().await;
    let made = rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    let (old, winner) = (written(&made[0]).0, rig.make("Contact", json!({"LastName": "Winner"})).await);
    rig.person(Method::POST, &format!("Contact/{winner}/merge"), json!({"losers": [old]})).await;
    let results = rig.crm.upsert_contacts(&[linked(1, &old)]).await.unwrap();
    assert_eq!(written(&results[0]), (winner.clone(), false));
    assert_eq!(rig.record("Contact", &winner).values["Ponte_Id__c"], person(1, None).person.to_string());
}

#[tokio::test]
async fn an_id_that_sits_on_another_record_does_not_stop_the_linked_one() {
    let rig = Rig::start().await;
    rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    let other = rig.make("Contact", json!({"LastName": "ByHand"})).await;
    let row = mapped(linked(1, &other), &[("Title", json!("x"))]);
    let results = rig.crm.upsert_contacts(&[row]).await.unwrap();
    assert_eq!(written(&results[0]), (other.clone(), false));
    assert_eq!(rig.record("Contact", &other).values["Title"], "x");
}

#[tokio::test]
async fn one_bad_row_does_not_fail_its_batch() {
    let rig = Rig::start().await;
    let mut rows: Vec<ContactWrite> = (0..60).map(|n| person(n, Some(&format!("1650555{n:04}")))).collect();
    rows[13] = mapped(rows[13].clone(), &[("Email", json!("no address"))]);
    rows[14] = mapped(rows[14].clone(), &[("Birthdate", json!("tomorrow"))]);
    let results = rig.crm.upsert_contacts(&rows).await.unwrap();
    for (n, result) in results.iter().enumerate() {
        match n {
            13 => {
                let error = failed(result);
                assert_eq!((&error.class, error.detail.as_deref()), (&ErrorClass::Permanent, Some("fields=Email")));
            }
            14 => assert_eq!(failed(result).class, ErrorClass::Permanent),
            _ => assert!(written(result).1),
        }
    }
}

/// The same e-mail address is a duplicate, in the words of this org's rule.
fn strict(action: DuplicateAction) -> Config {
    let rule = DuplicateRule { name: "Strict".into(), object: "Contact".into(), fields: vec!["Email".into()], action };
    Config { duplicate_rules: vec![rule], ..Config::default() }
}

fn mailed(n: u128, phone: &str) -> ContactWrite {
    mapped(person(n, Some(phone)), &[("Email", json!(format!("p{n}@example.org")))])
}

#[tokio::test]
async fn what_a_duplicate_rule_finds_is_adopted_unless_it_is_somebody_else() {
    let rig = Rig::with(strict(DuplicateAction::Alert), |_| {}).await;
    let same = rig.make("Contact", json!({"LastName": "Souza1", "Email": "p1@example.org"})).await;
    let other =
        rig.make("Contact", json!({"LastName": "Souza2", "Phone": "+49 30 1234567", "Email": "p2@example.org"})).await;
    let results = rig.crm.upsert_contacts(&[mailed(1, "16505551234"), mailed(2, "16505559999")]).await.unwrap();
    assert_eq!(written(&results[0]), (same.clone(), false));
    assert_eq!(rig.record("Contact", &same).values["MobilePhone"], "+16505551234");
    let (id, created) = written(&results[1]);
    assert!(created && id != other, "another number: another person");
}

#[tokio::test]
async fn a_rule_that_blocks_fails_the_row_and_other_settings_are_obeyed() {
    let rig = Rig::with(strict(DuplicateAction::Block), |_| {}).await;
    rig.make("Contact", json!({"LastName": "Souza2", "Phone": "+49 30 1234567", "Email": "p2@example.org"})).await;
    let results = rig.crm.upsert_contacts(&[mailed(2, "16505559999")]).await.unwrap();
    assert_eq!(
        (&failed(&results[0]).class, failed(&results[0]).code.as_str()),
        (&ErrorClass::Permanent, "DUPLICATES_DETECTED")
    );

    for (setting, made) in [(SalesforceDuplicates::Save, true), (SalesforceDuplicates::Refuse, false)] {
        let rig = Rig::with(strict(DuplicateAction::Alert), |c| c.duplicates = setting).await;
        rig.make("Contact", json!({"LastName": "Souza1", "Email": "p1@example.org"})).await;
        let results = rig.crm.upsert_contacts(&[mailed(1, "16505559999")]).await.unwrap();
        assert_eq!(matches!(results[0], RowResult::Written { created: true, .. }), made, "{setting:?}");
    }
}

#[tokio::test]
async fn leads_are_made_and_a_converted_one_is_followed_to_its_contact() {
    let rig = Rig::with(Config::default(), |c| c.object = SalesforceObject::Lead).await;
    rig.crm.prepare().await.unwrap();
    let there = rig.make("Contact", json!({"LastName": "Customer", "Phone": "+16505550002"})).await;
    let rows = [
        mapped(person(1, Some("16505550001")), &[("Company", json!("Acme"))]),
        person(2, Some("16505550002")),
        person(3, Some("16505550003")),
    ];
    let results = rig.crm.upsert_contacts(&rows).await.unwrap();
    let lead = written(&results[0]).0;
    assert!(lead.starts_with("00Q") && written(&results[2]).0.starts_with("00Q"));
    assert_eq!(written(&results[1]), (there, false), "a known customer's contact is adopted");
    assert_eq!(rig.record("Lead", &lead).values["Company"], "Acme");

    let converted = rig.person(Method::POST, &format!("Lead/{lead}/convert"), Value::Null).await;
    let contact = converted["contactId"].as_str().unwrap().to_owned();
    // Linked still to the lead.
    let row = mapped(linked(1, &lead), &[("Company", json!("Acme 2")), ("Title", json!("Dr"))]);
    let results = rig.crm.upsert_contacts(&[row]).await.unwrap();
    assert_eq!(written(&results[0]), (contact.clone(), false));
    assert_eq!(rig.record("Contact", &contact).values["Title"], "Dr");
    // And without a link: found by our id.
    let results = rig.crm.upsert_contacts(&[person(1, Some("16505550001"))]).await.unwrap();
    assert_eq!(written(&results[0]), (contact, false));
    assert_eq!(rig.org.records("Lead").len(), 2, "none was made anew");
}

#[tokio::test]
async fn a_lead_converted_before_its_contact_got_our_id_is_found_by_our_id() {
    let rig = Rig::with(Config::default(), |c| c.object = SalesforceObject::Lead).await;
    let made = rig.crm.upsert_contacts(&[person(1, None)]).await.unwrap();
    let lead = written(&made[0]).0;
    let converted = rig.person(Method::POST, &format!("Lead/{lead}/convert"), Value::Null).await;
    let results = rig.crm.upsert_contacts(&[person(1, None)]).await.unwrap();
    assert_eq!(written(&results[0]), (converted["contactId"].as_str().unwrap().to_owned(), false));
}
