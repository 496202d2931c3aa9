//! A simulated organisation and a connector to it, on one clock that can be moved.

use ponte_crm::Zoho;
use ponte_crm::zoho::{DataCentre, MemoryKeeper, TokenKeeper, ZohoConfig};
use ponte_domain::crm::{ContactWrite, CrmChange, CrmRecord, MessageWrite, RowResult};
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::ports::crm::Crm;
use ponte_domain::status::Stamps;
use ponte_net::{Clock, Egress, EgressConfig};
use ponte_simulator::zoho::{self, Config, Record};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;
use uuid::Uuid;

/// 2026-11-23T02:30:00Z.
pub const START: i64 = 1_795_401_000_000;

pub struct Rig {
    pub zoho: zoho::Zoho,
    pub keeper: Arc<MemoryKeeper>,
    pub config: ZohoConfig,
    now: Arc<AtomicI64>,
    began: Instant,
    http: reqwest::Client,
}

impl Rig {
    pub async fn start(config: Config) -> Self {
        let zoho = zoho::Zoho::start(Config { start_at_ms: Some(START), ..config }).await.unwrap();
        let oauth = zoho::Oauth::default();
        let secret = |text: &str| text.to_owned().into();
        let mut config = ZohoConfig::new(
            DataCentre::Us,
            oauth.client_id,
            secret(&oauth.client_secret),
            secret(&oauth.refresh_tokens[0]),
        );
        config.accounts_url = zoho.base_url();
        config.api_url = "http://127.0.0.1:9".to_owned();
        config.request_timeout_ms = 2_000;
        config.concurrency = 20;
        let now = Arc::new(AtomicI64::new(START));
        Self { zoho, keeper: Arc::default(), config, now, began: Instant::now(), http: reqwest::Client::new() }
    }

    /// A connector as after a start of the program.
    pub fn crm(&self) -> Zoho {
        self.crm_with(self.config.clone())
    }

    pub fn crm_with(&self, config: ZohoConfig) -> Zoho {
        let egress = Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() }).unwrap();
        Zoho::new(config, egress, self.clock(), Arc::clone(&self.keeper) as Arc<dyn TokenKeeper>)
    }

    /// A connector to an organisation that is set up.
    pub async fn ready(&self) -> Zoho {
        let crm = self.crm();
        crm.prepare().await.unwrap();
        crm
    }

    pub fn clock(&self) -> Clock {
        let (now, began) = (Arc::clone(&self.now), self.began);
        Arc::new(move || now.load(Ordering::SeqCst) + i64::try_from(began.elapsed().as_millis()).unwrap())
    }

    /// Both clocks jump.
    pub fn advance(&self, ms: u32) {
        self.now.fetch_add(i64::from(ms), Ordering::SeqCst);
        self.zoho.advance(ms);
    }

    /// A person in the CRM does something.
    pub async fn person(&self, method: &str, path: &str, body: Value) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/_sim/{path}", self.zoho.base_url());
        let answer = self.http.request(method, url).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn person_makes(&self, records: Vec<Value>) -> Vec<String> {
        let made = self.person("POST", "records/Contacts", json!({"records": records})).await;
        made["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    pub async fn person_changes(&self, id: &str, fields: Value) {
        self.person("PATCH", &format!("records/Contacts/{id}"), json!({"fields": fields})).await;
    }

    pub fn contacts(&self) -> Vec<Record> {
        self.zoho.records("Contacts")
    }

    pub fn contact(&self, id: &str) -> Record {
        self.contacts().into_iter().find(|c| c.id == id).unwrap_or_else(|| panic!("no contact {id}"))
    }

    pub fn calls(&self) -> u64 {
        let crm = |name: &str| !name.contains("oauth/") && !name.contains("_sim/");
        self.zoho.stats().requests.iter().filter(|(name, _)| crm(name)).map(|(_, n)| n).sum()
    }

    /// No limit was met that could be known, and nothing was written that Zoho forgot.
    pub fn nothing_refused(&self) {
        let stats = self.zoho.stats();
        assert_eq!((stats.rate_limited, stats.ignored_fields, stats.token_refreshes_refused), (0, 0, 0), "{stats:?}");
    }
}

pub fn person(n: u128, phone: Option<&str>) -> ContactWrite {
    ContactWrite {
        person: PersonId(Uuid::from_u128(n)),
        crm_id: None,
        name: Some(format!("Ana Souza {n}")),
        phone: phone.map(str::to_owned),
        wa_id: phone.map(str::to_owned),
        user_id: None,
        username: None,
        last_inbound_at: Some(START),
        fields: Default::default(),
    }
}

pub fn with(mut row: ContactWrite, fields: &[(&str, Value)]) -> ContactWrite {
    row.fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    row
}

pub fn message(n: u128, contact: &str) -> MessageWrite {
    MessageWrite {
        message: MessageId(Uuid::from_u128(n)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: contact.to_owned(),
        inbound: false,
        kind: "text".into(),
        text: Some(format!("hello {n}")),
        at: START,
        stamps: Stamps::default(),
        error: None,
        withdrawn: false,
        edited: false,
    }
}

/// The record ids of rows that were all written.
pub fn ids(results: &[RowResult]) -> Vec<String> {
    let id = |result: &RowResult| match result {
        RowResult::Written { crm_id, .. } => crm_id.clone(),
        RowResult::Failed(error) => panic!("failed: {error:?}"),
    };
    results.iter().map(id).collect()
}

pub fn records(changes: &[CrmChange]) -> Vec<&CrmRecord> {
    changes.iter().filter_map(|c| if let CrmChange::Record(record) = c { Some(record) } else { None }).collect()
}

pub fn gone(changes: &[CrmChange]) -> Vec<String> {
    changes.iter().filter_map(|c| if let CrmChange::Gone { id } = c { Some(id.clone()) } else { None }).collect()
}

pub fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}
