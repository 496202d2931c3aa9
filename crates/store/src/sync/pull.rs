//! One page of a CRM's changes: look up whose the records are, let the pure decision decide, write all of it.
//! Hot: a first full run brings every contact of the CRM through here.

use super::facts::{facts, links_of_people, links_of_records};
use super::{notices, patch, runs, sending};
use crate::conn::{Conn, Val, vals};
use crate::people::{erase, fields, import, log, pairs};
use crate::{apply, consent, events, lanes};
use ponte_domain::crm::{CrmChange, CrmHint};
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::{ConnectionId, PersonId, WorkspaceId};
use ponte_domain::job::{JobKind, NewJob};
use ponte_domain::mapping::pull::{Counts, Link, Pulled, Touched, View};
use ponte_domain::mapping::trigger::Fired;
use ponte_domain::people::phone;
use ponte_domain::ports::people::{DuplicatePair, NewAudit};
use ponte_domain::ports::sync::{PullFn, PullPage};
use ponte_domain::{Millis, SECOND};
use serde_json::json;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A record that was written to while it was read is read again so much later: should a node's clock be ahead, it isn't read at once
/// and for nothing again and again.
const AGAIN_MS: Millis = SECOND / 2;

pub(super) async fn apply(
    c: &mut Conn,
    workspace: WorkspaceId,
    page: &PullPage,
    decide: &PullFn,
) -> Result<(Counts, Vec<(PersonId, PersonId)>), StoreError> {
    let view = view(c, workspace, page, true).await?;
    let pulled = decide(&page.changes, view);
    let now = page.now;
    people(c, workspace, page, &pulled).await?;
    links(c, workspace, &page.connection, &pulled, now).await?;
    runs::file(c, workspace, &page.connection, &pulled.skips, now).await?;
    tell(c, workspace, page, &pulled).await?;
    triggered(c, workspace, page, &pulled).await?;
    let again = pulled.again.iter().map(|id| CrmHint::Changed { id: id.clone() }).collect::<Vec<_>>();
    lanes::enqueue(c, workspace, now, notices(&page.connection, &again, now + AGAIN_MS)).await?;
    // Merged right afterwards; should that not come to pass, somebody sees that it is due.
    let pair = |(a, b): &(PersonId, PersonId)| DuplicatePair {
        a: *a.min(b),
        b: *a.max(b),
        score: 1_000,
        reasons: vec!["crm_merged".to_owned()],
        found_at: now,
    };
    pairs::file(c, workspace, &pulled.same.iter().map(pair).collect::<Vec<_>>()).await?;
    if let Some(run) = page.run {
        let n = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let told = n(pulled.touched.iter().filter(|t| t.tell).count());
        let differed = if page.counts_differences { n(pulled.touched.len()) } else { 0 };
        runs::count(c, workspace, run, &pulled.counts, (told, differed, page.calls, lag(page)), now).await?;
    }
    patch(c, workspace, &page.connection, &page.patch, now).await?;
    Ok((pulled.counts, pulled.same))
}

pub(super) async fn look(
    c: &mut Conn,
    workspace: WorkspaceId,
    page: &PullPage,
    decide: &PullFn,
) -> Result<Pulled, StoreError> {
    let view = view(c, workspace, page, false).await?;
    Ok(decide(&page.changes, view))
}

/// Age of the newest change.
fn lag(page: &PullPage) -> Option<Millis> {
    let at = |change: &CrmChange| match change {
        CrmChange::Record(record) => record.modified_at,
        _ => None,
    };
    page.changes.iter().filter_map(at).max().map(|at| (page.now - at).max(0))
}

