//! Answers at the edge of the contract.

use crate::server::{Answer, Server, echo, message, ok, person, refusal};
use ponte_crm::zoho::MessagesIn;
use ponte_domain::crm::RowResult;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::crm::Crm;
use serde_json::{Value, json};

fn error_of(result: &RowResult) -> &CallError {
    match result {
        RowResult::Failed(error) => error,
        RowResult::Written { .. } => panic!("written: {result:?}"),
    }
}

fn linked(n: u128) -> ponte_domain::crm::ContactWrite {
    person(n, Some(&(500 + n).to_string()))
}

#[tokio::test]
async fn rows_have_their_own_result_whatever_the_status_says() {
    for status in [200, 202, 207, 400] {
        let server = Server::start(move |_| {
            let rows = [
                json!({"code": "SUCCESS", "status": "success", "message": "m", "details": {"id": "501"}}),
                refusal("INVALID_DATA", json!({"api_name": "Email", "json_path": "$.data[1].Email"})),
                refusal("RECORD_LOCKED", json!({})),
            ];
            Answer::Now(status, json!({"data": rows}))
        })
        .await;
        let results = server.crm().upsert_contacts(&[linked(1), linked(2), linked(3)]).await.unwrap();
        assert_eq!(results[0], RowResult::Written { crm_id: "501".into(), created: false });
        assert_eq!(error_of(&results[1]).class, ErrorClass::Permanent);
        assert_eq!(error_of(&results[2]).class, ErrorClass::Retryable { after_ms: Some(2_000) });
    }
}

#[tokio::test]
async fn a_right_that_one_record_lacks_stops_that_row_and_a_missing_right_the_connection() {
    let server = Server::start(|_| ok(json!({"data": [refusal("NO_PERMISSION", json!({}))]}))).await;
    let results = server.crm().upsert_contacts(&[linked(1)]).await.unwrap();
    assert_eq!(error_of(&results[0]).class, ErrorClass::Permanent);
    let server = Server::start(|_| Answer::Now(403, refusal("NO_PERMISSION", json!({})))).await;
    let error = server.crm().upsert_contacts(&[linked(1)]).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Configuration);
}

#[tokio::test]
async fn our_id_on_another_contact_does_not_break_a_link() {
    let server = Server::start(|ask| match ask.earlier {
        0 => Answer::Now(
            400,
            json!({"data": [refusal("DUPLICATE_DATA", json!({"api_name": "Ponte_Id", "duplicate_record": {"id": "7"}}))]}),
        ),
        _ => echo(ask),
    })
    .await;
    let results = server.crm().upsert_contacts(&[linked(1)]).await.unwrap();
    assert_eq!(results, [RowResult::Written { crm_id: "501".into(), created: false }]);
    let asked = server.asked();
    let (first, second) = (&asked[1].body["data"][0], &asked[2].body["data"][0]);
    assert!(first["Ponte_Id"].is_string() && second.get("Ponte_Id").is_none());
    assert_eq!((&asked[1].method, &asked[1].body["trigger"]), (&"PUT".to_owned(), &json!([])));
    assert!(first.get("Last_Name").is_none() && first.get("Mobile").is_none(), "names and numbers stay theirs");
}

#[tokio::test]
async fn a_fault_is_no_answer() {
    for (answer, class) in [
        (502, ErrorClass::Retryable { after_ms: None }),
        (404, ErrorClass::Configuration),
        (413, ErrorClass::Permanent),
    ] {
        let server = Server::start(move |_| Answer::Text(answer, "<html>bad gateway</html>")).await;
        let result = server.crm().upsert_contacts(&[linked(1)]).await;
        let error = result.map_or_else(|e| e, |rows| error_of(&rows[0]).clone());
        assert_eq!(error.class, class, "{answer}");
    }
    let server = Server::start(|_| Answer::Text(200, "<html>")).await;
    let results = server.crm().upsert_contacts(&[linked(1)]).await.unwrap();
    assert_eq!(error_of(&results[0]).code, "answer_unreadable");
}

#[tokio::test]
async fn silence_is_safe_to_repeat_for_upserts_and_unknown_for_notes() {
    let server = Server::start(|_| Answer::Silence).await;
    let crm = server.crm();
    let results = crm.upsert_contacts(&[linked(1)]).await.unwrap();
    assert!(matches!(error_of(&results[0]).class, ErrorClass::Retryable { .. }));
    let mut config = server.config();
    config.messages = MessagesIn::Notes;
    let results = server.crm_with(config).write_messages(&[message(1)]).await.unwrap();
    assert_eq!(error_of(&results[0]).class, ErrorClass::UnknownOutcome);
}

#[tokio::test]
async fn a_limit_holds_everything_and_nothing_is_sent_meanwhile() {
    let too_many = || refusal("TOO_MANY_REQUESTS", json!({}));
    let server = Server::start(move |_| Answer::Left(429, too_many(), 0)).await;
    let crm = server.crm();
    let error = crm.upsert_contacts(&[linked(1)]).await.unwrap_err();
    assert!(
        matches!(error.class, ErrorClass::Throttled { after_ms: Some(900_000), .. }),
        "credits are gone: {error:?}"
    );
    assert!(crm.contact_fields().await.is_err());
    assert_eq!(server.calls(), 1);
    server.advance(900_001);
    assert!(crm.contact_fields().await.is_err());
    assert_eq!(server.calls(), 2, "then one call finds out anew");

    let server = Server::start(move |_| Answer::Left(429, too_many(), 5_000)).await;
    let crm = server.crm();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        match crm.contact_fields().await.unwrap_err().class {
            ErrorClass::Throttled { after_ms: Some(ms), .. } => pauses.push(ms),
            other => panic!("{other:?}"),
        }
        server.advance(pauses.last().unwrap() + 1);
    }
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000], "places are missing: patience grows");
}

