//! The client against a stand-in for the Graph API on this machine: what it sends, and what it makes of the answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::ids::{NumberId, Wamid};
use ponte_domain::outbound::Outbound;
use ponte_domain::ports::channel::{Address, Channel};
use ponte_net::{Egress, EgressConfig};
use ponte_whatsapp::verify::AppIndex;
use ponte_whatsapp::{CloudApi, CloudApiConfig, NumberAccess};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;

const AGAIN: ErrorClass = ErrorClass::Retryable { after_ms: None };

#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers from a script, one after the other, and remembers what was asked.
#[derive(Clone, Default)]
struct Graph {
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
    address: String,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    delay: Duration,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string())
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Graph {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let graph = Self { address: listener.local_addr().unwrap().to_string(), ..Self::default() };
        let state = graph.clone();
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let state = state.clone();
            async move { state.answer(Seen { method, uri: uri.to_string(), headers, body }).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        graph
    }

    async fn answer(&self, seen: Seen) -> Response {
        self.seen.lock().unwrap().push(seen);
        let answer = self.script.lock().unwrap().pop_front();
        let Some(answer) = answer else { return StatusCode::IM_A_TEAPOT.into_response() };
        tokio::time::sleep(answer.delay).await;
        let mut response = (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response();
        response.headers_mut().remove("content-type");
        for (name, value) in answer.headers {
            response.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
        }
        response
    }

    fn will(&self, answer: Answer) -> &Self {
        self.script.lock().unwrap().push_back(answer);
        self
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn client(&self) -> CloudApi {
        client(&self.address, |_| ())
    }

    fn media_url(&self) -> String {
        format!("http://{}/media/file?x=1", self.address)
    }
}

fn client(address: &str, change: impl FnOnce(&mut CloudApiConfig)) -> CloudApi {
    let access = NumberAccess { access_token: "EAAtoken".into(), waba_id: "700100".into(), app: AppIndex(0) };
    let mut config = CloudApiConfig {
        base_url: format!("http://{address}"),
        numbers: HashMap::from([(number(), access)]),
        send_timeout: Duration::from_millis(400),
        media_idle_timeout: Duration::from_millis(400),
        extra_media_hosts: vec![address.to_owned()],
        ..CloudApiConfig::default()
    };
    change(&mut config);
    let egress = Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() }).unwrap();
    CloudApi::new(config, egress).unwrap()
}

fn number() -> NumberId {
    NumberId::from("900100200")
}

fn phone() -> Address {
    Address::Phone("16505551234".into())
}

fn text() -> Outbound {
    Outbound::Text { body: "hello".into(), preview_url: false }
}

fn accepted() -> Answer {
    let body = json!({"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],
        "messages":[{"id":"wamid.NEW","message_status":"held_for_quality_assessment"}]});
    Answer::json(200, &body)
}

async fn send(client: &CloudApi) -> Result<ponte_domain::ports::channel::Accepted, CallError> {
    client.send(&number(), &phone(), &text(), Some("wamid.OLD"), "msg_1").await
}

async fn send_class(graph: &Graph, answer: Answer) -> ErrorClass {
    graph.will(answer);
    send(&graph.client()).await.unwrap_err().class
}

#[tokio::test]
async fn a_message_goes_out_and_its_answer_comes_back() {
    let graph = Graph::start().await;
    graph
        .will(accepted().header("facebook-api-version", "v26.0"))
        .will(accepted().header("facebook-api-version", "v27.0"));
    let client = graph.client();
    let answer = send(&client).await.unwrap();
    assert_eq!(answer.wamid.as_deref(), Some("wamid.NEW"));
    assert_eq!(answer.party.wa_id.as_deref(), Some("16505551234"));
    assert_eq!(answer.held.as_deref(), Some("held_for_quality_assessment"));
    assert_eq!(client.other_version(), None);
    send(&client).await.unwrap();
    assert_eq!(client.other_version(), Some("v27.0"));
    let seen = &graph.seen()[0];
    assert_eq!((&seen.method, seen.uri.as_str()), (&Method::POST, "/v26.0/900100200/messages"));
    assert_eq!(seen.headers["authorization"], "Bearer EAAtoken");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(
        serde_json::from_slice::<Value>(&seen.body).unwrap(),
        json!({"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"text",
            "context":{"message_id":"wamid.OLD"},"biz_opaque_callback_data":"msg_1","text":{"body":"hello"}})
    );
}

