//! One status object: what became of a message we sent. Facts: whatsapp-api 2.5.

use super::{Change, millis, notice_errors, party};
use crate::json::Object;
use ponte_domain::Millis;
use ponte_domain::identity::Party;
use ponte_domain::ids::Wamid;
use ponte_domain::inbound::StatusUpdate;
use ponte_domain::status::Status;
use serde_json::value::RawValue;

/// Reads one status; with it, Meta's time where said. The error is the reason why it can only be kept raw.
pub(super) fn read(context: &Change<'_>, raw: &RawValue) -> Result<(Option<Millis>, StatusUpdate), &'static str> {
    let item = Object::read(raw).ok_or("a status is no object")?;
    let wamid = item.text("id").map(|id| Wamid::from(id.as_ref())).ok_or("a status names no message")?;
    if item.text("type").as_deref() == Some("call") {
        return Err("a status of a call stands among those of messages");
    }
    let (said, at) = context.times(&item);
    let (recipient, group_participant) = recipient(context, &item);
    let conversation = item.object("conversation");
    let status = StatusUpdate {
        wamid,
        status: item.text("status").and_then(|word| Status::parse(&word)),
        at,
        recipient,
        opaque: item.string("biz_opaque_callback_data"),
        group_participant,
        pricing: pricing(&item),
        free_entry_until: conversation.as_ref().and_then(free_entry_until),
        errors: notice_errors(&item.list("errors")),
        raw: raw.get().to_owned(),
    };
    Ok((said, status))
}

/// Who received it, and the group member when it is one member's status. In a group, `recipient_id` is the group.
fn recipient(context: &Change<'_>, item: &Object<'_>) -> (Party, Option<String>) {
    let mut party = Party::default();
    let participant = item.string("recipient_participant_id").or_else(|| item.string("recipient_participant_user_id"));
    if participant.is_some() || item.text("recipient_type").as_deref() == Some("group") {
        party::number(&mut party, item.text("recipient_participant_id"));
        party::user(&mut party, item.text("recipient_participant_user_id"));
        party::parent(&mut party, item.text("recipient_participant_parent_user_id"));
    } else {
        party::number(&mut party, item.text("recipient_id"));
        party::user(&mut party, item.text("recipient_user_id"));
        party::parent(&mut party, item.text("recipient_parent_user_id"));
        // Some drafts of Meta's own pages wrote it this way round.
        party::parent(&mut party, item.text("parent_recipient_user_id"));
    }
    party::complete(&mut party, &context.contacts, false);
    (party, participant)
}

fn pricing(item: &Object<'_>) -> Option<String> {
    let parts: Vec<String> = ["pricing", "conversation"]
        .into_iter()
        .filter_map(|key| item.raw(key).map(|raw| format!("\"{key}\":{}", raw.get())))
        .collect();
    (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(",")))
}

fn free_entry_until(conversation: &Object<'_>) -> Option<Millis> {
    let origin = conversation.object("origin")?;
    if origin.text("type")? != "referral_conversion" {
        return None;
    }
    conversation.text("expiration_timestamp").and_then(|t| millis(&t))
}
