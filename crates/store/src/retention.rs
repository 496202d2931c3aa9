//! Removing what is older than its period, a bounded amount at a time, each step one transaction. Every step begins at the old
//! end of an index and looks at no more than it may remove; only people are walked by their key, a page a step.
//! Must not touch: the consent ledger; what still waits to be done (unread bodies, unread events, messages on their way, dead
//! letters that wait for a person, an import under way).
//! Failure story: killed between two steps, what was removed is removed and the next run goes on.

use crate::conn::{Conn, Val, vals};
use crate::content;
use crate::load;
use crate::people;
use crate::store::{SqlStore, write};
use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::EventCursor;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::message::Phase;
use ponte_domain::ports::retention::{Cut, Place, Retention, Trimmed};
use ponte_domain::retention::Kind;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Rows of one step that are small and removed whole.
const ROWS: i64 = 1_000;
/// Raw segments, messages, merges, people of one step: each touches several tables, or is large.
const HEAVY: i64 = 200;

#[async_trait]
impl Retention for SqlStore {
    async fn trim(&self, workspace: WorkspaceId, kind: Kind, cut: Cut, now: Millis) -> Result<Trimmed, StoreError> {
        write!(self, (), |c| trim(c, workspace, kind, cut, now).await)
    }

    async fn too_old(&self, workspace: WorkspaceId, kind: Kind, cut: Cut) -> Result<u64, StoreError> {
        too_old(&mut self.reader().await?, workspace, kind, cut).await
    }

    async fn oldest(&self, workspace: WorkspaceId, kind: Kind) -> Result<Option<Millis>, StoreError> {
        let row: Option<(i64,)> =
            self.reader().await?.first(format!("{} LIMIT 1", oldest(kind)), vals![workspace.0]).await?;
        Ok(row.map(|(at,)| at))
    }

    async fn cursors(&self, workspace: WorkspaceId) -> Result<Vec<(String, EventCursor)>, StoreError> {
        let rows: Vec<(String, i64, i64)> = self
            .reader()
            .await?
            .all("SELECT reader, tx, seq FROM cursor_of WHERE workspace_id = $1", vals![workspace.0])
            .await?;
        Ok(rows.into_iter().map(|(reader, tx, seq)| (reader, EventCursor { tx, seq })).collect())
    }
}

async fn trim(c: &mut Conn, w: WorkspaceId, kind: Kind, cut: Cut, now: Millis) -> Result<Trimmed, StoreError> {
    match kind {
        Kind::Content => contents(c, w, cut, now).await,
        Kind::Merges => merges(c, w, cut).await,
        Kind::People => nobodies(c, w, cut, now).await,
        Kind::Journal | Kind::Events | Kind::DeadLetters | Kind::Imports | Kind::Audit => {
            let removed = c.exec(whole_rows(kind), bounds(w, kind, cut)).await?;
            Ok(Trimmed { removed, next: (removed > 0).then(Place::default) })
        }
    }
}

/// `$1` workspace, `$2` before; for events `$3` and `$4` how far all have read.
fn bounds(w: WorkspaceId, kind: Kind, cut: Cut) -> Vec<Val> {
    let mut vals = vals![w.0, cut.before];
    if kind == Kind::Events {
        let to = cut.read_to.unwrap_or(EventCursor { tx: i64::MAX, seq: i64::MAX });
        vals.extend(vals![to.tx, to.seq]);
    }
    vals
}