async fn view(c: &mut Conn, workspace: WorkspaceId, page: &PullPage, locked: bool) -> Result<View, StoreError> {
    let (records, ids, numbers) = &page.lookups;
    let mut links = links_of_records(c, workspace, &page.connection, records).await?;
    let mut owners: HashMap<Identity, PersonId> = HashMap::new();
    for kind in [IdentityKind::Phone, IdentityKind::WaId] {
        let rows: Vec<(String, uuid::Uuid)> = c
            .select_in(
                "SELECT value, person_id FROM identity WHERE workspace_id = $1 AND kind = $2 AND scope = '' AND ",
                &["value"],
                "",
                vals![workspace.0, kind.as_str()],
                numbers.iter().map(|n| vals![n.as_str()]).collect(),
            )
            .await?;
        owners.extend(rows.into_iter().map(|(value, person)| (phone(kind, &value), PersonId(person))));
    }
    let mut erased = HashSet::new();
    if erase::remembers(c, workspace).await? {
        let forms = |n: &String| [phone(IdentityKind::Phone, n), phone(IdentityKind::WaId, n)];
        let wanted = numbers.iter().flat_map(forms).collect();
        erased = erase::known(c, workspace, &wanted).await?;
    }
    let meant: BTreeSet<PersonId> =
        links.iter().map(|l| l.person).chain(owners.values().copied()).chain(ids.iter().copied()).collect();
    let facts = facts(c, workspace, &meant, page.consent, locked).await?;
    let sent = sending::of_people(c, workspace, &page.connection, &meant).await?;
    let others = links_of_people(c, workspace, &page.connection, &meant).await?;
    let known: HashSet<String> = links.iter().map(|l| l.record.clone()).collect();
    links.extend(others.into_values().filter(|l| !known.contains(&l.record)));
    // Whoever was merged or erased meanwhile has no facts: their links say nothing any more.
    links.retain(|l| facts.contains_key(&l.person));
    owners.retain(|_, person| facts.contains_key(person));
    let fields = fields::load(c, workspace).await?;
    let found = if page.triggers.is_empty() { HashMap::new() } else { findings(c, workspace, page).await? };
    Ok(View { links, sent, owners, facts, erased, fields, found })
}

/// What triggers found in these records.
async fn findings(
    c: &mut Conn,
    workspace: WorkspaceId,
    page: &PullPage,
) -> Result<HashMap<(String, String), String>, StoreError> {
    let (records, ..) = &page.lookups;
    let keys = page.triggers.iter().flat_map(|name| records.iter().map(move |r| vals![name.as_str(), r.as_str()]));
    let rows: Vec<(String, String, String)> = c
        .select_in(
            "SELECT name, crm_id, found FROM crm_trigger WHERE workspace_id = $1 AND connection = $2 AND ",
            &["name", "crm_id"],
            "",
            vals![workspace.0, page.connection.as_str()],
            keys.collect(),
        )
        .await?;
    Ok(rows.into_iter().map(|(name, record, key)| ((name, record), key)).collect())
}

/// Remembers what triggers found.
pub(super) async fn found(c: &mut Conn, rows: Vec<Vec<Val>>) -> Result<(), StoreError> {
    c.insert_many(
        "INSERT INTO crm_trigger (workspace_id, connection, name, crm_id, found, at)",
        "ON CONFLICT (workspace_id, connection, name, crm_id) DO UPDATE SET found = excluded.found, at = excluded.at",
        rows,
    )
    .await?;
    Ok(())
}

/// What triggers found, and jobs for the messages that they ask for.
async fn triggered(c: &mut Conn, workspace: WorkspaceId, page: &PullPage, pulled: &Pulled) -> Result<(), StoreError> {
    let connection = page.connection.as_str();
    // Said twice in a page, the last word counts.
    let last: HashMap<(&str, &str), &str> =
        pulled.found.iter().map(|f| ((f.trigger.as_str(), f.record.as_str()), f.key.as_str())).collect();
    let row = |((name, record), key)| vals![workspace.0, connection, name, record, key, page.now];
    found(c, last.into_iter().map(row).collect()).await?;
    let job = |fired: &Fired| {
        Some(NewJob {
            kind: JobKind::Trigger,
            lane: fired.person.0.simple().to_string(),
            scope: connection.to_owned(),
            priority: 0,
            not_before: page.now,
            payload: serde_json::to_string(fired).ok()?,
            dedup: Some(fired.key.clone()),
        })
    };
    lanes::enqueue(c, workspace, page.now, pulled.fired.iter().filter_map(job).collect()).await
}

