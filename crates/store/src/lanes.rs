//! Lanes: jobs in order, one lane row for every lane that has something to do.
//! A claim reads the index of ready lanes, so its cost doesn't grow with what is queued. The lane row carries the time it is
//! ready, who holds it and the fence; the fence never starts again, so that a late settlement of an earlier life is refused.

use crate::conn::{Conn, Val, vals};
use ponte_domain::Millis;
use ponte_domain::error::{CallError, StoreError};
use ponte_domain::ids::{MessageId, WorkspaceId};
use ponte_domain::job::{ClaimedLane, Job, JobEnd, JobKind, Lane, NewJob};
use ponte_domain::ports::store::Topic;
use sqlx::FromRow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use uuid::Uuid;

/// Files jobs at the end of their lanes, in the caller's transaction.
pub(crate) async fn enqueue(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    jobs: Vec<NewJob>,
) -> Result<(), StoreError> {
    let jobs = without_waiting_twins(c, workspace, jobs).await?;
    if jobs.is_empty() {
        return Ok(());
    }
    // Lanes in one order, so that two enqueuers never wait for each other in a circle.
    let mut lanes: BTreeMap<(JobKind, String), Vec<NewJob>> = BTreeMap::new();
    for job in jobs {
        c.touch(topic_of(job.kind));
        lanes.entry((job.kind, job.lane.clone())).or_default().push(job);
    }
    let last = extend_lanes(c, workspace, now, &lanes).await?;
    let mut rows = Vec::new();
    for ((kind, key), jobs) in lanes {
        let end = last
            .get(&(kind.as_str().to_owned(), key.clone()))
            .ok_or_else(|| StoreError::Corrupt("a lane was not made".into()))?;
        let mut seq = end - jobs.len() as i64;
        for job in jobs {
            seq += 1;
            let message = job.dedup.as_deref().and_then(|d| d.parse::<MessageId>().ok()).map(|id| id.0);
            rows.push(vals![
                workspace.0,
                kind.as_str(),
                key.as_str(),
                seq,
                job.scope,
                job.priority,
                job.payload,
                job.dedup,
                message,
                job.not_before,
                0_i64,
                now
            ]);
        }
    }
    c.insert_many(
        "INSERT INTO job (workspace_id, kind, lane_key, seq, scope, priority, payload, dedup, message_id, not_before, \
         failures, created_at)",
        "",
        rows,
    )
    .await?;
    Ok(())
}

const fn topic_of(kind: JobKind) -> Topic {
    match kind {
        JobKind::Send => Topic::Sends,
        JobKind::Media => Topic::Media,
        JobKind::Crm | JobKind::Notice | JobKind::Trigger => Topic::Crm,
        JobKind::Hook => Topic::Hooks,
    }
}

/// Drops jobs whose twin (same lane and key) still waits untouched: the worker will see the newest state anyway.
async fn without_waiting_twins(
    c: &mut Conn,
    workspace: WorkspaceId,
    jobs: Vec<NewJob>,
) -> Result<Vec<NewJob>, StoreError> {
    let keyed: Vec<Vec<Val>> = jobs
        .iter()
        .filter_map(|j| j.dedup.as_ref().map(|_| vals![j.kind.as_str(), j.lane.as_str()]))
        .collect::<Vec<_>>();
    if keyed.is_empty() {
        return Ok(jobs);
    }
    let waiting: Vec<(String, String, String)> = c
        .select_in(
            "SELECT kind, lane_key, dedup FROM job WHERE workspace_id = $1 AND begun_at IS NULL AND dedup IS NOT NULL \
             AND ",
            &["kind", "lane_key"],
            "",
            vals![workspace.0],
            keyed,
        )
        .await?;
    let mut seen: HashSet<(String, String, String)> = waiting.into_iter().collect();
    Ok(jobs
        .into_iter()
        .filter(|j| match &j.dedup {
            Some(dedup) => seen.insert((j.kind.as_str().to_owned(), j.lane.clone(), dedup.clone())),
            None => true,
        })
        .collect())
}

