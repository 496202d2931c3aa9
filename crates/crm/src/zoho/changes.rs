//! What changed since a cursor: contacts in the order of (time of change, id), and what was deleted. Facts: crm-apis section 3.
//! Zoho keeps whole seconds, and a bulk change gives thousands of contacts one second: a page that ends inside a second goes on
//! behind the last id of that second. A look that finds nothing costs two calls.
//! A merge deletes its losers, which are told as deleted; who was merged is found again by our id or number. A lead that is
//! converted becomes a contact, which is told as new.
//! Failure story: reads only. Rounds overlap, for a change may be stamped earlier than it shows.

use super::CONTACTS;
use super::budget::Price;
use super::client::{Client, moment};
use super::query::{CHEAP_ROWS, id, quoted, rows, text, time};
use super::read::page_rows;
use ponte_domain::crm::{CrmChange, CrmChanges, CrmRecord};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::{DAY, MINUTE, Millis, SECOND};
use serde::{Deserialize, Serialize};

/// How far rounds overlap.
const OVERLAP: Millis = 5 * MINUTE;
/// Deleted records on a page, Zoho's most.
const GONE_PAGE: usize = 200;
/// Pages of deleted records that one look reads; behind them everything has to be read.
const GONE_PAGES: usize = 50;
/// The recycle bin keeps 60 days: what was deleted before a cursor as old as this may not be told any more.
const OLDEST: Millis = 55 * DAY;

/// Where the reader stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Changes from this time on; whole seconds, epoch milliseconds.
    at: Millis,
    /// The last id that was read of the second `at`; `None`: none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// When the round under way began; `None` between rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<Millis>,
    /// Deletions from this time on.
    gone: Millis,
}

impl Cursor {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A cursor at this moment.
pub(super) fn cursor_at(now: Millis) -> String {
    let at = second(now - OVERLAP);
    Cursor { at, id: None, began: None, gone: at }.text()
}

const fn second(at: Millis) -> Millis {
    at - at.rem_euclid(SECOND)
}

impl Client {
    /// Some of what changed.
    pub(super) async fn changed_contacts(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        let now = self.now();
        let at = read_cursor(cursor, now)?;
        let began = at.began.unwrap_or(now);
        // Mostly nothing has changed, and the first look should cost little.
        let rows = if at.began.is_some() { page_rows(fields) } else { CHEAP_ROWS };
        let mut found: Vec<CrmRecord> = Vec::new();
        if let Some(last) = at.id.as_deref().and_then(quoted) {
            let this_second = format!("(Modified_Time >= {0} and Modified_Time <= {0})", time(at.at));
            found = self.contacts_found(fields, format!("({this_second} and id > {last})"), "id", rows).await?;
        }
        if found.len() < rows {
            let compared = if at.id.is_some() { ">" } else { ">=" };
            let filter = format!("Modified_Time {compared} {}", time(at.at));
            let rest = self.contacts_found(fields, filter, "Modified_Time, id", rows).await?;
            // A contact that changed between the two questions comes once, as the newer.
            found.retain(|record| rest.iter().all(|newer| newer.id != record.id));
            let full = rest.len() >= rows;
            found.extend(rest);
            if !full {
                return self.round_ends(&at, began, found).await;
            }
        }
        let next = match found.last().and_then(|r| Some((r.modified_at?, r.id.clone()))) {
            Some((time, id)) => Cursor { at: second(time), id: Some(id), began: Some(began), gone: at.gone },
            // A page without times is no page of Zoho's; rather read again than pass anything.
            None => return Err(unreadable()),
        };
        let changes = found.into_iter().map(CrmChange::Record).collect();
        Ok(CrmChanges { changes, next: next.text(), more: true })
    }

    async fn round_ends(&self, at: &Cursor, began: Millis, found: Vec<CrmRecord>) -> Result<CrmChanges, CallError> {
        let gone = self.gone_since(at.gone).await?;
        let next = second(began - OVERLAP);
        let next = Cursor { at: next, id: None, began: None, gone: next };
        // Who is there as the last read shows is there, whatever a list of deletions remembers (it may have been restored).
        let there: Vec<String> = found.iter().map(|record| record.id.clone()).collect();
        let gone = gone.into_iter().filter(|id| !there.contains(id)).map(|id| CrmChange::Gone { id });
        let changes = found.into_iter().map(CrmChange::Record).chain(gone).collect();
        Ok(CrmChanges { changes, next: next.text(), more: false })
    }

    /// Ids of contacts that were deleted since, oldest first.
    async fn gone_since(&self, since: Millis) -> Result<Vec<String>, CallError> {
        let mut gone: Vec<(Millis, String)> = Vec::new();
        for page in 1..=GONE_PAGES {
            let path = format!("/{CONTACTS}/deleted?type=all&per_page={GONE_PAGE}&page={page}");
            let some = rows(self.get_since(&path, Price::DELETED, Some(since)).await?, "data");
            let full = some.len() >= GONE_PAGE;
            let when = |row| text(row, "deleted_time").and_then(moment).unwrap_or_default();
            gone.extend(some.iter().filter_map(|row| Some((when(row), id(row)?))));
            if !full {
                gone.sort();
                return Ok(gone.into_iter().map(|(_, id)| id).collect());
            }
        }
        Err(too_old("more contacts were deleted than one look can tell"))
    }
}

fn read_cursor(cursor: &str, now: Millis) -> Result<Cursor, CallError> {
    let Ok(at) = serde_json::from_str::<Cursor>(cursor) else {
        return Err(too_old("the place where reading of changes stood can't be read"));
    };
    if at.gone < now - OLDEST { Err(too_old("Zoho forgets what was deleted so long ago")) } else { Ok(at) }
}

fn too_old(why: &str) -> CallError {
    CallError::new(ErrorClass::Gone, "cursor_too_old", format!("{why}: everything is read again"))
}

fn unreadable() -> CallError {
    let title = "Zoho's list of contacts doesn't have the form expected";
    CallError::new(ErrorClass::Retryable { after_ms: None }, "answer_unreadable", title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_kept_and_ends_with_the_recycle_bin() {
        let now = 1_795_401_000_999;
        let cursor = read_cursor(&cursor_at(now), now).unwrap();
        assert_eq!(cursor, Cursor { at: 1_795_400_700_000, id: None, began: None, gone: 1_795_400_700_000 });
        let inside = Cursor { id: Some("5".into()), began: Some(now), ..cursor };
        assert_eq!(read_cursor(&inside.text(), now).unwrap(), inside);
        for (text, at) in [("", now), ("{}", now), (inside.text().as_str(), now + 60 * DAY)] {
            assert_eq!(read_cursor(text, at).unwrap_err().class, ErrorClass::Gone, "{text}");
        }
    }
}
