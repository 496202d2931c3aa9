//! One message object: inbound, echoed from the Business app, or of a history sync.

use super::{Change, content, notice_errors, party, short};
use crate::json::Object;
use ponte_domain::Millis;
use ponte_domain::identity::Party;
use ponte_domain::ids::Wamid;
use ponte_domain::inbound::{Edit, InboundMessage, Reaction, SystemChange};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What `kind` starts with when a message of a history sync was written by the business: `business:text`. Its party is
/// the person it was written to.
pub const HISTORY_BY_BUSINESS: &str = "business:";

/// Splits the `kind` of a history message: whether the business wrote it, and Meta's `type`.
#[must_use]
pub fn history_kind(kind: &str) -> (bool, &str) {
    kind.strip_prefix(HISTORY_BY_BUSINESS).map_or((false, kind), |kind| (true, kind))
}

/// Types of which this version knows what they hold (facts 2.4). `media_placeholder` comes in history syncs only,
/// `request_welcome` is gone since 2026-03-27, `voice` is older than `audio` with `voice: true`.
const KINDS: &[&str] = &[
    "audio",
    "button",
    "contacts",
    "document",
    "edit",
    "image",
    "interactive",
    "location",
    "media_placeholder",
    "order",
    "reaction",
    "request_welcome",
    "revoke",
    "sticker",
    "system",
    "text",
    "unsupported",
    "video",
    "voice",
];

/// Kinds that are content written by a person. Reactions and `unsupported` don't count: Meta doesn't say (facts 12.1).
const CONTENT: &[&str] = &[
    "audio",
    "button",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "order",
    "sticker",
    "text",
    "video",
    "voice",
];

/// Where the message stood.
pub(super) enum Origin<'t> {
    Inbound,
    Echo,
    /// `thread`: id of the thread, the person's phone or user id; missing for the media that follow.
    History {
        thread: Option<&'t str>,
    },
}

/// A message that could be read.
pub(super) struct Read {
    pub(super) message: InboundMessage,
    /// Meta's time, where said.
    pub(super) at: Option<Millis>,
    /// The object named by `type` is missing.
    pub(super) lacks_content: bool,
}

/// Reads one message. `alone`: it is the only one in its list.
///
/// The error is the reason why it can only be kept raw.
pub(super) fn read(
    context: &Change<'_>,
    raw: &RawValue,
    origin: &Origin<'_>,
    alone: bool,
) -> Result<Read, Cow<'static, str>> {
    let item = Object::read(raw).ok_or("a message is no object")?;
    let wamid = item.text("id").map(|id| Wamid::from(id.as_ref())).ok_or("a message has no id")?;
    let errors = notice_errors(&item.list("errors"));
    let kind = match item.text("type") {
        Some(kind) => kind,
        None if !errors.is_empty() => Cow::Borrowed("unsupported"),
        None => return Err("a message has no type".into()),
    };
    if !KINDS.contains(&kind.as_ref()) {
        return Err(format!("the message type {} is not known", short(&kind)).into());
    }
    let system = item.object("system").map(|system| system_change(&system));
    let by_business = written_by_business(context, &item, origin);
    let party = party_of(context, &item, origin, by_business, system.as_ref(), alone);
    if party.is_anonymous() && !matches!(origin, Origin::History { .. }) {
        return Err("a message says neither phone nor user id of the person".into());
    }
    let reaction = if kind == "reaction" { Some(reaction(&item)?) } else { None };
    let edit = if kind == "edit" { Some(edit(&item)?) } else { None };
    let revoke = if kind == "revoke" { Some(revoke(&item)?) } else { None };
    let reply = item.object("context");
    let group_id = item.string("group_id");
    let (said, at) = context.times(&item);
    let text = match &edit {
        Some(edit) => edit.text.clone(),
        None => content::text(&kind, &item),
    };
    let opens_window = matches!(origin, Origin::Inbound)
        && group_id.is_none()
        && CONTENT.contains(&kind.as_ref())
        && !content::is_permission_reply(&kind, &item);
    let message = InboundMessage {
        wamid,
        party,
        at,
        text,
        media: content::media(&kind, &item),
        reply_to: reply.as_ref().and_then(|c| c.text("id")).map(|id| Wamid::from(id.as_ref())),
        forwarded: reply.is_some_and(|c| c.flag("forwarded") || c.flag("frequently_forwarded")),
        reaction,
        edit,
        revoke,
        system: system.filter(|_| kind == "system"),
        group_id,
        referral: item.raw("referral").map(|r| r.get().to_owned()),
        shared_phone: content::shared_phone(&kind, &item),
        errors,
        opens_window,
        raw: raw.get().to_owned(),
        kind: if by_business { format!("{HISTORY_BY_BUSINESS}{kind}") } else { kind.as_ref().to_owned() },
    };
    let lacks_content = item.raw(&kind).is_none();
    Ok(Read { message, at: said, lacks_content })
}

