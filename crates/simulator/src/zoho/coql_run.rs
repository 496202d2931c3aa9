//! COQL, carried out: on the records themselves, without search's lag.
//! May touch: the world, reading. Must not touch: records.
//! What a client does all the time (by modified time, by id, by a unique value, by phone number) goes along an index.

use super::Sim;
use super::call::Call;
use super::coql::{self, Filter, Query, Word};
use super::error::{Answer, Refusal, Reply};
use super::row::{Row, Snapshot};
use super::scalar::{Scalar, order};
use super::schema::{Field, FieldNo, Kind, Module, System};
use super::world::{Store, World};
use super::{view, words};
use http::Method;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::HashSet;

/// A condition with its names looked up.
#[derive(Debug)]
enum Plan {
    All(Box<Self>, Box<Self>),
    Any(Box<Self>, Box<Self>),
    Test { field: FieldNo, operator: &'static str, values: Vec<Scalar> },
}

/// The module that a query asks, for the right it needs.
pub(super) fn module_of(call: &Call) -> Option<String> {
    let query = call.json().ok()?.get("select_query")?.as_str()?;
    coql::parse(query).ok().map(|query| query.module)
}

/// Serves `POST /coql`.
pub(super) fn serve(sim: &Sim, call: &Call) -> Answer {
    if call.method != Method::POST {
        return Err(Refusal::wrong_method());
    }
    let text =
        call.object()?.get("select_query").ok_or_else(|| Refusal::mandatory("select_query", "$.select_query"))?;
    let text = text.as_str().ok_or_else(|| Refusal::wrong_type("string", "select_query", "$.select_query"))?;
    let query = coql::parse(text)?;
    let world = sim.world();
    check_limits(&query, &world)?;
    let unknown = || {
        Refusal::new(400, "INVALID_QUERY", "the module given seems to be invalid").with(json!({"module": query.module}))
    };
    let store = world.store(world.module_no(&query.module).ok_or_else(unknown)?)?;
    let column = |name: &String| column(&store.module, name, "select");
    let columns: Vec<FieldNo> = query.columns.iter().map(column).collect::<Result<_, _>>()?;

    let end = query.offset.saturating_add(query.rows);
    let mut hits = first(store, &query, end.saturating_add(1))?;
    let more = hits.len() > end;
    hits.truncate(end);
    let rows: Vec<Value> = hits.iter().skip(query.offset).map(|hit| shown(&world, store, *hit, &columns)).collect();
    if rows.is_empty() {
        return Ok(Reply::empty(204));
    }
    let info = json!({"count": rows.len(), "more_records": more});
    Ok(Reply::read(json!({"data": rows, "info": info})))
}

fn check_limits(query: &Query, world: &World) -> Result<(), Refusal> {
    let limits = &world.limits;
    let over = |limit: usize| Refusal::new(400, "LIMIT_EXCEEDED", "limit exceeded").with(json!({"limit": limit}));
    if query.rows == 0 || query.rows > limits.coql_rows {
        return Err(over(limits.coql_rows));
    }
    if query.offset.saturating_add(query.rows) > limits.coql_reach {
        return Err(over(limits.coql_reach));
    }
    if query.order.len() > limits.coql_order {
        return Err(over(limits.coql_order));
    }
    if query.columns.len() > 500 {
        return Err(over(500));
    }
    let mut seen = HashSet::new();
    let names = query.order.iter().map(|(name, _)| name);
    if let Some(name) = names.into_iter().find(|name| !seen.insert(name.as_str())) {
        let details = json!({"column_name": name});
        return Err(Refusal::new(400, "DUPLICATE_DATA", "duplicate column").with(details));
    }
    Ok(())
}

fn column(module: &Module, name: &str, clause: &str) -> Result<FieldNo, Refusal> {
    module.number(name).ok_or_else(|| {
        Refusal::new(400, "INVALID_QUERY", "column given seems to be invalid")
            .with(json!({"column_name": name, "clause": clause}))
    })
}

fn sort(module: &Module, query: &Query) -> Result<Vec<(FieldNo, bool)>, Refusal> {
    let order = query.order.iter().map(|(name, up)| Ok((column(module, name, "order by")?, *up)));
    order.collect()
}

fn plan(module: &Module, filter: &Filter) -> Result<Plan, Refusal> {
    let both = |a: &Filter, b: &Filter| Ok((Box::new(plan(module, a)?), Box::new(plan(module, b)?)));
    match filter {
        Filter::All(a, b) => both(a, b).map(|(a, b)| Plan::All(a, b)),
        Filter::Any(a, b) => both(a, b).map(|(a, b)| Plan::Any(a, b)),
        Filter::Test { column: name, operator, values } => {
            let number = column(module, name, "where")?;
            let field = module.field(number).ok_or_else(|| Refusal::invalid(name, "$.select_query"))?;
            let ordered = matches!(*operator, "<" | "<=" | ">" | ">=" | "between" | "not between");
            let comparable = matches!(field.kind, Kind::Date | Kind::DateTime) || field.kind.is_number();
            let texty = matches!(
                field.kind,
                Kind::Text | Kind::Email | Kind::Phone | Kind::Website | Kind::Picklist | Kind::MultiPicklist
            );
            let fits = field.kind != Kind::TextArea
                && field.kind != Kind::Tags
                && (!ordered || comparable)
                && (!operator.ends_with("like") || texty)
                && (field.kind != Kind::Boolean || matches!(*operator, "=" | "!=" | "is null" | "is not null"));
            if !fits {
                let details = json!({"column_name": name, "operator": operator, "reason": "operator not supported"});
                return Err(Refusal::new(400, "INVALID_QUERY", "invalid operator for the column").with(details));
            }
            let values: Result<Vec<Scalar>, Refusal> = values.iter().map(|word| literal(field, word)).collect();
            Ok(Plan::Test { field: number, operator, values: values? })
        }
    }
}

fn literal(field: &Field, word: &Word) -> Result<Scalar, Refusal> {
    // Times and texts stand in quotes; numbers, ids and flags may stand without.
    let text = match word {
        Word::Quoted(text) => Some(text),
        Word::Number(text) => (!matches!(field.kind, Kind::Date | Kind::DateTime)).then_some(text),
        Word::Plain(text) => (field.kind == Kind::Boolean).then_some(text),
    };
    text.and_then(|text| Scalar::parse(field, text)).ok_or_else(|| {
        Refusal::new(400, "INVALID_QUERY", "value given seems to be invalid for the column")
            .with(json!({"column_name": &*field.api_name, "expected_data_type": field.kind.name()}))
    })
}

impl Plan {
    fn holds(&self, module: &Module, state: Snapshot<'_>) -> bool {
        match self {
            Self::All(a, b) => a.holds(module, state) && b.holds(module, state),
            Self::Any(a, b) => a.holds(module, state) || b.holds(module, state),
            Self::Test { field, operator, values } => {
                let Some(definition) = module.field(*field) else { return false };
                let stored = Scalar::of(module, state, *field, definition);
                test(stored.as_ref(), operator, values)
            }
        }
    }

