//! Reading from CRMs: where each connection stands, its runs, what was left out, and the pages that are applied.
//! Failure story: a page, its links and the cursor behind it are one transaction: killed before, it is read again; after, it is
//! behind the cursor.

mod facts;
mod pull;
mod push;
mod runs;
mod sending;

pub(crate) use facts::facts;
pub(crate) use runs::file as file_skips;
pub(crate) use sending::{forget as forget_sending, of_people as sent};

use crate::SqlStore;
use crate::conn::{Conn, Val, vals};
use crate::store::write;
use crate::{lanes, leases};
use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::crm::CrmHint;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{ConnectionId, PersonId, WorkspaceId};
use ponte_domain::job::{JobEnd, JobKind, Lane, NewJob};
use ponte_domain::mapping::pull::{Counts, Pulled};
use ponte_domain::ports::store::Lease;
use ponte_domain::ports::sync::{
    CrmSync, Linked, PullFn, PullPage, PushPage, Pushed, RunKind, Sending, Skipped, SyncPatch, SyncRun, SyncState,
};
use sqlx::FromRow;
use std::sync::Arc;
use uuid::Uuid;

#[async_trait]
impl CrmSync for SqlStore {
    async fn sync_state(&self, workspace: WorkspaceId, connection: &ConnectionId) -> Result<SyncState, StoreError> {
        state(&mut self.reader().await?, workspace, connection).await
    }

    async fn sync_patch(
        &self,
        workspace: WorkspaceId,
        lease: Option<Lease>,
        connection: &ConnectionId,
        sync_patch: SyncPatch,
        now: Millis,
    ) -> Result<(), StoreError> {
        let connection = connection.clone();
        write!(self, (lease, connection, sync_patch), |c| {
            if let Some(lease) = lease.as_ref() {
                leases::still_ours(c, workspace, lease).await?;
            }
            patch(c, workspace, &connection, &sync_patch, now).await
        })
    }

    async fn run_begin(
        &self,
        workspace: WorkspaceId,
        lease: Lease,
        connection: &ConnectionId,
        run: Uuid,
        kind: RunKind,
        now: Millis,
    ) -> Result<(), StoreError> {
        let connection = connection.clone();
        write!(self, (lease, connection), |c| {
            leases::still_ours(c, workspace, &lease).await?;
            runs::begin(c, workspace, &connection, run, kind, now).await?;
            let begun = SyncPatch { run: Some(Some(run)), wanted: Some(None), ..SyncPatch::default() };
            patch(c, workspace, &connection, &begun, now).await
        })
    }

    async fn run_end(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        run: Uuid,
        error: Option<String>,
        calls: i64,
        now: Millis,
    ) -> Result<(), StoreError> {
        let connection = connection.clone();
        write!(self, (connection, error), |c| {
            runs::end(c, workspace, run, error.as_deref(), calls, now).await?;
            let ended = SyncPatch { run: Some(None), ..SyncPatch::default() };
            patch(c, workspace, &connection, &ended, now).await
        })
    }

    async fn sync_runs(
        &self,
        workspace: WorkspaceId,
        connection: Option<&ConnectionId>,
        limit: i64,
    ) -> Result<Vec<SyncRun>, StoreError> {
        runs::list(&mut self.reader().await?, workspace, connection, limit).await
    }

    async fn pull(
        &self,
        workspace: WorkspaceId,
        lease: Option<Lease>,
        page: PullPage,
        decide: PullFn,
    ) -> Result<(Counts, Vec<(PersonId, PersonId)>), StoreError> {
        write!(self, (lease, page, decide), |c| {
            if let Some(lease) = lease.as_ref() {
                leases::still_ours(c, workspace, lease).await?;
            }
            pull::apply(c, workspace, &page, &decide).await
        })
    }

    async fn pull_look(&self, workspace: WorkspaceId, page: PullPage, decide: PullFn) -> Result<Pulled, StoreError> {
        pull::look(&mut self.reader().await?, workspace, &page, &decide).await
    }

    async fn skipped(
        &self,
        workspace: WorkspaceId,
        connection: Option<&ConnectionId>,
        limit: i64,
    ) -> Result<Vec<Skipped>, StoreError> {
        runs::skipped(&mut self.reader().await?, workspace, connection, limit).await
    }

