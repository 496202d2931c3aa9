//! Insert, update, upsert, delete: rows with outcomes of their own.

use super::client::{roomy, started};
use http::Method;
use ponte_simulator::zoho::Config;
use serde_json::{Value, json};

#[tokio::test]
async fn rows_have_outcomes_of_their_own_and_say_where_they_failed() {
    let (zoho, client) = started(Config::default()).await;
    let rows = json!([
        {"Last_Name": "Good", "Email": "good@a.example"},
        {"First_Name": "Nameless"},
        {"Last_Name": "x".repeat(81)},
        {"Last_Name": "Bad", "Email": "nobody", "Lead_Source": "Rumour"},
        {"Last_Name": "Bad", "Account_Name": {"id": "1"}},
        {"Last_Name": "Bad", "Email_Opt_Out": "true"},
    ]);
    let got = client.post("/Contacts", json!({"data": rows})).await;
    assert_eq!(got.status, 207, "{}", got.body);
    let codes: Vec<&str> = got.rows().iter().map(|row| row["code"].as_str().unwrap()).collect();
    let bad = "INVALID_DATA";
    assert_eq!(codes, ["SUCCESS", "MANDATORY_NOT_FOUND", bad, "MULTIPLE_OR_MULTI_ERRORS", bad, bad]);
    assert_eq!(got.rows()[1]["details"], json!({"api_name": "Last_Name", "json_path": "$.data[1].Last_Name"}));
    let long = json!({"maximum_length": 80, "api_name": "Last_Name", "json_path": "$.data[2].Last_Name"});
    assert_eq!(got.rows()[2]["details"], long);
    let several = got.rows()[3]["details"]["errors"].as_array().unwrap();
    assert_eq!(several[0]["details"]["expected_data_type"], "email");
    assert!(several[1]["details"]["supported_values"].as_array().unwrap().contains(&json!("WhatsApp")));
    assert_eq!(got.rows()[4]["message"], "the id given seems to be invalid");
    assert_eq!(got.rows()[5]["details"]["expected_data_type"], "boolean");
    assert_eq!(got.rows()[0]["details"]["Created_By"]["name"], "Integration User");
    assert_eq!((zoho.records("Contacts").len(), zoho.stats().row_errors), (1, 5));
}

#[tokio::test]
async fn when_every_row_fails_the_status_says_so_by_flag() {
    for status in [400, 202] {
        let mut config = Config::default();
        config.flags.all_failed_status = status;
        let (_zoho, client) = started(config).await;
        let got = client.post("/Contacts", json!({"data": [{"First_Name": "x"}]})).await;
        assert_eq!(got.said(), (status, "MANDATORY_NOT_FOUND"));
    }
}

#[tokio::test]
async fn a_write_has_between_one_and_a_hundred_rows() {
    let (_zoho, client) = started(Config::default()).await;
    let rows = |n: usize| json!({"data": vec![json!({"Last_Name": "x"}); n]});
    let over = client.post("/Contacts", rows(101)).await;
    assert_eq!((over.said(), &over.body["details"]["maximum_length"]), ((400, "INVALID_DATA"), &json!(100)));
    assert_eq!(client.post("/Contacts", rows(0)).await.said(), (400, "MANDATORY_NOT_FOUND"));
    assert_eq!(client.post("/Contacts", json!({"rows": []})).await.said(), (400, "MANDATORY_NOT_FOUND"));
    assert_eq!(client.post("/Contacts", json!({"data": {"Last_Name": "x"}})).await.said(), (400, "INVALID_DATA"));
    let two = json!({"data": [{"Last_Name": "a"}, {"Last_Name": "b"}]});
    assert_eq!(client.put("/Contacts/1", two).await.said(), (400, "INVALID_DATA"));
}

#[tokio::test]
async fn fields_that_the_module_lacks_are_forgotten_and_counted_or_refused() {
    for refuse in [false, true] {
        let mut config = Config::default();
        config.flags.refuse_unknown_fields = refuse;
        let (zoho, client) = started(config).await;
        let got = client.post("/Contacts", json!({"data": [{"Last_Name": "x", "WA_Key": "1"}]})).await;
        assert_eq!(got.said(), if refuse { (400, "INVALID_DATA") } else { (201, "SUCCESS") });
        assert_eq!(zoho.stats().ignored_fields, u64::from(!refuse));
    }
}

#[tokio::test]
async fn a_value_that_a_pick_list_lacks_is_refused_or_taken_by_flag() {
    for open in [false, true] {
        let mut config = Config::default();
        config.flags.open_pick_lists = open;
        let (_zoho, client) = started(config).await;
        let got = client.post("/Contacts", json!({"data": [{"Last_Name": "x", "Lead_Source": "Rumour"}]})).await;
        assert_eq!(got.said(), if open { (201, "SUCCESS") } else { (400, "INVALID_DATA") });
    }
}

