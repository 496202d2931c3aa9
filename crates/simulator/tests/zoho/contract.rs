//! Answers against Zoho's published OpenAPI files, where they are at hand: `PONTE_SPECS` names the folder that has `zoho/`.
//!
//! The files reuse the shapes of answers for requests and so call nearly everything required. What is known to be too strict is listed in [`TOO_STRICT`], and nothing else is let through.

use super::client::{Client, Got, started};
use http::Method;
use ponte_simulator::zoho::Config;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// File, and what it demands that Zoho's answers don't have.
const TOO_STRICT: [(&str, &[&str]); 4] = [
    // Descriptions of fields leave out what a field's type doesn't have, or say null.
    (
        "fields",
        &[
            "associated_module: null",
            "convert_mapping: null",
            "crypt: null",
            "hipaa_compliance: null",
            "history_tracking: null",
            "private: null",
            "tooltip: null",
            "_update_existing_records is missing",
            "allowed_modules is missing",
            "association_details is missing",
            "autonumber is missing",
            "common.picklist is missing",
            "external is missing",
            "file_upolad_optionlist is missing",
            "multiuserlookup is missing",
            "refer_from_field is missing",
            "sharing_properties is missing",
            "static_field is missing",
            "sub_module is missing",
            "textarea is missing",
        ],
    ),
    ("modules", &["related_list_properties.sort_by: null", "custom_view is missing"]),
    // A channel's id is digits in a string.
    ("notifications", &["channel_id: \"7\" is no \"object\""]),
    ("related_lists", &["sort_by: null"]),
];

struct Specs {
    folder: PathBuf,
    files: RefCell<BTreeMap<String, Value>>,
}

impl Specs {
    fn file(&self, name: &str) -> Value {
        let mut files = self.files.borrow_mut();
        let read = || serde_json::from_slice(&std::fs::read(self.folder.join(name)).unwrap()).unwrap();
        files.entry(name.to_owned()).or_insert_with(read).clone()
    }

    /// Follows a reference from `file`; gives the file it leads to, and what is there.
    fn follow(&self, file: &str, reference: &str) -> (String, Value) {
        let (name, pointer) = reference.split_once('#').unwrap();
        let name = name.trim_start_matches("./");
        let name = if name.is_empty() { file } else { name };
        let found = self.file(name).pointer(pointer).unwrap_or_else(|| panic!("{name}#{pointer}")).clone();
        (name.to_owned(), found)
    }

    /// What is wrong with `value` by `schema`: places and reasons.
    fn faults(&self, file: &str, schema: &Value, value: &Value, place: &str) -> BTreeSet<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let (file, schema) = self.follow(file, reference);
            return self.faults(&file, &schema, value, place);
        }
        if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let each = choices.iter().map(|choice| self.faults(file, choice, value, place));
            return each.min_by_key(BTreeSet::len).unwrap_or_default();
        }
        let mut faults = BTreeSet::new();
        if value.is_null() && schema["nullable"] == json!(true) {
            return faults;
        }
        if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
            faults.insert(format!("{place}: {value} is none of {}", json!(allowed)));
        }
        let fits = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        if !fits {
            faults.insert(format!("{place}: {value} is no {}", schema["type"]));
        }
        let time = value.as_str().filter(|_| schema["format"] == "date-time");
        if time.is_some_and(|text| text.parse::<jiff::Timestamp>().is_err()) {
            faults.insert(format!("{place}: {value} is no time"));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.as_object().is_some_and(|fields| !fields.contains_key(name)) {
                faults.insert(format!("{place}: {name} is missing"));
            }
        }
        if let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
            for (name, schema) in properties {
                if let Some(value) = fields.get(name) {
                    faults.extend(self.faults(file, schema, value, &format!("{place}.{name}")));
                }
            }
        }
        for value in value.as_array().into_iter().flatten() {
            faults.extend(self.faults(file, &schema["items"], value, &format!("{place}[]")));
        }
        faults
    }

    /// What is wrong with an answer: by the schema of its status, or of the only status that the file knows.
    fn judge(&self, file: &str, path: &str, method: &Method, got: &Got) -> BTreeSet<String> {
        let method = method.as_str().to_lowercase();
        let operation = self.file(&format!("{file}.json"))["paths"][path][&method].clone();
        assert!(operation.is_object(), "{file} has no {method} {path}");
        let responses: &Map<String, Value> = operation["responses"].as_object().unwrap();
        let status = got.status.to_string();
        let response = responses.get(&status).or_else(|| responses.values().next()).unwrap().clone();
        let (name, response) = match response["$ref"].as_str() {
            Some(reference) => self.follow(&format!("{file}.json"), reference),
            None => (format!("{file}.json"), response),
        };
        let faults = self.faults(&name, &response["content"]["application/json"]["schema"], &got.body, "$");
        let known = |fault: &String| {
            TOO_STRICT.iter().any(|(of, parts)| *of == file && parts.iter().any(|part| fault.contains(part)))
        };
        faults
            .into_iter()
            .filter(|fault| !known(fault))
            .map(|fault| format!("{file} {method} {path} {status}: {fault}"))
            .collect()
    }
}

