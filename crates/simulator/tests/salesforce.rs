//! The simulated Salesforce over real HTTP: each test states one promise of the contract or one fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "salesforce/client.rs"]
mod client;

use client::{BASE, Client, plain, row, started};
use http::Method;
use ponte_simulator::salesforce::{
    Allowance, Config, DuplicateAction, DuplicateRule, Faults, Flags, Limits, Outage, Salesforce, ValidationRule,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn single_records_are_made_read_changed_and_deleted() {
    let (salesforce, client) = started(plain()).await;
    let id =
        client.make("Contact", json!({"LastName": "Souza", "FirstName": " Ana ", "Email": "ana@example.org"})).await;
    assert_eq!(id.len(), 18);
    let read = client.get(&format!("/sobjects/Contact/{id}?fields=Name,Email,Phone")).await;
    assert_eq!((&read.body["Name"], &read.body["Phone"]), (&json!("Ana Souza"), &Value::Null));
    assert_eq!(read.body["attributes"]["url"], format!("{BASE}/sobjects/Contact/{id}"));
    let short = &id[..15];
    assert_eq!(client.patch(&format!("/sobjects/Contact/{short}"), json!({"Phone": "1"})).await.status, 204);
    let whole = client.get(&format!("/sobjects/Contact/{id}")).await.body;
    let stamp = whole["SystemModstamp"].as_str().unwrap();
    assert!(stamp.ends_with(".000+0000"), "second precision: {stamp}");
    assert_eq!(whole["OwnerId"], whole["CreatedById"]);
    assert_eq!(client.delete(&format!("/sobjects/Contact/{id}")).await.status, 204);
    let gone = client.get(&format!("/sobjects/Contact/{id}")).await;
    assert_eq!((gone.status, gone.code()), (404, "ENTITY_IS_DELETED"));
    assert_eq!(client.get("/sobjects/Contact/0035g0000000099").await.code(), "NOT_FOUND");
    assert_eq!(client.get("/sobjects/Contact/nonsense").await.code(), "MALFORMED_ID");
    assert_eq!(client.get("/sobjects/Kontakt").await.status, 404);
    assert_eq!(client.send(Method::PUT, "/sobjects/Contact", None).await.unwrap().code(), "METHOD_NOT_ALLOWED");
    let stats = salesforce.stats();
    assert_eq!((stats.created["Contact"], stats.updated["Contact"], stats.deleted["Contact"]), (1, 1, 1));
    assert_eq!(stats.requests["POST sobjects/Contact"], 1);
    assert_eq!(stats.requests["PATCH sobjects/Contact/{}"], 1);
}

#[tokio::test]
async fn writes_are_checked_against_the_schema() {
    let (_salesforce, client) = started(plain()).await;
    let account = client.make("Account", json!({"Name": "Acme"})).await;
    for (fields, code, field) in [
        (json!({"FirstName": "A"}), "REQUIRED_FIELD_MISSING", Some("LastName")),
        (json!({"LastName": "A", "Nonsense__c": 1}), "INVALID_FIELD", None),
        (json!({"LastName": "A".repeat(81)}), "STRING_TOO_LONG", Some("LastName")),
        (json!({"LastName": 5}), "JSON_PARSER_ERROR", None),
        (json!({"LastName": "A", "DoNotCall": "perhaps"}), "JSON_PARSER_ERROR", None),
        (json!({"LastName": "A", "Birthdate": "23.11.2000"}), "JSON_PARSER_ERROR", None),
        (json!({"LastName": "A", "Email": "nobody"}), "INVALID_EMAIL_ADDRESS", Some("Email")),
        (json!({"LastName": "A", "Name": "A"}), "INVALID_FIELD_FOR_INSERT_UPDATE", Some("Name")),
        (
            json!({"LastName": "A", "CreatedDate": "2020-01-01T00:00:00Z"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            Some("CreatedDate"),
        ),
        (json!({"LastName": "A", "Id": account}), "INVALID_FIELD", None),
        (json!({"LastName": "A", "AccountId": "x"}), "MALFORMED_ID", Some("AccountId")),
        (json!({"LastName": "A", "ReportsToId": account}), "MALFORMED_ID", Some("ReportsToId")),
        (json!({"LastName": "A", "AccountId": "0015g0000000099"}), "INVALID_CROSS_REFERENCE_KEY", Some("AccountId")),
    ] {
        let got = client.post("/sobjects/Contact", fields.clone()).await;
        assert_eq!((got.status, got.code()), (400, code), "{fields}");
        assert_eq!(got.body[0]["fields"][0].as_str(), field, "{}", got.text);
    }
    let lead = client.make("Lead", json!({"LastName": "L", "Company": "C"})).await;
    let both = json!({"Subject": "x", "WhoId": lead, "WhatId": account});
    assert_eq!(client.post("/sobjects/Task", both).await.code(), "FIELD_INTEGRITY_EXCEPTION");
    let odd = json!({"Subject": "x", "TaskSubtype": "Smoke"});
    assert_eq!(client.post("/sobjects/Task", odd).await.code(), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST");
    client.make("Lead", json!({"LastName": "L", "Company": "C", "Status": "A value of our own"})).await;
    let task = client.make("Task", json!({"Subject": "x", "WhoId": lead, "Status": "Completed"})).await;
    assert_eq!(client.get(&format!("/sobjects/Task/{task}")).await.body["IsClosed"], json!(true));
    assert_eq!(client.post("/sobjects/User", json!({})).await.status, 501);
    let url = format!("{}{BASE}/sobjects/Contact", client.base);
    let plain = Client::got(client.http.post(url).bearer_auth(&client.token).body("{}")).await.unwrap();
    assert_eq!((plain.status, plain.code()), (415, "UNSUPPORTED_MEDIA_TYPE"));
}

#[tokio::test]
async fn a_new_field_is_invisible_until_it_is_granted() {
    let (_salesforce, client) = started(plain()).await;
    let text = json!({"label": "Key", "type": "Text", "length": 10});
    let field = json!({"FullName": "Contact.WA_Note__c", "Metadata": text});
    assert_eq!(client.post("/tooling/sobjects/CustomField", field.clone()).await.status, 201);
    assert_eq!(client.post("/tooling/sobjects/CustomField", field).await.code(), "DUPLICATE_DEVELOPER_NAME");
    assert_eq!(client.query("SELECT WA_Note__c FROM Contact").await.code(), "INVALID_FIELD");
    let write = json!({"LastName": "A", "WA_Note__c": "n"});
    assert_eq!(client.post("/sobjects/Contact", write.clone()).await.code(), "INVALID_FIELD");
    client.grant("Contact", "WA_Note__c", false).await;
    assert_eq!(client.query("SELECT WA_Note__c FROM Contact").await.status, 200);
    assert_eq!(client.post("/sobjects/Contact", write.clone()).await.code(), "INVALID_FIELD_FOR_INSERT_UPDATE");
    client.grant("Contact", "WA_Note__c", true).await;
    client.make("Contact", write).await;

    let described = client.get("/sobjects/Contact/describe").await.body;
    let field =
        |name: &str| described["fields"].as_array().unwrap().iter().find(|f| f["name"] == name).unwrap().clone();
    assert_eq!((&field("WA_Note__c")["length"], &field("WA_Note__c")["updateable"]), (&json!(10), &json!(true)));
    assert_eq!((&field("LastName")["nillable"], &field("Id")["type"]), (&json!(false), &json!("id")));
    assert_eq!(field("AccountId")["referenceTo"], json!(["Account"]));
    let rows =
        client.query_by("tooling/query", "SELECT FullName FROM CustomField WHERE DeveloperName = 'WA_Note'").await;
    assert_eq!(rows.body["records"][0]["FullName"], "Contact.WA_Note__c");
    let bad = json!({"FullName": "Contact.X__c", "Metadata": {"label": "X", "type": "Text"}});
    assert_eq!(client.post("/tooling/sobjects/CustomField", bad).await.code(), "FIELD_INTEGRITY_EXCEPTION");
}

#[tokio::test]
async fn hidden_and_read_only_fields_follow_field_level_security() {
    let config = Config {
        hidden_fields: vec!["Contact.Birthdate".into()],
        read_only_fields: vec!["Contact.Phone".into()],
        ..plain()
    };
    let (_salesforce, client) = started(config).await;
    assert_eq!(client.query("SELECT Birthdate FROM Contact").await.code(), "INVALID_FIELD");
    assert_eq!(client.query("SELECT Phone FROM Contact").await.status, 200);
    let got = client.post("/sobjects/Contact", json!({"LastName": "A", "Phone": "1"})).await;
    assert_eq!(got.code(), "INVALID_FIELD_FOR_INSERT_UPDATE");
}

#[tokio::test]
async fn upsert_by_external_id_makes_once_and_tells_of_several() {
    let (salesforce, client) = started(plain()).await;
    client.key("Contact").await;
    let path = "/sobjects/Contact/WA_Key__c/per_1%2Fa";
    let first = client.patch(path, json!({"LastName": "A"})).await;
    assert_eq!((first.status, &first.body["created"]), (201, &json!(true)));
    let second = client.patch(path, json!({"LastName": "B"})).await;
    assert_eq!((second.status, &second.body["created"], &second.body["id"]), (200, &json!(false), &first.body["id"]));
    assert_eq!(client.get(path).await.body["LastName"], "B");
    let twice = client.patch(path, json!({"LastName": "B", "WA_Key__c": "x"})).await;
    assert_eq!(twice.code(), "INVALID_FIELD");
    let taken = client.post("/sobjects/Contact", json!({"LastName": "C", "WA_Key__c": "PER_1/A"})).await;
    assert_eq!(taken.code(), "DUPLICATE_VALUE", "unique without case");
    assert_eq!(client.patch("/sobjects/Contact/Nothing__c/1", json!({"LastName": "A"})).await.status, 404);
    assert_eq!(client.patch("/sobjects/Contact/LastName/A", json!({})).await.status, 404);

    let loose = json!({"label": "Loose", "type": "Text", "length": 20, "externalId": true});
    client.field("Contact", "Loose__c", loose).await;
    for name in ["D", "E"] {
        client.make("Contact", json!({"LastName": name, "Loose__c": "same"})).await;
    }
    let several = client.patch("/sobjects/Contact/Loose__c/same", json!({"LastName": "F"})).await;
    assert_eq!((several.status, several.body.as_array().unwrap().len()), (300, 2));
    assert!(several.body[0].as_str().unwrap().starts_with(&format!("{BASE}/sobjects/Contact/003")));
    assert_eq!(salesforce.duplicates("Contact", "WA_Key__c").unwrap().sharing, 0);
    assert_eq!(client.get("/_sim/duplicates/Contact/Loose__c").await.body["sharing"], 2);
}

#[tokio::test]
async fn a_collection_answers_row_by_row_or_all_or_none() {
    let (salesforce, client) = started(plain()).await;
    client.key("Contact").await;
    let path = "/composite/sobjects/Contact/WA_Key__c";
    let rows = |all: bool| {
        json!({"allOrNone": all, "records": [
            row("Contact", json!({"WA_Key__c": "1", "LastName": "A"})),
            row("Contact", json!({"WA_Key__c": "2"})),
            row("Contact", json!({"WA_Key__c": "1", "LastName": "Again"})),
            row("Contact", json!({"LastName": "No key"})),
            row("Contact", json!({"WA_Key__c": "5", "LastName": "E"})),
        ]})
    };
    let none = client.patch(path, rows(true)).await;
    assert_eq!((none.status, none.row_code(0)), (200, "ALL_OR_NONE_OPERATION_ROLLED_BACK"));
    assert_eq!((none.row_code(1), none.row_code(2)), ("REQUIRED_FIELD_MISSING", "DUPLICATE_VALUE"));
    assert!(salesforce.records("Contact").is_empty());
    assert_eq!(client.query("SELECT Id FROM Contact WHERE WA_Key__c = '1'").await.body["totalSize"], 0);

    let some = client.patch(path, rows(false)).await;
    assert_eq!((&some.body[0]["success"], &some.body[0]["created"]), (&json!(true), &json!(true)));
    assert_eq!((some.row_code(1), some.row_code(3)), ("REQUIRED_FIELD_MISSING", "MISSING_ARGUMENT"));
    assert_eq!(salesforce.records("Contact").len(), 2);
    assert_eq!(salesforce.stats().row_errors, 6);
    let again = client.patch(path, rows(false)).await;
    assert_eq!((&again.body[0]["created"], &again.body[0]["id"]), (&json!(false), &some.body[0]["id"]));

    let many: Vec<Value> = (0..201).map(|n| row("Contact", json!({"LastName": n.to_string()}))).collect();
    assert_eq!(client.post("/composite/sobjects", json!({"records": many})).await.code(), "EXCEEDED_ID_LIMIT");
    let mixed: Vec<Value> = (0..12)
        .map(|n| row(if n % 2 == 0 { "Contact" } else { "Lead" }, json!({"LastName": "A", "Company": "C"})))
        .collect();
    assert_eq!(client.post("/composite/sobjects", json!({"records": mixed})).await.code(), "INVALID_INPUT");
    let other = json!({"records": [row("Lead", json!({"WA_Key__c": "9"}))]});
    assert_eq!(client.patch(path, other).await.status, 400);

    let id = some.body[0]["id"].as_str().unwrap();
    let change = json!({"records": [row("Contact", json!({"id": id, "LastName": "Z"})), row("Contact", json!({"LastName": "Z"})),
                                    row("Contact", json!({"id": id, "LastName": "Y"}))]});
    let changed = client.patch("/composite/sobjects", change).await;
    assert_eq!(
        (changed.row_code(0), changed.row_code(1), changed.row_code(2)),
        ("", "MISSING_ARGUMENT", "DUPLICATE_VALUE")
    );
    let got = client
        .post("/composite/sobjects/Contact", json!({"ids": [id, "0035g0000000099"], "fields": ["LastName"]}))
        .await;
    assert_eq!((&got.body[0]["LastName"], &got.body[1]), (&json!("Z"), &Value::Null));
    let gone = client.delete(&format!("/composite/sobjects?ids={id},{id}")).await;
    assert_eq!((gone.row_code(0), gone.row_code(1)), ("", "ENTITY_IS_DELETED"));
}

#[tokio::test]
async fn composite_parts_use_earlier_results_and_are_undone_together() {
    let (salesforce, client) = started(plain()).await;
    let part = |method: &str, path: &str, name: &str, body: Value| json!({"method": method, "url": format!("{BASE}{path}"), "referenceId": name, "body": body});
    let call = |all: bool, last: &str| {
        json!({"allOrNone": all, "compositeRequest": [
            part("POST", "/sobjects/Account", "acc", json!({"Name": "Acme"})),
            part("POST", "/sobjects/Contact", "con", json!({"LastName": "A", "AccountId": "@{acc.id}"})),
            part("POST", "/sobjects/Contact", "bad", json!({"LastName": last})),
        ]})
    };
    let undone = client.post("/composite", call(true, "")).await;
    let status = |got: &client::Got, n: usize| got.body["compositeResponse"][n]["httpStatusCode"].as_u64().unwrap();
    assert_eq!((status(&undone, 0), status(&undone, 2)), (400, 400));
    assert_eq!(undone.body["compositeResponse"][0]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert!(salesforce.records("Account").is_empty());

    let kept = client.post("/composite", call(false, "")).await;
    assert_eq!((status(&kept, 0), status(&kept, 1), status(&kept, 2)), (201, 201, 400));
    assert_eq!(client.column("SELECT Account.Name FROM Contact", "Account").await.len(), 1);
    let many: Vec<Value> = (0..26).map(|n| part("GET", "/limits", &format!("r{n}"), Value::Null)).collect();
    assert_eq!(client.post("/composite", json!({"compositeRequest": many})).await.code(), "LIMIT_EXCEEDED");
    let batch =
        json!({"batchRequests": [{"method": "GET", "url": "v66.0/limits"}, {"method": "GET", "url": "v66.0/nothing"}]});
    let batch = client.post("/composite/batch", batch).await;
    assert_eq!((&batch.body["hasErrors"], &batch.body["results"][1]["statusCode"]), (&json!(true), &json!(404)));
    assert_eq!(salesforce.stats().budget_spent, 5, "a composite call costs one");
}

#[tokio::test]
async fn duplicate_rules_refuse_unless_the_header_allows() {
    let (salesforce, mut client) = started(Config::default()).await;
    let ana = json!({"LastName": "Souza", "Email": "ana@example.org"});
    let id = client.make("Contact", ana.clone()).await;
    let refused = client.post("/sobjects/Contact", json!({"LastName": "SOUZA", "Email": "Ana@example.org"})).await;
    assert_eq!((refused.status, refused.code()), (400, "DUPLICATES_DETECTED"));
    let matched = &refused.body[0]["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Id"];
    assert_eq!(matched, &json!(id));
    let rows = json!({"records": [row("Contact", ana.clone())]});
    assert_eq!(client.post("/composite/sobjects", rows).await.row_code(0), "DUPLICATES_DETECTED");
    assert_eq!(client.patch(&format!("/sobjects/Contact/{id}"), json!({"Phone": "1"})).await.status, 204);
    client.headers.push(("Sforce-Duplicate-Rule-Header", "allowSave=true"));
    client.make("Contact", ana.clone()).await;
    assert_eq!(salesforce.stats().duplicates_refused, 2);

    let rule = DuplicateRule {
        name: "B".into(),
        object: "Contact".into(),
        fields: vec!["Email".into()],
        action: DuplicateAction::Block,
    };
    let (_salesforce, mut client) = started(Config { duplicate_rules: vec![rule], ..plain() }).await;
    client.headers.push(("Sforce-Duplicate-Rule-Header", "allowSave=true"));
    client.make("Contact", ana.clone()).await;
    assert_eq!(client.post("/sobjects/Contact", ana).await.code(), "DUPLICATES_DETECTED", "a block is a block");
}

#[tokio::test]
async fn validation_rules_and_full_storage_refuse() {
    let rule = ValidationRule {
        object: "Contact".into(),
        field: "Department".into(),
        value: Some("None".into()),
        message: "Name a real department.".into(),
    };
    let limits = Limits { data_storage_mb: 1, ..Limits::default() };
    let (_salesforce, client) = started(Config { validation_rules: vec![rule], limits, ..plain() }).await;
    let refused = client.post("/sobjects/Contact", json!({"LastName": "A", "Department": "None"})).await;
    assert_eq!(
        (refused.code(), &refused.body[0]["message"]),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", &json!("Name a real department."))
    );
    let people: Vec<Value> = (0..507).map(|n| json!({"LastName": n.to_string()})).collect();
    assert_eq!(client.post("/_sim/records/Contact", json!({"records": people})).await.status, 201);
    let full = client.post("/sobjects/Contact", json!({"LastName": "A"})).await;
    assert_eq!((full.status, full.code()), (403, "STORAGE_LIMIT_EXCEEDED"));
    assert_eq!(client.get("/limits").await.body["DataStorageMB"]["Remaining"], 0);
}

#[tokio::test]
async fn the_daily_allowance_is_shown_and_then_refused_without_retry_after() {
    let limits = Limits { daily_requests: 3, ..Limits::default() };
    let (salesforce, client) = started(Config { limits, ..plain() }).await;
    for used in 1..=3 {
        let got = client.get("/limits").await;
        assert_eq!(got.headers["sforce-limit-info"], format!("api-usage={used}/3"));
        assert_eq!(got.body["DailyApiRequests"]["Remaining"], 3 - used);
    }
    let over = client.get("/limits").await;
    assert_eq!((over.status, over.code()), (403, "REQUEST_LIMIT_EXCEEDED"));
    assert!(over.body[0]["message"].as_str().unwrap().contains("TotalRequests"));
    assert!(!over.headers.contains_key("retry-after"));
    assert_eq!(client.get("/services/data").await.status, 200, "the list of versions is free");
    salesforce.advance(Duration::from_hours(24));
    assert_eq!(client.get("/limits").await.status, 200);
    assert_eq!((salesforce.stats().rate_limited, salesforce.stats().budget), (1, 3));
}

#[tokio::test]
async fn long_requests_at_the_same_time_are_limited() {
    let limits = Limits { concurrent_long: 1, long_request_ms: 50, ..Limits::default() };
    let (salesforce, client) = started(Config { limits, ..plain() }).await;
    let slow: Faults = serde_json::from_value(json!({"latency": {"p50_ms": 600, "p99_ms": 601}})).unwrap();
    salesforce.set_faults(slow);
    let (client, began) = (std::sync::Arc::new(client), Instant::now());
    let other = std::sync::Arc::clone(&client);
    let long = tokio::spawn(async move { other.get("/limits").await.status });
    // The slow one has its delay as soon as it is counted.
    while salesforce.stats().requests.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut refused = None;
    while refused.is_none() && began.elapsed() < Duration::from_secs(5) {
        salesforce.set_faults(Faults::default());
        let got = client.get("/limits").await;
        refused = (got.status == 403).then(|| got.body[0]["message"].as_str().unwrap().to_owned());
    }
    assert!(refused.unwrap_or_default().contains("ConcurrentRequests"));
    assert!(matches!(long.await.unwrap(), 200 | 403));
}

#[tokio::test]
async fn faults_play_every_class_of_error() {
    let (salesforce, client) = started(plain()).await;
    let faulty = |change: fn(&mut Faults)| {
        let mut faults = Faults::default();
        change(&mut faults);
        salesforce.set_faults(faults);
    };
    faulty(|f| f.outage = Some(Outage::Unavailable));
    assert_eq!(client.get("/limits").await.code(), "SERVER_UNAVAILABLE");
    faulty(|f| f.outage = Some(Outage::Maintenance));
    assert_eq!((client.get("/limits").await.status, client.get("/limits").await.body), (503, Value::Null));
    faulty(|f| f.outage = Some(Outage::Drop));
    assert!(client.send(Method::GET, "/limits", None).await.is_err());
    faulty(|f| f.server_error = 1.0);
    assert!(client.get("/limits").await.status >= 500);
    faulty(|f| (f.request_limit, f.request_limit_kind) = (1.0, Allowance::Total));
    assert!(client.get("/limits").await.body[0]["message"].as_str().unwrap().starts_with("TotalRequests"));
    faulty(|f| f.query_timeout = 1.0);
    assert_eq!(client.query("SELECT Id FROM Contact").await.code(), "QUERY_TIMEOUT");
    faulty(|f| f.api_disabled = true);
    assert_eq!(client.get("/limits").await.code(), "API_DISABLED_FOR_ORG");
    let ana = json!({"LastName": "A"});
    for (share, code) in [(0, "UNABLE_TO_LOCK_ROW"), (1, "UNKNOWN_EXCEPTION"), (2, "FIELD_CUSTOM_VALIDATION_EXCEPTION")]
    {
        let mut faults = Faults::default();
        *[&mut faults.row_lock, &mut faults.row_failure, &mut faults.row_rejection][share] = 1.0;
        salesforce.set_faults(faults);
        let rows = json!({"records": [row("Contact", ana.clone())]});
        assert_eq!(client.post("/composite/sobjects", rows).await.row_code(0), code);
    }
    assert!(salesforce.records("Contact").is_empty(), "nothing of all this was done");
    faulty(|f| f.reset_after_apply = 1.0);
    assert!(client.send(Method::POST, "/sobjects/Contact", Some(ana.clone())).await.is_err());
    faulty(|f| f.server_error_after_apply = 1.0);
    assert!(client.post("/sobjects/Contact", ana.clone()).await.status >= 500);
    faulty(|f| (f.timeout_after_apply, f.hang_ms) = (1.0, 50));
    assert!(client.send(Method::POST, "/sobjects/Contact", Some(ana)).await.is_err());
    assert_eq!((salesforce.records("Contact").len(), salesforce.stats().applied_unanswered), (3, 3));
    let bad = client.send(Method::PUT, "/_sim/faults", Some(json!({"row_lock": 2.0}))).await.unwrap();
    assert_eq!(bad.status, 400);
    let long = "x".repeat(17_000);
    salesforce.set_faults(Faults::default());
    assert_eq!(client.query(&long).await.status, 414);
}

#[tokio::test]
async fn what_the_user_may_not_do_is_refused() {
    let flags = Flags { customize_application: false, ..Flags::default() };
    let (_salesforce, client) = started(Config { flags, ..plain() }).await;
    let field = json!({"FullName": "Contact.X__c", "Metadata": {"label": "X", "type": "Text", "length": 5}});
    let refused = client.post("/tooling/sobjects/CustomField", field).await;
    assert_eq!((refused.status, refused.code()), (403, "INSUFFICIENT_ACCESS"));
    assert_eq!(client.post("/metadata/deployRequest", json!({})).await.code(), "INSUFFICIENT_ACCESS");
    let org = client.column("SELECT Id FROM Organization", "Id").await[0].clone();
    let fixed = client.patch(&format!("/sobjects/Organization/{org}"), json!({})).await;
    assert_eq!(fixed.code(), "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY");
    let edit_only = json!({"ParentId": "0PS5g0000000001", "SobjectType": "Contact", "Field": "Contact.Phone", "PermissionsEdit": true});
    assert_eq!(client.post("/sobjects/FieldPermissions", edit_only).await.code(), "FIELD_INTEGRITY_EXCEPTION");
}

#[tokio::test]
async fn quotas_of_bulk_jobs_and_lost_sessions_are_told() {
    let limits = Limits { bulk_batches: 0, bulk_query_jobs: 0, bulk_upload_bytes: 10, ..Limits::default() };
    let (salesforce, mut client) = started(Config { limits, ..plain() }).await;
    let job = json!({"operation": "query", "query": "SELECT Id FROM Contact"});
    assert_eq!(client.post("/jobs/query", job).await.code(), "EXCEEDEDQUOTA");
    let job = client.post("/jobs/ingest", json!({"object": "Contact", "operation": "insert"})).await;
    let url = format!("{}{BASE}/jobs/ingest/{}/batches", client.base, job.body["id"].as_str().unwrap());
    for (body, wanted) in [("LastName\nA", "EXCEEDEDQUOTA"), ("LastName\nAAAAAAAAAAA", "REQUEST_TOO_LARGE")] {
        let put = client.http.put(&url).bearer_auth(&client.token).header("content-type", "text/csv").body(body);
        assert_eq!(Client::got(put).await.unwrap().code(), wanted);
    }
    for bad in [
        json!({"object": "Contact", "operation": "upsert"}),
        json!({"object": "Contact", "operation": "insert", "contentType": "XML"}),
    ] {
        assert_eq!(client.post("/jobs/ingest", bad).await.code(), "INVALIDJOB");
    }
    let app =
        [("grant_type", "client_credentials"), ("client_id", "sim-client"), ("client_secret", "sim-client-secret")];
    client.token = client.token_answer(&app).await.body["access_token"].as_str().unwrap().to_owned();
    salesforce.set_faults(Faults { session_lost: 1.0, ..Faults::default() });
    assert_eq!(client.get("/limits").await.code(), "INVALID_SESSION_ID");
    salesforce.set_faults(Faults::default());
    assert_eq!(client.get("/limits").await.status, 401, "lost for good");
    client.token = client.token_answer(&app).await.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/limits").await.status, 200);
    assert_eq!(client.post("/_sim/end_sessions", json!({})).await.status, 204);
    assert_eq!((client.get("/limits").await.status, salesforce.stats().auth_failures), (401, 3));
    assert_eq!(client.get("/services/data/v20.0/limits").await.status, 404, "a retired version");
}

#[tokio::test]
async fn the_same_seed_and_requests_give_the_same_faults() {
    async fn run() -> Vec<u16> {
        let faults = Faults { server_error: 0.5, ..Faults::default() };
        let salesforce = Salesforce::start(Config { seed: 7, faults, ..plain() }).await.unwrap();
        let client = Client::of(&salesforce);
        let mut statuses = Vec::new();
        for _ in 0..30 {
            statuses.push(client.get("/limits").await.status);
        }
        statuses
    }
    let first = run().await;
    assert_eq!(first, run().await);
    assert!(first.contains(&200) && first.iter().any(|status| *status >= 500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batched_rows_keep_pace() {
    let (salesforce, client) = started(plain()).await;
    client.key("Contact").await;
    let began = Instant::now();
    for batch in 0..30 {
        let make = |n: usize| {
            let key = (batch % 20) * 200 + n;
            let values = json!({"WA_Key__c": format!("per_{key}"), "LastName": "A", "MobilePhone": "+5511999990000"});
            row("Contact", values)
        };
        let rows: Vec<Value> = (0..200).map(make).collect();
        let got = client.patch("/composite/sobjects/Contact/WA_Key__c", json!({"records": rows})).await;
        assert!(got.body.as_array().unwrap().iter().all(|row| row["success"] == json!(true)), "{}", got.text);
    }
    let rate = 6_000.0 / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} rows/s");
    assert_eq!(salesforce.records("Contact").len(), 4_000);
    // Far below what an idle core does, so that a busy one does not fail the build.
    assert!(rate > 500.0, "{rate:.0} rows/s");
}
