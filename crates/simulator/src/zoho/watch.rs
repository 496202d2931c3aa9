//! Notification channels: subscribed, renewed, listed, ended; and what they have to tell.
//! May touch: its own channels; it reads records' changes. Must not touch: records, sockets.
//! Failure story: a channel that runs out says nothing more, and nobody is told. Its owner has to renew it in time.

use super::call::Call;
use super::error::{Answer, Refusal, Reply, success};
use super::schema::FieldNo;
use super::world::{ModuleNo, World};
use super::{Sim, time, view};
use http::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Life of a channel that doesn't say, milliseconds.
const DEFAULT_LIFE_MS: i64 = 3_600_000;
/// Channels of one call.
const MOST: usize = 50;
/// Longest token, characters.
const LONGEST_TOKEN: usize = 50;

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Create,
    Edit,
    Delete,
}

impl Operation {
    const fn event(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Edit => "edit",
            Self::Delete => "delete",
        }
    }

    const fn told(self, with_event_names: bool) -> &'static str {
        match self {
            _ if with_event_names => self.event(),
            Self::Create => "insert",
            Self::Edit => "update",
            Self::Delete => "delete",
        }
    }
}

/// A change of one record.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) module: ModuleNo,
    pub(super) operation: Operation,
    pub(super) id: u64,
    /// Fields that really changed, with their new values.
    pub(super) changed: Vec<(FieldNo, Option<Value>)>,
}

/// Fields of which any, or all, must have changed.
#[derive(Debug, Clone)]
struct Condition {
    module: ModuleNo,
    all: bool,
    fields: Vec<FieldNo>,
    shown: Value,
}

#[derive(Debug, Clone)]
struct Channel {
    url: String,
    token: Option<String>,
    /// Module, and the operation; all of them when absent.
    events: Vec<(ModuleNo, Option<Operation>)>,
    expires_at: i64,
    with_values: bool,
    conditions: Vec<Condition>,
}

impl Channel {
    fn wants(&self, event: &Event) -> bool {
        let subscribed = |(module, operation): &(ModuleNo, Option<Operation>)| {
            *module == event.module && operation.is_none_or(|operation| operation == event.operation)
        };
        let changed = |field: &FieldNo| event.changed.iter().any(|(n, _)| n == field);
        let mut conditions = self.conditions.iter().filter(|condition| condition.module == event.module).peekable();
        let met = event.operation != Operation::Edit
            || conditions.peek().is_none()
            || conditions.any(|c| if c.all { c.fields.iter().all(changed) } else { c.fields.iter().any(changed) });
        self.events.iter().any(subscribed) && met
    }
}

/// The channels of the organisation.
#[derive(Debug, Default)]
pub(super) struct Channels(BTreeMap<String, Channel>);

impl Channels {
    pub(super) fn living(&self, now: i64) -> usize {
        self.0.values().filter(|channel| channel.expires_at > now).count()
    }
}

/// What a channel has to be told: where, and the body.
#[derive(Debug)]
pub(super) struct Notification {
    pub(super) url: String,
    pub(super) body: Value,
}

/// Takes the changes since the last call and turns them into notifications: one for each channel, module and operation.
pub(super) fn drain(world: &mut World, home: &str, now: i64) -> Vec<Notification> {
    let events = std::mem::take(&mut world.events);
    let world = &*world;
    let mut out = Vec::new();
    for (id, channel) in world.channels.0.iter().filter(|(_, channel)| channel.expires_at > now) {
        let mut groups: BTreeMap<(ModuleNo, Operation), Vec<&Event>> = BTreeMap::new();
        for event in events.iter().filter(|event| channel.wants(event)) {
            groups.entry((event.module, event.operation)).or_default().push(event);
        }
        for ((module, operation), events) in groups {
            let Some(store) = world.stores.get(module) else { continue };
            let mut fields = Vec::new();
            let mut values = Vec::new();
            for event in events.iter().filter(|event| !event.changed.is_empty()) {
                let named = event.changed.iter().filter_map(|(n, _)| Some((*n, store.module.field(*n)?)));
                let names: Vec<&str> = named.clone().map(|(_, field)| &*field.api_name).collect();
                fields.push(json!({event.id.to_string(): names}));
                if let (true, Some(row)) = (channel.with_values, store.table.live.get(&event.id)) {
                    let shown: Map<String, Value> = named
                        .map(|(n, f)| (f.api_name.to_string(), view::value(world, store, row.snapshot(), n, f)))
                        .collect();
                    values.push(json!({"record_id": event.id.to_string(), "values": shown}));
                }
            }
            let ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
            let body = json!({
                "server_time": now, "affected_values": values, "query_params": {},
                "module": &*store.module.api_name, "resource_uri": uri(home, &store.module.api_name), "ids": ids,
                "affected_fields": fields, "operation": operation.told(world.flags.notify_with_event_names),
                "channel_id": id, "token": channel.token,
            });
            out.push(Notification { url: channel.url.clone(), body });
        }
    }
    out
}

