//! The simulated HubSpot over real HTTP: each test states one promise of the contract or one fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use axum::body::Bytes;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, StatusCode};
use ponte_simulator::hubspot::{Config, DEFAULT_TOKEN, Faults, HubSpot, Limits, Outage, Subscription, Token, Webhooks};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CONTACTS: &str = "/crm/objects/2026-09/contacts";
const COMMUNICATIONS: &str = "/crm/objects/2026-09/communications";

struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Client {
    fn of(hubspot: &HubSpot) -> Self {
        Self { http: reqwest::Client::new(), base: hubspot.base_url(), token: DEFAULT_TOKEN.to_owned() }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Got> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.timeout(Duration::from_secs(20)).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = serde_json::from_slice(&answer.bytes().await?).unwrap_or(Value::Null);
        Ok(Got { status, headers, body })
    }

    async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, None).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Got {
        self.send(Method::POST, path, Some(body)).await.unwrap()
    }

    async fn patch(&self, path: &str, body: Value) -> Got {
        self.send(Method::PATCH, path, Some(body)).await.unwrap()
    }

    async fn unique_property(&self) {
        let body = json!({"groupName": "contactinformation", "name": "wa_external_id", "label": "WhatsApp id",
                          "type": "string", "fieldType": "text", "hasUniqueValue": true});
        assert_eq!(self.post("/crm/properties/2026-09/contacts", body).await.status, 201);
    }

    async fn contact(&self, properties: Value) -> String {
        let got = self.post(CONTACTS, json!({"properties": properties})).await;
        assert_eq!(got.status, 201, "{}", got.body);
        got.body["id"].as_str().unwrap().to_owned()
    }

    async fn oauth(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}/oauth/2026-03/token", self.base);
        let app = [("client_id", "sim-client"), ("client_secret", "sim-client-secret")];
        let form: Vec<_> = app.iter().chain(fields).collect();
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

async fn started(config: Config) -> (HubSpot, Client) {
    let hubspot = HubSpot::start(config).await.unwrap();
    let client = Client::of(&hubspot);
    (hubspot, client)
}

fn roomy() -> Config {
    let limits = Limits { burst: 1_000_000, search_per_second: 1_000_000, ..Limits::default() };
    Config { limits, ..Config::default() }
}

fn upsert_row(key: &str, properties: Value) -> Value {
    json!({"id": key, "idProperty": "wa_external_id", "properties": properties, "objectWriteTraceId": key})
}

