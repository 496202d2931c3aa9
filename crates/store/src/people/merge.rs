//! Merging people; `unmerge` undoes it. A merge keeps both rows: the other one points to the survivor. What is moved is written down,
//! so that undoing restores both sides whole; identifiers, conversations, messages and CRM links follow.
//! Reactions and past events keep the id they were made with; whoever reads them follows `merged_into`.
//! Failure story: a merge is one transaction, so killed anywhere it happened or it didn't.

use super::moves::{self, Belongings, Moved, Past};
use super::{cards, marks, packed};
use crate::conn::{Conn, Val, vals};
use crate::{events, load};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::identity::Identity;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::message::Person;
use ponte_domain::people::PersonCard;
use ponte_domain::ports::people::{MergeFn, MergeOrder, MergeRecord};
use ponte_domain::profile::Profile;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::FromRow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// What both sides were, as far as a merge changes it.
#[derive(Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) survivor: Side,
    pub(super) other: Side,
    pub(super) merged: Profile,
    pub(super) identities: Vec<(String, String, String)>,
    pub(super) past: Vec<Past>,
    pub(super) conversations: Vec<Moved>,
    pub(super) contacts: Vec<String>,
    pub(super) consent: Vec<(usize, Uuid)>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Side {
    pub(super) profile: Profile,
    pub(super) stopped_at: Option<Millis>,
    pub(super) preference_at: Option<Millis>,
    pub(super) changed_at: Millis,
}

/// A person of a batch of merges as the merges so far left them.
struct One {
    card: PersonCard,
    stopped_at: Option<Millis>,
    preference_at: Option<Millis>,
    belongings: Belongings,
}

impl One {
    fn side(&self) -> Side {
        Side {
            profile: self.card.profile.clone(),
            stopped_at: self.stopped_at,
            preference_at: self.preference_at,
            changed_at: self.card.changed_at,
        }
    }
}

/// Merges in order. Everything about everybody is loaded at once, the merges are made on what was loaded, and what they come to
/// is written at once: a list of a million people is cleaned by tens of thousands of merges. Conversations, CRM links and what
/// was said about consent are moved merge by merge; few people of a list have any.
pub(crate) async fn merge(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    by: &str,
    orders: &[MergeOrder],
    profiles: &MergeFn,
) -> Result<Vec<Uuid>, StoreError> {
    let mut people = sides(c, workspace, orders).await?;
    let mut made = Made::default();
    for order in orders.iter().filter(|order| order.survivor != order.other) {
        // Who is part of somebody is not among the people any more.
        if !people.contains_key(&order.survivor) {
            continue;
        }
        let Some(other) = people.remove(&order.other) else { continue };
        let Some(survivor) = people.get_mut(&order.survivor) else { continue };
        made.one(c, workspace, now, order, survivor, other, profiles).await?;
    }
    made.write(c, workspace, now, by).await
}

/// Everybody who is named and not part of somebody else yet; locked on PostgreSQL.
async fn sides(
    c: &mut Conn,
    workspace: WorkspaceId,
    orders: &[MergeOrder],
) -> Result<HashMap<PersonId, One>, StoreError> {
    let named: BTreeSet<PersonId> = orders.iter().flat_map(|o| [o.survivor, o.other]).collect();
    let mut stops: HashMap<PersonId, Person> =
        load::persons(c, workspace, &named).await?.into_iter().map(|p| (p.id, p)).collect();
    let cards = cards::whole(c, workspace, &named, false).await?;
    let mut belongings = moves::load(c, workspace, &named).await?;
    let there = cards.into_iter().filter(|card| card.merged_into.is_none());
    Ok(there
        .filter_map(|card| {
            let Person { marketing_stopped_at: stopped_at, preference_at, .. } = stops.remove(&card.id)?;
            let belongings = belongings.remove(&card.id).unwrap_or_default();
            Some((card.id, One { card, stopped_at, preference_at, belongings }))
        })
        .collect())
}

/// What a batch of merges came to and is still to be written.
#[derive(Default)]
struct Made {
    done: Vec<Uuid>,
    /// Who became part of whom, in order.
    gone: Vec<(PersonId, PersonId)>,
    /// Those of them who had identifiers before.
    with_past: Vec<PersonId>,
    /// Rows of survivors: id, profile, labels, stops.
    survivors: BTreeMap<PersonId, Vec<Val>>,
    /// By what they are listed now.
    profiles: BTreeMap<PersonId, Profile>,
    /// Rows of the records, but for the end that all have in common.
    records: Vec<(Vec<Val>, String)>,
    events: Vec<NewEvent>,
}

