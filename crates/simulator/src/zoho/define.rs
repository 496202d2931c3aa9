//! Fields as they describe themselves, and custom fields: made, changed, removed.
//! May touch: the fields of a module and their indexes. Must not touch: values of records.
//! Failure story: a row that can't be a field is refused with its place; a field that becomes unique while records share a
//! value is refused.

use super::Sim;
use super::call::Call;
use super::error::{Answer, Refusal, Reply, success};
use super::schema::{Field, Kind, Module, plain};
use super::time;
use super::world::{ModuleNo, Store, World};
use http::Method;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Fields of one call.
const MOST_ROWS: usize = 5;
/// Longest label, characters.
const LONGEST_LABEL: usize = 50;
/// Longest name that the API uses, characters.
const LONGEST_NAME: usize = 50;
/// External fields of one module and type.
const MOST_EXTERNAL: usize = 3;

/// Serves `/settings/fields`.
pub(super) fn serve(sim: &Sim, call: &Call, rest: &[&str]) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let name = call.query.get("module").ok_or_else(|| Refusal::parameter_missing("module"))?;
    let no = world.module_no(name).ok_or_else(|| {
        Refusal::new(400, "INVALID_MODULE", "the module name given seems to be invalid")
            .with(json!({"api_name": "module"}))
    })?;
    match (&call.method, rest) {
        (&Method::GET, []) => {
            let store = world.store(no)?;
            let rows = store.module.live().map(|(_, field)| view(&world, &store.module, field)).collect::<Vec<_>>();
            Ok(Reply::read(json!({"fields": rows})))
        }
        (&Method::GET, [id]) => {
            let store = world.store(no)?;
            let field = find(&store.module, id)?;
            Ok(Reply::read(json!({"fields": [view(&world, &store.module, field)]})))
        }
        (&Method::POST, []) => {
            let rows = call.rows("fields", MOST_ROWS)?;
            let made = rows.into_iter().enumerate().map(|(n, row)| create(&mut world, no, row, n, now)).collect();
            Ok(Reply::rows("fields", made, 201, 400))
        }
        (&Method::PATCH, [id]) => {
            let rows = call.rows("fields", 1)?;
            let field = find(&world.store(no)?.module, id)?.api_name.to_string();
            let made = rows.into_iter().map(|row| change(&mut world, no, &field, row)).collect();
            Ok(Reply::rows("fields", made, 200, 400))
        }
        (&Method::DELETE, [id]) => {
            let field = find(&world.store(no)?.module, id)?;
            let (name, id, custom) = (field.api_name.to_string(), field.id, field.custom);
            if !custom {
                let refusal = Refusal::new(400, "NOT_ALLOWED", "a system field can't be deleted");
                return Err(refusal.with(json!({"resource_path_index": 2})));
            }
            if let Some(field) = world.store_mut(no)?.module.fields.iter_mut().find(|field| *field.api_name == *name) {
                field.removed = true;
            }
            Ok(Reply::rows("fields", vec![Ok(success("field deleted", json!({"id": id.to_string()})))], 200, 400))
        }
        (&Method::GET | &Method::POST | &Method::PATCH | &Method::DELETE, _) => Err(Refusal::no_such_path()),
        _ => Err(Refusal::wrong_method()),
    }
}

fn find<'a>(module: &'a Module, id: &str) -> Result<&'a Field, Refusal> {
    let named = |field: &Field| *field.api_name == *id || field.id.to_string() == id;
    module.live().map(|(_, field)| field).find(|field| named(field)).ok_or_else(|| Refusal::no_such_id(2))
}

/// The name that the API uses for a label: `WA key` is `WA_key`.
pub(super) fn api_name(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(LONGEST_NAME).collect()
}