#[tokio::test]
async fn a_taken_unique_value_names_the_record_that_has_it() {
    for flat in [false, true] {
        let mut config = Config::default();
        config.flags.duplicate_flat_id = flat;
        let (_zoho, client) = started(config).await;
        client.key_field("Contacts").await;
        let id = client.make("Contacts", json!({"Last_Name": "A", "WA_Key": "per_1"})).await;
        let again = client.post("/Contacts", json!({"data": [{"Last_Name": "B", "WA_Key": "PER_1"}]})).await;
        assert_eq!(again.said(), (400, "DUPLICATE_DATA"));
        let details = &again.rows()[0]["details"];
        assert_eq!((&details["api_name"], &details["json_path"]), (&json!("WA_Key"), &json!("$.data[0].WA_Key")));
        assert_eq!((&details["duplicate_record"]["id"], &details["more_records"]), (&json!(id), &json!(false)));
        assert_eq!(details["id"] == json!(id), flat);
        let own = client.put(&format!("/Contacts/{id}"), json!({"data": [{"WA_Key": "per_1"}]})).await;
        assert_eq!(own.said(), (200, "SUCCESS"), "a record may keep its own value");
    }
}

#[tokio::test]
async fn upsert_goes_by_the_fields_in_order_and_says_which_one_hit() {
    let (zoho, client) = started(Config::default()).await;
    client.key_field("Contacts").await;
    let upsert = async |row: Value, fields: Option<Value>| {
        let mut body = json!({"data": [row], "trigger": []});
        if let Some(fields) = fields {
            body["duplicate_check_fields"] = fields;
        }
        client.post("/Contacts/upsert", body).await
    };
    let told = |got: &super::client::Got| (got.rows()[0]["action"].clone(), got.rows()[0]["duplicate_field"].clone());
    let first = upsert(json!({"Last_Name": "A", "Email": "a@a.example", "WA_Key": "per_1"}), None).await;
    assert_eq!((first.status, told(&first)), (200, (json!("insert"), Value::Null)));
    let by_email = upsert(json!({"Last_Name": "B", "Email": "A@a.example"}), None).await;
    assert_eq!(told(&by_email), (json!("update"), json!("Email")), "the system's own field counts without being asked");
    assert_eq!(by_email.ids(), first.ids());
    let by_key = upsert(json!({"Last_Name": "C", "WA_Key": "per_1"}), Some(json!(["WA_Key", "Email"]))).await;
    assert_eq!((told(&by_key), by_key.ids()), ((json!("update"), json!("WA_Key")), first.ids()));

    let clash =
        upsert(json!({"Last_Name": "D", "Email": "d@a.example", "WA_Key": "per_1"}), Some(json!(["Email"]))).await;
    assert_eq!(clash.said(), (400, "DUPLICATE_DATA"), "unique fields are checked all the same");
    let wrong = upsert(json!({"Last_Name": "E"}), Some(json!(["Mobile"]))).await;
    assert_eq!(wrong.said(), (400, "INVALID_DATA"), "Mobile is no duplicate check field");
    assert_eq!(upsert(json!({"Email": "a@a.example"}), None).await.said(), (200, "SUCCESS"), "an update needs no name");
    assert_eq!(upsert(json!({"Email": "new@a.example"}), None).await.said(), (400, "MANDATORY_NOT_FOUND"));

    let twice = json!({"data": [{"Last_Name": "F", "WA_Key": "per_2"}, {"Last_Name": "G", "WA_Key": "per_2"}],
                       "duplicate_check_fields": ["WA_Key"]});
    let got = client.post("/Contacts/upsert", twice).await;
    assert_eq!((&got.rows()[0]["action"], &got.rows()[1]["action"]), (&json!("insert"), &json!("update")));
    assert_eq!(zoho.duplicates("Contacts", "WA_Key").unwrap().sharing, 0);
    assert_eq!(zoho.records("Contacts").len(), 2);
}

