//! What the webhook tests share: the fixtures, and updates as JSON to compare with.
//! A fixture is a list of cases: `field` and `value` of one change (or a whole `body`), and what each update must say.
#![allow(dead_code)]

use ponte_domain::identity::Party;
use ponte_domain::inbound::{InboundMessage, NoticeError, Update, UpdateKind};
use serde_json::{Value, json};

pub const FIXTURES: &[&str] = &[
    include_str!("../fixtures/messages.json"),
    include_str!("../fixtures/interactive.json"),
    include_str!("../fixtures/identity.json"),
    include_str!("../fixtures/statuses.json"),
    include_str!("../fixtures/coexistence.json"),
    include_str!("../fixtures/account.json"),
    include_str!("../fixtures/odd.json"),
];

pub struct Case {
    pub name: String,
    pub body: Value,
    pub expect: Vec<Value>,
    pub any_order: bool,
}

pub fn cases() -> Vec<Case> {
    let lists = FIXTURES.iter().map(|text| serde_json::from_str::<Vec<Value>>(text).expect("a fixture is a list"));
    lists.flatten().map(case).collect()
}

fn case(case: Value) -> Case {
    let body = case.get("body").cloned().unwrap_or_else(|| {
        let mut entry = json!({"id": "700100", "changes": [{"field": case["field"], "value": case["value"]}]});
        if let Some(time) = case.get("time") {
            entry["time"] = time.clone();
        }
        json!({"object": "whatsapp_business_account", "entry": [entry]})
    });
    Case {
        name: case["name"].as_str().expect("a name").to_owned(),
        body,
        expect: case["expect"].as_array().expect("expect").clone(),
        any_order: case.get("any_order").is_some(),
    }
}

/// An update as JSON, raw parts left out.
pub fn shown(update: &Update) -> Value {
    let mut shown = match &update.kind {
        UpdateKind::Message(m) => message("message", m),
        UpdateKind::Echo(m) => message("echo", m),
        UpdateKind::History(m) => message("history", m),
        UpdateKind::Status(s) => json!({
            "is": "status", "wamid": s.wamid, "status": s.status, "at": s.at, "recipient": party(&s.recipient),
            "opaque": s.opaque, "group_participant": s.group_participant, "free_entry_until": s.free_entry_until,
            "pricing": s.pricing.as_deref().map(|p| serde_json::from_str::<Value>(p).expect("pricing is JSON")),
            "errors": errors(&s.errors),
        }),
        UpdateKind::Preference(p) => json!({
            "is": "preference", "party": party(&p.party), "category": p.category, "value": p.value, "at": p.at,
        }),
        UpdateKind::Account(a) => json!({"is": "account", "event": a.event}),
        UpdateKind::Unknown(u) => json!({"is": "unknown", "reason": u.reason}),
    };
    shown["waba"] = json!(update.waba_id);
    shown["number"] = json!(update.number);
    shown["field"] = json!(update.field);
    shown["update_at"] = json!(update.at);
    shown
}

fn message(is: &str, m: &InboundMessage) -> Value {
    json!({
        "is": is, "wamid": m.wamid, "party": party(&m.party), "at": m.at, "kind": m.kind, "text": m.text, "media": m.media,
        "reply_to": m.reply_to, "forwarded": m.forwarded, "opens_window": m.opens_window, "group_id": m.group_id,
        "reaction": m.reaction.as_ref().map(|r| json!({"target": r.target, "emoji": r.emoji})),
        "edit": m.edit.as_ref().map(|e| json!({"target": e.target, "text": e.text})),
        "revoke": m.revoke, "has_referral": m.referral.is_some(), "shared_phone": m.shared_phone, "errors": errors(&m.errors),
        "system": m.system.as_ref().map(|s| json!({
            "kind": s.kind, "wa_id": s.wa_id, "user_id": s.user_id, "previous_user_id": s.previous_user_id})),
    })
}

fn party(p: &Party) -> Value {
    json!({"wa_id": p.wa_id, "user_id": p.user_id, "parent_user_id": p.parent_user_id, "username": p.username, "name": p.name})
}

fn errors(errors: &[NoticeError]) -> Value {
    errors.iter().map(|e| json!({"code": e.code, "title": e.title, "details": e.details})).collect()
}

/// The raw JSON that every update keeps.
pub fn raw(update: &Update) -> &str {
    match &update.kind {
        UpdateKind::Message(m) | UpdateKind::Echo(m) | UpdateKind::History(m) => &m.raw,
        UpdateKind::Status(s) => &s.raw,
        UpdateKind::Preference(p) => &p.raw,
        UpdateKind::Account(a) => &a.raw,
        UpdateKind::Unknown(u) => &u.raw,
    }
}

/// Where `shown` differs from what is expected of it.
pub fn difference(shown: &Value, expect: &Value) -> Option<String> {
    let expect = expect.as_object().expect("an expectation is an object");
    expect.iter().find_map(|(key, wanted)| {
        let got = &shown[key];
        let same = match key.as_str() {
            "reason" => got.as_str().unwrap_or_default().contains(wanted.as_str().expect("a reason")),
            _ => got == wanted,
        };
        (!same).then(|| format!("{key}: expected {wanted}, got {got}"))
    })
}
