//! The organisation, its people, modules and related lists, as they describe themselves; and new modules.
//! May touch: modules. Must not touch: records, fields of existing modules.

use super::call::Call;
use super::error::{Answer, Refusal, Reply, success};
use super::schema::{Kind, Module, number, plain};
use super::world::{User, World};
use super::{Sim, define, time};
use http::Method;
use serde_json::{Map, Value, json};

/// Id of the administrators' profile.
const ADMINISTRATOR: &str = "5725767000000026011";
/// The profiles that every organisation has.
const PROFILES: [(&str, &str); 2] = [(ADMINISTRATOR, "Administrator"), ("5725767000000026014", "Standard")];
/// Longest label of a module, characters.
const LONGEST_LABEL: usize = 25;

/// Serves `/settings/…`.
pub(super) fn serve(sim: &Sim, call: &Call, rest: &[&str]) -> Answer {
    match (&call.method, rest) {
        (&Method::GET, ["modules"]) => modules(sim, call),
        (&Method::POST, ["modules"]) => create_module(sim, call),
        (&Method::GET, ["modules", name]) => {
            let world = sim.world();
            let found = world.stores.iter().find(|s| *s.module.api_name == **name || s.module.id.to_string() == **name);
            let module = &found.ok_or_else(|| Refusal::no_such_module(2))?.module;
            Ok(Reply::read(json!({"modules": [module_view(&world, module)]})))
        }
        (_, ["fields", rest @ ..]) => define::serve(sim, call, rest),
        (_, ["tags", rest @ ..]) => super::tags::settings(sim, call, rest),
        (&Method::GET, ["related_lists"]) => related_lists(sim, call),
        (&Method::GET, ["profiles"]) => {
            let view =
                |(id, name): &(&str, &str)| json!({"id": id, "name": name, "display_label": name, "custom": false});
            Ok(Reply::read(json!({"profiles": PROFILES.iter().map(view).collect::<Vec<_>>()})))
        }
        (_, ["modules" | "related_lists" | "profiles", ..]) => Err(Refusal::wrong_method()),
        _ => Err(Refusal::no_such_path()),
    }
}

fn modules(sim: &Sim, call: &Call) -> Answer {
    let since = call.time_header("if-modified-since")?;
    let world = sim.world();
    let changed = |module: &&Module| since.is_none_or(|since| module.made_at > since);
    let rows: Vec<Value> =
        world.stores.iter().map(|store| &store.module).filter(changed).map(|m| module_view(&world, m)).collect();
    if rows.is_empty() {
        return Ok(Reply::empty(304));
    }
    Ok(Reply::read(json!({"modules": rows})))
}

fn module_view(world: &World, module: &Module) -> Value {
    let at = time::iso(module.made_at, world.offset);
    let number = module.fields.len();
    let by = world.user(world.person()).map(|user| json!({"name": user.name, "id": user.id.to_string()}));
    let profiles: Vec<Value> = PROFILES.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
    let display = module
        .named(&module.display)
        .map(|(_, field)| json!({"api_name": &*field.api_name, "id": field.id.to_string()}));
    let nature = json!({
        "common.search_supported": module.searchable, "deletable": module.custom, "description": null,
        "creatable": true, "recycle_bin_on_delete": true, "inventory_template_supported": false,
        "modified_time": module.custom.then_some(at), "plural_label": module.plural, "presence_sub_menu": true,
        "triggers_supported": true, "id": module.id.to_string(), "chart_view": false, "isBlueprintSupported": true,
        "visibility": 1, "visible": true, "convertable": &*module.api_name == "Leads", "editable": true,
        "emailTemplate_support": true, "email_parser_supported": true, "filter_supported": true,
        "show_as_tab": &*module.api_name != "Notes", "web_link": null, "sequence_number": number,
        "singular_label": module.singular, "viewable": true, "api_supported": true,
        "api_name": &*module.api_name, "quick_create": true,
    });
    let mut view = json!({
        "generated_type": if module.custom { "custom" } else { "default" }, "feeds_required": false,
        "scoring_supported": true, "webform_supported": true, "arguments": [], "module_name": module.plural,
        "chart_view_supported": true, "profile_count": profiles.len(), "business_card_field_limit": 5,
        "track_current_data": false, "modified_by": by, "profiles": profiles, "parent_module": {},
        "activity_badge": "Disabled", "$field_states": [], "business_card_fields": [], "per_page": 10,
        "$properties": [], "$on_demand_properties": [], "search_layout_fields": [], "kanban_view_supported": true,
        "lookup_field_properties": {"fields": []}, "kanban_view": false, "related_lists": [], "filter_status": true,
        "related_list_properties": {"sort_by": null, "fields": [], "sort_order": null},
        "display_field": display, "layouts": [], "fields": [], "zia_view": false,
        "default_mapping_fields": [], "layout_associations": [], "status": "visible",
    });
    if let (Value::Object(nature), Some(fields)) = (nature, view.as_object_mut()) {
        fields.extend(nature);
    }
    view
}