struct Case {
    file: &'static str,
    path: &'static str,
    method: Method,
    asked: String,
    body: Option<Value>,
    status: u16,
}

fn case(file: &'static str, path: &'static str, method: Method, asked: &str, body: Option<Value>, status: u16) -> Case {
    Case { file, path, method, asked: asked.to_owned(), body, status }
}

async fn cases(client: &Client) -> Vec<Case> {
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    client.key_field("Contacts").await;
    let id = client.make("Contacts", json!({"Last_Name": "A", "WA_Key": "per_1", "Email": "a@a.example"})).await;
    let lead = client.make("Leads", json!({"Last_Name": "A", "Company": "Zylker"})).await;
    let gone = client.make("Contacts", json!({"Last_Name": "B"})).await;
    client.delete(&format!("/Contacts/{gone}")).await;
    let parent = json!({"module": {"api_name": "Contacts"}, "id": id});
    let note = client.make("Notes", json!({"Note_Title": "t", "Note_Content": "c", "Parent_Id": parent})).await;
    let rows = |rows: Value| Some(json!({"data": rows, "trigger": [], "duplicate_check_fields": ["WA_Key"]}));
    let mixed = json!([{"Last_Name": "C"}, {"First_Name": "C"}, {"Last_Name": "C", "WA_Key": "per_1"}, {"Last_Name": "x".repeat(99)}]);
    let bad = json!([{"First_Name": "C"}]);
    let channel =
        json!({"channel_id": "7", "events": ["Contacts.all"], "notify_url": "http://127.0.0.1:9/", "token": "t"});
    let module = "/crm/v8/{module_api_name}";
    let one = "/crm/v8/{module_api_name}/{id}";
    let query = |text: &str| Some(json!({"select_query": text}));
    let tagged = |path: &str| format!("/Contacts{path}");
    let tags = Some(json!({"tags": [{"name": "x"}], "ids": [id], "over_write": false}));
    vec![
        case("record", module, get.clone(), "/Contacts?fields=Last_Name,Owner,Tag,Created_By", None, 200),
        case("record", module, get.clone(), "/Contacts", None, 400),
        case("record", module, post.clone(), "/Contacts", rows(mixed), 207),
        case("record", module, post.clone(), "/Contacts", rows(bad), 400),
        case("record", module, put.clone(), "/Contacts", rows(json!([{"id": id, "Title": "x"}])), 200),
        case("record", one, get.clone(), &format!("/Contacts/{id}"), None, 200),
        case("record", one, put.clone(), &format!("/Contacts/{id}"), rows(json!([{"Title": "y"}])), 200),
        case("record", one, get.clone(), &format!("/Contacts/{gone}"), None, 400),
        case(
            "record",
            "/crm/v8/{module_api_name}/upsert",
            post.clone(),
            "/Contacts/upsert",
            rows(json!([{"Last_Name": "D", "WA_Key": "per_2"}])),
            200,
        ),
        case("record", "/crm/v8/{module_api_name}/deleted", get.clone(), "/Contacts/deleted?type=all", None, 200),
        case(
            "record",
            "/crm/v8/{module_api_name}/search",
            get.clone(),
            "/Contacts/search?email=a@a.example",
            None,
            200,
        ),
        case("record", one, delete.clone(), &format!("/Contacts/{gone}"), None, 400),
        case(
            "coql",
            "/crm/v8/coql",
            post.clone(),
            "/coql",
            query("select Last_Name, Owner from Contacts where id > 1"),
            200,
        ),
        case("coql", "/crm/v8/coql", post.clone(), "/coql", query("select Last_Name from Contacts"), 400),
        case("coql", "/crm/v8/coql", post.clone(), "/coql", query("select Nonsense from Contacts where id > 1"), 400),
        case(
            "coql",
            "/crm/v8/coql",
            post.clone(),
            "/coql",
            query("select id from Contacts where id > 1 limit 3000"),
            400,
        ),
        case(
            "notes",
            "/crm/v8/Notes/{id}",
            put.clone(),
            &format!("/Notes/{note}"),
            rows(json!([{"Note_Title": "u"}])),
            200,
        ),
        case(
            "notes",
            "/crm/v8/Notes",
            post.clone(),
            "/Notes",
            rows(json!([{"Note_Title": "u", "Note_Content": "c", "Parent_Id": parent}])),
            201,
        ),
        case(
            "tags",
            "/crm/v8/settings/tags",
            post.clone(),
            "/settings/tags?module=Contacts",
            Some(json!({"tags": [{"name": "x"}]})),
            201,
        ),
        case(
            "tags",
            "/crm/v8/settings/tags",
            post.clone(),
            "/settings/tags?module=Contacts",
            Some(json!({"tags": [{"name": "x"}]})),
            400,
        ),
        case("tags", "/crm/v8/settings/tags", get.clone(), "/settings/tags?module=Contacts", None, 200),
        case(
            "tags",
            "/crm/v8/{module_api_name}/actions/add_tags",
            post.clone(),
            &tagged("/actions/add_tags"),
            tags.clone(),
            200,
        ),
        case(
            "tags",
            "/crm/v8/{module_api_name}/actions/remove_tags",
            post.clone(),
            &tagged("/actions/remove_tags"),
            tags,
            200,
        ),
        case(
            "notifications",
            "/crm/v8/actions/watch",
            post.clone(),
            "/actions/watch",
            Some(json!({"watch": [channel]})),
            201,
        ),
        case("notifications", "/crm/v8/actions/watch", get.clone(), "/actions/watch", None, 200),
        case(
            "notifications",
            "/crm/v8/actions/watch",
            patch,
            "/actions/watch",
            Some(json!({"watch": [{"channel_id": "7", "token": "u"}]})),
            200,
        ),
        case("notifications", "/crm/v8/actions/watch", delete, "/actions/watch?channel_ids=7", None, 200),
        case("org", "/crm/v8/org", get.clone(), "/org", None, 200),
        case("users", "/crm/v8/users", get.clone(), "/users?type=CurrentUser", None, 200),
        case("modules", "/crm/v8/settings/modules", get.clone(), "/settings/modules", None, 200),
        case(
            "modules",
            "/crm/v8/settings/modules",
            post.clone(),
            "/settings/modules",
            Some(json!({"modules": [{"plural_label": "x"}]})),
            400,
        ),
        case("fields", "/crm/v8/settings/fields", get.clone(), "/settings/fields?module=Contacts", None, 200),
        case(
            "fields",
            "/crm/v8/settings/fields",
            post.clone(),
            "/settings/fields?module=Contacts",
            Some(json!({"fields": [{"field_label": "N", "data_type": "integer"}]})),
            201,
        ),
        case(
            "fields",
            "/crm/v8/settings/fields",
            post,
            "/settings/fields?module=Contacts",
            Some(json!({"fields": [{"field_label": "M"}]})),
            400,
        ),
        case(
            "related_lists",
            "/crm/v8/settings/related_lists",
            get,
            "/settings/related_lists?module=Contacts",
            None,
            200,
        ),
        case("record", one, put, &format!("/Leads/{lead}"), rows(json!([{"City": "Bonn"}])), 200),
    ]
}

#[tokio::test]
async fn answers_have_the_shapes_of_the_published_files() {
    let Some(folder) = std::env::var_os("PONTE_SPECS") else {
        eprintln!("skipped: PONTE_SPECS names no folder with Zoho's OpenAPI files");
        return;
    };
    let specs = Specs { folder: Path::new(&folder).join("zoho"), files: RefCell::default() };
    let (_zoho, client) = started(Config::default()).await;
    let mut faults = BTreeSet::new();
    for case in cases(&client).await {
        let got = client.send(case.method.clone(), &case.asked, &[], case.body).await.unwrap();
        assert_eq!(got.status, case.status, "{}: {}", case.asked, got.body);
        faults.extend(specs.judge(case.file, case.path, &case.method, &got));
    }
    assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
}
