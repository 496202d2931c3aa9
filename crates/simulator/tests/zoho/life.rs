//! Deleted, merged and converted records, notes and related lists.

use super::client::{roomy, started};
use http::Method;
use ponte_simulator::zoho::Config;
use serde_json::{Value, json};

#[tokio::test]
async fn deleted_records_are_listed_by_type_and_since() {
    let (_zoho, client) = started(Config::default()).await;
    let mut ids = Vec::new();
    for name in ["A", "B", "C"] {
        ids.push(client.make("Contacts", json!({"Last_Name": name, "First_Name": "x"})).await);
    }
    assert_eq!(client.get("/Contacts/deleted").await.status, 204);
    assert_eq!(client.delete(&format!("/Contacts/{}", ids[0])).await.said(), (200, "SUCCESS"));
    client.advance(10_000).await;
    assert_eq!(client.delete(&format!("/_sim/records/Contacts/{}?permanent=true", ids[1])).await.status, 204);
    let all = client.get("/Contacts/deleted?type=all").await;
    assert_eq!(all.ids(), [ids[1].clone(), ids[0].clone()], "newest first");
    assert_eq!((&all.rows()[1]["display_name"], &all.rows()[1]["type"]), (&json!("x A"), &json!("recycle")));
    assert_eq!(all.rows()[0]["deleted_by"]["name"], "Patricia Boyle");
    for (kind, id) in [("recycle", &ids[0]), ("permanent", &ids[1])] {
        assert_eq!(client.get(&format!("/Contacts/deleted?type={kind}")).await.ids(), vec![id.clone()]);
    }
    let since = all.rows()[1]["deleted_time"].as_str().unwrap();
    assert_eq!(client.get_since("/Contacts/deleted", since).await.ids(), [ids[1].clone()]);
    assert_eq!(client.get("/Contacts/deleted?type=gone").await.said(), (400, "PATTERN_NOT_MATCHED"));

    let put = json!({"data": [{"id": ids[0], "Title": "x"}, {"id": ids[2], "Title": "x"}]});
    let got = client.put("/Contacts", put).await;
    assert_eq!((got.status, got.rows()[0]["message"].as_str()), (207, Some("the id given seems to be invalid")));
    let again = client.delete(&format!("/Contacts?ids={},{}", ids[0], ids[2])).await;
    assert_eq!((again.status, again.rows()[0]["message"].as_str()), (207, Some("record not deleted")));
    assert_eq!(client.delete("/Contacts").await.said(), (400, "REQUIRED_PARAM_MISSING"));
    let many = vec!["1"; 101].join(",");
    assert_eq!(client.delete(&format!("/Contacts?ids={many}")).await.said(), (400, "LIMIT_EXCEEDED"));
}

#[tokio::test]
async fn a_merge_keeps_the_master_fills_its_gaps_and_takes_over_what_pointed_to_the_loser() {
    for listed in [true, false] {
        let mut config = roomy();
        config.flags.merged_are_listed = listed;
        let (zoho, client) = started(config).await;
        client.key_field("Contacts").await;
        let master = client.make("Contacts", json!({"Last_Name": "A", "Email": "a@a.example"})).await;
        let loser = json!({"Last_Name": "B", "Mobile": "+15550100", "WA_Key": "per_1", "Tag": [{"name": "vip"}]});
        let loser = client.make("Contacts", loser).await;
        let deal = json!({"Deal_Name": "D", "Stage": "Qualification", "Contact_Name": {"id": loser}});
        client.make("Deals", deal).await;
        let note = json!({"Note_Content": "hello", "Parent_Id": {"module": {"api_name": "Contacts"}, "id": loser}});
        client.make("Notes", note).await;
        let merge = json!({"master": master, "losers": [loser]});
        assert_eq!(client.post("/_sim/merge/Contacts", merge.clone()).await.status, 204);

        let record = &zoho.records("Contacts")[0].fields;
        assert_eq!(
            (&record["Last_Name"], &record["Mobile"], &record["WA_Key"]),
            (&json!("A"), &json!("+15550100"), &json!("per_1"))
        );
        assert_eq!(record["Tag"][0]["name"], "vip");
        assert_eq!(zoho.records("Deals")[0].fields["Contact_Name"]["id"], master.as_str());
        assert_eq!(zoho.records("Notes")[0].fields["Parent_Id"]["id"], master.as_str());
        assert_eq!(client.get(&format!("/Contacts/{loser}")).await.said(), (400, "INVALID_DATA"));
        assert_eq!(client.get("/Contacts/deleted?type=permanent").await.ids().len(), usize::from(listed));
        assert_eq!(client.post("/_sim/merge/Contacts", merge).await.status, 400);
        assert_eq!(zoho.stats().merged, 1);
    }
}

