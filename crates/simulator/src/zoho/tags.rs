//! Tags: those of a module, and those of records.
//! May touch: tags, the tag lists of records. Must not touch: other values of records.

use super::builtin::COLOURS;
use super::call::Call;
use super::config::Limits;
use super::error::{Answer, Body, Refusal, Reply, success};
use super::schema::number;
use super::watch::{Event, Operation};
use super::world::{ModuleNo, Store, World, bad_id};
use super::{Sim, time};
use http::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Longest name of a tag, characters.
const LONGEST: usize = 25;
/// Records of one change of tags.
const MOST_RECORDS: usize = 500;

/// A tag.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) colour: Option<String>,
    made_at: i64,
}

/// The tags of all modules.
#[derive(Debug, Default)]
pub(super) struct Tags(BTreeMap<String, Vec<Tag>>);

impl Tags {
    fn of(&self, module: &str) -> &[Tag] {
        self.0.get(module).map_or(&[], Vec::as_slice)
    }

    pub(super) fn get(&self, module: &str, id: u64) -> Option<&Tag> {
        self.of(module).iter().find(|tag| tag.id == id)
    }

    fn by_id(&self, id: u64) -> Option<&Tag> {
        self.0.values().flatten().find(|tag| tag.id == id)
    }

    fn add(&mut self, module: &str, name: &str, colour: Option<String>, id: u64, now: i64) {
        let tag = Tag { id, name: name.to_owned(), colour, made_at: now };
        self.0.entry(module.to_owned()).or_default().push(tag);
    }

    /// The ids of these tags; those that don't exist are made.
    pub(super) fn resolve(&mut self, module: &str, names: &[String], ids: &mut u64, now: i64) -> Vec<u64> {
        let mut found: Vec<u64> = Vec::new();
        for name in names {
            let known = self.of(module).iter().find(|tag| tag.name.eq_ignore_ascii_case(name)).map(|tag| tag.id);
            let id = known.unwrap_or_else(|| {
                *ids += 1;
                self.add(module, name, None, *ids, now);
                *ids
            });
            if !found.contains(&id) {
                found.push(id);
            }
        }
        found
    }

    fn remove(&mut self, id: u64) -> bool {
        let before: usize = self.0.values().map(Vec::len).sum();
        for tags in self.0.values_mut() {
            tags.retain(|tag| tag.id != id);
        }
        before > self.0.values().map(Vec::len).sum()
    }
}

/// The names in an array of tags, each given by `name` or by `id`.
pub(super) fn names(value: &Value, at: &str, tags: &Tags, limits: &Limits) -> Result<Vec<String>, Refusal> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let entries = value.as_array().ok_or_else(|| Refusal::wrong_type("jsonarray", "Tag", at))?;
    if entries.len() > limits.tags_per_record {
        let details = json!({"limit": limits.tags_per_record, "api_name": "Tag", "json_path": at});
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "tag limit exceeded").with(details));
    }
    let name = |(n, entry): (usize, &Value)| {
        let at = format!("{at}[{n}]");
        let id = entry.get("id").and_then(number);
        match (entry.get("name"), id) {
            (Some(name), _) => checked(name, &format!("{at}.name")),
            (None, Some(id)) => tags.by_id(id).map(|tag| tag.name.clone()).ok_or_else(|| bad_id("id", &at)),
            (None, None) => Err(Refusal::mandatory("name", &format!("{at}.name"))),
        }
    };
    entries.iter().enumerate().map(name).collect()
}

fn checked(name: &Value, at: &str) -> Result<String, Refusal> {
    let name = name.as_str().ok_or_else(|| Refusal::wrong_type("text", "name", at))?.trim();
    match name.chars().count() {
        0 => Err(Refusal::mandatory("name", at)),
        n if n > LONGEST => Err(Refusal::too_long(LONGEST, "name", at)),
        _ => Ok(name.to_owned()),
    }
}

/// Serves `/settings/tags`.
pub(super) fn settings(sim: &Sim, call: &Call, rest: &[&str]) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    match (&call.method, rest) {
        (&Method::DELETE, [id]) => {
            let known = id.parse().is_ok_and(|id| world.tags.remove(id));
            let row = match known {
                true => Ok(success("tags deleted successfully", json!({"id": id}))),
                false => Err(Refusal::no_such_id(2)),
            };
            row.map(|row| Reply::rows("tags", vec![Ok(row)], 200, 400))
        }
        (&Method::GET, []) => {
            let module = module(&world, call)?;
            let (allowed, user, offset) = (world.limits.tags_per_module, by(&world), world.offset);
            let rows: Vec<Value> = world.tags.of(&module).iter().map(|tag| view(tag, &user, offset)).collect();
            let info = json!({"count": rows.len(), "allowed_count": allowed});
            Ok(Reply::read(json!({"tags": rows, "info": info})))
        }
        (&Method::POST, []) => {
            let module = module(&world, call)?;
            let most = world.limits.tags_per_module;
            let rows = call.rows("tags", most)?;
            let rows = rows.into_iter().enumerate().map(|(n, row)| create(&mut world, &module, row, n, now)).collect();
            Ok(Reply::rows("tags", rows, 201, 400))
        }
        _ => Err(Refusal::wrong_method()),
    }
}

fn module(world: &World, call: &Call) -> Result<String, Refusal> {
    let name = call.query.get("module").ok_or_else(|| Refusal::parameter_missing("module"))?;
    world
        .module_no(name)
        .map(|_| name.to_owned())
        .ok_or_else(|| Refusal::new(400, "INVALID_MODULE", "the module name given seems to be invalid"))
}

fn by(world: &World) -> Value {
    let user = world.user(world.integration());
    user.map_or(Value::Null, |user| json!({"name": user.name, "id": user.id.to_string()}))
}

