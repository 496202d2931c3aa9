//! What changed since a cursor: by the CRM's own filter, page by page, then what was deleted; or, where there is no filter, by reading all
//! contacts and comparing them with what was seen before.
//! Failure story: reads only. What was seen is kept in memory: after a start the first look tells everything as changed, which does no
//! harm, and no deletion. A record that a full look misses counts as deleted only when asking for it by id says so too.

use super::Http;
use super::client::Answer;
use super::config::{Operation, Walk};
use super::errors::Effect;
use super::paging::{Page, stuck};
use super::read::Reader;
use crate::described::cursor::{Cursor, Round};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ponte_domain::DAY;
use ponte_domain::crm::{CrmChange, CrmChanges, CrmRecord};
use ponte_domain::error::CallError;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::PoisonError;

/// What full looks have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A hash of each record, by id.
    known: HashMap<String, u64>,
    /// The look under way: when it began, and the ids it has met.
    looking: Option<(i64, HashSet<String>)>,
}

impl Seen {
    /// True when the record is new or not what it was.
    fn changed(&mut self, began: i64, record: &CrmRecord) -> bool {
        if let Some((_, met)) = self.looking.as_mut().filter(|(at, _)| *at == began) {
            met.insert(record.id.clone());
        }
        let mut hasher = DefaultHasher::new();
        (record.values.iter().map(Value::to_string).collect::<Vec<_>>(), record.person).hash(&mut hasher);
        let hash = hasher.finish();
        self.known.insert(record.id.clone(), hash) != Some(hash)
    }

    /// Ids that a whole look has not met, though one before it had.
    fn missed(&mut self, began: i64) -> Vec<String> {
        match self.looking.take() {
            Some((at, met)) if at == began => self.known.keys().filter(|id| !met.contains(*id)).cloned().collect(),
            // Begun before the program was started anew: what it met then isn't known.
            _ => Vec::new(),
        }
    }
}

impl Http {
    /// Some of what changed.
    pub(super) async fn changed(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        let config = &self.plan.config;
        let places = self.places(fields)?;
        let kept =
            config.keep_deletions_days.filter(|_| config.operations.deleted.is_some()).map(|d| i64::from(d) * DAY);
        let cursor = Cursor::read(cursor, self.client.crm_now_us(), kept)?;
        let Some(operation) = &config.operations.changes else { return self.looked_through(fields, cursor).await };
        let mut round = cursor.round.clone().unwrap_or_else(|| Round::new(self.client.crm_now_us()));
        let mut changes = Vec::new();
        if !round.deleted {
            let (answer, page) = self.since("changes", operation, &cursor, &round).await?;
            let reader = Reader::new(&self.plan, operation, &places)?;
            let rows = reader.rows(&answer);
            changes.extend(rows.iter().filter_map(|row| reader.change(row, &answer)));
            if let Some(next) = self.onward(operation, &reader, &rows, &answer, &round, &page, &cursor)? {
                return Ok(CrmChanges { changes, next: Cursor { round: Some(next), ..cursor }.text(), more: true });
            }
            round = Round { behind: None, page: None, deleted: true, ..round };
        }
        if let Some(operation) = &config.operations.deleted {
            let (answer, page) = self.since("deleted", operation, &cursor, &round).await?;
            let reader = Reader::new(&self.plan, operation, &[])?;
            let rows = reader.rows(&answer);
            let id = |row: &Value| reader.written_id(row, &answer);
            changes.extend(rows.iter().filter_map(|row| Some(CrmChange::Gone { id: id(row)? })));
            let last = rows.last().and_then(id);
            if let Some(next) = self.plan.next_page(&operation.paging, &page, &answer, rows.len(), last)? {
                let round = Round { page: next.text(), ..round };
                return Ok(CrmChanges { changes, next: Cursor { round: Some(round), ..cursor }.text(), more: true });
            }
        }
        Ok(CrmChanges { changes, next: cursor.ended(round.began).text(), more: false })
    }

    async fn since(
        &self,
        name: &str,
        operation: &Operation,
        cursor: &Cursor,
        round: &Round,
    ) -> Result<(Answer, Page), CallError> {
        let config = &self.plan.config;
        let floor = cursor.floor(i64::from(config.overlap_seconds) * ponte_domain::SECOND);
        let page = Page::read(round.page.as_deref());
        let mut context = json!({"since": self.since_context(floor, round.behind.as_ref())});
        self.plan.add_page(&mut context, operation, &page);
        let answer = self.client.call(name, operation, &context, &page, Effect::Repeatable).await?;
        Ok((answer, page))
    }