#[tokio::test]
async fn answers_are_classified() {
    let graph = Graph::start().await;
    let error = |code: i64| json!({"error": {"code": code, "message": "m", "fbtrace_id": "A1"}});
    assert_eq!(
        send_class(&graph, Answer::json(400, &error(131056))).await,
        ErrorClass::Throttled { scope: ThrottleScope::Recipient, after_ms: None }
    );
    assert_eq!(send_class(&graph, Answer::json(401, &error(190))).await, ErrorClass::Auth);
    assert_eq!(send_class(&graph, Answer::json(503, &error(2))).await, AGAIN);
    assert_eq!(send_class(&graph, Answer::json(206, &error(131202))).await, ErrorClass::Permanent);
    assert_eq!(send_class(&graph, Answer::new(502, "<html>")).await, ErrorClass::UnknownOutcome);
    assert_eq!(send_class(&graph, Answer::new(200, "")).await, ErrorClass::UnknownOutcome);
    assert_eq!(send_class(&graph, Answer::json(200, &json!({"messages": []}))).await, ErrorClass::UnknownOutcome);
    assert_eq!(send_class(&graph, Answer::new(302, "").header("location", "/x")).await, ErrorClass::Configuration);
    assert_eq!(graph.seen().len(), 8, "nothing is repeated or followed");
    let usage = r#"{"700100":[{"estimated_time_to_regain_access":3}]}"#;
    graph.will(Answer::json(400, &error(80007)).header("x-business-use-case-usage", usage));
    let limited = send(&graph.client()).await.unwrap_err();
    assert_eq!(limited.class, ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(180_000) });
    assert_eq!((limited.code.as_str(), limited.trace.as_deref()), ("80007", Some("A1")));
}

#[tokio::test]
async fn silence_after_sending_leaves_the_outcome_open() {
    let graph = Graph::start().await;
    let mut slow = accepted();
    slow.delay = Duration::from_secs(5);
    graph.will(slow);
    let error = send(&graph.client()).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::UnknownOutcome, "timeout"));
}

#[tokio::test]
async fn a_break_after_sending_leaves_the_outcome_open_and_no_connection_does_not() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        socket.read(&mut buffer).await.unwrap()
    });
    let client = client(&address, |_| ());
    let broken = send(&client).await.unwrap_err();
    assert_eq!(broken.class, ErrorClass::UnknownOutcome, "{broken:?}");
    assert!(server.await.unwrap() > 0);
    let refused = send(&client).await.unwrap_err();
    assert_eq!((refused.class, refused.code.as_str()), (AGAIN, "connect"));
}

#[tokio::test]
async fn receipts_may_be_repeated() {
    let graph = Graph::start().await;
    let read = Outbound::Read { message_id: Wamid::from("wamid.IN"), typing: true };
    let receipt = || async { graph.client().send(&number(), &phone(), &read, None, "").await };
    graph.will(Answer::json(200, &json!({"success": true}))).will(Answer::new(502, "<html>"));
    assert_eq!(receipt().await.unwrap().wamid, None);
    assert_eq!(receipt().await.unwrap_err().class, AGAIN);
    let body: Value = serde_json::from_slice(&graph.seen()[0].body).unwrap();
    assert_eq!(body["status"], "read");
}

#[tokio::test]
async fn what_cant_be_sent_isnt() {
    let graph = Graph::start().await;
    let client = graph.client();
    let unknown = client.send(&"1".into(), &phone(), &text(), None, "m").await.unwrap_err();
    assert_eq!((unknown.class, unknown.code.as_str()), (ErrorClass::Configuration, "number_unknown"));
    let user_id = Address::Phone("US.13491208655302741918".into());
    let wrong = client.send(&number(), &user_id, &text(), None, "m").await.unwrap_err();
    assert_eq!((wrong.class, wrong.code.as_str()), (ErrorClass::Permanent, "recipient_invalid"));
    let odd = client.fetch_media(&number(), "../900", None).await.unwrap_err();
    assert_eq!(odd.code, "media_id_invalid");
    assert!(graph.seen().is_empty());
}

