//! The HubSpot connector against a scripted server: what is asked, in which order, and what each answer means per row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::result_large_err)]

mod mock;

use mock::{Answer, Mock, ok, status};
use ponte_crm::keeper::InMemory;
use ponte_crm::{HubSpot, HubSpotAuth, HubSpotConfig};
use ponte_domain::crm::{ContactWrite, MessageWrite, RowResult};
use ponte_domain::error::{ErrorClass, ThrottleScope};
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::ports::crm::Crm;
use ponte_domain::status::Stamps;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

fn config(mock: &Mock) -> HubSpotConfig {
    let mut config = HubSpotConfig::new(HubSpotAuth::Static { token: "pat-test".to_owned().into() });
    config.base_url = mock.url();
    config.request_timeout_ms = 500;
    config
}

fn crm(mock: &Mock) -> HubSpot {
    HubSpot::new(config(mock), mock::door(), mock.clock())
}

fn person(n: u128, phone: Option<&str>) -> ContactWrite {
    ContactWrite {
        person: PersonId(Uuid::from_u128(n)),
        crm_id: None,
        name: Some("Ana Souza".into()),
        phone: phone.map(str::to_owned),
        wa_id: phone.map(str::to_owned),
        user_id: None,
        username: None,
        last_inbound_at: Some(1_795_401_000_000),
        fields: Default::default(),
    }
}

fn linked(n: u128, id: &str) -> ContactWrite {
    ContactWrite { crm_id: Some(id.into()), ..person(n, Some("16505551234")) }
}

fn message(n: u128) -> MessageWrite {
    MessageWrite {
        message: MessageId(Uuid::from_u128(n)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: "501".into(),
        inbound: true,
        kind: "text".into(),
        text: Some(format!("hello {n}")),
        at: 1_795_401_000_000,
        stamps: Stamps::default(),
        error: None,
        withdrawn: false,
        edited: false,
    }
}

fn written(id: &str, created: bool) -> RowResult {
    RowResult::Written { crm_id: id.into(), created }
}

fn class_of(result: &RowResult) -> &ErrorClass {
    match result {
        RowResult::Failed(error) => &error.class,
        RowResult::Written { .. } => panic!("written: {result:?}"),
    }
}

/// All properties there already, so that nothing has to be made.
fn prepared(path: &str) -> Option<Answer> {
    let all = |names: &[&str]| {
        let list: Vec<Value> = names.iter().map(|n| json!({"name": n, "hasUniqueValue": n.ends_with("_id")})).collect();
        Some(ok(json!({"results": list})))
    };
    match path {
        "/crm/properties/2026-09/contacts" => {
            all(&["ponte_id", "ponte_wa_id", "ponte_user_id", "ponte_username", "ponte_last_inbound_at"])
        }
        "/crm/properties/2026-09/communications" => all(&[
            "ponte_message_id",
            "ponte_status",
            "ponte_direction",
            "ponte_kind",
            "ponte_error",
            "ponte_delivered_at",
            "ponte_read_at",
        ]),
        _ => None,
    }
}

/// Echoes the rows of a batch as written, ids from 900 on.
fn echo(body: &Value, new: bool) -> Answer {
    let rows = body["inputs"].as_array().unwrap().iter().enumerate().map(|(i, input)| {
        json!({"id": input["id"].as_str().filter(|_| !new).map_or_else(|| (900 + i).to_string(), str::to_owned),
               "properties": input["properties"], "new": new})
    });
    ok(json!({"status": "COMPLETE", "results": rows.collect::<Vec<_>>()}))
}

#[tokio::test]
async fn prepare_makes_what_is_missing_and_can_be_repeated() {
    let mock = Mock::start(|ask| match (ask.method.as_str(), ask.path.as_str()) {
        ("GET", "/crm/properties/2026-09/contacts") => {
            ok(json!({"results": [{"name": "ponte_id", "hasUniqueValue": true}]}))
        }
        ("GET", _) => ok(json!({"results": []})),
        ("POST", path) if path.ends_with("/groups") => status(409, json!({"category": "OBJECT_ALREADY_EXISTS"})),
        _ => status(201, json!({})),
    })
    .await;
    let crm = crm(&mock);
    crm.prepare().await.unwrap();
    let made = mock.bodies("POST", "/crm/properties/2026-09/contacts");
    assert_eq!(made.len(), 4);
    assert!(made.iter().all(|p| p["groupName"] == "ponte" && p["name"] != "ponte_id"));
    let made = mock.bodies("POST", "/crm/properties/2026-09/communications");
    assert!(made.iter().any(|p| p["name"] == "ponte_message_id" && p["hasUniqueValue"] == true));
    assert!(crm.capabilities().message_upsert);
    assert_eq!(mock.header("authorization"), "Bearer pat-test");
}

#[tokio::test]
async fn a_property_that_should_be_unique_and_is_not_stops_everything() {
    let mock = Mock::start(|_| ok(json!({"results": [{"name": "ponte_id", "hasUniqueValue": false}]}))).await;
    let error = crm(&mock).prepare().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "property_not_unique"));
}