fn uri(home: &str, module: &str) -> String {
    format!("{home}/crm/v8/{module}")
}

/// Serves `/actions/watch`.
pub(super) fn serve(sim: &Sim, call: &Call) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let subscribe = |world: &mut World, row: &Map<String, Value>, n: usize| -> Result<Value, Refusal> {
        let id = channel_id(row, n)?;
        let known = world.channels.0.get(&id).cloned();
        if call.method != Method::POST && known.is_none() {
            let details = json!({"api_name": "channel_id", "json_path": format!("$.watch[{n}].channel_id")});
            return Err(Refusal::new(400, "NOT_SUBSCRIBED", "the channel is not subscribed").with(details));
        }
        let patch = call.method == Method::PATCH;
        if patch && row.get("_delete_events") == Some(&json!(true)) {
            return unsubscribe(world, &id, row, n, known);
        }
        let channel = read(world, row, n, if patch { known } else { None }, now)?;
        let details = json!({"events": events(world, &sim.home(), &id, &channel)});
        world.channels.0.insert(id, channel);
        let message = match call.method {
            Method::POST => "Successfully subscribed for actions-watch of the given module",
            _ => "Successfully updated the subscribe details",
        };
        Ok(success(message, details))
    };
    match call.method {
        Method::POST | Method::PUT | Method::PATCH => {
            let rows = call.rows("watch", MOST)?;
            let rows = rows.into_iter().enumerate().map(|(n, row)| subscribe(&mut world, row, n)).collect();
            Ok(Reply::rows("watch", rows, if call.method == Method::POST { 201 } else { 200 }, 400))
        }
        Method::DELETE => {
            let ids = call.query.list("channel_ids");
            if ids.is_empty() {
                return Err(Refusal::parameter_missing("channel_ids"));
            }
            let rows = ids.iter().map(|id| {
                let channel = world
                    .channels
                    .0
                    .remove(id)
                    .ok_or_else(|| Refusal::new(400, "NOT_SUBSCRIBED", "the channel is not subscribed"))?;
                let first = events(&world, &sim.home(), id, &channel).into_iter().next().unwrap_or_default();
                let details = json!({"resource_uri": first.get("resource_uri"), "resource_id": first.get("resource_id"),
                                     "channel_id": id});
                Ok(success("Successfully un-subscribed from actions-watch", details))
            });
            Ok(Reply::rows("watch", rows.collect(), 200, 400))
        }
        Method::GET => list(&world, call, &sim.home(), now),
        _ => Err(Refusal::wrong_method()),
    }
}

fn channel_id(row: &Map<String, Value>, n: usize) -> Result<String, Refusal> {
    let at = format!("$.watch[{n}].channel_id");
    let id = match row.get("channel_id") {
        None => return Err(Refusal::mandatory("channel_id", &at)),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(Refusal::wrong_type("bigint", "channel_id", &at)),
    };
    match id.parse::<i64>() {
        Ok(number) if number > 0 => Ok(id),
        _ => Err(Refusal::wrong_type("bigint", "channel_id", &at)),
    }
}

fn unsubscribe(
    world: &mut World,
    id: &str,
    row: &Map<String, Value>,
    n: usize,
    known: Option<Channel>,
) -> Result<Value, Refusal> {
    let given = read_events(world, row, n)?;
    if let Some(mut channel) = known {
        channel.events.retain(|event| !given.contains(event));
        if channel.events.is_empty() {
            world.channels.0.remove(id);
        } else {
            world.channels.0.insert(id.to_owned(), channel);
        }
    }
    Ok(success("Successfully removed the subscribe details", json!({"channel_id": id})))
}

