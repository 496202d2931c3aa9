//! One change: which field it is, and which items it holds.

use super::message::{self, Origin};
use super::{Change, notice_errors, party, short, status};
use crate::json::{self, Object};
use ponte_domain::identity::Party;
use ponte_domain::inbound::{NoticeError, Preference, Update, UpdateKind};
use serde_json::value::RawValue;

/// Fields that are kept whole as notices (facts 2.6). `user_id_update` was withdrawn, but may still be subscribed.
const NOTICES: &[&str] = &[
    "account_alerts",
    "account_review_update",
    "account_settings_update",
    "account_update",
    "automatic_events",
    "business_capability_update",
    "business_status_update",
    "business_username_updates",
    "calls",
    "flows",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "message_echoes",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messaging_handovers",
    "partner_solutions",
    "payment_configuration_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "standby",
    "template_category_update",
    "template_correct_category_detection",
    "user_id_update",
];

/// Reads one change of any field.
pub(super) fn read<'a>(mut context: Change<'a>, raw: &'a RawValue, updates: &mut Vec<Update>) {
    let Some(value) = Object::read(raw) else {
        updates.push(context.unknown(raw.get(), "the value of a change is no object"));
        return;
    };
    if let Some(metadata) = value.object("metadata") {
        context.set_metadata(metadata.raw("display_phone_number"), metadata.raw("phone_number_id"));
    }
    let field = context.field.clone();
    match field.as_ref() {
        "messages" => items(context, raw, &value, &["messages", "statuses"], updates),
        "smb_message_echoes" => items(context, raw, &value, &["message_echoes"], updates),
        "history" => items(context, raw, &value, &["history", "messages"], updates),
        "user_preferences" => items(context, raw, &value, &["user_preferences"], updates),
        known if NOTICES.contains(&known) => updates.push(context.notice(event(&value), raw)),
        other => updates.push(context.unknown(raw.get(), format!("the field {} is not known", short(other)))),
    }
}

/// Reads the lists named; what else the value holds in lists is kept as unknown.
fn items<'a>(
    mut context: Change<'a>,
    raw: &'a RawValue,
    value: &Object<'a>,
    lists: &[&str],
    updates: &mut Vec<Update>,
) {
    context.contacts = party::contacts(&value.list("contacts"));
    let errors = notice_errors(&value.list("errors"));
    let before = updates.len();
    let mut errors_used = false;
    for (name, part) in value.iter() {
        if part.get() == "null" || matches!(name, "contacts" | "errors" | "metadata" | "messaging_product") {
            continue;
        }
        let wanted = lists.contains(&name);
        match json::list(part) {
            Some(found) if wanted => errors_used |= list(&context, name, &found, &errors, updates),
            Some(found) if found.is_empty() => {}
            Some(_) => updates.push(context.unknown(part.get(), format!("the list {} is not known here", short(name)))),
            None if wanted => updates.push(context.unknown(part.get(), format!("{name} is no list"))),
            None => {}
        }
    }
    if !errors.is_empty() && !errors_used {
        updates.push(context.notice(Some("error".to_owned()), raw));
    } else if updates.len() == before {
        updates.push(context.unknown(raw.get(), "a change without any item"));
    }
}

/// True when the errors of the value belong to one of the items.
fn list(
    context: &Change<'_>,
    name: &str,
    found: &[&RawValue],
    errors: &[NoticeError],
    updates: &mut Vec<Update>,
) -> bool {
    match (context.field.as_ref(), name) {
        ("messages", "messages") => return messages(context, found, errors, updates),
        ("messages", _) => statuses(context, found, updates),
        ("smb_message_echoes", _) => {
            updates.extend(found.iter().map(|raw| one_message(context, raw, &Origin::Echo, found.len() == 1).0));
        }
        ("history", "history") => found.iter().for_each(|raw| history(context, raw, updates)),
        ("history", _) => {
            let origin = Origin::History { thread: None };
            updates.extend(found.iter().map(|raw| one_message(context, raw, &origin, false).0));
        }
        _ => updates.extend(found.iter().map(|raw| preference(context, raw))),
    }
    false
}