#[tokio::test]
async fn new_people_are_looked_for_adopted_once_or_made() {
    let mock = Mock::start(|ask| match ask.path.as_str() {
        "/crm/objects/2026-09/contacts/batch/read" if ask.body["idProperty"] == "ponte_id" => {
            let mine = PersonId(Uuid::from_u128(1)).to_string();
            status(
                207,
                json!({"results": [{"id": "11", "properties": {"ponte_id": mine, "firstname": "Old"}}],
                "errors": [{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["x"]}}]}),
            )
        }
        "/crm/objects/2026-09/contacts/search" => ok(json!({"total": 2, "results": [
            {"id": "77", "properties": {"phone": "+52 55 1234 5678", "firstname": "Known", "lastname": null}},
            {"id": "88", "properties": {"phone": "+1 650 555 9999", "ponte_id": null}}]})),
        // Adopted by another person since search saw it.
        "/crm/objects/2026-09/contacts/batch/read" => ok(json!({"results": [
            {"id": "77", "properties": {"phone": "+52 55 1234 5678", "firstname": "Known"}},
            {"id": "88", "properties": {"phone": "+1 650 555 9999", "ponte_id": "per_someone"}}]})),
        path => echo(&ask.body, path.ends_with("/upsert")),
    })
    .await;
    let rows = [
        person(1, Some("16505550001")),
        person(2, Some("5215512345678")),
        person(3, Some("16505559999")),
        person(4, None),
        person(2, Some("5215512345678")),
    ];
    let results = crm(&mock).upsert_contacts(&rows).await.unwrap();
    assert_eq!(
        results,
        [written("11", false), written("77", false), written("900", true), written("901", true), written("77", false)]
    );
    let adopted = &mock.bodies("POST", "/crm/objects/2026-09/contacts/batch/update")[0];
    let row = adopted["inputs"].as_array().unwrap().iter().find(|i| i["id"] == "77").unwrap();
    assert_eq!(row["properties"]["ponte_id"], rows[1].person.to_string());
    assert!(
        row["properties"].get("firstname").is_none() && row["properties"].get("phone").is_none(),
        "names stay: {row}"
    );
    let made = &mock.bodies("POST", "/crm/objects/2026-09/contacts/batch/upsert")[0]["inputs"][0];
    assert_eq!((&made["idProperty"], &made["id"]), (&json!("ponte_id"), &json!(rows[2].person.to_string())));
    assert_eq!(
        (&made["properties"]["phone"], &made["properties"]["lastname"]),
        (&json!("+16505559999"), &json!("Souza"))
    );
    assert_eq!(mock.bodies("POST", "/crm/objects/2026-09/contacts/search").len(), 1, "one search for all");
}

