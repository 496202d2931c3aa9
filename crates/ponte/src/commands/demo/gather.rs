//! Brings everything to rest and reads the books: the simulators' ledgers, Ponte's store, the CRM's records.
//! Failure story: what doesn't come to rest in time stays where it is, in the database; it is counted as on its way.

use super::stage::{CRM, Stage, calm};
use super::team::Ledger;
use crate::wiring::WORKSPACE;
use ponte_domain::error::StoreError;
use ponte_domain::job::{DeadLetter, JobKind};
use ponte_domain::message::Phase;
use ponte_domain::ports::store::Page;
use ponte_domain::status::{Stamps, Status};
use ponte_simulator::whatsapp;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long everything may take to come to rest: longer than the second level of retries.
const REST: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(150);
const PAGE: i64 = 500;

/// All that is compared.
#[derive(Debug, Default)]
pub struct Books {
    /// Wamids of customer messages whose webhook was answered 200.
    pub acknowledged: Vec<String>,
    /// Messages that the API said are queued.
    pub queued: HashSet<String>,
    /// Sends that WhatsApp accepted.
    pub sent: Vec<Sent>,
    /// Whether webhook bodies waited to be read after `acknowledged` was taken: then what is missing is on its way.
    pub journal_waits: bool,
    /// Messages in Ponte.
    pub stored: Vec<Stored>,
    /// Whether events waited to be told to the CRM after `stored` was taken.
    pub events_wait: bool,
    /// Message records in the CRM.
    pub records: Vec<Record>,
    /// Our ids of the CRM's contacts.
    pub contacts: Vec<String>,
    /// CRM jobs that wait.
    pub crm_jobs: u64,
    /// Messages whose CRM job was given up.
    pub dead_in_crm: HashSet<String>,
    /// Our ids in WhatsApp's ledger, taken last: every accepted send by its `biz_opaque_callback_data`.
    pub opaques: Vec<String>,
}

/// A send in WhatsApp's ledger.
#[derive(Debug, Clone)]
pub struct Sent {
    pub opaque: Option<String>,
    pub wamid: String,
    /// Statuses whose webhook was answered 200.
    pub acknowledged: Vec<Status>,
}

/// A message in Ponte.
#[derive(Debug, Clone)]
pub struct Stored {
    pub id: String,
    pub wamid: Option<String>,
    pub inbound: bool,
    pub phase: Phase,
    pub stamps: Stamps,
}

/// A message in the CRM.
#[derive(Debug, Clone)]
pub struct Record {
    pub message: String,
    pub text: String,
}

/// Waits until nothing moves any more: webhooks delivered, journal read, jobs done, the CRM told. Trouble ends first, then the
/// webhooks are held back, so that the books don't change while they are read. False when time ran out.
pub async fn rest(stage: &Stage) -> bool {
    let (graph, crm) = calm();
    stage.whatsapp.set_faults(graph.clone());
    stage.crm.set_faults(crm);
    let deadline = Instant::now() + REST;
    let idle = settle(stage, deadline, true).await;
    stage.whatsapp.set_faults(whatsapp::Faults { webhook_outage: true, ..graph });
    // What was already on the wire arrives; nothing new leaves.
    tokio::time::sleep(LOOK * 3).await;
    settle(stage, deadline.max(Instant::now() + Duration::from_secs(5)), false).await && idle
}