/// Kinds of which whole rows go. Events and the audit log are taken in the order in which they were written, which is that of
/// their times but for a clock that was set: one row that is too young may hold up older ones behind it, until it is old too.
fn whole_rows(kind: Kind) -> String {
    match kind {
        Kind::Journal => format!(
            "DELETE FROM journal WHERE seq IN (SELECT j.seq FROM journal j WHERE j.workspace_id = $1 \
             AND j.received_at < $2 AND NOT EXISTS (SELECT 1 FROM journal_pending p WHERE p.workspace_id = $1 \
             AND p.seq = j.seq) ORDER BY j.received_at LIMIT {HEAVY})"
        ),
        Kind::Events => format!(
            "DELETE FROM event WHERE seq IN (SELECT o.seq FROM (SELECT seq, at FROM event WHERE workspace_id = $1 \
             AND (tx, seq) <= ($3, $4) ORDER BY tx, seq LIMIT {ROWS}) o WHERE o.at < $2)"
        ),
        Kind::Audit => format!(
            "DELETE FROM audit WHERE seq IN (SELECT o.seq FROM (SELECT seq, at FROM audit WHERE workspace_id = $1 \
             ORDER BY seq LIMIT {ROWS}) o WHERE o.at < $2)"
        ),
        Kind::DeadLetters => format!(
            "DELETE FROM dead_letter_done WHERE workspace_id = $1 AND id IN (SELECT id FROM dead_letter_done \
             WHERE workspace_id = $1 AND ended_at < $2 ORDER BY ended_at LIMIT {ROWS})"
        ),
        // One that was killed and never went on counts by its last step: a living one is young.
        _ => format!(
            "DELETE FROM import_run WHERE workspace_id = $1 AND id IN (SELECT id FROM import_run \
             WHERE workspace_id = $1 AND started_at < $2 AND changed_at < $2 ORDER BY started_at LIMIT {ROWS})"
        ),
    }
}

/// The oldest of a kind first, its time alone; `$1` is the workspace.
const fn oldest(kind: Kind) -> &'static str {
    match kind {
        Kind::Journal => "SELECT received_at FROM journal WHERE workspace_id = $1 ORDER BY received_at",
        Kind::Content => {
            "SELECT created_at FROM message WHERE workspace_id = $1 AND forgotten_at IS NULL ORDER BY created_at"
        }
        Kind::Events => "SELECT at FROM event WHERE workspace_id = $1 ORDER BY tx, seq",
        Kind::DeadLetters => "SELECT ended_at FROM dead_letter_done WHERE workspace_id = $1 ORDER BY ended_at",
        Kind::Imports => "SELECT started_at FROM import_run WHERE workspace_id = $1 ORDER BY started_at",
        Kind::Merges => {
            "SELECT merged_at FROM merge_record WHERE workspace_id = $1 AND merged_at > 0 ORDER BY merged_at"
        }
        Kind::Audit => "SELECT at FROM audit WHERE workspace_id = $1 ORDER BY seq",
        Kind::People => "SELECT created_at FROM person WHERE workspace_id = $1 ORDER BY id",
    }
}

async fn too_old(c: &mut Conn, w: WorkspaceId, kind: Kind, cut: Cut) -> Result<u64, StoreError> {
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM";
    let sql = match kind {
        Kind::Journal => format!(
            "{count} journal j WHERE j.workspace_id = $1 AND j.received_at < $2 AND NOT EXISTS \
             (SELECT 1 FROM journal_pending p WHERE p.workspace_id = $1 AND p.seq = j.seq)"
        ),
        Kind::Content => "SELECT CAST((SELECT COUNT(*) FROM message WHERE workspace_id = $1 AND forgotten_at IS NULL \
             AND created_at < $2 AND phase IN ('received', 'accepted', 'refused')) + (SELECT COUNT(*) FROM orphan \
             WHERE workspace_id = $1 AND at < $2) AS BIGINT)"
            .to_owned(),
        Kind::Events => {
            format!("{count} event WHERE workspace_id = $1 AND (tx, seq) <= ($3, $4) AND at < $2")
        }
        Kind::DeadLetters => format!("{count} dead_letter_done WHERE workspace_id = $1 AND ended_at < $2"),
        Kind::Imports => {
            format!("{count} import_run WHERE workspace_id = $1 AND started_at < $2 AND changed_at < $2")
        }
        Kind::Merges => format!("{count} merge_record WHERE workspace_id = $1 AND merged_at < $2"),
        Kind::Audit => format!("{count} audit WHERE workspace_id = $1 AND at < $2"),
        Kind::People => format!("{count} person p WHERE p.workspace_id = $1 AND {NOBODY}"),
    };
    let row: Option<(i64,)> = c.first(sql, bounds(w, kind, cut)).await?;
    Ok(row.map_or(0, |(n,)| u64::try_from(n).unwrap_or(0)))
}

