//! Messages, and the fields that everything needs.

use crate::rig::{Rig, failed, message, person, written};
use ponte_crm::salesforce::SalesforceMessages;
use ponte_domain::crm::{CrmChoice, CrmField, CrmKind, MessageWrite};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm as _;
use ponte_simulator::salesforce::{Config, Flags};
use reqwest::Method;
use serde_json::{Value, json};

const MESSAGE: &str = "Ponte_WhatsApp_Message__c";

#[tokio::test]
async fn a_message_is_one_record_and_its_status_changes_in_place() {
    let rig = Rig::start().await;
    rig.crm.prepare().await.unwrap();
    assert!(rig.crm.capabilities().message_upsert);
    let made = rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    let contact = written(&made[0]).0;
    let mut sent = MessageWrite { inbound: false, ..message(1, &contact) };
    sent.stamps.sent = Some(sent.at + 1_000);
    let first = rig.crm.write_messages(&[sent.clone(), message(2, &contact)]).await.unwrap();
    let (id, created) = written(&first[0]);
    assert!(created);
    let values = &rig.record(MESSAGE, &id).values;
    assert_eq!((values["Status__c"].as_str(), values["Direction__c"].as_str()), ("sent", "outbound"));
    assert_eq!((values["Contact__c"].as_str(), values["Body__c"].as_str()), (contact.as_str(), "hello 1"));

    sent.stamps.read = Some(sent.at + 60_000);
    for crm_id in [None, Some(id.clone())] {
        sent.crm_id = crm_id;
        sent.uncertain = true;
        let again = rig.crm.write_messages(&[sent.clone()]).await.unwrap();
        assert_eq!(written(&again[0]), (id.clone(), false));
    }
    let values = &rig.record(MESSAGE, &id).values;
    assert_eq!((values["Status__c"].as_str(), values["Read_At__c"].as_str()), ("read", "2026-11-23T02:31:00.000Z"));
    assert_eq!(rig.org.records(MESSAGE).len(), 2);
}

#[tokio::test]
async fn a_message_to_a_gone_contact_says_so_and_the_others_are_written() {
    let rig = Rig::start().await;
    let there = rig.make("Contact", json!({"LastName": "There"})).await;
    let gone = rig.make("Contact", json!({"LastName": "Gone"})).await;
    rig.person(Method::DELETE, &format!("Contact/{gone}"), Value::Null).await;
    let rows = [message(1, &gone), message(2, &there), message(3, ""), message(4, "0035g00000000ZZ")];
    for mode in [SalesforceMessages::Object, SalesforceMessages::Task] {
        let crm = rig.another(crate::rig::app(), |c| c.messages = mode);
        let results = crm.write_messages(&rows).await.unwrap();
        written(&results[1]);
        for n in [0, 2, 3] {
            let error = failed(&results[n]);
            assert_eq!((&error.class, error.code.as_str()), (&ErrorClass::Gone, "contact_gone"), "{mode:?} {n}");
        }
    }
}

#[tokio::test]
async fn long_texts_are_cut_and_odd_ones_kept() {
    let rig = Rig::start().await;
    let contact = rig.make("Contact", json!({"LastName": "There"})).await;
    let long = MessageWrite { text: Some("é".repeat(70_000)), ..message(1, &contact) };
    let odd = MessageWrite { text: Some("a'b\\c\u{1}\n<b>".into()), kind: "image".into(), ..message(2, &contact) };
    let results = rig.crm.write_messages(&[long, odd]).await.unwrap();
    assert_eq!(rig.record(MESSAGE, &written(&results[0]).0).values["Body__c"].chars().count(), 32_000);
    assert_eq!(rig.record(MESSAGE, &written(&results[1]).0).values["Body__c"], "[image] a'b\\c \n<b>");
}