pub(super) fn is_api_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn create(world: &mut World, no: ModuleNo, row: &Map<String, Value>, n: usize, now: i64) -> Result<Value, Refusal> {
    let at = |name: &str| format!("$.fields[{n}].{name}");
    let text = |name: &str| match row.get(name) {
        None | Some(Value::Null) => Err(Refusal::mandatory(name, &at(name))),
        Some(value) => value.as_str().ok_or_else(|| Refusal::wrong_type("text", name, &at(name))),
    };
    let label = text("field_label")?.trim();
    if label.chars().count() > LONGEST_LABEL {
        return Err(Refusal::too_long(LONGEST_LABEL, "field_label", &at("field_label")));
    }
    let asked = text("data_type")?;
    let kind = Kind::CREATABLE.into_iter().find(|kind| kind.name() == asked).ok_or_else(|| {
        let names: Vec<&str> = Kind::CREATABLE.iter().map(|kind| kind.name()).collect();
        Refusal::unsupported(&names, "data_type", &at("data_type"))
    })?;
    let module = &world.store(no)?.module;
    let base = api_name(label);
    if !is_api_name(&base) {
        return Err(Refusal::invalid("field_label", &at("field_label")));
    }
    if module.live().any(|(_, field)| field.label.eq_ignore_ascii_case(label)) {
        let details = json!({"api_name": "field_label", "json_path": at("field_label")});
        return Err(Refusal::new(400, "DUPLICATE_DATA", "duplicate data").with(details));
    }
    let limit = world.limits.custom_fields;
    if module.live().filter(|(_, field)| field.custom).count() >= limit {
        let due = json!([{"api_name": "data_type", "json_path": at("data_type")}]);
        let details = json!({"limit": limit, "limit_due_to": due});
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "field limit exceeded").with(details));
    }
    let taken = |name: &str| module.fields.iter().any(|field| *field.api_name == *name);
    let name = std::iter::once(base.clone()).chain((1..).map(|n| format!("{base}{n}"))).find(|name| !taken(name));
    let mut field = plain(0, &name.unwrap_or(base), kind, now, None);
    label.clone_into(&mut field.label);
    field.custom = true;
    field.length = length(row, kind, &at)?;
    field.options = options(row, kind, &at)?;
    field.unique = unique(row, kind, &at)?;
    field.external = external(row, kind, module, &at)?;
    if kind == Kind::Lookup {
        let target = row.get("lookup").and_then(|lookup| lookup.pointer("/module/api_name")).and_then(Value::as_str);
        let target = target.ok_or_else(|| Refusal::mandatory("lookup", &at("lookup")))?;
        world.module_no(target).ok_or_else(|| Refusal::invalid("lookup", &at("lookup.module.api_name")))?;
        field.target = Some(target.to_owned());
    }
    field.id = world.new_id();
    let id = field.id;
    world.store_mut(no)?.module.add(field);
    Ok(success("field created", json!({"id": id.to_string()})))
}

fn length(row: &Map<String, Value>, kind: Kind, at: &impl Fn(&str) -> String) -> Result<usize, Refusal> {
    let most = match kind {
        Kind::TextArea => {
            let form = row.get("textarea").and_then(|textarea| textarea.get("type")).and_then(Value::as_str);
            return match form {
                None | Some("small") => Ok(2_000),
                Some("large") => Ok(32_000),
                Some("rich_text") => Ok(50_000),
                Some(_) => Err(Refusal::unsupported(&["small", "large", "rich_text"], "type", &at("textarea.type"))),
            };
        }
        Kind::Phone => 30,
        Kind::Email => 100,
        kind => kind.default_length(),
    };
    let Some(length) = row.get("length").filter(|length| !length.is_null()) else { return Ok(kind.default_length()) };
    let length = length.as_u64().and_then(|n| usize::try_from(n).ok());
    let length = length.ok_or_else(|| Refusal::wrong_type("integer", "length", &at("length")))?;
    if length == 0 || length > most {
        let details = json!({"range": {"from": 1, "to": most}, "api_name": "length", "json_path": at("length")});
        return Err(Refusal::new(400, "INVALID_DATA", "invalid data").with(details));
    }
    Ok(length)
}

