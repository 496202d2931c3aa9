//! A plain HTTP client for the tests of the simulated Salesforce.
#![allow(dead_code, reason = "each test binary uses its part")]

use http::{HeaderMap, Method};
use ponte_simulator::salesforce::{Config, DEFAULT_TOKEN, DuplicateRule, Salesforce};
use serde_json::{Value, json};

pub const BASE: &str = "/services/data/v66.0";

pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    pub token: String,
    pub headers: Vec<(&'static str, &'static str)>,
}

pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Got {
    /// The code of a refusal, or nothing.
    pub fn code(&self) -> &str {
        self.body[0]["errorCode"].as_str().unwrap_or_default()
    }

    /// The code of a refused row of a collection, or nothing.
    pub fn row_code(&self, row: usize) -> &str {
        self.body[row]["errors"][0]["statusCode"].as_str().unwrap_or_default()
    }
}

impl Client {
    pub fn of(salesforce: &Salesforce) -> Self {
        // The client wants some TLS provider, even for plain HTTP.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base: salesforce.base_url(), token: DEFAULT_TOKEN.to_owned(), headers: Vec::new() }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Got> {
        let under = if path.starts_with("/_sim") || path.starts_with("/services") || path.starts_with("/id") {
            ""
        } else {
            BASE
        };
        let mut request = self.http.request(method, format!("{}{under}{path}", self.base)).bearer_auth(&self.token);
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::got(request).await
    }

    pub async fn got(request: reqwest::RequestBuilder) -> reqwest::Result<Got> {
        let answer = request.timeout(std::time::Duration::from_secs(20)).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Got { status, headers, text, body })
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, None).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Got {
        self.send(Method::POST, path, Some(body)).await.unwrap()
    }

    pub async fn patch(&self, path: &str, body: Value) -> Got {
        self.send(Method::PATCH, path, Some(body)).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Got {
        self.send(Method::DELETE, path, None).await.unwrap()
    }

    pub async fn make(&self, object: &str, fields: Value) -> String {
        let got = self.post(&format!("/sobjects/{object}"), fields).await;
        assert_eq!(got.status, 201, "{}", got.text);
        got.body["id"].as_str().unwrap().to_owned()
    }

    pub async fn query(&self, soql: &str) -> Got {
        self.query_by("query", soql).await
    }

    pub async fn query_by(&self, verb: &str, soql: &str) -> Got {
        let url = format!("{}{BASE}/{verb}", self.base);
        let mut request = self.http.get(url).bearer_auth(&self.token).query(&[("q", soql)]);
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        Self::got(request).await.unwrap()
    }

    /// The values of one field of all records of a page.
    pub async fn column(&self, soql: &str, field: &str) -> Vec<String> {
        let got = self.query(soql).await;
        assert_eq!(got.status, 200, "{}", got.text);
        let text = |row: &Value| row[field].as_str().map_or_else(|| row[field].to_string(), str::to_owned);
        got.body["records"].as_array().unwrap().iter().map(text).collect()
    }

    pub async fn token_answer(&self, fields: &[(&str, &str)]) -> Got {
        let url = format!("{}/services/oauth2/token", self.base);
        Self::got(self.http.post(url).form(fields)).await.unwrap()
    }

    /// A unique external id on an object type, made and shown.
    pub async fn key(&self, object: &str) {
        let metadata =
            json!({"label": "WhatsApp key", "type": "Text", "length": 64, "externalId": true, "unique": true});
        self.field(object, "WA_Key__c", metadata).await;
    }

    pub async fn field(&self, object: &str, name: &str, metadata: Value) {
        let full = format!("{object}.{name}");
        let made = self.post("/tooling/sobjects/CustomField", json!({"FullName": full, "Metadata": metadata})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        self.grant(object, name, true).await;
    }

    pub async fn grant(&self, object: &str, name: &str, edit: bool) {
        let set = self.column("SELECT Id FROM PermissionSet", "Id").await[0].clone();
        let grant = json!({"ParentId": set, "SobjectType": object, "Field": format!("{object}.{name}"),
                           "PermissionsRead": true, "PermissionsEdit": edit});
        self.make("FieldPermissions", grant).await;
    }
}

pub async fn started(config: Config) -> (Salesforce, Client) {
    let salesforce = Salesforce::start(config).await.unwrap();
    let client = Client::of(&salesforce);
    (salesforce, client)
}

/// Without duplicate rules, which are not every test's matter.
pub fn plain() -> Config {
    Config { duplicate_rules: Vec::<DuplicateRule>::new(), ..Config::default() }
}

pub fn row(kind: &str, mut fields: Value) -> Value {
    fields["attributes"] = json!({"type": kind});
    fields
}