impl Made {
    #[expect(clippy::too_many_arguments, reason = "where, when, an order, its two sides, and what decides")]
    async fn one(
        &mut self,
        c: &mut Conn,
        workspace: WorkspaceId,
        now: Millis,
        order: &MergeOrder,
        survivor: &mut One,
        other: One,
        profiles: &MergeFn,
    ) -> Result<(), StoreError> {
        let merged = profiles(&survivor.card.profile, &other.card.profile);
        let before = Before {
            identities: other.card.identities.iter().map(key).collect(),
            past: other.belongings.past.clone(),
            conversations: moves::conversations(c, workspace, order, &mut survivor.belongings, &other.belongings)
                .await?,
            contacts: moves::contacts(c, workspace, order, &mut survivor.belongings, &other.belongings).await?,
            consent: moves::consent(c, workspace, order, &mut survivor.belongings, &other.belongings).await?,
            survivor: survivor.side(),
            other: other.side(),
            merged: merged.clone(),
        };
        let text = serde_json::to_string(&before).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        if !before.past.is_empty() {
            self.with_past.push(order.other);
        }
        survivor.belongings.past.extend(before.past);
        survivor.card.identities.extend(other.card.identities);
        survivor.card.profile = merged;
        survivor.card.changed_at = now;
        // Whoever of the two stopped marketing did so for the one person they are.
        survivor.stopped_at = survivor.stopped_at.max(other.stopped_at);
        survivor.preference_at = survivor.preference_at.max(other.preference_at);
        let profile = &survivor.card.profile;
        let row = vals![
            order.survivor.0,
            packed::pack(profile),
            packed::labels(profile),
            survivor.stopped_at,
            survivor.preference_at
        ];
        self.profiles.insert(order.survivor, profile.clone());
        self.survivors.insert(order.survivor, row);
        self.gone.push((order.other, order.survivor));
        let row = vals![workspace.0, order.id, order.survivor.0, order.other.0, order.score, order.reasons.join(",")];
        self.records.push((row, text));
        self.events.push(told(EventKind::PeopleMerged, now, order.survivor, order.survivor, order.other, order.id));
        self.done.push(order.id);
        Ok(())
    }

    async fn write(self, c: &mut Conn, workspace: WorkspaceId, now: Millis, by: &str) -> Result<Vec<Uuid>, StoreError> {
        // Where the identifiers end up: a survivor may itself have become part of somebody later in the batch.
        let mut ends: BTreeMap<PersonId, PersonId> = BTreeMap::new();
        for (other, survivor) in self.gone.iter().rev() {
            let end = ends.get(survivor).copied().unwrap_or(*survivor);
            ends.insert(*other, end);
        }
        let to_end = |other: &PersonId| ends.get(other).map(|end| vals![other.0, end.0]);
        let all = ends.keys().filter_map(to_end).collect();
        let past = self.with_past.iter().filter_map(to_end).collect();
        for (table, rows) in [("identity", all), ("identity_past", past)] {
            c.change_many(
                "other, survivor",
                // Not FROM v: SQLite would read every identifier of the workspace and look for each in v.
                &format!(
                    "UPDATE {table} SET person_id = (SELECT v.survivor FROM v WHERE v.other = {table}.person_id) \
                     WHERE workspace_id = $1 AND person_id IN (SELECT other FROM v)"
                ),
                vals![workspace.0],
                rows,
            )
            .await?;
        }
        c.change_many(
            "id, profile, labels, stopped, preference",
            "UPDATE person SET profile = v.profile, labels = v.labels, changed_at = $2, marketing_stopped_at = v.stopped, \
             preference_at = v.preference FROM v WHERE person.workspace_id = $1 AND person.id = v.id",
            vals![workspace.0, now],
            self.survivors.into_values().collect(),
        )
        .await?;
        c.change_many(
            "other, survivor",
            "UPDATE person SET merged_into = v.survivor, changed_at = $2 FROM v \
             WHERE person.workspace_id = $1 AND person.id = v.other",
            vals![workspace.0, now],
            self.gone.iter().map(|(other, survivor)| vals![other.0, survivor.0]).collect(),
        )
        .await?;
        // Who is part of somebody is listed no more.
        let gone: Vec<PersonId> = ends.keys().copied().collect();
        marks::remove(c, workspace, &gone).await?;
        let standing: Vec<(PersonId, Profile)> =
            self.profiles.into_iter().filter(|(id, _)| !ends.contains_key(id)).collect();
        marks::write(c, workspace, &standing).await?;
        let records = self.records.into_iter().map(|(mut row, before)| {
            row.extend(vals![now, by, before]);
            row
        });
        c.insert_many(
            "INSERT INTO merge_record (workspace_id, id, survivor, other, score, reasons, merged_at, merged_by, before)",
            "",
            records.collect(),
        )
        .await?;
        decide_pairs(c, workspace, &self.gone, "merged", by, now).await?;
        events::append(c, workspace, self.events).await?;
        Ok(self.done)
    }
}

