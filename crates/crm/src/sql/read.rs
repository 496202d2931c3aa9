//! Reads contacts: pages by id, changes by time and id, records by id.
//! Failure story: reads only. The place behind the last row is kept in the column's own form, so that nothing is lost between the
//! precision of the database and ours, and any number of rows with one time is read whole.

use super::contacts::params;
use super::values::Record;
use super::{Sql, text_of};
use crate::described::cursor::{Cursor, Round};
use crate::described::unknown_field;
use futures_util::StreamExt;
use ponte_domain::DAY;
use ponte_domain::crm::{CrmChange, CrmChanges, CrmKind, CrmPage, CrmRecord};
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};

/// How often a merged record is followed on.
const MOST_HOPS: usize = 5;

impl Sql {
    /// Where the fields asked for stand: column, and whether it is yes or no.
    fn columns_of(&self, fields: &[String]) -> Result<Vec<(&str, bool)>, CallError> {
        let column = |name: &String| {
            let field = self.config.fields.iter().find(|f| f.name == *name).ok_or_else(|| unknown_field(name))?;
            Ok((field.at.as_deref().unwrap_or(&field.name), field.kind == CrmKind::Boolean))
        };
        fields.iter().map(column).collect()
    }

    fn record(&self, row: &Record, columns: &[(&str, bool)]) -> Option<CrmRecord> {
        let own = &self.config.columns;
        let value = |(column, boolean): &(&str, bool)| {
            let value = row.get(*column).cloned().unwrap_or_default();
            match value.as_i64() {
                Some(n @ (0 | 1)) if *boolean => json!(n == 1),
                _ => value,
            }
        };
        Some(CrmRecord {
            id: row.get(&own.id).and_then(text_of)?,
            person: row.get(&own.key).and_then(Value::as_str).and_then(|key| key.parse().ok()),
            modified_at: row.get(&own.modified).and_then(|at| self.plan.times.read(at)),
            values: columns.iter().map(value).collect(),
        })
    }

    fn merged_into(&self, row: &Record) -> Option<String> {
        let into = row.get(self.config.columns.merged_into.as_ref()?).and_then(text_of)?;
        (!into.is_empty() && into != "0").then_some(into)
    }