/// Makes or lengthens the lanes; the last sequence of each.
async fn extend_lanes(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    lanes: &BTreeMap<(JobKind, String), Vec<NewJob>>,
) -> Result<HashMap<(String, String), i64>, StoreError> {
    let rows = lanes
        .iter()
        .filter_map(|((kind, key), jobs)| {
            let head = jobs.first()?;
            let priority = jobs.iter().map(|j| j.priority).min().unwrap_or(head.priority);
            Some(vals![
                workspace.0,
                kind.as_str(),
                key.as_str(),
                head.scope.as_str(),
                priority,
                head.not_before,
                jobs.len() as i64,
                first_fence(now),
                ""
            ])
        })
        .collect();
    let ends: Vec<(String, String, i64)> = c
        .insert_many_returning(
            "INSERT INTO lane (workspace_id, kind, key, scope, priority, ready_at, next_seq, fence, owner)",
            "ON CONFLICT (workspace_id, kind, key) DO UPDATE SET next_seq = lane.next_seq + excluded.next_seq, \
             priority = CASE WHEN excluded.priority < lane.priority THEN excluded.priority ELSE lane.priority END \
             RETURNING kind, key, next_seq",
            rows,
        )
        .await?;
    Ok(ends.into_iter().map(|(kind, key, end)| ((kind, key), end)).collect())
}

/// Where the fence of a new lane starts: not where that of an earlier lane of the same name was, even when it lived and ended
/// in the same millisecond.
fn first_fence(now: Millis) -> i64 {
    static LIVES: AtomicI64 = AtomicI64::new(0);
    (now << 20) | ((LIVES.fetch_add(1, Ordering::Relaxed) & 0xFFF) << 8)
}

/// Leases ready lanes of one priority.
pub(crate) struct Lease<'a> {
    pub(crate) workspace: WorkspaceId,
    pub(crate) node: &'a str,
    pub(crate) kind: JobKind,
    pub(crate) scope: &'a str,
    pub(crate) now: Millis,
    pub(crate) lease_ms: Millis,
}

const PICKED_ON_SQLITE: &str = "workspace_id = $1 AND kind = $2 AND key IN (SELECT key FROM lane WHERE workspace_id = $1 \
     AND kind = $2 AND scope = $3 AND priority = $4 AND ready_at <= $5 ORDER BY ready_at LIMIT $8)";

/// An array is made once and its rows are found by place: a plain subquery may be evaluated again for every row and so take
/// more than the limit, and a join reads all lanes of a young table that has no statistics yet.
const PICKED_ON_POSTGRES: &str = "ctid = ANY (ARRAY(SELECT ctid FROM lane WHERE workspace_id = $1 AND kind = $2 \
     AND scope = $3 AND priority = $4 AND ready_at <= $5 ORDER BY ready_at LIMIT $8 FOR UPDATE SKIP LOCKED))";

impl Lease<'_> {
    pub(crate) async fn take(&self, c: &mut Conn, priority: i64, limit: i64) -> Result<Vec<Lane>, StoreError> {
        let rows: Vec<(String, i64)> = c
            .all(
                format!(
                    "UPDATE lane SET ready_at = $6, owner = $7, fence = fence + 1 WHERE {picked} RETURNING key, fence",
                    picked = if c.is_postgres() { PICKED_ON_POSTGRES } else { PICKED_ON_SQLITE }
                ),
                vals![
                    self.workspace.0,
                    self.kind.as_str(),
                    self.scope,
                    priority,
                    self.now,
                    self.now + self.lease_ms,
                    self.node,
                    limit
                ],
            )
            .await?;
        Ok(rows.into_iter().map(|(key, fence)| Lane { kind: self.kind, key, fence }).collect())
    }
}

#[derive(FromRow)]
pub(crate) struct JobRow {
    pub(crate) lane_key: String,
    seq: i64,
    payload: String,
    failures: i64,
    not_before: Millis,
    begun_at: Option<Millis>,
    created_at: Millis,
    pub(crate) message_id: Option<Uuid>,
}

