//! The Salesforce connector against a scripted server: odd answers, and what each means per row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::result_large_err)]

#[allow(dead_code, reason = "each test binary uses its part")]
mod mock;

use mock::{Answer, Ask, Mock, ok, status};
use ponte_crm::salesforce::{SalesforceMessages, SalesforceObject};
use ponte_crm::{Salesforce, SalesforceAuth, SalesforceConfig};
use ponte_domain::crm::{ContactWrite, MessageWrite, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::ports::crm::Crm;
use ponte_domain::status::Stamps;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const BASE: &str = "/services/data/v66.0";
const CONTACT: &str = "0035g0000000001AAA";

fn config(mock: &Mock) -> SalesforceConfig {
    let auth = SalesforceAuth::ClientCredentials { client_id: "app".into(), client_secret: "s3cret".to_owned().into() };
    let mut config = SalesforceConfig::new(mock.url(), auth);
    config.request_timeout_ms = 500;
    config
}

fn crm(mock: &Mock) -> Salesforce {
    Salesforce::new(config(mock), mock::door(), mock.clock())
}

/// Answers what every connection asks first; the rest is the script's.
async fn org(script: impl Fn(&Ask, &str) -> Answer + Send + Sync + 'static) -> Mock {
    // The server's own address isn't known before it runs: the path after the host is what counts.
    let field = |name: &str| {
        json!({"name": name, "type": "string", "createable": true, "updateable": true, "nillable": true,
               "unique": name.ends_with("_Id__c"), "externalId": name.ends_with("_Id__c")})
    };
    let person: Vec<Value> =
        ["Ponte_Id__c", "FirstName", "LastName", "MobilePhone", "Phone", "Company", "Title"].map(field).into();
    let message: Vec<Value> = ["Ponte_Message_Id__c", "Contact__c", "Body__c", "Status__c"].map(field).into();
    Mock::start(move |ask| match ask.path.strip_prefix(BASE) {
        None if ask.path == "/services/oauth2/token" => {
            ok(json!({"access_token": format!("t{}", ask.earlier(&ask.path)), "instance_url": "http://nowhere.invalid",
                      "id": "https://login.salesforce.com/id/00D/005"}))
        }
        Some("/sobjects/Contact/describe" | "/sobjects/Lead/describe") => ok(json!({"fields": person})),
        Some("/sobjects/Ponte_WhatsApp_Message__c/describe") => ok(json!({"fields": message})),
        Some(path) => script(ask, path),
        None => status(404, Value::Null),
    })
    .await
}

/// At the server's own address, whatever the token answer says.
fn here(mock: &Mock, change: impl FnOnce(&mut SalesforceConfig)) -> Salesforce {
    let mut config = config(mock);
    config.instance_url = Some(mock.url());
    change(&mut config);
    Salesforce::new(config, mock::door(), mock.clock())
}

fn linked(n: u128, id: &str) -> ContactWrite {
    ContactWrite {
        person: PersonId(Uuid::from_u128(n)),
        crm_id: Some(id.to_owned()),
        name: Some("Ana Souza".into()),
        phone: None,
        wa_id: None,
        user_id: None,
        username: None,
        last_inbound_at: None,
        fields: Default::default(),
    }
}

fn message(n: u128) -> MessageWrite {
    MessageWrite {
        message: MessageId(Uuid::from_u128(n)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: CONTACT.into(),
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

fn class_of(result: &RowResult) -> &ErrorClass {
    match result {
        RowResult::Failed(error) => &error.class,
        RowResult::Written { .. } => panic!("written: {result:?}"),
    }
}

/// Every row of a collection as written.
fn echo(ask: &Ask) -> Answer {
    let rows = ask.body["records"].as_array().unwrap().iter().enumerate().map(|(n, row)| {
        let id = row["id"].as_str().map_or_else(|| format!("a005g000000000{n}AAA"), str::to_owned);
        json!({"id": id, "success": true, "errors": []})
    });
    ok(rows.collect())
}

fn refusal(code: &str) -> Value {
    json!([{"errorCode": code, "message": "said with +5511987654321"}])
}

#[tokio::test]
async fn a_call_refused_for_one_row_is_halved_until_the_row_stands_alone() {
    let mock = org(|ask, _| {
        let bad = ask.body["records"].as_array().unwrap().iter().any(|r| r["id"] == "0035g0000000013AAA");
        if bad { status(400, refusal("JSON_PARSER_ERROR")) } else { echo(ask) }
    })
    .await;
    let rows: Vec<_> = (10..50u128).map(|n| linked(n, &format!("0035g00000000{n:02}AAA"))).collect();
    let results = here(&mock, |_| {}).upsert_contacts(&rows).await.unwrap();
    for (n, result) in results.iter().enumerate() {
        match n {
            3 => assert_eq!(class_of(result), &ErrorClass::Permanent),
            _ => assert!(matches!(result, RowResult::Written { .. }), "{n} {result:?}"),
        }
    }
    assert!(mock.count() <= 16, "{} calls", mock.count());
}

#[tokio::test]
async fn an_answer_that_leaves_rows_out_is_tried_again_and_a_task_may_have_been_made() {
    for answer in
        [json!([{"id": "1", "success": true}]), json!({"odd": true}), json!([{"success": true}, {"success": true}])]
    {
        let mock = org(move |_, path| match path {
            "/query" => ok(json!({"done": true, "records": []})),
            _ => ok(answer.clone()),
        })
        .await;
        let results = here(&mock, |_| {}).write_messages(&[message(1), message(2)]).await.unwrap();
        assert!(matches!(class_of(&results[0]), ErrorClass::Retryable { .. }), "upserts are safe to repeat");
        let tasks = here(&mock, |c| c.messages = SalesforceMessages::Task);
        let results = tasks.write_messages(&[message(1), message(2)]).await.unwrap();
        assert_eq!(class_of(&results[1]), &ErrorClass::UnknownOutcome);
    }
}

#[tokio::test]
async fn silence_and_faults_after_a_task_was_sent_are_unknown() {
    for how in ["silent", "503", "page"] {
        let mock = org(move |_, _| match how {
            "silent" => Answer::Silence(Duration::from_secs(5)),
            "503" => status(503, refusal("SERVER_UNAVAILABLE")),
            _ => status(503, Value::String("<html>maintenance</html>".into())),
        })
        .await;
        let crm = here(&mock, |c| c.messages = SalesforceMessages::Task);
        let results = crm.write_messages(&[message(1)]).await.unwrap();
        assert_eq!(class_of(&results[0]), &ErrorClass::UnknownOutcome, "{how}");
        let results = here(&mock, |_| {}).write_messages(&[message(1)]).await.unwrap();
        assert!(matches!(class_of(&results[0]), ErrorClass::Retryable { .. }), "{how}");
    }
}

#[tokio::test]
async fn a_contact_that_can_not_be_reached_is_looked_for_before_it_counts_as_gone() {
    for (there, wanted) in [(true, ErrorClass::Permanent), (false, ErrorClass::Gone)] {
        let mock = org(move |_, path| match path {
            "/queryAll" if there => ok(json!({"done": true, "records": [{"Id": CONTACT, "IsDeleted": false}]})),
            "/queryAll" => ok(json!({"done": true, "records": []})),
            _ => {
                ok(json!([{"success": false, "errors": [{"statusCode": "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
                                                         "message": "x", "fields": []}]}]))
            }
        })
        .await;
        let results = here(&mock, |_| {}).write_messages(&[message(1)]).await.unwrap();
        assert_eq!(class_of(&results[0]), &wanted);
    }
}

#[tokio::test]
async fn when_a_successor_can_not_be_looked_for_the_link_stays() {
    let mock = org(|_, path| match path {
        "/queryAll" => status(500, refusal("UNKNOWN_EXCEPTION")),
        _ => ok(
            json!([{"success": false, "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "x", "fields": []}]}]),
        ),
    })
    .await;
    let results = here(&mock, |_| {}).upsert_contacts(&[linked(1, CONTACT)]).await.unwrap();
    assert!(matches!(class_of(&results[0]), ErrorClass::Retryable { .. }));
}

#[tokio::test]
async fn what_a_field_was_thought_to_be_is_forgotten_when_salesforce_objects() {
    let mock = org(|_, _| {
        ok(json!([{"success": false, "errors": [{"statusCode": "INVALID_FIELD", "fields": [],
        "message": "No such column 'Title' on sobject of type Contact"}]}]))
    })
    .await;
    let crm = here(&mock, |_| {});
    for asked in 1..=2 {
        let error = crm.upsert_contacts(&[linked(1, CONTACT)]).await.unwrap_err();
        assert_eq!((&error.class, error.detail.as_deref()), (&ErrorClass::Configuration, Some("fields=Title")));
        assert_eq!(mock.bodies("GET", &format!("{BASE}/sobjects/Contact/describe")).len(), asked);
    }
}

#[tokio::test]
async fn the_instance_of_the_token_answer_is_called_unless_one_is_set() {
    let mock = org(|_, _| ok(json!({"done": true, "records": []}))).await;
    let error = crm(&mock).check().await.unwrap_err();
    assert_eq!(error.code, "dns", "http://nowhere.invalid was tried");
    here(&mock, |_| {}).check().await.unwrap();
}

#[tokio::test]
async fn the_breaker_opens_and_lets_one_try_through_later() {
    let mock = org(|_, _| status(500, Value::Null)).await;
    let crm = here(&mock, |_| {});
    for _ in 0..5 {
        assert_eq!(crm.check().await.unwrap_err().code, "server_error");
    }
    let error = crm.check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Retryable { after_ms: Some(1_000) }, "breaker_open"));
    let count = mock.count();
    mock.advance(1_000);
    assert_eq!(crm.check().await.unwrap_err().code, "server_error");
    assert_eq!(mock.count(), count + 1);
}

#[tokio::test]
async fn a_session_refused_again_at_once_is_a_matter_of_auth_without_a_storm() {
    let mock = org(|_, _| status(401, refusal("INVALID_SESSION_ID"))).await;
    let crm = here(&mock, |_| {});
    for _ in 0..10 {
        assert_eq!(crm.check().await.unwrap_err().class, ErrorClass::Auth);
    }
    assert_eq!(mock.texts("/services/oauth2/token").len(), 2);
}

#[tokio::test]
async fn secrets_and_values_are_in_no_error() {
    let mock = org(|_, _| status(400, refusal("STRING_TOO_LONG"))).await;
    let crm = here(&mock, |c| c.object = SalesforceObject::Lead);
    assert!(!format!("{:?} {crm:?}", config(&mock)).contains("s3cret"));
    let results = crm.upsert_contacts(&[linked(1, CONTACT)]).await.unwrap();
    assert!(!format!("{results:?}").contains("98765"));
}

#[tokio::test]
async fn texts_of_people_never_reach_a_query() {
    let mock = org(|ask, path| match path {
        "/query" => ok(json!({"done": true, "records": []})),
        "/search" => ok(json!({"searchRecords": []})),
        _ => echo(ask),
    })
    .await;
    let crm = here(&mock, |_| {});
    let odd = ContactWrite {
        crm_id: None,
        name: Some("x' OR Id != null --".into()),
        phone: Some("1650'55 12} OR".into()),
        ..linked(1, "")
    };
    crm.upsert_contacts(&[odd]).await.unwrap();
    assert!(mock.texts(&format!("{BASE}/search")).is_empty(), "what is no number isn't searched for");
}

#[tokio::test]
async fn pages_and_changes_keep_to_what_salesforce_can_take() {
    let mock = org(|_, _| ok(json!({"done": true, "records": []}))).await;
    let crm = here(&mock, |_| {});
    let many: Vec<String> = (0..900).map(|n| format!("A_rather_long_name_of_a_field_{n}__c")).collect();
    let error = crm.contacts_page(&many, None).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "fields_invalid"));
    assert!(crm.contacts_page(&many[..200], None).await.is_ok());
}
