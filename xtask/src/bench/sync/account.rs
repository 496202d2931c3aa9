//! A simulated account of a CRM, as this benchmark needs it: start it, fill it, read it bare, edit it as its people do, make it
//! fail. What differs between CRMs is here and nowhere else. Values go by our names of fields.
//! Must not touch: the product's crates.

use crate::rig::http::{Client, Connection, request};
use crate::rig::process::{Simulators, simulator_settings};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

/// Records filled in at once.
const AT_ONCE: usize = 1_000;
const TOKEN: &str = "sim-static-token";
const SECRET: &str = "the-secret-of-the-bench";

/// Our names of the fields that both sides hold as text, and HubSpot's.
const HUBSPOT: [(&str, &str); 10] = [
    ("email", "email"),
    ("company", "company"),
    ("job_title", "jobtitle"),
    ("street", "address"),
    ("city", "city"),
    ("region", "state"),
    ("postal_code", "zip"),
    ("country", "country"),
    ("website", "website"),
    ("language", "ponte_language"),
];

/// Which CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Crm {
    /// HubSpot.
    Hubspot,
}

/// A record by our names of fields, values as they compare: `phone` as digits, `tags` sorted, nothing empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(pub BTreeMap<String, String>);

impl Values {
    /// One value; empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// What an account allows and how it behaves.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Calls in ten seconds.
    pub calls_per_10s: u32,
    /// Where it tells of changes.
    pub tells: Option<String>,
    /// Access tokens live so many seconds; `None`: a fixed token.
    pub token_s: Option<u32>,
}

/// An account, in a process of its own beside a simulated WhatsApp.
pub struct Account {
    pub simulators: Simulators,
    terms: Terms,
    client: Client,
    address: SocketAddr,
}

/// The `n`-th person's number, digits only.
#[must_use]
pub fn phone(n: usize) -> String {
    format!("886912{n:06}")
}