fn communication(contact: &str, type_id: u16) -> Value {
    json!({"properties": {"hs_communication_channel_type": "WHATS_APP", "hs_communication_logged_from": "CRM",
                          "hs_communication_body": "hello", "hs_timestamp": "2026-11-23T02:30:00Z"},
           "associations": [{"to": {"id": contact},
                             "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]}]})
}

#[tokio::test]
async fn batch_create_fails_row_by_row_only_with_trace_ids() {
    let (hubspot, client) = started(Config::default()).await;
    let path = format!("{CONTACTS}/batch/create");
    let rows = |traced: bool| {
        let row = |n: usize, properties: Value| {
            let mut row = json!({"properties": properties});
            if traced {
                row["objectWriteTraceId"] = json!(format!("row-{n}"));
            }
            row
        };
        json!({"inputs": [row(1, json!({"firstname": "A"})), row(2, json!({"nonsense": "x"})),
                          row(3, json!({"lifecyclestage": "lead "})), row(4, json!({"lastname": "D"}))]})
    };
    let whole = client.post(&path, rows(false)).await;
    assert_eq!((whole.status, whole.body["category"].as_str()), (400, Some("VALIDATION_ERROR")));
    assert!(hubspot.contacts().is_empty(), "all or nothing");

    let split = client.post(&path, rows(true)).await;
    assert_eq!((split.status, split.body["numErrors"].as_u64()), (207, Some(2)), "{}", split.body);
    assert_eq!(split.body["results"].as_array().unwrap().len(), 2);
    assert_eq!(split.body["errors"][0]["context"]["objectWriteTraceId"], json!(["row-2"]));
    assert_eq!(split.body["errors"][1]["errors"][0]["code"], "INVALID_OPTION");
    assert_eq!(hubspot.contacts().len(), 2);
    assert_eq!(hubspot.stats().row_errors, 2);

    let many: Vec<Value> = (0..101).map(|n| json!({"properties": {"firstname": n.to_string()}})).collect();
    assert_eq!(client.post(&path, json!({"inputs": many})).await.status, 400);
}

#[tokio::test]
async fn upsert_by_unique_property_is_idempotent_and_says_what_is_new() {
    let (hubspot, client) = started(Config::default()).await;
    client.unique_property().await;
    let path = format!("{CONTACTS}/batch/upsert");
    let batch = |name: &str| {
        let rows: Vec<Value> = (0..100).map(|n| upsert_row(&format!("wa-{n}"), json!({"firstname": name}))).collect();
        json!({"inputs": rows})
    };
    let first = client.post(&path, batch("A")).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert!(first.body["results"].as_array().unwrap().iter().all(|row| row["new"] == json!(true)));
    let second = client.post(&path, batch("B")).await;
    assert!(second.body["results"].as_array().unwrap().iter().all(|row| row["new"] == json!(false)));
    assert_eq!(second.body["results"][7]["id"], first.body["results"][7]["id"]);
    assert_eq!(second.body["results"][7]["properties"]["wa_external_id"], "wa-7");

    let counted = hubspot.duplicates("contacts", "wa_external_id").unwrap();
    assert_eq!((counted.records, counted.values, counted.sharing), (100, 100, 0));
    assert_eq!(client.get("/_sim/duplicates/contacts/firstname").await.body["sharing"], 100);
    let stats = hubspot.stats();
    assert_eq!((stats.created["contacts"], stats.updated["contacts"], stats.max_writes_per_key), (100, 100, 2));
    assert_eq!(stats.requests["POST contacts/batch/upsert"], 2);

    let not_unique = json!({"inputs": [{"id": "x", "idProperty": "phone", "properties": {"firstname": "x"}}]});
    assert_eq!(client.post(&path, not_unique).await.status, 400);
    let twice =
        json!({"inputs": [upsert_row("k", json!({"firstname": "1"})), upsert_row("k", json!({"firstname": "2"}))]});
    assert_eq!(client.post(&path, twice).await.status, 400);
    let nameless = client.post(&path, json!({"inputs": [upsert_row("nameless", json!({"phone": "+15550100"}))]})).await;
    assert_eq!((nameless.status, nameless.body["numErrors"].as_u64()), (207, Some(1)));
    assert_eq!(hubspot.contacts().len(), 100);
}

#[tokio::test]
async fn writes_are_checked_against_the_schema() {
    let (_hubspot, client) = started(Config::default()).await;
    let refused = client.post(CONTACTS, json!({"properties": {"firstname": "A", "wa_tags": "x"}})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body["errors"][0]["code"], "PROPERTY_DOESNT_EXIST");
    assert_eq!(refused.body["errors"][0]["context"]["propertyName"], json!(["wa_tags"]));

    for (name, kind, field) in [("n", "number", "number"), ("t", "datetime", "date"), ("b", "bool", "booleancheckbox")]
    {
        let body =
            json!({"groupName": "contactinformation", "name": name, "label": name, "type": kind, "fieldType": field});
        assert_eq!(client.post("/crm/v3/properties/contacts", body).await.status, 201);
    }
    let tags = json!({"groupName": "contactinformation", "name": "wa_tags", "label": "Tags", "type": "enumeration",
                      "fieldType": "checkbox", "options": [{"label": "A", "value": "a"}, {"label": "B", "value": "b"}]});
    assert_eq!(client.post("/crm/properties/2026-09/contacts", tags.clone()).await.status, 201);
    assert_eq!(client.post("/crm/properties/2026-09/contacts", tags).await.status, 409);

    let id = client.contact(json!({"firstname": "A", "wa_tags": "a", "t": 1_700_000_000_000_i64, "b": true})).await;
    let path = format!("{CONTACTS}/{id}");
    for bad in [
        json!({"n": "one"}),
        json!({"t": "yesterday"}),
        json!({"b": "yes"}),
        json!({"wa_tags": "a; b"}),
        json!({"hs_object_id": "1"}),
        json!({"email": "nobody"}),
        json!({"firstname": ["x"]}),
    ] {
        assert_eq!(client.patch(&path, json!({"properties": bad})).await.status, 400, "{bad}");
    }
    let good = client.patch(&path, json!({"properties": {"wa_tags": ";b", "n": 1.5}})).await;
    assert_eq!(good.body["properties"]["wa_tags"], "a;b");
    assert_eq!(good.body["properties"]["t"], "2023-11-14T22:13:20Z");

    let with_option = json!({"options": [{"label": "C", "value": "c"}]});
    assert_eq!(client.patch("/crm/properties/2026-09/contacts/wa_tags", with_option).await.status, 200);
    let unique = json!({"hasUniqueValue": true});
    assert_eq!(client.patch("/crm/properties/2026-09/contacts/n", unique).await.status, 400);
    assert_eq!(client.post(CONTACTS, json!({"properties": {"phone": "+15550100"}})).await.status, 400);
}

#[tokio::test]
async fn a_taken_email_is_409_with_the_existing_id() {
    let (hubspot, client) = started(Config::default()).await;
    let id = client.contact(json!({"email": "Ana@Example.com"})).await;
    let again = client.post(CONTACTS, json!({"properties": {"email": "ana@example.com"}})).await;
    assert_eq!(again.status, 409);
    assert_eq!(again.body["message"], format!("Contact already exists. Existing ID: {id}"));
    let by_email =
        client.get(&format!("{CONTACTS}/ana%40example.com?idProperty=email&properties=phone,firstname")).await;
    assert_eq!(
        (by_email.body["id"].as_str(), &by_email.body["properties"]["phone"]),
        (Some(id.as_str()), &Value::Null)
    );
    assert_eq!(client.get(&format!("{CONTACTS}/Ana?idProperty=firstname")).await.status, 400);
    assert_eq!(hubspot.contacts().len(), 1);

    let gone = client.send(Method::DELETE, &format!("/crm/v3/objects/contacts/{id}"), None).await.unwrap();
    assert_eq!(gone.status, 204);
    assert_eq!(client.get(&format!("{CONTACTS}/{id}")).await.status, 404);
    let archived = client.get(&format!("{CONTACTS}?archived=true")).await;
    assert_eq!(archived.body["results"][0]["archived"], json!(true));
    client.contact(json!({"email": "ana@example.com"})).await;
}

#[tokio::test]
async fn rate_limits_speak_the_documented_body_without_retry_after() {
    let limits = Limits { burst: 3, search_per_second: 1, ..Limits::default() };
    let (hubspot, client) = started(Config { limits, ..Config::default() }).await;
    for left in ["2", "1", "0"] {
        let got = client.get(CONTACTS).await;
        assert_eq!((got.status, got.headers["x-hubspot-ratelimit-remaining"].to_str().unwrap()), (200, left));
        assert_eq!(got.headers["x-hubspot-ratelimit-max"], "3");
    }
    let over = client.get(CONTACTS).await;
    assert_eq!(over.status, 429);
    assert_eq!(over.body["errorType"], "RATE_LIMIT");
    assert_eq!(over.body["policyName"], "TEN_SECONDLY_ROLLING");
    assert!(over.body["message"].as_str().unwrap().starts_with("You have reached your "));
    assert!(!over.headers.contains_key("retry-after"));

    // Search has its own limit and shows no headers.
    let path = format!("{CONTACTS}/search");
    let found = client.post(&path, json!({"limit": 1})).await;
    assert_eq!((found.status, found.headers.contains_key("x-hubspot-ratelimit-max")), (200, false));
    let over = client.post(&path, json!({"limit": 1})).await;
    assert_eq!((over.status, over.body["policyName"].as_str()), (429, Some("SECONDLY")));
    assert_eq!(hubspot.stats().rate_limited, 2);
}

#[tokio::test]
async fn tokens_expire_are_refreshed_and_carry_scopes() {
    let mut config = Config::default();
    config.tokens.push(Token { token: "reader".to_owned(), scopes: vec!["crm.objects.contacts.read".to_owned()] });
    let (hubspot, mut client) = started(config).await;
    let (status, issued) =
        client.oauth(&[("grant_type", "refresh_token"), ("refresh_token", "sim-refresh-token")]).await;
    assert_eq!((status, issued["expires_in"].as_i64()), (200, Some(1800)));
    client.token = issued["access_token"].as_str().unwrap().to_owned();
    let got = client.get(CONTACTS).await;
    assert_eq!((got.status, got.headers.contains_key("x-hubspot-ratelimit-daily")), (200, false));

    assert_eq!(client.send(Method::POST, "/_sim/expire_tokens", None).await.unwrap().status, 204);
    let expired = client.get(CONTACTS).await;
    assert_eq!((expired.status, expired.body["category"].as_str()), (401, Some("EXPIRED_AUTHENTICATION")));
    let (_, again) = client.oauth(&[("grant_type", "refresh_token"), ("refresh_token", "sim-refresh-token")]).await;
    client.token = again["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/account-info/2026-03/details").await.body["portalId"], 62_515);
    assert_eq!(client.oauth(&[("grant_type", "refresh_token"), ("refresh_token", "other")]).await.0, 400);

    let code = [
        ("grant_type", "authorization_code"),
        ("code", "sim-code"),
        ("redirect_uri", "http://127.0.0.1/oauth/callback"),
    ];
    assert_eq!((client.oauth(&code).await.0, client.oauth(&code).await.0), (200, 400), "a code works once");

    client.token = "reader".to_owned();
    let denied = client.post(CONTACTS, json!({"properties": {"firstname": "A"}})).await;
    assert_eq!((denied.status, denied.body["category"].as_str()), (403, Some("MISSING_SCOPES")));
    client.token = "unknown".to_owned();
    assert_eq!(client.get(CONTACTS).await.status, 401);
    let stats = hubspot.stats();
    assert_eq!((stats.token_refreshes, stats.auth_failures), (2, 3));
}

#[tokio::test]
async fn a_write_can_be_applied_without_an_answer() {
    let (hubspot, client) = started(Config::default()).await;
    client.unique_property().await;
    let path = format!("{CONTACTS}/batch/upsert");
    let body = json!({"inputs": [upsert_row("wa-1", json!({"firstname": "A"}))]});
    hubspot.set_faults(Faults { timeout_after_apply: 1.0, hang_ms: 60_000, ..Faults::default() });
    let request = client.http.post(format!("{}{path}", client.base)).bearer_auth(&client.token).json(&body);
    let lost = request.timeout(Duration::from_millis(300)).send().await;
    assert!(lost.unwrap_err().is_timeout());
    assert_eq!(hubspot.contacts().len(), 1);

    hubspot.set_faults(Faults { reset_after_apply: 1.0, ..Faults::default() });
    let reset = client.send(Method::POST, &path, Some(body.clone())).await;
    assert!(reset.is_err_and(|e| !e.is_timeout() && e.status().is_none()));
    hubspot.set_faults(Faults { server_error_after_apply: 1.0, ..Faults::default() });
    assert!(client.post(&path, body.clone()).await.status >= 500);

    hubspot.set_faults(Faults::default());
    assert_eq!(client.post(&path, body).await.body["results"][0]["new"], json!(false));
    let stats = hubspot.stats();
    assert_eq!((stats.records["contacts"], stats.applied_unanswered, stats.max_writes_per_key), (1, 3, 4));
    let started = Instant::now();
    hubspot.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(5), "a hanging answer must not hold up the end");
}

#[tokio::test]
async fn faults_are_replaced_at_run_time() {
    let (hubspot, client) = started(Config::default()).await;
    let put = async |faults: Value| client.send(Method::PUT, "/_sim/faults", Some(faults)).await.unwrap().status;
    assert_eq!(put(json!({"server_error": 2.0})).await, 400);
    assert_eq!(put(json!({"unknown": 1.0})).await, 400);
    assert_eq!(put(json!({"migrating": 1.0, "migrating_retry_after_s": 7})).await, 204);
    let moving = client.get(CONTACTS).await;
    assert_eq!((moving.status, moving.headers["retry-after"].to_str().unwrap()), (477, "7"));
    assert_eq!(put(json!({"too_many_requests": 1.0, "too_many_requests_policy": "DAILY"})).await, 204);
    assert_eq!(client.get(CONTACTS).await.body["policyName"], "DAILY");
    assert_eq!(put(json!({"outage": "unavailable"})).await, 204);
    assert_eq!(client.get(CONTACTS).await.status, 503);
    hubspot.set_faults(Faults { outage: Some(Outage::Drop), ..Faults::default() });
    assert!(client.send(Method::GET, CONTACTS, None).await.is_err());

    hubspot.set_faults(Faults { row_failure: 0.5, ..Faults::default() });
    let rows: Vec<Value> =
        (0..100).map(|n| json!({"properties": {"firstname": "A"}, "objectWriteTraceId": n.to_string()})).collect();
    let got = client.post(&format!("{CONTACTS}/batch/create"), json!({"inputs": rows})).await;
    let failed = got.body["numErrors"].as_u64().unwrap();
    assert_eq!((got.status, got.body["errors"][0]["category"].as_str()), (207, Some("INTERNAL_ERROR")));
    assert!((25..75).contains(&failed), "{failed}");
    assert_eq!(hubspot.contacts().len() as u64, 100 - failed);
    assert_eq!(client.send(Method::POST, "/_sim/reset", None).await.unwrap().status, 204);
    assert!(hubspot.contacts().is_empty());
}

#[tokio::test]
async fn search_lags_and_shows_the_old_version_meanwhile() {
    let mut config = roomy();
    config.flags.search_lag_ms = 400;
    let (_hubspot, client) = started(config).await;
    let id = client.contact(json!({"firstname": "Old", "phone": "+33644444444"})).await;
    let find = async |property: &str, value: &str| {
        let filter = json!({"propertyName": property, "operator": "EQ", "value": value});
        let body = json!({"filterGroups": [{"filters": [filter]}], "limit": 10, "properties": ["firstname"]});
        client.post(&format!("{CONTACTS}/search"), body).await.body["total"].as_u64().unwrap()
    };
    assert_eq!(find("firstname", "Old").await, 0, "too new");
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(find("hs_searchable_calculated_phone_number", "644444444").await, 1);
    assert_eq!(find("hs_searchable_calculated_phone_number", "33644444444").await, 0, "country code never matches");
    client.patch(&format!("{CONTACTS}/{id}"), json!({"properties": {"firstname": "New"}})).await;
    assert_eq!((find("firstname", "Old").await, find("firstname", "New").await), (1, 0));
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!((find("firstname", "Old").await, find("firstname", "New").await), (0, 1));
}

#[tokio::test]
async fn ten_thousand_results_are_a_trap_that_a_keyset_loop_survives() {
    let (hubspot, client) = started(roomy()).await;
    let records: Vec<Value> = (0..10_250).map(|n| json!({"firstname": n.to_string()})).collect();
    assert_eq!(client.post("/_sim/records/contacts", json!({"records": records})).await.status, 201);
    let path = format!("{CONTACTS}/search");
    let last = client.post(&path, json!({"limit": 200, "after": "9800"})).await;
    assert_eq!((last.status, last.body["total"].as_u64()), (200, Some(10_250)));
    let after = last.body["paging"]["next"]["after"].clone();
    assert_eq!(after, "10000");
    assert_eq!(client.post(&path, json!({"limit": 200, "after": after})).await.status, 400);
    assert_eq!(client.post(&path, json!({"limit": 201})).await.status, 400);

    let contacts = hubspot.contacts();
    let moment = contacts[0].updated_at_ms.to_string();
    assert!(contacts.iter().all(|c| c.updated_at_ms.to_string() == moment), "one timestamp for all");
    let (mut seen, mut last_id) = (0, "0".to_owned());
    loop {
        let filters = json!([{"propertyName": "lastmodifieddate", "operator": "GTE", "value": moment},
                             {"propertyName": "hs_object_id", "operator": "GT", "value": last_id}]);
        let sorts = json!([{"propertyName": "hs_object_id", "direction": "ASCENDING"}]);
        let page =
            client.post(&path, json!({"filterGroups": [{"filters": filters}], "sorts": sorts, "limit": 200})).await;
        let rows = page.body["results"].as_array().unwrap().clone();
        let Some(row) = rows.last() else { break };
        seen += rows.len();
        last_id = row["id"].as_str().unwrap().to_owned();
    }
    assert_eq!(seen, 10_250);
}

#[tokio::test]
async fn search_filters_follow_the_guide() {
    let (_hubspot, client) = started(roomy()).await;
    for (first, last) in [("Ana", "Souza"), ("Bo", "Berg"), ("Cy", "")] {
        client.contact(json!({"firstname": first, "lastname": last})).await;
    }
    let search = async |filter: Value| {
        let body = json!({"filterGroups": [{"filters": [filter]}], "limit": 10});
        let got = client.post(&format!("{CONTACTS}/search"), body).await;
        got.body["results"].as_array().map(|rows| {
            rows.iter().map(|r| r["properties"]["firstname"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
        })
    };
    let name = |operator: &str, value: Value| json!({"propertyName": "lastname", "operator": operator, "value": value});
    assert_eq!(search(name("EQ", json!("souza"))).await.as_deref(), Some("Ana"));
    assert_eq!(search(name("NEQ", json!("souza"))).await.as_deref(), Some("Bo"));
    assert_eq!(search(name("CONTAINS_TOKEN", json!("sou*"))).await.as_deref(), Some("Ana"));
    assert_eq!(
        search(json!({"propertyName": "lastname", "operator": "HAS_PROPERTY"})).await.as_deref(),
        Some("Ana,Bo")
    );
    assert_eq!(
        search(json!({"propertyName": "lastname", "operator": "NOT_HAS_PROPERTY"})).await.as_deref(),
        Some("Cy")
    );
    let among = json!({"propertyName": "lastname", "operator": "IN", "values": ["berg", "x"]});
    assert_eq!(search(among).await.as_deref(), Some("Bo"));
    let between =
        json!({"propertyName": "createdate", "operator": "BETWEEN", "value": "0", "highValue": "2100-01-01T00:00:00Z"});
    assert_eq!(search(between).await.as_deref(), Some("Ana,Bo,Cy"));
    assert_eq!(search(json!({"propertyName": "nonsense", "operator": "HAS_PROPERTY"})).await, None);
    let seven = vec![json!({"propertyName": "lastname", "operator": "HAS_PROPERTY"}); 7];
    let got = client.post(&format!("{CONTACTS}/search"), json!({"filterGroups": [{"filters": seven}]})).await;
    assert_eq!(got.status, 400);
}

#[tokio::test]
async fn a_communication_is_logged_on_its_contact_and_moves_it() {
    let (hubspot, client) = started(Config::default()).await;
    let contact = client.contact(json!({"firstname": "A"})).await;
    let before = hubspot.contacts()[0].updated_at_ms;
    assert_eq!(client.post(COMMUNICATIONS, communication(&contact, 85)).await.status, 400);
    assert_eq!(client.post(COMMUNICATIONS, communication("999", 81)).await.status, 400);
    let made = client.post(COMMUNICATIONS, communication(&contact, 81)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.body["id"].as_str().unwrap();
    let stored = &hubspot.communications()[0];
    assert_eq!(
        (stored.associations[0].to_id.as_str(), &stored.associations[0].type_ids[..]),
        (contact.as_str(), &[81][..])
    );
    assert!(hubspot.contacts()[0].updated_at_ms > before, "logging moves the contact's last-modified time");

    let listed = client.get(&format!("{COMMUNICATIONS}/{id}/associations/contacts")).await;
    assert_eq!(listed.body["results"][0]["toObjectId"].to_string(), contact);
    assert_eq!(listed.body["results"][0]["associationTypes"][0]["typeId"], 81);
    let read = json!({"inputs": [{"id": contact}, {"id": "5"}]});
    let read = client.post("/crm/associations/2026-09/contacts/communications/batch/read", read).await;
    assert_eq!((read.status, read.body["results"][0]["to"][0]["toObjectId"].to_string()), (207, id.to_owned()));

    let other = client.contact(json!({"firstname": "B"})).await;
    let put = format!("{COMMUNICATIONS}/{id}/associations/default/contacts/{other}");
    assert_eq!(client.send(Method::PUT, &put, None).await.unwrap().status, 200);
    assert_eq!(hubspot.communications()[0].associations.len(), 2);

    for (name, value) in [
        ("hs_communication_channel_type", json!("TELEGRAM")),
        ("hs_communication_logged_from", json!("API")),
        ("hs_communication_body", json!("x".repeat(65_537))),
        ("hs_timestamp", Value::Null),
    ] {
        let mut bad = communication(&contact, 81);
        bad["properties"][name] = value;
        assert_eq!(client.post(COMMUNICATIONS, bad).await.status, 400, "{name}");
    }
    let ticked = json!({"properties": {"hs_communication_body": "hello ✓"}});
    assert_eq!(client.patch(&format!("{COMMUNICATIONS}/{id}"), ticked).await.status, 200);
}

#[tokio::test]
async fn custom_properties_on_communications_hang_on_the_flag() {
    let body = json!({"groupName": "communicationinformation", "name": "wa_status", "label": "Status",
                      "type": "string", "fieldType": "text"});
    for (allowed, status) in [(true, 201), (false, 400)] {
        let mut config = Config::default();
        config.flags.communications_custom_properties = allowed;
        let (_hubspot, client) = started(config).await;
        assert_eq!(client.post("/crm/properties/2026-09/communications", body.clone()).await.status, status);
        assert_eq!(client.get("/crm/properties/2026-09/communications/wa_status").await.status == 200, allowed);
    }
}

#[tokio::test]
async fn a_merge_gives_a_new_id_and_the_old_ones_are_gone() {
    let (hubspot, client) = started(Config::default()).await;
    let a = client.contact(json!({"email": "a@example.com", "firstname": "A"})).await;
    let b = client.contact(json!({"email": "b@example.com", "lastname": "B"})).await;
    client.post(COMMUNICATIONS, communication(&b, 81)).await;
    let merged = client.post(&format!("{CONTACTS}/merge"), json!({"primaryObjectId": a, "objectIdToMerge": b})).await;
    assert_eq!((merged.status, merged.body["properties"]["lastname"].as_str()), (200, Some("B")));
    let id = merged.body["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("{CONTACTS}/{a}")).await.status, 404);
    assert_eq!(client.get(&format!("{CONTACTS}/b@example.com?idProperty=email")).await.body["id"], id);
    assert_eq!(hubspot.communications()[0].associations[0].to_id, id);

    assert_eq!(client.post(&format!("{CONTACTS}/gdpr-delete"), json!({"objectId": id})).await.status, 204);
    assert!(hubspot.contacts().is_empty() && hubspot.communications()[0].associations.is_empty());
}

#[tokio::test]
async fn webhooks_are_batched_signed_and_repeated() {
    let got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
    let sink = Arc::clone(&got);
    let receiver = axum::Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
        let mut got = sink.lock().unwrap();
        got.push((headers, body));
        // The first attempt is refused, so that there is a second one.
        if got.len() == 1 { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/hook%3Aa?x=%2Fy", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, receiver).await });
    let subscription = |kind: &str, property: Option<&str>| Subscription {
        event_type: kind.to_owned(),
        property_name: property.map(str::to_owned),
    };
    let webhooks = Webhooks {
        target_url: target.clone(),
        client_secret: Some("secret".to_owned()),
        app_id: 7,
        subscriptions: vec![
            subscription("contact.creation", None),
            subscription("contact.propertyChange", Some("phone")),
        ],
        flush_ms: 50,
        timeout_ms: 5_000,
        retries: 3,
        retry_delay_ms: 50,
        duplicates: 0.0,
    };
    let (hubspot, client) = started(Config { webhooks: Some(webhooks), ..Config::default() }).await;
    client.contact(json!({"firstname": "A", "phone": "+15550100"})).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while hubspot.stats().webhooks_delivered == 0 {
        assert!(Instant::now() < deadline, "nothing delivered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let got = got.lock().unwrap();
    assert_eq!((got.len(), hubspot.stats().webhooks_failed), (2, 1));
    for (attempt, (headers, body)) in got.iter().enumerate() {
        let events: Vec<Value> = serde_json::from_slice(body).unwrap();
        assert_eq!(events.len(), 2, "{events:?}");
        assert_eq!(events[0]["subscriptionType"], "contact.creation");
        assert_eq!((&events[1]["propertyName"], &events[1]["propertyValue"]), (&json!("phone"), &json!("+15550100")));
        assert_eq!(
            (&events[1]["changeSource"], events[1]["attemptNumber"].as_u64()),
            (&json!("INTEGRATION"), Some(attempt as u64))
        );
        let timestamp = headers["x-hubspot-request-timestamp"].to_str().unwrap();
        let plain = target.replace("%3A", ":").replace("%2F", "/");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(&[b"POST", plain.as_bytes(), body, timestamp.as_bytes()].concat());
        let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(headers["x-hubspot-signature-v3"].to_str().unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batched_rows_keep_pace() {
    let (hubspot, client) = started(roomy()).await;
    client.unique_property().await;
    let started = Instant::now();
    for batch in 0..60 {
        let rows: Vec<Value> = (0..100)
            .map(|n| {
                upsert_row(
                    &format!("wa-{}", (batch % 40) * 100 + n),
                    json!({"firstname": "A", "phone": "+5511999990000"}),
                )
            })
            .collect();
        assert_eq!(client.post(&format!("{CONTACTS}/batch/upsert"), json!({"inputs": rows})).await.status, 200);
    }
    let rate = 6_000.0 / started.elapsed().as_secs_f64();
    eprintln!("{rate:.0} rows/s");
    assert_eq!(hubspot.contacts().len(), 4_000);
    // Far below what an idle core does, so that a busy one does not fail the build.
    assert!(rate > 500.0, "{rate:.0} rows/s");
}