/// What a message says is needed while it is on its way, or may be sent again by a person.
const fn may_be_forgotten(phase: Phase) -> bool {
    match phase {
        Phase::Received | Phase::Accepted | Phase::Refused => true,
        Phase::Queued | Phase::Sending | Phase::Unknown | Phase::Dead => false,
    }
}

const OLD_CONTENT: &str = "SELECT created_at, id, phase FROM message WHERE workspace_id = $1 AND forgotten_at IS NULL \
     AND created_at < $2 AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5";
const OLD_ORPHANS: &str = "DELETE FROM orphan WHERE workspace_id = $1 AND (number_id, wamid, kind) IN \
     (SELECT number_id, wamid, kind FROM orphan WHERE workspace_id = $1 AND at > 0 AND at < $2 ORDER BY at LIMIT $3)";
const OLD_MERGES: &str = "SELECT id, other, undone_at FROM merge_record WHERE workspace_id = $1 AND merged_at > 0 \
     AND merged_at < $2 ORDER BY merged_at, id LIMIT $3";
const PAGE: &str = "SELECT id FROM person WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3";

async fn contents(c: &mut Conn, w: WorkspaceId, cut: Cut, now: Millis) -> Result<Trimmed, StoreError> {
    let rows: Vec<(i64, Uuid, String)> =
        c.all(OLD_CONTENT, vals![w.0, cut.before, cut.after.at, cut.after.id, HEAVY]).await?;
    let next = rows.last().map(|(at, id, _)| Place { at: *at, id: *id });
    let done: Vec<Uuid> = rows
        .into_iter()
        .filter(|(_, _, phase)| Phase::parse(phase).is_some_and(may_be_forgotten))
        .map(|(_, id, _)| id)
        .collect();
    if next.is_some() {
        return Ok(Trimmed { removed: content::forget(c, w, &done, now).await?, next });
    }
    // Last, news of messages that never came, with what they would have said.
    let removed = c.exec(OLD_ORPHANS, vals![w.0, cut.before, ROWS]).await?;
    Ok(Trimmed { removed, next: (removed > 0).then_some(cut.after) })
}

/// A merge without its record is final: what the other side was goes with it.
async fn merges(c: &mut Conn, w: WorkspaceId, cut: Cut) -> Result<Trimmed, StoreError> {
    let rows: Vec<(Uuid, Uuid, Option<i64>)> = c.all(OLD_MERGES, vals![w.0, cut.before, HEAVY]).await?;
    let keys: Vec<Vec<Val>> = rows.iter().map(|(id, ..)| vals![*id]).collect();
    let others = rows.iter().filter(|(_, _, undone)| undone.is_none()).map(|(_, other, _)| vals![*other]).collect();
    c.change_many(
        "id",
        "UPDATE person SET name = NULL, username = NULL, profile = '', labels = '', profile_at = NULL \
         WHERE workspace_id = $1 AND merged_into IS NOT NULL AND id IN (SELECT id FROM v)",
        vals![w.0],
        others,
    )
    .await?;
    for (table, column) in [("merge_message", "merge_id"), ("merge_record", "id")] {
        let sql = format!("DELETE FROM {table} WHERE workspace_id = $1 AND {column} IN (SELECT id FROM v)");
        c.change_many("id", &sql, vals![w.0], keys.clone()).await?;
    }
    Ok(Trimmed { removed: rows.len() as u64, next: (!rows.is_empty()).then(Place::default) })
}

