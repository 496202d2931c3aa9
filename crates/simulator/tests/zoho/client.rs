//! A plain client for these tests. It knows HTTP and nothing of Zoho.

use http::{HeaderMap, Method};
use ponte_simulator::zoho::{Config, DEFAULT_TOKEN, Zoho};
use serde_json::{Value, json};
use std::time::Duration;

pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    pub token: String,
}

#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Got {
    /// Status and code, of the whole answer or of its first row.
    pub fn said(&self) -> (u16, &str) {
        let first = ["data", "tags", "fields", "modules", "watch"].iter().find_map(|key| self.body[*key].get(0));
        let code = first.unwrap_or(&self.body)["code"].as_str();
        (self.status, code.unwrap_or_default())
    }

    pub fn rows(&self) -> &[Value] {
        self.body["data"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The ids of the rows.
    pub fn ids(&self) -> Vec<String> {
        let id = |row: &Value| row["id"].as_str().or(row["details"]["id"].as_str()).unwrap_or_default().to_owned();
        self.rows().iter().map(id).collect()
    }
}

impl Client {
    pub fn of(zoho: &Zoho) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base: zoho.base_url(), token: DEFAULT_TOKEN.to_owned() }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> reqwest::Result<Got> {
        let path = if path.starts_with("/_sim") || path.starts_with("/@") {
            path.to_owned()
        } else {
            format!("/crm/v8{path}")
        };
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.header("authorization", format!("Zoho-oauthtoken {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.timeout(Duration::from_secs(20)).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = serde_json::from_slice(&answer.bytes().await?).unwrap_or(Value::Null);
        Ok(Got { status, headers, body })
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, &[], None).await.unwrap()
    }

    pub async fn get_since(&self, path: &str, since: &str) -> Got {
        self.send(Method::GET, path, &[("if-modified-since", since)], None).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Got {
        self.send(Method::POST, path, &[], Some(body)).await.unwrap()
    }

    pub async fn put(&self, path: &str, body: Value) -> Got {
        self.send(Method::PUT, path, &[], Some(body)).await.unwrap()
    }

    pub async fn patch(&self, path: &str, body: Value) -> Got {
        self.send(Method::PATCH, path, &[], Some(body)).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Got {
        self.send(Method::DELETE, path, &[], None).await.unwrap()
    }

    /// Makes one record and gives its id.
    pub async fn make(&self, module: &str, fields: Value) -> String {
        let got = self.post(&format!("/{module}"), json!({"data": [fields], "trigger": []})).await;
        assert_eq!(got.said(), (201, "SUCCESS"), "{}", got.body);
        got.ids().remove(0)
    }

    /// Makes the unique and external field `WA_Key`.
    pub async fn key_field(&self, module: &str) {
        let field = json!({"field_label": "WA Key", "data_type": "text", "length": 80, "unique": {"casesensitive": false},
                           "external": {"type": "org", "show": true}});
        let got = self.post(&format!("/settings/fields?module={module}"), json!({"fields": [field]})).await;
        assert_eq!(got.said(), (201, "SUCCESS"), "{}", got.body);
    }

    /// A person in the CRM makes records, all within one second.
    pub async fn person_makes(&self, module: &str, records: Vec<Value>) -> Vec<String> {
        let got = self.post(&format!("/_sim/records/{module}"), json!({"records": records})).await;
        assert_eq!(got.status, 201, "{}", got.body);
        got.body["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    pub async fn advance(&self, ms: u64) {
        assert_eq!(self.post("/_sim/clock", json!({"advance_ms": ms})).await.status, 200);
    }

    pub async fn token(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        self.token_at("", fields).await
    }

    pub async fn token_at(&self, data_centre: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}{data_centre}/oauth/v2/token", self.base);
        let app = [("client_id", "1000.SIMCLIENT"), ("client_secret", "sim-client-secret")];
        let form: Vec<_> = fields.iter().chain(&app).collect();
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub async fn refresh_status(&self) -> u16 {
        self.http.post(format!("{}/oauth/v2/token", self.base)).send().await.unwrap().status().as_u16()
    }

    pub async fn refresh(&self) -> (u16, Value) {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", "1000.sim-refresh-token")]).await
    }
}

pub async fn started(config: Config) -> (Zoho, Client) {
    let zoho = Zoho::start(config).await.unwrap();
    let client = Client::of(&zoho);
    (zoho, client)
}

/// An organisation without limits of calls.
pub fn roomy() -> Config {
    let mut config = Config::default();
    (config.limits.credits, config.limits.concurrency, config.limits.heavy_concurrency) = (u32::MAX / 2, 1_000, 1_000);
    config
}
