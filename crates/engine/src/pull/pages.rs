//! Pages of changes and of everything: read ahead, applied in order, as many records in one transaction as are there.

use super::{Failed, Run, unite};
use crate::World;
use crate::connection::{Connection, Loaded};
use ponte_domain::Millis;
use ponte_domain::crm::{CrmChange, CrmRecord};
use ponte_domain::error::{CallError, StoreError};
use ponte_domain::ids::PersonId;
use ponte_domain::mapping::pull::{Context, Counts, Pulled, decide, lookups};
use ponte_domain::mapping::trigger::Trigger;
use ponte_domain::ports::store::Lease;
use ponte_domain::ports::sync::{PullFn, PullPage, RunKind, SyncPatch, SyncState};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Records of one transaction: others wait so long on SQLite.
const AT_ONCE: usize = 500;
/// Pages read ahead.
const AHEAD: usize = 8;
/// Linked records looked at in one page when it is asked what is gone.
const LINKED: i64 = 500;

/// A page that was read ahead.
struct Ahead {
    records: Vec<CrmRecord>,
    next: Option<String>,
    calls: i64,
    /// Our clock when it was asked for.
    read_at: Millis,
}

/// What a full run's page says when the run stands at its beginning.
const BEGINNING: &str = "";

pub(super) struct Applying<'a> {
    pub(super) world: &'a World,
    pub(super) connection: &'a Connection,
    pub(super) loaded: &'a Arc<Loaded>,
    pub(super) run: Option<Uuid>,
    pub(super) kind: Reading,
    /// Our clock when the records were asked for.
    pub(super) read_at: Millis,
}

/// Why records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// They changed just now.
    News,
    /// All of them are read.
    Everything,
    /// All of them are read, and what differs is counted.
    Comparison,
    /// Something is to be written to them.
    BeforeWriting,
}

impl Applying<'_> {
    /// Applies changes; people who are one are united.
    pub(super) async fn apply(
        &self,
        lease: Option<Lease>,
        changes: Vec<CrmChange>,
        patch: SyncPatch,
        calls: i64,
    ) -> Result<Counts, StoreError> {
        let Self { world, connection, .. } = self;
        let (page, decide) = self.page(changes, patch, calls);
        let (counts, same) = world.sync.pull(world.workspace, lease, page, decide).await?;
        unite(world, connection, same).await?;
        Ok(counts)
    }

    fn page(&self, changes: Vec<CrmChange>, patch: SyncPatch, calls: i64) -> (PullPage, PullFn) {
        let Self { world, connection, loaded, run, kind, read_at } = self;
        let times = (*read_at, world.clock.now());
        let sought = {
            let context = context(connection, loaded, *kind, times, world);
            lookups(&changes, &context)
        };
        let page = PullPage {
            connection: connection.id.clone(),
            run: *run,
            changes: Arc::new(changes),
            lookups: sought,
            consent: loaded.mapping.has_consent(),
            triggers: triggers(connection, *kind).iter().map(|t| t.name.clone()).collect(),
            counts_differences: *kind == Reading::Comparison,
            patch,
            calls,
            now: times.1,
        };
        let (world, connection, loaded, kind) = ((*world).clone(), (*connection).clone(), Arc::clone(loaded), *kind);
        let decide: PullFn = Arc::new(move |changes, view| {
            let pulled = decide(changes, view, &context(&connection, &loaded, kind, times, &world));
            connection.left_out(pulled.skips.iter().flat_map(|(.., skips)| skips));
            pulled
        });
        (page, decide)
    }
}

/// A record that is read because we are going to write isn't looked at by triggers: its change comes by itself.
fn triggers(connection: &Connection, kind: Reading) -> &[Trigger] {
    if kind == Reading::BeforeWriting { &[] } else { &connection.settings.triggers }
}

fn context<'a>(
    connection: &'a Connection,
    loaded: &'a Loaded,
    kind: Reading,
    (read_at, now): (Millis, Millis),
    world: &'a World,
) -> Context<'a> {
    Context {
        mapping: &loaded.mapping,
        names: &loaded.names,
        connection: connection.id.as_str(),
        country: connection.settings.country,
        create: connection.settings.create_people,
        triggers: triggers(connection, kind),
        first_reading: kind != Reading::News,
        read_at,
        now,
        ids: world.ids.as_ref(),
    }
}