async fn settle(stage: &Stage, deadline: Instant, webhooks: bool) -> bool {
    let mut quiet = 0;
    while Instant::now() < deadline {
        let stats = stage.whatsapp.stats();
        let silent = !webhooks || (stats.webhook_backlog == 0 && stats.webhook_open_batches == 0);
        // Twice in a row: between two looks everything is somewhere.
        quiet = if silent && nothing_waits(stage).await.unwrap_or(false) { quiet + 1 } else { 0 };
        if quiet == 2 {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    false
}

async fn nothing_waits(stage: &Stage) -> Result<bool, StoreError> {
    let world = &stage.running.world;
    let overview = world.store.overview(WORKSPACE, world.clock.now()).await?;
    if overview.journal_pending > 0 || overview.jobs.iter().any(|(_, n)| *n > 0) {
        return Ok(false);
    }
    Ok(!events_wait(stage).await?)
}

/// Whether the CRM's reader has events before it.
async fn events_wait(stage: &Stage) -> Result<bool, StoreError> {
    let store = &stage.running.world.store;
    let newest = store.recent_events(WORKSPACE, None, Page { before: None, limit: 1 }).await?;
    let read = store.cursor(WORKSPACE, &format!("write-back/{CRM}")).await?.unwrap_or_default();
    Ok(newest.iter().any(|event| event.cursor > read))
}

/// Dead letters, newest first.
pub async fn dead_letters(stage: &Stage) -> Result<Vec<DeadLetter>, StoreError> {
    stage.running.world.store.dead_letters(WORKSPACE, 10_000).await
}

/// Reads all books in the order of the flow, and before each what still waits for it: so that a count in full flow (Ctrl-C
/// pressed twice) takes nothing for lost that is only on its way.
pub async fn books(stage: &Stage, ledger: &Ledger, dead: &[DeadLetter]) -> Result<Books, StoreError> {
    let inbound = stage.whatsapp.inbound_messages();
    let acknowledged = inbound
        .into_iter()
        // A marketing preference is not a message.
        .filter(|m| m.acknowledged_at_ms.is_some() && m.kind != "user_preferences")
        .map(|m| m.wamid);
    let acknowledged = acknowledged.collect();
    let sent = stage.whatsapp.sent_messages().into_iter().map(sent).collect();
    let world = &stage.running.world;
    let journal_waits = world.store.overview(WORKSPACE, world.clock.now()).await?.journal_pending > 0;
    let stored = stored(stage).await?;
    let events_wait = events_wait(stage).await?;
    let overview = world.store.overview(WORKSPACE, world.clock.now()).await?;
    let property = |record: &ponte_simulator::hubspot::Record, name: &str| record.properties.get(name).cloned();
    let records = stage.crm.communications().into_iter().filter_map(|r| {
        let text = property(&r, "hs_communication_body").unwrap_or_default();
        Some(Record { message: property(&r, "ponte_message_id")?, text })
    });
    Ok(Books {
        acknowledged,
        queued: ledger.queued.clone(),
        sent,
        journal_waits,
        stored,
        events_wait,
        records: records.collect(),
        contacts: stage.crm.contacts().iter().filter_map(|r| property(r, "ponte_id")).collect(),
        crm_jobs: overview.jobs.iter().filter(|(k, _)| k == "crm").map(|(_, n)| u64::try_from(*n).unwrap_or(0)).sum(),
        dead_in_crm: dead.iter().filter(|d| d.kind == JobKind::Crm).filter_map(subject).collect(),
        opaques: stage.whatsapp.sent_messages().into_iter().filter_map(|m| m.opaque).collect(),
    })
}

fn sent(message: whatsapp::SentMessage) -> Sent {
    let acknowledged = message.statuses.iter().filter(|s| s.acknowledged_at_ms.is_some());
    let acknowledged = acknowledged.filter_map(|s| Status::parse(s.status)).collect();
    Sent { opaque: message.opaque, wamid: message.wamid, acknowledged }
}

async fn stored(stage: &Stage) -> Result<Vec<Stored>, StoreError> {
    let mut stored = Vec::new();
    let mut before = None;
    loop {
        let page = stage.running.world.store.messages(WORKSPACE, None, PAGE, before).await?;
        let Some(last) = page.last() else { return Ok(stored) };
        before = Some(last.id);
        stored.extend(page.into_iter().map(|m| Stored {
            id: m.id.to_string(),
            wamid: m.wamid,
            inbound: m.origin.is_inbound(),
            phase: m.phase,
            stamps: m.stamps,
        }));
    }
}

/// The message that a dead letter is about.
fn subject(letter: &DeadLetter) -> Option<String> {
    let payload: Value = serde_json::from_str(&letter.payload).ok()?;
    Some(payload.get("message")?.as_str()?.to_owned())
}