    /// The tests that every hit has to pass.
    fn needed(&self) -> Vec<(FieldNo, &'static str, &[Scalar])> {
        match self {
            Self::All(a, b) => [a.needed(), b.needed()].concat(),
            Self::Any(..) => Vec::new(),
            Self::Test { field, operator, values } => vec![(*field, *operator, values.as_slice())],
        }
    }
}

fn test(stored: Option<&Scalar>, operator: &str, values: &[Scalar]) -> bool {
    let compared = |value: &Scalar| stored.and_then(|stored| stored.compare(value));
    let first = values.first().and_then(compared);
    let among = || values.iter().any(|value| compared(value) == Some(Ordering::Equal));
    let between =
        || first.is_some_and(Ordering::is_ge) && values.last().and_then(compared).is_some_and(Ordering::is_le);
    match operator {
        "=" => first == Some(Ordering::Equal),
        "!=" => stored.is_some() && first != Some(Ordering::Equal),
        ">" => first.is_some_and(Ordering::is_gt),
        ">=" => first.is_some_and(Ordering::is_ge),
        "<" => first.is_some_and(Ordering::is_lt),
        "<=" => first.is_some_and(Ordering::is_le),
        "in" => among(),
        "not in" => stored.is_some() && !among(),
        "between" => between(),
        "not between" => stored.is_some() && !between(),
        "is null" => stored.is_none(),
        "is not null" => stored.is_some(),
        "like" => values.first().is_some_and(|pattern| like(stored, pattern)),
        "not like" => stored.is_some() && !values.first().is_some_and(|pattern| like(stored, pattern)),
        _ => false,
    }
}

/// `%` stands for anything, at the beginning and the end only.
fn like(stored: Option<&Scalar>, pattern: &Scalar) -> bool {
    let (Some(Scalar::Text(text)), Scalar::Text(pattern)) = (stored, pattern) else { return false };
    let (text, pattern) = (text.to_lowercase(), pattern.to_lowercase());
    match (pattern.strip_prefix('%'), pattern.strip_suffix('%')) {
        (Some(rest), Some(_)) => text.contains(rest.strip_suffix('%').unwrap_or(rest)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == pattern,
    }
}

/// The first `enough` hits of a query, its offset not counted.
pub(super) fn first<'a>(store: &'a Store, query: &Query, enough: usize) -> Result<Vec<Snapshot<'a>>, Refusal> {
    let sort = sort(&store.module, query)?;
    let plan = plan(&store.module, &query.filter)?;
    Ok(find(store, &plan, &sort, enough))
}

