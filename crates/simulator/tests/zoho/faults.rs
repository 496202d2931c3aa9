//! What goes wrong on the way.

use super::client::started;
use http::Method;
use ponte_simulator::zoho::{Config, Faults, Outage};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_write_can_be_applied_without_an_answer() {
    let (zoho, client) = started(Config::default()).await;
    client.key_field("Contacts").await;
    let body = json!({"data": [{"Last_Name": "A", "WA_Key": "per_1"}], "duplicate_check_fields": ["WA_Key"]});
    let path = "/Contacts/upsert";
    zoho.set_faults(Faults { timeout_after_apply: 1.0, hang_ms: 60_000, ..Faults::default() });
    let request = client.http.post(format!("{}/crm/v8{path}", client.base)).json(&body);
    let request = request.header("authorization", format!("Zoho-oauthtoken {}", client.token));
    assert!(request.timeout(Duration::from_millis(300)).send().await.unwrap_err().is_timeout());
    assert_eq!(zoho.records("Contacts").len(), 1);
    zoho.set_faults(Faults { reset_after_apply: 1.0, ..Faults::default() });
    let reset = client.send(Method::POST, path, &[], Some(body.clone())).await;
    assert!(reset.is_err_and(|e| !e.is_timeout() && e.status().is_none()));
    zoho.set_faults(Faults { server_error_after_apply: 1.0, ..Faults::default() });
    assert!(client.post(path, body.clone()).await.status >= 500);
    zoho.set_faults(Faults::default());
    assert_eq!(client.post(path, body).await.rows()[0]["action"], "update");
    let stats = zoho.stats();
    assert_eq!((stats.records["Contacts"], stats.applied_unanswered, stats.max_writes_per_record), (1, 3, 4));
    let started = Instant::now();
    zoho.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(5), "a hanging answer must not hold up the end");
}

#[tokio::test]
async fn faults_are_replaced_at_run_time_and_forgotten_by_a_reset() {
    let (zoho, client) = started(Config::default()).await;
    let put = async |faults: Value| client.send(Method::PUT, "/_sim/faults", &[], Some(faults)).await.unwrap().status;
    assert_eq!((put(json!({"server_error": 2.0})).await, put(json!({"unknown": 1.0})).await), (400, 400));
    for (fault, status) in [("token_refused", 401), ("too_many_requests", 429)] {
        assert_eq!(put(json!({fault: 1.0})).await, 204);
        assert_eq!(client.get("/org").await.status, status);
    }
    assert_eq!(put(json!({"server_error": 1.0})).await, 204);
    assert!(client.get("/org").await.status >= 500);
    assert_eq!(put(json!({"outage": "unavailable"})).await, 204);
    assert_eq!((client.get("/org").await.status, client.refresh_status().await), (503, 503));
    zoho.set_faults(Faults { outage: Some(Outage::Drop), ..Faults::default() });
    assert!(client.send(Method::GET, "/org", &[], None).await.is_err());
    assert_eq!(client.post("/_sim/reset", json!({})).await.status, 204);
    assert_eq!(client.get("/org").await.status, 200);
}

#[test]
fn settings_name_only_what_differs_and_nothing_unknown() {
    let text = "data_centre = 'eu'\nutc_offset_minutes = 60\n[limits]\ncredits = 500\n[flags]\nsearch_lag_ms = 5000";
    let config: Config = toml::from_str(text).unwrap();
    assert_eq!((config.limits.credits, config.limits.rows, config.flags.search_lag_ms), (500, 100, 5_000));
    assert!(toml::from_str::<Config>("[limits]\ncalls = 5").is_err());
}

#[tokio::test]
async fn row_faults_hit_their_share_and_the_same_seed_hits_the_same_rows() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (zoho, client) = started(Config::default()).await;
        zoho.set_faults(Faults { row_failure: 0.3, row_locked: 0.3, row_rejection: 0.1, ..Faults::default() });
        let rows: Vec<Value> = (0..100).map(|n| json!({"Last_Name": n.to_string()})).collect();
        let got = client.post("/Contacts", json!({"data": rows})).await;
        let codes: Vec<String> = got.rows().iter().map(|row| row["code"].as_str().unwrap().to_owned()).collect();
        let count = |code: &str| codes.iter().filter(|c| *c == code).count();
        assert_eq!((got.status, zoho.records("Contacts").len()), (207, count("SUCCESS")));
        for code in ["INTERNAL_ERROR", "RECORD_LOCKED", "SUCCESS"] {
            assert!((10..60).contains(&count(code)), "{code}: {}", count(code));
        }
        seen.push(codes);
    }
    assert_eq!(seen[0], seen[1]);
}
