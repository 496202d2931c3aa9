//! `GET /{module}/search`: by criteria, email, phone or word, on an index that lags behind the records.
//! May touch: the world, reading. Must not touch: records.
//! Failure story: more than 2,000 hits can't be paged through, and what was written a moment ago isn't found yet.

use super::Sim;
use super::call::Call;
use super::criteria::{Criteria, Operator};
use super::error::{Answer, Refusal, Reply};
use super::list;
use super::row::{Row, Snapshot};
use super::scalar::Scalar;
use super::schema::{FieldNo, Kind};
use super::world::{ModuleNo, Store, World};
use super::{coql_run, view, words};
use serde_json::{Value, json};

/// The largest page.
const MAX_PAGE: usize = 200;

/// Serves a search.
pub(super) fn serve(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    let now = sim.clock.now_ms();
    let world = sim.world();
    let store = world.store(no)?;
    if !store.module.searchable {
        let details = json!({"module": &*store.module.api_name});
        return Err(Refusal::new(400, "NOT_SUPPORTED", "search is not supported for this module").with(details));
    }
    let fields = list::fields(&world, call, no, false)?;
    let (page, per_page) = (call.number("page", 1, 1, usize::MAX)?, call.number("per_page", MAX_PAGE, 1, MAX_PAGE)?);
    let ascending = list::ascending(call)?;
    let converted = list::converted(call)?;
    let limit = world.limits.search_rows;
    let from = (page - 1).saturating_mul(per_page);
    if from.saturating_add(per_page) > limit {
        let details = json!({"limit": limit.to_string()});
        return Err(Refusal::new(400, "LIMIT_REACHED", "maximum response iteration limit reached").with(details));
    }
    let mut hits = hits(&world, store, call, now)?;
    hits.retain(|hit| converted.is_none_or(|wanted| hit.row.converted == wanted));
    sort(store, call.query.get("sort_by"), &mut hits)?;
    if !ascending {
        hits.reverse();
    }
    let total = hits.len();
    let shown: Vec<Value> = hits
        .into_iter()
        .skip(from)
        .take(per_page)
        .map(|hit| view::record(&world, store, hit, fields.as_deref()))
        .collect();
    if shown.is_empty() {
        return Ok(Reply::empty(204));
    }
    let info = json!({
        "per_page": per_page, "count": shown.len(), "sort_by": call.query.get("sort_by").unwrap_or("id"), "page": page,
        "sort_order": if ascending { "asc" } else { "desc" }, "more_records": total > from.saturating_add(shown.len()),
    });
    Ok(Reply::read(json!({"data": shown, "info": info})))
}

/// What is found, oldest first. Of several ways to search only the first counts: criteria, email, phone, word.
fn hits<'a>(world: &World, store: &'a Store, call: &Call, now: i64) -> Result<Vec<Snapshot<'a>>, Refusal> {
    let get = |name: &str| call.query.get(name).filter(|text| !text.is_empty());
    if let Some(text) = get("criteria") {
        let criteria = Criteria::parse(text, &store.module, world.limits.criteria)?;
        let candidates = candidates_for(store, &criteria);
        let meets = |state: &Snapshot<'_>| {
            criteria.holds(&|number| Scalar::of(&store.module, *state, number, store.module.field(number)?))
        };
        return Ok(look(store, candidates, now, meets));
    }
    if let Some(email) = get("email") {
        let wanted = words::words(email);
        return Ok(in_fields(store, now, Kind::Email, email, |stored| words::contains(&words::words(stored), &wanted)));
    }
    if let Some(phone) = get("phone") {
        let allowed = |c: char| c.is_ascii_digit() || "+-(). ".contains(c);
        if words::digits(phone).len() < 3 || !phone.chars().all(allowed) {
            return Err(Refusal::parameter("phone"));
        }
        return Ok(in_fields(store, now, Kind::Phone, phone, |stored| words::phone_matches(stored, phone)));
    }
    if let Some(word) = get("word") {
        if word.chars().count() < 2 {
            return Err(Refusal::parameter("word"));
        }
        let wanted = words::words(word);
        let says = |state: &Snapshot<'_>| {
            state.values.iter().filter_map(|(_, v)| v.as_str()).any(|v| words::contains(&words::words(v), &wanted))
        };
        return Ok(look(store, None, now, says));
    }
    let names = json!({"param_names": ["criteria", "email", "phone", "word"]});
    Err(Refusal::new(400, "EXPECTED_PARAM_MISSING", "One of the expected parameter is missing").with(names))
}

