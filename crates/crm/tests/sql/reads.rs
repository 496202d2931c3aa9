//! Reading: pages, changes since a cursor, records by id, and what the types of columns become.

use crate::bench::{Kind, NOW, drained, names, record};
use crate::every_engine;
use ponte_domain::crm::CrmChange;
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use serde_json::json;

every_engine!(the_types_of_columns_become_json, |bench| async move {
    bench.customer(7, "Ana", "+55 11 98765-4321", 0).await;
    bench.run(&format!("UPDATE customers SET last_seen = {} WHERE id = 7", bench.time(0))).await;
    let crm = bench.crm();
    let ana = record(&crm, "7").await;
    assert_eq!((ana.id.as_str(), ana.person, ana.modified_at), ("7", None, Some(NOW)));
    assert_eq!(ana.values[..5], [json!("Ana"), json!(null), json!(true), json!(12.5), json!("1990-02-03")]);
    let seen = ana.values[5].as_str().unwrap();
    assert!(seen.starts_with("2026-11-23") && seen.contains("02:30:00"), "{seen}");
});

every_engine!(pages_hold_every_contact_once_but_the_deleted_and_the_merged, |bench| async move {
    for id in 1..=25 {
        bench.customer(id, "Somebody", "", id).await;
    }
    bench.run("UPDATE customers SET gone = TRUE WHERE id = 3").await;
    bench.run("UPDATE customers SET merged_into = 5 WHERE id = 4").await;
    let mut described = bench.described();
    described["page"] = json!(10);
    let crm = bench.crm_of(described);
    let (mut all, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = crm.contacts_page(&names(), after.as_deref()).await.unwrap();
        all.extend(page.records.into_iter().map(|r| r.id.parse::<i64>().unwrap()));
        (after, pages) = (page.next, pages + 1);
        if after.is_none() {
            break;
        }
    }
    let wanted: Vec<i64> = (1..=25).filter(|id| ![3, 4].contains(id)).collect();
    assert_eq!((all, pages), (wanted, 3));
    let read = crm.read_contacts(&["4", "99", "3", "5"].map(str::to_owned), &names()).await.unwrap();
    let ids: Vec<_> = read.iter().map(|r| r.as_ref().map(|r| r.id.as_str())).collect();
    assert_eq!(ids, [Some("5"), None, None, Some("5")], "a merged one as what it became");
});

/// The clock of servers is the real one: their customers change in the past of it, and the cursor begins before.
fn begun() -> String {
    json!({"at": (NOW - 3_600_000) * 1_000}).to_string()
}

every_engine!(any_number_of_rows_with_one_time_is_read_whole, |bench| async move {
    for id in 1..=35 {
        bench.customer(id, "Somebody", "", if id <= 30 { 5 } else { id }).await;
    }
    let mut described = bench.described();
    described["page"] = json!(10);
    let crm = bench.crm_of(described);
    let (changes, cursor, looks) = drained(&crm, begun()).await;
    let ids: Vec<String> = changes
        .iter()
        .map(|c| match c {
            CrmChange::Record(record) => record.id.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, (1..=35).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(looks, 4);
    let calls = crm.budget().calls;
    crm.changes(&names(), &cursor).await.unwrap();
    assert!(crm.budget().calls - calls <= 3, "a look that finds nothing costs at most three calls");
});

every_engine!(a_change_told_late_is_found_by_the_overlap, |bench| async move {
    if bench.kind != Kind::Sqlite {
        // The servers' clocks are far behind the customers' times here.
        return;
    }
    let crm = bench.crm();
    let cursor = crm.cursor_now().await.unwrap();
    bench.customer(1, "Late", "", -100).await;
    bench.customer(2, "Too late", "", -200).await;
    let (changes, next, _) = drained(&crm, cursor).await;
    assert!(matches!(&changes[..], [CrmChange::Record(record)] if record.id == "1"), "{changes:?}");
    assert_eq!(drained(&crm, next).await.0.len(), 1, "told again, which does no harm");
});

every_engine!(deletions_and_merges_are_told, |bench| async move {
    for id in 1..=4 {
        bench.customer(id, "Somebody", "", id).await;
    }
    bench.run("UPDATE customers SET merged_into = 1 WHERE id = 2").await;
    bench.run("UPDATE customers SET gone = TRUE WHERE id = 3").await;
    bench.run("DELETE FROM customers WHERE id = 4").await;
    bench.run(&format!("INSERT INTO deletions VALUES (4, {})", bench.time(9))).await;
    let (changes, ..) = drained(&bench.crm(), begun()).await;
    assert_eq!(changes.len(), 4);
    assert!(matches!(&changes[0], CrmChange::Record(record) if record.id == "1"));
    assert_eq!(changes[1], CrmChange::Merged { from: "2".into(), into: "1".into() });
    assert_eq!(changes[2..], [3, 4].map(|id| CrmChange::Gone { id: id.to_string() }));
});

every_engine!(a_cursor_older_than_deletions_are_kept_asks_for_everything, |bench| async move {
    let mut described = bench.described();
    described["keep_deletions_days"] = json!(30);
    let crm = bench.crm_of(described);
    let old = json!({"at": 0}).to_string();
    assert_eq!(crm.changes(&names(), &old).await.unwrap_err().class, ErrorClass::Gone);
    assert_eq!(crm.changes(&names(), "?").await.unwrap_err().class, ErrorClass::Gone);
});

every_engine!(a_statement_that_does_not_go_on_is_found_out, |bench| async move {
    for id in 1..=3 {
        bench.customer(id, "Somebody", "", id).await;
    }
    let mut described = bench.described();
    described["page"] = json!(2);
    described["statements"]["changes"] =
        json!("SELECT * FROM customers WHERE :cursor_time IS NOT NULL AND :cursor_id >= 0 ORDER BY id LIMIT :limit");
    if bench.kind == Kind::Postgres {
        described["statements"]["changes"] = json!(
            "SELECT * FROM customers WHERE CAST(:cursor_time AS text) IS NOT NULL AND :cursor_id >= 0 ORDER BY id LIMIT :limit"
        );
    }
    let crm = bench.crm_of(described);
    let first = crm.changes(&names(), &begun()).await.unwrap();
    let error = crm.changes(&names(), &first.next).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "cursor_ignored"));
});
