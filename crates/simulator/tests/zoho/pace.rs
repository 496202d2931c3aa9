//! Size and speed: a hundred thousand contacts, and thousands of rows a second.

use super::client::{roomy, started};
use serde_json::{Value, json};
use std::time::Instant;

fn row(n: usize) -> Value {
    json!({"Last_Name": format!("Person {n}"), "First_Name": "P", "Email": format!("p{n}@a.example"),
           "Mobile": format!("+4930{n:07}"), "Mailing_City": "Bonn", "WA_Key": format!("per_{n}"), "Lead_Source": "WhatsApp"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batched_rows_keep_pace() {
    let (zoho, client) = started(roomy()).await;
    client.key_field("Contacts").await;
    let started = Instant::now();
    for batch in 0..60 {
        let rows: Vec<Value> = (0..100).map(|n| row((batch % 40) * 100 + n)).collect();
        let body = json!({"data": rows, "duplicate_check_fields": ["WA_Key"], "trigger": []});
        assert_eq!(client.post("/Contacts/upsert", body).await.status, 200);
    }
    let written = 6_000.0 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    let path = "/Contacts?fields=Last_Name,Email,Mobile,WA_Key,Modified_Time&sort_by=Modified_Time&sort_order=asc";
    let (mut seen, mut got) = (0, client.get(path).await);
    loop {
        seen += got.rows().len();
        let Some(token) = got.body["info"]["next_page_token"].as_str() else { break };
        got = client.get(&format!("{path}&page_token={token}")).await;
    }
    let read = 4_000.0 / started.elapsed().as_secs_f64();
    eprintln!("{written:.0} rows/s written, {read:.0} rows/s read");
    assert_eq!((seen, zoho.records("Contacts").len()), (4_000, 4_000));
    // Far below what an idle core does, so that a busy one does not fail the build.
    assert!(written > 500.0 && read > 500.0, "{written:.0} rows/s written, {read:.0} rows/s read");
}

/// Not part of every run: `cargo nextest run -p ponte-simulator --test zoho --run-ignored only --no-capture hundred`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "twenty seconds in a debug build"]
async fn a_hundred_thousand_contacts_are_held_and_read_at_full_speed() {
    let (zoho, client) = started(roomy()).await;
    client.key_field("Contacts").await;
    let started = Instant::now();
    for batch in 0..1_000 {
        let rows: Vec<Value> = (0..100).map(|n| row(batch * 100 + n)).collect();
        let body = json!({"data": rows, "duplicate_check_fields": ["WA_Key"], "trigger": []});
        assert_eq!(client.post("/Contacts/upsert", body).await.status, 200);
    }
    let written = 100_000.0 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    let mut last = "0".to_owned();
    let mut seen = 0;
    loop {
        let query = format!(
            "select Last_Name, Email, Mobile, WA_Key, Modified_Time from Contacts where id > {last} order by id limit 2000"
        );
        let got = client.post("/coql", json!({"select_query": query})).await;
        let Some(id) = got.ids().pop() else { break };
        (seen, last) = (seen + got.rows().len(), id);
    }
    let read = 100_000.0 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    for n in 0..1_000 {
        assert_eq!(client.get(&format!("/Contacts/search?phone=4930{:07}", n * 97)).await.rows().len(), 1);
    }
    let searched = 1_000.0 / started.elapsed().as_secs_f64();
    eprintln!("{written:.0} rows/s written, {read:.0} rows/s read by COQL, {searched:.0} searches/s");
    assert_eq!((seen, zoho.records("Contacts").len()), (100_000, 100_000));
}
