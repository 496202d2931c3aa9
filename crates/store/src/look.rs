//! Looking: counts, messages. Reads only.

use crate::conn::{Conn, Val, vals};
use crate::rows::HeadRow;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{ConversationId, MessageId, PersonId, WorkspaceId};
use ponte_domain::message::shown_state;
use ponte_domain::ports::store::{MessageView, Overview, Queues};
use ponte_domain::{Millis, SECOND};
use serde_json::value::RawValue;
use sqlx::FromRow;

pub(crate) async fn queues(c: &mut Conn, workspace: WorkspaceId, now: Millis) -> Result<Queues, StoreError> {
    let w = vals![workspace.0];
    let journal: Option<(i64, Option<i64>)> = c
        .first(
            "SELECT CAST(COUNT(*) AS BIGINT), MIN(received_at) FROM journal_pending WHERE workspace_id = $1",
            w.clone(),
        )
        .await?;
    let (journal_pending, oldest) = journal.unwrap_or((0, None));
    Ok(Queues {
        journal_pending,
        journal_lag_ms: oldest.map_or(0, |at| (now - at).max(0)),
        jobs: c
            .all(
                "SELECT kind, CAST(COUNT(*) AS BIGINT) FROM job WHERE workspace_id = $1 GROUP BY kind ORDER BY kind",
                w.clone(),
            )
            .await?,
        dead_letters: c
            .all(
                "SELECT kind, CAST(COUNT(*) AS BIGINT) FROM dead_letter WHERE workspace_id = $1 GROUP BY kind ORDER BY kind",
                w,
            )
            .await?,
        nodes: nodes(c, now).await?,
    })
}

pub(crate) async fn overview(c: &mut Conn, workspace: WorkspaceId, now: Millis) -> Result<Overview, StoreError> {
    let w = vals![workspace.0];
    let queues = queues(c, workspace, now).await?;
    Ok(Overview {
        journal_pending: queues.journal_pending,
        journal_lag_ms: queues.journal_lag_ms,
        jobs: queues.jobs,
        dead_letters: queues.dead_letters,
        nodes: queues.nodes,
        messages: c
            .all(
                "SELECT CASE WHEN origin = 'customer' THEN 'in' ELSE 'out' END AS direction, phase, \
                 CAST(COUNT(*) AS BIGINT) FROM message WHERE workspace_id = $1 GROUP BY 1, 2 ORDER BY 1, 2",
                w.clone(),
            )
            .await?,
        people: count(c, "SELECT CAST(COUNT(*) AS BIGINT) FROM person WHERE workspace_id = $1", w.clone()).await?,
        conversations: count(c, "SELECT CAST(COUNT(*) AS BIGINT) FROM conversation WHERE workspace_id = $1", w.clone())
            .await?,
        crm_messages: count(
            c,
            "SELECT CAST(COUNT(*) AS BIGINT) FROM crm_message WHERE workspace_id = $1 AND crm_id IS NOT NULL",
            w.clone(),
        )
        .await?,
        crm_statuses: count(
            c,
            "SELECT CAST(COALESCE(SUM(statuses), 0) AS BIGINT) FROM crm_message WHERE workspace_id = $1",
            w.clone(),
        )
        .await?,
        unrecognised: count(
            c,
            "SELECT CAST(COUNT(*) AS BIGINT) FROM event WHERE workspace_id = $1 AND kind = 'webhook.unrecognised'",
            w,
        )
        .await?,
    })
}

async fn count(c: &mut Conn, sql: &'static str, vals: Vec<Val>) -> Result<i64, StoreError> {
    Ok(c.first::<(i64,)>(sql, vals).await?.map_or(0, |(n,)| n))
}

#[derive(FromRow)]
struct ViewRow {
    #[sqlx(flatten)]
    head: HeadRow,
    kind: String,
    body: Option<String>,
    content: String,
    reply_to: Option<String>,
    media_key: Option<String>,
    media_type: Option<String>,
}

impl ViewRow {
    fn read(self) -> Result<MessageView, StoreError> {
        let head = self.head.read()?;
        Ok(MessageView {
            id: head.id,
            conversation_id: head.conversation,
            person_id: head.person,
            number_id: head.number,
            wamid: head.wamid.map(|w| w.to_string()),
            origin: head.origin,
            kind: self.kind,
            text: self.body,
            content: RawValue::from_string(self.content)
                .map_err(|_| StoreError::Corrupt("message_content.content".into()))?,
            state: shown_state(head.phase, &head.stamps),
            phase: head.phase,
            stamps: head.stamps,
            class: head.class,
            reply_to: self.reply_to,
            at: head.at,
            edited_at: head.edited_at,
            withdrawn_at: head.withdrawn_at,
            error: head.error,
            media_key: self.media_key,
            media_type: self.media_type,
        })
    }
}

pub(crate) async fn messages(
    c: &mut Conn,
    workspace: WorkspaceId,
    conversation: Option<ConversationId>,
    id: Option<MessageId>,
    before: Option<MessageId>,
    limit: i64,
) -> Result<Vec<MessageView>, StoreError> {
    let mut sql = format!(
        "SELECT {}, t.kind, t.body, t.content, t.reply_to, t.media_key, t.media_type FROM message m JOIN message_content t \
         ON t.workspace_id = m.workspace_id AND t.message_id = m.id WHERE m.workspace_id = $1",
        HeadRow::COLUMNS
    );
    let mut values = vals![workspace.0, limit];
    let filters = [
        (conversation.map(|n| n.0), "m.conversation_id ="),
        (id.map(|m| m.0), "m.id ="),
        (before.map(|m| m.0), "m.id <"),
    ];
    for (value, test) in filters {
        if let Some(value) = value {
            values.push(Val::from(value));
            sql.push_str(&format!(" AND {test} ${}", values.len()));
        }
    }
    sql.push_str(" ORDER BY m.id DESC LIMIT $2");
    let rows: Vec<ViewRow> = c.all(sql, values).await?;
    rows.into_iter().map(ViewRow::read).collect()
}

/// All messages of a person, oldest first.
pub(crate) async fn messages_of(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
) -> Result<Vec<MessageView>, StoreError> {
    let sql = format!(
        "SELECT {}, t.kind, t.body, t.content, t.reply_to, t.media_key, t.media_type FROM message m JOIN message_content t \
         ON t.workspace_id = m.workspace_id AND t.message_id = m.id WHERE m.workspace_id = $1 AND m.person_id = $2 \
         ORDER BY m.at, m.id",
        HeadRow::COLUMNS
    );
    let rows: Vec<ViewRow> = c.all(sql, vals![workspace.0, person.0]).await?;
    rows.into_iter().map(ViewRow::read).collect()
}

/// Serving nodes that live.
pub(crate) async fn nodes(c: &mut Conn, now: Millis) -> Result<i64, StoreError> {
    count(c, "SELECT CAST(COUNT(*) AS BIGINT) FROM node WHERE seen_at > $1", vals![now - 10 * SECOND]).await
}
