//! Custom fields and objects: the Tooling API's CustomField, and deployments of a zipped package.
//! May touch: the schema, permission records. Must not touch: other records.
//! Failure story: a package is read as a whole before anything of it is done; one fault in it fails all of it, as a real
//! deployment rolls back on error.

use super::Sim;
use super::cell::{Cell, moment};
use super::error::{Answer, Refusal, Reply};
use super::ids::RecordId;
use super::package::{self, Package};
use super::request::Call;
use super::schema::{Field, Kind, ObjectNo, SObject};
use super::world::World;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// External ids of one object type.
const EXTERNAL_IDS: usize = 25;

/// Deployments by id.
#[derive(Debug, Default)]
pub(super) struct Deployments {
    serial: u64,
    results: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewField {
    #[serde(rename = "FullName")]
    full_name: String,
    #[serde(rename = "Metadata")]
    metadata: Definition,
}

/// What a custom field is to be, as the Metadata API writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Definition {
    pub(super) full_name: String,
    pub(super) label: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) length: Option<usize>,
    pub(super) scale: Option<u32>,
    pub(super) precision: Option<u32>,
    pub(super) required: bool,
    pub(super) unique: bool,
    pub(super) external_id: bool,
    pub(super) case_sensitive: bool,
    pub(super) reference_to: Option<String>,
    pub(super) relationship_name: Option<String>,
    pub(super) value_set: Option<ValueSet>,
    pub(super) visible_lines: Option<u32>,
    pub(super) default_value: Option<Value>,
}

