//! getDeleted and getUpdated: ids of what was deleted or changed within a span of at most thirty days.
//! May touch: records, to read them. Must not touch: sockets.

use super::Sim;
use super::cell::moment;
use super::error::{Answer, Refusal, Reply};
use super::request::Call;
use serde_json::{Value, json};

const DAY_MS: i64 = 86_400_000;
/// How far back a span may begin.
const OLDEST_MS: i64 = 30 * DAY_MS;

/// Start and end of the span, and until when it is covered.
fn span(sim: &Sim, call: &Call, now: i64) -> Result<(i64, i64, i64), Refusal> {
    let time = |name: &str| {
        // A plus sign that was not escaped has become a blank.
        let text = call.query.get(name).unwrap_or_default().replace(' ', "+");
        super::cell::parse_moment(&text).ok_or_else(|| {
            Refusal::bad("INVALID_REPLICATION_DATE", format!("{name} is not a date and time with an offset: {text}"))
        })
    };
    let (start, end) = (time("start")?, time("end")?);
    if start < now - OLDEST_MS {
        return Err(Refusal::bad("INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago"));
    }
    // Seconds are ignored: a span within one minute is none.
    if end.div_euclid(60_000) <= start.div_euclid(60_000) {
        let message = "endDate must be at least one minute greater than the startDate";
        return Err(Refusal::bad("INVALID_REPLICATION_DATE", message));
    }
    let covered = end.min(now - sim.config.flags.replication_lag_ms);
    Ok((start, covered, covered))
}

/// `GET /sobjects/{object}/deleted?start=&end=`.
pub(super) fn deleted(sim: &Sim, call: &Call, name: &str, now: i64) -> Answer {
    let (start, end, covered) = span(sim, call, now)?;
    let world = sim.world();
    let (number, _) = world.visible(name).ok_or_else(Refusal::not_found)?;
    let table = world.table(number).ok_or_else(Refusal::not_found)?;
    let rows = table.deleted_since(start).take_while(|(at, _)| *at <= end);
    let list: Vec<Value> = rows.map(|(at, id)| json!({"id": id.to_string(), "deletedDate": moment(at)})).collect();
    Ok(Reply::read(json!({"deletedRecords": list, "earliestDateAvailable": moment(now - OLDEST_MS / 2),
                          "latestDateCovered": moment(covered)})))
}

/// `GET /sobjects/{object}/updated?start=&end=`.
pub(super) fn updated(sim: &Sim, call: &Call, name: &str, now: i64) -> Answer {
    let (start, end, covered) = span(sim, call, now)?;
    let world = sim.world();
    let (number, _) = world.visible(name).ok_or_else(Refusal::not_found)?;
    let table = world.table(number).ok_or_else(Refusal::not_found)?;
    let rows = table.stamped_since(start).take_while(|row| row.stamp <= end);
    let ids: Vec<String> = rows.filter(|row| row.deleted_at.is_none()).map(|row| row.id.to_string()).collect();
    Ok(Reply::read(json!({"ids": ids, "latestDateCovered": moment(covered)})))
}
