//! Search by criteria, email, phone and word.

use super::client::{Client, roomy, started};
use ponte_simulator::zoho::Config;
use serde_json::{Value, json};
use std::time::Duration;

async fn found(client: &Client, query: &str) -> String {
    let got = client.get(&format!("/Contacts/search?fields=Last_Name&sort_order=asc&{query}")).await;
    assert!([200, 204].contains(&got.status), "{query}: {}", got.body);
    let names: Vec<&str> = got.rows().iter().map(|row| row["Last_Name"].as_str().unwrap()).collect();
    names.join(",")
}

#[tokio::test]
async fn equals_behaves_like_contains_and_phones_match_from_their_end() {
    let (_zoho, client) = started(Config::default()).await;
    let rows = vec![
        json!({"Last_Name": "Burns", "Title": "ABC Inc.", "Email": "sales-team@a.example", "Mobile": "+5511999990000"}),
        json!({"Last_Name": "Boyle", "Title": "ABCD", "Phone": "(11) 9999-0000", "Lead_Source": "Chat"}),
        json!({"Last_Name": "O)K,", "Date_of_Birth": "1990-05-01"}),
    ];
    client.person_makes("Contacts", rows).await;
    for (query, expected) in [
        ("criteria=(Title:equals:ABC)", "Burns"),
        ("criteria=(Email:equals:sales_team)", "Burns"),
        ("criteria=((Last_Name:starts_with:B)and(Lead_Source:equals:Chat))", "Boyle"),
        ("criteria=((Last_Name:equals:Burns)or(Last_Name:equals:Boyle))", "Burns,Boyle"),
        ("criteria=(Last_Name:in:Burns,Boyle)", "Burns,Boyle"),
        ("criteria=(Date_of_Birth:between:1990-01-01,1990-12-31)", "O)K,"),
        (r"criteria=(Last_Name:equals:O\)K\,)", "O)K,"),
        ("phone=%2B5511999990000", "Burns"),
        ("phone=99990000", "Burns,Boyle"),
        ("phone=0000", "Burns,Boyle"),
        ("phone=%2B551199990000", ""),
        ("email=sales-team@a.example", "Burns"),
        ("word=burns", "Burns"),
        ("criteria=(Last_Name:equals:Boyle)&word=burns", "Boyle"),
        ("word=nobody", ""),
    ] {
        assert_eq!(found(&client, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_search_that_asks_nothing_or_nonsense_is_refused() {
    let (_zoho, client) = started(Config::default()).await;
    for (query, code) in [
        ("", "EXPECTED_PARAM_MISSING"),
        ("word=x", "INVALID_DATA"),
        ("phone=12", "INVALID_DATA"),
        ("phone=call-me", "INVALID_DATA"),
        ("criteria=(Last_Name:resembles:x)", "INVALID_QUERY"),
        ("criteria=(Nonsense:equals:x)", "INVALID_QUERY"),
        ("criteria=(Modified_Time:greater_than:2026-01-01T00:00:00Z)", "INVALID_QUERY"),
        ("word=xy&per_page=200&page=11", "LIMIT_REACHED"),
        ("word=xy&sort_by=Nonsense", "INVALID_DATA"),
    ] {
        assert_eq!(client.get(&format!("/Contacts/search?{query}")).await.said(), (400, code), "{query}");
    }
    let many = ["(Last_Name:equals:x)"; 11].join("or");
    let got = client.get(&format!("/Contacts/search?criteria=({many})")).await;
    assert_eq!(got.said(), (400, "CRITERIA_LIMIT_EXCEEDED"));
    let many = vec!["x"; 101].join(",");
    assert_eq!(
        client.get(&format!("/Contacts/search?criteria=(Last_Name:in:{many})")).await.said(),
        (400, "INVALID_QUERY")
    );
    assert_eq!(client.get("/Notes/search?word=xy").await.said(), (400, "NOT_SUPPORTED"));
}

#[tokio::test]
async fn search_lags_and_shows_the_old_version_meanwhile() {
    let mut config = roomy();
    config.flags.search_lag_ms = 60_000;
    let (_zoho, client) = started(config).await;
    let id = client.make("Contacts", json!({"Last_Name": "Old", "Mobile": "+33644444444"})).await;
    let query = json!({"select_query": "select Last_Name from Contacts where Last_Name = 'Old'"});
    assert_eq!(found(&client, "phone=33644444444").await, "", "too new");
    assert_eq!(client.post("/coql", query).await.rows().len(), 1, "COQL doesn't lag");
    client.advance(60_001).await;
    assert_eq!(found(&client, "phone=33644444444").await, "Old");
    client.put(&format!("/Contacts/{id}"), json!({"data": [{"Last_Name": "New"}]})).await;
    assert_eq!((found(&client, "word=Old").await, found(&client, "word=New").await), ("Old".to_owned(), String::new()));
    client.advance(60_001).await;
    assert_eq!((found(&client, "word=Old").await, found(&client, "word=New").await), (String::new(), "New".to_owned()));
}

#[tokio::test]
async fn pages_of_a_search_tell_whether_there_are_more() {
    let (_zoho, client) = started(roomy()).await;
    let rows: Vec<Value> = (0..450).map(|n| json!({"Last_Name": format!("Same {n:03}")})).collect();
    client.person_makes("Contacts", rows).await;
    let page = async |n: usize| client.get(&format!("/Contacts/search?word=same&page={n}&sort_by=Last_Name")).await;
    let (first, third) = (page(1).await, page(3).await);
    assert_eq!((first.rows().len(), &first.body["info"]["more_records"]), (200, &json!(true)));
    assert_eq!((third.rows().len(), &third.body["info"]["more_records"]), (50, &json!(false)));
    assert_eq!(first.rows()[0]["Last_Name"], "Same 449", "descending when nothing is said");
    assert_eq!(page(4).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_does_not_look_at_all_records() {
    let (_zoho, client) = started(roomy()).await;
    let rows = |from: usize| -> Vec<Value> {
        (from..from + 10_000).map(|n| json!({"Last_Name": "x", "Mobile": format!("+49301{n:07}")})).collect()
    };
    let time = async || {
        let started = std::time::Instant::now();
        for n in 0..50 {
            assert_eq!(client.get(&format!("/Contacts/search?phone=49301{n:07}")).await.rows().len(), 1);
        }
        started.elapsed()
    };
    client.person_makes("Contacts", rows(0)).await;
    let few = time().await;
    client.person_makes("Contacts", rows(10_000)).await;
    client.person_makes("Contacts", rows(20_000)).await;
    let many = time().await;
    assert!(many < few * 2 + Duration::from_millis(200), "{few:?} with 10,000 records, {many:?} with 30,000");
}
