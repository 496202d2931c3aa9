//! Contacts: made, adopted, updated, each once.

use crate::rig::{Rig, ids, names, person, with};
use ponte_domain::crm::{CrmField, CrmKind, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use ponte_simulator::zoho::{Config, Faults, Flags};
use serde_json::{Value, json};

#[tokio::test]
async fn everything_needed_is_made_once() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.crm();
    crm.prepare().await.unwrap();
    let calls = rig.calls();
    crm.prepare().await.unwrap();
    assert_eq!(rig.calls() - calls, 3, "the second time only looks");
    assert!(crm.capabilities().message_upsert);
    let fields = crm.contact_fields().await.unwrap();
    assert!(fields.iter().all(|f| !f.name.starts_with("Ponte_") && f.name != "id"));
    let field = |name: &str| fields.iter().find(|f| f.name == name).unwrap();
    assert_eq!((field("Mobile").kind, field("Mobile").max_chars), (CrmKind::Phone, Some(30)));
    assert_eq!((field("Last_Name").required, field("Last_Name").usual), (true, true));
    assert_eq!((field("Owner").kind, field("Tag").kind), (CrmKind::Reference, CrmKind::Tags));
    assert!(!field("Modified_Time").writable && field("Tag").writable);
    assert!(field("Lead_Source").choices.iter().any(|c| c.value == "WhatsApp"));
    rig.nothing_refused();
}

#[tokio::test]
async fn fields_of_every_kind_are_made_and_take_their_values() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let kinds = [
        ("Opt_Text", CrmKind::Text, json!("x")),
        ("Opt_Long", CrmKind::LongText, json!("x\ny")),
        ("Opt_Number", CrmKind::Number, json!(1.5)),
        ("Opt_In", CrmKind::Boolean, json!(true)),
        ("Opt_Day", CrmKind::Date, json!("2026-01-31")),
        ("Opt_Moment", CrmKind::Moment, json!("2026-01-31T08:00:00Z")),
        ("Opt_Choice", CrmKind::Choice, json!("b")),
        ("Opt_Choices", CrmKind::MultiChoice, json!(["a", "b"])),
        ("Opt_Phone", CrmKind::Phone, json!("+16505551234")),
        ("Opt_Email", CrmKind::Email, json!("a@b.example")),
        ("Opt_Url", CrmKind::Url, json!("https://b.example")),
    ];
    let choice = |v: &str| ponte_domain::crm::CrmChoice { value: v.into(), label: v.into() };
    let field = |(name, kind, _): &(&str, CrmKind, Value)| CrmField {
        choices: if matches!(kind, CrmKind::Choice | CrmKind::MultiChoice) {
            vec![choice("a"), choice("b")]
        } else {
            vec![]
        },
        ..CrmField::new(*name, *kind)
    };
    let fields: Vec<CrmField> = kinds.iter().map(field).collect();
    crm.create_fields(&fields).await.unwrap();
    crm.create_fields(&fields).await.unwrap();
    let there = crm.contact_fields().await.unwrap();
    for (name, kind, _) in &kinds {
        assert_eq!(there.iter().find(|f| f.name == *name).map(|f| f.kind), Some(*kind), "{name}");
    }
    let values: Vec<(&str, Value)> = kinds.iter().map(|(name, _, value)| (*name, value.clone())).collect();
    let id = ids(&crm.upsert_contacts(&[with(person(1, None), &values)]).await.unwrap()).remove(0);
    let wanted = names(&kinds.clone().map(|(name, ..)| name));
    let read = crm.read_contacts(std::slice::from_ref(&id), &wanted).await.unwrap().remove(0).unwrap();
    let expected: Vec<Value> = kinds
        .iter()
        .map(
            |(_, kind, value)| {
                if *kind == CrmKind::Moment { json!("2026-01-31T08:00:00+00:00") } else { value.clone() }
            },
        )
        .collect();
    assert_eq!(read.values, expected);
    // And emptied again.
    let empty: Vec<(&str, Value)> = kinds.iter().map(|(name, ..)| (*name, Value::Null)).collect();
    let mut row = with(person(1, None), &empty);
    row.crm_id = Some(id.clone());
    ids(&crm.upsert_contacts(&[row]).await.unwrap());
    let read = crm.read_contacts(&[id], &wanted).await.unwrap().remove(0).unwrap();
    assert!(read.values.iter().all(|v| v.is_null() || *v == json!(false)), "{read:?}");
    rig.nothing_refused();
}