impl JobRow {
    pub(crate) fn job(&self) -> Job {
        Job {
            seq: self.seq,
            payload: self.payload.clone(),
            failures: u32::try_from(self.failures).unwrap_or(u32::MAX),
            begun: self.begun_at.is_some(),
            begun_at: self.begun_at,
            created_at: self.created_at,
        }
    }
}

/// The head of each lane.
pub(crate) async fn heads(
    c: &mut Conn,
    workspace: WorkspaceId,
    kind: JobKind,
    lanes: &[Lane],
) -> Result<HashMap<String, JobRow>, StoreError> {
    let keys = lanes.iter().map(|l| vals![l.key.as_str()]).collect();
    let rows: Vec<JobRow> = c
        .select_in(
            // From the lane to its first job by the key: the cost doesn't grow with the length of the lane.
            "SELECT j.lane_key, j.seq, j.payload, j.failures, j.not_before, j.begun_at, j.created_at, j.message_id \
             FROM lane v CROSS JOIN job j WHERE j.workspace_id = v.workspace_id AND j.kind = v.kind AND j.lane_key = v.key \
             AND j.seq = (SELECT MIN(f.seq) FROM job f WHERE f.workspace_id = v.workspace_id AND f.kind = v.kind \
             AND f.lane_key = v.key) AND v.workspace_id = $1 AND v.kind = $2 AND ", &["v.key"],
            "",
            vals![workspace.0, kind.as_str()],
            keys,
        )
        .await?;
    Ok(rows.into_iter().map(|r| (r.lane_key.clone(), r)).collect())
}

/// Marks jobs as begun: whoever finds them so later knows that the outcome is unknown.
pub(crate) async fn begin(
    c: &mut Conn,
    workspace: WorkspaceId,
    kind: JobKind,
    now: Millis,
    jobs: &[(String, i64)],
) -> Result<(), StoreError> {
    c.change_many(
        "lane_key, seq",
        "UPDATE job SET begun_at = $3 FROM v WHERE job.workspace_id = $1 AND job.kind = $2 \
         AND job.lane_key = v.lane_key AND job.seq = v.seq",
        vals![workspace.0, kind.as_str(), now],
        jobs.iter().map(|(key, seq)| vals![key.as_str(), *seq]).collect(),
    )
    .await?;
    Ok(())
}

/// Claims lanes with several jobs each.
pub(crate) async fn claim(
    c: &mut Conn,
    lease: &Lease<'_>,
    lanes: usize,
    per_lane: usize,
) -> Result<Vec<ClaimedLane>, StoreError> {
    if crate::sends::held_until(c, lease.workspace, lease.scope).await? > lease.now {
        return Ok(Vec::new());
    }
    let mut leased = Vec::new();
    for priority in 0..3 {
        let room = lanes.saturating_sub(leased.len());
        if room > 0 {
            leased.extend(lease.take(c, priority, room as i64).await?);
        }
    }
    let mut claimed = Vec::with_capacity(leased.len());
    let mut begun = Vec::new();
    let keys = leased.iter().map(|l| vals![l.key.as_str()]).collect();
    // The first jobs of each lane by the key, so that a long lane costs no more than a short one.
    let first = if c.is_postgres() {
        "FROM lane v CROSS JOIN LATERAL (SELECT * FROM job f WHERE f.workspace_id = v.workspace_id AND f.kind = v.kind \
         AND f.lane_key = v.key ORDER BY f.seq LIMIT $3) j WHERE TRUE"
    } else {
        "FROM lane v CROSS JOIN job j WHERE j.workspace_id = v.workspace_id AND j.kind = v.kind AND j.lane_key = v.key \
         AND j.seq IN (SELECT f.seq FROM job f WHERE f.workspace_id = v.workspace_id AND f.kind = v.kind \
         AND f.lane_key = v.key ORDER BY f.seq LIMIT $3)"
    };
    let rows: Vec<JobRow> = c
        .select_in(
            &format!(
                "SELECT j.lane_key, j.seq, j.payload, j.failures, j.not_before, j.begun_at, j.created_at, j.message_id \
                 {first} AND v.workspace_id = $1 AND v.kind = $2 AND "
            ),
            &["v.key"],
            " ORDER BY j.lane_key, j.seq",
            vals![lease.workspace.0, lease.kind.as_str(), per_lane as i64],
            keys,
        )
        .await?;
    let mut by_lane: HashMap<String, Vec<Job>> = HashMap::new();
    let mut waits: HashSet<String> = HashSet::new();
    for row in rows {
        // What has to wait holds up what stands behind it: the order of a lane is never changed.
        if row.not_before > lease.now {
            waits.insert(row.lane_key.clone());
        }
        if waits.contains(&row.lane_key) {
            continue;
        }
        if row.begun_at.is_none() {
            begun.push((row.lane_key.clone(), row.seq));
        }
        by_lane.entry(row.lane_key.clone()).or_default().push(row.job());
    }
    for lane in leased {
        match by_lane.remove(&lane.key) {
            Some(jobs) => claimed.push(ClaimedLane { lane, jobs }),
            None => close(c, lease.workspace, lease.now, &[lane]).await?,
        }
    }
    begin(c, lease.workspace, lease.kind, lease.now, &begun).await?;
    Ok(claimed)
}

