//! A simulated account of a CRM, as this benchmark needs it: start it, fill it, read it bare, edit it as its people do, make it
//! fail. What differs between CRMs is in [`Ways`] and nowhere else. Values go by our names of fields.
//! Must not touch: the product's crates.

mod hubspot;
mod salesforce;
mod zoho;

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
/// The secret that notices are signed with, or carry.
const SECRET: &str = "the-secret-of-the-bench";

/// Which CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Crm {
    /// HubSpot.
    Hubspot,
    /// Salesforce.
    Salesforce,
    /// Zoho CRM.
    Zoho,
}

impl Crm {
    const fn ways(self) -> &'static Ways {
        match self {
            Self::Hubspot => &hubspot::WAYS,
            Self::Salesforce => &salesforce::WAYS,
            Self::Zoho => &zoho::WAYS,
        }
    }

    /// True where the limit is one of calls in a short time, so that reading can be bound by it.
    #[must_use]
    pub const fn limits_speed(self) -> bool {
        matches!(self, Self::Hubspot)
    }

    /// Our names of the fields that both sides hold as text.
    pub fn fields(self) -> impl Iterator<Item = &'static str> {
        self.ways().fields.iter().map(|(ours, _)| *ours)
    }
}

/// What differs between CRMs.
struct Ways {
    /// What the records are called in addresses.
    object: &'static str,
    /// Our names of the fields that both sides hold as text, and theirs.
    fields: &'static [(&'static str, &'static str)],
    /// First name, last name, phone, WhatsApp name, our id, tags.
    names: [&'static str; 6],
    /// Under which key a record's values stand in the simulator's own answers and changes.
    values: [&'static str; 2],
    /// Under which key records are listed there.
    list: &'static str,
    /// Ends all access tokens.
    expire: &'static str,
    /// The simulator's sections, as TOML.
    settings: fn(&Terms) -> String,
    /// The program's connection, as TOML, without `[crm.connections.sync]`.
    connection: fn(SocketAddr, &Terms) -> String,
    /// A tenth of the calls goes wrong, in every way.
    storm: fn() -> Value,
    /// Asks for the page behind a record, and finds the next one's mark in the answer.
    page: fn(&str, &str) -> Vec<u8>,
    next: fn(&str) -> Option<String>,
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
    /// Access tokens live so many seconds, where that can be set; `None`: a fixed token or a long life.
    pub token_s: Option<u32>,
}

/// An account, in a process of its own beside a simulated WhatsApp.
pub struct Account {
    pub simulators: Simulators,
    ways: &'static Ways,
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
    pub fn start(crm: Crm, folder: &Path, name: &str, webhook: &str, terms: Terms) -> Result<Self> {
        let (folder, ways) = (folder.join(name), crm.ways());
        std::fs::create_dir_all(&folder)?;
        let more =
            format!("[whatsapp.delivery]\nretry_first_ms = 100\nretry_max_ms = 1000\n{}", (ways.settings)(&terms));
        let settings = simulator_settings(1, [80, 80], true, &more);
        let simulators = Simulators::start(&folder, &settings, Some(webhook))?;
        let address = match crm {
            Crm::Hubspot => simulators.hubspot,
            Crm::Salesforce => simulators.salesforce,
            Crm::Zoho => simulators.zoho,
        };
        Ok(Self { simulators, ways, terms, client: Client::new(address), address })
    }

    /// The program's connection to it, named `crm`.
    #[must_use]
    pub fn connection(&self, every_minutes: u32) -> (SocketAddr, String) {
        let mut text = format!(
            "[[crm.connections]]\nname = \"crm\"\n{}[crm.connections.sync]\ncountry = \"TW\"\nevery_minutes = \
             {every_minutes}\n",
            (self.ways.connection)(self.address, &self.terms)
        );
        if let Some(url) = &self.terms.tells {
            text.push_str(&format!("notify_url = \"{url}\"\n"));
        }
        (self.address, text)
    }

    /// Makes these people, straight into its books. Their record ids.
    pub async fn fill(&mut self, people: Range<usize>) -> Result<Vec<String>> {
        let all: Vec<usize> = people.collect();
        let mut ids = Vec::with_capacity(all.len());
        let [first, last, phone_field, ..] = self.ways.names;
        for some in all.chunks(AT_ONCE) {
            let record = |n: &usize| {
                let mut record = Map::new();
                let names =
                    [(first, format!("Ana{n}")), (last, "Lima".to_owned()), (phone_field, format!("+{}", phone(*n)))];
                record.extend(names.map(|(name, value)| (name.to_owned(), json!(value))));
                let facts = [
                    ("email", format!("ana{n}@example.com")),
                    ("company", format!("Acme {}", n % 500)),
                    ("job_title", "Buyer".to_owned()),
                    ("street", format!("{n} Main Street")),
                    ("city", format!("City {}", n % 300)),
                    ("postal_code", format!("{n:05}")),
                ];
                record.extend(
                    facts.into_iter().filter_map(|(ours, value)| Some((self.theirs(ours)?.to_owned(), json!(value)))),
                );
                Value::Object(record)
            };
            let body = json!({ "records": some.iter().map(record).collect::<Vec<_>>() });
            let made = self.client.must("POST", &format!("/_sim/records/{}", self.ways.object), Some(&body)).await?;
            let made = made.get("ids").and_then(Value::as_array).context("ids of the records")?;
            ids.extend(made.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        Ok(ids)
    }

    fn theirs(&self, ours: &str) -> Option<&'static str> {
        self.ways.fields.iter().find(|(name, _)| *name == ours).map(|(_, theirs)| *theirs)
    }

    /// Changes values of a record, as its people do.
    pub async fn edit(&mut self, id: &str, values: &[(&str, &str)]) -> Result<()> {
        let all = values.iter().filter_map(|(name, value)| Some((self.theirs(name)?.to_owned(), json!(value))));
        let body = json!({ self.ways.values[1]: Value::Object(all.collect()) });
        self.client.must("PATCH", &format!("/_sim/records/{}/{id}", self.ways.object), Some(&body)).await?;
        Ok(())
    }

    /// Every live record.
    pub async fn records(&mut self) -> Result<Vec<(String, Values)>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/_sim/records/{}?limit=1000&after={after}", self.ways.object);
            let page = self.client.get(&path).await?;
            let records = page.get(self.ways.list).and_then(Value::as_array).context("records")?;
            let live = records.iter().filter(|record| record.get("deleted") != Some(&json!(true)));
            all.extend(live.map(|record| {
                let id = record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                (id, self.values(record.get(self.ways.values[0]).unwrap_or(&Value::Null)))
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
        let mut names: Vec<&str> = self.ways.names.iter().take(3).copied().collect();
        names.extend(self.ways.fields.iter().map(|(_, theirs)| *theirs));
        let names = names.join(",");
        let mut connection = Connection::open(self.address).await?;
        let (begun, mut after, mut pages) = (Instant::now(), String::new(), 0);
        loop {
            let status = connection.exchange(&(self.ways.page)(&names, &after)).await?;
            // 204: a CRM's way to say that there is nothing.
            if status != 200 && status != 204 {
                bail!("the account answered {status}: {}", String::from_utf8_lossy(connection.body()));
            }
            pages += 1;
            let body = connection.body();
            match (self.ways.next)(&String::from_utf8_lossy(body)).filter(|next| *next != after) {
                Some(next) if pages <= contacts => after = next,
                _ => return Ok(contacts as f64 / begun.elapsed().as_secs_f64()),
            }
        }
    }

    /// A tenth of its calls goes wrong, in every way.
    pub async fn storm(&mut self) -> Result<()> {
        self.weather(&(self.ways.storm)()).await
    }

    /// Nothing works: `unavailable` (503) or `drop` (no answer).
    pub async fn outage(&mut self, kind: &str) -> Result<()> {
        self.weather(&json!({ "outage": kind })).await
    }

    /// All access tokens end now.
    pub async fn expire(&mut self) -> Result<()> {
        self.client.must("POST", self.ways.expire, None).await.map(|_| ())
    }

    /// All works.
    pub async fn calm(&mut self) -> Result<()> {
        self.weather(&json!({})).await
    }

    async fn weather(&mut self, faults: &Value) -> Result<()> {
        self.client.must("PUT", "/_sim/faults", Some(faults)).await.map(|_| ())
    }

    fn values(&self, record: &Value) -> Values {
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let [first, last, phone, whatsapp_name, id, tags] = self.ways.names;
        let mut all: BTreeMap<String, String> =
            self.ways.fields.iter().map(|(ours, theirs)| ((*ours).to_owned(), text(theirs))).collect();
        all.insert("name".into(), format!("{} {}", text(first), text(last)).trim().to_owned());
        all.insert("phone".into(), text(phone).chars().filter(char::is_ascii_digit).collect());
        all.insert("whatsapp_name".into(), text(whatsapp_name));
        all.insert("id".into(), text(id));
        // A text, or a list of things with names.
        let mut words: Vec<String> = match record.get(tags) {
            Some(Value::Array(list)) => {
                list.iter().filter_map(|tag| tag.get("name")?.as_str()).map(str::to_owned).collect()
            }
            _ => text(tags).split(';').map(|tag| tag.trim().to_owned()).collect(),
        };
        words.sort();
        all.insert("tags".into(), words.join(";"));
        all.retain(|_, value| !value.is_empty());
        Values(all)
    }
}

/// The last value of a key in an answer.
fn last_of<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = answer.rsplit_once(&format!("\"{key}\":\""))?;
    rest.split('"').next()
}

fn ask(method: &str, path: &str, bearer: &str, body: &[u8]) -> Vec<u8> {
    request(method, path, &[("authorization", bearer), ("content-type", "application/json")], body)
}
