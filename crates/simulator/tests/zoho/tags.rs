//! Tags of modules and of records.

use super::client::started;
use ponte_simulator::zoho::Config;
use serde_json::{Value, json};

#[tokio::test]
async fn tags_are_made_once_with_a_short_name_and_a_known_colour() {
    let (_zoho, client) = started(Config::default()).await;
    let make = async |tag: Value| client.post("/settings/tags?module=Contacts", json!({"tags": [tag]})).await;
    let made = make(json!({"name": "vip", "color_code": "#57B1FD"})).await;
    assert_eq!(made.said(), (201, "SUCCESS"), "{}", made.body);
    let id = made.body["tags"][0]["details"]["id"].as_str().unwrap().to_owned();
    let again = make(json!({"name": "VIP"})).await;
    assert_eq!((again.said(), &again.body["tags"][0]["details"]["id"]), ((400, "DUPLICATE_DATA"), &json!(id)));
    assert_eq!(make(json!({"name": "x".repeat(26)})).await.said(), (400, "INVALID_DATA"));
    assert_eq!(make(json!({"name": "y", "color_code": "#000000"})).await.said(), (400, "INVALID_DATA"));
    assert_eq!(make(json!({"title": "y"})).await.said(), (400, "MANDATORY_NOT_FOUND"));
    assert_eq!(client.get("/settings/tags").await.said(), (400, "REQUIRED_PARAM_MISSING"));
    assert_eq!(client.get("/settings/tags?module=Nonsense").await.said(), (400, "INVALID_MODULE"));
    let listed = client.get("/settings/tags?module=Contacts").await;
    assert_eq!((&listed.body["tags"][0]["name"], &listed.body["info"]["count"]), (&json!("vip"), &json!(1)));
    assert_eq!(client.delete(&format!("/settings/tags/{id}")).await.said(), (200, "SUCCESS"));
    assert_eq!(client.delete(&format!("/settings/tags/{id}")).await.said(), (400, "INVALID_DATA"));
}

#[tokio::test]
async fn a_module_has_so_many_tags_and_no_more() {
    let mut config = Config::default();
    config.limits.tags_per_module = 2;
    let (_zoho, client) = started(config).await;
    let path = "/settings/tags?module=Contacts";
    let two = json!({"tags": [{"name": "a"}, {"name": "b"}]});
    assert_eq!(client.post(path, two).await.said(), (201, "SUCCESS"));
    assert_eq!(client.post(path, json!({"tags": [{"name": "c"}]})).await.said(), (400, "LIMIT_EXCEEDED"));
}

#[tokio::test]
async fn tags_are_added_and_removed_for_one_record_or_for_many() {
    let (zoho, client) = started(Config::default()).await;
    let (a, b) = (
        client.make("Contacts", json!({"Last_Name": "A"})).await,
        client.make("Contacts", json!({"Last_Name": "B"})).await,
    );
    let names = |n: usize| {
        let tags = zoho.records("Contacts")[n].fields["Tag"].clone();
        tags.as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(",")
    };
    let one = client.post(&format!("/Contacts/{a}/actions/add_tags"), json!({"tags": [{"name": "x"}]})).await;
    assert_eq!((one.said(), &one.rows()[0]["details"]["tags"][0]["name"]), ((200, "SUCCESS"), &json!("x")));
    let many = json!({"tags": [{"name": "y"}], "ids": [a, b, "5"], "over_write": false});
    let got = client.post("/Contacts/actions/add_tags", many).await;
    assert_eq!((got.status, got.body["success_count"].as_str()), (207, Some("2")), "{}", got.body);
    assert_eq!((names(0), names(1)), ("x,y".to_owned(), "y".to_owned()));
    let over = json!({"tags": [{"name": "z"}], "over_write": true});
    client.post(&format!("/Contacts/{a}/actions/add_tags"), over).await;
    assert_eq!(names(0), "z");
    let remove = json!({"tags": [{"name": "y"}], "ids": [a, b]});
    assert_eq!(client.post("/Contacts/actions/remove_tags", remove).await.status, 200);
    assert_eq!((names(0), names(1)), ("z".to_owned(), String::new()));

    let written = json!({"data": [{"Tag": [{"name": "p"}, {"name": "q"}]}]});
    client.put(&format!("/Contacts/{b}"), written).await;
    assert_eq!(names(1), "p,q");
    let eleven: Vec<Value> = (0..11).map(|n| json!({"name": n.to_string()})).collect();
    let got = client.post(&format!("/Contacts/{a}/actions/add_tags"), json!({"tags": eleven})).await;
    assert_eq!(got.said(), (400, "LIMIT_EXCEEDED"));
    let lot = json!({"tags": [{"name": "x"}], "ids": vec!["1"; 501]});
    assert_eq!(client.post("/Contacts/actions/add_tags", lot).await.said(), (400, "INVALID_DATA"));
    assert_eq!(
        client.post("/Contacts/actions/add_tags", json!({"tags": []})).await.said(),
        (400, "MANDATORY_NOT_FOUND")
    );
}