/// A channel as a row describes it; with `before`, what the row leaves out stays.
fn read(
    world: &World,
    row: &Map<String, Value>,
    n: usize,
    before: Option<Channel>,
    now: i64,
) -> Result<Channel, Refusal> {
    let at = |name: &str| format!("$.watch[{n}].{name}");
    let text = |name: &str, longest: usize| match row.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() > longest => Err(Refusal::too_long(longest, name, &at(name))),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::wrong_type("text", name, &at(name))),
    };
    let url = match (text("notify_url", 255)?, &before) {
        (Some(url), _) if url.starts_with("http://") || url.starts_with("https://") => url,
        (Some(_), _) => return Err(Refusal::invalid("notify_url", &at("notify_url"))),
        (None, Some(before)) => before.url.clone(),
        (None, None) => return Err(Refusal::mandatory("notify_url", &at("notify_url"))),
    };
    let events = match (row.contains_key("events"), &before) {
        (false, Some(before)) => before.events.clone(),
        _ => read_events(world, row, n)?,
    };
    let expires_at = match (text("channel_expiry", 40)?, &before) {
        (Some(text), _) => {
            let at = time::parse_field(&text)
                .ok_or_else(|| Refusal::wrong_type("datetime", "channel_expiry", &at("channel_expiry")))?;
            let most = now.saturating_add(world.limits.channel_life_s.saturating_mul(1000));
            if at <= now || at > most {
                return Err(Refusal::invalid("channel_expiry", &format!("$.watch[{n}].channel_expiry")));
            }
            at
        }
        (None, Some(before)) => before.expires_at,
        (None, None) => now.saturating_add(DEFAULT_LIFE_MS),
    };
    let with_values = match row.get("return_affected_field_values") {
        None | Some(Value::Null) => before.as_ref().is_some_and(|before| before.with_values),
        Some(Value::Bool(wanted)) => *wanted,
        Some(_) => {
            let name = "return_affected_field_values";
            return Err(Refusal::wrong_type("boolean", name, &at(name)));
        }
    };
    let conditions = match row.get("notification_condition") {
        None | Some(Value::Null) => before.as_ref().map(|before| before.conditions.clone()).unwrap_or_default(),
        Some(value) => read_conditions(world, value, n)?,
    };
    let token = text("token", LONGEST_TOKEN)?.or(before.and_then(|before| before.token));
    Ok(Channel { url, token, events, expires_at, with_values, conditions })
}

fn read_events(
    world: &World,
    row: &Map<String, Value>,
    n: usize,
) -> Result<Vec<(ModuleNo, Option<Operation>)>, Refusal> {
    let at = format!("$.watch[{n}].events");
    let events = row.get("events").ok_or_else(|| Refusal::mandatory("events", &at))?;
    let events = events.as_array().ok_or_else(|| Refusal::wrong_type("jsonarray", "events", &at))?;
    if events.is_empty() {
        return Err(Refusal::mandatory("events", &at));
    }
    let event = |(i, event): (usize, &Value)| {
        let bad = || Refusal::invalid("events", &format!("{at}[{i}]"));
        let (module, operation) = event.as_str().and_then(|text| text.split_once('.')).ok_or_else(bad)?;
        let module = world.module_no(module).ok_or_else(bad)?;
        let operation = match operation {
            "create" => Some(Operation::Create),
            "edit" => Some(Operation::Edit),
            "delete" => Some(Operation::Delete),
            "all" => None,
            _ => return Err(bad()),
        };
        Ok((module, operation))
    };
    events.iter().enumerate().map(event).collect()
}