#[tokio::test]
async fn two_people_with_one_number_do_not_both_adopt_the_contact() {
    let contact = || json!({"results": [{"id": "77", "properties": {"phone": "+1 650 555 1234"}}]});
    let mock = Mock::start(move |ask| match ask.path.as_str() {
        "/crm/objects/2026-09/contacts/search" => ok(contact()),
        "/crm/objects/2026-09/contacts/batch/read" if ask.body["idProperty"] == "ponte_id" => {
            ok(json!({"results": []}))
        }
        "/crm/objects/2026-09/contacts/batch/read" => Answer::Late(Duration::from_millis(100), contact()),
        path => echo(&ask.body, path.ends_with("/upsert")),
    })
    .await;
    let crm = crm(&mock);
    let (one, two) = ([person(1, Some("16505551234"))], [person(2, Some("16505551234"))]);
    let (one, two) = tokio::join!(crm.upsert_contacts(&one), crm.upsert_contacts(&two));
    let results = [one.unwrap(), two.unwrap()].concat();
    assert_eq!(results.iter().filter(|r| **r == written("77", false)).count(), 1, "{results:?}");
    let waits = |r: &&RowResult| matches!(r, RowResult::Failed(e) if e.code == "being_adopted");
    assert_eq!(results.iter().filter(waits).count(), 1, "{results:?}");
}

#[tokio::test]
async fn rows_are_told_apart_in_a_mixed_answer_and_the_order_stays() {
    let mock = Mock::start(|_| {
        status(207, json!({"results": [{"id": "3"}, {"id": "1"}],
            "errors": [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["2"]}}]}))
    })
    .await;
    let results = crm(&mock).upsert_contacts(&[linked(1, "1"), linked(2, "2"), linked(3, "3")]).await.unwrap();
    assert_eq!((&results[0], &results[2]), (&written("1", false), &written("3", false)));
    assert_eq!(class_of(&results[1]), &ErrorClass::Gone);
}

#[tokio::test]
async fn one_bad_row_does_not_fail_its_batch() {
    let mock = Mock::start(|ask| {
        let bad = ask.body["inputs"].as_array().unwrap().iter().any(|i| i["id"] == "13");
        if bad { status(400, json!({"category": "VALIDATION_ERROR", "message": "no"})) } else { echo(&ask.body, false) }
    })
    .await;
    let rows: Vec<_> = (0..40).map(|n| linked(n + 1, &n.to_string())).collect();
    let results = crm(&mock).upsert_contacts(&rows).await.unwrap();
    for (n, result) in results.iter().enumerate() {
        if n == 13 {
            assert_eq!(class_of(result), &ErrorClass::Permanent);
        } else {
            assert_eq!(result, &written(&n.to_string(), false));
        }
    }
    assert!(mock.count() <= 13, "{} calls", mock.count());
}

#[tokio::test]
async fn the_whatsapp_property_is_given_up_where_it_is_not_taken() {
    let mock = Mock::start(|ask| {
        let text = ask.body.to_string();
        let message =
            r#"Property values were not valid: [{"error":"READ_ONLY_VALUE","name":"hs_whatsapp_phone_number"}]"#;
        if text.contains("hs_whatsapp_phone_number") {
            status(400, json!({"category": "VALIDATION_ERROR", "message": message}))
        } else {
            echo(&ask.body, false)
        }
    })
    .await;
    let crm = crm(&mock);
    assert_eq!(crm.upsert_contacts(&[linked(1, "1")]).await.unwrap(), [written("1", false)]);
    assert_eq!(crm.upsert_contacts(&[linked(1, "1")]).await.unwrap(), [written("1", false)]);
    assert_eq!(mock.count(), 3, "refused once, then left out");
}

