//! Query endpoints: a first page, further pages by a cursor, deleted records too, the Tooling API's.
//! May touch: cursors; records, to read them. Must not touch: sockets.

use super::Sim;
use super::error::{Answer, Refusal, Reply};
use super::request::Call;
use super::soql::{Bound, Query, find, parse, render};
use super::world::World;
use serde_json::{Value, json};
use std::sync::Arc;

/// The smallest page that can be asked for.
const SMALLEST_BATCH: usize = 200;

fn invalid_locator() -> Refusal {
    Refusal::bad("INVALID_QUERY_LOCATOR", "invalid query locator")
}

/// `GET /query?q=` and `GET /queryAll?q=`.
pub(super) fn start(sim: &Sim, call: &Call, session: &str, all_rows: bool, now: i64) -> Answer {
    run(sim, call, session, all_rows, false, now)
}

/// `GET /tooling/query?q=`.
pub(super) fn tooling(sim: &Sim, call: &Call, session: &str, now: i64) -> Answer {
    run(sim, call, session, false, true, now)
}

fn run(sim: &Sim, call: &Call, session: &str, all_rows: bool, tooling: bool, now: i64) -> Answer {
    let text = call.query.get("q").ok_or_else(|| Refusal::bad("MALFORMED_QUERY", "SOQL query must be given as q"))?;
    let mut query = parse(text)?;
    if query.all_rows && !all_rows {
        return Err(Refusal::bad("MALFORMED_QUERY", "ALL ROWS is for queryAll and Apex only"));
    }
    query.all_rows = all_rows;
    if sim.chance.happens(sim.faults().query_timeout) {
        return Err(Refusal::bad("QUERY_TIMEOUT", "Your query request was running for too long."));
    }
    let mut world = sim.world();
    let bound = Bound::of(&query, &world, tooling, now)?;
    let ids = find(&world, &query, &bound);
    if let Some(name) = &bound.count {
        return Ok(Reply::read(match name.as_str() {
            "" => json!({"totalSize": ids.len(), "done": true, "records": []}),
            name => json!({"totalSize": 1, "done": true,
                           "records": [{"attributes": {"type": "AggregateResult"}, name: ids.len()}]}),
        }));
    }
    let asked = call.option("sforce-query-options", "batchSize").map(str::parse::<usize>);
    let batch = match asked {
        None => sim.config.limits.query_batch,
        Some(Ok(size)) if size >= SMALLEST_BATCH && size <= sim.config.limits.query_batch => size,
        Some(_) => {
            let message = format!("batchSize must be between {SMALLEST_BATCH} and {}", sim.config.limits.query_batch);
            return Err(Refusal::bad("INVALID_QUERY_OPTIONS", message));
        }
    };
    let (query, ids) = (Arc::new(query), Arc::new(ids));
    let mut locator = String::new();
    if ids.len() > batch {
        let limits = &sim.config.limits;
        locator = world.cursors.open(session, Arc::clone(&query), Arc::clone(&ids), batch, limits, now);
    }
    Ok(page(&world, &query, &bound, &ids, 0, batch, &locator, &call.base))
}

/// `GET /query/{locator}`.
pub(super) fn more(sim: &Sim, call: &Call, session: &str, locator: &str, now: i64) -> Answer {
    let (name, from) = locator.rsplit_once('-').ok_or_else(invalid_locator)?;
    let from: usize = from.parse().map_err(|_| invalid_locator())?;
    let mut world = sim.world();
    let life = sim.config.limits.cursor_life_s.saturating_mul(1_000);
    let cursor = world.cursors.find(name, life, now).ok_or_else(invalid_locator)?;
    let foreign = sim.config.flags.cursors_end_with_session && cursor.session != session;
    if foreign || from == 0 || from >= cursor.ids.len() {
        return Err(invalid_locator());
    }
    let tooling = world.schema.find(&cursor.query.object).is_some_and(|(_, object)| object.tooling);
    let bound = Bound::of(&cursor.query, &world, tooling, now)?;
    let reply = page(&world, &cursor.query, &bound, &cursor.ids, from, cursor.batch, name, &call.base);
    if from + cursor.batch >= cursor.ids.len() {
        world.cursors.close(name);
    }
    Ok(reply)
}

#[expect(clippy::too_many_arguments, reason = "a page is made of all of these, in two places")]
fn page(
    world: &World,
    query: &Query,
    bound: &Bound,
    ids: &[super::ids::RecordId],
    from: usize,
    batch: usize,
    locator: &str,
    base: &str,
) -> Reply {
    let table = world.table(bound.object);
    let rows = ids.iter().skip(from).take(batch).filter_map(|id| table.and_then(|table| table.row(*id)));
    // What was deleted since the query began is not shown any more.
    let shown = rows.filter(|row| query.all_rows || row.deleted_at.is_none());
    let records: Vec<Value> = shown.map(|row| render(world, bound, row, base)).collect();
    let done = from + batch >= ids.len();
    let mut body = json!({"totalSize": ids.len(), "done": done, "records": records});
    if let (false, Some(fields)) = (done, body.as_object_mut()) {
        fields.insert("nextRecordsUrl".to_owned(), json!(format!("{base}/query/{locator}-{}", from + batch)));
    }
    Reply::read(body)
}