#[tokio::test]
async fn secrets_stay_inside() {
    let graph = Graph::start().await;
    let shown = format!("{:?}", graph.client());
    assert!(!shown.contains("EAAtoken"), "{shown}");
}

const FILE: &[u8] = b"not really a picture";

fn base64_hash() -> String {
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(FILE))
}

fn described(graph: &Graph) -> Answer {
    let hash: String = Sha256::digest(FILE).iter().map(|b| format!("{b:02x}")).collect();
    let body =
        json!({"url": graph.media_url(), "mime_type": "image/jpeg", "sha256": hash, "file_size": "20", "id": "77"});
    Answer::json(200, &body)
}

#[tokio::test]
async fn a_file_is_asked_for_followed_and_checked() {
    let graph = Graph::start().await;
    graph.will(described(&graph)).will(Answer::new(200, FILE).header("content-type", "image/png"));
    let file = graph.client().fetch_media(&number(), "77", Some(&base64_hash())).await.unwrap();
    assert_eq!((&file.bytes[..], file.mime_type.as_deref()), (FILE, Some("image/png")));
    let seen = graph.seen();
    assert_eq!(seen[0].uri, "/v26.0/77?phone_number_id=900100200");
    assert_eq!(seen[1].uri, "/media/file?x=1");
    assert!(seen.iter().all(|s| s.method == Method::GET && s.headers["authorization"] == "Bearer EAAtoken"));
}

#[tokio::test]
async fn a_stale_address_is_asked_for_again_once() {
    let graph = Graph::start().await;
    graph.will(described(&graph)).will(Answer::new(404, "")).will(described(&graph)).will(Answer::new(200, FILE));
    let file = graph.client().fetch_media(&number(), "77", None).await.unwrap();
    assert_eq!(file.mime_type.as_deref(), Some("image/jpeg"), "the type described stands in");
    for _ in 0..3 {
        graph.will(described(&graph)).will(Answer::new(404, ""));
    }
    let before = graph.seen().len();
    let error = graph.client().fetch_media(&number(), "77", None).await.unwrap_err();
    assert_eq!((error.class, error.http_status), (AGAIN, Some(404)));
    assert_eq!(graph.seen().len() - before, 4);
}

#[tokio::test]
async fn another_file_than_announced_is_refused() {
    let graph = Graph::start().await;
    graph.will(described(&graph)).will(Answer::new(200, "something else"));
    let error = graph.client().fetch_media(&number(), "77", Some(&base64_hash())).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (AGAIN, "media_hash"));
    graph.will(described(&graph)).will(Answer::new(200, "something else"));
    let error = graph.client().fetch_media(&number(), "77", None).await.unwrap_err();
    assert_eq!(error.code, "media_hash", "Meta's own hash counts when none came with the message");
}

#[tokio::test]
async fn the_token_never_goes_elsewhere() {
    let graph = Graph::start().await;
    let elsewhere = Graph::start().await;
    elsewhere.will(Answer::new(200, FILE)).will(Answer::new(200, FILE));
    graph.will(Answer::json(200, &json!({"url": elsewhere.media_url()})));
    let error = graph.client().fetch_media(&number(), "77", None).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Permanent, "media_host"));
    graph.will(described(&graph)).will(Answer::new(302, "").header("location", elsewhere.media_url()));
    let error = graph.client().fetch_media(&number(), "77", None).await.unwrap_err();
    assert_eq!(error.code, "media_host");
    assert!(elsewhere.seen().is_empty());
    graph.will(described(&graph)).will(Answer::new(302, "").header("location", "/other")).will(Answer::new(200, FILE));
    assert!(graph.client().fetch_media(&number(), "77", None).await.is_ok(), "within the host it is followed");
}

