//! Everything goes wrong at times; afterwards both sides agree, nothing is doubled, nothing lost.

use crate::rig::{Rig, message, person};
use ponte_crm::salesforce::SalesforceMessages;
use ponte_domain::crm::{ContactWrite, CrmChange, MessageWrite, RowResult};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::crm::Crm as _;
use ponte_simulator::salesforce::{Config, Faults};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

fn weather() -> Faults {
    Faults {
        server_error: 0.1,
        server_error_after_apply: 0.1,
        reset_after_apply: 0.1,
        session_lost: 0.05,
        query_timeout: 0.1,
        row_lock: 0.1,
        row_failure: 0.1,
        ..Faults::default()
    }
}

/// What the lanes do: whatever may be tried again is; time passes meanwhile.
fn again(error: &CallError) -> bool {
    assert!(
        matches!(
            error.class,
            ErrorClass::Retryable { .. } | ErrorClass::UnknownOutcome | ErrorClass::Throttled { .. } | ErrorClass::Auth
        ),
        "{error:?}"
    );
    true
}

async fn storm(mode: SalesforceMessages) {
    let rig = Rig::with(Config::default(), |c| {
        c.messages = mode;
        c.batch = 25;
        c.request_timeout_ms = 2_000;
    })
    .await;
    rig.crm.prepare().await.unwrap();
    // A third is in the CRM already, without our id.
    for n in 0..40 {
        rig.make("Contact", json!({"LastName": format!("Known{n}"), "Phone": format!("+1 650 555 {n:04}")})).await;
    }
    let cursor = rig.crm.cursor_now().await.unwrap();
    rig.org.set_faults(weather());
    let people: Vec<ContactWrite> = (0..120).map(|n| person(n, Some(&format!("1650555{n:04}")))).collect();
    let mut links: HashMap<usize, String> = HashMap::new();
    let mut rounds = 0;
    while links.len() < people.len() {
        rounds += 1;
        assert!(rounds < 200, "{} of {}", links.len(), people.len());
        let open: Vec<usize> = (0..people.len()).filter(|n| !links.contains_key(n)).take(60).collect();
        let rows: Vec<ContactWrite> = open.iter().map(|n| people[*n].clone()).collect();
        match rig.crm.upsert_contacts(&rows).await {
            Ok(results) => {
                for (n, result) in open.into_iter().zip(results) {
                    match result {
                        RowResult::Written { crm_id, .. } => drop(links.insert(n, crm_id)),
                        RowResult::Failed(error) => assert!(again(&error)),
                    }
                }
            }
            Err(error) => assert!(again(&error)),
        }
        rig.advance(31_000);
    }
    let mut done: HashMap<usize, String> = HashMap::new();
    let mut uncertain = [false; 240];
    let texts: Vec<MessageWrite> = (0..240).map(|n| message(n as u128, &links[&(n % 120)])).collect();
    while done.len() < texts.len() {
        rounds += 1;
        assert!(rounds < 600, "{} of {}", done.len(), texts.len());
        let open: Vec<usize> = (0..texts.len()).filter(|n| !done.contains_key(n)).take(60).collect();
        let rows: Vec<MessageWrite> =
            open.iter().map(|n| MessageWrite { uncertain: uncertain[*n], ..texts[*n].clone() }).collect();
        let results = match rig.crm.write_messages(&rows).await {
            Ok(results) => results,
            Err(error) => rows.iter().map(|_| RowResult::Failed(error.clone())).collect(),
        };
        for (n, result) in open.into_iter().zip(results) {
            match result {
                RowResult::Written { crm_id, .. } => drop(done.insert(n, crm_id)),
                RowResult::Failed(error) => {
                    uncertain[n] |= error.class == ErrorClass::UnknownOutcome;
                    assert!(again(&error));
                }
            }
        }
        rig.advance(31_000);
    }
    // Changes are read in the same weather, page by page.
    let fields = ["LastName".to_owned(), "MobilePhone".to_owned()];
    let (mut cursor, mut seen) = (cursor, BTreeMap::new());
    loop {
        match rig.crm.changes(&fields, &cursor).await {
            Ok(page) => {
                cursor = page.next;
                seen.extend(page.changes.into_iter().filter_map(|c| match c {
                    CrmChange::Record(record) => Some((record.id.clone(), record)),
                    _ => None,
                }));
                if !page.more {
                    break;
                }
            }
            Err(error) => assert!(again(&error)),
        }
        rig.advance(31_000);
    }
    rig.org.set_faults(Faults::default());
    assert!(rig.org.stats().applied_unanswered > 0, "the weather was bad");
    let contacts = rig.org.records("Contact");
    assert_eq!(contacts.len(), 120, "none doubled, none missing");
    assert_eq!(rig.org.duplicates("Contact", "Ponte_Id__c").unwrap().sharing, 0);
    for contact in &contacts {
        let n = links.iter().find(|(_, id)| **id == contact.id).map(|(n, _)| *n).unwrap();
        assert_eq!(contact.values["Ponte_Id__c"], people[n].person.to_string());
        let read = &seen[&contact.id];
        let text = |name: &str| contact.values.get(name).map_or(Value::Null, |v| json!(v));
        assert_eq!(read.values, [text("LastName"), text("MobilePhone")]);
        assert_eq!(read.person, Some(people[n].person));
    }
    let object = if mode == SalesforceMessages::Task { "Task" } else { "Ponte_WhatsApp_Message__c" };
    assert_eq!(rig.org.records(object).len(), 240);
}

#[tokio::test]
async fn after_a_storm_every_person_and_message_is_there_once() {
    storm(SalesforceMessages::Auto).await;
}

#[tokio::test]
async fn after_a_storm_every_task_is_there_once() {
    storm(SalesforceMessages::Task).await;
}

#[tokio::test]
async fn two_writers_side_by_side_make_nobody_twice() {
    let rig = Rig::start().await;
    rig.crm.prepare().await.unwrap();
    let other = rig.another(crate::rig::app(), |_| {});
    let people: Vec<ContactWrite> = (0..100).map(|n| person(n, Some(&format!("1650555{n:04}")))).collect();
    let (a, b) = tokio::join!(rig.crm.upsert_contacts(&people), other.upsert_contacts(&people));
    let ids = |results: Vec<RowResult>| {
        results
            .into_iter()
            .map(|r| if let RowResult::Written { crm_id, .. } = r { Some(crm_id) } else { None })
            .collect::<Vec<_>>()
    };
    for (a, b) in ids(a.unwrap()).into_iter().zip(ids(b.unwrap())) {
        assert!(a.is_some() && b.is_some() && a == b);
    }
    assert_eq!(rig.org.records("Contact").len(), 100);
}
