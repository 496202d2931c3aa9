//! `POST …/{object}/search`: what the index shows, which lags behind the records.
//! May touch: the world, reading. Must not touch: sockets.
//! Failure story: a page past the search window (10,000 results) is refused with 400, however many rows match.

use super::Sim;
use super::error::{Answer, Refusal, Reply};
use super::filter::{Group, Order, Query, Sortable};
use super::object::Object;
use super::request::Call;
use super::row::{Row, Snapshot};
use super::view;
use super::world::World;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::Ordering;

/// The longest `query`, characters.
const MAX_QUERY: usize = 3_000;
/// The largest page.
const MAX_PAGE: u64 = 200;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Search {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    after: Option<Value>,
    #[serde(default)]
    sorts: Vec<Sort>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    filter_groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sort {
    Full(FullSort),
    /// A name; a minus sign in front turns the order round.
    Short(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FullSort {
    property_name: String,
    #[serde(default)]
    direction: Direction,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Direction {
    #[default]
    Ascending,
    Descending,
}

type Hit<'a> = (&'a Row, Snapshot<'a>);

/// Serves a search.
pub(super) fn serve(sim: &Sim, call: &Call, object: Object) -> Answer {
    let search: Search = call.json()?;
    let limits = &sim.config.limits;
    let (offset, limit) = page(&search, limits.search_window)?;
    let words = words(search.query.as_deref())?;
    let now = sim.clock.now_ms();
    let world = sim.world();
    let query = Query::compile(search.filter_groups, &world.schema, object, limits)?;
    let mut hits: Vec<Hit<'_>> = world
        .table(object)
        .live
        .range(query.first_id()..)
        .filter_map(|(_, row)| row.indexed(now).map(|state| (row, state)))
        .filter(|(_, state)| query.matches(state, object) && says(state, object, &words))
        .collect();
    sort(&mut hits, &search.sorts, &world, object)?;

    let end = offset.saturating_add(limit).min(limits.search_window);
    let results: Vec<Value> = hits
        .get(offset.min(hits.len())..end.min(hits.len()))
        .unwrap_or_default()
        .iter()
        .map(|(row, _)| view::record(&world, object, row, &search.properties))
        .collect();
    let mut body = json!({"total": hits.len(), "results": results});
    if let Some(fields) = body.as_object_mut().filter(|_| end < hits.len()) {
        // At the end of the window the cursor is still offered: following it is the trap.
        fields.insert("paging".to_owned(), json!({"next": {"after": end.to_string()}}));
    }
    Ok(Reply::read(body))
}

fn page(search: &Search, window: usize) -> Result<(usize, usize), Refusal> {
    let limit = search.limit.unwrap_or(10);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Refusal::validation(format!("limit must be between 1 and {MAX_PAGE}.")));
    }
    let offset = match &search.after {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(text)) if text.is_empty() => Some(0),
        Some(Value::String(text)) => text.parse().ok(),
        Some(Value::Number(number)) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
        Some(_) => None,
    };
    match offset {
        Some(offset) if offset < window => Ok((offset, usize::try_from(limit).unwrap_or(1))),
        Some(_) => Err(Refusal::validation(format!("A search can page through {window} results only."))),
        None => Err(Refusal::validation("after is not a paging cursor.")),
    }
}

fn words(query: Option<&str>) -> Result<Vec<String>, Refusal> {
    let query = query.unwrap_or_default();
    if query.chars().count() > MAX_QUERY {
        return Err(Refusal::validation(format!("query has at most {MAX_QUERY} characters.")));
    }
    Ok(query.split_whitespace().map(str::to_lowercase).collect())
}

/// True when every word starts somewhere in the default searchable properties.
fn says(state: &Snapshot<'_>, object: Object, words: &[String]) -> bool {
    words.iter().all(|word| {
        object
            .searched()
            .iter()
            .filter_map(|name| state.values.get(*name))
            .any(|value| value.to_lowercase().contains(word.as_str()))
    })
}

fn sort(hits: &mut [Hit<'_>], sorts: &[Sort], world: &World, object: Object) -> Result<(), Refusal> {
    let (name, direction) = match sorts {
        // Without a sort the oldest record comes first, which is the order of the ids.
        [] => return Ok(()),
        [Sort::Full(sort)] => (sort.property_name.as_str(), sort.direction),
        [Sort::Short(name)] => match name.strip_prefix('-') {
            Some(name) => (name, Direction::Descending),
            None => (name.as_str(), Direction::Ascending),
        },
        _ => return Err(Refusal::validation("A search takes one sort.")),
    };
    let order = Order::of(&world.schema, object, name)
        .ok_or_else(|| Refusal::validation(format!("Cannot sort by {name}: no such property.")))?;
    if order == Order::Id && direction == Direction::Ascending {
        return Ok(());
    }
    let mut keyed: Vec<(Option<Sortable>, Hit<'_>)> =
        hits.iter().map(|hit| (order.value(&hit.1, object, name), *hit)).collect();
    keyed.sort_by(|(a, _), (b, _)| {
        let up = a.partial_cmp(b).unwrap_or(Ordering::Equal);
        if direction == Direction::Descending { up.reverse() } else { up }
    });
    for (slot, (_, hit)) in hits.iter_mut().zip(keyed) {
        *slot = hit;
    }
    Ok(())
}
