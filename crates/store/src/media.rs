//! Settling fetched files.

use crate::conn::{Conn, vals};
use crate::content::{self, STILL_KEPT};
use crate::events;
use crate::lanes;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::ids::{ConversationId, MessageId, PersonId, WorkspaceId};
use ponte_domain::ports::store::MediaEnd;
use serde_json::json;
use uuid::Uuid;

pub(crate) async fn settle(
    c: &mut Conn,
    workspace: WorkspaceId,
    node: &str,
    now: Millis,
    ends: &[MediaEnd],
) -> Result<u64, StoreError> {
    let held = lanes::fenced(c, workspace, node, ends.iter().map(|e| &e.lane)).await?;
    let (ours, lost): (Vec<_>, Vec<_>) = ends.iter().partition(|e| lanes::is_ours(&held, &e.lane));
    let mut jobs = Vec::with_capacity(ours.len());
    for end in ours {
        if let Some((key, bytes, mime_type)) = &end.stored {
            let taken = c
                .exec(
                    format!(
                        "UPDATE message_content SET media_key = $3, media_bytes = $4, media_type = $5 \
                         WHERE workspace_id = $1 AND message_id = $2 AND {STILL_KEPT}"
                    ),
                    vals![workspace.0, end.message.0, key.as_str(), *bytes, mime_type.clone()],
                )
                .await?;
            let data = json!({ "bytes": bytes, "mime_type": mime_type }).to_string();
            if taken > 0 {
                let event = stored(c, workspace, end.message, now, data).await?;
                events::append(c, workspace, vec![event]).await?;
            } else {
                // Its content was forgotten while the file was on its way.
                content::not_used(c, workspace, vec![key.clone()]).await?;
            }
        }
        jobs.push((end.lane.clone(), end.seq, end.end.clone()));
    }
    lanes::settle(c, workspace, now, jobs).await?;
    Ok(lost.len() as u64)
}

/// That a file is there, told in the thread of its message: whoever follows a person hears of it in order.
async fn stored(
    c: &mut Conn,
    workspace: WorkspaceId,
    message: MessageId,
    at: Millis,
    data: String,
) -> Result<NewEvent, StoreError> {
    let of: Option<(Uuid, Uuid, String)> = c
        .first(
            "SELECT person_id, conversation_id, number_id FROM message WHERE workspace_id = $1 AND id = $2",
            vals![workspace.0, message.0],
        )
        .await?;
    Ok(NewEvent {
        kind: EventKind::MediaStored,
        at,
        person: of.as_ref().map(|(person, ..)| PersonId(*person)),
        conversation: of.as_ref().map(|(_, conversation, _)| ConversationId(*conversation)),
        message: Some(message),
        number: of.map(|(.., number)| number.into()),
        dedup: None,
        data,
    })
}