/// Keeps the settlements whose lane is still held under the same fence; locks those lanes.
pub(crate) async fn fenced(
    c: &mut Conn,
    workspace: WorkspaceId,
    node: &str,
    lanes: impl Iterator<Item = &Lane>,
) -> Result<HashSet<Held>, StoreError> {
    let lock = if c.is_postgres() { " ORDER BY key FOR UPDATE" } else { "" };
    let mut keys: Vec<&Lane> = lanes.collect();
    keys.sort_by(|a, b| a.key.cmp(&b.key));
    keys.dedup_by(|a, b| a.key == b.key);
    let keys = keys.into_iter().map(|l| vals![l.kind.as_str(), l.key.as_str()]).collect();
    let rows: Vec<(String, String, i64)> = c
        .select_in(
            "SELECT kind, key, fence FROM lane WHERE workspace_id = $1 AND owner = $2 AND ",
            &["kind", "key"],
            lock,
            vals![workspace.0, node],
            keys,
        )
        .await?;
    Ok(rows.into_iter().collect())
}

/// Kind, key and fence of a lane that is held.
pub(crate) type Held = (String, String, i64);

pub(crate) fn is_ours(held: &HashSet<Held>, lane: &Lane) -> bool {
    held.contains(&(lane.kind.as_str().to_owned(), lane.key.clone(), lane.fence))
}

/// Ends jobs of held lanes as decided and opens the lanes for what comes next.
pub(crate) async fn settle(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    ends: Vec<(Lane, i64, JobEnd)>,
) -> Result<(), StoreError> {
    let mut lanes: Vec<Lane> = Vec::new();
    for (lane, seq, end) in ends {
        let job = vals![workspace.0, lane.kind.as_str(), lane.key.as_str(), seq];
        match end {
            JobEnd::Done => {
                remove(c, job).await?;
            }
            JobEnd::PutBack(at) => {
                let vals = job.into_iter().chain([Val::from(at)]).collect();
                c.exec(format!("UPDATE job SET begun_at = NULL, not_before = $5 WHERE {JOB}"), vals).await?;
            }
            JobEnd::Retry(at, _) => {
                let vals = job.into_iter().chain([Val::from(at)]).collect();
                c.exec(
                    format!("UPDATE job SET begun_at = NULL, not_before = $5, failures = failures + 1 WHERE {JOB}"),
                    vals,
                )
                .await?;
            }
            JobEnd::Dead(error) => bury(c, job, now, &error).await?,
        }
        if !lanes.iter().any(|l| l.key == lane.key && l.kind == lane.kind) {
            lanes.push(lane);
        }
    }
    close(c, workspace, now, &lanes).await
}

const JOB: &str = "workspace_id = $1 AND kind = $2 AND lane_key = $3 AND seq = $4";

