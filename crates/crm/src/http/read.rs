//! Reads records out of answers, pages of contacts, and contacts by id.
//! Failure story: reads only.

use super::Http;
use super::client::Answer;
use super::config::Operation;
use super::contacts::id_place;
use super::errors::Effect;
use super::paging::Page;
use super::place::{Lens, Place, text_of, texts_of};
use super::plan::Plan;
use crate::described::matching::Found;
use crate::described::unknown_field;
use futures_util::StreamExt;
use ponte_domain::crm::{CrmChange, CrmField, CrmKind, CrmPage, CrmRecord};
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};
use std::collections::HashMap;

/// How often a merged record is followed on.
const MOST_HOPS: usize = 5;

/// The places of a description, ready to be looked at in every row of an answer.
pub(super) struct Reader<'a> {
    plan: &'a Plan,
    list: Option<Lens<'a>>,
    id: Lens<'a>,
    written_id: Lens<'a>,
    created: Option<Lens<'a>>,
    row_failed: Option<Lens<'a>>,
    row_code: Option<Lens<'a>>,
    key: Option<Lens<'a>>,
    modified: Option<Lens<'a>>,
    name: Option<Lens<'a>>,
    phones: Vec<Lens<'a>>,
    gone: Option<Lens<'a>>,
    merged_into: Option<Lens<'a>>,
    fields: Vec<Lens<'a>>,
}

impl<'a> Reader<'a> {
    /// For the answers of an operation. `fields`: the places of the fields asked for.
    pub(super) fn new(plan: &'a Plan, operation: &'a Operation, fields: &'a [Place]) -> Result<Self, CallError> {
        let lens = |place: &'a Place| place.lens(&plan.templates).map_err(|problem| unreadable(&problem));
        let some = |place: &'a Option<Place>| place.as_ref().map(lens).transpose();
        let shape = &plan.config.contact;
        Ok(Self {
            plan,
            list: some(&operation.list)?,
            id: lens(&shape.id)?,
            written_id: lens(id_place(operation, &shape.id))?,
            created: some(&operation.created)?,
            row_failed: some(&operation.row_failed)?,
            row_code: some(&operation.row_code)?,
            key: some(&shape.key)?,
            modified: some(&shape.modified)?,
            name: some(&shape.name)?,
            phones: shape.phones.iter().map(lens).collect::<Result<_, _>>()?,
            gone: some(&shape.gone)?,
            merged_into: some(&shape.merged_into)?,
            fields: fields.iter().map(lens).collect::<Result<_, _>>()?,
        })
    }

    /// The rows of an answer; an object alone is one row.
    pub(super) fn rows(&self, answer: &Answer) -> Vec<Value> {
        let found =
            self.list.as_ref().map_or_else(|| answer.body.clone(), |list| list.look(&answer.body, &answer.body));
        match found {
            Value::Array(rows) => rows.into_iter().filter(|row| !row.is_null()).collect(),
            Value::Null => Vec::new(),
            one => vec![one],
        }
    }

    pub(super) fn id(&self, row: &Value, answer: &Answer) -> Option<String> {
        self.id.text(row, &answer.body)
    }

    pub(super) fn written_id(&self, row: &Value, answer: &Answer) -> Option<String> {
        self.written_id.text(row, &answer.body)
    }

    pub(super) fn created(&self, row: &Value, answer: &Answer) -> bool {
        self.created.as_ref().is_none_or(|lens| lens.truth(row, &answer.body))
    }

    pub(super) fn row_failed(&self, row: &Value, answer: &Answer) -> bool {
        self.row_failed.as_ref().is_some_and(|lens| lens.truth(row, &answer.body))
    }

    pub(super) fn row_code(&self, row: &Value, answer: &Answer) -> Option<String> {
        self.row_code.as_ref().and_then(|lens| lens.text(row, &answer.body))
    }

    /// When a row last changed, microseconds.
    pub(super) fn modified_us(&self, row: &Value, answer: &Answer) -> Option<i64> {
        self.plan.times.read_us(&self.modified(row, answer))
    }

    /// When a row last changed, as the CRM writes it.
    pub(super) fn modified(&self, row: &Value, answer: &Answer) -> Value {
        self.modified.as_ref().map(|lens| lens.look(row, &answer.body)).unwrap_or_default()
    }

    pub(super) fn is_gone(&self, row: &Value, answer: &Answer) -> bool {
        self.gone.as_ref().is_some_and(|lens| lens.truth(row, &answer.body))
    }

    pub(super) fn merged_into(&self, row: &Value, answer: &Answer) -> Option<String> {
        self.merged_into.as_ref().and_then(|lens| lens.text(row, &answer.body))
    }