#[tokio::test]
async fn people_are_adopted_by_number_or_made_and_never_doubled() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let there = rig
        .person_makes(vec![
            json!({"Last_Name": "Plain", "Mobile": "+5511987654321", "Title": "Dr"}),
            json!({"Last_Name": "Spaced", "Phone": "(11) 98765-4322"}),
            json!({"Last_Name": "Old", "Phone": "+52 55 1234 5678"}),
            json!({"Last_Name": "Foreign", "Mobile": "+351 11987654323"}),
        ])
        .await;
    let rows = [
        with(person(1, Some("5511987654321")), &[("Title", json!("Boss"))]),
        person(2, Some("5511987654322")),
        person(3, Some("5215512345678")),
        with(person(4, Some("5511987654323")), &[("Title", json!("New")), ("Email", Value::Null)]),
        person(5, None),
    ];
    let results = crm.upsert_contacts(&rows).await.unwrap();
    let written = ids(&results);
    assert_eq!(written[..3], there[..3], "adopted");
    let created: Vec<bool> = results.iter().map(|r| matches!(r, RowResult::Written { created: true, .. })).collect();
    assert_eq!(created, [false, false, false, true, true]);
    assert_eq!(ids(&crm.upsert_contacts(&rows).await.unwrap()), written, "again is the same");
    assert_eq!(rig.contacts().len(), 6);
    let first = rig.contact(&written[0]);
    assert_eq!((&first.fields["Last_Name"], &first.fields["Mobile"]), (&json!("Plain"), &json!("+5511987654321")));
    assert_eq!(first.fields["Ponte_Id"], rows[0].person.to_string());
    assert_eq!(rig.contact(&written[1]).fields.get("Mobile"), Some(&json!("+5511987654322")), "the number is added");
    let made = rig.contact(&written[3]);
    assert_eq!((&made.fields["First_Name"], &made.fields["Last_Name"]), (&json!("Ana"), &json!("Souza 4")));
    assert_eq!((&made.fields["Mobile"], &made.fields["Title"]), (&json!("+5511987654323"), &json!("New")));
    assert_eq!(rig.zoho.duplicates("Contacts", "Ponte_Id").unwrap().sharing, 0);
    assert_eq!(rig.zoho.stats().workflows_run, 0);
    rig.nothing_refused();
}

#[tokio::test]
async fn an_adopted_contact_keeps_its_own_values_until_it_is_linked() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let id = rig
        .person_makes(vec![json!({"Last_Name": "Plain", "Mobile": "+5511987654321", "Title": "Dr"})])
        .await
        .remove(0);
    let mut row = with(person(1, Some("5511987654321")), &[("Title", json!("Boss")), ("Tag", json!(["vip"]))]);
    assert_eq!(ids(&crm.upsert_contacts(&[row.clone()]).await.unwrap()), [id.as_str()]);
    let contact = rig.contact(&id);
    assert_eq!((&contact.fields["Title"], contact.fields.get("Tag")), (&json!("Dr"), Some(&json!([]))));
    row.crm_id = Some(id.clone());
    ids(&crm.upsert_contacts(&[row]).await.unwrap());
    let contact = rig.contact(&id);
    assert_eq!((&contact.fields["Title"], &contact.fields["Tag"][0]["name"]), (&json!("Boss"), &json!("vip")));
    assert_eq!(contact.fields["Last_Name"], "Plain", "names stay");
}

#[tokio::test]
async fn a_contact_made_a_moment_ago_is_found_though_search_lags() {
    let flags = Flags { search_lag_ms: 60_000, ..Flags::default() };
    let rig = Rig::start(Config { flags, ..Config::default() }).await;
    let crm = rig.ready().await;
    let id = rig.person_makes(vec![json!({"Last_Name": "Fresh", "Phone": "5511987654321"})]).await.remove(0);
    assert_eq!(ids(&crm.upsert_contacts(&[person(1, Some("5511987654321"))]).await.unwrap()), [id]);
}

#[tokio::test]
async fn two_people_with_one_number_do_not_both_take_the_contact() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    rig.person_makes(vec![json!({"Last_Name": "One", "Mobile": "+16505551234"})]).await;
    let (one, two) = ([person(1, Some("16505551234"))], [person(2, Some("16505551234"))]);
    let (a, b) = tokio::join!(crm.upsert_contacts(&one), crm.upsert_contacts(&two));
    let mut written: Vec<RowResult> = [a.unwrap(), b.unwrap()].concat();
    // Whoever met the other's claim comes again.
    if written.iter().any(|r| matches!(r, RowResult::Failed(e) if e.code == "being_adopted")) {
        written = [crm.upsert_contacts(&one).await.unwrap(), crm.upsert_contacts(&two).await.unwrap()].concat();
    }
    let both = ids(&written);
    assert_ne!(both[0], both[1]);
    assert_eq!(rig.contacts().len(), 2);
}