/// What these records would do; nothing is changed.
///
/// # Errors
/// When the store can't say.
pub async fn look(
    world: &World,
    connection: &Connection,
    loaded: &Arc<Loaded>,
    records: Vec<CrmRecord>,
) -> Result<Pulled, StoreError> {
    let read_at = world.clock.now();
    let applying = Applying { world, connection, loaded, run: None, kind: Reading::Everything, read_at };
    let changes = records.into_iter().map(CrmChange::Record).collect();
    let (page, decide) = applying.page(changes, SyncPatch::default(), 0);
    world.sync.pull_look(world.workspace, page, decide).await
}

impl Run<'_> {
    fn applying(&self, read_at: Millis) -> Applying<'_> {
        Applying {
            read_at,
            world: self.world,
            connection: self.connection,
            loaded: &self.loaded,
            run: Some(self.id),
            kind: match self.kind {
                RunKind::Changes => Reading::News,
                RunKind::Full | RunKind::Push => Reading::Everything,
                RunKind::Reconcile => Reading::Comparison,
            },
        }
    }

    /// Changes since the cursor.
    pub(super) async fn changes(&self, mut cursor: String, mut lease: Lease) -> Result<(), Failed> {
        let crm = &self.connection.crm;
        loop {
            let (before, read_at) = (crm.budget().calls, self.world.clock.now());
            let page = self.patiently(|| crm.changes(&self.loaded.names, &cursor)).await?;
            lease = self.held(lease).await?;
            let calls = spent(before, crm.budget().calls);
            let mut chunks = page.changes;
            let rest = chunks.split_off(chunks.len().min(AT_ONCE));
            let more = page.more && page.next != cursor;
            cursor.clone_from(&page.next);
            // The cursor moves with the last part of the page.
            let mut parts: Vec<Vec<CrmChange>> = vec![chunks];
            parts.extend(rest.chunks(AT_ONCE).map(<[CrmChange]>::to_vec));
            let last = parts.len() - 1;
            for (n, part) in parts.into_iter().enumerate() {
                let patch = match n == last {
                    true => SyncPatch { cursor: Some(cursor.clone()), ..SyncPatch::default() },
                    false => SyncPatch::default(),
                };
                let calls = if n == 0 { calls } else { 0 };
                self.applying(read_at).apply(Some(lease.clone()), part, patch, calls).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Everything there is, and then what isn't there any more.
    pub(super) async fn everything(&self, state: &SyncState, mut lease: Lease) -> Result<(), Failed> {
        let (world, connection, crm) = (self.world, self.connection, &self.connection.crm);
        let resumed = state.page.clone().filter(|page| page != BEGINNING && self.kind == RunKind::Full);
        if resumed.is_none() {
            // Changes are read on from where the run begins, not where it ends.
            let cursor = self.patiently(|| crm.cursor_now()).await?;
            let page = Some(Some(BEGINNING.to_owned()));
            let patch = SyncPatch { cursor: Some(cursor), page, ..SyncPatch::default() };
            let now = world.clock.now();
            world.sync.sync_patch(world.workspace, Some(lease.clone()), &connection.id, patch, now).await?;
        }
        let whole = resumed.is_none();
        let mut seen: HashSet<String> = HashSet::new();
        let (send, mut receive) = mpsc::channel::<Result<Ahead, Failed>>(AHEAD);
        let reading = async {
            let mut after = resumed;
            loop {
                let (before, read_at) = (crm.budget().calls, world.clock.now());
                let page = self.patiently(|| crm.contacts_page(&self.loaded.names, after.as_deref())).await;
                let calls = spent(before, crm.budget().calls);
                let (told, next) = match page {
                    Ok(page) if page.next.is_some() && page.next == after => (Err(same_page()), None),
                    Ok(page) => {
                        let next = page.next.clone();
                        (Ok(Ahead { records: page.records, next, calls, read_at }), page.next)
                    }
                    Err(error) => (Err(error), None),
                };
                if send.send(told).await.is_err() || next.is_none() {
                    break;
                }
                after = next;
            }
            drop(send);
        };
        let applying = async {
            while let Some(first) = receive.recv().await {
                // Of several pages, the first was read first.
                let Ahead { mut records, mut next, mut calls, read_at } = first?;
                while records.len() < AT_ONCE
                    && let Ok(more) = receive.try_recv()
                {
                    let more = more?;
                    records.extend(more.records);
                    next = more.next;
                    calls += more.calls;
                }
                if whole {
                    seen.extend(records.iter().map(|r| r.id.clone()));
                }
                lease = self.held(lease.clone()).await?;
                let patch = SyncPatch { page: Some(Some(next.unwrap_or_default())), ..SyncPatch::default() };
                let changes = records.into_iter().map(CrmChange::Record).collect();
                self.applying(read_at).apply(Some(lease.clone()), changes, patch, calls).await?;
            }
            Ok::<(), Failed>(())
        };
        let ((), applied) = tokio::join!(reading, applying);
        applied?;
        if whole {
            self.gone(&seen).await?;
        }
        let lease = self.renewed().await?;
        let patch = SyncPatch { page: Some(None), ..SyncPatch::default() };
        world.sync.sync_patch(world.workspace, Some(lease), &connection.id, patch, world.clock.now()).await?;
        let names = connection.settings.triggers.iter().map(|t| t.name.clone()).collect();
        world.sync.triggers_read(world.workspace, &connection.id, names, world.clock.now()).await?;
        Ok(())
    }

    /// Follows what is linked but wasn't among everything: deleted, merged, or made meanwhile.
    async fn gone(&self, seen: &HashSet<String>) -> Result<(), Failed> {
        let (world, crm) = (self.world, &self.connection.crm);
        let mut after: Option<String> = None;
        loop {
            let page = world.sync.linked(world.workspace, &self.connection.id, after.as_deref(), LINKED).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.record.clone());
            let missing: Vec<String> =
                page.into_iter().map(|l| l.record).filter(|record| !seen.contains(record)).collect();
            if missing.is_empty() {
                continue;
            }
            let (before, read_at) = (crm.budget().calls, world.clock.now());
            let found = self.patiently(|| crm.read_contacts(&missing, &self.loaded.names)).await?;
            let changes = missing.iter().zip(found).flat_map(|(id, record)| became(id, record)).collect();
            let lease = self.renewed().await?;
            let calls = spent(before, crm.budget().calls);
            self.applying(read_at).apply(Some(lease), changes, SyncPatch::default(), calls).await?;
        }
    }

    /// The lease, renewed when it runs out soon.
    async fn held(&self, lease: Lease) -> Result<Lease, Failed> {
        if lease.until - self.world.clock.now() > super::LEASE_MS / 2 { Ok(lease) } else { self.renewed().await }
    }
}

/// What became of a record that was asked for by its id.
pub(super) fn became(id: &str, record: Option<CrmRecord>) -> Vec<CrmChange> {
    match record {
        None => vec![CrmChange::Gone { id: id.to_owned() }],
        Some(record) if record.id != id => {
            vec![CrmChange::Merged { from: id.to_owned(), into: record.id.clone() }, CrmChange::Record(record)]
        }
        Some(record) => vec![CrmChange::Record(record)],
    }
}

pub(super) fn spent(before: u64, after: u64) -> i64 {
    i64::try_from(after.saturating_sub(before)).unwrap_or(i64::MAX)
}

fn same_page() -> Failed {
    let title = "the CRM gives the same page again and again";
    Failed::Call(CallError::new(ponte_domain::error::ErrorClass::Permanent, "page_again", title))
}

/// Lets people and their records meet now, for write-back: reads the records and applies what they say. Records by id.
///
/// # Errors
/// Classified like any call; what the store can't do now may be tried again.
pub(crate) async fn meet_now(
    world: &World,
    connection: &Connection,
    loaded: &Arc<Loaded>,
    ids: &[(PersonId, String)],
) -> Result<(), CallError> {
    let records: Vec<String> = ids.iter().map(|(_, id)| id.clone()).collect();
    let read_at = world.clock.now();
    let found = connection.crm.read_contacts(&records, &loaded.names).await?;
    let linked = ids.iter().zip(found).flat_map(|((person, id), record)| {
        // Whose it is is known; the link may not be stored yet.
        let record = record.map(|r| CrmRecord { person: Some(*person), ..r });
        became(id, record)
    });
    let applying = Applying { world, connection, loaded, run: None, kind: Reading::BeforeWriting, read_at };
    applying.apply(None, linked.collect(), SyncPatch::default(), 0).await.map_err(CallError::from)?;
    Ok(())
}