async fn remove(c: &mut Conn, job: Vec<Val>) -> Result<u64, StoreError> {
    c.exec(format!("DELETE FROM job WHERE {JOB}"), job).await
}

/// Moves a job to the dead letters.
pub(crate) async fn bury(c: &mut Conn, job: Vec<Val>, now: Millis, error: &CallError) -> Result<(), StoreError> {
    let id = Uuid::now_v7();
    let reason = serde_json::to_string(error).unwrap_or_default();
    let vals = job.iter().cloned().chain([Val::from(id), Val::from(reason), Val::from(now)]).collect();
    c.exec(
        format!(
            "INSERT INTO dead_letter (workspace_id, id, kind, lane_key, scope, priority, payload, message_id, failures, \
             error, created_at, died_at) SELECT workspace_id, $5, kind, lane_key, scope, priority, payload, message_id, \
             failures + 1, $6, created_at, $7 FROM job WHERE {JOB}"
        ),
        vals,
    )
    .await?;
    remove(c, job).await?;
    Ok(())
}

/// Opens held lanes for their next job, or removes them when there is none.
pub(crate) async fn close(c: &mut Conn, workspace: WorkspaceId, now: Millis, lanes: &[Lane]) -> Result<(), StoreError> {
    let keys: Vec<Vec<Val>> = lanes.iter().map(|l| vals![l.kind.as_str(), l.key.as_str()]).collect();
    let next: Vec<(String, String, Millis)> = c
        .select_in(
            "SELECT j.kind, j.lane_key, j.not_before FROM lane v CROSS JOIN job j WHERE j.workspace_id = v.workspace_id \
             AND j.kind = v.kind AND j.lane_key = v.key AND j.seq = (SELECT MIN(f.seq) FROM job f \
             WHERE f.workspace_id = v.workspace_id AND f.kind = v.kind AND f.lane_key = v.key) \
             AND v.workspace_id = $1 AND ", &["v.kind", "v.key"],
            "",
            vals![workspace.0],
            keys,
        )
        .await?;
    let next: HashMap<(String, String), Millis> = next.into_iter().map(|(k, l, at)| ((k, l), at)).collect();
    let (mut open, mut empty) = (Vec::new(), Vec::new());
    for lane in lanes {
        match next.get(&(lane.kind.as_str().to_owned(), lane.key.clone())) {
            Some(at) => open.push(vals![lane.kind.as_str(), lane.key.as_str(), (*at).max(now)]),
            None => empty.push(vals![lane.kind.as_str(), lane.key.as_str()]),
        }
    }
    c.change_many(
        "kind, key, ready",
        "UPDATE lane SET owner = '', ready_at = v.ready FROM v WHERE lane.workspace_id = $1 AND lane.kind = v.kind \
         AND lane.key = v.key",
        vals![workspace.0],
        open,
    )
    .await?;
    c.change_many(
        "kind, key",
        "DELETE FROM lane WHERE workspace_id = $1 AND (kind, key) IN (SELECT kind, key FROM v)",
        vals![workspace.0],
        empty,
    )
    .await?;
    Ok(())
}

/// The scopes of a kind that have lanes.
pub(crate) async fn scopes(c: &mut Conn, workspace: WorkspaceId, kind: JobKind) -> Result<Vec<String>, StoreError> {
    // A walk over the index from scope to scope: the cost is the number of scopes, not of lanes.
    let rows: Vec<(Option<String>,)> = c
        .all(
            "WITH RECURSIVE s(scope) AS (SELECT MIN(scope) FROM lane WHERE workspace_id = $1 AND kind = $2 \
             UNION ALL SELECT (SELECT MIN(l.scope) FROM lane l WHERE l.workspace_id = $1 AND l.kind = $2 AND l.scope > s.scope) \
             FROM s WHERE s.scope IS NOT NULL) SELECT scope FROM s WHERE scope IS NOT NULL",
            vals![workspace.0, kind.as_str()],
        )
        .await?;
    Ok(rows.into_iter().filter_map(|(scope,)| scope).collect())
}
