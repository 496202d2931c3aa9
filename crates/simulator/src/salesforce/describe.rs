//! Describes: what object types there are and what their fields take, as the user may see them.
//! May touch: the schema and permissions. Must not touch: records.

use super::Sim;
use super::access::Deed;
use super::error::{Answer, Refusal, Reply};
use super::request::Call;
use super::schema::{Field, Kind, ObjectNo};
use super::world::World;
use serde_json::{Value, json};

/// `GET /sobjects`.
pub(super) fn global(sim: &Sim, call: &Call) -> Reply {
    let world = sim.world();
    let seen = world.schema.all().filter(|(number, object)| !object.tooling && world.access.sees(*number));
    let list: Vec<Value> = seen.map(|(number, _)| summary(&world, number, &call.base)).collect();
    Reply::read(json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list}))
}

/// The part of a describe that lists also show.
pub(super) fn summary(world: &World, number: ObjectNo, base: &str) -> Value {
    let Some(object) = world.schema.get(number) else { return Value::Null };
    let may = |deed| !object.fixed && world.access.may(number, deed);
    let url = format!("{base}/sobjects/{}", object.name);
    json!({
        "name": object.name, "label": object.label, "labelPlural": object.plural, "custom": object.custom,
        "keyPrefix": std::str::from_utf8(&object.prefix).unwrap_or_default(), "activateable": false,
        "createable": may(Deed::Create), "updateable": may(Deed::Edit), "deletable": may(Deed::Delete),
        "undeletable": may(Deed::Delete), "queryable": true, "retrieveable": true, "replicateable": true,
        "searchable": !object.fixed, "mergeable": matches!(object.name.as_str(), "Account" | "Contact" | "Lead"),
        "triggerable": true, "layoutable": true, "customSetting": false, "deprecatedAndHidden": false, "feedEnabled": false,
        "urls": {"sobject": url, "describe": format!("{url}/describe"), "rowTemplate": format!("{url}/{{ID}}")},
    })
}

/// `GET /sobjects/{object}/describe`.
pub(super) fn one(sim: &Sim, call: &Call, name: &str) -> Answer {
    let world = sim.world();
    let (number, _) = world.visible(name).ok_or_else(Refusal::not_found)?;
    let fields: Vec<Value> =
        world.readable(number).map(|(no, field)| show(field, world.access.edits(number, no))).collect();
    let mut body = summary(&world, number, &call.base);
    if let Some(object) = body.as_object_mut() {
        object.insert("fields".to_owned(), Value::Array(fields));
        object.insert("childRelationships".to_owned(), json!([]));
        object.insert("recordTypeInfos".to_owned(), json!([]));
    }
    Ok(Reply::read(body))
}

fn show(field: &Field, editable: bool) -> Value {
    let (kind, soap) = field.kind.names();
    let long = field.kind == Kind::LongText;
    let number = field.kind.is_number();
    let choices: Vec<Value> = field
        .choices
        .iter()
        .map(|value| {
            let default = matches!(&field.default, Some(super::cell::Cell::Text(text)) if **text == **value);
            json!({"active": true, "defaultValue": default, "label": value, "validFor": null, "value": value})
        })
        .collect();
    json!({
        "name": field.name, "label": field.label, "type": kind, "soapType": soap, "custom": field.custom,
        "length": if field.kind.is_text() || field.kind.is_id() { field.length } else { 0 }, "byteLength": field.length * 3,
        "precision": if number && field.kind != Kind::Int { 18 } else { 0 }, "scale": field.scale,
        "digits": if field.kind == Kind::Int { 9 } else { 0 },
        "createable": field.createable && editable, "updateable": field.updateable && editable,
        "nillable": !field.required && field.kind != Kind::Boolean && field.system.is_none(),
        "defaultedOnCreate": field.default.is_some() || field.name == "OwnerId" || field.system.is_some(),
        "unique": field.unique, "externalId": field.external_id, "idLookup": field.id_lookup || field.external_id,
        "caseSensitive": field.case_sensitive, "nameField": field.name_field, "restrictedPicklist": field.restricted,
        "picklistValues": choices, "filterable": !long, "sortable": field.kind.sortable(), "groupable": field.kind.sortable(),
        "aggregatable": field.kind.sortable(), "calculated": false, "autoNumber": false, "encrypted": false, "permissionable":
        field.custom && !field.required, "referenceTo": field.reference_to, "relationshipName": field.relationship,
        "polymorphicForeignKey": field.reference_to.len() > 1, "defaultValue":
        field.default.as_ref().filter(|_| field.kind == Kind::Boolean).map(|cell| cell.json(field.kind)),
        "inlineHelpText": null, "deprecatedAndHidden": false, "htmlFormatted": false,
    })
}
