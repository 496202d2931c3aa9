//! Writing records: insert, update, upsert and delete, up to a hundred rows, each with its own outcome.
//! May touch: the world, one lock at a time. Must not touch: sockets.
//! Failure story: each row is checked and carried out by itself, in order, so that a later row sees the earlier ones; what
//! fails changes nothing and says why in its place.

use super::Sim;
use super::call::Call;
use super::config::Faults;
use super::error::{Answer, Refusal, Reply, success};
use super::list;
use super::schema::{FieldNo, number};
use super::view;
use super::world::{ModuleNo, World, bad_id};
use serde_json::{Map, Value, json};

/// What may run because of a write.
const TRIGGERS: [&str; 5] = ["approval", "workflow", "blueprint", "pathfinder", "orchestration"];

/// How the rows of a write find their record.
#[derive(Debug, Clone)]
enum Way<'a> {
    Insert,
    /// By `id` in each row, or by an external field's value.
    Update(Option<FieldNo>),
    /// By the id in the path.
    One(Option<u64>),
    /// By duplicate check fields.
    Upsert(&'a [FieldNo]),
}

/// Serves `POST /{module}`.
pub(super) fn insert(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    write(sim, call, no, |_| Ok(Way::Insert), 201)
}

/// Serves `PUT /{module}`.
pub(super) fn update(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    let way = |world: &World| {
        let module = &world.store(no)?.module;
        let external = call.external(&module.api_name)?.map(|name| list::external_field(module, name)).transpose()?;
        Ok(Way::Update(external))
    };
    write(sim, call, no, way, 200)
}

/// Serves `PUT /{module}/{id}`.
pub(super) fn update_one(sim: &Sim, call: &Call, no: ModuleNo, segment: &str) -> Answer {
    if call.row_count("data") > 1 {
        return Err(Refusal::too_long(1, "data", "$.data"));
    }
    write(sim, call, no, |world| Ok(Way::One(list::target(world, call, no, segment)?)), 200)
}

/// Serves `POST /{module}/upsert`.
pub(super) fn upsert(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    let asked = match call.object()?.get("duplicate_check_fields") {
        None | Some(Value::Null) => None,
        Some(Value::Array(names)) => {
            Some(names.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect::<Vec<String>>())
        }
        Some(_) => return Err(Refusal::wrong_type("jsonarray", "duplicate_check_fields", "$.duplicate_check_fields")),
    };
    let fields = sim.world().store(no)?.module.duplicate_check(asked.as_deref())?;
    write(sim, call, no, |_| Ok(Way::Upsert(&fields)), 200)
}

fn write<'a>(
    sim: &Sim,
    call: &Call,
    no: ModuleNo,
    way: impl FnOnce(&World) -> Result<Way<'a>, Refusal>,
    whole: u16,
) -> Answer {
    let faults = sim.faults();
    let now = sim.clock.now_ms();
    let unmodified = call.time_header("if-unmodified-since")?;
    let mut world = sim.world();
    let rows = call.rows("data", world.limits.rows)?;
    let workflows = triggers(call)?;
    let way = way(&world)?;
    let mut outcomes = Vec::with_capacity(rows.len());
    for (n, row) in rows.into_iter().enumerate() {
        let outcome = chance_of_failure(sim, &faults, n)
            .and_then(|()| write_row(&mut world, no, &way, (row, n), unmodified, now));
        world.tally.workflows_run += u64::from(workflows && outcome.is_ok());
        world.tally.row_errors += u64::from(outcome.is_err());
        outcomes.push(outcome);
    }
    let failed = world.flags.all_failed_status;
    if let (Way::One(_), [Err(refusal)]) = (&way, outcomes.as_slice())
        && refusal.status == 412
    {
        return Err(refusal.clone());
    }
    Ok(Reply::rows("data", outcomes, whole, failed))
}

/// True when the organisation's workflows run: unless `trigger` leaves them out.
fn triggers(call: &Call) -> Result<bool, Refusal> {
    let Some(given) = call.object()?.get("trigger") else { return Ok(true) };
    let wrong = || Refusal::wrong_type("jsonarray", "trigger", "$.trigger");
    let given = given.as_array().ok_or_else(wrong)?;
    for (n, trigger) in given.iter().enumerate() {
        if !trigger.as_str().is_some_and(|trigger| TRIGGERS.contains(&trigger)) {
            return Err(Refusal::unsupported(&TRIGGERS, "trigger", &format!("$.trigger[{n}]")));
        }
    }
    Ok(given.iter().any(|trigger| trigger == "workflow"))
}

/// The injected row faults.
fn chance_of_failure(sim: &Sim, faults: &Faults, n: usize) -> Result<(), Refusal> {
    if sim.chance.happens(faults.row_failure) {
        return Err(Refusal::new(500, "INTERNAL_ERROR", "Internal server error occurred."));
    }
    if sim.chance.happens(faults.row_locked) {
        return Err(Refusal::new(400, "RECORD_LOCKED", "The record is locked"));
    }
    if sim.chance.happens(faults.row_rejection) {
        return Err(Refusal::invalid("Last_Name", &format!("$.data[{n}].Last_Name")));
    }
    Ok(())
}