fn create_module(sim: &Sim, call: &Call) -> Answer {
    let now = sim.clock.now_ms();
    let rows = call.rows("modules", 1)?;
    let mut world = sim.world();
    let made = rows.into_iter().map(|row| new_module(&mut world, row, now)).collect();
    Ok(Reply::rows("modules", made, 201, 400))
}

fn new_module(world: &mut World, row: &Map<String, Value>, now: i64) -> Result<Value, Refusal> {
    let at = |name: &str| format!("$.modules[0].{name}");
    let text = |name: &str, longest: usize| match row.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() > longest => Err(Refusal::too_long(longest, name, &at(name))),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(Refusal::wrong_type("text", name, &at(name))),
    };
    let needed = |name: &str| text(name, LONGEST_LABEL)?.ok_or_else(|| Refusal::mandatory(name, &at(name)));
    let (singular, plural) = (needed("singular_label")?, needed("plural_label")?);
    let profiles = row.get("profiles").ok_or_else(|| Refusal::mandatory("profiles", &at("profiles")))?;
    let profiles = profiles.as_array().ok_or_else(|| Refusal::wrong_type("jsonarray", "profiles", &at("profiles")))?;
    let known = |profile: &Value| {
        let id = profile.get("id").and_then(number).map(|id| id.to_string());
        PROFILES.iter().any(|(profile, _)| id.as_deref() == Some(*profile))
    };
    if profiles.is_empty() || !profiles.iter().all(known) {
        return Err(Refusal::invalid("profiles", &at("profiles")));
    }
    let api_name = text("api_name", 50)?.unwrap_or_else(|| define::api_name(&plural));
    if !define::is_api_name(&api_name) {
        return Err(Refusal::invalid("api_name", &at("api_name")));
    }
    let limit = world.limits.custom_modules;
    if world.stores.iter().filter(|store| store.module.custom).count() >= limit {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "module limit exceeded").with(json!({"limit": limit})));
    }
    for store in &world.stores {
        let taken = [
            ("api_name", *store.module.api_name == *api_name),
            ("singular_label", store.module.singular == singular),
            ("plural_label", store.module.plural == plural),
        ];
        if let Some((name, _)) = taken.into_iter().find(|(_, taken)| *taken) {
            let details = json!({"api_name": name, "json_path": at(name)});
            return Err(Refusal::new(400, "DUPLICATE_DATA", "duplicate data").with(details));
        }
    }
    let label = row.get("display_field").and_then(|field| field.get("field_label")).and_then(Value::as_str);
    let label = label.map_or_else(|| format!("{singular} Name"), ToOwned::to_owned);
    let mut module = Module::new(&api_name, &mut world.last_id, now);
    (module.singular, module.plural, module.custom) = (singular, plural, true);
    (module.key, module.display) = (Some("Name".to_owned()), "Name".to_owned());
    let mut name = plain(world.new_id(), "Name", Kind::Text, now, None);
    (name.label, name.length, name.mandatory) = (label, 120, true);
    module.add(name);
    let id = module.id;
    world.add_module(module);
    Ok(success("module created successfully", json!({"id": id.to_string()})))
}

fn related_lists(sim: &Sim, call: &Call) -> Answer {
    let world = sim.world();
    let name = call.query.get("module").ok_or_else(|| Refusal::parameter_missing("module"))?;
    let no = world.module_no(name).ok_or_else(|| Refusal::no_such_module(2))?;
    let of = |(other, store): (usize, &super::world::Store)| {
        if other == no || world.lookups_to(no, other).is_empty() {
            return None;
        }
        let module = &store.module;
        let name = &*module.api_name;
        Some(json!({
            "id": module.layout_id.to_string(), "sequence_number": other.to_string(), "display_label": module.plural,
            "api_name": name, "module": {"api_name": name, "id": module.id.to_string()}, "name": module.plural,
            "action": null, "href": format!("{}/{{ENTITYID}}/{name}", world.stores.get(no)?.module.api_name),
            "type": if module.custom { "custom_lookup" } else { "default" }, "visible": true, "customize_sort": true,
            "customize_fields": true, "customize_display_label": true, "sort_by": null, "sort_order": null,
            "fields": [], "status": "visible",
        }))
    };
    let rows: Vec<Value> = world.stores.iter().enumerate().filter_map(of).collect();
    if rows.is_empty() {
        return Ok(Reply::empty(204));
    }
    Ok(Reply::read(json!({"related_lists": rows})))
}

