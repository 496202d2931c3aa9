//! The door that speaks as the Cloud API does: a program that sends by it goes through the gate and gets Meta's answers.

use crate::rig::{API_KEY, LONG, NUMBER, Rig, Setup, eventually, phone};
use ponte_simulator::hubspot::Record;
use ponte_testkit::Engine;
use ponte_testkit::http::request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// One call with our key; status, content type and bytes.
async fn call(rig: &Rig, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> (u16, String, Vec<u8>) {
    let token = format!("Bearer {API_KEY}");
    let mut headers = vec![("authorization", token.as_str())];
    headers.extend(more);
    let answer = request(rig.program.address(), method, path, &headers, body).await.unwrap();
    let kind = answer
        .head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    (answer.status, kind.map(|(_, kind)| kind.to_owned()).unwrap_or_default(), answer.body.clone())
}

async fn told(rig: &Rig, method: &str, path: &str) -> (u16, Value) {
    let (status, _, body) = call(rig, method, path, &[], b"").await;
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_file_is_told_fetched_and_deleted_by_its_id_and_our_key_stays_with_us() {
    let rig = Setup::sqlite().no_crm().start().await;
    let form = b"--b\r\ncontent-disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--b\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\ncontent-type: text/plain\r\n\r\nthe bytes\r\n--b--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    let (_, _, answer) = call(&rig, "POST", &format!("/v26.0/{NUMBER}/media"), &kind, form).await;
    let id = serde_json::from_slice::<Value>(&answer).unwrap()["id"].as_str().unwrap().to_owned();
    let file = format!("/v26.0/{id}");
    // Told as Meta tells it, but for the address: a client sends its token there.
    let (status, about) = told(&rig, "GET", &file).await;
    assert_eq!((status, &about["id"], &about["mime_type"]), (200, &json!(id), &json!("text/plain")), "{about}");
    assert_eq!((about["file_size"].as_i64(), about["sha256"].as_str().map(str::len)), (Some(9), Some(64)), "{about}");
    let own = format!("http://{}", rig.program.address());
    let address = about["url"].as_str().unwrap().strip_prefix(&own).expect("our own address").to_owned();
    let (status, kind, bytes) = call(&rig, "GET", &address, &[], b"").await;
    assert_eq!((status, kind.as_str(), bytes.as_slice()), (200, "text/plain", b"the bytes".as_slice()));
    let forwarded = [("x-forwarded-proto", "https")];
    let (_, _, behind_tls) = call(&rig, "GET", &file, &forwarded, b"").await;
    assert!(serde_json::from_slice::<Value>(&behind_tls).unwrap()["url"].as_str().unwrap().starts_with("https://"));
    // Nobody without a key, and no number but ours.
    let answer = request(rig.program.address(), "GET", &address, &[], b"").await.unwrap();
    assert_eq!(answer.status, 401);
    let foreign = told(&rig, "GET", &format!("{file}?phone_number_id=999")).await;
    assert_eq!((foreign.0, &foreign.1["error"]["code"]), (400, &json!(100)));
    // Gone is gone.
    assert_eq!(told(&rig, "DELETE", &file).await, (200, json!({"success": true})));
    for (method, path) in [("GET", &file), ("GET", &address), ("DELETE", &file)] {
        let (status, gone) = told(&rig, method, path).await;
        assert_eq!((status, &gone["error"]["type"]), (400, &json!("GraphMethodException")), "{method} {path}: {gone}");
    }
}

#[tokio::test]
async fn a_call_that_does_not_exist_is_refused_as_meta_refuses_it() {
    let rig = Setup::sqlite().no_crm().start().await;
    for (method, at) in [
        ("GET", path()),
        ("DELETE", path()),
        ("PUT", format!("/v26.0/{NUMBER}/media")),
        ("POST", format!("/v26.0/{NUMBER}")),
    ] {
        let (status, refused) = told(&rig, method, &at).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!(100)), "{method} {at}: {refused}");
        assert!(refused["error"]["error_data"]["details"].as_str().unwrap().contains(method), "{refused}");
    }
    let (status, refused) = told(&rig, "GET", "/latest/1/messages").await;
    assert_eq!((status, &refused["code"]), (404, &json!("not_found")), "no address of this door: {refused}");
    // A check that was asked for and isn't made must not be passed over.
    let mut checked = text(&phone(0), "only to her");
    checked["recipient_identity_key_hash"] = json!("DF2lS5v2W6x=");
    let (status, refused) = ask(&rig, &path(), &checked, &[]).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!(100)), "{refused}");
    assert!(rig.messages().await.is_empty());
}

/// The head of the answer to these bytes, in small letters.
async fn answered(rig: &Rig, sent: &str) -> String {
    let mut stream = TcpStream::connect(rig.program.address()).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

#[tokio::test]
async fn who_is_refused_before_the_body_came_is_told_that_the_connection_ends() {
    let rig = Setup::sqlite().start().await;
    let refused = answered(&rig, "POST /api/v1/messages HTTP/1.1\r\nhost: here\r\ncontent-length: 900\r\n\r\n").await;
    assert!(refused.starts_with("http/1.1 401") && refused.contains("\r\nconnection: close\r\n"), "{refused}");
    let whole = answered(&rig, "GET /api/v1/me HTTP/1.1\r\nhost: here\r\n\r\n").await;
    assert!(whole.starts_with("http/1.1 401") && !whole.contains("connection: close"), "{whole}");
}
