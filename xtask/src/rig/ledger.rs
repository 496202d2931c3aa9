//! What everybody says happened: the simulators' ledgers and the program's own messages, and where they disagree.

use super::http::Client;
use super::process::Simulators;
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// An accepted send in the Cloud API's ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sent {
    /// The program's id of the message.
    pub opaque: Option<String>,
    /// Meta's id.
    pub wamid: String,
    /// From which number.
    pub phone_number_id: String,
    /// When it was accepted.
    pub accepted_at_ms: i64,
    /// What became of it.
    pub statuses: Vec<StatusMark>,
}

/// A status in the Cloud API's ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusMark {
    /// `sent`, `delivered`, `read`, `failed`.
    pub status: String,
    /// When its webhook was answered 200.
    pub acknowledged_at_ms: Option<i64>,
}

/// A customer's message in the Cloud API's ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inbound {
    /// Meta's id.
    pub wamid: String,
    /// When it was written.
    pub at_ms: i64,
    /// When its webhook was answered 200.
    pub acknowledged_at_ms: Option<i64>,
}

/// A record of HubSpot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CrmRecord {
    /// Its id, growing.
    pub id: String,
    /// Its values.
    pub properties: BTreeMap<String, String>,
    /// When it was made.
    pub created_at_ms: i64,
}

/// A message as the program's API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// The program's id.
    pub id: String,
    /// Meta's id.
    pub wamid: Option<String>,
    /// `customer`, `api` …
    pub origin: String,
    /// One word.
    pub state: String,
    /// The program's own handling.
    pub phase: String,
    /// Reported rungs.
    pub stamps: BTreeMap<String, Option<i64>>,
}

/// Everything, read at the end of a run.
pub struct Books {
    /// Accepted sends.
    pub sent: Vec<Sent>,
    /// Customers' messages.
    pub inbound: Vec<Inbound>,
    /// Messages in HubSpot.
    pub communications: Vec<CrmRecord>,
    /// The program's messages.
    pub messages: Vec<Message>,
    /// Ids of messages in the program's dead letters.
    pub dead: HashSet<String>,
    /// Counters of the Cloud API.
    pub stats: Value,
    /// Records of HubSpot that share a `ponte_message_id`, and contacts that share a `ponte_id`.
    pub shared: (u64, u64),
}

impl Books {
    /// Reads them all.
    ///
    /// # Errors
    /// When somebody doesn't answer.
    pub async fn read(simulators: &Simulators, ponte: &mut Client) -> Result<Self> {
        let (mut graph, mut crm) = (Client::new(simulators.whatsapp), Client::new(simulators.hubspot));
        let stats = graph.get("/_sim/stats").await?;
        let sent = pages(&mut graph, "/_sim/messages", "data").await?;
        let inbound = pages(&mut graph, "/_sim/inbound", "data").await?;
        let communications = pages(&mut crm, "/_sim/records/communications", "results").await?;
        let sharing = |v: Value| v.get("sharing").and_then(Value::as_u64).unwrap_or(0);
        let messages_shared = sharing(crm.get("/_sim/duplicates/communications/ponte_message_id").await?);
        let contacts_shared = sharing(crm.get("/_sim/duplicates/contacts/ponte_id").await?);
        let messages = own_messages(ponte).await?;
        let letters = ponte.get("/api/v1/dead-letters?limit=500").await?;
        let letters = letters.as_array().cloned().unwrap_or_default();
        if letters.len() >= 500 {
            bail!("500 dead letters or more: something is wrong with the run itself");
        }
        let of_sends = letters.iter().filter(|l| l.get("kind").and_then(Value::as_str) == Some("send")).count();
        let dead: HashSet<String> = messages.iter().filter(|m| m.phase == "dead").map(|m| m.id.clone()).collect();
        // A letter doesn't name its message; when there are fewer letters than dead messages, none counts as kept.
        let dead = if dead.len() <= of_sends { dead } else { HashSet::new() };
        Ok(Self { sent, inbound, communications, messages, dead, stats, shared: (messages_shared, contacts_shared) })
    }