    /// `since` of templates: the time in every form that an API may want, and the id behind which a page begins.
    fn since_context(&self, floor: i64, behind: Option<&(Value, Value)>) -> Value {
        let us = behind.and_then(|(time, _)| self.plan.times.read_us(time)).unwrap_or(floor);
        let id = behind.and_then(|(_, id)| id.as_str()).unwrap_or_default();
        let at = Timestamp::from_microsecond(us).unwrap_or_default();
        let utc = at.to_zoned(TimeZone::UTC).datetime();
        let text = self.plan.times.write_us(us);
        json!({
            "raw": behind.map_or_else(|| text.clone(), |(time, _)| time.clone()),
            "text": text,
            "iso": format!("{at:.3}"),
            "s": us.div_euclid(1_000_000),
            "ms": us.div_euclid(1_000),
            "us": us,
            "year": utc.year(),
            "month": utc.month(),
            "day": utc.day(),
            "hour": utc.hour(),
            "minute": utc.minute(),
            "second": utc.second(),
            "microsecond": utc.subsec_nanosecond() / 1_000,
            "id": id,
            "id_number": id.parse::<i64>().unwrap_or(0),
        })
    }

    /// Where the round goes on; `None` at its end.
    #[expect(clippy::too_many_arguments, reason = "all of it decides where a page ends")]
    fn onward(
        &self,
        operation: &Operation,
        reader: &Reader<'_>,
        rows: &[Value],
        answer: &Answer,
        round: &Round,
        page: &Page,
        cursor: &Cursor,
    ) -> Result<Option<Round>, CallError> {
        let last = rows.last().and_then(|row| reader.id(row, answer));
        let next = self.plan.next_page(&operation.paging, page, answer, rows.len(), last.clone())?;
        let full = next.is_some() || rows.len() >= self.plan.config.page;
        let time = rows.last().map(|row| reader.modified(row, answer));
        let us = rows.last().and_then(|row| reader.modified_us(row, answer));
        Ok(match operation.walk {
            Walk::Pages => next.map(|next| Round { page: next.text(), ..round.clone() }),
            Walk::Keyset => {
                let (Some(time), Some(id), true) = (time, last, full) else { return Ok(None) };
                let behind = Some((time, json!(id)));
                if behind == round.behind {
                    return Err(stuck("changes"));
                }
                Some(Round { behind, page: None, ..round.clone() })
            }
            Walk::Time => {
                let overlap = i64::from(self.plan.config.overlap_seconds) * ponte_domain::SECOND;
                let begins = round.behind.as_ref().and_then(|(time, _)| self.plan.times.read_us(time));
                let begins = begins.unwrap_or_else(|| cursor.floor(overlap));
                let here =
                    round.behind.as_ref().map_or_else(|| self.plan.times.write_us(begins), |(time, _)| time.clone());
                let before = round.behind.as_ref().and_then(|(_, id)| id.as_str());
                let first = rows.first().and_then(|row| reader.id(row, answer));
                match (us, full, page, next) {
                    // The row that ended the page before isn't where it was: others have moved away, and what followed them has moved
                    // up, out of sight. The time is begun anew; it holds fewer rows with each that moves.
                    (_, _, Page::Offset(_), _) if before.is_some() && first.as_deref() != before => {
                        Some(Round { behind: Some((here, Value::Null)), page: None, ..round.clone() })
                    }
                    // A new beginning, so that rows that change meanwhile, and move to the end, push none of the others out of sight.
                    (Some(us), true, _, _) if us > begins => {
                        let behind = Some((time.unwrap_or_default(), Value::Null));
                        Some(Round { behind, page: None, ..round.clone() })
                    }
                    // Within one time by offset: the next page begins with the last row of this one.
                    (_, true, _, Some(Page::Offset(offset))) if rows.len() > 1 => {
                        let page = Page::Offset(offset.saturating_sub(1)).text();
                        Some(Round { behind: Some((here, json!(last))), page, ..round.clone() })
                    }
                    (_, true, _, next) => next.map(|next| Round { page: next.text(), ..round.clone() }),
                    (_, false, _, _) => None,
                }
            }
        })
    }

    /// Reads on through all contacts, and tells those that aren't what they were.
    async fn looked_through(&self, fields: &[String], cursor: Cursor) -> Result<CrmChanges, CallError> {
        let round = cursor.round.clone().unwrap_or_else(|| Round::new(self.client.crm_now_us()));
        if round.page.is_none() {
            self.seen().looking = Some((round.began, HashSet::new()));
        }
        let page = self.page(fields, round.page.as_deref()).await?;
        let mut changes: Vec<CrmChange> = {
            let mut seen = self.seen();
            let changed = page.records.into_iter().filter(|record| seen.changed(round.began, record));
            changed.map(CrmChange::Record).collect()
        };
        if page.next.is_some() {
            let next = Cursor { round: Some(Round { page: page.next, ..round }), ..cursor };
            return Ok(CrmChanges { changes, next: next.text(), more: true });
        }
        let missed = self.seen().missed(round.began);
        if !missed.is_empty() && self.plan.config.operations.get.is_some() {
            let now = self.by_id(&missed, &[]).await?;
            for (id, _) in missed.into_iter().zip(now).filter(|(_, record)| record.is_none()) {
                self.seen().known.remove(&id);
                changes.push(CrmChange::Gone { id });
            }
        }
        Ok(CrmChanges { changes, next: cursor.ended(round.began).text(), more: false })
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
