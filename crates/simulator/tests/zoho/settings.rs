//! The organisation's description of itself, custom fields and custom modules.

use super::client::started;
use ponte_simulator::zoho::Config;
use serde_json::{Value, json};

const PROFILES: &str = "5725767000000026011";

#[tokio::test]
async fn fields_describe_their_type_length_and_values() {
    let (_zoho, client) = started(Config::default()).await;
    let got = client.get("/settings/fields?module=Contacts").await;
    let fields = got.body["fields"].as_array().unwrap();
    let field = |name: &str| fields.iter().find(|field| field["api_name"] == name).unwrap();
    let last = field("Last_Name");
    assert_eq!(
        (&last["data_type"], &last["length"], &last["system_mandatory"]),
        (&json!("text"), &json!(80), &json!(true))
    );
    assert_eq!(
        (&field("Account_Name")["lookup"]["module"]["api_name"], &field("Owner")["json_type"]),
        (&json!("Accounts"), &json!("jsonobject"))
    );
    assert_eq!(field("Lead_Source")["pick_list_values"][0]["display_value"], "-None-");
    assert_eq!((&field("Created_Time")["read_only"], &field("Mobile")["read_only"]), (&json!(true), &json!(false)));
    assert_eq!(client.get("/settings/fields").await.said(), (400, "REQUIRED_PARAM_MISSING"));
    assert_eq!(client.get("/settings/fields?module=Nonsense").await.said(), (400, "INVALID_MODULE"));
    let id = last["id"].as_str().unwrap();
    let one = client.get(&format!("/settings/fields/{id}?module=Contacts")).await;
    assert_eq!(one.body["fields"][0]["api_name"], "Last_Name");
}

#[tokio::test]
async fn custom_fields_are_made_and_checked() {
    let (_zoho, client) = started(Config::default()).await;
    let make = async |field: Value| client.post("/settings/fields?module=Contacts", json!({"fields": [field]})).await;
    let options = json!([{"display_value": "Granted", "actual_value": "Granted"}, {"display_value": "Withdrawn"}]);
    let made = make(json!({"field_label": "WA Consent", "data_type": "picklist", "pick_list_values": options})).await;
    assert_eq!(made.said(), (201, "SUCCESS"), "{}", made.body);
    for (field, code) in [
        (json!({"data_type": "text"}), "MANDATORY_NOT_FOUND"),
        (json!({"field_label": "wa consent", "data_type": "text"}), "DUPLICATE_DATA"),
        (json!({"field_label": "x", "data_type": "hologram"}), "INVALID_DATA"),
        (json!({"field_label": "x".repeat(51), "data_type": "text"}), "INVALID_DATA"),
        (json!({"field_label": "x", "data_type": "text", "length": 256}), "INVALID_DATA"),
        (json!({"field_label": "x", "data_type": "picklist"}), "MANDATORY_NOT_FOUND"),
        (
            json!({"field_label": "x", "data_type": "picklist", "pick_list_values": [{"display_value": "a"}, {"display_value": "A"}]}),
            "DUPLICATE_DATA",
        ),
        (json!({"field_label": "x", "data_type": "lookup"}), "MANDATORY_NOT_FOUND"),
        (json!({"field_label": "x", "data_type": "boolean", "unique": {"casesensitive": false}}), "INVALID_DATA"),
        (json!({"field_label": "x", "data_type": "textarea", "textarea": {"type": "huge"}}), "INVALID_DATA"),
        (json!({"field_label": "x", "data_type": "text", "external": {"type": "all"}}), "INVALID_DATA"),
    ] {
        let got = make(field.clone()).await;
        assert_eq!(got.said(), (400, code), "{field}: {}", got.body);
    }
    let six = vec![json!({"field_label": "x", "data_type": "text"}); 6];
    assert_eq!(
        client.post("/settings/fields?module=Contacts", json!({"fields": six})).await.said(),
        (400, "INVALID_DATA")
    );
    let write = async |value: &str| {
        client.post("/Contacts", json!({"data": [{"Last_Name": "A", "WA_Consent": value}]})).await.status
    };
    assert_eq!((write("Granted").await, write("Maybe").await), (201, 400));
    let more = json!({"fields": [{"pick_list_values": [{"display_value": "Maybe"}]}]});
    assert_eq!(client.patch("/settings/fields/WA_Consent?module=Contacts", more).await.said(), (200, "SUCCESS"));
    assert_eq!(write("Maybe").await, 201);
    assert_eq!(client.delete("/settings/fields/WA_Consent?module=Contacts").await.said(), (200, "SUCCESS"));
    assert_eq!(client.delete("/settings/fields/Last_Name?module=Contacts").await.said(), (400, "NOT_ALLOWED"));
    assert_eq!(client.get("/settings/fields/WA_Consent?module=Contacts").await.said(), (400, "INVALID_DATA"));
}