    /// Compares. `acknowledged`: wamids of webhooks posted by the rig itself and answered 200. `accepted`: ids of messages
    /// that the program's API let in.
    #[must_use]
    pub fn compare(&self, acknowledged: &[String], accepted: &[String]) -> Findings {
        let mut found = Findings::default();
        let mut by_wamid: HashMap<&str, &Message> = HashMap::new();
        for message in &self.messages {
            if let Some(wamid) = &message.wamid
                && by_wamid.insert(wamid, message).is_some()
            {
                found.messages_doubled.push(message.id.clone());
            }
        }
        let mut in_crm: HashMap<&str, &CrmRecord> = HashMap::new();
        for record in &self.communications {
            if let Some(id) = record.properties.get("ponte_message_id") {
                in_crm.insert(id, record);
            }
        }
        let told = self.inbound.iter().filter(|m| m.acknowledged_at_ms.is_some()).map(|m| m.wamid.as_str());
        for wamid in told.chain(acknowledged.iter().map(String::as_str)) {
            match by_wamid.get(wamid) {
                None => found.inbound_missing.push(wamid.to_owned()),
                Some(message) if !in_crm.contains_key(message.id.as_str()) => {
                    found.inbound_missing_in_crm.push(message.id.clone());
                }
                Some(_) => {}
            }
        }
        found.never_acknowledged = self.inbound.iter().filter(|m| m.acknowledged_at_ms.is_none()).count() as u64;
        self.compare_sends(accepted, &in_crm, &mut found);
        let duplicates = self.stats.get("duplicates_by_opaque").and_then(Value::as_u64).unwrap_or(0);
        (found.sends_doubled, found.crm_messages_doubled, found.crm_contacts_doubled) =
            (duplicates, self.shared.0, self.shared.1);
        found
    }

    fn compare_sends(&self, accepted: &[String], in_crm: &HashMap<&str, &CrmRecord>, found: &mut Findings) {
        let mut arrived: HashMap<&str, Vec<&Sent>> = HashMap::new();
        for sent in &self.sent {
            if let Some(opaque) = &sent.opaque {
                arrived.entry(opaque).or_default().push(sent);
            }
        }
        found.doubled_ids = arrived.iter().filter(|(_, s)| s.len() > 1).map(|(id, _)| (*id).to_owned()).collect();
        let own: HashMap<&str, &Message> = self.messages.iter().map(|m| (m.id.as_str(), m)).collect();
        for id in accepted {
            let Some(message) = own.get(id.as_str()) else {
                found.sends_missing.push(id.clone());
                continue;
            };
            let handled = message.phase == "refused" || self.dead.contains(id) || arrived.contains_key(id.as_str());
            if !handled {
                found.sends_missing.push(id.clone());
            } else if !in_crm.contains_key(id.as_str()) && arrived.contains_key(id.as_str()) {
                found.sends_missing_in_crm.push(id.clone());
            }
            let dead = self.dead.contains(id) && arrived.contains_key(id.as_str());
            found.dead_but_sent += u64::from(dead);
        }
        found.in_dead_letters = self.dead.len() as u64;
        for (id, sends) in &arrived {
            let Some(message) = own.get(id) else { continue };
            for mark in sends.iter().flat_map(|s| &s.statuses).filter(|m| m.acknowledged_at_ms.is_some()) {
                if message.stamps.get(&mark.status).copied().flatten().is_none() {
                    found.statuses_missing.push(format!("{id} {}", mark.status));
                }
            }
            let shown = in_crm.get(id).and_then(|r| r.properties.get("ponte_status"));
            if shown.is_some_and(|shown| *shown != message.state) {
                found.statuses_missing_in_crm.push(format!(
                    "{id} {} shown as {}",
                    message.state,
                    shown.map_or("", String::as_str)
                ));
            }
        }
    }
}

/// Where the books disagree.
#[derive(Debug, Default)]
pub struct Findings {
    /// Answered 200, but not among the messages.
    pub inbound_missing: Vec<String>,
    /// Among the messages, but not in HubSpot.
    pub inbound_missing_in_crm: Vec<String>,
    /// Let in by the API, but neither sent, refused nor a dead letter.
    pub sends_missing: Vec<String>,
    /// Sent, but not in HubSpot.
    pub sends_missing_in_crm: Vec<String>,
    /// Told, but not among the stamps of its message.
    pub statuses_missing: Vec<String>,
    /// Known, but not shown in HubSpot.
    pub statuses_missing_in_crm: Vec<String>,
    /// Two messages of ours with one wamid.
    pub messages_doubled: Vec<String>,
    /// Accepted twice by the Cloud API, by the program's id.
    pub doubled_ids: Vec<String>,
    /// How many accepted sends were repetitions.
    pub sends_doubled: u64,
    /// HubSpot records that share a message id.
    pub crm_messages_doubled: u64,
    /// HubSpot contacts that share a person id.
    pub crm_contacts_doubled: u64,
    /// Customers' messages whose webhook was not answered when the run ended.
    pub never_acknowledged: u64,
    /// Messages a person is asked about.
    pub in_dead_letters: u64,
    /// Of these, those that had reached WhatsApp.
    pub dead_but_sent: u64,
}

