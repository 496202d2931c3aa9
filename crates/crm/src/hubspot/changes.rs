//! What changed since a cursor, by search. Facts: crm-apis section 1, "Search". HubSpot gives at most 10,000 rows of a search and
//! orders equal times as it likes, so a round reads a closed window of time in the order of record ids, and each page begins behind
//! the last id: any number of contacts that changed at the same instant is read whole.
//! Failure story: reads only. The cursor says where a round stands; windows overlap, for search shows changes late.

use super::batch::{Record, records};
use super::client::Client;
use super::read::{checked, record};
use super::schema::CONTACT_KEY;
use ponte_domain::crm::{CrmChange, CrmChanges};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::{MINUTE, Millis};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Rows of a page, HubSpot's most.
const PAGE: usize = 200;
/// How far windows overlap: search may be that late ("a few moments").
const OVERLAP: Millis = 5 * MINUTE;

/// Where the reader stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The window begins here.
    since: Millis,
    /// The window of the round under way ends here; `None` between rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Millis>,
    /// The last record id of the round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

impl Cursor {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A cursor at this moment.
pub(super) fn cursor_at(now: Millis) -> String {
    Cursor { since: now - OVERLAP, until: None, after: None }.text()
}

impl Client {
    /// One page of what changed.
    pub(super) async fn changed_contacts(
        &self,
        fields: &[String],
        cursor: &str,
        now: Millis,
    ) -> Result<CrmChanges, CallError> {
        checked(fields)?;
        let Ok(at) = serde_json::from_str::<Cursor>(cursor) else {
            let title = "the place where reading of changes stood can't be read: everything is read again";
            return Err(CallError::new(ErrorClass::Gone, "cursor_unreadable", title));
        };
        let until = at.until.unwrap_or(now);
        self.search_turn().await?;
        let answer = self.search(&self.objects("contacts/search"), &question(fields, &at, until)).await?;
        let found: Vec<Record> = records(answer)?;
        let last = found.iter().filter_map(|r| r.id.parse::<u64>().ok()).max();
        let full = found.len() >= PAGE;
        let next = match last.filter(|_| full) {
            Some(last) => Cursor { since: at.since, until: Some(until), after: Some(last.to_string()) },
            // A clock that was set back doesn't read half the past again.
            None => Cursor { since: at.since.max(until - OVERLAP), until: None, after: None },
        };
        Ok(CrmChanges {
            changes: found.iter().map(|r| CrmChange::Record(record(r, fields))).collect(),
            next: next.text(),
            more: full && last.is_some(),
        })
    }
}

fn question(fields: &[String], at: &Cursor, until: Millis) -> Value {
    let filter =
        |name: &str, operator: &str, value: String| json!({"propertyName": name, "operator": operator, "value": value});
    let mut filters = vec![
        filter("lastmodifieddate", "GTE", at.since.to_string()),
        filter("lastmodifieddate", "LTE", until.to_string()),
    ];
    filters.extend(at.after.as_ref().map(|id| filter("hs_object_id", "GT", id.clone())));
    let properties: Vec<&str> = fields.iter().map(String::as_str).chain([CONTACT_KEY]).collect();
    json!({
        "filterGroups": [{"filters": filters}],
        "properties": properties,
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "limit": PAGE,
    })
}