fn view(tag: &Tag, user: &Value, offset: i32) -> Value {
    let at = time::iso(tag.made_at, offset);
    json!({"created_time": at, "modified_time": at, "color_code": tag.colour, "name": tag.name,
           "modified_by": user, "created_by": user, "id": tag.id.to_string()})
}

fn create(world: &mut World, module: &str, row: &Map<String, Value>, n: usize, now: i64) -> Result<Value, Refusal> {
    let at = format!("$.tags[{n}].name");
    let name = checked(row.get("name").ok_or_else(|| Refusal::mandatory("name", &at))?, &at)?;
    let colour = row.get("color_code").and_then(Value::as_str).map(ToOwned::to_owned);
    if colour.as_deref().is_some_and(|colour| !COLOURS.contains(&colour)) {
        return Err(Refusal::unsupported(&COLOURS, "color_code", &format!("$.tags[{n}].color_code")));
    }
    if let Some(other) = world.tags.of(module).iter().find(|tag| tag.name.eq_ignore_ascii_case(&name)) {
        let details = json!({"id": other.id.to_string(), "api_name": "name"});
        return Err(Refusal::new(400, "DUPLICATE_DATA", "duplicate data").with(details));
    }
    let limit = world.limits.tags_per_module;
    if world.tags.of(module).len() >= limit {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "tag limit exceeded").with(json!({"limit": limit})));
    }
    let id = world.new_id();
    world.tags.add(module, &name, colour, id, now);
    let (user, offset) = (by(world), world.offset);
    let mut details = world.tags.get(module, id).map_or(Value::Null, |tag| view(tag, &user, offset));
    if let Some(fields) = details.as_object_mut() {
        fields.remove("name");
    }
    Ok(success("tags created successfully", details))
}

/// Serves `…/actions/add_tags` and `…/actions/remove_tags`, for one record or for the ids of the body.
pub(super) fn change(sim: &Sim, call: &Call, no: ModuleNo, one: Option<&str>, add: bool) -> Answer {
    if call.method != Method::POST {
        return Err(Refusal::wrong_method());
    }
    let body = call.object()?;
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let given = body.get("tags").ok_or_else(|| Refusal::mandatory("tags", "$.tags"))?;
    let wanted = names(given, "$.tags", &world.tags, &world.limits)?;
    let ids: Vec<String> = match one {
        Some(id) => vec![id.to_owned()],
        None => {
            let ids = body.get("ids").ok_or_else(|| Refusal::mandatory("ids", "$.ids"))?;
            let ids = ids.as_array().ok_or_else(|| Refusal::wrong_type("jsonarray", "ids", "$.ids"))?;
            if ids.len() > MOST_RECORDS {
                return Err(Refusal::too_long(MOST_RECORDS, "ids", "$.ids"));
            }
            ids.iter().map(|id| number(id).unwrap_or_default().to_string()).collect()
        }
    };
    let over = body.get("over_write").and_then(Value::as_bool).or(Some(call.query.get("over_write") == Some("true")));
    let name = world.store(no)?.module.api_name.clone();
    let set = match add {
        true => {
            let World { tags, last_id, .. } = &mut *world;
            tags.resolve(&name, &wanted, last_id, now)
        }
        false => {
            let named = |tag: &&Tag| wanted.iter().any(|name| tag.name.eq_ignore_ascii_case(name));
            world.tags.of(&name).iter().filter(named).map(|tag| tag.id).collect()
        }
    };
    let rows: Vec<Result<Value, Refusal>> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| retag(&mut world, no, (id, n), &set, add, over == Some(true), now))
        .collect();
    let good = rows.iter().filter(|row| row.is_ok()).count();
    let mut reply = Reply::rows("data", rows, 200, 400);
    if let Body::Json(Value::Object(fields)) = &mut reply.body {
        fields.insert("wf_scheduler".to_owned(), json!(false));
        fields.insert("success_count".to_owned(), json!(good.to_string()));
        fields.insert("locked_count".to_owned(), json!("0"));
    }
    Ok(reply)
}

fn retag(
    world: &mut World,
    no: ModuleNo,
    (id, n): (&str, usize),
    set: &[u64],
    add: bool,
    over_write: bool,
    now: i64,
) -> Result<Value, Refusal> {
    let missing = || bad_id("ids", &format!("$.ids[{n}]"));
    let id: u64 = id.parse().map_err(|_| missing())?;
    let (limit, user, lag) = (world.limits.tags_per_record, world.integration(), world.flags.search_lag_ms.max(0));
    world.guarded(no, id)?;
    let row = world.store(no)?.table.live.get(&id).ok_or_else(missing)?;
    let mut tags = if add && over_write { Vec::new() } else { row.tags.clone() };
    if add {
        tags.extend(set.iter().filter(|tag| !row.tags.contains(tag) || over_write));
    } else {
        tags.retain(|tag| !set.contains(tag));
    }
    if tags.len() > limit {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "tag limit exceeded").with(json!({"limit": limit})));
    }
    if let Some(row) = world.store_mut(no)?.table.touch(id, user, now, lag) {
        row.tags.clone_from(&tags);
    }
    world.events.push(Event { module: no, operation: Operation::Edit, id, changed: Vec::new() });
    let Store { module, .. } = world.store(no)?;
    let tags = of_record(world, &module.api_name, &tags);
    Ok(success("tags updated successfully", json!({"id": id.to_string(), "tags": tags})))
}

/// The tags of a record as answers show them.
pub(super) fn of_record(world: &World, module: &str, tags: &[u64]) -> Value {
    let view = |tag: &Tag| json!({"name": tag.name, "id": tag.id.to_string(), "color_code": tag.colour});
    Value::Array(tags.iter().filter_map(|id| world.tags.get(module, *id)).map(view).collect())
}