/// Messages of the field `messages`. True when the errors of the value went to a message that lacks its content.
pub(super) fn messages(
    context: &Change<'_>,
    found: &[&RawValue],
    errors: &[NoticeError],
    updates: &mut Vec<Update>,
) -> bool {
    let mut used = false;
    for raw in found {
        let (mut update, lacks_content) = one_message(context, raw, &Origin::Inbound, found.len() == 1);
        if let UpdateKind::Message(message) = &mut update.kind
            && lacks_content
            && message.errors.is_empty()
        {
            message.errors.extend_from_slice(errors);
            used = true;
        }
        updates.push(update);
    }
    used
}

/// Statuses of the field `messages`.
pub(super) fn statuses(context: &Change<'_>, found: &[&RawValue], updates: &mut Vec<Update>) {
    for raw in found {
        updates.push(match status::read(context, raw) {
            Ok((at, status)) => context.update(at, UpdateKind::Status(Box::new(status))),
            Err(reason) => context.unknown(raw.get(), reason),
        });
    }
}

fn one_message(context: &Change<'_>, raw: &RawValue, origin: &Origin<'_>, alone: bool) -> (Update, bool) {
    match message::read(context, raw, origin, alone) {
        Ok(read) => {
            let message = Box::new(read.message);
            let kind = match origin {
                Origin::Inbound => UpdateKind::Message(message),
                Origin::Echo => UpdateKind::Echo(message),
                Origin::History { .. } => UpdateKind::History(message),
            };
            (context.update(read.at, kind), read.lacks_content)
        }
        Err(reason) => (context.unknown(raw.get(), reason), false),
    }
}

/// One chunk of a history sync: threads of messages. A chunk without messages still reports progress: a notice.
fn history(context: &Change<'_>, raw: &RawValue, updates: &mut Vec<Update>) {
    let Some(chunk) = Object::read(raw) else {
        updates.push(context.unknown(raw.get(), "a history chunk is no object"));
        return;
    };
    let before = updates.len();
    for thread_raw in chunk.list("threads") {
        let thread = Object::read(thread_raw);
        let messages = thread.as_ref().map(|t| t.list("messages")).unwrap_or_default();
        if messages.is_empty() {
            updates.push(context.unknown(thread_raw.get(), "a history thread has no messages"));
        }
        let id = thread.as_ref().and_then(|t| t.text("id"));
        let origin = Origin::History { thread: id.as_deref() };
        updates.extend(messages.iter().map(|raw| one_message(context, raw, &origin, false).0));
    }
    if updates.len() == before {
        let event = if chunk.list("errors").is_empty() { "history_progress" } else { "error" };
        updates.push(context.notice(Some(event.to_owned()), raw));
    }
}

fn preference(context: &Change<'_>, raw: &RawValue) -> Update {
    let Some(item) = Object::read(raw) else {
        return context.unknown(raw.get(), "a preference is no object");
    };
    let mut party = Party::default();
    party::number(&mut party, item.text("wa_id"));
    party::user(&mut party, item.text("user_id"));
    party::parent(&mut party, item.text("parent_user_id"));
    party::complete(&mut party, &context.contacts, true);
    let Some(value) = item.string("value") else {
        return context.unknown(raw.get(), "a preference without a value");
    };
    if party.is_anonymous() {
        return context.unknown(raw.get(), "a preference of no one");
    }
    let (said, at) = context.times(&item);
    let category = item.string("category").unwrap_or_default();
    let preference = Preference { party, category, value, at, raw: raw.get().to_owned() };
    context.update(said, UpdateKind::Preference(preference))
}

/// What a notice is about, in Meta's word, from wherever the field keeps it.
fn event(value: &Object<'_>) -> Option<String> {
    let first =
        |name: &str, key: &str| value.list(name).first().and_then(|raw| Object::read(raw)).and_then(|o| o.string(key));
    value
        .string("event")
        .or_else(|| value.string("decision"))
        .or_else(|| value.object("alert_info").and_then(|alert| alert.string("alert_type")))
        .or_else(|| value.string("alert_type"))
        .or_else(|| value.string("new_quality_score"))
        .or_else(|| value.string("new_category"))
        .or_else(|| value.string("correct_category"))
        .or_else(|| first("calls", "event"))
        .or_else(|| first("groups", "type"))
        .or_else(|| first("statuses", "status"))
        .or_else(|| first("errors", "code").map(|_| "error".to_owned()))
        .or_else(|| value.string("status"))
}