#[tokio::test]
async fn files_have_a_limit() {
    let graph = Graph::start().await;
    let client = client(&graph.address, |c| c.media_max_bytes = 10);
    graph.will(described(&graph));
    let announced = client.fetch_media(&number(), "77", None).await.unwrap_err();
    assert_eq!((announced.class, announced.code.as_str()), (ErrorClass::Permanent, "media_too_large"));
    graph.will(Answer::json(200, &json!({"url": graph.media_url()}))).will(Answer::new(200, FILE));
    let arrived = client.fetch_media(&number(), "77", None).await.unwrap_err();
    assert_eq!((arrived.class, arrived.code.as_str()), (ErrorClass::Permanent, "answer_too_large"));
}

#[tokio::test]
async fn a_deleted_file_is_given_up() {
    let graph = Graph::start().await;
    graph.will(Answer::json(400, &json!({"error": {"code": 100, "error_subcode": 33, "message": "does not exist"}})));
    let error = graph.client().fetch_media(&number(), "77", None).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
}

#[tokio::test]
async fn a_file_is_described_and_deleted_by_its_id() {
    let graph = Graph::start().await;
    graph.will(described(&graph)).will(Answer::json(200, &json!({"success": true})));
    let told = graph.client().media_info(&number(), "77").await.unwrap();
    assert_eq!((&told["id"], &told["file_size"]), (&json!("77"), &json!("20")));
    graph.client().delete_media(&number(), "77").await.unwrap();
    let seen: Vec<(Method, String)> = graph.seen().into_iter().map(|s| (s.method, s.uri)).collect();
    let address = "/v26.0/77?phone_number_id=900100200".to_owned();
    assert_eq!(seen, [(Method::GET, address.clone()), (Method::DELETE, address)]);
    // What is no id would change the address that is asked.
    for odd in ["", "../900100200", "77/x", "77?fields=x"] {
        assert_eq!(graph.client().media_info(&number(), odd).await.unwrap_err().code, "media_id_invalid");
        assert_eq!(graph.client().delete_media(&number(), odd).await.unwrap_err().code, "media_id_invalid");
    }
    assert_eq!(graph.seen().len(), 2);
}

#[tokio::test]
async fn a_file_is_uploaded() {
    let graph = Graph::start().await;
    graph.will(Answer::json(200, &json!({"id": "4490"}))).will(Answer::new(502, "")).will(Answer::new(200, "{}"));
    let client = graph.client();
    let upload = |mime: &'static str| client.upload_media(&NUMBER, Bytes::from_static(FILE), mime, "a.jpg");
    assert_eq!(upload("image/jpeg").await.unwrap(), "4490");
    let seen = graph.seen();
    assert_eq!((&seen[0].method, seen[0].uri.as_str()), (&Method::POST, "/v26.0/900100200/media"));
    assert!(seen[0].headers["content-type"].to_str().unwrap().starts_with("multipart/form-data"));
    let body = String::from_utf8(seen[0].body.to_vec()).unwrap();
    for part in [
        "name=\"messaging_product\"\r\n\r\nwhatsapp",
        "name=\"type\"\r\n\r\nimage/jpeg",
        "filename=\"a.jpg\"",
        "Content-Type: image/jpeg\r\n\r\nnot really a picture",
    ] {
        assert!(body.contains(part), "{part} is missing in {body}");
    }
    assert_eq!(upload("image/jpeg").await.unwrap_err().class, AGAIN);
    assert_eq!(upload("image/jpeg").await.unwrap_err().code, "answer_unreadable");
    assert_eq!(upload("no type").await.unwrap_err().code, "mime_type_invalid");
}

static NUMBER: std::sync::LazyLock<NumberId> = std::sync::LazyLock::new(number);

#[tokio::test]
async fn health_is_given_as_meta_says_it() {
    let graph = Graph::start().await;
    graph.will(Answer::json(200, &json!({"id": "900100200", "quality_rating": "GREEN"})));
    assert_eq!(graph.client().number_health(&number()).await.unwrap()["quality_rating"], "GREEN");
    assert!(
        graph.seen()[0].uri.starts_with("/v26.0/900100200?fields=id,")
            && graph.seen()[0].uri.contains(",health_status,")
    );
}