impl Findings {
    /// What is gone.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lists = [
            &self.inbound_missing,
            &self.inbound_missing_in_crm,
            &self.sends_missing,
            &self.sends_missing_in_crm,
            &self.statuses_missing,
            &self.statuses_missing_in_crm,
        ];
        lists.iter().map(|list| list.len() as u64).sum::<u64>() + self.never_acknowledged
    }

    /// What is there more than once.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.sends_doubled + self.crm_messages_doubled + self.crm_contacts_doubled + self.messages_doubled.len() as u64
    }

    /// The counts, each by its name; zeros left out.
    #[must_use]
    pub fn counts(&self) -> Value {
        let all = [
            ("inbound_missing", self.inbound_missing.len() as u64),
            ("inbound_missing_in_crm", self.inbound_missing_in_crm.len() as u64),
            ("inbound_never_acknowledged", self.never_acknowledged),
            ("sends_missing", self.sends_missing.len() as u64),
            ("sends_missing_in_crm", self.sends_missing_in_crm.len() as u64),
            ("statuses_missing", self.statuses_missing.len() as u64),
            ("statuses_missing_in_crm", self.statuses_missing_in_crm.len() as u64),
            ("messages_doubled", self.messages_doubled.len() as u64),
            ("sends_doubled", self.sends_doubled),
            ("crm_messages_doubled", self.crm_messages_doubled),
            ("crm_contacts_doubled", self.crm_contacts_doubled),
        ];
        all.into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| (name.to_owned(), json!(n)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The ids, for whoever looks for the cause.
    #[must_use]
    pub fn evidence(&self) -> Value {
        json!({ "inbound_missing": self.inbound_missing, "inbound_missing_in_crm": self.inbound_missing_in_crm,
            "sends_missing": self.sends_missing, "sends_missing_in_crm": self.sends_missing_in_crm,
            "statuses_missing": self.statuses_missing, "statuses_missing_in_crm": self.statuses_missing_in_crm,
            "messages_doubled": self.messages_doubled, "sends_doubled": self.doubled_ids })
    }
}

/// All pages of a simulator's list.
async fn pages<T: DeserializeOwned>(client: &mut Client, path: &str, field: &str) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let mut page = client.get(&format!("{path}?after={after}&limit=5000")).await?;
        let rows: Vec<T> = serde_json::from_value(page.get_mut(field).map(Value::take).unwrap_or_default())
            .with_context(|| path.to_owned())?;
        let done = rows.is_empty();
        all.extend(rows);
        after = match page.get("next") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(n)) if !done => n.to_string(),
            _ => return Ok(all),
        };
    }
}

/// All messages of the program.
async fn own_messages(client: &mut Client) -> Result<Vec<Message>> {
    let mut all: Vec<Message> = Vec::new();
    loop {
        let before = all.last().map(|m| format!("&before={}", m.id)).unwrap_or_default();
        let page = client.get(&format!("/api/v1/messages?limit=500{before}")).await?;
        let rows: Vec<Message> = serde_json::from_value(page).context("/api/v1/messages")?;
        if rows.is_empty() {
            return Ok(all);
        }
        all.extend(rows);
    }
}

/// How much the program has still to do: journal segments and jobs.
///
/// # Errors
/// When it doesn't answer.
pub async fn waiting(ponte: &mut Client) -> Result<(i64, i64)> {
    let overview = ponte.get("/api/v1/status").await?;
    let journal = overview.get("journal_pending").and_then(Value::as_i64).unwrap_or(0);
    let jobs = overview.get("jobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let jobs = jobs.iter().filter_map(|row| row.get(1).and_then(Value::as_i64)).sum();
    Ok((journal, jobs))
}

/// How many messages the program has stored in a direction (`in`, `out`).
///
/// # Errors
/// When it doesn't answer.
pub async fn stored(ponte: &mut Client, direction: &str) -> Result<u64> {
    let overview = ponte.get("/api/v1/status").await?;
    let rows = overview.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |row: &Value| {
        (row.get(0).and_then(Value::as_str) == Some(direction)).then(|| row.get(2).and_then(Value::as_u64))?
    };
    Ok(rows.iter().filter_map(of).sum())
}
