//! A little CRM in memory. Contacts have exactly the fields `id, ponte_id, name, phone, email, changed, deleted, merged_into`; an unknown
//! field, a wrong type, an unknown query parameter or a missing token are refused.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use ponte_crm::{Http, HttpConfig};
use ponte_domain::crm::{ContactWrite, CrmChange, MessageWrite, RowResult};
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::ports::crm::Crm;
use ponte_domain::status::Stamps;
use ponte_net::{Clock, Egress, EgressConfig};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

/// 2026-11-23T02:30:00Z.
pub const NOW: i64 = 1_795_401_000_000;

#[derive(Debug, Clone, Default)]
pub struct Contact {
    pub ponte_id: Option<String>,
    pub name: String,
    pub phone: String,
    pub email: Option<String>,
    /// Milliseconds.
    pub changed: i64,
    pub deleted: bool,
    pub merged_into: Option<u64>,
}

/// What the CRM holds and how it behaves.
#[derive(Debug, Default)]
pub struct World {
    pub contacts: BTreeMap<u64, Contact>,
    pub messages: BTreeMap<String, Map<String, Value>>,
    pub purged: Vec<(u64, i64)>,
    /// Every call: method, path with query.
    pub calls: Vec<String>,
    /// The next answers: status and `Retry-After`. The call is carried out first when the status is 500; 0 is no fault.
    pub faults: Vec<(u16, Option<&'static str>)>,
    /// Tokens given; only the last one is good.
    pub tokens: u64,
    /// Refuses every token.
    pub locked: bool,
    /// Contacts that are changed just after the next page was read, after the one behind it, and so on.
    pub restless: Vec<Vec<u64>>,
    /// Wants signed requests instead of tokens.
    pub signed: bool,
}

#[derive(Clone)]
pub struct Shop {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
    now: Arc<AtomicI64>,
}

impl Shop {
    pub async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, now) = (listener.local_addr().unwrap(), Arc::new(AtomicI64::new(NOW)));
        let shop = Self { address, world: Arc::default(), now };
        let app = Router::new().fallback(serve).with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        shop
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    pub fn add(&self, id: u64, phone: &str, changed: i64) {
        let contact = Contact { name: format!("Contact {id}"), phone: phone.into(), changed, ..Contact::default() };
        self.world().contacts.insert(id, contact);
    }

    /// How often a method and beginning of a path were called.
    pub fn count(&self, what: &str) -> usize {
        self.world().calls.iter().filter(|call| call.starts_with(what)).count()
    }

    /// The description of this CRM, with these changes.
    pub fn described(&self, over: Value) -> HttpConfig {
        let mut described = json!({
            "base_url": format!("http://{}/api", self.address),
            "auth": {"kind": "oauth_client", "token_url": format!("http://{}/token", self.address), "client_id": "ponte",
                     "client_secret": "geheim", "scope": "all"},
            "calls": 1_000,
            "time": "ms",
            "page": 10,
            "contact": {"key": "/ponte_id", "modified": "/changed", "name": "/name", "phones": ["/phone"], "gone": "/deleted",
                        "merged_into": "/merged_into"},
            "fields": [{"name": "name"}, {"name": "email", "kind": "email"}, {"name": "number", "at": "/phone", "writable": false}],
            "errors": {"code": "/error/code", "existing": "/error/id"},
            "operations": {
                "list": {"path": "/contacts", "query": {"offset": "{{ page.offset }}", "limit": "{{ page.limit }}"}, "list": "/data",
                         "paging": {"kind": "offset"}},
                "changes": {"path": "/contacts", "query": {"since": "{{ since.ms }}", "offset": "{{ page.offset }}",
                            "limit": "{{ page.limit }}"}, "list": "/data", "paging": {"kind": "offset"}, "walk": "time"},
                "get": {"path": "/contacts/{{ id }}"},
                "find": {"method": "POST", "path": "/contacts/search", "body": r#"{"phones": {{ phones + digits }}}"#, "list": "/data",
                         "batch": 5},
                "find_key": {"method": "POST", "path": "/contacts/search", "body": r#"{"keys": {{ keys }}}"#, "list": "/data", "batch": 5},
                "create_contact": {"method": "POST", "path": "/contacts", "body":
                    "{{ {'ponte_id': contact.key, 'name': contact.name, 'phone': contact.phone} | given | with(contact.fields) }}"},
                "update_contact": {"method": "PATCH", "path": "/contacts/{{ contact.id }}", "body":
                    "{{ {'ponte_id': contact.key} | with(contact.fields) }}"},
                "upsert_message": {"method": "PUT", "path": "/messages/{{ message.key }}", "body":
                    r#"{"contact": {{ message.contact }}, "text": {{ message.text }}, "status": {{ message.status }}}"#},
                "deleted": {"path": "/purged", "query": {"since": "{{ since.ms }}"}, "list": "/data"},
            },
        });
        merge(&mut described, over);
        serde_json::from_value(described).unwrap()
    }

    pub fn crm(&self, over: Value) -> Http {
        let now = self.now.clone();
        let clock: Clock = Arc::new(move || now.load(Ordering::SeqCst));
        let door = Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() }).unwrap();
        Http::new(self.described(over), door, clock).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(&key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, over) => *base = over,
    }
}

