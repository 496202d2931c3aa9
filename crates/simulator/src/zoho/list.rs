//! Reading records: one, many by pages or page tokens, deleted ones, and how many there are.
//! May touch: the world, reading; page tokens. Must not touch: records.
//! Failure story: a page beyond 2,000 rows, a token that is old, foreign or used with other parameters, and a list beyond
//! 100,000 rows are refused with codes of their own.

use super::Sim;
use super::call::Call;
use super::error::{Answer, Refusal, Reply};
use super::pages::Page;
use super::row::Row;
use super::schema::{FieldNo, Module};
use super::world::{ModuleNo, Store, World};
use super::{time, view};
use http::Method;
use serde_json::{Value, json};

/// The largest page.
const MAX_PAGE: usize = 200;

/// Serves `GET /{module}`.
pub(super) fn many(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let fields = fields(&world, call, no, true)?.unwrap_or_default();
    let per_page = call.number("per_page", MAX_PAGE, 1, MAX_PAGE)?;
    let by_time = sort_by(call)? == "Modified_Time";
    let ascending = ascending(call)?;
    let since = call.time_header("if-modified-since")?;
    let converted = converted(call)?;
    let ids = call.query.list("ids");
    let (page, token) = (call.query.get("page"), call.query.get("page_token"));
    if page.is_some() && token.is_some() {
        let due = json!({"ambiguity_due_to": [{"param_name": "page"}, {"param_name": "page_token"}]});
        let message = "You cannot use both page and page_token.";
        return Err(Refusal::new(400, "AMBIGUITY_DURING_PROCESSING", message).with(due));
    }
    let request = fingerprint(call);
    let start = token.map(|token| world.pages.find(token, &request, now)).transpose()?;
    let page = call.number("page", 1, 1, usize::MAX)?;
    let skip = if start.is_some() { 0 } else { (page - 1).saturating_mul(per_page) };
    let given = start.as_ref().map_or(skip, |start| start.given);
    if start.is_none() && skip.saturating_add(per_page) > world.limits.discrete_rows {
        let details = json!({"limit": world.limits.discrete_rows});
        let message = "You can only get the first 2000 records without using page_token param.";
        return Err(Refusal::new(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", message).with(details));
    }
    if given.saturating_add(per_page) > world.limits.token_rows {
        let details = json!({"param_name": "page_token"});
        let message = "You can only get up to first 100000 records using page_token param.";
        return Err(Refusal::new(400, "PAGINATION_LIMIT_EXCEEDED", message).with(details));
    }

    let store = world.store(no)?;
    let from = start.map(|start| start.last);
    let rows: Box<dyn Iterator<Item = &Row>> = match (ids.is_empty(), by_time) {
        (false, _) => Box::new(ids.iter().filter_map(|id| store.table.live.get(&id.parse().ok()?))),
        (true, true) => store.table.modified_after(since, from, ascending),
        (true, false) => store.table.by_id(from.map(|(_, id)| id), ascending),
    };
    let wanted = |row: &&Row| {
        converted.is_none_or(|wanted| row.converted == wanted) && since.is_none_or(|since| row.modified_at() > since)
    };
    let mut rows = rows.filter(wanted).skip(skip).peekable();
    let mut shown = Vec::new();
    let mut last = (0, 0);
    for row in rows.by_ref().take(per_page) {
        last = (row.modified_at(), row.id);
        shown.push(view::record(&world, store, row.snapshot(), Some(&fields)));
    }
    let more = rows.peek().is_some();
    drop(rows);
    if shown.is_empty() {
        return Ok(Reply::empty(if since.is_some() { 304 } else { 204 }));
    }
    let expires_at = now.saturating_add(world.limits.page_token_life_s.saturating_mul(1000));
    let next = more.then(|| {
        let given = given.saturating_add(shown.len());
        world.pages.make(Page { last, given, request, expires_at }, now)
    });
    let info = json!({
        "per_page": per_page, "next_page_token": next, "count": shown.len(),
        "sort_by": call.query.get("sort_by").unwrap_or("id"), "page": page, "previous_page_token": null,
        "page_token_expiry": next.is_some().then(|| time::iso(expires_at, world.offset)),
        "sort_order": if ascending { "asc" } else { "desc" }, "more_records": more,
    });
    Ok(Reply::read(json!({"data": shown, "info": info})))
}

/// The parameters that a page token is bound to.
fn fingerprint(call: &Call) -> String {
    let names = ["fields", "sort_by", "sort_order", "per_page", "converted", "cvid", "ids"];
    let values: Vec<&str> = names.into_iter().map(|name| call.query.get(name).unwrap_or_default()).collect();
    format!("{}?{}&{}", call.path.join("/"), values.join("&"), call.header("if-modified-since").unwrap_or_default())
}

fn sort_by(call: &Call) -> Result<&str, Refusal> {
    const SORTS: [&str; 3] = ["id", "Created_Time", "Modified_Time"];
    match call.query.get("sort_by") {
        None => Ok("id"),
        Some(name) if SORTS.contains(&name) => Ok(name),
        Some(_) => {
            let details = json!({"param_name": "sort_by", "supported_values": SORTS});
            Err(Refusal::new(400, "INVALID_DATA", "Please check whether the input values are correct").with(details))
        }
    }
}

/// `sort_order`: descending when absent.
pub(super) fn ascending(call: &Call) -> Result<bool, Refusal> {
    match call.query.get("sort_order") {
        None | Some("desc") => Ok(false),
        Some("asc") => Ok(true),
        Some(_) => Err(Refusal::parameter("sort_order")),
    }
}

/// Which leads are wanted: not converted ones when nothing is said, `None` for all.
pub(super) fn converted(call: &Call) -> Result<Option<bool>, Refusal> {
    match call.query.get("converted") {
        None | Some("false") => Ok(Some(false)),
        Some("true") => Ok(Some(true)),
        Some("both") => Ok(None),
        Some(_) => Err(Refusal::parameter("converted")),
    }
}

/// The fields of `fields=`; names that the module doesn't have are left out, as Zoho does.
pub(super) fn fields(world: &World, call: &Call, no: ModuleNo, needed: bool) -> Result<Option<Vec<FieldNo>>, Refusal> {
    let names = call.query.list("fields");
    if names.is_empty() {
        return if needed { Err(Refusal::parameter_missing("fields")) } else { Ok(None) };
    }
    if names.len() > world.limits.fields {
        let details = json!({"limit": world.limits.fields, "param_name": "fields"});
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "Max field limit exceeded").with(details));
    }
    let module = &world.store(no)?.module;
    Ok(Some(names.iter().filter_map(|name| module.number(name)).collect()))
}