fn options(row: &Map<String, Value>, kind: Kind, at: &impl Fn(&str) -> String) -> Result<Vec<String>, Refusal> {
    let name = "pick_list_values";
    if !matches!(kind, Kind::Picklist | Kind::MultiPicklist) {
        return Ok(Vec::new());
    }
    let values = row.get(name).ok_or_else(|| Refusal::mandatory(name, &at(name)))?;
    let values = values.as_array().ok_or_else(|| Refusal::wrong_type("jsonarray", name, &at(name)))?;
    let mut seen = HashSet::new();
    let option = |(n, value): (usize, &Value)| {
        let path = format!("{}[{n}].display_value", at(name));
        let text = value
            .get("display_value")
            .and_then(Value::as_str)
            .ok_or_else(|| Refusal::mandatory("display_value", &path))?;
        if !seen.insert(text.to_lowercase()) {
            let details = json!({"api_name": "display_value", "json_path": path});
            return Err(Refusal::new(400, "DUPLICATE_DATA", "duplicate data").with(details));
        }
        Ok(text.to_owned())
    };
    values.iter().enumerate().map(option).collect()
}

/// `unique: {"casesensitive": false}`.
fn unique(row: &Map<String, Value>, kind: Kind, at: &impl Fn(&str) -> String) -> Result<bool, Refusal> {
    match row.get("unique") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Object(fields)) if fields.is_empty() => Ok(false),
        Some(Value::Object(_)) if can_be_unique(kind) => Ok(true),
        Some(_) => Err(Refusal::invalid("unique", &at("unique"))),
    }
}

const fn can_be_unique(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Email | Kind::Phone | Kind::Website | Kind::Integer | Kind::BigInt | Kind::Double)
}

/// `external: {"type": "org", "show": true}`.
fn external(
    row: &Map<String, Value>,
    kind: Kind,
    module: &Module,
    at: &impl Fn(&str) -> String,
) -> Result<Option<String>, Refusal> {
    let Some(given) = row.get("external").filter(|given| !given.is_null()) else { return Ok(None) };
    let asked = given.get("type").and_then(Value::as_str);
    let asked = asked.ok_or_else(|| Refusal::mandatory("type", &at("external.type")))?;
    if !["org", "user"].contains(&asked) {
        return Err(Refusal::unsupported(&["org", "user"], "type", &at("external.type")));
    }
    if !matches!(kind, Kind::Text | Kind::Integer | Kind::BigInt) {
        return Err(Refusal::invalid("external", &at("external")));
    }
    let used = module.live().filter(|(_, field)| field.external.as_deref() == Some(asked)).count();
    if used >= MOST_EXTERNAL {
        let details =
            json!({"limit": MOST_EXTERNAL, "limit_due_to": [{"api_name": "external", "json_path": at("external")}]});
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "field limit exceeded").with(details));
    }
    Ok(Some(asked.to_owned()))
}

/// Changes what can be changed: the label, pick list values, uniqueness.
fn change(world: &mut World, no: ModuleNo, name: &str, row: &Map<String, Value>) -> Result<Value, Refusal> {
    let at = |name: &str| format!("$.fields[0].{name}");
    let Store { module, table } = world.store_mut(no)?;
    let number = module.number(name).ok_or_else(|| Refusal::no_such_id(2))?;
    let indexed = module.field(number).is_some_and(|field| field.indexed(module));
    let Some(field) = module.fields.get_mut(usize::from(number)) else { return Err(Refusal::no_such_id(2)) };
    if row.contains_key("pick_list_values") {
        for option in options(row, field.kind, &at)? {
            if !field.options.contains(&option) {
                field.options.push(option);
            }
        }
    }
    if unique(row, field.kind, &at)? && !field.unique {
        let mut seen = HashSet::new();
        let values = table.live.values().filter_map(|row| row.get(number)).map(Field::index_key);
        if !values.into_iter().all(|key| seen.insert(key)) {
            let details = json!({"api_name": "unique", "json_path": at("unique")});
            return Err(Refusal::new(400, "DUPLICATE_DATA", "records share values of this field").with(details));
        }
        field.unique = true;
        if !indexed {
            table.build_index(number);
        }
    }
    if let Some(label) = row.get("field_label").and_then(Value::as_str) {
        label.clone_into(&mut field.label);
    }
    Ok(success("field updated", json!({"id": field.id.to_string()})))
}

