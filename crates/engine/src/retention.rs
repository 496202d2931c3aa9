//! # Retention
//! Purpose: removes what is older than its period, by kind; removes files that lost their last message; ends erasures that were
//! killed. In small steps, on one node at a time.
//! May touch: the retention port, the events' cursors, the audit log, files.
//! Must not touch: what a person may still need: that is for the periods, and for the port, to know.
//! Invariants: an event that somebody still has to read is kept. Between two steps there is a pause, so that nobody waits for
//! long. What was removed is counted, and told in the audit log once for each kind and run.
//! Failure story: every step is one transaction. Killed in between, the next run goes on; only the entry of the killed run in
//! the audit log is missing. A lost lease ends the run.

use crate::World;
use crate::people::{Erasure, erase, remove_unused};
use crate::writeback;
use ponte_domain::error::StoreError;
use ponte_domain::event::EventCursor;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::people::{NewAudit, People};
use ponte_domain::ports::retention::{Cut, Place, Retention};
use ponte_domain::ports::store::Store;
use ponte_domain::ports::world::{Blobs, Clock};
use ponte_domain::retention::{Kind, Periods};
use ponte_domain::{HOUR, MINUTE, Millis, SECOND};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Between runs: periods are days, so hours are exact enough, and the audit log stays readable.
const EVERY_MS: Millis = 6 * HOUR;
/// The first run comes soon after the start: a node that is started anew every day keeps the periods too.
const FIRST_MS: Millis = 5 * SECOND;
/// After a run that failed.
const AGAIN_MS: Millis = 5 * MINUTE;
const LEASE: &str = "retention";
const LEASE_MS: Millis = 30 * SECOND;
/// Between steps: whoever waits to write comes first.
const PAUSE_MS: Millis = 20;
/// An erasure that old isn't being made by somebody now.
const LEFT_MS: Millis = 10 * MINUTE;

/// Keeps the periods until stopped. `readers`: the readers of events that this installation has.
pub async fn run(world: World, readers: Vec<String>, stop: CancellationToken) {
    let mut at = world.clock.now() + FIRST_MS;
    while !stop.is_cancelled() {
        let wait = at - world.clock.now();
        tokio::select! {
            () = world.clock.sleep_ms(wait) => {}
            () = stop.cancelled() => return,
        }
        let keeping = Keeping {
            store: &*world.store,
            people: &*world.people,
            retention: &*world.retention,
            blobs: &*world.blobs,
            clock: &*world.clock,
            workspace: world.workspace,
            periods: &world.settings.retention,
            readers: &readers,
            by: "system",
            count: &|kind, removed| world.pulse.forgotten.add(kind, removed),
        };
        if let Err(error) = keeping.end_erasures(&world).await {
            tracing::warn!(error = %error, "an erasure that was left open can't be ended now");
        }
        match keeping.run(&stop).await {
            Ok(kept) => {
                for one in kept.iter().filter(|one| one.removed > 0) {
                    tracing::info!(kind = one.kind.as_str(), removed = one.removed, "what was too old was removed");
                }
                at = world.clock.now() + EVERY_MS;
            }
            Err(error) => {
                // Another node does it now, or the database is away.
                tracing::warn!(error = %error, "what is too old can't be removed now");
                at = world.clock.now() + AGAIN_MS;
            }
        }
    }
}

/// What keeping the periods needs.
pub struct Keeping<'a> {
    /// For the lease.
    pub store: &'a dyn Store,
    /// For the audit log and the files.
    pub people: &'a dyn People,
    /// What removes.
    pub retention: &'a dyn Retention,
    /// Files.
    pub blobs: &'a dyn Blobs,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Tenant.
    pub workspace: WorkspaceId,
    /// How long data is kept.
    pub periods: &'a Periods,
    /// The readers of events that this installation has.
    pub readers: &'a [String],
    /// Who asked, for the audit log.
    pub by: &'a str,
    /// Hears of every step: how much of which kind was removed.
    pub count: &'a (dyn Fn(Kind, u64) + Send + Sync),
}

/// How one kind is kept, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Which.
    #[serde(serialize_with = "kind_text")]
    pub kind: Kind,
    /// Days it is kept; `None`: for ever.
    pub days: Option<u32>,
    /// Since when there is something of it; `None`: there is nothing. Before the run.
    pub oldest: Option<Millis>,
    /// Things removed, or that would be.
    pub removed: u64,
}

fn kind_text<S: serde::Serializer>(kind: &Kind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.as_str())
}

