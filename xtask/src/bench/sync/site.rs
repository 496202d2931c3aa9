//! The program beside an account: started, asked for a run, read.

use super::account::{Account, Values};
use crate::rig::Place;
use crate::rig::http::Client;
use crate::rig::ledger::waiting;
use crate::rig::process::{Ponte, Setup};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// People listed at once.
const AT_ONCE: usize = 10_000;
/// A run takes no longer.
const LIMIT: Duration = Duration::from_secs(900);

/// A node with a connection named `crm`.
pub struct Site {
    pub ponte: Ponte,
    client: Client,
}

impl Site {
    /// Starts it on a new database; reading begins by itself.
    pub async fn start(
        place: &mut Place,
        name: &str,
        listen: SocketAddr,
        account: &Account,
        every: u32,
    ) -> Result<Self> {
        let setup = Setup {
            database: place.database().await?,
            media: place.folder().join("media"),
            whatsapp: account.simulators.whatsapp,
            hubspot: None,
            connections: vec![account.connection(every)],
            per_second: [80, 80],
            more: String::new(),
        };
        let mut ponte = Ponte::spawn(place.folder(), name, listen, &setup)?;
        ponte.ready().await?;
        let client = ponte.client();
        Ok(Self { ponte, client })
    }

    /// The newest run, if there is one.
    pub async fn last_run(&mut self) -> Result<Option<Value>> {
        let standing = self.client.get("/api/v1/crm/crm").await?;
        Ok(standing.get("last_run").filter(|run| !run.is_null()).cloned())
    }

    /// Waits for the end of a run other than this one.
    pub async fn ended(&mut self, other_than: Option<&Value>) -> Result<Value> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if let Some(run) = self.last_run().await?
                && run.get("id") != other_than
                && run.get("finished_at").is_some_and(Value::is_number)
            {
                return Ok(run);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("no run of the connection ended in {} s", LIMIT.as_secs())
    }

    /// Asks for a run (`changes`, `full`, `reconcile`) and waits for its end. The run, and seconds from asking.
    pub async fn sync(&mut self, kind: &str) -> Result<(Value, f64)> {
        let before = self.last_run().await?.and_then(|run| run.get("id").cloned());
        let begun = Instant::now();
        self.client.must("POST", &format!("/api/v1/crm/crm/sync?kind={kind}"), None).await?;
        let run = self.ended(before.as_ref()).await?;
        if run.get("error").is_some_and(|error| !error.is_null()) {
            bail!("a run failed: {run}");
        }
        Ok((run, begun.elapsed().as_secs_f64()))
    }

    /// Waits until nothing is left to write, for two seconds on end. Seconds.
    pub async fn idle(&mut self, limit: Duration) -> Result<f64> {
        let (begun, mut calm) = (Instant::now(), 0);
        while calm < 8 {
            if begun.elapsed() > limit {
                bail!("{:?} still wait after {} s", waiting(&mut self.client).await?, limit.as_secs());
            }
            calm = if waiting(&mut self.client).await? == (0, 0) { calm + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(begun.elapsed().as_secs_f64() - 2.0)
    }

    /// Everybody, as `contacts list` tells.
    pub async fn people(&self) -> Result<Vec<Values>> {
        let mut all: Vec<Values> = Vec::new();
        let (limit, mut after) = (AT_ONCE.to_string(), None::<String>);
        loop {
            let mut arguments = vec!["contacts", "list", "--json", "--limit", &limit];
            arguments.extend(after.as_deref().into_iter().flat_map(|id| ["--after", id]));
            let output = self.ponte.command(&arguments).await?;
            if !output.status.success() {
                bail!("contacts list: {}", String::from_utf8_lossy(&output.stderr));
            }
            let text = String::from_utf8(output.stdout)?;
            let page = text.lines().map(|line| Ok(values(&serde_json::from_str(line)?)));
            let page: Vec<Values> = page.collect::<Result<_>>()?;
            let more = page.len() == AT_ONCE;
            after = page.last().map(|person| person.get("id").to_owned());
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }
}

/// A number of a run.
pub fn number(run: &Value, name: &str) -> Result<f64> {
    run.get(name).and_then(Value::as_f64).with_context(|| format!("{name} of a run"))
}

fn values(card: &Value) -> Values {
    let text = |path: &str| card.pointer(path).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (key, field) in card.pointer("/profile/fields").and_then(Value::as_object).into_iter().flatten() {
        all.insert(key.clone(), field.get("v").and_then(Value::as_str).unwrap_or_default().trim().to_owned());
    }
    all.insert("id".into(), text("/id"));
    all.insert("whatsapp_name".into(), text("/whatsapp_name"));
    let identities = card.get("identities").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // Who only wrote is known by a WhatsApp id, which is the number as far as this run goes.
    let of = |kind: &str| identities.iter().find(|i| i.get("kind").and_then(Value::as_str) == Some(kind));
    let phone = of("phone").or_else(|| of("wa_id"));
    let digits = phone.and_then(|p| p.get("value")).and_then(Value::as_str).unwrap_or_default();
    all.insert("phone".into(), digits.chars().filter(char::is_ascii_digit).collect());
    let tags = card.pointer("/profile/tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut tags: Vec<&str> = tags.iter().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    all.insert("tags".into(), tags.join(";"));
    all.retain(|_, value| !value.is_empty());
    Values(all)
}
