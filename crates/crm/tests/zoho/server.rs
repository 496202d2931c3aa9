//! A server that answers as a test says, and remembers what it was asked. It gives tokens by itself.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ponte_crm::Zoho;
use ponte_crm::zoho::{DataCentre, MemoryKeeper, TokenKeeper, ZohoConfig};
use ponte_domain::crm::{ContactWrite, MessageWrite};
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::status::Stamps;
use ponte_net::{Clock, Egress, EgressConfig};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// 2026-11-23T02:30:00Z.
pub const START: i64 = 1_795_401_000_000;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: String,
    pub since: Option<String>,
    pub body: Value,
    /// How many requests of this path came before.
    pub earlier: usize,
}

/// What to answer.
pub enum Answer {
    Now(u16, Value),
    Text(u16, &'static str),
    /// With `X-API-CREDITS-REMAINING`.
    Left(u16, Value, i64),
    Silence,
}

pub fn ok(body: Value) -> Answer {
    Answer::Now(200, body)
}

pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Ask>>>,
    now: Arc<AtomicI64>,
    pub keeper: Arc<MemoryKeeper>,
}

impl Server {
    /// `script` answers what is asked of the API; tokens are given by themselves.
    pub async fn start(script: impl Fn(&Ask) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_tokens(
            |base, n| ok(json!({"access_token": format!("1000.t{n}"), "api_domain": base, "expires_in": 3600})),
            script,
        )
        .await
    }

    /// `tokens` answers the accounts server, told its own address and how often it was asked before.
    pub async fn with_tokens(
        tokens: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
        script: impl Fn(&Ask) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Ask>>> = Arc::default();
        let (seen, script) = (asked.clone(), Arc::new((tokens, script)));
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let (seen, script) = (seen.clone(), script.clone());
            async move {
                let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
                let ask = {
                    let mut seen = seen.lock().unwrap();
                    let ask = Ask {
                        method: method.to_string(),
                        path: uri.path().to_owned(),
                        query: uri.query().unwrap_or_default().to_owned(),
                        authorization: header("authorization").unwrap_or_default(),
                        since: header("if-modified-since"),
                        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                        earlier: seen.iter().filter(|a: &&Ask| a.path == uri.path()).count(),
                    };
                    seen.push(ask.clone());
                    ask
                };
                answer(match ask.path.as_str() {
                    "/oauth/v2/token" => script.0(&format!("http://{address}"), ask.earlier),
                    _ => script.1(&ask),
                })
                .await
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, asked, now: Arc::new(AtomicI64::new(START)), keeper: Arc::default() }
    }

    pub fn config(&self) -> ZohoConfig {
        let secret = |text: &str| text.to_owned().into();
        let mut config =
            ZohoConfig::new(DataCentre::Eu, "1000.C".to_owned(), secret("c-secret"), secret("1000.r-token"));
        config.accounts_url = format!("http://{}", self.address);
        config.api_url = format!("http://{}", self.address);
        config.request_timeout_ms = 400;
        config.max_wait_ms = 0;
        config
    }

    pub fn crm(&self) -> Zoho {
        self.crm_with(self.config())
    }

    pub fn crm_with(&self, config: ZohoConfig) -> Zoho {
        let egress = Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() }).unwrap();
        let now = self.now.clone();
        let clock: Clock = Arc::new(move || now.load(Ordering::SeqCst));
        Zoho::new(config, egress, clock, Arc::clone(&self.keeper) as Arc<dyn TokenKeeper>)
    }

    pub fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn asked(&self) -> Vec<Ask> {
        self.asked.lock().unwrap().clone()
    }

    /// Requests of the API, tokens not counted.
    pub fn calls(&self) -> usize {
        self.asked().iter().filter(|a| !a.path.starts_with("/oauth")).count()
    }

    pub fn tokens(&self) -> usize {
        self.asked().len() - self.calls()
    }
}

async fn answer(answer: Answer) -> Response {
    let json = |status: u16, body: Value| {
        let status = StatusCode::from_u16(status).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        (status, [("content-type", "application/json;charset=UTF-8")], body).into_response()
    };
    match answer {
        Answer::Now(status, body) => json(status, body),
        Answer::Text(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Answer::Left(status, body, left) => {
            let mut response = json(status, body);
            response.headers_mut().insert("x-api-credits-remaining", left.to_string().parse().unwrap());
            response
        }
        Answer::Silence => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            StatusCode::OK.into_response()
        }
    }
}

/// Writes every row of a body, ids from 900 on.
pub fn echo(ask: &Ask) -> Answer {
    let rows = ask.body["data"].as_array().unwrap().iter().enumerate().map(|(n, row)| {
        let known = row["id"].as_str().map(str::to_owned);
        let action = if known.is_some() { "update" } else { "insert" };
        json!({"code": "SUCCESS", "status": "success", "message": "m", "action": action, "duplicate_field": null,
               "details": {"id": known.unwrap_or_else(|| (900 + n).to_string())}})
    });
    ok(json!({"data": rows.collect::<Vec<_>>()}))
}

pub fn refusal(code: &str, details: Value) -> Value {
    json!({"code": code, "details": details, "message": "m", "status": "error"})
}

pub fn person(n: u128, id: Option<&str>) -> ContactWrite {
    ContactWrite {
        person: PersonId(Uuid::from_u128(n)),
        crm_id: id.map(str::to_owned),
        name: Some("Ana Souza".into()),
        phone: Some("5511987654321".into()),
        wa_id: Some("5511987654321".into()),
        user_id: None,
        username: None,
        last_inbound_at: Some(START),
        fields: Default::default(),
    }
}

pub fn message(n: u128) -> MessageWrite {
    MessageWrite {
        message: MessageId(Uuid::from_u128(n)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: "501".into(),
        inbound: true,
        kind: "text".into(),
        text: Some("my secret words".into()),
        at: START,
        stamps: Stamps::default(),
        error: None,
        withdrawn: false,
        edited: false,
    }
}