/// Serves `GET /org`.
pub(super) fn org(sim: &Sim, call: &Call) -> Answer {
    if call.method != Method::GET {
        return Err(Refusal::wrong_method());
    }
    let world = sim.world();
    let now = sim.clock.now_ms();
    let license = json!({
        "paid_expiry": time::iso(now, world.offset), "users_license_purchased": 10, "trial_type": null,
        "trial_expiry": null, "paid": true, "paid_type": "enterprise", "trial_action": "none",
    });
    let blank =
        ["photo_id", "city", "description", "street", "alias", "state", "fax", "zip", "mobile", "zia_portal_id"];
    let mut org: Map<String, Value> = blank.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    let said = json!({
        "country": "US", "mc_status": false, "gapps_enabled": false, "translation_enabled": false,
        "domain_name": "org70000000001", "currency": "US Dollar", "id": "5725767000000020005",
        "currency_symbol": "$", "currency_locale": "en_US", "primary_zuid": "70000000001",
        "time_zone": "Etc/UTC", "zgid": "70000000001", "country_code": "US",
        "deletable_org_account": false, "license_details": license,
        "hierarchy_preferences": {"type": "Role_Hierarchy", "strictly_reporting": false}, "phone": "",
        "company_name": "Zylker", "privacy_settings": false, "primary_email": "admin@zylker.example",
        "iso_code": "USD", "hipaa_compliance_enabled": false, "lite_users_enabled": false, "max_per_page": 200,
        "ezgid": "0", "call_icon": "default", "oauth_presence": false, "zia_zgid": 0,
        "checkin_preferences": {"restricted_event_types": null}, "type": "Production",
    });
    if let Value::Object(said) = said {
        org.extend(said);
    }
    Ok(Reply::read(json!({"org": [org]})))
}

/// Serves `GET /users` and `GET /users/{id}`.
pub(super) fn users(sim: &Sim, call: &Call, id: Option<&str>) -> Answer {
    const TYPES: [&str; 9] = [
        "AllUsers",
        "ActiveUsers",
        "DeactiveUsers",
        "ConfirmedUsers",
        "NotConfirmedUsers",
        "DeletedUsers",
        "ActiveConfirmedUsers",
        "AdminUsers",
        "CurrentUser",
    ];
    if call.method != Method::GET {
        return Err(Refusal::wrong_method());
    }
    let world = sim.world();
    let kind = call.query.get("type").unwrap_or("AllUsers");
    if !TYPES.contains(&kind) {
        return Err(Refusal::parameter("type"));
    }
    let (page, per_page) = (call.number("page", 1, 1, usize::MAX)?, call.number("per_page", 200, 1, 200)?);
    let wanted = |user: &&User| match (id, kind) {
        (Some(id), _) => user.id.to_string() == id,
        (None, "CurrentUser") => user.id == world.integration(),
        (None, "DeactiveUsers" | "NotConfirmedUsers" | "DeletedUsers") => false,
        (None, _) => true,
    };
    let from = (page - 1).saturating_mul(per_page);
    let rows: Vec<Value> = world.users.iter().filter(wanted).skip(from).take(per_page).map(user_view).collect();
    match (rows.is_empty(), id) {
        (true, Some(_)) => Err(Refusal::no_such_id(1)),
        (true, None) => Ok(Reply::empty(204)),
        (false, _) => {
            let info = json!({"per_page": per_page, "count": rows.len(), "page": page, "more_records": false});
            Ok(Reply::read(json!({"users": rows, "info": info})))
        }
    }
}

fn user_view(user: &User) -> Value {
    let (first, last) = user.name.split_once(' ').unwrap_or(("", user.name));
    json!({
        "id": user.id.to_string(), "full_name": user.name, "first_name": first, "last_name": last,
        "email": user.email, "zuid": "70000000001", "status": "active", "confirm": true, "locale": "en_US",
        "language": "en_US", "country_locale": "US", "time_format": "HH:mm", "date_format": "MMM d, yyyy",
        "role": {"name": "CEO", "id": "5725767000000026005"}, "profile": {"name": "Administrator", "id": ADMINISTRATOR},
    })
}