/// A person `p` of whom there is nothing but a line in a list, unchanged since `$2`. A label or a stop is a decision about
/// them: it must outlive the list.
const NOBODY: &str = "p.changed_at < $2 AND p.created_at < $2 AND p.merged_into IS NULL AND p.labels = '' \
     AND p.marketing_stopped_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM conversation x WHERE x.workspace_id = $1 AND x.person_id = p.id) \
     AND NOT EXISTS (SELECT 1 FROM message x WHERE x.workspace_id = $1 AND x.person_id = p.id) \
     AND NOT EXISTS (SELECT 1 FROM consent_entry x WHERE x.workspace_id = $1 AND x.person_id = p.id) \
     AND NOT EXISTS (SELECT 1 FROM consent_request x WHERE x.workspace_id = $1 AND x.person_id = p.id) \
     AND NOT EXISTS (SELECT 1 FROM crm_contact x WHERE x.workspace_id = $1 AND x.person_id = p.id) \
     AND NOT EXISTS (SELECT 1 FROM identity x WHERE x.workspace_id = $1 AND x.person_id = p.id AND x.kind = 'crm')";

async fn nobodies(c: &mut Conn, w: WorkspaceId, cut: Cut, now: Millis) -> Result<Trimmed, StoreError> {
    let page: Vec<(Uuid,)> = c.all(PAGE, vals![w.0, cut.after.id, HEAVY]).await?;
    let Some((last,)) = page.last().copied() else { return Ok(Trimmed::default()) };
    let sql = format!("SELECT p.id FROM person p WHERE p.workspace_id = $1 AND {NOBODY} AND ");
    let ids = page.into_iter().map(|(id,)| vals![id]).collect();
    let found: Vec<(Uuid,)> = c.select_in(&sql, &["p.id"], "", vals![w.0, cut.before], ids).await?;
    if found.is_empty() {
        return Ok(Trimmed { removed: 0, next: Some(Place { at: 0, id: last }) });
    }
    // Locked, and asked once more: somebody may have written meanwhile.
    let locked: BTreeSet<PersonId> = found.into_iter().map(|(id,)| PersonId(id)).collect();
    load::persons(c, w, &locked).await?;
    let found: Vec<(Uuid,)> = c.select_in(&sql, &["p.id"], "", vals![w.0, cut.before], load::ids(&locked)).await?;
    let mut removed = 0;
    for (id,) in found {
        removed += people::remove(c, w, PersonId(id), now).await?;
    }
    Ok(Trimmed { removed, next: Some(Place { at: 0, id: last }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Database, Options};

    /// SQLite tells how it would read; PostgreSQL is told never to read a table from end to end.
    #[tokio::test]
    async fn no_step_reads_a_table_from_end_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(folder.path().join("ponte.db"));
        let options = Options { database, node: "n".into(), serve: false, connections: 1, migrate: true };
        let store = SqlStore::open(options, 1).await.unwrap();
        let mut c = store.reader().await.unwrap();
        let steps = [Kind::Journal, Kind::Events, Kind::DeadLetters, Kind::Imports, Kind::Audit].map(whole_rows);
        let looks = Kind::ALL.iter().map(|kind| format!("{} LIMIT 1", oldest(*kind)));
        for sql in steps.into_iter().chain(looks).chain([OLD_CONTENT, OLD_ORPHANS, OLD_MERGES, PAGE].map(Into::into)) {
            let plan: Vec<(i64, i64, i64, String)> =
                c.all(format!("EXPLAIN QUERY PLAN {sql}"), vals![1, 1, 1, 1, 1]).await.unwrap();
            let told: Vec<&str> = plan.iter().map(|(.., told)| told.as_str()).collect();
            // `o` is what was read before, at most a step's worth.
            let long = told.iter().filter(|t| t.starts_with("SCAN") && **t != "SCAN o" || t.contains("TEMP B-TREE"));
            assert_eq!(long.count(), 0, "{sql}: {told:?}");
            assert!(told.iter().any(|t| t.contains("USING")), "{told:?}");
        }
    }
}