fn write_row(
    world: &mut World,
    no: ModuleNo,
    way: &Way<'_>,
    (row, n): (&Map<String, Value>, usize),
    unmodified: Option<i64>,
    now: i64,
) -> Result<Value, Refusal> {
    let at = format!("$.data[{n}]");
    let mut found_by = None;
    let target = match way {
        Way::Insert => None,
        Way::One(id) => Some(id.ok_or_else(|| Refusal::no_such_id(1))?),
        Way::Update(None) => Some(id_of(world, no, row, &at)?),
        Way::Update(Some(field)) => {
            let message = "The value of the external field is invalid.";
            let found = world.find_duplicate(no, &[*field], row);
            Some(found.ok_or_else(|| Refusal::new(400, "INVALID_DATA", message))?.0)
        }
        // A row with an id is an update of that record.
        Way::Upsert(_) if row.contains_key("id") => Some(id_of(world, no, row, &at)?),
        Way::Upsert(fields) => world.find_duplicate(no, fields, row).map(|(id, field)| {
            found_by = Some(field);
            id
        }),
    };
    if let Some(id) = target {
        world.guarded(no, id)?;
        let modified = world.store(no)?.table.live.get(&id).map(|row| row.modified_at());
        if let (Some(limit), Some(modified)) = (unmodified, modified)
            && modified > limit
        {
            return Err(Refusal::new(412, "RECORD_MODIFIED", "The record has been modified"));
        }
    }
    let draft = world.prepare(no, target, row, &at)?;
    let user = world.integration();
    let id = world.apply(no, draft, user, now);
    let row = world.store(no)?.table.live.get(&id).ok_or_else(|| Refusal::no_such_id(1))?;
    let message = if target.is_some() { "record updated" } else { "record added" };
    let mut entry = success(message, view::written(world, row));
    if let (Way::Upsert(_), Some(fields)) = (way, entry.as_object_mut()) {
        fields.insert("duplicate_field".to_owned(), json!(found_by));
        fields.insert("action".to_owned(), json!(if target.is_some() { "update" } else { "insert" }));
    }
    Ok(entry)
}

fn id_of(world: &World, no: ModuleNo, row: &Map<String, Value>, at: &str) -> Result<u64, Refusal> {
    let at = format!("{at}.id");
    let id = row.get("id").ok_or_else(|| Refusal::mandatory("id", &at))?;
    if !id.is_string() && !id.is_u64() {
        return Err(Refusal::wrong_type("bigint", "id", &at));
    }
    let id = number(id).filter(|id| world.stores.get(no).is_some_and(|s| s.table.live.contains_key(id)));
    id.ok_or_else(|| bad_id("id", &at))
}

/// Serves `DELETE /{module}` and `DELETE /{module}/{id}`: into the recycle bin.
pub(super) fn delete(sim: &Sim, call: &Call, no: ModuleNo, segment: Option<&str>) -> Answer {
    let faults = sim.faults();
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let ids = match segment {
        Some(segment) => vec![segment.to_owned()],
        None => call.query.list("ids"),
    };
    if ids.is_empty() {
        return Err(Refusal::parameter_missing("ids"));
    }
    if ids.len() > world.limits.rows {
        let details = json!({"limit": world.limits.rows, "param_name": "ids"});
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "Record count exceeded").with(details));
    }
    let mut outcomes = Vec::with_capacity(ids.len());
    for (n, id) in ids.iter().enumerate() {
        let outcome = chance_of_failure(sim, &faults, n).and_then(|()| {
            let target = list::target(&world, call, no, id)?;
            let gone = || Refusal::new(400, "INVALID_DATA", "record not deleted").with(json!({"id": id}));
            let target = target.ok_or_else(gone)?;
            // A converted lead can't be changed, but it can be deleted.
            match world.guarded(no, target) {
                Err(refusal) if refusal.code != "CONVERTED_RECORD" => return Err(refusal),
                _ => {}
            }
            let user = world.integration();
            world.delete(no, target, user, now, false);
            Ok(success("record deleted", json!({"id": target.to_string()})))
        });
        world.tally.row_errors += u64::from(outcome.is_err());
        outcomes.push(outcome);
    }
    Ok(Reply::rows("data", outcomes, 200, world.flags.all_failed_status))
}

/// Serves `POST /{module}/{id}/Notes`: notes whose parent the path names.
pub(super) fn insert_notes(sim: &Sim, call: &Call, parent: ModuleNo, segment: &str, notes: ModuleNo) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let id = list::target(&world, call, parent, segment)?.ok_or_else(|| Refusal::no_such_id(1))?;
    let module = world.store(parent)?.module.api_name.to_string();
    let rows = call.rows("data", world.limits.rows)?;
    let mut outcomes = Vec::with_capacity(rows.len());
    for (n, row) in rows.into_iter().enumerate() {
        let mut row = row.clone();
        row.insert("Parent_Id".to_owned(), json!({"module": {"api_name": module}, "id": id.to_string()}));
        outcomes.push(write_row(&mut world, notes, &Way::Insert, (&row, n), None, now));
    }
    Ok(Reply::rows("data", outcomes, 201, world.flags.all_failed_status))
}
