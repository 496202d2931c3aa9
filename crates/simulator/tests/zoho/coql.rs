//! COQL, as a synchronisation uses it.

use super::client::{Client, Got, roomy, started};
use ponte_simulator::zoho::Config;
use serde_json::{Value, json};

async fn ask(client: &Client, query: &str) -> Got {
    client.post("/coql", json!({"select_query": query})).await
}

async fn names(client: &Client, filter: &str) -> String {
    let got = ask(client, &format!("select Last_Name from Contacts where {filter} order by id")).await;
    assert!([200, 204].contains(&got.status), "{filter}: {}", got.body);
    let names: Vec<&str> = got.rows().iter().map(|row| row["Last_Name"].as_str().unwrap()).collect();
    names.join(",")
}

#[tokio::test]
async fn conditions_compare_by_the_type_of_their_column() {
    let (_zoho, client) = started(Config::default()).await;
    let account = client.make("Accounts", json!({"Account_Name": "Zylker"})).await;
    let rows = vec![
        json!({"Last_Name": "A", "Email": "a@a.example", "Date_of_Birth": "1990-05-01", "Account_Name": {"id": account}}),
        json!({"Last_Name": "B", "Email_Opt_Out": true, "Lead_Source": "Chat"}),
        json!({"Last_Name": "it's", "Date_of_Birth": "2001-01-01"}),
    ];
    let ids = client.person_makes("Contacts", rows).await;
    for (filter, expected) in [
        ("Last_Name = 'a'".to_owned(), "A"),
        ("Last_Name != 'A'".to_owned(), "B,it's"),
        (r"Last_Name = 'it\'s'".to_owned(), "it's"),
        ("Last_Name like 'it%'".to_owned(), "it's"),
        ("Last_Name in ('A', 'B')".to_owned(), "A,B"),
        ("Last_Name not in ('A', 'B')".to_owned(), "it's"),
        ("Email is null".to_owned(), "B,it's"),
        ("Email_Opt_Out = true".to_owned(), "B"),
        ("Date_of_Birth between '1990-01-01' and '1999-12-31'".to_owned(), "A"),
        (format!("Account_Name = {account}"), "A"),
        (format!("id > {} and id <= {}", ids[0], ids[1]), "B"),
        (format!("id in ('{}', '{}')", ids[2], ids[0]), "A,it's"),
        ("((Last_Name = 'A' or Last_Name = 'B') and Lead_Source = 'Chat')".to_owned(), "B"),
        ("Email = 'nobody@a.example'".to_owned(), ""),
    ] {
        assert_eq!(names(&client, &filter).await, expected, "{filter}");
    }
    let row = ask(&client, "select Account_Name, Created_By from Contacts where Last_Name = 'A'").await;
    assert_eq!(row.rows()[0]["Account_Name"], json!({"id": account}), "a lookup shows its id alone");
    assert_eq!(row.rows()[0]["id"], ids[0].as_str(), "the id comes along");
}

#[tokio::test]
async fn a_number_is_found_as_it_is_written_and_not_otherwise() {
    let (_zoho, client) = started(Config::default()).await;
    let rows = vec![
        json!({"Last_Name": "A", "Mobile": "+5511987654321"}),
        json!({"Last_Name": "B", "Phone": "5511987654321"}),
        json!({"Last_Name": "C", "Phone": "+55 11 98765-4321"}),
        json!({"Last_Name": "D", "Phone": "112"}),
    ];
    client.person_makes("Contacts", rows).await;
    for (filter, expected) in [
        ("Phone in ('+5511987654321', '5511987654321')", "B"),
        ("(Mobile in ('+5511987654321') or Phone in ('5511987654321'))", "A,B"),
        ("(Mobile = '+5511987654321' or Last_Name = 'C')", "A,C"),
        ("(Mobile = '+5511987654321' and Phone is null)", "A"),
        ("Phone in ('112', '5511987654321')", "B,D"),
        ("Phone not in ('5511987654321')", "C,D"),
    ] {
        assert_eq!(names(&client, filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn a_query_that_is_none_says_why() {
    let (_zoho, client) = started(Config::default()).await;
    for (query, code) in [
        ("select id from Contacts", "SYNTAX_ERROR"),
        ("select id from Contacts where id > 1 and id > 2 and id > 3", "SYNTAX_ERROR"),
        ("select id from Nonsense where id > 1", "INVALID_QUERY"),
        ("select Nonsense from Contacts where id > 1", "INVALID_QUERY"),
        ("select id from Contacts where Nonsense = 1", "INVALID_QUERY"),
        ("select id from Contacts where Modified_Time > '2026-01-01'", "INVALID_QUERY"),
        ("select id from Contacts where Last_Name > 'A'", "INVALID_QUERY"),
        ("select id from Contacts where Description = 'A'", "INVALID_QUERY"),
        ("select id from Contacts where id > 1 order by id, id", "DUPLICATE_DATA"),
        ("select id from Contacts where id > 1 limit 2001", "LIMIT_EXCEEDED"),
        ("select id from Contacts where id > 1 limit 99000, 2000", "LIMIT_EXCEEDED"),
    ] {
        assert_eq!(ask(&client, query).await.said(), (400, code), "{query}");
    }
    let columns = "id,Email,Phone,Mobile,Title,Fax,Last_Name,First_Name,Department,Owner,Lead_Source";
    let eleven = format!("select id from Contacts where id > 1 order by {columns}");
    assert_eq!(ask(&client, &eleven).await.said(), (400, "LIMIT_EXCEEDED"));
    assert_eq!(client.post("/coql", json!({})).await.said(), (400, "MANDATORY_NOT_FOUND"));
    assert_eq!(client.post("/coql", json!({"select_query": 5})).await.said(), (400, "INVALID_DATA"));
    assert_eq!(ask(&client, "select COUNT(id) from Contacts where id > 1").await.said(), (501, "NOT_SIMULATED"));
    assert_eq!(ask(&client, "select id from Contacts where id > 1").await.status, 204);
}

#[tokio::test]
async fn a_cursor_of_time_and_id_loses_nothing_within_one_second() {
    let (_zoho, client) = started(roomy()).await;
    let rows: Vec<Value> = (0..4_500).map(|n| json!({"Last_Name": n.to_string()})).collect();
    client.person_makes("Contacts", rows).await;
    let first =
        ask(&client, "select Modified_Time from Contacts where id is not null order by Modified_Time, id limit 2000")
            .await;
    let time = first.rows()[0]["Modified_Time"].as_str().unwrap().to_owned();
    assert_eq!((first.rows().len(), &first.body["info"]), (2_000, &json!({"count": 2_000, "more_records": true})));
    let (mut seen, mut last) = (2_000, first.ids().pop().unwrap());
    loop {
        // Same second and a later id, or a later second.
        let query = format!(
            "select Modified_Time from Contacts where ((Modified_Time = '{time}' and id > {last}) or Modified_Time > '{time}') \
             order by Modified_Time, id limit 2000"
        );
        let page = ask(&client, &query).await;
        let Some(id) = page.ids().pop() else { break };
        seen += page.rows().len();
        last = id;
    }
    assert_eq!(seen, 4_500);
    let over =
        ask(&client, "select id from Contacts where id is not null order by id desc limit 2000 offset 4000").await;
    assert_eq!((over.rows().len(), &over.body["info"]["more_records"]), (500, &json!(false)));
}
