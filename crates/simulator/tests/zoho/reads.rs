//! Lists by pages and page tokens, single records, and what changed since.

use super::client::{Got, roomy, started};
use ponte_simulator::zoho::Config;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn people(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"Last_Name": format!("Person {n}"), "Email": format!("p{n}@a.example")})).collect()
}

fn token(got: &Got) -> Option<&str> {
    got.body["info"]["next_page_token"].as_str()
}

#[tokio::test]
async fn a_list_needs_fields_and_shows_only_them() {
    let (_zoho, client) = started(Config::default()).await;
    let account = client.make("Accounts", json!({"Account_Name": "Zylker"})).await;
    let fields = json!({"Last_Name": "Boyle", "First_Name": "Pat", "Account_Name": {"id": account}});
    let id = client.make("Contacts", fields).await;
    let missing = client.get("/Contacts").await;
    assert_eq!(
        (missing.said(), &missing.body["details"]["param_name"]),
        ((400, "REQUIRED_PARAM_MISSING"), &json!("fields"))
    );
    let fifty = |n: usize| format!("/Contacts?fields={}", vec!["Email"; n].join(","));
    assert_eq!(
        (client.get(&fifty(50)).await.status, client.get(&fifty(51)).await.said()),
        (200, (400, "LIMIT_EXCEEDED"))
    );
    let got = client.get("/Contacts?fields=Full_Name,Account_Name,Email,Nonsense").await;
    let shown =
        json!({"id": id, "Full_Name": "Pat Boyle", "Account_Name": {"name": "Zylker", "id": account}, "Email": null});
    assert_eq!(got.rows(), [shown]);
    for bad in ["sort_by=Email", "per_page=201", "page=0", "sort_order=up", "converted=maybe"] {
        assert_eq!(client.get(&format!("/Contacts?fields=Email&{bad}")).await.said(), (400, "INVALID_DATA"), "{bad}");
    }
    let one = client.get(&format!("/Contacts/{id}")).await;
    assert_eq!(
        (&one.rows()[0]["Owner"]["name"], &one.rows()[0]["$converted"]),
        (&json!("Integration User"), &json!(false))
    );
}

#[tokio::test]
async fn pages_reach_two_thousand_rows_and_tokens_reach_all() {
    let (_zoho, client) = started(roomy()).await;
    client.person_makes("Contacts", people(2_150)).await;
    let path = "/Contacts?fields=Last_Name&per_page=200&sort_by=id&sort_order=asc";
    let tenth = client.get(&format!("{path}&page=10")).await;
    assert_eq!((tenth.rows().len(), &tenth.body["info"]["more_records"]), (200, &json!(true)));
    let over = client.get(&format!("{path}&page=11")).await;
    assert_eq!(over.said(), (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED"));
    assert_eq!(over.body["details"]["limit"], 2_000);

    let (mut seen, mut got) = (BTreeSet::new(), client.get(path).await);
    loop {
        seen.extend(got.ids());
        let Some(token) = token(&got).map(ToOwned::to_owned) else { break };
        assert!(got.body["info"]["page_token_expiry"].is_string());
        got = client.get(&format!("{path}&page_token={token}")).await;
        assert_eq!(got.status, 200, "{}", got.body);
    }
    assert_eq!((seen.len(), &got.body["info"]["more_records"]), (2_150, &json!(false)));
}

#[tokio::test]
async fn a_page_token_is_bound_to_its_request_and_lives_a_day() {
    let (_zoho, client) = started(roomy()).await;
    client.person_makes("Contacts", people(5)).await;
    let path = "/Contacts?fields=Last_Name&per_page=2";
    let first = client.get(path).await;
    let token = token(&first).unwrap();
    for other in [
        "/Contacts?fields=Email&per_page=2",
        "/Contacts?fields=Last_Name&per_page=3",
        "/Leads?fields=Last_Name&per_page=2",
    ] {
        let got = client.get(&format!("{other}&page_token={token}")).await;
        assert_eq!(got.said(), (400, "TOKEN_BOUND_DATA_MISMATCH"), "{other}");
    }
    let both = client.get(&format!("{path}&page=2&page_token={token}")).await;
    assert_eq!(both.said(), (400, "AMBIGUITY_DURING_PROCESSING"));
    client.advance(86_399_000).await;
    assert_eq!(client.get(&format!("{path}&page_token={token}")).await.status, 200);
    client.advance(1_001).await;
    assert_eq!(client.get(&format!("{path}&page_token={token}")).await.said(), (400, "EXPIRED_VALUE"));
}

#[tokio::test]
async fn tokens_end_at_their_own_limit() {
    let mut config = roomy();
    config.limits.token_rows = 500;
    let (_zoho, client) = started(config).await;
    client.person_makes("Contacts", people(700)).await;
    let path = "/Contacts?fields=Last_Name&per_page=200";
    let first = client.get(path).await;
    let second = client.get(&format!("{path}&page_token={}", token(&first).unwrap())).await;
    let third = client.get(&format!("{path}&page_token={}", token(&second).unwrap())).await;
    assert_eq!(third.said(), (400, "PAGINATION_LIMIT_EXCEEDED"));
}

#[tokio::test]
async fn what_did_not_change_since_is_304_and_times_are_whole_seconds() {
    let (_zoho, client) = started(Config { utc_offset_minutes: 330, ..Config::default() }).await;
    let ids = client.person_makes("Contacts", people(3)).await;
    client.advance(5_000).await;
    let path = "/Contacts?fields=Modified_Time&sort_by=Modified_Time&sort_order=asc";
    let all = client.get(path).await;
    let stamp = all.rows()[0]["Modified_Time"].as_str().unwrap().to_owned();
    assert!(stamp.ends_with("+05:30") && stamp.len() == 25, "{stamp}");
    assert!(
        all.rows().iter().all(|row| row["Modified_Time"] == stamp),
        "one second for all: only the id tells them apart"
    );
    assert_eq!(all.ids(), ids);
    assert_eq!(client.get_since(path, &stamp).await.status, 304, "after, not from");
    let put = json!({"data": [{"id": ids[1], "Title": "Dr"}]});
    assert_eq!(client.put("/Contacts", put).await.status, 200);
    let changed = client.get_since(path, &stamp).await;
    assert_eq!((changed.status, changed.ids()), (200, vec![ids[1].clone()]));
    let one = format!("/Contacts/{}", ids[0]);
    assert_eq!((client.get_since(&one, &stamp).await.status, client.get(&one).await.status), (304, 200));
    assert_eq!(client.get_since(path, "yesterday").await.said(), (400, "INVALID_DATA"));
    assert_eq!(client.get("/Leads?fields=Email").await.status, 204, "an empty module");
}

#[tokio::test]
async fn a_record_that_is_gone_is_invalid_data_or_204_by_flag() {
    for flag in [false, true] {
        let mut config = Config::default();
        config.flags.gone_is_204 = flag;
        let (_zoho, client) = started(config).await;
        let got = client.get("/Contacts/5725767000000999999").await;
        assert_eq!(got.said(), if flag { (204, "") } else { (400, "INVALID_DATA") });
    }
}

#[tokio::test]
async fn records_are_counted_and_picked_by_ids() {
    let (_zoho, client) = started(Config::default()).await;
    let ids = client.person_makes("Contacts", people(4)).await;
    assert_eq!(client.get("/Contacts/actions/count").await.body, json!({"count": 4}));
    let got = client.get(&format!("/Contacts?fields=Email&ids={},{},5", ids[2], ids[0])).await;
    assert_eq!(got.ids(), [ids[2].clone(), ids[0].clone()]);
}
