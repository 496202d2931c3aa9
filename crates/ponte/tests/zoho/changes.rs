//! Reading: all contacts, some, and what changed.

use crate::rig::{Rig, gone, ids, names, person, records};
use ponte_domain::crm::CrmChange;
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use ponte_simulator::zoho::Config;
use serde_json::json;
use std::collections::BTreeSet;

/// Reads until there is no more.
async fn all(crm: &ponte_crm::Zoho, cursor: &mut String) -> Vec<CrmChange> {
    let mut changes = Vec::new();
    loop {
        let some = crm.changes(&names(&["Last_Name"]), cursor).await.unwrap();
        *cursor = some.next;
        changes.extend(some.changes);
        if !some.more {
            return changes;
        }
    }
}

#[tokio::test]
async fn all_contacts_are_read_once_however_many() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    for _ in 0..5 {
        rig.person_makes((0..1_000).map(|n| json!({"Last_Name": format!("P{n}")})).collect()).await;
    }
    let (mut seen, mut after, calls) = (BTreeSet::new(), None, rig.calls());
    loop {
        let page = crm.contacts_page(&names(&["Last_Name"]), after.as_deref()).await.unwrap();
        for record in page.records {
            assert!(record.values[0].is_string() && seen.insert(record.id));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), rig.calls() - calls), (5_000, 3));
}

#[tokio::test]
async fn a_look_that_finds_nothing_costs_two_calls() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    rig.person_makes(vec![json!({"Last_Name": "Old"})]).await;
    rig.advance(600_000);
    let cursor = crm.cursor_now().await.unwrap();
    let calls = rig.calls();
    let found = crm.changes(&names(&["Last_Name", "Tag"]), &cursor).await.unwrap();
    assert_eq!((found.changes, found.more), (vec![], false));
    assert_eq!(rig.calls() - calls, 2);
}

#[tokio::test]
async fn thousands_that_changed_within_one_second_are_all_read() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let mut cursor = crm.cursor_now().await.unwrap();
    let mut made: BTreeSet<String> = BTreeSet::new();
    made.extend(rig.person_makes((0..150).map(|n| json!({"Last_Name": format!("A{n}")})).collect()).await);
    rig.advance(3_000);
    made.extend(rig.person_makes((0..5_000).map(|n| json!({"Last_Name": format!("B{n}")})).collect()).await);
    rig.advance(3_000);
    made.extend(rig.person_makes((0..10).map(|n| json!({"Last_Name": format!("C{n}")})).collect()).await);
    let changes = all(&crm, &mut cursor).await;
    let found = records(&changes);
    let seen: BTreeSet<String> = found.iter().map(|r| r.id.clone()).collect();
    assert_eq!(seen, made);
    assert_eq!(found.len(), made.len(), "each once within a round");
    assert!(found.windows(2).all(|w| w[0].modified_at <= w[1].modified_at), "oldest first");
}

#[tokio::test]
async fn a_contact_that_changes_while_it_is_read_is_not_lost() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let mut cursor = crm.cursor_now().await.unwrap();
    let made = rig.person_makes((0..500).map(|n| json!({"Last_Name": format!("A{n}")})).collect()).await;
    let page = crm.changes(&names(&["Last_Name"]), &cursor).await.unwrap();
    assert!(page.more);
    let read: Vec<String> = records(&page.changes).iter().map(|r| r.id.clone()).collect();
    rig.advance(2_000);
    // One that was read and one that wasn't.
    let unread = made.iter().find(|id| !read.contains(id)).unwrap();
    for id in [&read[0], unread] {
        rig.person_changes(id, json!({"Last_Name": "Changed"})).await;
    }
    cursor = page.next;
    let rest = all(&crm, &mut cursor).await;
    for id in [&read[0], unread] {
        let newest = records(&rest).into_iter().rfind(|r| r.id == **id).unwrap();
        assert_eq!(newest.values[0], "Changed");
    }
}

#[tokio::test]
async fn deletions_merges_and_conversions_are_followed() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let ours =
        ids(&crm.upsert_contacts(&[person(1, Some("5511987654321")), person(2, Some("5511987654322"))]).await.unwrap());
    let winner = rig.person_makes(vec![json!({"Last_Name": "Winner"})]).await.remove(0);
    rig.advance(600_000);
    let mut cursor = crm.cursor_now().await.unwrap();
    rig.person("DELETE", &format!("records/Contacts/{}", ours[0]), json!({})).await;
    rig.person("POST", "merge/Contacts", json!({"master": winner, "losers": [ours[1]]})).await;
    let lead = json!({"records": [{"Last_Name": "Lead", "Company": "Zylker", "Mobile": "+5511987654323"}]});
    let lead = rig.person("POST", "records/Leads", lead).await["ids"][0].as_str().unwrap().to_owned();
    let url = format!("{}/crm/v8/Leads/{lead}/actions/convert", rig.zoho.base_url());
    let answer = reqwest::Client::new().post(url).header("authorization", "Zoho-oauthtoken 1000.sim-static-token");
    let answer = answer.json(&json!({"data": [{}]})).send().await.unwrap();
    assert!(answer.status().is_success());
    let changes = all(&crm, &mut cursor).await;
    let lost: BTreeSet<String> = gone(&changes).into_iter().collect();
    assert_eq!(lost, ours.iter().cloned().collect());
    let seen: Vec<&str> = records(&changes).iter().filter_map(|r| r.values[0].as_str()).collect();
    assert_eq!(seen, ["Winner", "Lead"]);
    let merged = records(&changes).into_iter().find(|r| r.id == winner).unwrap();
    assert_eq!(merged.person, Some(person(2, None).person), "the winner bears our id now");
    assert_eq!(crm.read_contacts(&ours, &[]).await.unwrap(), [None, None]);
    // Matched again: by our id, by number.
    let again =
        crm.upsert_contacts(&[person(2, Some("5511987654322")), person(3, Some("5511987654323"))]).await.unwrap();
    let converted = records(&changes).into_iter().find(|r| r.values[0] == "Lead").unwrap();
    assert_eq!(ids(&again), [winner, converted.id.clone()]);
    // Told again while rounds overlap, and then no more.
    rig.advance(900_000);
    all(&crm, &mut cursor).await;
    assert_eq!(all(&crm, &mut cursor).await, vec![]);
}

#[tokio::test]
async fn some_are_read_in_the_order_asked_for() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let mut made = rig.person_makes((0..120).map(|n| json!({"Last_Name": format!("A{n}")})).collect()).await;
    made.reverse();
    made.insert(60, "999999999".to_owned());
    let read = crm.read_contacts(&made, &names(&["Last_Name", "Account_Name"])).await.unwrap();
    assert!(read.iter().zip(&made).all(|(r, id)| r.as_ref().is_none_or(|r| r.id == *id)));
    assert_eq!(read.iter().filter(|r| r.is_none()).count(), 1);
}

#[tokio::test]
async fn an_old_or_foreign_cursor_is_refused_as_gone() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let cursor = crm.cursor_now().await.unwrap();
    for (days, cursor) in [(0, "{}"), (0, "nonsense"), (70, cursor.as_str())] {
        (0..days).for_each(|_| rig.advance(86_400_000));
        assert_eq!(crm.changes(&[], cursor).await.unwrap_err().class, ErrorClass::Gone);
    }
}
