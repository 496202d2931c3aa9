//! A server that answers as a test says, and remembers what it was asked.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ponte_net::{Clock, Egress, EgressConfig};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub body: Value,
    pub text: String,
    before: Vec<String>,
}

impl Ask {
    /// How often this path was asked before.
    pub fn earlier(&self, path: &str) -> usize {
        self.before.iter().filter(|p| *p == path).count()
    }
}

/// What to answer.
pub enum Answer {
    Now(u16, Value),
    Silence(Duration),
    Late(Duration, Value),
}

pub fn ok(body: Value) -> Answer {
    Answer::Now(200, body)
}

pub fn status(status: u16, body: Value) -> Answer {
    Answer::Now(status, body)
}

pub struct Mock {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Ask>>>,
    now: Arc<AtomicI64>,
}

pub fn door() -> Egress {
    Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() }).unwrap()
}

impl Mock {
    pub async fn start(script: impl Fn(&Ask) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Ask>>> = Arc::default();
        let (script, seen) = (Arc::new(script), asked.clone());
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let (script, seen) = (script.clone(), seen.clone());
            async move {
                let ask = {
                    let mut seen = seen.lock().unwrap();
                    let ask = Ask {
                        method: method.to_string(),
                        path: uri.path().to_owned(),
                        authorization: headers
                            .get("authorization")
                            .map(|v| v.to_str().unwrap().to_owned())
                            .unwrap_or_default(),
                        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                        text: String::from_utf8_lossy(&body).into_owned(),
                        before: seen.iter().map(|a| a.path.clone()).collect(),
                    };
                    seen.push(ask.clone());
                    ask
                };
                answer(script(&ask)).await
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, asked, now: Arc::new(AtomicI64::new(1_795_401_000_000)) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn clock(&self) -> Clock {
        let now = self.now.clone();
        Arc::new(move || now.load(Ordering::SeqCst))
    }

    pub fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub fn bodies(&self, method: &str, path: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|a| a.method == method && a.path == path).map(|a| a.body.clone()).collect()
    }

    pub fn texts(&self, path: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|a| a.path == path).map(|a| a.text.clone()).collect()
    }

    pub fn header(&self, name: &str) -> String {
        assert_eq!(name, "authorization");
        self.asked.lock().unwrap().last().unwrap().authorization.clone()
    }
}

async fn answer(answer: Answer) -> Response {
    match answer {
        Answer::Now(status, body) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("content-type", "application/json")], body.to_string()).into_response()
        }
        Answer::Late(how_long, body) => {
            tokio::time::sleep(how_long).await;
            ([("content-type", "application/json")], body.to_string()).into_response()
        }
        Answer::Silence(how_long) => {
            tokio::time::sleep(how_long).await;
            StatusCode::OK.into_response()
        }
    }
}