fn answer(status: u16, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn refused(status: u16, code: &str) -> Response {
    answer(status, json!({"error": {"code": code, "message": "about +5511987654321"}}))
}

async fn serve(State(shop): State<Shop>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let now = shop.now();
    let mut world = shop.world();
    let target = uri.path_and_query().unwrap().as_str().to_owned();
    world.calls.push(format!("{method} {target}"));
    let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    if uri.path() == "/token" {
        let form = String::from_utf8(body.to_vec()).unwrap();
        if header("authorization") != "Basic cG9udGU6Z2VoZWlt" || form != "grant_type=client_credentials&scope=all" {
            return refused(401, "invalid_client");
        }
        world.tokens += 1;
        return answer(200, json!({"access_token": format!("t{}", world.tokens), "expires_in": 3600}));
    }
    let fault = (!world.faults.is_empty()).then(|| world.faults.remove(0)).filter(|(status, _)| *status != 0);
    if let Some((status, after)) = fault.filter(|(status, _)| *status != 500) {
        let mut response = refused(status, "fault");
        if let Some(after) = after {
            response.headers_mut().insert("retry-after", after.parse().unwrap());
        }
        return response;
    }
    let good = if world.signed {
        let text = format!("{method}\n{target}\n{}", String::from_utf8_lossy(&body));
        let mac = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap().chain_update(text).finalize();
        header("x-signature") == format!("ponte:{}", hex::encode(mac.into_bytes()))
    } else {
        !world.locked && header("authorization") == format!("Bearer t{}", world.tokens)
    };
    if !good {
        return refused(401, "unauthenticated");
    }
    let json = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
    let Ok(json) = json else { return refused(400, "no_json") };
    let done = world.act(&method, uri.path(), uri.query().unwrap_or_default(), &json, now);
    if fault.is_some() { refused(500, "fault") } else { done }
}

/// Contact fields out of a body; an unknown one or a wrong type is refused.
fn taken(contact: &mut Contact, body: &Value) -> Result<(), Response> {
    for (name, value) in body.as_object().ok_or_else(|| refused(400, "no_object"))? {
        let text = value.as_str().map(str::to_owned);
        match (name.as_str(), text) {
            ("ponte_id", Some(text)) => contact.ponte_id = Some(text),
            ("name", Some(text)) if text.len() <= 100 => contact.name = text,
            ("phone", Some(text)) => contact.phone = text,
            ("email", Some(text)) if text.contains('@') => contact.email = Some(text),
            ("email", None) if value.is_null() => contact.email = None,
            _ => return Err(refused(422, "invalid_field")),
        }
    }
    Ok(())
}

fn shown(id: u64, contact: &Contact) -> Value {
    json!({"id": id, "ponte_id": contact.ponte_id, "name": contact.name, "phone": contact.phone, "email": contact.email,
           "changed": contact.changed, "deleted": contact.deleted, "merged_into": contact.merged_into})
}

impl World {
    fn act(&mut self, method: &Method, path: &str, query: &str, body: &Value, now: i64) -> Response {
        let mut asked: BTreeMap<&str, i64> = BTreeMap::new();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if !["offset", "limit", "since", "after", "cursor", "behind"].contains(&name) {
                return refused(400, "unknown_parameter");
            }
            asked.insert(name, value.parse().unwrap());
        }
        let parts: Vec<&str> = path.trim_start_matches("/api/").split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["contacts"]) => self.page(&asked, now),
            ("GET", ["contacts", id]) => match id.parse().ok().and_then(|id| Some((id, self.contacts.get(&id)?))) {
                Some((id, contact)) => answer(200, shown(id, contact)),
                None => refused(404, "no_contact"),
            },
            ("GET", ["purged"]) => {
                let since = asked.get("since").copied().unwrap_or(0);
                let ids: Vec<Value> =
                    self.purged.iter().filter(|(_, at)| *at >= since).map(|(id, _)| json!({"id": id})).collect();
                answer(200, json!({"data": ids}))
            }
            ("POST", ["contacts", "search"]) => {
                let wanted = |list: &str, value: &str| {
                    body[list].as_array().is_some_and(|all| all.iter().any(|v| v.as_str() == Some(value)))
                };
                let digits = |c: &Contact| c.phone.replace(['+', ' ', '-', '(', ')'], "");
                let hit = |c: &Contact| {
                    wanted("phones", &digits(c)) || c.ponte_id.as_deref().is_some_and(|key| wanted("keys", key))
                };
                let found: Vec<Value> =
                    self.contacts.iter().filter(|(_, c)| hit(c)).map(|(id, c)| shown(*id, c)).collect();
                answer(200, json!({"data": found}))
            }
            ("POST", ["contacts"]) => match self.made(body, now) {
                Ok(id) => answer(201, json!({"id": id})),
                Err(refusal) => refusal,
            },
            ("POST", ["contacts", "batch"]) => {
                let Some(rows) = body["rows"].as_array() else { return refused(400, "no_rows") };
                if rows.len() > 3 {
                    return refused(413, "too_many");
                }
                let row = |row: &Value, world: &mut Self| {
                    let key = row["ponte_id"].as_str();
                    let there = world
                        .contacts
                        .iter()
                        .find(|(_, c)| key.is_some() && c.ponte_id.as_deref() == key)
                        .map(|(id, _)| *id);
                    let done = match there {
                        Some(id) => world.changed(id, row, now).map(|()| (id, false)),
                        None => world.made(row, now).map(|id| (id, true)),
                    };
                    match done {
                        Ok((id, new)) => json!({"ok": true, "id": id, "new": new}),
                        Err(_) => json!({"ok": false, "code": "invalid_field"}),
                    }
                };
                let results: Vec<Value> = rows.iter().map(|r| row(r, self)).collect();
                answer(207, json!({"results": results}))
            }
            ("PATCH", ["contacts", id]) => {
                let id = id.parse().unwrap_or(0);
                match self.changed(id, body, now) {
                    Ok(()) => answer(200, json!({"id": id})),
                    Err(refusal) => refusal,
                }
            }
            ("PUT", ["messages", key]) => {
                let contact = body["contact"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
                if !self.contacts.contains_key(&contact) {
                    return refused(404, "no_contact");
                }
                self.messages.insert((*key).to_owned(), body.as_object().unwrap().clone());
                answer(200, Value::Null)
            }
            _ => refused(405, "no_such_call"),
        }
    }

    fn page(&mut self, asked: &BTreeMap<&str, i64>, now: i64) -> Response {
        let limit = usize::try_from(asked.get("limit").copied().unwrap_or(10)).unwrap().min(10);
        let number = |name: &str| asked.get(name).map(|n| usize::try_from(*n).unwrap());
        let mut rows: Vec<(u64, Contact)> = self.contacts.iter().map(|(id, c)| (*id, c.clone())).collect();
        if let Some(since) = asked.get("since") {
            rows.retain(|(_, contact)| contact.changed >= *since);
            rows.sort_by_key(|(id, contact)| (contact.changed, *id));
        }
        if let (Some(since), Some(behind)) = (asked.get("since"), asked.get("behind")) {
            let place = (*since, u64::try_from(*behind).unwrap());
            rows.retain(|(id, contact)| (contact.changed, *id) > place);
        }
        if let Some(after) = asked.get("after") {
            rows.retain(|(id, _)| *id > u64::try_from(*after).unwrap());
            rows.sort_by_key(|(id, _)| *id);
        }
        let from = number("offset").or(number("cursor")).unwrap_or(0);
        let page: Vec<Value> = rows.iter().skip(from).take(limit).map(|(id, c)| shown(*id, c)).collect();
        let next = (from + limit < rows.len()).then_some(from + limit);
        // Somebody works meanwhile.
        let moving = if self.restless.is_empty() { Vec::new() } else { self.restless.remove(0) };
        for id in moving {
            if let Some(contact) = self.contacts.get_mut(&id) {
                contact.changed = now;
            }
        }
        let mut response = answer(200, json!({"data": page, "next": next}));
        if let Some(next) = next {
            let link = format!("</api/contacts?offset={next}>; rel=\"next\"");
            response.headers_mut().insert("link", link.parse().unwrap());
        }
        response
    }

    fn made(&mut self, body: &Value, now: i64) -> Result<u64, Response> {
        let mut contact = Contact { changed: now, ..Contact::default() };
        taken(&mut contact, body)?;
        if contact.name.is_empty() {
            return Err(refused(422, "name_missing"));
        }
        let same = |c: &Contact| c.email.is_some() && c.email == contact.email;
        if let Some((id, _)) = self.contacts.iter().find(|(_, c)| same(c)) {
            return Err(answer(409, json!({"error": {"code": "duplicate", "id": id}})));
        }
        let id = self.contacts.keys().next_back().map_or(1, |last| last + 1);
        self.contacts.insert(id, contact);
        Ok(id)
    }

    fn changed(&mut self, id: u64, body: &Value, now: i64) -> Result<(), Response> {
        let mut contact = self.contacts.get(&id).cloned().ok_or_else(|| refused(404, "no_contact"))?;
        taken(&mut contact, body)?;
        contact.changed = now;
        self.contacts.insert(id, contact);
        Ok(())
    }
}