/// The first `enough` hits in the wanted order.
fn find<'a>(store: &'a Store, plan: &Plan, sort: &[(FieldNo, bool)], enough: usize) -> Vec<Snapshot<'a>> {
    let module = &store.module;
    let system = |number: FieldNo| module.field(number).and_then(|field| field.system);
    let mut since = None;
    let mut after_id = None;
    let mut picked: Option<Vec<u64>> = None;
    for (field, operator, values) in plan.needed() {
        match (system(field), operator, values) {
            (Some(System::ModifiedTime), ">=" | ">", [Scalar::Time(at)]) => {
                since = Some(since.unwrap_or(i64::MIN).max(*at - i64::from(operator == ">=")));
            }
            (Some(System::Id), ">" | ">=", [Scalar::Id(id)]) => {
                after_id = Some(after_id.unwrap_or(0).max(id - u64::from(operator == ">=")));
            }
            (Some(System::Id), "=" | "in", ids) => {
                let ids = ids.iter().filter_map(|id| if let Scalar::Id(id) = id { Some(*id) } else { None });
                picked = Some(ids.collect());
            }
            (None, "=" | "in", values) if picked.is_none() => {
                let indexed = module.field(field).is_some_and(|definition| definition.indexed(module));
                if indexed {
                    let keys = values.iter().filter_map(|value| match value {
                        Scalar::Text(text) => Some(text.to_lowercase()),
                        Scalar::Id(id) => Some(id.to_string()),
                        _ => None,
                    });
                    picked = Some(keys.flat_map(|key| store.table.holders(field, &key).collect::<Vec<_>>()).collect());
                }
            }
            _ => {}
        }
    }
    if picked.is_none() {
        picked = by_phone(store, plan);
    }
    let by_time = matches!(sort, [(first, true), rest @ ..] if system(*first) == Some(System::ModifiedTime)
        && matches!(rest, [] | [(_, true)]) && rest.iter().all(|(n, _)| system(*n) == Some(System::Id)));
    let by_id = sort.is_empty() || matches!(sort, [(first, true)] if system(*first) == Some(System::Id));
    let hit = |row: &'a Row| Some(row.snapshot()).filter(|state| plan.holds(module, *state));
    if picked.is_none() && by_time {
        return store.table.modified_after(since, None, true).filter_map(hit).take(enough).collect();
    }
    if picked.is_none() && by_id && since.is_none() {
        return store.table.by_id(after_id, true).filter_map(hit).take(enough).collect();
    }
    let mut hits: Vec<Snapshot<'a>> = match picked {
        Some(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            ids.iter().filter_map(|id| store.table.live.get(id)).filter_map(hit).collect()
        }
        None if since.is_some() => store.table.modified_after(since, None, true).filter_map(hit).collect(),
        None => store.table.by_id(after_id, true).filter_map(hit).collect(),
    };
    arrange(module, &mut hits, sort);
    hits.truncate(enough);
    hits
}

/// Records that may have one of the phone numbers that a query wants, by their last digits; `None` when it asks for more.
fn by_phone(store: &Store, plan: &Plan) -> Option<Vec<u64>> {
    match plan {
        Plan::All(a, b) => by_phone(store, a).or_else(|| by_phone(store, b)),
        Plan::Any(a, b) => Some([by_phone(store, a)?, by_phone(store, b)?].concat()),
        Plan::Test { field, operator: "=" | "in", values } => {
            let kind = store.module.field(*field).filter(|definition| definition.kind == Kind::Phone)?.kind;
            let slots = values.iter().map(|value| match value {
                Scalar::Text(text) => words::slots(*field, kind, text),
                _ => Vec::new(),
            });
            let found = slots.map(|slots| (!slots.is_empty()).then(|| store.table.candidates(&slots)));
            found.collect::<Option<Vec<_>>>().map(|lists| lists.concat())
        }
        Plan::Test { .. } => None,
    }
}

/// Sorts hits; equal ones by id.
pub(super) fn arrange(module: &Module, hits: &mut Vec<Snapshot<'_>>, sort: &[(FieldNo, bool)]) {
    let keys = |state: Snapshot<'_>| -> Vec<Option<Scalar>> {
        sort.iter().map(|(n, _)| Scalar::of(module, state, *n, module.field(*n)?)).collect()
    };
    let mut keyed: Vec<(Vec<Option<Scalar>>, Snapshot<'_>)> = hits.drain(..).map(|hit| (keys(hit), hit)).collect();
    keyed.sort_by(|(a, x), (b, y)| {
        let mut pairs = a.iter().zip(b).zip(sort);
        let decided = pairs.find_map(|((a, b), (_, up))| match order(a.as_ref(), b.as_ref()) {
            Ordering::Equal => None,
            other => Some(if *up { other } else { other.reverse() }),
        });
        decided.unwrap_or_else(|| x.row.id.cmp(&y.row.id))
    });
    hits.extend(keyed.into_iter().map(|(_, hit)| hit));
}

/// A row of a result: the columns, and always the id. Lookups show their id alone, as COQL does.
fn shown(world: &World, store: &Store, state: Snapshot<'_>, columns: &[FieldNo]) -> Value {
    let mut row = Map::new();
    for number in columns {
        let Some(field) = store.module.field(*number) else { continue };
        let mut value = view::value(world, store, state, *number, field);
        if field.kind.is_reference()
            && let Some(id) = value.get("id").cloned()
        {
            value = json!({"id": id});
        }
        row.insert(field.api_name.to_string(), value);
    }
    row.insert("id".to_owned(), json!(state.row.id.to_string()));
    Value::Object(row)
}
