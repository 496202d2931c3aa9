//! The door that speaks as the Cloud API does: a program that sends by it goes through the gate and gets Meta's answers.

use crate::rig::{API_KEY, LONG, NUMBER, Rig, Setup, eventually, phone};
use ponte_simulator::hubspot::Record;
use ponte_testkit::Engine;
use ponte_testkit::http::request;
use serde_json::{Value, json};

async fn ask(rig: &Rig, path: &str, body: &Value, more: &[(&str, &str)]) -> (u16, Value) {
    let token = format!("Bearer {API_KEY}");
    let mut headers = vec![("authorization", token.as_str()), ("content-type", "application/json")];
    headers.extend(more);
    let answer = request(rig.program.address(), "POST", path, &headers, body.to_string().as_bytes()).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

fn path() -> String {
    format!("/v26.0/{NUMBER}/messages")
}

fn text(to: &str, body: &str) -> Value {
    json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "text", "text": {"body": body}})
}

async fn a_client_changes_its_address(engine: Engine) {
    let rig = Setup::on(engine).start().await;
    rig.open_windows(2).await;
    // Sent, with WhatsApp's id in the answer, and logged in the CRM like everything else.
    let (status, sent) = ask(&rig, &path(), &text(&phone(0), "through the door"), &[]).await;
    assert_eq!(status, 200, "{sent}");
    let wamid = sent["messages"][0]["id"].as_str().unwrap().to_owned();
    assert!(wamid.starts_with("wamid."), "{sent}");
    assert_eq!(sent["contacts"][0]["wa_id"], phone(0).as_str());
    let stored = rig.stored(&wamid).await;
    assert_eq!((&stored["text"], &stored["origin"]), (&json!("through the door"), &json!("api")));
    eventually(LONG, "it is in the CRM", || async {
        let all: Vec<Record> = rig.hubspot.communications();
        all.iter().any(|c| c.properties.values().any(|v| v.contains("through the door"))).then_some(())
    })
    .await;
    // Receipts are filed; the same key sends once.
    let theirs = rig.messages().await.iter().find(|m| m["origin"] == "customer").unwrap()["wamid"].clone();
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": theirs});
    assert_eq!(ask(&rig, &path(), &read, &[]).await, (200, json!({"success": true})));
    let key = [("idempotency-key", "order-7")];
    let (first, again) = (
        ask(&rig, &path(), &text(&phone(1), "once"), &key).await,
        ask(&rig, &path(), &text(&phone(1), "once"), &key).await,
    );
    assert_eq!(first, again);
    // Refusals take the codes that a client of Meta's knows.
    for (body, code, ours) in [
        (text("886912345678", "no window"), 131_047, "window_closed"),
        (
            json!({"messaging_product": "whatsapp", "to": phone(0), "type": "template",
            "template": {"name": "spring_sale", "language": {"code": "en_US"}}}),
            131_050,
            "consent_missing",
        ),
    ] {
        let refused = eventually(LONG, ours, || async {
            let (status, body) = ask(&rig, &path(), &body, &[]).await;
            (status == 400 && body["error"]["code"] == code).then_some(body)
        })
        .await;
        assert_eq!(refused["error"]["ponte"]["code"], ours, "{refused}");
    }
    // What WhatsApp itself refuses comes back as WhatsApp said it.
    let bad = json!({"messaging_product": "whatsapp", "to": phone(0), "type": "template",
        "template": {"name": "order_confirmation", "language": {"code": "en_US"}, "components": []}});
    let (status, refused) = ask(&rig, &path(), &bad, &[]).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!(132_000)), "{refused}");
    rig.nothing_doubled();
}

#[tokio::test]
async fn a_client_changes_its_address_on_sqlite() {
    a_client_changes_its_address(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_client_changes_its_address_on_postgres() {
    a_client_changes_its_address(Engine::Postgres).await;
}

#[tokio::test]
async fn whoever_has_no_business_there_is_told_in_metas_words() {
    let rig = Setup::sqlite().no_crm().start().await;
    let hi = text(&phone(0), "hi");
    let anonymous = [("content-type", "application/json")];
    let body = hi.to_string();
    let answer = request(rig.program.address(), "POST", &path(), &anonymous, body.as_bytes()).await.unwrap();
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &told["error"]["code"]), (401, &json!(190)), "{told}");
    let (status, told) = ask(&rig, "/v26.0/999/messages", &hi, &[]).await;
    assert_eq!(
        (status, &told["error"]["code"], &told["error"]["type"]),
        (400, &json!(100), &json!("GraphMethodException"))
    );
    // What is no version is no address of this door: told as everywhere else.
    for path in ["/latest/1/messages", "/api/v1/nothing/here"] {
        let (status, told) = ask(&rig, path, &hi, &[]).await;
        assert_eq!((status, &told["code"]), (404, &json!("not_found")), "{path}: {told}");
    }
    for path in ["/api/v1", "/api/v2", "/docs/api"] {
        let (status, told) = rig.api("GET", path, None).await;
        assert_eq!((status, &told["code"]), (404, &json!("not_found")), "{path}: {told}");
    }
    let (status, told) = ask(&rig, &path(), &json!({"to": "1"}), &[]).await;
    assert_eq!(status, 400);
    assert!(told["error"]["message"].as_str().unwrap().contains("messaging_product"), "{told}");
    // Files go through it too.
    let form = "--b\r\ncontent-disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--b\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\n\u{89}PNG\r\n--b--\r\n";
    let token = format!("Bearer {API_KEY}");
    let headers = [("authorization", token.as_str()), ("content-type", "multipart/form-data; boundary=b")];
    let media = format!("/v26.0/{NUMBER}/media");
    let answer = request(rig.program.address(), "POST", &media, &headers, form.as_bytes()).await.unwrap();
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(answer.status == 200 && told["id"].is_string(), "{told}");
}