async fn people(c: &mut Conn, workspace: WorkspaceId, page: &PullPage, pulled: &Pulled) -> Result<(), StoreError> {
    import::insert_people(c, workspace, page.now, &pulled.created).await?;
    import::write_profiles(c, workspace, page.now, &pulled.profiles).await?;
    apply::identities(c, workspace, &pulled.identities).await?;
    consent::append(c, workspace, &pulled.consent).await?;
    Ok(())
}

async fn links(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    pulled: &Pulled,
    now: Millis,
) -> Result<(), StoreError> {
    let records = || pulled.gone.iter().map(|record| vals![record.as_str()]).collect::<Vec<_>>();
    c.change_many(
        "crm_id",
        "UPDATE crm_contact SET gone_at = $3 WHERE workspace_id = $1 AND connection = $2 AND crm_id IN (SELECT crm_id FROM v)",
        vals![workspace.0, connection.as_str(), now],
        records(),
    )
    .await?;
    runs::remove(c, workspace, connection, records()).await?;
    remember(c, workspace, connection, &pulled.links, now).await
}

/// Writes links with what was agreed on.
async fn remember(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    links: &[Link],
    now: Millis,
) -> Result<(), StoreError> {
    let row = |link: &Link| -> Result<Vec<Val>, StoreError> {
        let base = link.base.as_ref().map(serde_json::to_string).transpose();
        let base = base.map_err(|_| StoreError::Corrupt("crm_contact.base".into()))?;
        Ok(vals![workspace.0, connection.as_str(), link.person.0, link.record.as_str(), "", now, base])
    };
    let rows = links.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    c.insert_many(
        "INSERT INTO crm_contact (workspace_id, connection, person_id, crm_id, written, written_at, base)",
        "ON CONFLICT (workspace_id, connection, person_id) DO UPDATE SET crm_id = excluded.crm_id, base = excluded.base, \
         gone_at = NULL, written = CASE WHEN crm_contact.crm_id = excluded.crm_id THEN crm_contact.written ELSE '' END",
        rows,
    )
    .await?;
    let met = links.iter().filter(|link| link.base.is_some()).map(|link| link.person);
    sending::forget(c, workspace, connection, met).await
}

/// Says what happened.
async fn tell(c: &mut Conn, workspace: WorkspaceId, page: &PullPage, pulled: &Pulled) -> Result<(), StoreError> {
    let by = format!("crm:{}", page.connection);
    let event = |kind, person, data: serde_json::Value| NewEvent {
        kind,
        at: page.now,
        person: Some(person),
        conversation: None,
        message: None,
        number: None,
        dedup: None,
        data: data.to_string(),
    };
    let mut all = Vec::with_capacity(pulled.touched.len());
    for Touched { person, changed, new, tell } in &pulled.touched {
        if *new {
            all.push(event(EventKind::PersonCreated, *person, json!({ "by": by })));
        }
        let data = json!({ "by": by, "changed": changed, "told": !tell });
        all.push(event(EventKind::PersonChanged, *person, data));
    }
    for entry in &pulled.consent {
        let data = json!({ "by": by, "entry": entry.id, "scope": entry.scope, "action": entry.action, "source": entry.source });
        all.push(event(EventKind::ConsentChanged, entry.person, data));
    }
    for record in &pulled.gone {
        let entry = NewAudit {
            at: page.now,
            who: by.clone(),
            act: "crm.record_gone",
            subject: Some(record.clone()),
            data: "{}".to_owned(),
        };
        log::append(c, workspace, &entry).await?;
    }
    events::append(c, workspace, all).await
}