    async fn linked(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Linked>, StoreError> {
        facts::linked(&mut self.reader().await?, workspace, connection, after, limit).await
    }

    async fn triggers_known(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
    ) -> Result<Vec<String>, StoreError> {
        let mut c = self.reader().await?;
        let rows: Vec<(String,)> = c
            .all(
                "SELECT name FROM crm_trigger WHERE workspace_id = $1 AND connection = $2 AND crm_id = ''",
                vals![workspace.0, connection.as_str()],
            )
            .await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    async fn triggers_read(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        names: Vec<String>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let connection = connection.clone();
        write!(self, (connection, names), |c| {
            let row = |name: &String| vals![workspace.0, connection.as_str(), name.as_str(), "", "", now];
            pull::found(c, names.iter().map(row).collect()).await
        })
    }

    async fn sending(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        rows: Vec<Sending>,
    ) -> Result<(), StoreError> {
        let connection = connection.clone();
        write!(self, (connection, rows), |c| sending::remember(c, workspace, &connection, &rows).await)
    }

    async fn push_begin(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        run: Uuid,
        now: Millis,
    ) -> Result<Uuid, StoreError> {
        let connection = connection.clone();
        write!(self, (connection), |c| push::begin(c, workspace, &connection, run, now).await)
    }

    async fn push_page(
        &self,
        workspace: WorkspaceId,
        lease: Lease,
        connection: &ConnectionId,
        page: PushPage,
        now: Millis,
    ) -> Result<Pushed, StoreError> {
        let connection = connection.clone();
        write!(self, (lease, connection, page), |c| push::page(c, workspace, &lease, &connection, &page, now).await)
    }

    async fn writes_left(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        until: Millis,
    ) -> Result<i64, StoreError> {
        push::left(&mut self.reader().await?, workspace, connection, until).await
    }

    async fn file_notices(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        hints: Vec<CrmHint>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let connection = connection.clone();
        write!(self, (connection, hints), |c| {
            lanes::enqueue(c, workspace, now, notices(&connection, &hints, now)).await
        })
    }

    async fn settle_jobs(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        ends: Vec<(Lane, i64, JobEnd)>,
    ) -> Result<(), StoreError> {
        let node = Arc::clone(&self.node);
        write!(self, (ends, node), |c| {
            let held = lanes::fenced(c, workspace, &node, ends.iter().map(|(lane, ..)| lane)).await?;
            let ours = ends.iter().filter(|(lane, ..)| lanes::is_ours(&held, lane)).cloned().collect();
            lanes::settle(c, workspace, now, ours).await
        })
    }

    async fn sync_counts(&self, workspace: WorkspaceId, connection: &ConnectionId) -> Result<(i64, i64), StoreError> {
        let mut c = self.reader().await?;
        let mut count = async |table: &str| -> Result<i64, StoreError> {
            let sql =
                format!("SELECT CAST(COUNT(*) AS BIGINT) FROM {table} WHERE workspace_id = $1 AND connection = $2");
            let row: Option<(i64,)> = c.first(sql, vals![workspace.0, connection.as_str()]).await?;
            Ok(row.map_or(0, |(n,)| n))
        };
        Ok((count("crm_contact").await?, count("crm_skip").await?))
    }
}

/// Jobs that look into what a CRM told of.
fn notices(connection: &ConnectionId, hints: &[CrmHint], now: Millis) -> Vec<NewJob> {
    let job = |hint: &CrmHint| {
        let record = match hint {
            CrmHint::Changed { id } | CrmHint::Gone { id } | CrmHint::Merged { from: id, .. } => id,
            CrmHint::Look => "",
        };
        let payload = serde_json::to_string(hint).ok()?;
        Some(NewJob {
            kind: JobKind::Notice,
            lane: format!("{connection}/{record}"),
            scope: connection.to_string(),
            priority: 0,
            not_before: now,
            dedup: Some(payload.clone()),
            payload,
        })
    };
    hints.iter().filter_map(job).collect()
}

#[derive(FromRow)]
struct StateRow {
    position: Option<String>,
    page: Option<String>,
    run_id: Option<Uuid>,
    wanted: Option<String>,
    push_run: Option<Uuid>,
    next_at: Option<Millis>,
    paused_at: Option<Millis>,
    paused_by: Option<String>,
}

async fn state(c: &mut Conn, workspace: WorkspaceId, connection: &ConnectionId) -> Result<SyncState, StoreError> {
    let row: Option<StateRow> = c
        .first(
            "SELECT position, page, run_id, wanted, push_run, next_at, paused_at, paused_by FROM crm_sync \
             WHERE workspace_id = $1 AND connection = $2",
            vals![workspace.0, connection.as_str()],
        )
        .await?;
    Ok(row.map_or_else(SyncState::default, |r| SyncState {
        cursor: r.position,
        page: r.page,
        run: r.run_id,
        wanted: r.wanted.as_deref().and_then(RunKind::parse),
        pushing: r.push_run,
        next_at: r.next_at,
        paused_at: r.paused_at,
        paused_by: r.paused_by,
    }))
}

async fn patch(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    patch: &SyncPatch,
    now: Millis,
) -> Result<(), StoreError> {
    let key = || vals![workspace.0, connection.as_str(), now];
    c.exec(
        "INSERT INTO crm_sync (workspace_id, connection, changed_at) VALUES ($1, $2, $3) \
         ON CONFLICT (workspace_id, connection) DO UPDATE SET changed_at = excluded.changed_at",
        key(),
    )
    .await?;
    let mut changes: Vec<(&str, Val)> = Vec::new();
    changes.extend(patch.cursor.as_ref().map(|cursor| ("position", cursor.as_str().into())));
    changes.extend(patch.page.as_ref().map(|page| ("page", page.clone().into())));
    changes.extend(patch.run.map(|run| ("run_id", run.into())));
    changes.extend(patch.wanted.map(|wanted| ("wanted", wanted.map(|w| w.as_str().to_owned()).into())));
    changes.extend(patch.next_at.map(|at| ("next_at", at.into())));
    if let Some(paused) = &patch.paused {
        changes.push(("paused_at", paused.as_ref().map(|(at, _)| *at).into()));
        changes.push(("paused_by", paused.as_ref().map(|(_, by)| by.clone()).into()));
    }
    if changes.is_empty() {
        return Ok(());
    }
    let set: Vec<String> = changes.iter().zip(3..).map(|((column, _), n)| format!("{column} = ${n}")).collect();
    let sql = format!("UPDATE crm_sync SET {} WHERE workspace_id = $1 AND connection = $2", set.join(", "));
    let key = vals![workspace.0, connection.as_str()];
    c.exec(sql, key.into_iter().chain(changes.into_iter().map(|(_, value)| value)).collect()).await?;
    Ok(())
}