/// The visible state of all candidates, or of all records, that pass.
fn look<'a>(
    store: &'a Store,
    candidates: Option<Vec<u64>>,
    now: i64,
    pass: impl Fn(&Snapshot<'a>) -> bool,
) -> Vec<Snapshot<'a>> {
    let visible = |row: &'a Row| row.indexed(now).filter(|state| pass(state));
    match candidates {
        Some(ids) => ids.iter().filter_map(|id| store.table.live.get(id)).filter_map(visible).collect(),
        None => store.table.live.values().filter_map(visible).collect(),
    }
}

/// Records of which any field of one kind passes.
fn in_fields<'a>(store: &'a Store, now: i64, kind: Kind, text: &str, pass: impl Fn(&str) -> bool) -> Vec<Snapshot<'a>> {
    let fields: Vec<FieldNo> = store.module.live().filter(|(_, field)| field.kind == kind).map(|(n, _)| n).collect();
    let mut candidates = Some(Vec::new());
    for number in &fields {
        let slots = words::slots(*number, kind, text);
        match (&mut candidates, slots.is_empty()) {
            (Some(ids), false) => ids.extend(store.table.candidates(&slots)),
            // Too little to look up: all records have to be looked at.
            _ => candidates = None,
        }
    }
    if let Some(ids) = &mut candidates {
        ids.sort_unstable();
        ids.dedup();
    }
    look(store, candidates, now, |state| {
        fields.iter().filter_map(|n| state.values.get(*n)).filter_map(Value::as_str).any(&pass)
    })
}

/// Records that may meet the criteria; `None` when all have to be looked at.
fn candidates_for(store: &Store, criteria: &Criteria) -> Option<Vec<u64>> {
    match criteria {
        Criteria::All(parts) => parts.iter().filter_map(|part| candidates_for(store, part)).min_by_key(Vec::len),
        Criteria::Any(parts) => {
            let lists: Option<Vec<Vec<u64>>> = parts.iter().map(|part| candidates_for(store, part)).collect();
            let mut ids = lists?.concat();
            ids.sort_unstable();
            ids.dedup();
            Some(ids)
        }
        Criteria::Test { field, operator: Operator::Equals | Operator::In, values, .. } => {
            let definition = store.module.field(*field)?;
            if definition.indexed(&store.module) && definition.kind.is_reference() {
                let mut ids: Vec<u64> =
                    values.iter().flat_map(|value| store.table.holders(*field, &value.text)).collect();
                ids.sort_unstable();
                return Some(ids);
            }
            let mut ids = Vec::new();
            for value in values {
                let slots = words::slots(*field, definition.kind, &value.text);
                if slots.is_empty() {
                    return None;
                }
                ids.extend(store.table.candidates(&slots));
            }
            ids.sort_unstable();
            ids.dedup();
            Some(ids)
        }
        Criteria::Test { .. } => None,
    }
}

fn sort(store: &Store, by: Option<&str>, hits: &mut Vec<Snapshot<'_>>) -> Result<(), Refusal> {
    let Some(name) = by.filter(|name| *name != "id") else { return Ok(()) };
    let number = store.module.number(name).ok_or_else(|| Refusal::parameter("sort_by"))?;
    coql_run::arrange(&store.module, hits, &[(number, true)]);
    Ok(())
}