/// A field as `GET /settings/fields` describes it.
fn view(world: &World, module: &Module, field: &Field) -> Value {
    let at = field.custom.then(|| time::iso(field.made_at, world.offset));
    let writable = field.system.is_none() || field.api_name.contains("Owner") || &*field.api_name == "Tag";
    let options: Vec<Value> =
        field.options.iter().enumerate().map(|(n, option)| pick_list_value(field, n, option)).collect();
    let target = field.target.as_deref().and_then(|name| world.stores.get(world.module_no(name)?));
    let lookup = target.map(|store| {
        json!({"display_label": module.plural, "api_name": &*field.api_name, "id": field.id.to_string(),
               "module": {"api_name": &*store.module.api_name, "id": store.module.id.to_string()}})
    });
    let unique = if field.unique { json!({"casesensitive": false}) } else { json!({}) };
    let nature = json!({
        "associated_module": null, "webhook": true, "system_mandatory": field.mandatory,
        "operation_type": {"web_update": writable, "api_create": writable, "web_create": writable, "api_update": writable},
        "colour_code_enabled_by_system": false, "private": null, "ui_type": 1, "hipaa_compliance": null,
        "blueprint_supported": true, "virtual_field": false, "field_read_only": !writable, "field_label": field.label,
        "customizable_properties": [], "read_only": !writable, "custom_field": field.custom,
        "businesscard_supported": true, "filterable": true, "visible": &*field.api_name != "id",
        "available_in_user_layout": true, "display_field": *module.display == *field.api_name,
        "pick_list_values_sorted_lexically": false, "sortable": true, "layout_associations": [], "separator": false,
        "searchable": true, "enable_colour_code": false, "mass_update": true,
    });
    let mut view = json!({
        "json_type": field.kind.json(), "data_type": field.kind.name(), "created_source": if field.custom { "ui" } else { "default" },
        "type": if field.unique { "unique" } else { "used" }, "display_label": field.label, "column_name": &*field.api_name,
        "api_name": &*field.api_name, "display_type": -1, "length": field.length,
        "decimal_place": if field.kind.is_number() && field.kind.json() == "double" { json!(2) } else { Value::Null },
        "quick_sequence_number": "1", "rollup_summary": {}, "created_time": at, "modified_time": at, "show_type": 7,
        "category": 1, "id": field.id.to_string(), "multi_module_lookup": {}, "currency": {},
        "lookup": lookup.unwrap_or_else(|| json!({})), "unique": unique, "subform": null, "formula": {},
        "multiselectlookup": {}, "auto_number": {}, "pick_list_values": options, "convert_mapping": null,
        "additional_column": null, "number_separator": false, "hipaa_compliance_enabled": false,
        "email_parser": {"fields_update_supported": false, "record_operations_supported": false},
        "view_type": {"view": true, "edit": writable, "quick_create": false, "create": writable}, "history_tracking": null, "crypt": null, "tooltip": null, "profiles": [],
    });
    if let (Value::Object(nature), Some(fields)) = (nature, view.as_object_mut()) {
        fields.extend(nature);
    }
    if let (Some(kind), Some(fields)) = (&field.external, view.as_object_mut()) {
        fields.insert("external".to_owned(), json!({"show": true, "type": kind, "allow_multiple_config": false}));
    }
    view
}

fn pick_list_value(field: &Field, n: usize, option: &str) -> Value {
    // Told from the field and the place, below all ids of records: nothing else has to be kept.
    let id = 4_000_000_000_000_000_000 + (field.id % 1_000_000_000) * 1_000 + n as u64;
    json!({
        "display_value": option, "actual_value": option, "reference_value": option, "sequence_number": n + 1,
        "colour_code": null, "type": "used", "id": id.to_string(),
    })
}