impl Account {
    /// Starts one. `webhook`: where the simulated WhatsApp tells.
    pub fn start(_crm: Crm, folder: &Path, name: &str, webhook: &str, terms: Terms) -> Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let mut more = format!(
            "[whatsapp.delivery]\nretry_first_ms = 100\nretry_max_ms = 1000\n[hubspot.limits]\nburst = {}\ndaily = 100000000\n",
            terms.calls_per_10s
        );
        if let Some(seconds) = terms.token_s {
            more.push_str(&format!("[hubspot.oauth]\nexpires_in = {seconds}\n"));
        }
        if let Some(url) = &terms.tells {
            let to = format!("target_url = \"{url}/webhooks/crm/crm\"\nclient_secret = \"{SECRET}\"\nflush_ms = 50\n");
            more.push_str(&format!("[hubspot.webhooks]\n{to}"));
        }
        let settings = simulator_settings(1, [80, 80], true, &more);
        let simulators = Simulators::start(&folder, &settings, Some(webhook))?;
        let address = simulators.hubspot;
        Ok(Self { simulators, terms, client: Client::new(address), address })
    }

    /// The program's connection to it, named `crm`.
    #[must_use]
    pub fn connection(&self, every_minutes: u32) -> (SocketAddr, String) {
        let Terms { calls_per_10s, tells, token_s } = &self.terms;
        let sign_in = match token_s {
            None => format!("token = \"{TOKEN}\""),
            Some(_) => "oauth = { client_id = \"sim-client\", client_secret = \"sim-client-secret\", refresh_token = \
                        \"sim-refresh-token\" }"
                .to_owned(),
        };
        let mut text = format!(
            "[[crm.connections]]\nname = \"crm\"\nkind = \"hubspot\"\n{sign_in}\nbase_url = \"http://{}\"\ncalls_per_10s = \
             {calls_per_10s}\nwebhook_secret = \"{SECRET}\"\n[crm.connections.sync]\ncountry = \"TW\"\nevery_minutes = \
             {every_minutes}\n",
            self.address
        );
        if let Some(url) = tells {
            text.push_str(&format!("notify_url = \"{url}\"\n"));
        }
        (self.address, text)
    }

    /// Makes these people, straight into its books. Their record ids.
    pub async fn fill(&mut self, people: Range<usize>) -> Result<Vec<String>> {
        let all: Vec<usize> = people.collect();
        let mut ids = Vec::with_capacity(all.len());
        for some in all.chunks(AT_ONCE) {
            let records: Vec<Value> = some
                .iter()
                .map(|n| {
                    json!({ "firstname": format!("Ana{n}"), "lastname": "Lima", "phone": format!("+{}", phone(*n)),
                        "email": format!("ana{n}@example.com"), "company": format!("Acme {}", n % 500), "jobtitle": "Buyer",
                        "address": format!("{n} Main Street"), "city": format!("City {}", n % 300), "zip": format!("{n:05}") })
                })
                .collect();
            let body = json!({ "records": records });
            let made = self.client.must("POST", "/_sim/records/contacts", Some(&body)).await?;
            let made = made.get("ids").and_then(Value::as_array).context("ids of the records")?;
            ids.extend(made.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        Ok(ids)
    }

    /// Changes values of a record, as its people do.
    pub async fn edit(&mut self, id: &str, values: &[(&str, &str)]) -> Result<()> {
        let mut properties = Map::new();
        for (name, value) in values {
            let theirs = HUBSPOT.iter().find(|(ours, _)| ours == name).map_or(*name, |(_, theirs)| theirs);
            properties.insert(theirs.to_owned(), json!(value));
        }
        let body = json!({ "properties": properties });
        self.client.must("PATCH", &format!("/_sim/records/contacts/{id}"), Some(&body)).await?;
        Ok(())
    }

    /// Every live record.
    pub async fn records(&mut self) -> Result<Vec<(String, Values)>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.client.get(&format!("/_sim/records/contacts?limit=1000&after={after}")).await?;
            let records = page.get("results").and_then(Value::as_array).context("records")?;
            all.extend(records.iter().map(|record| {
                let id = record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                (id, values(record.get("properties").unwrap_or(&Value::Null)))
            }));
            match page.get("next").and_then(Value::as_str) {
                Some(next) => next.clone_into(&mut after),
                None => return Ok(all),
            }
        }
    }

    /// Calls that it answered so far, and how many of them because of a limit.
    pub async fn calls(&mut self) -> Result<(u64, u64)> {
        let stats = self.client.get("/_sim/stats").await?;
        let answers =
            stats.get("answers").and_then(Value::as_object).map(|a| a.values().filter_map(Value::as_u64).sum());
        Ok((answers.unwrap_or(0), stats.get("rate_limited").and_then(Value::as_u64).unwrap_or(0)))
    }

    /// What the account's own pages cost: everything read by a client that drops what it reads. Records a second.
    pub async fn read_bare(&self, contacts: usize) -> Result<f64> {
        let names: Vec<&str> = HUBSPOT.iter().map(|(_, theirs)| *theirs).collect();
        let path = format!(
            "/crm/objects/2026-09/contacts?limit=100&archived=false&properties=firstname,lastname,phone,{}",
            names.join(",")
        );
        let bearer = format!("Bearer {TOKEN}");
        let mut connection = Connection::open(self.address).await?;
        let (begun, mut after) = (Instant::now(), String::new());
        for _ in 0..=contacts / 100 {
            let status = connection
                .exchange(&request("GET", &format!("{path}{after}"), &[("authorization", &bearer)], b""))
                .await?;
            if status != 200 {
                bail!("the account answered {status}");
            }
            // Only the address of the next page is looked for, at the end of the answer.
            let body = connection.body();
            let tail = String::from_utf8_lossy(body.get(body.len().saturating_sub(300)..).unwrap_or_default());
            let Some((_, next)) = tail.rsplit_once("\"after\":\"") else { break };
            after = format!("&after={}", next.split('"').next().unwrap_or_default());
        }
        Ok(contacts as f64 / begun.elapsed().as_secs_f64())
    }

    /// A tenth of its calls goes wrong, in every way.
    pub async fn storm(&mut self) -> Result<()> {
        let faults = json!({ "server_error": 0.02, "server_error_after_apply": 0.02, "too_many_requests": 0.02, "locked": 0.01,
            "migrating": 0.005, "migrating_retry_after_s": 2, "timeout_after_apply": 0.01, "reset_after_apply": 0.01,
            "hang_ms": 3000, "row_failure": 0.01, "row_rejection": 0.002 });
        self.weather(&faults).await
    }

    /// Nothing works: `unavailable` (503) or `drop` (no answer).
    pub async fn outage(&mut self, kind: &str) -> Result<()> {
        self.weather(&json!({ "outage": kind })).await
    }

    /// All access tokens end now.
    pub async fn expire(&mut self) -> Result<()> {
        self.client.must("POST", "/_sim/expire_tokens", None).await.map(|_| ())
    }

    /// All works.
    pub async fn calm(&mut self) -> Result<()> {
        self.weather(&json!({})).await
    }

    async fn weather(&mut self, faults: &Value) -> Result<()> {
        self.client.must("PUT", "/_sim/faults", Some(faults)).await.map(|_| ())
    }
}

fn values(properties: &Value) -> Values {
    let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let mut all: BTreeMap<String, String> =
        HUBSPOT.iter().map(|(ours, theirs)| ((*ours).to_owned(), text(theirs))).collect();
    all.insert("name".into(), format!("{} {}", text("firstname"), text("lastname")).trim().to_owned());
    all.insert("phone".into(), text("phone").chars().filter(char::is_ascii_digit).collect());
    all.insert("whatsapp_name".into(), text("ponte_whatsapp_name"));
    all.insert("id".into(), text("ponte_id"));
    let mut tags: Vec<String> = text("ponte_tags").split(';').map(|tag| tag.trim().to_owned()).collect();
    tags.sort();
    all.insert("tags".into(), tags.join(";"));
    all.retain(|_, value| !value.is_empty());
    Values(all)
}