#[tokio::test]
async fn an_uncertain_message_is_looked_for_and_a_new_one_created_with_its_contact() {
    let mock = Mock::start(|ask| {
        if let Some(answer) = prepared(&ask.path) {
            return answer;
        }
        match ask.path.as_str() {
            "/crm/objects/2026-09/communications/batch/read" => {
                let there = MessageId(Uuid::from_u128(2)).to_string();
                status(207, json!({"results": [{"id": "72", "properties": {"ponte_message_id": there}}], "errors": []}))
            }
            path => echo(&ask.body, path.ends_with("/create")),
        }
    })
    .await;
    let uncertain = |n| MessageWrite { uncertain: true, ..message(n) };
    let known = MessageWrite { crm_id: Some("71".into()), ..message(4) };
    let results = crm(&mock).write_messages(&[message(1), uncertain(2), uncertain(3), known]).await.unwrap();
    assert_eq!(results, [written("900", true), written("72", false), written("901", true), written("71", false)]);
    let made = &mock.bodies("POST", "/crm/objects/2026-09/communications/batch/create")[0]["inputs"];
    assert_eq!(made.as_array().unwrap().len(), 2);
    assert_eq!(made[0]["associations"][0]["to"]["id"], "501");
    assert_eq!(made[0]["associations"][0]["types"][0]["associationTypeId"], 81);
    assert_eq!(made[0]["properties"]["hs_timestamp"], "2026-11-23T02:30:00.000Z");
    assert_eq!(made[0]["properties"]["hs_communication_channel_type"], "WHATS_APP");
    assert!(made[0]["objectWriteTraceId"].is_string());
    let changed = &mock.bodies("POST", "/crm/objects/2026-09/communications/batch/update")[0]["inputs"];
    assert!(changed.as_array().unwrap().iter().all(|i| i["properties"].get("hs_timestamp").is_none()));
}

#[tokio::test]
async fn a_create_that_meets_its_own_copy_adopts_it() {
    let mock = Mock::start(|ask| {
        if let Some(answer) = prepared(&ask.path) {
            return answer;
        }
        match ask.path.as_str() {
            "/crm/objects/2026-09/communications/batch/create" => status(
                207,
                json!({"results": [], "errors": [{"category": "CONFLICT", "context": {"objectWriteTraceId": ["0"]}}]}),
            ),
            "/crm/objects/2026-09/communications/batch/read" => {
                let there = MessageId(Uuid::from_u128(1)).to_string();
                ok(json!({"results": [{"id": "72", "properties": {"ponte_message_id": there}}]}))
            }
            _ => echo(&ask.body, false),
        }
    })
    .await;
    assert_eq!(crm(&mock).write_messages(&[message(1)]).await.unwrap(), [written("72", false)]);
}

#[tokio::test]
async fn without_properties_the_mark_in_the_text_finds_the_message() {
    let mark = format!("[ref {}]", MessageId(Uuid::from_u128(2)));
    let mock = Mock::start(move |ask| match (ask.method.as_str(), ask.path.as_str()) {
        ("GET", "/crm/properties/2026-09/communications") => ok(json!({"results": []})),
        ("POST", "/crm/properties/2026-09/communications/groups") => {
            status(400, json!({"category": "VALIDATION_ERROR"}))
        }
        ("GET", "/crm/objects/2026-09/contacts/501/associations/communications") => {
            ok(json!({"results": [{"toObjectId": 71, "associationTypes": []}, {"toObjectId": 72}]}))
        }
        ("POST", "/crm/objects/2026-09/communications/batch/read") => ok(json!({"results": [
            {"id": "71", "properties": {"hs_communication_body": "<p>other</p>"}},
            {"id": "72", "properties": {"hs_communication_body": format!("<p>hello 2</p>{mark}")}}]})),
        (_, path) => echo(&ask.body, path.ends_with("/create")),
    })
    .await;
    let crm = crm(&mock);
    let rows =
        [message(1), MessageWrite { uncertain: true, ..message(2) }, MessageWrite { uncertain: true, ..message(3) }];
    let results = crm.write_messages(&rows).await.unwrap();
    assert_eq!(results, [written("900", true), written("72", false), written("901", true)]);
    assert!(!crm.capabilities().message_upsert);
    let made = &mock.bodies("POST", "/crm/objects/2026-09/communications/batch/create")[0]["inputs"][0];
    let text = made["properties"]["hs_communication_body"].as_str().unwrap();
    assert!(text.contains(&format!("[ref {}]", rows[0].message)));
    assert!(made["properties"].get("ponte_message_id").is_none());
}