/// The id that a path segment stands for: an id, or a value of the external field of `X-EXTERNAL`.
pub(super) fn target(world: &World, call: &Call, no: ModuleNo, segment: &str) -> Result<Option<u64>, Refusal> {
    let store = world.store(no)?;
    let live = |id: u64| store.table.live.contains_key(&id).then_some(id);
    let Some(name) = call.external(&store.module.api_name)? else {
        let id = segment.parse::<u64>().map_err(|_| Refusal::no_such_id(1))?;
        return Ok(live(id));
    };
    let number = external_field(&store.module, name)?;
    let found = store.table.holders(number, &segment.to_lowercase()).next();
    Ok(found)
}

/// The number of an external field.
pub(super) fn external_field(module: &Module, name: &str) -> Result<FieldNo, Refusal> {
    match module.named(name) {
        Some((number, field)) if field.external.is_some() => Ok(number),
        _ => {
            let message = "The external field given in X-EXTERNAL is invalid.";
            Err(Refusal::new(400, "INVALID_DATA", message).with(json!({"header": "X-EXTERNAL"})))
        }
    }
}

/// Serves `GET /{module}/{id}`.
pub(super) fn one(sim: &Sim, call: &Call, no: ModuleNo, segment: &str) -> Answer {
    let world = sim.world();
    let fields = fields(&world, call, no, false)?;
    let since = call.time_header("if-modified-since")?;
    let id = target(&world, call, no, segment)?;
    let store = world.store(no)?;
    let Some(row) = id.and_then(|id| store.table.live.get(&id)) else {
        return if world.flags.gone_is_204 { Ok(Reply::empty(204)) } else { Err(Refusal::no_such_id(1)) };
    };
    if since.is_some_and(|since| row.modified_at() <= since) {
        return Ok(Reply::empty(304));
    }
    Ok(Reply::read(json!({"data": [view::record(&world, store, row.snapshot(), fields.as_deref())]})))
}

