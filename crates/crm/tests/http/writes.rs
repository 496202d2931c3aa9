//! Writing: contacts found, adopted and made, one by one and in batches; messages by our id.

use crate::shop::{Shop, message, person, written};
use ponte_domain::crm::{ContactWrite, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use serde_json::{Value, json};

fn with(mut row: ContactWrite, fields: &[(&str, Value)]) -> ContactWrite {
    row.fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    row
}

#[tokio::test]
async fn people_are_found_by_our_id_then_by_number_and_made_else() {
    let shop = Shop::open().await;
    shop.add(7, "+55 (11) 98765-4321", 0);
    let crm = shop.crm(json!({}));
    let rows = [
        with(person(1, Some("551187654321")), &[("email", json!("a@x.test"))]),
        with(person(2, Some("16505551234")), &[("email", json!("b@x.test"))]),
        person(3, None),
    ];
    let wanted = [written("7", false), written("8", true), written("9", true)];
    assert_eq!(crm.upsert_contacts(&rows).await.unwrap(), wanted);
    {
        let world = shop.world();
        let adopted = &world.contacts[&7];
        assert_eq!(
            (adopted.ponte_id.as_deref(), adopted.name.as_str()),
            (Some(rows[0].person.to_string().as_str()), "Contact 7")
        );
        assert_eq!(adopted.email, None, "an adopted record keeps its own");
        let made = &world.contacts[&8];
        assert_eq!((made.phone.as_str(), made.email.as_deref()), ("+16505551234", Some("b@x.test")));
    }
    let again = crm.upsert_contacts(&rows).await.unwrap();
    assert_eq!(again, [written("7", false), written("8", false), written("9", false)]);
    assert_eq!(shop.world().contacts.len(), 3);
    assert_eq!(shop.world().contacts[&7].email.as_deref(), Some("a@x.test"), "now it is linked");
}

#[tokio::test]
async fn a_create_that_broke_off_is_found_the_next_time() {
    let shop = Shop::open().await;
    let crm = shop.crm(json!({"operations": {"find": null}, "match_existing": false}));
    crm.check().await.unwrap();
    let row = person(1, None);
    // The look for our id goes well; the create is carried out and then fails.
    shop.world().faults = vec![(0, None), (500, None)];
    let results = crm.upsert_contacts(std::slice::from_ref(&row)).await.unwrap();
    assert!(matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::Retryable { after_ms: Some(1_000) }));
    assert_eq!(shop.world().contacts.len(), 1);
    assert_eq!(crm.upsert_contacts(&[row]).await.unwrap(), [written("1", false)]);
    assert_eq!(shop.world().contacts.len(), 1, "found, not made again");
}

#[tokio::test]
async fn a_record_that_stands_in_the_way_is_adopted_unless_it_is_somebody_elses() {
    let shop = Shop::open().await;
    shop.add(7, "", 0);
    shop.world().contacts.get_mut(&7).unwrap().email = Some("a@x.test".into());
    let crm = shop.crm(json!({}));
    let row = with(person(1, None), &[("email", json!("a@x.test"))]);
    assert_eq!(crm.upsert_contacts(std::slice::from_ref(&row)).await.unwrap(), [written("7", false)]);
    assert_eq!(shop.world().contacts[&7].ponte_id.as_deref(), Some(row.person.to_string().as_str()));
    let other = with(person(2, None), &[("email", json!("a@x.test"))]);
    let results = crm.upsert_contacts(&[other]).await.unwrap();
    assert!(
        matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::Permanent && e.code == "taken_by_another")
    );
    assert_eq!(shop.world().contacts.len(), 1);
}

