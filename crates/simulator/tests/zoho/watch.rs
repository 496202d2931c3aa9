//! Notification channels.

use super::client::{Client, started};
use axum::body::Bytes;
use http::StatusCode;
use ponte_simulator::zoho::{Config, Faults, Zoho};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A receiver and what it got.
async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    let got: Arc<Mutex<Vec<Value>>> = Arc::default();
    let sink = Arc::clone(&got);
    let app = axum::Router::new().fallback(move |body: Bytes| async move {
        sink.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        StatusCode::OK
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, got)
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn expiry(client: &Client, seconds: i64) -> String {
    let now = client.get("/_sim/clock").await.body["now_ms"].as_i64().unwrap();
    jiff::Timestamp::from_millisecond(now + seconds * 1000).unwrap().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn channel(url: &str) -> Value {
    json!({"channel_id": "1000000068001", "events": ["Contacts.all"], "notify_url": url, "token": "secret",
           "return_affected_field_values": true})
}

fn settled(zoho: &Zoho) -> u64 {
    let stats = zoho.stats();
    stats.notified + stats.notifications_failed
}

#[tokio::test]
async fn changes_by_anyone_are_told_with_ids_fields_and_the_token() {
    let (url, got) = receiver().await;
    let (zoho, client) = started(Config::default()).await;
    let subscribed = client.post("/actions/watch", json!({"watch": [channel(&url)]})).await;
    assert_eq!(subscribed.said(), (201, "SUCCESS"), "{}", subscribed.body);
    let event = &subscribed.body["watch"][0]["details"]["events"][0];
    assert_eq!((&event["resource_name"], &event["channel_id"]), (&json!("Contacts"), &json!("1000000068001")));
    let rows = json!({"data": [{"Last_Name": "A"}, {"Last_Name": "B"}], "trigger": []});
    let ids = client.post("/Contacts", rows).await.ids();
    client.patch(&format!("/_sim/records/Contacts/{}", ids[0]), json!({"fields": {"Mobile": "+15550100"}})).await;
    client.delete(&format!("/Contacts/{}", ids[1])).await;
    client.make("Accounts", json!({"Account_Name": "x"})).await;
    until("three notifications", || zoho.stats().notified == 3).await;
    let got = got.lock().unwrap();
    let told = |operation: &str| got.iter().find(|body| body["operation"] == operation).unwrap();
    let insert = told("insert");
    assert_eq!(
        (&insert["ids"], &insert["module"], &insert["token"]),
        (&json!(ids), &json!("Contacts"), &json!("secret"))
    );
    let update = told("update");
    assert_eq!(update["affected_fields"], json!([{ids[0].clone(): ["Mobile"]}]));
    assert_eq!(update["affected_values"], json!([{"record_id": ids[0], "values": {"Mobile": "+15550100"}}]));
    assert_eq!(told("delete")["ids"], json!([ids[1]]));
    assert!(update["resource_uri"].as_str().unwrap().ends_with("/crm/v8/Contacts"));
}

#[tokio::test]
async fn a_channel_ends_after_an_hour_unless_it_says_otherwise_and_never_lives_over_a_week() {
    let (url, _got) = receiver().await;
    let (zoho, client) = started(Config::default()).await;
    let post = async |watch: Value| client.post("/actions/watch", json!({"watch": [watch]})).await;
    post(channel(&url)).await;
    client.advance(3_599_000).await;
    assert_eq!(zoho.stats().channels, 1);
    client.advance(1_001).await;
    assert_eq!((zoho.stats().channels, client.get("/actions/watch").await.status), (0, 204));
    client.make("Contacts", json!({"Last_Name": "A"})).await;
    assert_eq!(settled(&zoho), 0, "nobody is told");

    let with = async |seconds: i64| {
        let mut watch = channel(&url);
        watch["channel_expiry"] = json!(expiry(&client, seconds).await);
        watch
    };
    assert_eq!(post(with(604_790).await).await.said(), (201, "SUCCESS"));
    assert_eq!(post(with(604_810).await).await.said(), (400, "INVALID_DATA"));
    assert_eq!(post(with(-5).await).await.said(), (400, "INVALID_DATA"));
    client.advance(600_000_000).await;
    let renew = json!({"watch": [{"channel_id": "1000000068001", "channel_expiry": expiry(&client, 604_790).await}]});
    assert_eq!(client.patch("/actions/watch", renew).await.said(), (200, "SUCCESS"));
    client.advance(600_000_000).await;
    let listed = client.get("/actions/watch?channel_id=1000000068001").await;
    assert_eq!(
        (&listed.body["watch"][0]["events"], &listed.body["info"]["count"]),
        (&json!(["Contacts.all"]), &json!(1))
    );
}

#[tokio::test]
async fn channels_are_checked_changed_and_ended() {
    let (url, _got) = receiver().await;
    let (zoho, client) = started(Config::default()).await;
    let post = async |watch: Value| client.post("/actions/watch", json!({"watch": [watch]})).await;
    for (field, value, code) in [
        ("channel_id", Value::Null, "INVALID_DATA"),
        ("channel_id", json!("my channel"), "INVALID_DATA"),
        ("events", json!(["Contacts.touch"]), "INVALID_DATA"),
        ("events", json!([]), "MANDATORY_NOT_FOUND"),
        ("notify_url", json!("not an address"), "INVALID_DATA"),
        ("token", json!("x".repeat(51)), "INVALID_DATA"),
        ("channel_expiry", json!("tomorrow"), "INVALID_DATA"),
        ("return_affected_field_values", json!("yes"), "INVALID_DATA"),
    ] {
        let mut watch = channel(&url);
        watch[field] = value;
        assert_eq!(post(watch).await.said(), (400, code), "{field}");
    }
    let many = vec![channel(&url); 51];
    assert_eq!(client.post("/actions/watch", json!({"watch": many})).await.said(), (400, "INVALID_DATA"));
    let unknown = json!({"watch": [{"channel_id": "7", "token": "x"}]});
    assert_eq!(client.patch("/actions/watch", unknown).await.said(), (400, "NOT_SUBSCRIBED"));
    let mut two = channel(&url);
    two["events"] = json!(["Contacts.create", "Leads.edit"]);
    post(two).await;
    let drop = json!({"watch": [{"channel_id": "1000000068001", "events": ["Leads.edit"], "_delete_events": true}]});
    assert_eq!(client.patch("/actions/watch", drop).await.said(), (200, "SUCCESS"));
    assert_eq!(client.get("/actions/watch").await.body["watch"].as_array().unwrap().len(), 1);
    assert_eq!(client.delete("/actions/watch").await.said(), (400, "REQUIRED_PARAM_MISSING"));
    let gone = client.delete("/actions/watch?channel_ids=1000000068001,9").await;
    assert_eq!((gone.status, gone.body["watch"][1]["code"].as_str()), (207, Some("NOT_SUBSCRIBED")));
    assert_eq!(zoho.stats().channels, 0);
}

#[tokio::test]
async fn conditions_let_only_changes_of_their_fields_through() {
    let (url, got) = receiver().await;
    let (zoho, client) = started(Config::default()).await;
    let mut watch = channel(&url);
    watch["events"] = json!(["Contacts.edit"]);
    watch["notification_condition"] = json!([{"type": "field_selection", "module": {"api_name": "Contacts"},
        "field_selection": {"group_operator": "or", "group": [{"field": {"api_name": "Mobile"}}, {"field": {"api_name": "Phone"}}]}}]);
    assert_eq!(client.post("/actions/watch", json!({"watch": [watch.clone()]})).await.said(), (201, "SUCCESS"));
    let id = client.make("Contacts", json!({"Last_Name": "A", "Mobile": "+15550100"})).await;
    for change in [json!({"Title": "Dr"}), json!({"Mobile": "+15550100"}), json!({"Phone": "+15550101"})] {
        client.put(&format!("/Contacts/{id}"), json!({"data": [change]})).await;
    }
    until("one notification", || settled(&zoho) > 0).await;
    assert_eq!(got.lock().unwrap()[0]["affected_fields"], json!([{id: ["Phone"]}]));
    assert_eq!(settled(&zoho), 1);
    watch["notification_condition"] = json!([{"type": "value", "module": {"api_name": "Contacts"}}]);
    assert_eq!(client.post("/actions/watch", json!({"watch": [watch]})).await.said(), (400, "INVALID_DATA"));
}

#[tokio::test]
async fn notifications_get_lost_or_come_twice_when_the_faults_say_so() {
    let (url, got) = receiver().await;
    let mut config = Config::default();
    config.flags.notify_with_event_names = true;
    let (zoho, client) = started(config).await;
    client.post("/actions/watch", json!({"watch": [channel(&url)]})).await;
    zoho.set_faults(Faults { notification_lost: 1.0, ..Faults::default() });
    client.make("Contacts", json!({"Last_Name": "A"})).await;
    until("a lost one", || zoho.stats().notifications_failed == 1).await;
    zoho.set_faults(Faults { notified_twice: 1.0, ..Faults::default() });
    client.make("Contacts", json!({"Last_Name": "B"})).await;
    until("two", || zoho.stats().notified == 2).await;
    assert!(got.lock().unwrap().iter().all(|body| body["operation"] == "create"));
}