#[tokio::test]
async fn an_external_field_stands_for_the_id() {
    let (zoho, client) = started(Config::default()).await;
    client.key_field("Contacts").await;
    let id = client.make("Contacts", json!({"Last_Name": "A", "WA_Key": "per_1"})).await;
    let header = [("X-EXTERNAL", "Contacts.WA_Key")];
    let put = async |path: &str, header: &[(&str, &str)], body: Value| {
        client.send(Method::PUT, path, header, Some(body)).await.unwrap()
    };
    let got = put("/Contacts/per_1", &header, json!({"data": [{"Title": "Dr"}]})).await;
    assert_eq!((got.said(), got.ids()), ((200, "SUCCESS"), vec![id.clone()]));
    let many = json!({"data": [{"WA_Key": "per_1", "Title": "Prof"}, {"WA_Key": "per_9", "Title": "x"}]});
    let got = put("/Contacts", &header, many).await;
    assert_eq!((got.status, got.rows()[1]["code"].as_str()), (207, Some("INVALID_DATA")));
    assert_eq!(zoho.records("Contacts")[0].fields["Title"], "Prof");
    let read = client.send(Method::GET, "/Contacts/per_1?fields=Title", &header, None).await.unwrap();
    assert_eq!(read.rows()[0], json!({"id": id, "Title": "Prof"}));
    let no_field = put("/Contacts/per_1", &[("X-EXTERNAL", "Contacts.Email")], json!({"data": [{"Title": "x"}]})).await;
    assert_eq!(no_field.said(), (400, "INVALID_DATA"), "Email is no external field");
    assert_eq!(put("/Contacts/per_1", &[], json!({"data": [{"Title": "x"}]})).await.said(), (400, "INVALID_DATA"));
    let gone = client.send(Method::DELETE, "/Contacts/per_1", &header, None).await.unwrap();
    assert_eq!((gone.said(), zoho.records("Contacts").len()), ((200, "SUCCESS"), 0));
}

#[tokio::test]
async fn a_record_that_changed_meanwhile_is_not_overwritten_when_asked() {
    let (_zoho, client) = started(Config::default()).await;
    let id = client.make("Contacts", json!({"Last_Name": "A"})).await;
    let put = async |when: &str| {
        let header = [("If-Unmodified-Since", when)];
        let body = json!({"data": [{"Last_Name": "B"}]});
        client.send(Method::PUT, &format!("/Contacts/{id}"), &header, Some(body)).await.unwrap()
    };
    assert_eq!(put("2001-01-01T00:00:00+00:00").await.said(), (412, "RECORD_MODIFIED"));
    assert_eq!(put("2100-01-01T00:00:00+00:00").await.said(), (200, "SUCCESS"));
    assert_eq!(put("yesterday").await.said(), (400, "INVALID_DATA"));
}

#[tokio::test]
async fn guarded_records_refuse_writes_each_with_its_code() {
    let (_zoho, client) = started(Config::default()).await;
    let id = client.make("Contacts", json!({"Last_Name": "A"})).await;
    let put = async || client.put(&format!("/Contacts/{id}"), json!({"data": [{"Last_Name": "B"}]})).await;
    for (guard, code) in
        [("locked", "RECORD_LOCKED"), ("blueprint", "RECORD_IN_BLUEPRINT"), ("approval", "NOT_APPROVED")]
    {
        let path = format!("/_sim/records/Contacts/{id}");
        assert_eq!(client.patch(&path, json!({"guard": guard})).await.status, 200);
        assert_eq!(put().await.said(), (400, code));
        assert_eq!(client.patch(&path, json!({"guard": null})).await.status, 200);
    }
    assert_eq!(put().await.said(), (200, "SUCCESS"));
    assert_eq!(client.patch("/_sim/records/Contacts/1", json!({})).await.status, 400);
}

#[tokio::test]
async fn workflows_run_unless_trigger_leaves_them_out() {
    let (zoho, client) = started(Config::default()).await;
    let write = async |body: Value| client.post("/Contacts", body).await;
    let rows = json!([{"Last_Name": "A"}, {"Last_Name": "B"}]);
    write(json!({"data": rows, "trigger": []})).await;
    write(json!({"data": rows, "trigger": ["approval"]})).await;
    assert_eq!(zoho.stats().workflows_run, 0);
    write(json!({"data": rows})).await;
    write(json!({"data": rows, "trigger": ["workflow"]})).await;
    assert_eq!(zoho.stats().workflows_run, 4);
    assert_eq!(write(json!({"data": rows, "trigger": ["storm"]})).await.said(), (400, "INVALID_DATA"));
    assert_eq!(write(json!({"data": rows, "trigger": "workflow"})).await.said(), (400, "INVALID_DATA"));
}

#[tokio::test]
async fn the_same_rows_again_make_the_same_records() {
    let (zoho, client) = started(roomy()).await;
    client.key_field("Contacts").await;
    let rows: Vec<Value> = (0..100).map(|n| json!({"Last_Name": "A", "WA_Key": format!("per_{n}")})).collect();
    let body = json!({"data": rows, "duplicate_check_fields": ["WA_Key"], "trigger": []});
    let first = client.post("/Contacts/upsert", body.clone()).await;
    let second = client.post("/Contacts/upsert", body).await;
    assert_eq!((first.ids(), second.rows()[7]["action"].as_str()), (second.ids(), Some("update")));
    let stats = zoho.stats();
    assert_eq!((stats.created["Contacts"], stats.updated["Contacts"], stats.max_writes_per_record), (100, 100, 2));
    assert_eq!(stats.requests["POST Contacts/upsert"], 2);
}
