//! Settling fetched files.

use crate::conn::{Conn, vals};
use crate::content::{self, STILL_KEPT};
use crate::events;
use crate::lanes;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::store::MediaEnd;
use serde_json::json;

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
            let event = NewEvent {
                kind: EventKind::MediaStored,
                at: now,
                person: None,
                conversation: None,
                message: Some(end.message),
                number: None,
                dedup: None,
                data,
            };
            if taken > 0 {
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