    /// A row that may be adopted: not one that counts as deleted, nor one that became part of another.
    pub(super) fn found(&self, row: &Value, answer: &Answer) -> Option<Found> {
        if self.is_gone(row, answer) || self.merged_into(row, answer).is_some() {
            return None;
        }
        Some(Found {
            id: self.id(row, answer)?,
            key: self.key.as_ref().and_then(|lens| lens.text(row, &answer.body)),
            named: self.name.as_ref().is_none_or(|lens| lens.text(row, &answer.body).is_some()),
            phones: self.phones.iter().flat_map(|lens| texts_of(&lens.look(row, &answer.body))).collect(),
        })
    }

    pub(super) fn record(&self, row: &Value, answer: &Answer) -> Option<CrmRecord> {
        Some(CrmRecord {
            id: self.id(row, answer)?,
            person: self.key.as_ref().and_then(|lens| lens.text(row, &answer.body)).and_then(|key| key.parse().ok()),
            modified_at: self.modified_us(row, answer).map(|us| us.div_euclid(1_000)),
            values: self.fields.iter().map(|lens| lens.look(row, &answer.body)).collect(),
        })
    }

    /// A row as a change.
    pub(super) fn change(&self, row: &Value, answer: &Answer) -> Option<CrmChange> {
        let record = self.record(row, answer)?;
        Some(match self.merged_into(row, answer) {
            Some(into) => CrmChange::Merged { from: record.id, into },
            None if self.is_gone(row, answer) => CrmChange::Gone { id: record.id },
            None => CrmChange::Record(record),
        })
    }
}

impl Plan {
    /// Adds `page` to what an operation's templates know.
    pub(super) fn add_page(&self, context: &mut Value, operation: &Operation, page: &Page) {
        if let Some(context) = context.as_object_mut() {
            context.insert("page".to_owned(), page.context(&operation.paging, self.config.page));
        }
    }
}

impl Http {
    /// Where fields stand.
    pub(super) fn places(&self, fields: &[String]) -> Result<Vec<Place>, CallError> {
        let config = &self.plan.config;
        let place = |name: &String| match config.fields.iter().find(|f| f.name == *name) {
            Some(field) => Ok(field.at.clone().map_or_else(|| pointer("/", name), Place::from)),
            None => match &config.operations.describe {
                Some(describe) => Ok(pointer(&describe.at, name)),
                None => Err(unknown_field(name)),
            },
        };
        fields.iter().map(place).collect()
    }