#[tokio::test]
async fn a_converted_lead_stays_hidden_and_cannot_be_written() {
    let (zoho, client) = started(Config::default()).await;
    let lead = json!({"Last_Name": "Boyle", "Company": "Zylker", "Email": "b@a.example", "City": "Bonn", "Mobile": "+49301234567"});
    let id = client.make("Leads", lead).await;
    let note = json!({"Note_Content": "hello", "Parent_Id": {"module": {"api_name": "Leads"}, "id": id}});
    client.make("Notes", note).await;
    let path = format!("/Leads/{id}/actions/convert");
    let bad = json!({"data": [{"Deals": {"Deal_Name": "D"}}]});
    assert_eq!(client.post(&path, bad).await.said(), (400, "MANDATORY_NOT_FOUND"), "a deal needs a stage");
    assert_eq!(client.post(&path, json!({"data": [{"Contacts": {"id": "5"}}]})).await.said(), (400, "INVALID_DATA"));
    assert!(zoho.records("Contacts").is_empty(), "nothing is made before all is checked");

    let deal = json!({"Deal_Name": "D", "Stage": "Qualification"});
    let got = client.post(&path, json!({"data": [{"overwrite": true, "Deals": deal}]})).await;
    assert_eq!(got.said(), (200, "SUCCESS"), "{}", got.body);
    let details = &got.rows()[0]["details"];
    let contact = &zoho.records("Contacts")[0];
    assert_eq!((&details["Contacts"]["id"], &details["Accounts"]["name"]), (&json!(contact.id), &json!("Zylker")));
    assert_eq!((&contact.fields["Mailing_City"], &contact.fields["Mobile"]), (&json!("Bonn"), &json!("+49301234567")));
    assert_eq!(zoho.records("Notes")[0].fields["Parent_Id"]["id"], contact.id.as_str(), "notes go along");
    assert_eq!(contact.fields["Account_Name"]["id"], details["Accounts"]["id"]);
    assert_eq!(zoho.records("Deals")[0].fields["Contact_Name"]["id"], contact.id.as_str());

    assert_eq!(client.post(&path, json!({"data": [{}]})).await.said(), (400, "ID_ALREADY_CONVERTED"));
    let put = client.put(&format!("/Leads/{id}"), json!({"data": [{"City": "Ulm"}]})).await;
    assert_eq!(put.said(), (400, "CONVERTED_RECORD"));
    assert_eq!(client.get("/Leads?fields=Email").await.status, 204);
    assert_eq!(client.get("/Leads?fields=Email&converted=both").await.ids(), vec![id.clone()]);
    assert_eq!(client.get(&format!("/Leads/{id}")).await.rows()[0]["$converted"], json!(true));
    assert_eq!(client.get("/Leads/search?word=boyle&converted=true").await.ids(), vec![id.clone()]);
    assert_eq!(client.post("/Leads/5/actions/convert", json!({"data": [{}]})).await.said(), (400, "INVALID_DATA"));
    assert!(zoho.records("Leads")[0].converted);
}

#[tokio::test]
async fn notes_hang_on_their_parent_and_go_with_it() {
    let (zoho, client) = started(Config::default()).await;
    let contact = client.make("Contacts", json!({"Last_Name": "A"})).await;
    let note = |parent: &str, module: &str| {
        json!({"data": [{"Note_Title": "WhatsApp", "Note_Content": "hello",
                         "Parent_Id": {"module": {"api_name": module}, "id": parent}}]})
    };
    let made = client.post("/Notes", note(&contact, "Contacts")).await;
    assert_eq!(made.said(), (201, "SUCCESS"), "{}", made.body);
    let id = made.ids().remove(0);
    assert_eq!(client.post("/Notes", note(&contact, "Leads")).await.said(), (400, "INVALID_DATA"));
    assert_eq!(client.post("/Notes", note("5", "Contacts")).await.said(), (400, "INVALID_DATA"));
    let orphan = json!({"data": [{"Note_Content": "x"}]});
    assert_eq!(client.post("/Notes", orphan).await.said(), (400, "MANDATORY_NOT_FOUND"));
    let long = json!({"data": [{"Note_Content": "x".repeat(65_536)}]});
    assert_eq!(client.put(&format!("/Notes/{id}"), long).await.said(), (400, "INVALID_DATA"));
    let ticked = json!({"data": [{"Note_Content": "hello ✓✓"}]});
    assert_eq!(client.put(&format!("/Notes/{id}"), ticked).await.said(), (200, "SUCCESS"));

    let second = json!({"data": [{"Note_Content": "by the path"}]});
    assert_eq!(client.post(&format!("/Contacts/{contact}/Notes"), second).await.said(), (201, "SUCCESS"));
    let list = format!("/Contacts/{contact}/Notes?fields=Note_Content,Parent_Id");
    let got = client.get(&list).await;
    let content: Vec<&str> = got.rows().iter().map(|row| row["Note_Content"].as_str().unwrap()).collect();
    assert_eq!(content, ["by the path", "hello ✓✓"]);
    assert_eq!(got.rows()[0]["Parent_Id"]["module"]["api_name"], "Contacts");
    assert_eq!(client.get(&format!("/Contacts/{contact}/Deals?fields=Stage")).await.status, 204);
    client.delete(&format!("/Contacts/{contact}")).await;
    assert!(zoho.records("Notes").is_empty());
    assert_eq!(client.get("/Notes/deleted").await.rows().len(), 2);
}

#[tokio::test]
async fn a_lookup_to_a_deleted_record_is_emptied() {
    let (zoho, client) = started(Config::default()).await;
    let account = client.make("Accounts", json!({"Account_Name": "Zylker"})).await;
    client.make("Contacts", json!({"Last_Name": "A", "Account_Name": {"id": account}})).await;
    client.send(Method::DELETE, &format!("/Accounts/{account}"), &[], None).await.unwrap();
    assert_eq!(zoho.records("Contacts")[0].fields.get("Account_Name"), None::<&Value>);
}
