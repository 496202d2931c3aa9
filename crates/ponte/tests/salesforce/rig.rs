//! A simulated org with our package deployed, a connector, and ways to look at both.

use ponte_crm::salesforce::{Salesforce as Connector, SalesforceAuth, SalesforceConfig};
use ponte_domain::crm::{ContactWrite, CrmChange, MessageWrite, RowResult};
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::ports::crm::Crm as _;
use ponte_domain::status::Stamps;
use ponte_net::{Clock, Egress, EgressConfig};
use ponte_simulator::salesforce::{Config, Record, Salesforce};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use uuid::Uuid;

pub struct Rig {
    pub org: Salesforce,
    pub crm: Connector,
    pub http: reqwest::Client,
    ahead: Arc<AtomicI64>,
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub fn app() -> SalesforceAuth {
    SalesforceAuth::ClientCredentials { client_id: "sim-client".into(), client_secret: "sim-client-secret".into() }
}

pub fn door() -> Egress {
    rustls::crypto::ring::default_provider().install_default().ok();
    Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() }).unwrap()
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(Config::default(), |_| {}).await
    }

    pub async fn with(config: Config, change: impl FnOnce(&mut SalesforceConfig)) -> Self {
        let rig = Self::bare(config, change).await;
        crate::package::deploy(&rig.org.base_url()).await;
        rig
    }

    /// An org without the package.
    pub async fn bare(config: Config, change: impl FnOnce(&mut SalesforceConfig)) -> Self {
        let org = Salesforce::start(config).await.unwrap();
        let egress = door();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let crm = connector(&org, egress, ahead.clone(), app(), change);
        Self { org, crm, http, ahead }
    }

    pub fn another(&self, auth: SalesforceAuth, change: impl FnOnce(&mut SalesforceConfig)) -> Connector {
        connector(&self.org, door(), self.ahead.clone(), auth, change)
    }

    /// Time passes, for the org and for us.
    pub fn advance(&self, ms: i64) {
        self.org.advance(Duration::from_millis(ms.unsigned_abs()));
        self.ahead.fetch_add(ms, Ordering::SeqCst);
    }

    /// A person in the org does something: `/_sim/records/…`.
    pub async fn person(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_sim/records/{path}", self.org.base_url());
        let answer = self.http.request(method, url).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn make(&self, object: &str, values: Value) -> String {
        let made = self.person(reqwest::Method::POST, object, json!({"records": [values]})).await;
        made["ids"][0].as_str().unwrap().to_owned()
    }

    pub async fn change(&self, object: &str, id: &str, values: Value) {
        self.person(reqwest::Method::PATCH, &format!("{object}/{id}"), json!({"values": values})).await;
    }

    pub fn record(&self, object: &str, id: &str) -> Record {
        self.org.records(object).into_iter().find(|r| r.id == id).unwrap_or_else(|| panic!("no {object} {id}"))
    }

    pub fn calls(&self) -> u64 {
        self.crm.budget().calls
    }

    /// All changes since a cursor, and where to go on.
    pub async fn changes(&self, fields: &[&str], cursor: &str) -> (Vec<CrmChange>, String) {
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        let (mut all, mut cursor) = (Vec::new(), cursor.to_owned());
        loop {
            let page = self.crm.changes(&fields, &cursor).await.unwrap();
            all.extend(page.changes);
            cursor = page.next;
            if !page.more {
                return (all, cursor);
            }
        }
    }
}

fn connector(
    org: &Salesforce,
    egress: Egress,
    ahead: Arc<AtomicI64>,
    auth: SalesforceAuth,
    change: impl FnOnce(&mut SalesforceConfig),
) -> Connector {
    let mut config = SalesforceConfig::new(org.base_url(), auth);
    config.calls_per_second = 500;
    config.budget_percent = 100;
    change(&mut config);
    let clock: Clock = Arc::new(move || now() + ahead.load(Ordering::SeqCst));
    Connector::new(config, egress, clock)
}

pub fn person(n: u128, phone: Option<&str>) -> ContactWrite {
    ContactWrite {
        person: PersonId(Uuid::from_u128(n)),
        crm_id: None,
        name: Some(format!("Ana Souza{n}")),
        phone: phone.map(str::to_owned),
        wa_id: phone.map(str::to_owned),
        user_id: None,
        username: None,
        last_inbound_at: Some(1_795_401_000_000),
        fields: Default::default(),
    }
}

pub fn linked(n: u128, id: &str) -> ContactWrite {
    ContactWrite { crm_id: Some(id.into()), ..person(n, Some("16505551234")) }
}

pub fn message(n: u128, contact: &str) -> MessageWrite {
    MessageWrite {
        message: MessageId(Uuid::from_u128(n)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: contact.into(),
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

/// Id and whether it is new.
pub fn written(result: &RowResult) -> (String, bool) {
    match result {
        RowResult::Written { crm_id, created } => (crm_id.clone(), *created),
        RowResult::Failed(error) => panic!("{error:?}"),
    }
}

pub fn failed(result: &RowResult) -> &ponte_domain::error::CallError {
    match result {
        RowResult::Failed(error) => error,
        RowResult::Written { .. } => panic!("written: {result:?}"),
    }
}