/// Serves `GET /{module}/deleted`.
pub(super) fn deleted(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    let world = sim.world();
    let store = world.store(no)?;
    let permanent = match call.query.get("type") {
        None | Some("all") => None,
        Some("recycle") => Some(false),
        Some("permanent") => Some(true),
        Some(_) => {
            let details = json!({"param_name": "type"});
            let message = "Please check whether the input values are correct";
            return Err(Refusal::new(400, "PATTERN_NOT_MATCHED", message).with(details));
        }
    };
    let since = call.time_header("if-modified-since")?;
    let (page, per_page) = (call.number("page", 1, 1, usize::MAX)?, call.number("per_page", MAX_PAGE, 1, MAX_PAGE)?);
    let from = since.map_or((i64::MIN, 0), |since| (since.saturating_add(1), 0));
    let mut gone = store
        .table
        .by_deleted
        .range(from..)
        .rev()
        .filter_map(|(_, id)| store.table.deleted.get(id))
        .filter(|gone| gone.listed && permanent.is_none_or(|wanted| gone.permanent == wanted))
        .skip((page - 1).saturating_mul(per_page))
        .peekable();
    let rows: Vec<Value> = gone
        .by_ref()
        .take(per_page)
        .map(|gone| {
            json!({
                "deleted_by": view::user(&world, gone.by, false), "id": gone.row.id.to_string(),
                "display_name": view::display_name(store, &gone.row),
                "type": if gone.permanent { "permanent" } else { "recycle" },
                "created_by": view::user(&world, gone.row.created_by, false),
                "deleted_time": time::iso(gone.at, world.offset),
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(Reply::empty(204));
    }
    let more = gone.peek().is_some();
    let info = json!({"per_page": per_page, "count": rows.len(), "page": page, "more_records": more});
    Ok(Reply::read(json!({"data": rows, "info": info})))
}

/// Serves `GET /{module}/actions/count`.
pub(super) fn count(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    if call.method != Method::GET {
        return Err(Refusal::wrong_method());
    }
    if ["criteria", "email", "phone", "word", "cvid"].iter().any(|name| call.query.get(name).is_some()) {
        return Err(Refusal::not_simulated("Counting by criteria"));
    }
    let world = sim.world();
    Ok(Reply::read(json!({"count": world.store(no)?.table.live.len()})))
}

/// Serves `GET /{module}/{id}/{list}`: notes, and records whose lookup points here.
pub(super) fn related(sim: &Sim, call: &Call, no: ModuleNo, segment: &str, list: ModuleNo) -> Answer {
    let world = sim.world();
    let fields = fields(&world, call, list, true)?.unwrap_or_default();
    let (page, per_page) = (call.number("page", 1, 1, 10)?, call.number("per_page", MAX_PAGE, 1, MAX_PAGE)?);
    let since = call.time_header("if-modified-since")?;
    let id = target(&world, call, no, segment)?.ok_or_else(|| Refusal::no_such_id(1))?;
    let store: &Store = world.store(list)?;
    let numbers = world.lookups_to(no, list);
    let key = json!(id).to_string();
    let mut ids: Vec<u64> = numbers.into_iter().flat_map(|number| store.table.holders(number, &key)).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let mut rows = ids
        .iter()
        .filter_map(|id| store.table.live.get(id))
        .filter(|row| since.is_none_or(|since| row.modified_at() > since))
        .skip((page - 1).saturating_mul(per_page))
        .peekable();
    let shown: Vec<Value> =
        rows.by_ref().take(per_page).map(|row| view::record(&world, store, row.snapshot(), Some(&fields))).collect();
    if shown.is_empty() {
        return Ok(Reply::empty(if since.is_some() { 304 } else { 204 }));
    }
    let more = rows.peek().is_some();
    let info = json!({"per_page": per_page, "count": shown.len(), "page": page, "more_records": more});
    Ok(Reply::read(json!({"data": shown, "info": info})))
}