/// Up to two groups of up to ten fields.
fn read_conditions(world: &World, value: &Value, n: usize) -> Result<Vec<Condition>, Refusal> {
    let at = format!("$.watch[{n}].notification_condition");
    let bad = |api_name: &str| Refusal::invalid(api_name, &at);
    let given = value.as_array().ok_or_else(|| Refusal::wrong_type("jsonarray", "notification_condition", &at))?;
    if given.len() > 2 {
        return Err(Refusal::too_long(2, "notification_condition", &at));
    }
    let condition = |given: &Value| {
        if given.get("type").and_then(Value::as_str) != Some("field_selection") {
            return Err(bad("type"));
        }
        let name = given.pointer("/module/api_name").and_then(Value::as_str).unwrap_or_default();
        let module = world.module_no(name).ok_or_else(|| bad("module"))?;
        let selection = given.get("field_selection").ok_or_else(|| bad("field_selection"))?;
        let group = match selection.get("group").and_then(Value::as_array) {
            Some(group) => group.iter().collect(),
            None => vec![selection],
        };
        if group.len() > 10 {
            return Err(Refusal::too_long(10, "group", &at));
        }
        let field = |entry: &&Value| {
            let name = entry.pointer("/field/api_name").or_else(|| entry.get("api_name")).and_then(Value::as_str);
            let store = world.stores.get(module)?;
            store.module.number(name?)
        };
        let fields: Option<Vec<FieldNo>> = group.iter().map(field).collect();
        let all = selection.get("group_operator").and_then(Value::as_str) == Some("and");
        Ok(Condition { module, all, fields: fields.ok_or_else(|| bad("field"))?, shown: given.clone() })
    };
    given.iter().map(condition).collect()
}

fn events(world: &World, home: &str, id: &str, channel: &Channel) -> Vec<Value> {
    let expiry = time::iso(channel.expires_at, world.offset);
    let view = |(no, _): &(ModuleNo, Option<Operation>)| {
        let module = &world.stores.get(*no)?.module;
        let conditions: Vec<&Value> = channel.conditions.iter().filter(|c| c.module == *no).map(|c| &c.shown).collect();
        Some(json!({
            "channel_expiry": expiry, "resource_uri": uri(home, &module.api_name),
            "resource_id": module.id.to_string(), "resource_name": &*module.api_name, "channel_id": id,
            "notification_condition": conditions,
        }))
    };
    channel.events.iter().filter_map(view).collect()
}

fn list(world: &World, call: &Call, home: &str, now: i64) -> Answer {
    let (page, per_page) = (call.number("page", 1, 1, usize::MAX)?, call.number("per_page", 200, 1, 200)?);
    let (wanted, module) = (call.query.get("channel_id"), call.query.get("module"));
    let mut rows = Vec::new();
    for (id, channel) in world.channels.0.iter().filter(|(_, channel)| channel.expires_at > now) {
        if wanted.is_some_and(|wanted| wanted != id) {
            continue;
        }
        let mut by_module: BTreeMap<ModuleNo, Vec<String>> = BTreeMap::new();
        for (no, operation) in &channel.events {
            let Some(store) = world.stores.get(*no) else { continue };
            let name = format!("{}.{}", store.module.api_name, operation.map_or("all", Operation::event));
            by_module.entry(*no).or_default().push(name);
        }
        for (no, names) in by_module {
            let Some(store) = world.stores.get(no) else { continue };
            if module.is_some_and(|module| *module != *store.module.api_name) {
                continue;
            }
            let shown: Vec<&Value> = channel.conditions.iter().filter(|c| c.module == no).map(|c| &c.shown).collect();
            rows.push(json!({
                "notify_on_related_action": false, "resource_uri": uri(home, &store.module.api_name),
                "resource_id": store.module.id.to_string(), "notify_url": channel.url,
                "resource_name": &*store.module.api_name, "channel_id": id, "fields": null, "events": names,
                "channel_expiry": time::iso(channel.expires_at, world.offset), "token": channel.token,
                "return_affected_field_values": channel.with_values, "notification_condition": shown,
            }));
        }
    }
    let from = (page - 1).saturating_mul(per_page);
    let more = rows.len() > from.saturating_add(per_page);
    let rows: Vec<Value> = rows.into_iter().skip(from).take(per_page).collect();
    if rows.is_empty() {
        return Ok(Reply::empty(204));
    }
    let info = json!({"per_page": per_page, "count": rows.len(), "page": page, "more_records": more});
    Ok(Reply::read(json!({"watch": rows, "info": info})))
}
