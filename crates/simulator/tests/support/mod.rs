//! A webhook receiver and a client for the simulator's tests.
#![allow(dead_code, reason = "each test binary uses its part")]

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use ponte_simulator::whatsapp::{Config, CustomerMessage, Simulator, StatusBehaviour, WebhookTarget, signature};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const NUMBER: &str = "106540352242922";
pub const WABA: &str = "102290129340398";
pub const TOKEN: &str = "simulated-token";
pub const SECRET: &str = "simulated-app-secret";

/// What a webhook receiver saw.
#[derive(Clone, Default)]
pub struct Receiver {
    pub posts: Arc<Mutex<Vec<(bool, Bytes)>>>,
    /// Answers to give before 200s.
    pub answers: Arc<Mutex<VecDeque<u16>>>,
    pub url: String,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, ..Self::default() };
        let app = Router::new().route("/hook", get(challenge).post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver
    }

    /// The bodies that were answered with 200.
    pub fn bodies(&self) -> Vec<Value> {
        self.posts
            .lock()
            .unwrap()
            .iter()
            .filter(|(ok, _)| *ok)
            .map(|(_, body)| serde_json::from_slice(body).unwrap())
            .collect()
    }

    fn items(&self, key: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for body in self.bodies() {
            for entry in body["entry"].as_array().unwrap() {
                for change in entry["changes"].as_array().unwrap() {
                    found.extend(change["value"][key].as_array().into_iter().flatten().cloned());
                }
            }
        }
        found
    }

    pub fn changes(&self, field: &str) -> Vec<Value> {
        let entries = self.bodies().into_iter().flat_map(|body| body["entry"].as_array().unwrap().clone());
        let changes = entries.flat_map(|entry| entry["changes"].as_array().unwrap().clone());
        changes.filter(|change| change["field"] == field).collect()
    }

    pub fn statuses(&self) -> Vec<Value> {
        self.items("statuses")
    }

    pub fn messages(&self) -> Vec<Value> {
        self.items("messages")
    }

    pub fn statuses_of(&self, wamid: &str) -> Vec<String> {
        let all = self.statuses();
        all.iter()
            .filter(|status| status["id"] == wamid)
            .map(|status| status["status"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until `check` holds; panics after 10 seconds.
    pub async fn until(&self, what: &str, check: impl Fn(&Self) -> bool) {
        for _ in 0..1_000 {
            if check(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("did not happen: {what}");
    }
}

async fn challenge(Query(query): Query<HashMap<String, String>>) -> (StatusCode, String) {
    if query["hub.mode"] == "subscribe" && query["hub.verify_token"] == "right" {
        return (StatusCode::OK, query["hub.challenge"].clone());
    }
    (StatusCode::FORBIDDEN, String::new())
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = headers.get("x-hub-signature-256").map(|value| value.to_str().unwrap().to_owned());
    if given.as_deref() != Some(signature(SECRET, &body).as_str()) {
        return StatusCode::UNAUTHORIZED;
    }
    let answer = receiver.answers.lock().unwrap().pop_front().unwrap_or(200);
    receiver.posts.lock().unwrap().push((answer == 200, body));
    StatusCode::from_u16(answer).unwrap()
}

pub struct Bench {
    pub sim: Simulator,
    pub hook: Receiver,
    pub http: reqwest::Client,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> u64 {
        self.body["error"]["code"].as_u64().unwrap_or(0)
    }

    pub fn wamid(&self) -> String {
        self.body["messages"][0]["id"].as_str().unwrap_or_else(|| panic!("not accepted: {}", self.body)).to_owned()
    }
}

/// A configuration without waiting: statuses after 5 ms, quick retries.
pub fn quick() -> Config {
    let mut config = Config { status: StatusBehaviour::prompt(5), ..Config::default() };
    config.delivery.retry_first_ms = 20;
    config.rules.template_review_ms = 20;
    config
}

impl Bench {
    pub async fn start(mut config: Config) -> Self {
        let hook = Receiver::start().await;
        config.webhook = Some(WebhookTarget { url: hook.url.clone(), verify_token: "right".into() });
        Self::bare(config, hook).await
    }

    pub async fn bare(config: Config, hook: Receiver) -> Self {
        let sim = Simulator::start(config).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { sim, hook, http }
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_as(TOKEN, method, path, body).await
    }

    pub async fn call_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let url = format!("{}{path}", self.sim.base_url());
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    /// Sends a message; `rest` is merged over product, recipient and type.
    pub async fn send(&self, to: &str, rest: Value) -> Answer {
        let mut body = json!({"messaging_product": "whatsapp", "to": to});
        for (key, value) in rest.as_object().unwrap() {
            if value.is_null() {
                body.as_object_mut().unwrap().remove(key);
            } else {
                body[key] = value.clone();
            }
        }
        self.call("POST", &format!("/v26.0/{NUMBER}/messages"), Some(body)).await
    }

    /// A person writes, which opens the window.
    pub async fn open(&self, wa_id: &str) -> String {
        self.sim.customer_sends(CustomerMessage::text(wa_id, "Ana", "hello")).await.unwrap()
    }
}

pub fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}
