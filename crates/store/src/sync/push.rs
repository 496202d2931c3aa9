//! Everybody who has no record in a CRM is filed to be written there, page by page: jobs, place and counts in one transaction.
//! Failure story: killed between two pages, it goes on behind the last one. Whoever got a record meanwhile isn't filed; whoever is
//! filed already isn't filed twice.

use super::runs;
use crate::conn::{Conn, vals};
use crate::{lanes, leases};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{ConnectionId, PersonId, WorkspaceId};
use ponte_domain::job::JobKind;
use ponte_domain::mapping::pull::Counts;
use ponte_domain::ports::store::Lease;
use ponte_domain::ports::sync::{PushPage, Pushed, RunKind};
use uuid::Uuid;

/// The run under way and the last person it filed.
type Place = (Option<Uuid>, Option<Uuid>);

async fn place(c: &mut Conn, workspace: WorkspaceId, connection: &ConnectionId) -> Result<Place, StoreError> {
    let row: Option<Place> = c
        .first(
            "SELECT push_run, push_after FROM crm_sync WHERE workspace_id = $1 AND connection = $2",
            vals![workspace.0, connection.as_str()],
        )
        .await?;
    Ok(row.unwrap_or_default())
}

pub(super) async fn begin(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    run: Uuid,
    now: Millis,
) -> Result<Uuid, StoreError> {
    if let (Some(under_way), _) = place(c, workspace, connection).await? {
        return Ok(under_way);
    }
    runs::begin(c, workspace, connection, run, RunKind::Push, now).await?;
    c.exec(
        "INSERT INTO crm_sync (workspace_id, connection, push_run, changed_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace_id, connection) DO UPDATE SET push_run = excluded.push_run, push_after = NULL, \
         changed_at = excluded.changed_at",
        vals![workspace.0, connection.as_str(), run, now],
    )
    .await?;
    Ok(run)
}

pub(super) async fn page(
    c: &mut Conn,
    workspace: WorkspaceId,
    lease: &Lease,
    connection: &ConnectionId,
    page: &PushPage,
    now: Millis,
) -> Result<Pushed, StoreError> {
    leases::still_ours(c, workspace, lease).await?;
    let (Some(run), after) = place(c, workspace, connection).await? else { return Ok(Pushed::Nothing) };
    if waiting(c, workspace, connection, page.most_waiting).await? >= page.most_waiting {
        return Ok(Pushed::Waits);
    }
    let people: Vec<(Uuid,)> = c
        .all(
            "SELECT id FROM person WHERE workspace_id = $1 AND id > $2 AND merged_into IS NULL AND NOT EXISTS (SELECT 1 \
             FROM crm_contact WHERE crm_contact.workspace_id = $1 AND crm_contact.connection = $3 \
             AND crm_contact.person_id = person.id) ORDER BY id LIMIT $4",
            vals![workspace.0, after.unwrap_or(Uuid::nil()), connection.as_str(), page.people],
        )
        .await?;
    let jobs = people.iter().filter_map(|(id,)| (page.job)(PersonId(*id))).collect();
    lanes::enqueue(c, workspace, now, jobs).await?;
    let filed = i64::try_from(people.len()).unwrap_or(i64::MAX);
    let counts = Counts { seen: people.len() as u64, ..Counts::default() };
    runs::count(c, workspace, run, &counts, (filed, 0, 0, None), now).await?;
    let done = filed < page.people;
    if done {
        runs::end(c, workspace, run, None, 0, now).await?;
    }
    let last = people.last().map(|(id,)| *id).or(after);
    c.exec(
        "UPDATE crm_sync SET push_run = $3, push_after = $4, changed_at = $5 WHERE workspace_id = $1 AND connection = $2",
        vals![workspace.0, connection.as_str(), (!done).then_some(run), last, now],
    )
    .await?;
    Ok(if done && people.is_empty() { Pushed::Nothing } else { Pushed::Filed(people.len()) })
}

/// Lanes of a connection begin with its name and a stroke; what follows the stroke in the order of characters is 0.
fn lanes_of(connection: &ConnectionId) -> (String, String) {
    (format!("{connection}/"), format!("{connection}0"))
}

/// Jobs of the connection that wait, counted no further than `most`.
async fn waiting(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    most: i64,
) -> Result<i64, StoreError> {
    let (from, to) = lanes_of(connection);
    let row: Option<(i64,)> = c
        .first(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT 1 AS one FROM job WHERE workspace_id = $1 AND kind = $2 \
             AND lane_key >= $3 AND lane_key < $4 LIMIT $5) AS counted",
            vals![workspace.0, JobKind::Crm.as_str(), from, to, most],
        )
        .await?;
    Ok(row.map_or(0, |(n,)| n))
}

/// Jobs of the connection that were filed until then.
pub(super) async fn left(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    until: Millis,
) -> Result<i64, StoreError> {
    let (from, to) = lanes_of(connection);
    let row: Option<(i64,)> = c
        .first(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM job WHERE workspace_id = $1 AND kind = $2 AND lane_key >= $3 \
             AND lane_key < $4 AND created_at <= $5",
            vals![workspace.0, JobKind::Crm.as_str(), from, to, until],
        )
        .await?;
    Ok(row.map_or(0, |(n,)| n))
}