    /// A page of all contacts.
    pub(super) async fn page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        let operation = self.list()?;
        let places = self.places(fields)?;
        let reader = Reader::new(&self.plan, operation, &places)?;
        let page = Page::read(after);
        let mut context = json!({});
        self.plan.add_page(&mut context, operation, &page);
        let answer = self.client.call("list", operation, &context, &page, Effect::Repeatable).await?;
        let rows = reader.rows(&answer);
        let last = rows.last().and_then(|row| reader.id(row, &answer));
        let next = self.plan.next_page(&operation.paging, &page, &answer, rows.len(), last)?;
        let live =
            rows.iter().filter(|row| !reader.is_gone(row, &answer) && reader.merged_into(row, &answer).is_none());
        let records = live.filter_map(|row| reader.record(row, &answer)).collect();
        Ok(CrmPage { records, next: next.and_then(|page| page.text()) })
    }

    pub(super) fn list(&self) -> Result<&Operation, CallError> {
        self.plan.config.operations.list.as_ref().ok_or_else(|| missing("list"))
    }

    /// Contacts by id, in the order asked for; a merged one as what it became.
    pub(super) async fn by_id(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        let mut wanted: Vec<String> = ids.to_vec();
        let mut known: HashMap<String, Option<CrmRecord>> = HashMap::new();
        let mut became: HashMap<String, String> = HashMap::new();
        for _ in 0..MOST_HOPS {
            wanted.retain(|id| !known.contains_key(id) && !became.contains_key(id));
            if wanted.is_empty() {
                break;
            }
            let mut more = Vec::new();
            for (id, change) in self.now_of(&wanted, fields).await? {
                match change {
                    Some(CrmChange::Record(record)) => drop(known.insert(id, Some(record))),
                    Some(CrmChange::Merged { into, .. }) => {
                        more.push(into.clone());
                        became.insert(id, into);
                    }
                    Some(CrmChange::Gone { .. }) | None => drop(known.insert(id, None)),
                }
            }
            wanted = more;
        }
        let of = |id: &String| {
            let mut id = id;
            for _ in 0..MOST_HOPS {
                match became.get(id) {
                    Some(into) => id = into,
                    None => break,
                }
            }
            known.get(id).cloned().flatten()
        };
        Ok(ids.iter().map(of).collect())
    }

    /// What each of these ids stands for now.
    async fn now_of(&self, ids: &[String], fields: &[String]) -> Result<Vec<(String, Option<CrmChange>)>, CallError> {
        let operation = self.plan.config.operations.get.as_ref().ok_or_else(|| missing("get"))?;
        let places = self.places(fields)?;
        let places = &places;
        let groups: Vec<Vec<String>> = ids.chunks(operation.batch.max(1)).map(<[String]>::to_vec).collect();
        let one = |group: Vec<String>| async move { self.get(operation, group, places).await };
        let all: Vec<Result<Vec<_>, CallError>> =
            futures_util::stream::iter(groups).map(one).buffered(self.plan.config.at_once).collect().await;
        Ok(all.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    async fn get(
        &self,
        operation: &Operation,
        group: Vec<String>,
        places: &[Place],
    ) -> Result<Vec<(String, Option<CrmChange>)>, CallError> {
        let reader = Reader::new(&self.plan, operation, places)?;
        let mut context = json!({"id": group.first(), "ids": group});
        self.plan.add_page(&mut context, operation, &Page::First);
        let answer = match self.client.call("get", operation, &context, &Page::First, Effect::Repeatable).await {
            Ok(answer) => answer,
            Err(error) if error.class == ErrorClass::Gone && group.len() == 1 => {
                return Ok(group.into_iter().map(|id| (id, None)).collect());
            }
            Err(error) => return Err(error),
        };
        let rows = reader.rows(&answer);
        let of = |id: String| {
            let own = rows.iter().find(|row| reader.id(row, &answer).as_deref() == Some(&id));
            // A single answer with another id: the CRM followed a merge by itself.
            let row = own.or_else(|| if group_is_one(&rows, operation) { rows.first() } else { None });
            let change = row.and_then(|row| reader.change(row, &answer));
            (id, change)
        };
        Ok(group.into_iter().map(of).collect())
    }

    /// The fields of the description, and those that the CRM tells of itself.
    pub(super) async fn fields(&self) -> Result<Vec<CrmField>, CallError> {
        let config = &self.plan.config;
        let mut fields: Vec<CrmField> = config.fields.iter().map(crate::described::FieldSpec::field).collect();
        let Some(describe) = &config.operations.describe else { return Ok(fields) };
        let context = json!({"page": Page::First.context(&describe.call.paging, config.page)});
        let answer = self.client.call("describe", &describe.call, &context, &Page::First, Effect::Repeatable).await?;
        let reader = Reader::new(&self.plan, &describe.call, &[])?;
        let lens = |place: &'_ Place, row: &Value| {
            place.lens(&self.plan.templates).ok().map(|lens| lens.look(row, &answer.body)).unwrap_or_default()
        };
        for row in reader.rows(&answer) {
            let Some(name) = text_of(&lens(&describe.name, &row)) else { continue };
            if fields.iter().any(|field| field.name == name) {
                continue;
            }
            let word = describe.kind.as_ref().and_then(|place| text_of(&lens(place, &row)));
            let kind = word.map_or(CrmKind::Text, |word| describe.kinds.get(&word).copied().unwrap_or(CrmKind::Other));
            let label = describe.label.as_ref().and_then(|place| text_of(&lens(place, &row)));
            let read_only = describe.read_only.as_ref().is_some_and(|place| super::place::truthy(&lens(place, &row)));
            let writable = !read_only && kind != CrmKind::Other;
            let field = CrmField { writable, strict_choices: false, ..CrmField::new(name.clone(), kind) };
            fields.push(CrmField { label: label.unwrap_or(name), ..field });
        }
        Ok(fields)
    }
}

fn group_is_one(rows: &[Value], operation: &Operation) -> bool {
    operation.batch <= 1 && rows.len() == 1
}

fn pointer(before: &str, name: &str) -> Place {
    Place::Pointer(format!("{before}{}", name.replace('~', "~0").replace('/', "~1")))
}

pub(super) fn missing(operation: &str) -> CallError {
    let title = "the description has no operation for this";
    CallError::new(ErrorClass::Configuration, "operation_missing", title).with_detail(operation)
}

fn unreadable(problem: &str) -> CallError {
    let title = "an expression of the description can't be read";
    CallError::new(ErrorClass::Configuration, "expression", title).with_detail(problem)
}