#[tokio::test]
async fn the_breaker_keeps_calls_from_a_dead_api() {
    let server = Server::start(|_| Answer::Text(503, "")).await;
    let crm = server.crm();
    for _ in 0..5 {
        assert!(crm.contact_fields().await.is_err());
    }
    assert_eq!(crm.contact_fields().await.unwrap_err().code, "breaker_open");
    assert_eq!((server.calls(), crm.budget().calls), (5, 6));
}

#[tokio::test]
async fn without_a_right_to_make_modules_notes_are_used() {
    let server = Server::start(|ask| match (ask.method.as_str(), ask.path.as_str()) {
        ("GET", "/crm/v8/settings/modules") => ok(json!({"modules": [{"api_name": "Contacts"}]})),
        ("GET", "/crm/v8/settings/profiles") => ok(json!({"profiles": [{"id": "1"}]})),
        ("POST", "/crm/v8/settings/modules") => Answer::Now(403, refusal("NO_PERMISSION", json!({}))),
        _ => echo(ask),
    })
    .await;
    let crm = server.crm();
    crm.write_messages(&[message(1)]).await.unwrap();
    crm.write_messages(&[message(2)]).await.unwrap();
    let asked = server.asked();
    let notes: Vec<&Value> = asked.iter().filter(|a| a.path == "/crm/v8/Notes").map(|a| &a.body["data"][0]).collect();
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[0]["Parent_Id"], json!({"module": {"api_name": "Contacts"}, "id": "501"}));
    assert_eq!(asked.iter().filter(|a| a.path.contains("settings")).count(), 3, "asked once");
}

#[tokio::test]
async fn a_fault_while_the_module_is_looked_for_decides_nothing() {
    let server = Server::start(|ask| match (ask.path.as_str(), ask.earlier) {
        ("/crm/v8/settings/modules", 0) => Answer::Text(500, ""),
        ("/crm/v8/settings/modules", _) => ok(json!({"modules": [{"api_name": "Ponte_WhatsApp_Messages"}]})),
        ("/crm/v8/settings/fields", _) => {
            let names = [
                "Contact",
                "Direction",
                "Kind",
                "Body",
                "Message_Time",
                "Status",
                "Delivered_Time",
                "Read_Time",
                "Error",
            ];
            let mut fields: Vec<Value> = names.iter().map(|n| json!({"api_name": n, "unique": {}})).collect();
            fields.push(json!({"api_name": "Message_Id", "unique": {"casesensitive": "false"}}));
            ok(json!({"fields": fields}))
        }
        _ => echo(ask),
    })
    .await;
    let crm = server.crm();
    assert!(crm.write_messages(&[message(1)]).await.is_err());
    crm.write_messages(&[message(1)]).await.unwrap();
    assert!(server.asked().iter().any(|a| a.path == "/crm/v8/Ponte_WhatsApp_Messages/upsert"));
}

#[tokio::test]
async fn a_key_that_allows_duplicates_stops_everything() {
    let server = Server::start(|_| ok(json!({"fields": [{"api_name": "Ponte_Id", "unique": {}}]}))).await;
    let error = server.crm().prepare().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "field_not_unique"));
}

#[tokio::test]
async fn nothing_changed_is_said_in_three_ways() {
    for status in [204, 304] {
        let server = Server::start(move |_| Answer::Now(status, Value::Null)).await;
        let crm = server.crm();
        let found = crm.changes(&["Last_Name".to_owned()], &crm.cursor_now().await.unwrap()).await.unwrap();
        assert_eq!((found.changes.len(), found.more), (0, false));
        let asked = server.asked();
        assert_eq!(asked.last().unwrap().since.as_deref(), Some("2026-11-23T02:25:00+00:00"));
        let query = asked[1].body["select_query"].as_str().unwrap();
        assert_eq!(
            query,
            "select id, Modified_Time, Ponte_Id, Last_Name from Contacts where Modified_Time >= '2026-11-23T02:25:00+00:00' \
             order by Modified_Time, id limit 0, 200"
        );
    }
}

#[tokio::test]
async fn names_that_are_no_fields_never_leave() {
    let server = Server::start(echo).await;
    let crm = server.crm();
    for bad in ["Last_Name from Leads", "a'b", ""] {
        let error = crm.contacts_page(&[bad.to_owned()], None).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Configuration);
    }
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let server = Server::start(|_| {
        let details = json!({"api_name": "Mobile", "json_path": "$.data[0].Mobile", "given": "+5511987654321",
                             "more": "1000.t0 my secret words Ana Souza"});
        Answer::Now(
            400,
            json!({"data": [{"code": "INVALID_DATA", "details": details, "status": "error",
                                          "message": "Ana Souza +5511987654321 is bad"}]}),
        )
    })
    .await;
    let crm = server.crm();
    let results = crm.upsert_contacts(&[linked(1)]).await.unwrap();
    let shown = format!("{results:?} {crm:?} {:?}", crm.budget());
    for secret in ["98765", "Ana", "secret", "1000."] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
