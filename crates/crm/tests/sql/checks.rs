//! Descriptions that are wrong, rights that are missing, limits.

use crate::bench::{Kind, names};
use crate::every_engine;
use ponte_crm::{Sql, SqlConfig};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use serde_json::json;

fn problems(described: serde_json::Value) -> Vec<String> {
    let config: SqlConfig = serde_json::from_value(described).unwrap();
    Sql::problems(&config).iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_of_a_description_is_told_at_once() {
    let told = problems(json!({
        "url": "oracle://x",
        "time_zone": "Mars/Base",
        "page": 0,
        "fields": [{"name": "e-mail"}, {"name": "vip", "choices": ["x"]}],
        "statements": {
            "contacts": "SELECT * FROM customers",
            "changes": "SELECT * FROM customers WHERE at > :cursor_tme LIMIT :limit",
            "create_contact": "INSERT INTO customers (name) VALUES (:name)",
            "upsert_contact": "INSERT INTO customers (name) VALUES ('a",
        },
    }));
    for part in [
        "url: is of no database",
        "time_zone: is no IANA zone",
        "page: is too",
        "(e-mail): its name can't be a parameter",
        "has choices, which its kind",
        "there is no parameter :cursor_tme",
        "changes: doesn't use :cursor_time",
        "changes: doesn't use :cursor_id",
        "create_contact: doesn't use :key",
        "upsert_contact: a ' isn't closed",
        "write_message: is missing",
        "find: is missing",
        "update_contact: is missing",
    ] {
        assert!(told.iter().any(|line| line.contains(part)), "{part} isn't in {told:#?}");
    }
    assert_eq!(told.len(), 13, "{told:#?}");
}

#[test]
fn no_error_and_no_debug_shows_the_password() {
    let config: SqlConfig = serde_json::from_value(json!({
        "url": "postgres://ponte:geheim@db/x", "log_messages": false, "statements": {"contacts": "SELECT 1"},
    }))
    .unwrap();
    assert!(!format!("{config:?}").contains("geheim"));
}

every_engine!(check_tells_every_statement_that_the_database_cannot_run, |bench| async move {
    bench.customer(1, "Ana", "", 0).await;
    let crm = bench.crm();
    crm.prepare().await.unwrap();
    assert!(crm.check().await.unwrap().contains("takes every statement"));
    let mut described = bench.described();
    described["statements"]["get"] = json!("SELECT * FROM custommers WHERE id = :id");
    described["statements"]["write_message"] = json!("UPDATE messages SET nothing = :key");
    let error = bench.crm_of(described).check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "statements_refused"));
    let detail = error.detail.unwrap();
    assert!(detail.contains("get (") && detail.contains("write_message ("), "{detail}");
    let mut described = bench.described();
    described["fields"].as_array_mut().unwrap().push(json!({"name": "shoe_size", "writable": false}));
    let error = bench.crm_of(described).check().await.unwrap_err();
    assert_eq!((error.code.as_str(), error.detail.as_deref()), ("columns_missing", Some("shoe_size")));
});

every_engine!(session_statements_run_on_every_connection, |bench| async move {
    bench.customer(1, "Ana", "", 0).await;
    let mut described = bench.described();
    let (set, get) = match bench.kind {
        Kind::Sqlite => ("CREATE TEMP TABLE tenant AS SELECT 1 AS id", "id IN (SELECT id FROM tenant)"),
        Kind::Postgres => ("SET app.tenant = '1'", "id = current_setting('app.tenant')::bigint"),
        Kind::MariaDb => ("SET @tenant = 1", "id = @tenant"),
    };
    described["session"] = json!([set]);
    described["statements"]["contacts"] = json!(format!("SELECT * FROM customers WHERE {get}"));
    bench.customer(2, "Somebody else", "", 0).await;
    let page = bench.crm_of(described).contacts_page(&names(), None).await.unwrap();
    assert_eq!(page.records.len(), 1);
});

every_engine!(a_statement_takes_no_longer_than_its_limit, |bench| async move {
    let slow = match bench.kind {
        Kind::Sqlite => return,
        Kind::Postgres => "SELECT *, pg_sleep(30) FROM customers",
        Kind::MariaDb => "SELECT *, SLEEP(30) AS slept FROM customers",
    };
    bench.customer(1, "Ana", "", 0).await;
    let mut described = bench.described();
    described["statement_timeout_ms"] = json!(300);
    described["statements"]["contacts"] = json!(slow);
    let begun = tokio::time::Instant::now();
    let error = bench.crm_of(described).contacts_page(&names(), None).await.unwrap_err();
    assert!(matches!(error.class, ErrorClass::Retryable { .. }), "{error:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_with_few_rights_reads_and_is_told_what_it_may_not_postgres() {
    let bench = crate::bench::Bench::open(Kind::Postgres).await.unwrap();
    bench.customer(1, "Ana", "+16505551234", 0).await;
    let role = format!("ponte_reader_{}", uuid::Uuid::now_v7().simple());
    bench.run(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON customers, deletions TO {role}")).await;
    let mut described = bench.described();
    described["url"] = json!(bench.url.replace("//ponte@", &format!("//{role}@")));
    let crm = bench.crm_of(described);
    assert_eq!(crm.contacts_page(&names(), None).await.unwrap().records.len(), 1);
    let error = crm.upsert_contacts(&[crate::bench::person(5, None)]).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "42501"));
    bench.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

every_engine!(calls_keep_within_the_budget_and_give_up_in_time, |bench| async move {
    let mut described = bench.described();
    described["calls_per_second"] = json!(2);
    described["max_wait_ms"] = json!(0);
    let crm = bench.crm_of(described);
    // The clock stands still: after two statements the second's budget is used up.
    let mut went = 0;
    for _ in 0..5 {
        match crm.contacts_page(&names(), None).await {
            Ok(_) => went += 1,
            Err(error) => assert!(matches!(error.class, ErrorClass::Throttled { .. }), "{error:?}"),
        }
    }
    assert_eq!((went, crm.budget().calls), (2, 2));
});
