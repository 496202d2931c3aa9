//! Folding what is about people's wishes and about the account, and keeping what isn't understood.

use super::Located;
use super::restriction_scope;
use super::state::{State, said};
use crate::event::EventKind;
use crate::inbound::{AccountNotice, Preference, Update};
use serde_json::json;

impl State<'_> {
    pub(super) fn preference(&mut self, update: &Update, p: &Preference) {
        let Some(person) = self.resolve(update, &p.party, p.at) else {
            let dedup = said(&["preference", &update.waba_id, &p.raw]);
            let data =
                json!({ "reason": "the preference names nobody", "field": update.field, "raw": p.raw }).to_string();
            self.event(EventKind::Unrecognised, None, None, None, update.number.clone(), Some(dedup), data);
            return;
        };
        let stopped = match p.value.as_str() {
            "stop" => Some(true),
            "resume" | "signup" => Some(false),
            _ => None,
        };
        if p.category == "marketing_messages"
            && let Some(stopped) = stopped
        {
            self.stop_marketing(person, stopped, p.at);
            self.preference_entry(person, stopped, p.at, &[&p.value]);
        }
        let dedup = said(&["preference", &person.to_string(), &p.category, &p.value, &p.at.to_string()]);
        let data = json!({ "category": p.category, "value": p.value, "at": p.at }).to_string();
        self.event(EventKind::PreferenceChanged, Some(person), None, None, update.number.clone(), Some(dedup), data);
    }

    pub(super) fn account(&mut self, located: &Located, notice: &AccountNotice) {
        let update = &located.update;
        let at = update.at.map(|at| at.to_string()).unwrap_or_default();
        let dedup = said(&["account", &update.waba_id, &update.field, &at, &notice.raw]);
        let data = json!({ "waba_id": update.waba_id, "field": update.field, "event": notice.event, "at": update.at,
            "journal": format!("{}.{}", located.segment, located.entry), "raw": notice.raw });
        let number = update.number.clone();
        self.event(EventKind::AccountNotice, None, None, None, number, Some(dedup), data.to_string());
        self.restrict(located, notice);
        // What the notice says is read from the source: one way of knowing, whatever order notices come in.
        if ["message_template_", "template_", "phone_number_"].iter().any(|about| update.field.starts_with(about)) {
            self.changes.accounts.insert(update.waba_id.clone());
        }
    }

    /// A restriction of business-initiated messages holds the account's numbers until it expires (facts 2.6, 8).
    fn restrict(&mut self, located: &Located, notice: &AccountNotice) {
        if located.update.field != "account_update" {
            return;
        }
        let value: serde_json::Value = serde_json::from_str(&notice.raw).unwrap_or_default();
        let restrictions =
            value.get("restriction_info").and_then(|r| r.as_array()).map(Vec::as_slice).unwrap_or_default();
        let until = restrictions
            .iter()
            .filter(|r| r.get("restriction_type").and_then(|t| t.as_str()).is_some_and(|t| t.ends_with("_MESSAGING")))
            .filter_map(|r| r.get("expiration")?.as_i64())
            .max()
            .map(|seconds| seconds.saturating_mul(1000))
            .filter(|until| *until > self.context.now);
        let Some(until) = until else { return };
        for number in self.context.directory.numbers_of(&located.update.waba_id) {
            self.changes.restrictions.push((restriction_scope(&number), until));
        }
    }

    pub(super) fn unrecognised(&mut self, located: &Located, reason: &str, raw: &str) {
        let update = &located.update;
        let dedup = said(&["unrecognised", &update.waba_id, &update.field, raw]);
        let data = json!({ "waba_id": update.waba_id, "field": update.field, "reason": reason,
            "journal": format!("{}.{}", located.segment, located.entry), "raw": raw });
        let number = update.number.clone();
        self.event(EventKind::Unrecognised, None, None, None, number, Some(dedup), data.to_string());
    }
}