#[tokio::test]
async fn a_refused_row_is_told_by_itself_without_its_values() {
    let shop = Shop::open().await;
    let crm = shop.crm(json!({}));
    let rows = [
        with(person(1, None), &[("email", json!("not an address"))]),
        person(2, None),
        with(person(3, None), &[("nothing", json!(1))]),
    ];
    let results = crm.upsert_contacts(&rows).await.unwrap();
    let RowResult::Failed(error) = &results[0] else { panic!("written") };
    assert_eq!(
        (&error.class, error.code.as_str(), error.http_status),
        (&ErrorClass::Permanent, "invalid_field", Some(422))
    );
    assert!(!format!("{error:?}").contains("98765"));
    assert!(matches!(&results[1], RowResult::Written { created: true, .. }));
    assert!(matches!(&results[2], RowResult::Failed(e) if e.code == "field_unknown"));
}

#[tokio::test]
async fn batches_have_a_result_for_every_row() {
    let shop = Shop::open().await;
    let upsert = json!({"method": "POST", "path": "/contacts/batch", "batch": 3, "list": "/results", "id": "/id", "created": "/new",
        "row_failed": "not record.ok", "row_code": "/code", "body":
        "{\"rows\": [{% for contact in contacts %}{{ {'ponte_id': contact.key, 'name': contact.name} | given | with(contact.fields) }}\
         {% if not loop.last %},{% endif %}{% endfor %}]}"});
    let crm = shop.crm(json!({"operations": {"create_contact": null, "upsert_contact": upsert}}));
    let mut rows: Vec<ContactWrite> = (1..=7).map(|n| person(n, None)).collect();
    rows[4] = with(person(5, None), &[("email", json!("no"))]);
    let results = crm.upsert_contacts(&rows).await.unwrap();
    assert_eq!(shop.count("POST /api/contacts/batch"), 3);
    assert_eq!(results[..4], ["1", "2", "3", "4"].map(|id| written(id, true)));
    assert!(
        matches!(&results[4], RowResult::Failed(e) if e.class == ErrorClass::Permanent && e.code == "invalid_field")
    );
    assert_eq!(results[5..], ["5", "6"].map(|id| written(id, true)));
}

#[tokio::test]
async fn a_write_that_says_nothing_is_left_out() {
    let shop = Shop::open().await;
    shop.add(7, "", 0);
    let crm = shop.crm(json!({"operations": {"update_contact": {"when": "contact.adopting or contact.fields"}}}));
    let linked = ContactWrite { crm_id: Some("7".into()), ..person(1, None) };
    assert_eq!(crm.upsert_contacts(std::slice::from_ref(&linked)).await.unwrap(), [written("7", false)]);
    assert_eq!(shop.count(""), 0);
    crm.upsert_contacts(&[with(linked, &[("email", Value::Null)])]).await.unwrap();
    assert_eq!(shop.count("PATCH"), 1);
}

#[tokio::test]
async fn a_message_is_one_record_whose_status_changes_in_place() {
    let shop = Shop::open().await;
    shop.add(7, "", 0);
    let crm = shop.crm(json!({}));
    let mut m = message(1, "7");
    let key = m.message.to_string();
    assert_eq!(crm.write_messages(std::slice::from_ref(&m)).await.unwrap(), [written(&key, true)]);
    m.stamps.read = Some(5);
    m.crm_id = Some(key.clone());
    assert_eq!(crm.write_messages(&[m.clone()]).await.unwrap(), [written(&key, false)]);
    {
        let world = shop.world();
        assert_eq!(world.messages.len(), 1);
        let there = &world.messages[&key];
        assert_eq!((&there["status"], there["text"].as_str()), (&json!("read"), m.text.as_deref()));
    }
    let results = crm.write_messages(&[message(2, "99"), message(3, "")]).await.unwrap();
    for result in results {
        assert!(
            matches!(&result, RowResult::Failed(e) if e.class == ErrorClass::Gone && e.code == "contact_gone"),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_contact_that_is_gone_is_said_to_be_gone() {
    let shop = Shop::open().await;
    let crm = shop.crm(json!({}));
    let linked = ContactWrite { crm_id: Some("99".into()), ..person(1, None) };
    let results = crm.upsert_contacts(&[linked]).await.unwrap();
    assert!(
        matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::Gone && e.code == "no_contact"),
        "{results:?}"
    );
}