/// The choices of a picklist.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ValueSet {
    pub(super) restricted: bool,
    pub(super) value_set_definition: Choices,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choices {
    pub(super) value: Vec<Choice>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Choice {
    pub(super) full_name: String,
}

impl Definition {
    /// The field, or what is wrong with its definition.
    fn field(&self, name: &str) -> Result<Field, String> {
        let kind = match self.kind.as_str() {
            "Text" => Kind::Text,
            "TextArea" => Kind::TextArea,
            "LongTextArea" => Kind::LongText,
            "Email" => Kind::Email,
            "Phone" => Kind::Phone,
            "Url" => Kind::Url,
            "Picklist" => Kind::Picklist,
            "MultiselectPicklist" => Kind::Multipicklist,
            "Checkbox" => Kind::Boolean,
            "Number" => Kind::Double,
            "Currency" => Kind::Currency,
            "Percent" => Kind::Percent,
            "Date" => Kind::Date,
            "DateTime" => Kind::DateTime,
            "Lookup" => Kind::Reference,
            other => return Err(format!("{name}: unknown field type {other}")),
        };
        if self.label.is_empty() || self.label.chars().count() > 40 {
            return Err(format!("{name}: label is required, of at most 40 characters"));
        }
        let length = match (kind, self.length) {
            (Kind::Text, Some(n)) if (1..=255).contains(&n) => n,
            (Kind::Text, _) => return Err(format!("{name}: a text has a length from 1 to 255")),
            (Kind::LongText, Some(n)) if (256..=131_072).contains(&n) && self.visible_lines.is_some() => n,
            (Kind::LongText, _) => {
                return Err(format!("{name}: a long text has a length from 256 to 131072 and visibleLines"));
            }
            (Kind::Email, _) => 80,
            (Kind::Phone, _) => 40,
            (Kind::Multipicklist, _) => 4_099,
            (Kind::Reference, _) => 18,
            _ => 255,
        };
        if kind == Kind::Double && (self.precision.is_none() || self.scale.is_none()) {
            return Err(format!("{name}: a number has precision and scale"));
        }
        if (self.external_id || self.unique) && !matches!(kind, Kind::Text | Kind::Double | Kind::Email) {
            return Err(format!("{name}: only text, number and e-mail can be unique or external ids"));
        }
        let mut field = Field::new(name, &self.label, kind, length);
        field.custom = true;
        field.scale = self.scale.unwrap_or(0);
        (field.required, field.unique, field.external_id) = (self.required, self.unique, self.external_id);
        field.case_sensitive = self.case_sensitive;
        field.indexed |= self.unique || self.external_id;
        if kind == Kind::Boolean {
            // JSON says true, XML says the text.
            let text = self.default_value.as_ref().map(|value| value.get("$text").unwrap_or(value));
            field.default = Some(Cell::Bool(text.is_some_and(|v| *v == json!(true) || *v == json!("true"))));
        }
        if matches!(kind, Kind::Picklist | Kind::Multipicklist) {
            let set = self.value_set.as_ref().ok_or_else(|| format!("{name}: a picklist has a valueSet"))?;
            if kind == Kind::Multipicklist && self.visible_lines.is_none() {
                return Err(format!("{name}: a multiple picklist has visibleLines"));
            }
            field.restricted = set.restricted;
            field.choices = set.value_set_definition.value.iter().map(|choice| choice.full_name.clone()).collect();
        }
        if kind == Kind::Reference {
            let to = self.reference_to.clone().ok_or_else(|| format!("{name}: a lookup has referenceTo"))?;
            field.relationship = Some(name.replace("__c", "__r"));
            field.reference_to = vec![to];
            if self.relationship_name.as_deref().is_none_or(str::is_empty) {
                return Err(format!("{name}: a lookup has a relationshipName"));
            }
        }
        Ok(field)
    }
}

/// Adds a field to an object type. Also what changes one: a later definition replaces the earlier.
fn add_field(world: &mut World, number: ObjectNo, definition: &Definition, now: i64) -> Result<RecordId, String> {
    let name = definition.full_name.clone();
    let good_name = name.strip_suffix("__c").is_some_and(|base| {
        let plain = base.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain && base.len() <= 40 && base.starts_with(|c: char| c.is_ascii_alphabetic()) && !base.contains("__")
    });
    if !good_name {
        return Err(format!(
            "{name}: a custom field is named with letters, digits and single underscores, and ends in __c"
        ));
    }
    let field = definition.field(&name)?;
    let target = field.reference_to.first().cloned();
    if let Some(to) = target
        && world.schema.find(&to).is_none()
    {
        return Err(format!("{name}: referenceTo names no object type: {to}"));
    }
    let object = world.schema.get_mut(number).ok_or("no such object type")?;
    if field.external_id && object.fields().filter(|(_, f)| f.external_id).count() >= EXTERNAL_IDS {
        return Err(format!("{name}: an object type has at most {EXTERNAL_IDS} external ids"));
    }
    let (table, developer) = (object.name.clone(), name.trim_end_matches("__c").to_owned());
    object.put(field);
    world.access.stale = true;
    let values = vec![
        ("DeveloperName", Cell::text(&developer)),
        ("TableEnumOrId", Cell::text(&table)),
        ("FullName", Cell::text(&format!("{table}.{name}"))),
    ];
    world.seed("CustomField", now, values).ok_or_else(|| "no room".to_owned())
}

fn allowed(sim: &Sim) -> Result<(), Refusal> {
    if sim.config.flags.customize_application {
        return Ok(());
    }
    Err(Refusal::new(403, "INSUFFICIENT_ACCESS", "insufficient access rights on entity: CustomField"))
}

/// Serves `/tooling/sobjects/CustomField`.
pub(super) fn custom_field(sim: &Sim, call: &Call, path: &[&str], now: i64) -> Answer {
    if call.method != Method::POST || !path.is_empty() {
        return Err(Refusal::not_simulated("Reading or changing a CustomField by id"));
    }
    allowed(sim)?;
    let mut new: NewField = call.json()?;
    let (object, name) = new
        .full_name
        .split_once('.')
        .ok_or_else(|| Refusal::field("FIELD_INTEGRITY_EXCEPTION", "FullName", "FullName is Object.Field__c"))?;
    let mut world = sim.world();
    let (number, found) = world.schema.find(object).filter(|(_, o)| !o.tooling).ok_or_else(|| {
        Refusal::field(
            "INVALID_CROSS_REFERENCE_KEY",
            "FullName",
            format!("Entity Enumeration Or ID: no such object: {object}"),
        )
    })?;
    if found.find(name).is_some() {
        let message = format!("There is already a field named {} on {object}.", name.trim_end_matches("__c"));
        return Err(Refusal::field("DUPLICATE_DEVELOPER_NAME", "DeveloperName", message));
    }
    new.metadata.full_name = name.to_owned();
    let id = add_field(&mut world, number, &new.metadata, now)
        .map_err(|message| Refusal::bad("FIELD_INTEGRITY_EXCEPTION", message))?;
    Ok(Reply::wrote(201, json!({"id": id.to_string(), "success": true, "errors": [], "warnings": [], "infos": []})))
}

/// Serves `/metadata/deployRequest`.
pub(super) fn serve(sim: &Sim, call: &Call, path: &[&str], now: i64) -> Answer {
    allowed(sim)?;
    match (&call.method, path) {
        (&Method::POST, []) => {
            let (options, package) = package::read(call)?;
            let mut world = sim.world();
            world.deployments.serial += 1;
            let id = RecordId::new(*b"0Af", world.deployments.serial).to_string();
            let check_only = options.get("deployOptions").and_then(|o| o.get("checkOnly")) == Some(&json!(true));
            let done = deploy(&mut world, &package, check_only, now);
            let failures: Vec<Value> = done
                .as_ref()
                .err()
                .map(|(file, problem)| json!({"fileName": file, "problem": problem, "problemType": "Error", "success": false}))
                .into_iter()
                .collect();
            let good = done.is_ok();
            let total = package.objects.len() + package.permission_sets.len();
            let result = json!({
                "id": id, "done": true, "success": good, "status": if good { "Succeeded" } else { "Failed" },
                "checkOnly": check_only, "rollbackOnError": true, "createdDate": moment(now), "completedDate": moment(now),
                "numberComponentsTotal": total, "numberComponentsDeployed": if good { total } else { 0 },
                "numberComponentErrors": failures.len(), "numberTestsTotal": 0, "numberTestErrors": 0,
                "details": {"componentFailures": failures, "componentSuccesses": []},
            });
            world.deployments.results.insert(id.clone(), result);
            let body = json!({"id": id, "deployOptions": options.get("deployOptions"), "validatedDeployRequestId": null,
                              "deployResult": {"id": id, "done": false, "status": "Pending", "success": false}});
            Ok(Reply::wrote(201, body))
        }
        (&Method::GET, [id]) => {
            let world = sim.world();
            let result = world.deployments.results.get(*id).ok_or_else(Refusal::not_found)?;
            Ok(Reply::read(json!({"id": id, "deployResult": result})))
        }
        _ => Err(Refusal::not_found()),
    }
}

/// Does what a package says; on a fault the schema is as before.
fn deploy(world: &mut World, package: &Package, check_only: bool, now: i64) -> Result<(), (String, String)> {
    let before = world.schema.clone();
    let mark = world.mark();
    let done = apply(world, package, now);
    if done.is_err() || check_only {
        world.roll_back(mark);
        world.schema = before;
    } else {
        world.keep(&mark);
    }
    world.access.stale = true;
    done
}

fn apply(world: &mut World, package: &Package, now: i64) -> Result<(), (String, String)> {
    for (name, definition) in &package.objects {
        let at = |problem: String| (format!("objects/{name}.object"), problem);
        if world.schema.find(name).is_none() {
            if !name.ends_with("__c") || definition.label.is_empty() || definition.plural.is_empty() {
                return Err(at("a custom object has a name that ends in __c, label and pluralLabel".to_owned()));
            }
            let mut object = SObject::new(name, &definition.label, &definition.plural, world.schema.free_prefix());
            for field in super::builtin::common() {
                object.put(field);
            }
            object.put(super::builtin::owner());
            let mut named = Field::new("Name", &format!("{} Name", definition.label), Kind::Text, 80);
            (named.name_field, named.required) = (true, false);
            object.put(named);
            world.schema.add(object);
            world.add_table();
        }
    }
    for (name, definition) in &package.objects {
        let at = |problem: String| (format!("objects/{name}.object"), problem);
        let (number, _) = world.schema.find(name).ok_or_else(|| at("no such object type".to_owned()))?;
        for field in &definition.fields {
            add_field(world, number, field, now).map_err(at)?;
        }
    }
    for (name, set) in &package.permission_sets {
        let at = |problem: String| (format!("permissionsets/{name}.permissionset"), problem);
        // The package's set is the one that is assigned to the integration user.
        let parent = Cell::Id(world.permission_set);
        for (field, read, edit) in &set.fields {
            let known = field.split_once('.').and_then(|(object, field)| world.schema.find(object)?.1.number(field));
            known.ok_or_else(|| at(format!("In field: field - no CustomField named {field} found")))?;
            let object = field.split_once('.').map_or("", |(object, _)| object).to_owned();
            let values = vec![
                ("ParentId", parent.clone()),
                ("SobjectType", Cell::text(&object)),
                ("Field", Cell::text(field)),
                ("PermissionsRead", Cell::Bool(*read)),
                ("PermissionsEdit", Cell::Bool(*edit)),
            ];
            world.seed("FieldPermissions", now, values);
        }
        for (object, [read, create, edit, delete]) in &set.objects {
            world
                .schema
                .find(object)
                .ok_or_else(|| at(format!("In field: object - no CustomObject named {object} found")))?;
            let values = vec![
                ("ParentId", parent.clone()),
                ("SobjectType", Cell::text(object)),
                ("PermissionsRead", Cell::Bool(*read)),
                ("PermissionsCreate", Cell::Bool(*create)),
                ("PermissionsEdit", Cell::Bool(*edit)),
                ("PermissionsDelete", Cell::Bool(*delete)),
            ];
            world.seed("ObjectPermissions", now, values);
        }
    }
    Ok(())
}