    /// A page of all contacts.
    pub(super) async fn page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        let columns = self.columns_of(fields)?;
        let after = after.map_or_else(|| self.plan.lowest_id(), |id| self.plan.id(id));
        let rows =
            self.database.rows(&self.plan.list, &params([("after", after.clone()), ("limit", self.limit())])).await?;
        let last = rows.last().and_then(|row| row.get(&self.config.columns.id)).cloned();
        let next = match last.filter(|_| rows.len() >= self.config.page) {
            Some(last) if text_of(&last) == text_of(&after) => return Err(stuck("list")),
            other => other.as_ref().and_then(text_of),
        };
        let live = rows.iter().filter(|row| !self.is_gone(row) && self.merged_into(row).is_none());
        Ok(CrmPage { records: live.filter_map(|row| self.record(row, &columns)).collect(), next })
    }

    fn limit(&self) -> Value {
        json!(self.config.page)
    }

    /// Some of what changed.
    pub(super) async fn changed(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        let columns = self.columns_of(fields)?;
        let kept =
            self.config.keep_deletions_days.filter(|_| self.plan.deleted.is_some()).map(|days| i64::from(days) * DAY);
        let now = self.database.now_us().await?;
        let cursor = Cursor::read(cursor, now, kept)?;
        let mut round = cursor.round.clone().unwrap_or_else(|| Round::new(now));
        let overlap = i64::from(self.config.overlap_seconds) * ponte_domain::SECOND;
        let floor = || (self.plan.times.write_us(cursor.floor(overlap)), self.plan.lowest_id());
        let mut changes = Vec::new();
        let own = &self.config.columns;
        if !round.deleted {
            let (time, id) = round.behind.clone().unwrap_or_else(floor);
            let values = params([("cursor_time", time), ("cursor_id", id), ("limit", self.limit())]);
            let rows = self.database.rows(&self.plan.changes, &values).await?;
            changes.extend(rows.iter().filter_map(|row| self.change(row, &columns)));
            if rows.len() >= self.config.page {
                let behind = self.behind(&rows, &own.modified, &own.id, round.behind.as_ref(), "changes")?;
                let round = Round { behind: Some(behind), ..round };
                return Ok(CrmChanges { changes, next: Cursor { round: Some(round), ..cursor }.text(), more: true });
            }
            round = Round { behind: None, deleted: true, ..round };
        }
        if let Some(deleted) = &self.plan.deleted {
            let (time, id) = round.behind.clone().unwrap_or_else(floor);
            let values = params([("cursor_time", time), ("cursor_id", id), ("limit", self.limit())]);
            let rows = self.database.rows(deleted, &values).await?;
            let gone = |row: &Record| Some(CrmChange::Gone { id: row.get("id").and_then(text_of)? });
            changes.extend(rows.iter().filter_map(gone));
            if rows.len() >= self.config.page {
                let behind = self.behind(&rows, "deleted_at", "id", round.behind.as_ref(), "deleted")?;
                let round = Round { behind: Some(behind), ..round };
                return Ok(CrmChanges { changes, next: Cursor { round: Some(round), ..cursor }.text(), more: true });
            }
        }
        Ok(CrmChanges { changes, next: cursor.ended(round.began).text(), more: false })
    }

    fn change(&self, row: &Record, columns: &[(&str, bool)]) -> Option<CrmChange> {
        let record = self.record(row, columns)?;
        Some(match self.merged_into(row) {
            Some(into) => CrmChange::Merged { from: record.id, into },
            None if self.is_gone(row) => CrmChange::Gone { id: record.id },
            None => CrmChange::Record(record),
        })
    }

    /// The place behind the last row; an error when reading would stand still.
    fn behind(
        &self,
        rows: &[Record],
        time: &str,
        id: &str,
        before: Option<&(Value, Value)>,
        statement: &str,
    ) -> Result<(Value, Value), CallError> {
        let last = rows.last().and_then(|row| Some((row.get(time)?.clone(), row.get(id)?.clone())));
        let last = last.filter(|(time, id)| !time.is_null() && !id.is_null());
        let last = last.ok_or_else(|| {
            let title = "the rows of a statement must have a time and an id that are never null";
            CallError::new(ErrorClass::Configuration, "time_missing", title).with_detail(statement)
        })?;
        if before == Some(&last) { Err(stuck(statement)) } else { Ok(last) }
    }

    /// Records by id, in the order asked for; a merged one as what it became.
    pub(super) async fn by_id(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        let columns = self.columns_of(fields)?;
        let columns = &columns;
        let one = |id: String| async move {
            let mut id = id;
            for _ in 0..MOST_HOPS {
                let Some(row) = self.row_of(&id).await? else { return Ok(None) };
                match self.merged_into(&row) {
                    Some(into) => id = into,
                    None => return Ok(self.record(&row, columns).filter(|_| !self.is_gone(&row))),
                }
            }
            Ok(None)
        };
        let all: Vec<Result<_, CallError>> =
            futures_util::stream::iter(ids.to_vec()).map(one).buffered(self.at_once()).collect().await;
        all.into_iter().collect()
    }

    /// Reads one row and looks whether it has every column that the description names.
    pub(super) async fn missing_columns(&self) -> Result<Vec<String>, CallError> {
        let values = params([("after", self.plan.lowest_id()), ("limit", json!(1))]);
        let rows = self.database.rows(&self.plan.list, &values).await?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let own = &self.config.columns;
        let named = [&own.id, &own.key, &own.modified].into_iter().chain(&own.name).chain(&own.phones).chain(&own.gone);
        let fields = self.config.fields.iter().map(|f| f.at.as_ref().unwrap_or(&f.name));
        let all = named.chain(&own.merged_into).chain(fields);
        Ok(all.filter(|name| !row.contains_key(*name)).cloned().collect())
    }
}

fn stuck(statement: &str) -> CallError {
    let title = "a page ends where the one before ended: the statement doesn't go on behind its cursor";
    CallError::new(ErrorClass::Configuration, "cursor_ignored", title).with_detail(statement)
}
