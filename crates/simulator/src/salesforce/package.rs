//! A package of metadata as it is deployed: a multipart body with options and a zip of object and permission set files.
//! May touch: nothing. Must not touch: the schema.

use super::error::Refusal;
use super::metadata::Definition;
use super::request::Call;
use serde::Deserialize;
use serde_json::Value;
use std::io::{Cursor, Read};

/// The largest file within a package, bytes: none of these files comes near.
const MAX_FILE: u64 = 8 << 20;

/// One `objects/X.object`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ObjectFile {
    pub(super) label: String,
    #[serde(rename = "pluralLabel")]
    pub(super) plural: String,
    pub(super) fields: Vec<Definition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PermissionSetFile {
    label: String,
    field_permissions: Vec<FieldGrant>,
    object_permissions: Vec<ObjectGrant>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldGrant {
    field: String,
    readable: bool,
    editable: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectGrant {
    object: String,
    allow_read: bool,
    allow_create: bool,
    allow_edit: bool,
    allow_delete: bool,
}

/// One `permissionsets/X.permissionset`.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// Field, readable, editable.
    pub(super) fields: Vec<(String, bool, bool)>,
    /// Object type; read, create, edit, delete.
    pub(super) objects: Vec<(String, [bool; 4])>,
}

/// What a package holds, by name.
#[derive(Debug, Default)]
pub(super) struct Package {
    pub(super) objects: Vec<(String, ObjectFile)>,
    pub(super) permission_sets: Vec<(String, Grants)>,
}

/// The options and the package of a deploy request.
pub(super) fn read(call: &Call) -> Result<(Value, Package), Refusal> {
    let bad = |message: &str| Refusal::bad("INVALID_MULTIPART_REQUEST", message);
    let kind = call.header("content-type").unwrap_or_default();
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="));
    let boundary = boundary
        .filter(|_| kind.starts_with("multipart/form-data"))
        .ok_or_else(|| bad("multipart/form-data wanted"))?;
    let parts = parts(&call.body, boundary.trim_matches('"'));
    let part = |name: &str| {
        let mark = format!("name=\"{name}\"");
        parts.iter().find(|(head, _)| head.contains(&mark)).map(|(_, body)| *body)
    };
    let options = part("json").or_else(|| part("entity_content")).ok_or_else(|| bad("the part json is missing"))?;
    let options = serde_json::from_slice(options).map_err(Refusal::parser)?;
    let file = part("file").ok_or_else(|| bad("the part file is missing"))?;
    Ok((options, unzip(file)?))
}

/// Heads and bodies between the boundaries.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<(String, &'a [u8])> {
    let mark = format!("--{boundary}").into_bytes();
    let find = |from: &[u8], what: &[u8]| from.windows(what.len()).position(|window| window == what);
    let mut found = Vec::new();
    let mut rest = body;
    while let Some(start) = find(rest, &mark) {
        rest = rest.get(start + mark.len()..).unwrap_or_default();
        let Some(end) = find(rest, &mark) else { break };
        let part = rest.get(..end).unwrap_or_default();
        if let Some(cut) = find(part, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(part.get(..cut).unwrap_or_default()).into_owned();
            let inner = part.get(cut + 4..).unwrap_or_default();
            found.push((head, inner.strip_suffix(b"\r\n").unwrap_or(inner)));
        }
    }
    found
}

fn unzip(bytes: &[u8]) -> Result<Package, Refusal> {
    let bad = |message: String| Refusal::bad("INVALID_ZIP", message);
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad(error.to_string()))?;
    let mut package = Package::default();
    let mut manifest = false;
    for at in 0..zip.len() {
        let file = zip.by_index(at).map_err(|error| bad(error.to_string()))?;
        let place = file.name().map_err(|error| bad(error.to_string()))?.into_owned();
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| bad(format!("{place}: {error}")))?;
        let xml = |error: quick_xml::DeError| bad(format!("{place}: {error}"));
        let name = place.rsplit('/').next().unwrap_or_default();
        manifest |= name == "package.xml";
        if let Some(name) = name.strip_suffix(".object") {
            package.objects.push((name.to_owned(), quick_xml::de::from_str(&text).map_err(xml)?));
        }
        if let Some(name) = name.strip_suffix(".permissionset") {
            let set: PermissionSetFile = quick_xml::de::from_str(&text).map_err(xml)?;
            if set.label.is_empty() {
                return Err(bad(format!("{place}: label is required")));
            }
            let fields = set.field_permissions.into_iter().map(|f| (f.field, f.readable, f.editable)).collect();
            let rights = |o: ObjectGrant| (o.object, [o.allow_read, o.allow_create, o.allow_edit, o.allow_delete]);
            let objects = set.object_permissions.into_iter().map(rights).collect();
            package.permission_sets.push((name.to_owned(), Grants { fields, objects }));
        }
    }
    if manifest { Ok(package) } else { Err(bad("No package.xml found".to_owned())) }
}