#[tokio::test]
async fn without_the_object_messages_are_tasks_and_an_uncertain_one_is_looked_for() {
    let rig = Rig::bare(Config::default(), |_| {}).await;
    rig.crm.prepare().await.unwrap();
    assert!(!rig.crm.capabilities().message_upsert);
    let made = rig.crm.upsert_contacts(&[person(1, Some("16505551234"))]).await.unwrap();
    let contact = written(&made[0]).0;
    let mut sent = MessageWrite { inbound: false, ..message(1, &contact) };
    let first = rig.crm.write_messages(&[sent.clone(), message(2, &contact)]).await.unwrap();
    let (id, created) = written(&first[0]);
    assert!(created);
    let values = rig.record("Task", &id).values;
    assert_eq!((values["Status"].as_str(), values["WhoId"].as_str()), ("Completed", contact.as_str()));
    assert_eq!((values["ActivityDate"].as_str(), values["Description"].as_str()), ("2026-11-23", "hello 1"));
    // It may have been made: it is found.
    sent.uncertain = true;
    sent.stamps.delivered = Some(sent.at);
    let results = rig
        .crm
        .write_messages(&[sent.clone(), MessageWrite { uncertain: true, ..message(3, &contact) }])
        .await
        .unwrap();
    assert_eq!((written(&results[0]), written(&results[1]).1), ((id.clone(), false), true));
    assert!(rig.record("Task", &id).values["Description"].contains("delivered 2026-11-23T02:30:00Z"));
    sent.crm_id = Some(id.clone());
    sent.stamps.read = Some(sent.at);
    rig.crm.write_messages(&[sent.clone()]).await.unwrap();
    assert!(rig.record("Task", &id).values["Subject"].starts_with("WhatsApp sent (read): hello 1 [msg_"));
    assert_eq!(rig.org.records("Task").len(), 3);
    rig.person(Method::DELETE, &format!("Task/{id}"), Value::Null).await;
    let results = rig.crm.write_messages(&[sent]).await.unwrap();
    assert_eq!(failed(&results[0]).code, "message_gone");
}

#[tokio::test]
async fn missing_fields_are_made_where_the_user_may_and_told_where_not() {
    let rig = Rig::bare(Config::default(), |_| {}).await;
    rig.crm.prepare().await.unwrap();
    rig.crm.prepare().await.unwrap();
    let flags = Flags { customize_application: false, ..Flags::default() };
    let rig = Rig::bare(Config { flags, ..Config::default() }, |_| {}).await;
    let error = rig.crm.prepare().await.unwrap_err();
    assert_eq!((&error.class, error.code.as_str()), (&ErrorClass::Configuration, "package_missing"));
    assert!(error.detail.unwrap().contains("Ponte_Id__c"));
}

#[tokio::test]
async fn fields_of_every_kind_are_made_once_and_read_back() {
    let rig = Rig::start().await;
    let choice = |v: &str| CrmChoice { value: v.into(), label: v.into() };
    let kinds = [
        CrmKind::Text,
        CrmKind::LongText,
        CrmKind::Number,
        CrmKind::Boolean,
        CrmKind::Date,
        CrmKind::Moment,
        CrmKind::Choice,
        CrmKind::MultiChoice,
        CrmKind::Phone,
        CrmKind::Email,
        CrmKind::Url,
    ];
    let fields: Vec<CrmField> = kinds
        .iter()
        .map(|kind| CrmField {
            choices: if matches!(kind, CrmKind::Choice | CrmKind::MultiChoice) {
                vec![choice("a"), choice("b")]
            } else {
                vec![]
            },
            ..CrmField::new(format!("Made_{kind:?}__c"), *kind)
        })
        .collect();
    rig.crm.create_fields(&fields).await.unwrap();
    rig.crm.create_fields(&fields).await.unwrap();
    let there = rig.crm.contact_fields().await.unwrap();
    for field in &fields {
        let found = there.iter().find(|f| f.name == field.name).unwrap_or_else(|| panic!("no {}", field.name));
        assert_eq!((found.kind, found.writable, found.choices.len()), (field.kind, true, field.choices.len()));
    }
    assert!(there.iter().all(|f| !f.name.starts_with("Ponte_")), "our own are nobody's to map");
    assert!(there.iter().find(|f| f.name == "LastName").unwrap().required);
    let error = rig.crm.create_fields(&[CrmField::new("birthday", CrmKind::Date)]).await.unwrap_err();
    assert_eq!(error.code, "field_name");
    let row = |fields: Value| ponte_domain::crm::ContactWrite {
        fields: serde_json::from_value(fields).unwrap(),
        ..person(1, Some("16505551234"))
    };
    let values = json!({"Made_Text__c": "x", "Made_Number__c": 1.5, "Made_Boolean__c": true, "Made_Date__c": "2026-11-23",
        "Made_Moment__c": "2026-11-23T02:30:00.000Z", "Made_MultiChoice__c": ["b", "a"], "Made_Choice__c": "a"});
    let made = rig.crm.upsert_contacts(&[row(values.clone())]).await.unwrap();
    let names: Vec<String> = values.as_object().unwrap().keys().cloned().collect();
    let read = rig.crm.read_contacts(&[written(&made[0]).0], &names).await.unwrap();
    let read: serde_json::Map<String, Value> = names.into_iter().zip(read[0].clone().unwrap().values).collect();
    let mut wanted = values;
    wanted["Made_MultiChoice__c"] = json!("a;b");
    assert_eq!(Value::Object(read), wanted);
}
