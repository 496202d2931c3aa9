//! Writing: contacts found, adopted and made, messages by our id.

use crate::bench::{NOW, ids, message, names, person, record};
use crate::every_engine;
use ponte_domain::crm::{ContactWrite, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use serde_json::{Value, json};

fn with(mut row: ContactWrite, fields: &[(&str, Value)]) -> ContactWrite {
    row.fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    row
}

every_engine!(a_new_person_is_made_once_whatever_is_repeated, |bench| async move {
    let crm = bench.crm();
    let fields = [("email", json!("o'hara@\"x\".test")), ("vip", json!(true)), ("credit", json!("99999.25"))];
    let rows = [with(person(1, Some("16505551234")), &fields), person(2, None)];
    let first = crm.upsert_contacts(&rows).await.unwrap();
    let made = ids(&first);
    assert!(first.iter().all(|r| matches!(r, RowResult::Written { created: true, .. })), "{first:?}");
    let again = crm.upsert_contacts(&rows).await.unwrap();
    assert_eq!(ids(&again), made, "found by our id");
    assert_eq!(bench.number("SELECT COUNT(*) FROM customers").await, 2);
    let one = record(&crm, &made[0]).await;
    assert_eq!(one.person, Some(rows[0].person));
    assert_eq!(one.values[..4], [json!("Person 1"), json!("o'hara@\"x\".test"), json!(true), json!(99999.25)]);
});

every_engine!(an_existing_customer_is_adopted_and_keeps_what_it_has, |bench| async move {
    bench.customer(7, "Ana", "+5511987654321", 0).await;
    bench.customer(8, "Bob", "", 0).await;
    let crm = bench.crm();
    // The same line without the ninth digit; a field that an adopted record doesn't get yet.
    let row = with(person(1, Some("551187654321")), &[("email", json!("new@x.test"))]);
    let done = crm.upsert_contacts(std::slice::from_ref(&row)).await.unwrap();
    assert_eq!(done, [RowResult::Written { crm_id: "7".into(), created: false }]);
    let ana = record(&crm, "7").await;
    assert_eq!((ana.person, &ana.values[0], &ana.values[1]), (Some(row.person), &json!("Ana"), &json!(null)));
    // Another person with the same number gets a record of their own.
    let other = crm.upsert_contacts(&[person(2, Some("5511987654321"))]).await.unwrap();
    assert!(matches!(&other[0], RowResult::Written { created: true, .. }));
    // Once it is linked, fields are written.
    let linked = ContactWrite { crm_id: Some("7".into()), ..row };
    crm.upsert_contacts(&[linked]).await.unwrap();
    assert_eq!(record(&crm, "7").await.values[1], json!("new@x.test"));
});

every_engine!(null_empties_a_field_and_absent_leaves_it, |bench| async move {
    bench.customer(7, "Ana", "", 0).await;
    let crm = bench.crm();
    let linked = ContactWrite { crm_id: Some("7".into()), ..person(1, None) };
    crm.upsert_contacts(&[with(linked.clone(), &[("credit", Value::Null), ("vip", json!(false))])]).await.unwrap();
    let ana = record(&crm, "7").await;
    assert_eq!(ana.values[2..5], [json!(false), json!(null), json!("1990-02-03")]);
    let seen = json!(NOW.to_string());
    let refused = crm.upsert_contacts(&[with(linked.clone(), &[("number", seen)])]).await;
    assert_eq!(refused.unwrap_err().code, "field_read_only");
    let unknown = crm.upsert_contacts(&[with(linked, &[("nothing", json!(1))]), person(5, None)]).await.unwrap();
    assert!(matches!(&unknown[0], RowResult::Failed(e) if e.code == "field_unknown"), "{unknown:?}");
    assert!(matches!(&unknown[1], RowResult::Written { .. }), "one row doesn't fail the others");
});

every_engine!(a_refused_row_is_told_by_itself, |bench| async move {
    let crm = bench.crm();
    let long = with(person(1, None), &[("birthday", json!("no day"))]);
    let results = crm.upsert_contacts(&[long, person(2, None)]).await.unwrap();
    assert!(matches!(&results[1], RowResult::Written { .. }));
    if bench.kind != crate::bench::Kind::Sqlite {
        assert!(matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::Permanent), "{results:?}");
    }
});

every_engine!(a_contact_that_is_gone_is_said_to_be_gone, |bench| async move {
    let crm = bench.crm();
    let gone = ContactWrite { crm_id: Some("99".into()), ..person(1, None) };
    let results = crm.upsert_contacts(&[gone]).await.unwrap();
    assert!(matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::Gone), "{results:?}");
    let results = crm.write_messages(&[message(1, "99"), message(2, "")]).await.unwrap();
    for result in &results {
        assert!(
            matches!(result, RowResult::Failed(e) if e.class == ErrorClass::Gone && e.code == "contact_gone"),
            "{results:?}"
        );
    }
});

every_engine!(a_message_is_one_row_whose_status_changes_in_place, |bench| async move {
    bench.customer(7, "Ana", "", 0).await;
    let crm = bench.crm();
    let mut m = message(1, "7");
    let first = ids(&crm.write_messages(std::slice::from_ref(&m)).await.unwrap());
    assert_eq!(first, [m.message.to_string()]);
    m.stamps.sent = Some(NOW);
    m.stamps.read = Some(NOW + 2_000);
    m.crm_id = Some(first[0].clone());
    let twice = [m.clone(), m];
    assert_eq!(ids(&crm.write_messages(&twice).await.unwrap()), [first[0].clone(), first[0].clone()]);
    assert_eq!(bench.number("SELECT COUNT(*) FROM messages").await, 1);
    assert_eq!(bench.number("SELECT COUNT(*) FROM messages WHERE status = 'read' AND customer = 7").await, 1);
    let at = bench.time(2);
    assert_eq!(bench.number(&format!("SELECT COUNT(*) FROM messages WHERE read_at = {at}")).await, 1);
    assert_eq!(bench.number("SELECT COUNT(*) FROM messages WHERE body LIKE 'Robert''); DROP%'").await, 1);
});

every_engine!(many_people_at_once_are_written_by_few_connections, |bench| async move {
    let crm = std::sync::Arc::new(bench.crm_of({
        let mut described = bench.described();
        described["calls_per_second"] = json!(100_000);
        described["max_wait_ms"] = json!(30_000);
        described
    }));
    let rows: Vec<ContactWrite> = (0..60).map(|n| person(n, Some(&format!("1650555{:04}", n % 30)))).collect();
    let tasks: Vec<_> = rows
        .chunks(20)
        .map(|rows| {
            let (crm, rows) = (crm.clone(), rows.to_vec());
            tokio::spawn(async move { crm.upsert_contacts(&rows).await.unwrap() })
        })
        .collect();
    for task in tasks {
        ids(&task.await.unwrap());
    }
    assert_eq!(bench.number("SELECT COUNT(*) FROM customers").await, 60);
    assert_eq!(crm.contacts_page(&names(), None).await.unwrap().records.len(), 60);
});