#[tokio::test]
async fn a_unique_value_of_another_contact_adopts_it_or_is_left_out() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let unique = CrmField { unique: true, ..CrmField::new("VAT", CrmKind::Text) };
    crm.create_fields(&[unique]).await.unwrap();
    let free = rig.person_makes(vec![json!({"Last_Name": "Free", "VAT": "1"})]).await.remove(0);
    let ours = ids(&crm.upsert_contacts(&[with(person(1, None), &[("VAT", json!("2"))])]).await.unwrap()).remove(0);
    let rows = [
        with(person(2, None), &[("VAT", json!("1")), ("Title", json!("Dr"))]),
        with(person(3, None), &[("VAT", json!("2")), ("Title", json!("Dr"))]),
    ];
    let written = ids(&crm.upsert_contacts(&rows).await.unwrap());
    assert_eq!(written[0], free);
    assert!(rig.contact(&free).fields.get("Title").is_none(), "adopted: it keeps its own");
    assert!(written[1] != ours && rig.contact(&written[1]).fields["Title"] == "Dr");
    assert!(rig.contact(&written[1]).fields.get("VAT").is_none());
    // A linked one is told the conflict: which of the two is right is not ours to say.
    let mut linked = with(person(3, None), &[("VAT", json!("2"))]);
    linked.crm_id = Some(written[1].clone());
    match &crm.upsert_contacts(&[linked]).await.unwrap()[0] {
        RowResult::Failed(error) => assert_eq!(error.class, ErrorClass::Conflict { existing: Some(ours) }),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_row_has_its_own_result() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let there = rig.person_makes((0..3).map(|n| json!({"Last_Name": format!("P{n}")})).collect()).await;
    rig.person("PATCH", &format!("records/Contacts/{}", there[1]), json!({"guard": "locked"})).await;
    rig.person("DELETE", &format!("records/Contacts/{}", there[2]), json!({})).await;
    let linked = |n: u128, id: &str| {
        let mut row = person(n, None);
        row.crm_id = Some(id.to_owned());
        row
    };
    let rows = [
        linked(1, &there[0]),
        linked(2, &there[1]),
        linked(3, &there[2]),
        with(person(4, None), &[("Email", json!("no address"))]),
        with(person(5, None), &[("Tag", json!(["x".repeat(26)]))]),
    ];
    let results = crm.upsert_contacts(&rows).await.unwrap();
    let class = |n: usize| match &results[n] {
        RowResult::Failed(error) => error.class.clone(),
        RowResult::Written { .. } => panic!("{n} was written"),
    };
    assert_eq!(ids(&results[..1]), there[..1]);
    assert_eq!(class(1), ErrorClass::Retryable { after_ms: Some(2_000) });
    assert_eq!((class(2), class(3), class(4)), (ErrorClass::Gone, ErrorClass::Permanent, ErrorClass::Permanent));
}

#[tokio::test]
async fn only_the_difference_of_tags_is_touched() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let rows: Vec<_> = (1..=3).map(|n| with(person(n, None), &[("Tag", json!(["vip", "new"]))])).collect();
    let made = ids(&crm.upsert_contacts(&rows).await.unwrap());
    let tags = |id: &str| {
        let contact = rig.contact(id);
        let names = contact.fields["Tag"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned());
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert!(made.iter().all(|id| tags(id) == ["new", "vip"]));
    let calls = rig.calls();
    let linked = |n: u128, id: &str, tags: Value| {
        let mut row = with(person(n, None), &[("Tag", tags)]);
        row.crm_id = Some(id.to_owned());
        row
    };
    let same = linked(1, &made[0], json!(["New", "vip"]));
    ids(&crm.upsert_contacts(&[same]).await.unwrap());
    assert_eq!(rig.calls() - calls, 2, "the write, a look at the tags");
    ids(&crm.upsert_contacts(&[linked(2, &made[1], json!("vip;loyal"))]).await.unwrap());
    assert_eq!(tags(&made[1]), ["loyal", "vip"]);
    ids(&crm.upsert_contacts(&[linked(3, &made[2], json!([]))]).await.unwrap());
    assert_eq!(tags(&made[2]), [""; 0]);
    let read = crm.read_contacts(&made, &names(&["Tag", "Last_Name"])).await.unwrap();
    let first = |n: usize| read[n].as_ref().unwrap().values[0].clone();
    assert_eq!((first(0), first(1), first(2)), (json!(["new", "vip"]), json!(["vip", "loyal"]), Value::Null));
    rig.nothing_refused();
}

#[tokio::test]
async fn a_write_whose_answer_got_lost_is_repeated_without_doubling() {
    let rig = Rig::start(Config::default()).await;
    let crm = rig.ready().await;
    let rows: Vec<_> = (1..=30).map(|n| person(n, Some(&format!("55119876500{n:02}")))).collect();
    rig.zoho.set_faults(Faults { reset_after_apply: 1.0, ..Faults::default() });
    let results = crm.upsert_contacts(&rows).await.unwrap();
    assert!(
        results.iter().all(|r| matches!(r, RowResult::Failed(e) if matches!(e.class, ErrorClass::Retryable { .. })))
    );
    rig.zoho.set_faults(Faults::default());
    ids(&crm.upsert_contacts(&rows).await.unwrap());
    assert_eq!(rig.contacts().len(), 30);
    assert_eq!(rig.zoho.duplicates("Contacts", "Mobile").unwrap().sharing, 0);
}