impl Keeping<'_> {
    /// Removes what is too old until nothing is, or until stopped.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when another node does it; else when the store or the files can't.
    pub async fn run(&self, stop: &CancellationToken) -> Result<Vec<Kept>, StoreError> {
        let mut all = Vec::with_capacity(Kind::ALL.len());
        let mut lease_until = 0;
        for kind in Kind::ALL.iter().copied() {
            let mut kept = kept(self.retention, self.workspace, self.periods, kind).await?;
            if let Some(cut) = self.cut(kind).await? {
                let done = self.steps(&mut kept, cut, &mut lease_until, stop).await;
                // What was removed is told also when the next step failed.
                self.note(&kept, cut.before).await?;
                done?;
            }
            all.push(kept);
        }
        remove_unused(self.people, self.blobs, self.workspace).await?;
        Ok(all)
    }

    async fn steps(
        &self,
        kept: &mut Kept,
        mut cut: Cut,
        lease_until: &mut Millis,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        while !stop.is_cancelled() {
            *lease_until = self.hold(*lease_until).await?;
            let step = self.retention.trim(self.workspace, kept.kind, cut, self.clock.now()).await?;
            kept.removed += step.removed;
            (self.count)(kept.kind, step.removed);
            let Some(next) = step.next else { break };
            cut.after = next;
            self.clock.sleep_ms(PAUSE_MS).await;
        }
        Ok(())
    }

    /// What a run would remove now.
    ///
    /// # Errors
    /// When the store can't.
    pub async fn look(&self) -> Result<Vec<Kept>, StoreError> {
        let mut all = Vec::with_capacity(Kind::ALL.len());
        for kind in Kind::ALL.iter().copied() {
            let mut kept = kept(self.retention, self.workspace, self.periods, kind).await?;
            if let Some(cut) = self.cut(kind).await? {
                kept.removed = self.retention.too_old(self.workspace, kind, cut).await?;
            }
            all.push(kept);
        }
        Ok(all)
    }

    async fn cut(&self, kind: Kind) -> Result<Option<Cut>, StoreError> {
        let Some(before) = self.periods.before(kind, self.clock.now()) else { return Ok(None) };
        let read_to = match kind {
            Kind::Events => read_by_all(&self.retention.cursors(self.workspace).await?, self.readers),
            _ => None,
        };
        Ok(Some(Cut { before, read_to, after: Place::default() }))
    }

    /// Takes or renews the lease when half of it has passed.
    async fn hold(&self, until: Millis) -> Result<Millis, StoreError> {
        let now = self.clock.now();
        if until - now > LEASE_MS / 2 {
            return Ok(until);
        }
        let lease = self.store.lease(self.workspace, LEASE, now, LEASE_MS).await?;
        lease.map(|lease| lease.until).ok_or(StoreError::LeaseLost)
    }

    async fn note(&self, kept: &Kept, before: Millis) -> Result<(), StoreError> {
        if kept.removed == 0 {
            return Ok(());
        }
        let entry = NewAudit {
            at: self.clock.now(),
            who: self.by.to_owned(),
            act: "retention",
            subject: Some(kept.kind.as_str().to_owned()),
            data: json!({ "removed": kept.removed, "days": kept.days, "before": before }).to_string(),
        };
        self.people.audit(self.workspace, entry).await
    }

    /// Goes on with erasures that were killed some time ago.
    async fn end_erasures(&self, world: &World) -> Result<(), StoreError> {
        let now = self.clock.now();
        for person in self.people.erasures_open(self.workspace, now - LEFT_MS).await? {
            // Never used: an erasure that was begun has made the key.
            let key = world.ids.next().to_string();
            let order = Erasure { workspace: self.workspace, person, key: &key, by: self.by, now };
            match erase(self.people, self.blobs, order).await {
                Ok(_) => tracing::info!(person = %person, "an erasure that was left open was ended"),
                Err(StoreError::NotFound(_)) => self.people.erasure_end(self.workspace, person).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How a kind is kept, and since when there is something of it.
///
/// # Errors
/// When the store can't.
pub async fn kept(
    retention: &dyn Retention,
    workspace: WorkspaceId,
    periods: &Periods,
    kind: Kind,
) -> Result<Kept, StoreError> {
    let oldest = retention.oldest(workspace, kind).await?;
    Ok(Kept { kind, days: periods.days(kind), oldest, removed: 0 })
}

/// How far every reader has read; `None` when nobody reads. One that never read stands at the beginning. A CRM connection that
/// isn't configured any more holds up nothing.
fn read_by_all(cursors: &[(String, EventCursor)], readers: &[String]) -> Option<EventCursor> {
    let there = cursors
        .iter()
        .filter(|(name, _)| readers.contains(name) || !name.starts_with(writeback::READER))
        .map(|(_, cursor)| *cursor);
    let new = readers.iter().filter(|name| !cursors.iter().any(|(n, _)| n == *name)).map(|_| EventCursor::default());
    there.chain(new).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reader_loses_an_event_and_who_is_gone_holds_up_nothing() {
        let at = |seq| EventCursor { tx: 0, seq };
        let named = |name: &str, seq| (name.to_owned(), at(seq));
        let cursors = [named("write-back/a", 7), named("write-back/gone", 1), named("hooks", 5)];
        let readers = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(read_by_all(&cursors, &readers(&["write-back/a"])), Some(at(5)), "others are readers too");
        assert_eq!(read_by_all(&cursors, &readers(&["write-back/a", "write-back/new"])), Some(at(0)));
        assert_eq!(read_by_all(&cursors[..2], &readers(&["write-back/a"])), Some(at(7)));
        assert_eq!(read_by_all(&[], &[]), None);
    }
}
