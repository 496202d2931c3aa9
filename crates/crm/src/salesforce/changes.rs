//! What changed since a cursor, by query. Facts: crm-apis section 2, "Incremental read". Times have seconds, thousands of records may
//! share one, and a record may appear with an older time than others seen already, when its transaction was long. So a round reads in
//! the order of (SystemModstamp, Id), each page begins behind the last pair, and rounds overlap by ten minutes, the longest a
//! transaction lasts. Because of the overlap a round needs no distance to the present.
//! Deleted and merged records are in the same query (`queryAll`), converted leads are leads with a successor.
//! Failure story: reads only. The cursor says where a round stands. Salesforce keeps deleted records for 15 days: a cursor older than
//! that is refused as too old, and everything has to be read.

use super::Salesforce;
use super::config::SalesforceObject;
use super::read::{PAGE, State, checked, columns, id_of, record, state};
use super::soql::{moment, quoted, time};
use ponte_domain::crm::{CrmChange, CrmChanges};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::{HOUR, MINUTE, Millis};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far rounds overlap.
const OVERLAP: Millis = 10 * MINUTE;
/// A round ends here behind its beginning: Salesforce's clock may be ahead of ours.
const AHEAD: Millis = MINUTE;
/// How long deleted records can be asked for, less a day.
const KEPT: Millis = 14 * 24 * HOUR;

/// Where the reader stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The round begins with this time of change.
    since: Millis,
    /// When the round under way began, by our clock; `None` between rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<Millis>,
    /// The round is at the contacts that leads became.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    second: bool,
    /// Time of change and id of the last record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<(Millis, String)>,
}

impl Cursor {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn condition(&self, began: Millis) -> String {
        let until = time(began + AHEAD);
        match &self.last {
            None => format!("SystemModstamp >= {} AND SystemModstamp < {until}", time(self.since)),
            Some((at, id)) => {
                let (at, id) = (time(*at), quoted(id));
                format!(
                    "SystemModstamp >= {at} AND SystemModstamp < {until} AND \
                     (SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {id}))"
                )
            }
        }
    }
}

/// A cursor at this moment.
pub(super) fn cursor_at(now: Millis) -> String {
    Cursor { since: now - OVERLAP, began: None, second: false, last: None }.text()
}

impl Salesforce {
    /// One page of what changed.
    pub(super) async fn changed(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        checked(fields)?;
        let now = self.client.now();
        let mut at: Cursor = serde_json::from_str(cursor).map_err(|_| {
            let title = "the place where reading of changes stood can't be read: everything is read again";
            CallError::new(ErrorClass::Gone, "cursor_unreadable", title)
        })?;
        if at.since < now - KEPT {
            let title = "Salesforce has forgotten what was deleted since the last reading: everything is read again";
            return Err(CallError::new(ErrorClass::Gone, "cursor_too_old", title));
        }
        let began = *at.began.get_or_insert(now);
        let mut changes = Vec::new();
        loop {
            let object = self.people().get(usize::from(at.second)).copied().unwrap_or(self.client.config.object);
            let shape = self.shapes.of(&self.client, object.name()).await?;
            // A deleted or converted lead counts, a contact only when it was linked.
            let ours = match (self.client.config.object, object) {
                (SalesforceObject::Lead, SalesforceObject::Contact) => " AND Ponte_Id__c != null",
                _ => "",
            };
            let columns = columns(fields, object, self.client.config.object, &shape);
            let soql = format!(
                "SELECT {columns} FROM {} WHERE {}{ours} ORDER BY SystemModstamp, Id LIMIT {PAGE}",
                object.name(),
                at.condition(began)
            );
            let found = self.client.query(&soql, true).await?;
            changes.extend(found.records.iter().filter_map(|row| {
                let id = id_of(row)?;
                Some(match state(row) {
                    State::Live => CrmChange::Record(record(row, fields, &shape, now)?),
                    State::Became(into) => CrmChange::Merged { from: id, into },
                    State::Gone => CrmChange::Gone { id },
                })
            }));
            let full = found.records.len() >= PAGE || !found.done;
            let last = found.records.last().and_then(|row| {
                Some((row.get("SystemModstamp").and_then(Value::as_str).and_then(moment)?, id_of(row)?))
            });
            if full && last.is_some() {
                at.last = last;
                return Ok(CrmChanges { changes, next: at.text(), more: true });
            }
            at.last = None;
            if at.second || self.people().len() < 2 {
                // A clock that was set back doesn't read half the past again.
                let since = at.since.max(began - OVERLAP);
                let next = Cursor { since, began: None, second: false, last: None };
                return Ok(CrmChanges { changes, next: next.text(), more: false });
            }
            at.second = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_behind_the_last_pair() {
        let last = Some((1_795_401_000_000, "0035g00000000A1AAI".to_owned()));
        let cursor = Cursor { since: 0, began: Some(1), second: false, last };
        let condition = cursor.condition(1_795_401_060_000);
        assert!(condition.contains("SystemModstamp < 2026-11-23T02:32:00Z"), "{condition}");
        assert!(
            condition.contains(
                "(SystemModstamp > 2026-11-23T02:30:00Z OR (SystemModstamp = 2026-11-23T02:30:00Z AND Id > '0035g00000000A1AAI'))"
            ),
            "{condition}"
        );
        assert_eq!(serde_json::from_str::<Cursor>(&cursor.text()).unwrap(), cursor);
    }
}