pub fn names() -> Vec<String> {
    ["name", "email"].map(str::to_owned).into()
}

pub fn person(n: u128, phone: Option<&str>) -> ContactWrite {
    ContactWrite {
        person: PersonId(Uuid::from_u128(n)),
        crm_id: None,
        name: Some(format!("Person {n}")),
        phone: phone.map(str::to_owned),
        wa_id: None,
        user_id: None,
        username: None,
        last_inbound_at: None,
        fields: Default::default(),
    }
}

pub fn message(n: u128, contact: &str) -> MessageWrite {
    MessageWrite {
        message: MessageId(Uuid::from_u128(n)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: contact.into(),
        inbound: false,
        kind: "text".into(),
        text: Some("\"quoted\" {{ 1 + 1 }} \\ \n end".into()),
        at: NOW,
        stamps: Stamps::default(),
        error: None,
        withdrawn: false,
        edited: false,
    }
}

pub fn written(id: &str, created: bool) -> RowResult {
    RowResult::Written { crm_id: id.into(), created }
}

/// All that changed since a cursor, and where that ends.
pub async fn drained(crm: &Http, mut cursor: String) -> (Vec<CrmChange>, String) {
    let mut all = Vec::new();
    for _ in 0..1_000 {
        let some = crm.changes(&names(), &cursor).await.unwrap();
        all.extend(some.changes);
        cursor = some.next;
        if !some.more {
            return (all, cursor);
        }
    }
    panic!("reading doesn't end");
}

pub fn ids(changes: &[CrmChange]) -> Vec<u64> {
    let id = |change: &CrmChange| match change {
        CrmChange::Record(record) => record.id.parse().unwrap(),
        other => panic!("{other:?}"),
    };
    changes.iter().map(id).collect()
}