fn key(identity: &Identity) -> (String, String, String) {
    (identity.kind.as_str().to_owned(), identity.scope.clone(), identity.value.clone())
}

/// Decides about pairs in any order of their two; how many were decided otherwise before.
pub(crate) async fn decide_pairs(
    c: &mut Conn,
    workspace: WorkspaceId,
    pairs: &[(PersonId, PersonId)],
    state: &str,
    by: &str,
    now: Millis,
) -> Result<u64, StoreError> {
    let rows = pairs.iter().map(|(x, y)| vals![x.min(y).0, x.max(y).0]).collect();
    c.change_many(
        "a, b",
        "UPDATE duplicate_pair SET state = $2, decided_at = $3, decided_by = $4 FROM v WHERE duplicate_pair.workspace_id = $1 \
         AND duplicate_pair.a = v.a AND duplicate_pair.b = v.b AND duplicate_pair.state <> $2",
        vals![workspace.0, state, now, by],
        rows,
    )
    .await
}

/// What `person` hears of a merge or its undoing.
pub(super) fn told(
    kind: EventKind,
    now: Millis,
    person: PersonId,
    survivor: PersonId,
    other: PersonId,
    merge: Uuid,
) -> NewEvent {
    NewEvent {
        kind,
        at: now,
        person: Some(person),
        conversation: None,
        message: None,
        number: None,
        dedup: None,
        data: json!({ "merge": merge, "survivor": survivor, "other": other }).to_string(),
    }
}

#[derive(FromRow)]
pub(crate) struct RecordRow {
    id: Uuid,
    survivor: Uuid,
    other: Uuid,
    merged_at: Millis,
    merged_by: String,
    score: i64,
    reasons: String,
    undone_at: Option<Millis>,
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

impl RecordRow {
    pub(super) const COLUMNS: &'static str = "id, survivor, other, merged_at, merged_by, score, reasons, undone_at";

    pub(super) fn read(self) -> MergeRecord {
        MergeRecord {
            id: self.id,
            survivor: PersonId(self.survivor),
            other: PersonId(self.other),
            merged_at: self.merged_at,
            merged_by: self.merged_by,
            score: self.score,
            reasons: words(&self.reasons),
            undone_at: self.undone_at,
        }
    }
}

pub(crate) async fn list(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: Option<PersonId>,
    limit: i64,
) -> Result<Vec<MergeRecord>, StoreError> {
    let order = "ORDER BY merged_at DESC, id DESC LIMIT $2";
    let columns = RecordRow::COLUMNS;
    let rows: Vec<RecordRow> = match person {
        None => {
            // The condition is that of the index by time.
            let sql = format!("SELECT {columns} FROM merge_record WHERE workspace_id = $1 AND merged_at > 0 {order}");
            c.all(sql, vals![workspace.0, limit]).await?
        }
        // By each side's own index: asked for with OR, all merges would be read.
        Some(person) => {
            let side = |side| format!("SELECT {columns} FROM merge_record WHERE workspace_id = $1 AND {side} = $3");
            let sql = format!("{} UNION ALL {} {order}", side("survivor"), side("other"));
            c.all(sql, vals![workspace.0, limit, person.0]).await?
        }
    };
    Ok(rows.into_iter().map(RecordRow::read).collect())
}
