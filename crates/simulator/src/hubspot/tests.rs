//! The less travelled endpoints, asked without a socket in between: the integration tests go over HTTP.
//! May touch: one simulator in memory. Must not touch: the network.

use super::request::Call;
use super::{Config, HubSpot, Sim, gate};
use http::Request;
use serde_json::{Value, json};
use std::sync::Arc;

async fn sim(change: impl FnOnce(&mut Config)) -> (HubSpot, Arc<Sim>) {
    let mut config = Config::default();
    change(&mut config);
    let hubspot = HubSpot::start(config).await.unwrap();
    let sim = Arc::clone(&hubspot.sim);
    (hubspot, sim)
}

/// Status and body; refusals as their rendered body.
fn ask(sim: &Sim, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let call = Call::new(parts, body.to_string().into());
    match gate::dispatch(sim, &call) {
        Ok(reply) => (reply.status, reply.body.unwrap_or_default()),
        Err(refusal) => (refusal.status, refusal.body("test")),
    }
}

fn made(sim: &Sim, object: &str, properties: Value) -> String {
    let (status, body) = ask(sim, "POST", &format!("/crm/v3/objects/{object}"), &json!({"properties": properties}));
    assert_eq!(status, 201, "{body}");
    body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn batch_update_and_read_report_missing_records_by_row() {
    let (_hubspot, sim) = sim(|_| ()).await;
    let id = made(&sim, "0-1", json!({"email": "a@example.com"}));
    let update = json!({"inputs": [{"id": id, "properties": {"firstname": "A"}}, {"id": "1", "properties": {}}]});
    let (status, body) = ask(&sim, "POST", "/crm/objects/2026-03/contacts/batch/update", &update);
    assert_eq!((status, &body["numErrors"], &body["errors"][0]["context"]["ids"]), (207, &json!(1), &json!(["1"])));
    let read = json!({"inputs": [{"id": "A@example.com"}, {"id": "b@example.com"}], "idProperty": "email",
                      "properties": ["firstname", "phone", "unheard_of"]});
    let (status, body) = ask(&sim, "POST", "/crm/v3/objects/contacts/batch/read", &read);
    assert_eq!((status, &body["results"][0]["properties"]["firstname"]), (207, &json!("A")));
    assert_eq!(body["results"][0]["properties"].get("phone"), Some(&Value::Null));
    assert_eq!(body["results"][0]["properties"].get("unheard_of"), None);
    let (status, _) = ask(&sim, "POST", "/crm/v3/objects/contacts/batch/archive", &json!({"inputs": [{"id": id}]}));
    assert_eq!((status, sim.world().table(super::Object::Contacts).live.len()), (204, 0));
}

#[tokio::test]
async fn one_bad_untraced_row_refuses_an_upsert() {
    let (_hubspot, sim) = sim(|_| ()).await;
    let row = |email: &str, name: &str| json!({"id": email, "idProperty": "email", "properties": {name: "x"}});
    let rows = json!({"inputs": [row("a@example.com", "firstname"), row("b@example.com", "nonsense")]});
    assert_eq!(ask(&sim, "POST", "/crm/v3/objects/contacts/batch/upsert", &rows).0, 400);
    assert_eq!(sim.world().table(super::Object::Contacts).live.len(), 0);
}

#[tokio::test]
async fn lists_page_by_id_and_show_associations() {
    let (_hubspot, sim) = sim(|_| ()).await;
    let ids: Vec<String> = (0..5).map(|n| made(&sim, "contacts", json!({"firstname": n.to_string()}))).collect();
    let note = json!({"properties": {"hs_timestamp": "0", "hs_note_body": "x"}, "associations": [
        {"to": {"id": ids[0]}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}]});
    assert_eq!(ask(&sim, "POST", "/crm/objects/2026-09/notes", &note).0, 201);
    let (_, first) = ask(&sim, "GET", "/crm/v3/objects/contacts?limit=3&associations=notes", &Value::Null);
    assert_eq!(first["paging"]["next"]["after"], json!(ids[2]));
    assert_eq!(first["results"][0]["associations"]["notes"]["results"][0]["type"], "contact_to_note");
    let (_, second) = ask(&sim, "GET", &format!("/crm/v3/objects/contacts?limit=3&after={}", ids[2]), &Value::Null);
    assert_eq!((second["results"].as_array().unwrap().len(), second.get("paging")), (2, None));
    assert_eq!(ask(&sim, "GET", "/crm/v3/objects/contacts?limit=101", &Value::Null).0, 400);
    let v3 = ask(&sim, "GET", &format!("/crm/v3/objects/contacts/{}/associations/notes", ids[0]), &Value::Null).1;
    assert_eq!(v3["results"][0]["type"], "contact_to_note");
}

#[tokio::test]
async fn groups_and_property_batches() {
    let (_hubspot, sim) = sim(|config| config.limits.unique_properties = 1).await;
    let property = |name: &str, group: &str| {
        json!({"groupName": group, "name": name, "label": name, "type": "string", "fieldType": "text",
               "hasUniqueValue": true})
    };
    let batch =
        json!({"inputs": [property("one", "whatsapp"), property("two", "whatsapp"), property("Bad", "whatsapp")]});
    let (status, body) = ask(&sim, "POST", "/crm/properties/2026-09/contacts/batch/create", &batch);
    assert_eq!((status, &body["numErrors"]), (207, &json!(3)), "the group does not exist yet");
    let group = json!({"name": "whatsapp", "label": "WhatsApp"});
    assert_eq!(ask(&sim, "POST", "/crm/properties/2026-09/contacts/groups", &group).0, 201);
    assert_eq!(ask(&sim, "POST", "/crm/properties/2026-09/contacts/groups", &group).0, 409);
    let (status, body) = ask(&sim, "POST", "/crm/properties/2026-09/contacts/batch/create", &batch);
    assert_eq!((status, &body["numErrors"]), (207, &json!(2)), "one unique property is the limit here");
    let (_, all) = ask(&sim, "GET", "/crm/v3/properties/contacts", &Value::Null);
    assert!(all["results"].as_array().unwrap().iter().any(|p| p["name"] == "one" && p["hasUniqueValue"] == true));
}

#[tokio::test]
async fn redirecting_accounts_read_the_winner_by_the_old_id() {
    let (_hubspot, sim) =
        sim(|config| (config.flags.merged_id_redirects, config.flags.merge_creates_new_id) = (true, false)).await;
    let (a, b) = (made(&sim, "contacts", json!({"firstname": "A"})), made(&sim, "contacts", json!({"lastname": "B"})));
    let merge = json!({"primaryObjectId": a, "objectIdToMerge": b});
    assert_eq!(ask(&sim, "POST", "/crm/v3/objects/contacts/merge", &merge).1["id"], json!(a));
    assert_eq!(ask(&sim, "GET", &format!("/crm/v3/objects/contacts/{b}"), &Value::Null).1["id"], json!(a));
}

#[tokio::test]
async fn nothing_outside_the_contract_is_served() {
    let (_hubspot, sim) = sim(|_| ()).await;
    for path in ["/crm/v4/objects/contacts", "/crm/objects/2025-09/contacts", "/crm/v3/objects/contacts/1/2/3", "/x"] {
        assert_eq!(ask(&sim, "GET", path, &Value::Null).0, 404, "{path}");
    }
    assert_eq!(ask(&sim, "GET", "/crm/v3/objects/deals", &Value::Null).0, 400);
}