#[tokio::test]
async fn a_field_becomes_unique_only_while_no_value_is_shared() {
    let (_zoho, client) = started(Config::default()).await;
    let field = json!({"fields": [{"field_label": "Key", "data_type": "text"}]});
    client.post("/settings/fields?module=Contacts", field).await;
    let a = client.make("Contacts", json!({"Last_Name": "A", "Key": "1"})).await;
    client.make("Contacts", json!({"Last_Name": "B", "Key": "1"})).await;
    let unique = json!({"fields": [{"unique": {"casesensitive": false}}]});
    let path = "/settings/fields/Key?module=Contacts";
    assert_eq!(client.patch(path, unique.clone()).await.said(), (400, "DUPLICATE_DATA"));
    client.put(&format!("/Contacts/{a}"), json!({"data": [{"Key": "2"}]})).await;
    assert_eq!(client.patch(path, unique).await.said(), (200, "SUCCESS"));
    let taken = client.post("/Contacts", json!({"data": [{"Last_Name": "C", "Key": "2"}]})).await;
    assert_eq!(taken.said(), (400, "DUPLICATE_DATA"));
}

#[tokio::test]
async fn a_module_and_a_lookup_to_it_cost_their_price_and_have_limits() {
    let mut config = Config::default();
    (config.limits.custom_modules, config.limits.custom_fields) = (1, 2);
    let (zoho, client) = started(config).await;
    let module = |singular: &str, plural: &str| {
        json!({"modules": [{"singular_label": singular, "plural_label": plural, "api_name": "WhatsApp_Messages",
                            "profiles": [{"id": PROFILES}], "display_field": {"field_label": "Message id", "data_type": "text"}}]})
    };
    let nameless = json!({"modules": [{"singular_label": "x"}]});
    assert_eq!(client.post("/settings/modules", nameless).await.said(), (400, "MANDATORY_NOT_FOUND"));
    let alone = json!({"modules": [{"singular_label": "x", "plural_label": "xs", "profiles": [{"id": "1"}]}]});
    assert_eq!(client.post("/settings/modules", alone).await.said(), (400, "INVALID_DATA"));
    let before = zoho.stats().credits_spent;
    assert_eq!(
        client.post("/settings/modules", module("WhatsApp message", "WhatsApp messages")).await.said(),
        (201, "SUCCESS")
    );
    assert_eq!(zoho.stats().credits_spent - before, 500);
    assert_eq!(client.post("/settings/modules", module("Other", "Others")).await.said(), (400, "LIMIT_EXCEEDED"));

    let lookup =
        json!({"field_label": "Contact", "data_type": "lookup", "lookup": {"module": {"api_name": "Contacts"}}});
    let body = json!({"fields": [lookup, {"field_label": "Body", "data_type": "textarea", "textarea": {"type": "large"}},
                                 {"field_label": "Third", "data_type": "text"}]});
    let made = client.post("/settings/fields?module=WhatsApp_Messages", body).await;
    assert_eq!((made.status, made.body["fields"][2]["code"].as_str()), (207, Some("LIMIT_EXCEEDED")));

    let contact = client.make("Contacts", json!({"Last_Name": "A"})).await;
    let row = json!({"Name": "msg_1", "Body": "hello", "Contact": {"id": contact}});
    let upsert = async || {
        client.post("/WhatsApp_Messages/upsert", json!({"data": [row], "duplicate_check_fields": ["Name"]})).await
    };
    let (first, second) = (upsert().await, upsert().await);
    assert_eq!((&first.rows()[0]["action"], &second.rows()[0]["action"]), (&json!("insert"), &json!("update")));
    let related = client.get(&format!("/Contacts/{contact}/WhatsApp_Messages?fields=Body")).await;
    assert_eq!(related.rows()[0]["Body"], "hello");
    let lists = client.get("/settings/related_lists?module=Contacts").await;
    let names: Vec<&Value> =
        lists.body["related_lists"].as_array().unwrap().iter().map(|list| &list["api_name"]).collect();
    assert!(names.contains(&&json!("WhatsApp_Messages")) && names.contains(&&json!("Notes")), "{names:?}");
    let modules = client.get("/settings/modules/WhatsApp_Messages").await;
    assert_eq!((&modules.body["modules"][0]["generated_type"], modules.status), (&json!("custom"), 200));
    assert_eq!(client.get("/settings/modules/Nonsense").await.said(), (400, "INVALID_MODULE"));
}

#[tokio::test]
async fn the_organisation_and_its_people_are_told() {
    let (_zoho, client) = started(Config::default()).await;
    let org = client.get("/org").await;
    assert_eq!(
        (&org.body["org"][0]["type"], &org.body["org"][0]["company_name"]),
        (&json!("Production"), &json!("Zylker"))
    );
    let me = client.get("/users?type=CurrentUser").await;
    assert_eq!(me.body["users"][0]["full_name"], "Integration User");
    let all = client.get("/users?type=ActiveUsers").await;
    assert_eq!(
        (all.body["users"].as_array().unwrap().len(), client.get("/users?type=DeletedUsers").await.status),
        (2, 204)
    );
    let id = me.body["users"][0]["id"].as_str().unwrap();
    assert_eq!((client.get(&format!("/users/{id}")).await.status, client.get("/users/5").await.status), (200, 400));
    assert_eq!(client.get("/users?type=Ghosts").await.said(), (400, "INVALID_DATA"));
    let owned = json!({"data": [{"Last_Name": "A", "Owner": {"id": id}}, {"Last_Name": "B", "Owner": {"id": "5"}}]});
    assert_eq!(client.post("/Contacts", owned).await.status, 207);
}
