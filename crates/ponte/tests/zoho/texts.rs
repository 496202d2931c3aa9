//! Messages: in the module, or in notes; each once, its status in place.

use crate::rig::{Rig, START, ids, message, person};
use ponte_crm::zoho::{MessagesIn, Workflows};
use ponte_domain::crm::{MessageWrite, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use ponte_simulator::zoho::{Config, Faults, Limits};
use serde_json::json;

const MODULE: &str = "Ponte_WhatsApp_Messages";

fn read(mut message: MessageWrite) -> MessageWrite {
    message.stamps.delivered = Some(START + 1_000);
    message.stamps.read = Some(START + 2_000);
    message
}

#[tokio::test]
async fn a_message_is_one_record_whose_status_changes() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let contact = ids(&crm.upsert_contacts(&[person(1, None)]).await.unwrap()).remove(0);
    let rows: Vec<MessageWrite> = (1..=100).map(|n| message(n, &contact)).collect();
    let first = crm.write_messages(&rows).await.unwrap();
    assert!(first.iter().all(|r| matches!(r, RowResult::Written { created: true, .. })));
    let there = ids(&first);
    let again: Vec<MessageWrite> =
        rows.iter().zip(&there).map(|(m, id)| MessageWrite { crm_id: Some(id.clone()), ..read(m.clone()) }).collect();
    assert_eq!(ids(&crm.write_messages(&again).await.unwrap()), there);
    // Without the link, as after a lost answer: still the same records.
    let lost: Vec<MessageWrite> =
        again.iter().map(|m| MessageWrite { crm_id: None, uncertain: true, ..m.clone() }).collect();
    assert_eq!(ids(&crm.write_messages(&lost).await.unwrap()), there);
    let records = rig.zoho.records(MODULE);
    assert_eq!(records.len(), 100);
    let one = &records[6].fields;
    assert_eq!(
        (&one["Body"], &one["Status"], &one["Direction"]),
        (&json!("hello 7"), &json!("read"), &json!("outbound"))
    );
    assert_eq!((&one["Contact"]["id"], &one["Read_Time"]), (&json!(contact), &json!("2026-11-23T02:30:02+00:00")));
    assert_eq!(rig.zoho.duplicates(MODULE, "Message_Id").unwrap().sharing, 0);
    assert_eq!(rig.zoho.stats().workflows_run, 300, "rules about messages run, rules about contacts don't");
    rig.nothing_refused();
    let mut config = rig.config.clone();
    config.run_workflows = Workflows::Never;
    ids(&rig.crm_with(config).write_messages(&again).await.unwrap());
    assert_eq!(rig.zoho.stats().workflows_run, 300);
}

#[tokio::test]
async fn a_contact_that_is_gone_is_told_per_row() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let contacts = ids(&crm.upsert_contacts(&[person(1, None), person(2, None)]).await.unwrap());
    rig.person("DELETE", &format!("records/Contacts/{}", contacts[0]), json!({})).await;
    let rows = [message(1, &contacts[0]), message(2, &contacts[1]), message(3, "")];
    let results = crm.write_messages(&rows).await.unwrap();
    for gone in [&results[0], &results[2]] {
        match gone {
            RowResult::Failed(error) => {
                assert_eq!((&error.class, error.code.as_str()), (&ErrorClass::Gone, "contact_gone"))
            }
            other => panic!("{other:?}"),
        }
    }
    ids(&results[1..2]);
}

#[tokio::test]
async fn where_no_module_can_be_made_notes_hold_the_messages() {
    let limits = Limits { custom_modules: 0, ..Limits::default() };
    let rig = Rig::start(Config { limits, ..Config::default() }).await;
    let crm = rig.ready().await;
    assert!(!crm.capabilities().message_upsert);
    let contact = ids(&crm.upsert_contacts(&[person(1, None)]).await.unwrap()).remove(0);
    let there = ids(&crm.write_messages(&[message(1, &contact), message(2, &contact)]).await.unwrap());
    let update = MessageWrite { crm_id: Some(there[0].clone()), ..read(message(1, &contact)) };
    assert_eq!(ids(&crm.write_messages(&[update]).await.unwrap()), there[..1]);
    let notes = rig.zoho.records("Notes");
    assert_eq!(notes.len(), 2);
    let text = notes[0].fields["Note_Content"].as_str().unwrap();
    assert!(text.starts_with("hello 1") && text.contains("👁 read 2026-11-23T02:30:02+00:00"), "{text}");
    assert_eq!(notes[0].fields["Parent_Id"]["id"], contact);

    // The answer gets lost, and the note is found again by its mark.
    rig.zoho.set_faults(Faults { reset_after_apply: 1.0, ..Faults::default() });
    let results = crm.write_messages(&[message(3, &contact)]).await.unwrap();
    assert!(matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::UnknownOutcome), "{results:?}");
    rig.zoho.set_faults(Faults::default());
    let uncertain = MessageWrite { uncertain: true, ..message(3, &contact) };
    ids(&crm.write_messages(&[uncertain]).await.unwrap());
    assert_eq!(rig.zoho.records("Notes").len(), 3);
    // A note that somebody deleted comes back with its next status.
    rig.person("DELETE", &format!("records/Notes/{}", there[0]), json!({})).await;
    let update = MessageWrite { crm_id: Some(there[0].clone()), ..read(message(1, &contact)) };
    assert_ne!(ids(&crm.write_messages(&[update]).await.unwrap()), there[..1]);
    assert_eq!(rig.zoho.records("Notes").len(), 3);
    rig.person("DELETE", &format!("records/Contacts/{contact}"), json!({})).await;
    match &crm.write_messages(&[message(4, &contact)]).await.unwrap()[0] {
        RowResult::Failed(error) => assert_eq!(error.code, "contact_gone"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn where_the_module_is_a_must_its_absence_is_told() {
    let limits = Limits { custom_modules: 0, ..Limits::default() };
    let rig = Rig::start(Config { limits, ..Config::default() }).await;
    let mut config = rig.config.clone();
    config.messages = MessagesIn::Module;
    assert_eq!(rig.crm_with(config.clone()).prepare().await.unwrap_err().class, ErrorClass::Configuration);
    config.messages = MessagesIn::Notes;
    rig.crm_with(config).prepare().await.unwrap();
}