#[tokio::test]
async fn a_create_without_answer_is_unknown_an_update_is_not() {
    for how in ["silent", "broken", "503"] {
        let mock = Mock::start(move |ask| match prepared(&ask.path) {
            Some(answer) => answer,
            None if how == "silent" => Answer::Silence(Duration::from_secs(5)),
            None if how == "broken" => ok(Value::String("no batch".into())),
            None => status(503, json!({})),
        })
        .await;
        let results = crm(&mock).write_messages(&[message(1)]).await.unwrap();
        assert_eq!(class_of(&results[0]), &ErrorClass::UnknownOutcome, "{how}");
        let known = MessageWrite { crm_id: Some("71".into()), ..message(1) };
        let results = crm(&mock).write_messages(&[known]).await.unwrap();
        assert!(matches!(class_of(&results[0]), ErrorClass::Retryable { .. }), "{how}: {results:?}");
    }
}

#[tokio::test]
async fn a_gone_contact_is_said_to_be_gone() {
    let mock = Mock::start(|ask| match prepared(&ask.path) {
        Some(answer) => answer,
        None => status(404, json!({"category": "OBJECT_NOT_FOUND", "message": "contact 501"})),
    })
    .await;
    let results = crm(&mock)
        .write_messages(&[message(1), MessageWrite { contact_crm_id: String::new(), ..message(2) }])
        .await
        .unwrap();
    for result in results {
        let RowResult::Failed(error) = result else { panic!("written") };
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Gone, "contact_gone"));
    }
}

#[tokio::test]
async fn a_refused_message_is_checked_against_its_contact() {
    let mock = Mock::start(|ask| match (prepared(&ask.path), ask.path.as_str()) {
        (Some(answer), _) => answer,
        (None, "/crm/objects/2026-09/contacts/batch/read") => ok(json!({"results": [{"id": "501", "properties": {}}]})),
        _ => status(400, json!({"category": "VALIDATION_ERROR", "message": "some words"})),
    })
    .await;
    let results = crm(&mock)
        .write_messages(&[message(1), MessageWrite { contact_crm_id: "502".into(), ..message(2) }])
        .await
        .unwrap();
    assert_eq!(class_of(&results[0]), &ErrorClass::Permanent, "its contact is there");
    assert_eq!(class_of(&results[1]), &ErrorClass::Gone);
}

#[tokio::test]
async fn many_callers_with_one_new_person_each_share_searches() {
    let mock = Mock::start(|ask| match ask.path.as_str() {
        "/crm/objects/2026-09/contacts/search" => Answer::Late(Duration::from_millis(20), json!({"results": []})),
        "/crm/objects/2026-09/contacts/batch/read" => ok(json!({"results": []})),
        path => echo(&ask.body, path.ends_with("/upsert")),
    })
    .await;
    let mut config = config(&mock);
    (config.calls_per_10s, config.request_timeout_ms) = (1_000, 5_000);
    let crm = Arc::new(HubSpot::new(config, mock::door(), mock.clock()));
    let tasks: Vec<_> = (0..90u32)
        .map(|n| {
            let crm = crm.clone();
            tokio::spawn(
                async move { crm.upsert_contacts(&[person(u128::from(n), Some(&format!("1650555{n:04}")))]).await },
            )
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), [written("900", true)]);
    }
    let searches = mock.bodies("POST", "/crm/objects/2026-09/contacts/search").len();
    assert!((2..=4).contains(&searches), "{searches} searches within one second's limit of 4");
}

#[tokio::test]
async fn a_limit_stops_the_connection_and_nothing_is_sent_meanwhile() {
    let mock =
        Mock::start(|_| status(429, json!({"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}))).await;
    let crm = crm(&mock);
    let error = crm.upsert_contacts(&[linked(1, "1")]).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(10_000) });
    let error = crm.check().await.unwrap_err();
    assert!(matches!(error.class, ErrorClass::Throttled { after_ms: Some(10_000), .. }), "{error:?}");
    assert_eq!(mock.count(), 1);
    mock.advance(10_000);
    assert!(crm.check().await.is_err());
    assert_eq!(mock.count(), 2);
}

#[tokio::test]
async fn a_search_limit_concerns_only_those_who_must_be_searched_for() {
    let mock = Mock::start(|ask| match ask.path.as_str() {
        "/crm/objects/2026-09/contacts/search" => status(429, json!({"policyName": "SECONDLY"})),
        "/crm/objects/2026-09/contacts/batch/read" => ok(json!({"results": []})),
        path => echo(&ask.body, path.ends_with("/upsert")),
    })
    .await;
    let results =
        crm(&mock).upsert_contacts(&[linked(1, "1"), person(2, Some("16505551234")), person(3, None)]).await.unwrap();
    assert_eq!((&results[0], &results[2]), (&written("1", false), &written("900", true)));
    let waits = ErrorClass::Throttled { scope: ThrottleScope::Recipient, after_ms: Some(1_000) };
    assert_eq!(class_of(&results[1]), &waits);
}

#[tokio::test]
async fn the_breaker_opens_and_lets_one_try_through_later() {
    let mock = Mock::start(|_| status(500, json!({}))).await;
    let crm = crm(&mock);
    for _ in 0..5 {
        assert_eq!(crm.check().await.unwrap_err().code, "server_error");
    }
    let error = crm.check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Retryable { after_ms: Some(1_000) }, "breaker_open"));
    assert_eq!(mock.count(), 5);
    mock.advance(1_000);
    assert_eq!(crm.check().await.unwrap_err().code, "server_error");
    assert_eq!(mock.count(), 6);
}