/// Who it is about: the sender, or for what the business wrote the receiver.
fn party_of(
    context: &Change<'_>,
    item: &Object<'_>,
    origin: &Origin<'_>,
    by_business: bool,
    system: Option<&SystemChange>,
    alone: bool,
) -> Party {
    let mut party = Party::default();
    if let Origin::History { thread: Some(thread) } = origin {
        party::number(&mut party, Some(Cow::Borrowed(thread)));
    }
    if by_business || matches!(origin, Origin::Echo) {
        party::number(&mut party, item.text("to"));
        party::user(&mut party, item.text("to_user_id"));
        party::parent(&mut party, item.text("to_parent_user_id"));
        party::complete(&mut party, &context.contacts, alone);
        return party;
    }
    if let Some(change) = system {
        // The person as we knew them: old phone in `from`, old user id in `previous_user_id`.
        party::number(&mut party, item.text("from"));
        party::user(&mut party, change.previous_user_id.as_deref().map(Cow::Borrowed));
        party::user(&mut party, item.text("from_user_id"));
        if party.is_anonymous() {
            party::user(&mut party, change.user_id.as_deref().map(Cow::Borrowed));
            party::number(&mut party, change.wa_id.as_deref().map(Cow::Borrowed));
        }
        party::parent(&mut party, item.text("from_parent_user_id"));
        party::complete_names(&mut party, &context.contacts);
        return party;
    }
    party::number(&mut party, item.text("from"));
    party::user(&mut party, item.text("from_user_id"));
    party::parent(&mut party, item.text("from_parent_user_id"));
    party::complete(&mut party, &context.contacts, alone);
    party
}

/// In a history sync both sides speak: the business's own number is in `from`, or there is a `to`, or `from` is a phone
/// other than that of the thread.
fn written_by_business(context: &Change<'_>, item: &Object<'_>, origin: &Origin<'_>) -> bool {
    let Origin::History { thread } = origin else { return false };
    let mut from = Party::default();
    party::number(&mut from, item.text("from"));
    if from.wa_id.is_some() && from.wa_id == context.business {
        return true;
    }
    if item.text("to").is_some() || item.text("to_user_id").is_some() {
        return true;
    }
    let mut person = Party::default();
    party::number(&mut person, thread.map(Cow::Borrowed));
    context.business.is_none() && from.wa_id.is_some() && person.wa_id.is_some() && from.wa_id != person.wa_id
}

fn system_change(system: &Object<'_>) -> SystemChange {
    let mut new = Party::default();
    party::user(&mut new, system.text("user_id"));
    party::number(&mut new, system.text("wa_id"));
    SystemChange {
        kind: system.string("type").unwrap_or_default(),
        wa_id: new.wa_id,
        user_id: new.user_id,
        previous_user_id: system.string("previous_user_id"),
    }
}

fn target(object: &Object<'_>, key: &str) -> Option<Wamid> {
    object.text(key).map(|id| Wamid::from(id.as_ref()))
}

fn reaction(item: &Object<'_>) -> Result<Reaction, &'static str> {
    let reaction = item.object("reaction").ok_or("a reaction without its object")?;
    let target = target(&reaction, "message_id").ok_or("a reaction names no message")?;
    Ok(Reaction { target, emoji: reaction.string("emoji") })
}

fn edit(item: &Object<'_>) -> Result<Edit, &'static str> {
    let edit = item.object("edit").ok_or("an edit without its object")?;
    let target = target(&edit, "original_message_id").ok_or("an edit names no message")?;
    let raw = edit.raw("message").ok_or("an edit without the new message")?;
    let message = Object::read(raw).ok_or("the new message of an edit is no object")?;
    let text = message.text("type").and_then(|kind| content::text(&kind, &message));
    Ok(Edit { target, text, raw: raw.get().to_owned() })
}

fn revoke(item: &Object<'_>) -> Result<Wamid, &'static str> {
    let revoke = item.object("revoke").ok_or("a deletion without its object")?;
    target(&revoke, "original_message_id").ok_or("a deletion names no message")
}