#[tokio::test]
async fn calls_keep_within_the_known_budget() {
    let mock = Mock::start(|_| ok(json!({"results": []}))).await;
    let mut config = config(&mock);
    (config.calls_per_10s, config.max_wait_ms) = (10, 0);
    let crm = HubSpot::new(config, mock::door(), mock.clock());
    let mut went = 0;
    for _ in 0..50 {
        went += usize::from(crm.check().await.is_ok());
        mock.advance(100);
    }
    assert_eq!(went, mock.count());
    assert!((7..=9).contains(&went), "nine of ten in five seconds at most, got {went}");
}

#[tokio::test]
async fn oauth_tokens_are_refreshed_once_after_a_401_and_then_it_is_a_matter_of_auth() {
    let mock = Mock::start(|ask| {
        let good = matches!(ask.authorization.as_str(), "Bearer access-2" | "Bearer access-5");
        match ask.path.as_str() {
            "/oauth/2026-09/token" => {
                let n = ask.earlier("/oauth/2026-09/token") + 1;
                ok(json!({"access_token": format!("access-{n}"), "expires_in": 1800, "refresh_token": "r"}))
            }
            _ if good => ok(json!({"results": []})),
            _ => status(401, json!({"category": "INVALID_AUTHENTICATION"})),
        }
    })
    .await;
    let mut config = config(&mock);
    let (client_id, secret) = ("app".to_owned(), "s3cret".to_owned());
    config.auth = HubSpotAuth::OAuth {
        client_id,
        client_secret: secret.into(),
        keeper: Arc::new(InMemory::new("r0".to_owned().into())),
    };
    assert!(!format!("{config:?}").contains("s3cret"));
    let crm = HubSpot::new(config, mock::door(), mock.clock());
    crm.check().await.unwrap();
    let forms = mock.texts("/oauth/2026-09/token");
    assert_eq!(forms.len(), 2);
    assert!(forms[0].contains("grant_type=refresh_token") && forms[0].contains("refresh_token=r0"), "{}", forms[0]);
    assert!(forms[1].ends_with("refresh_token=r"), "the newest refresh token is used");
    mock.advance(1_800_000);
    assert_eq!(crm.check().await.unwrap_err().class, ErrorClass::Auth, "one refresh for its age, one for the refusal");
    assert_eq!(mock.texts("/oauth/2026-09/token").len(), 4);
    assert_eq!(crm.check().await.unwrap_err().class, ErrorClass::Auth);
    assert_eq!(mock.texts("/oauth/2026-09/token").len(), 4, "no storm of refreshes");
}

#[tokio::test]
async fn missing_scopes_and_wrong_tokens_are_said_once_for_all_rows() {
    for (code, class) in [(403, ErrorClass::Configuration), (401, ErrorClass::Auth)] {
        let mock = Mock::start(move |_| status(code, json!({"category": "MISSING_SCOPES"}))).await;
        let error = crm(&mock).upsert_contacts(&[linked(1, "1"), linked(2, "2")]).await.unwrap_err();
        assert_eq!(error.class, class);
    }
}
