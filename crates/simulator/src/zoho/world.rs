//! All records of the simulated organisation, and the rules of writing them.
//! May touch: records, indexes, tags, the list of changes. Must not touch: sockets, the clock (time is passed in).
//! Failure story: a row is checked in full by `prepare`; `apply` then cannot fail, so nothing is half written.

use super::auth::Auth;
use super::budget::Budget;
use super::config::{Config, Flags, Limits};
use super::error::Refusal;
use super::pages::Pages;
use super::row::{Guard, Row};
use super::schema::{Field, FieldNo, Kind, Module, System};
use super::stats::Tally;
use super::table::Table;
use super::tags::{self, Tags};
use super::watch::{Channels, Event, Operation};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Where ids start: long, as Zoho's are.
const FIRST_ID: u64 = 5_725_767_000_000_400_000;

/// Place of a module in the world.
pub(super) type ModuleNo = usize;

/// A module and its records.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) module: Module,
    pub(super) table: Table,
}

/// A person in the organisation.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
}

/// Everything the organisation holds.
#[derive(Debug)]
pub(super) struct World {
    pub(super) stores: Vec<Store>,
    names: HashMap<String, ModuleNo>,
    pub(super) users: Vec<User>,
    pub(super) tags: Tags,
    pub(super) auth: Auth,
    pub(super) budget: Budget,
    pub(super) tally: Tally,
    pub(super) pages: Pages,
    pub(super) channels: Channels,
    pub(super) events: Vec<Event>,
    pub(super) last_id: u64,
    pub(super) flags: Flags,
    pub(super) limits: Limits,
    pub(super) offset: i32,
}

/// A checked write of one row.
#[derive(Debug)]
pub(super) struct Draft {
    /// The record to change; `None` makes one.
    pub(super) target: Option<u64>,
    values: Vec<(FieldNo, Option<Value>)>,
    owner: Option<u64>,
    tags: Option<Vec<String>>,
    ignored: u64,
}

impl World {
    pub(super) fn new(config: &Config, now: i64) -> Self {
        let mut last_id = FIRST_ID;
        let modules = Module::built_in(&mut last_id, now);
        let names = modules.iter().enumerate().map(|(n, module)| (module.api_name.to_string(), n)).collect();
        let users = vec![
            User { id: last_id + 1, name: "Integration User", email: "integration@zylker.example" },
            User { id: last_id + 2, name: "Patricia Boyle", email: "patricia@zylker.example" },
        ];
        Self {
            stores: modules.into_iter().map(|module| Store { module, table: Table::default() }).collect(),
            names,
            users,
            tags: Tags::default(),
            auth: Auth::new(config, now),
            budget: Budget::new(),
            tally: Tally::default(),
            pages: Pages::default(),
            channels: Channels::default(),
            events: Vec::new(),
            last_id: last_id + 2,
            flags: config.flags.clone(),
            limits: config.limits.clone(),
            offset: config.utc_offset_minutes,
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn module_no(&self, name: &str) -> Option<ModuleNo> {
        self.names.get(name).copied()
    }

    pub(super) fn store(&self, no: ModuleNo) -> Result<&Store, Refusal> {
        self.stores.get(no).ok_or_else(|| Refusal::no_such_module(0))
    }

    pub(super) fn store_mut(&mut self, no: ModuleNo) -> Result<&mut Store, Refusal> {
        self.stores.get_mut(no).ok_or_else(|| Refusal::no_such_module(0))
    }

    pub(super) fn add_module(&mut self, module: Module) {
        self.names.insert(module.api_name.to_string(), self.stores.len());
        self.stores.push(Store { module, table: Table::default() });
    }

    pub(super) fn user(&self, id: u64) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user who authorised the integration.
    pub(super) fn integration(&self) -> u64 {
        self.users.first().map_or(0, |user| user.id)
    }

    /// A person who works in the CRM.
    pub(super) fn person(&self) -> u64 {
        self.users.get(1).map_or(0, |user| user.id)
    }

    /// The module that has a live record of this id.
    pub(super) fn home_of(&self, id: u64) -> Option<ModuleNo> {
        self.stores.iter().position(|store| store.table.live.contains_key(&id))
    }

    /// Checks one row in full against the schema and the other records. `path` is where it stands in the request.
    pub(super) fn prepare(
        &self,
        no: ModuleNo,
        target: Option<u64>,
        data: &Map<String, Value>,
        path: &str,
    ) -> Result<Draft, Refusal> {
        let store = self.store(no)?;
        let mut draft = Draft { target, values: Vec::new(), owner: None, tags: None, ignored: 0 };
        let mut faults = Vec::new();
        for (name, value) in data {
            if matches!(name.as_str(), "id" | "Layout") || name.starts_with('$') {
                continue;
            }
            let at = format!("{path}.{name}");
            let outcome = match store.module.named(name) {
                Some((number, field)) => self.check(store, (number, field), value, target, &at, &mut draft),
                None if self.flags.refuse_unknown_fields => Err(Refusal::invalid(name, &at)),
                None => {
                    draft.ignored += 1;
                    Ok(())
                }
            };
            faults.extend(outcome.err());
        }
        for (number, field) in store.module.live().filter(|(_, field)| field.mandatory) {
            let given = draft.values.iter().find(|(n, _)| *n == number).map(|(_, value)| value.is_some());
            // On create it must be there; on update it must not be cleared. What was refused above is told once.
            let told = || data.get(&*field.api_name).is_some_and(|value| !value.is_null()) && given.is_none();
            if given == Some(false) || (target.is_none() && given.is_none() && !told()) {
                faults.push(Refusal::mandatory(&field.api_name, &format!("{path}.{}", field.api_name)));
            }
        }
        match Refusal::several(faults) {
            Some(refusal) => Err(refusal),
            None => Ok(draft),
        }
    }

    fn check(
        &self,
        store: &Store,
        (number, field): (FieldNo, &Field),
        value: &Value,
        target: Option<u64>,
        at: &str,
        draft: &mut Draft,
    ) -> Result<(), Refusal> {
        match field.system {
            Some(System::Tag) => {
                draft.tags = Some(tags::names(value, at, &self.tags, &self.limits)?);
                return Ok(());
            }
            Some(System::Owner) => {
                let id = field.clean(value, at, false)?.and_then(|id| id.as_u64());
                let user = id.and_then(|id| self.user(id)).ok_or_else(|| bad_id(&field.api_name, at))?;
                draft.owner = Some(user.id);
                return Ok(());
            }
            // What the system fills in can't be written; Zoho takes it and forgets it.
            Some(_) => return Ok(()),
            None => {}
        }
        let clean = field.clean(value, at, !self.flags.open_pick_lists)?;
        if let Some(clean) = &clean {
            let id = clean.as_u64().unwrap_or_default();
            let exists = match field.kind {
                Kind::Lookup => {
                    let target = field.target.as_deref().and_then(|name| self.module_no(name));
                    target.and_then(|no| self.stores.get(no)).is_some_and(|store| store.table.live.contains_key(&id))
                }
                Kind::Parent => {
                    let named =
                        value.pointer("/module/api_name").or_else(|| value.get("module")).and_then(Value::as_str);
                    let home = self.home_of(id);
                    home.is_some() && named.is_none_or(|name| self.module_no(name) == home)
                }
                _ => true,
            };
            if !exists {
                return Err(bad_id(&field.api_name, at));
            }
            if field.unique {
                let key = Field::index_key(clean);
                if let Some(other) = store.table.holders(number, &key).find(|id| Some(*id) != target) {
                    return Err(self.duplicate(store, other, &field.api_name, at));
                }
            }
        }
        draft.values.push((number, clean));
        Ok(())
    }

    fn duplicate(&self, store: &Store, other: u64, api_name: &str, at: &str) -> Refusal {
        let owner = store.table.live.get(&other).and_then(|row| self.user(row.owner));
        let owner = owner.map(|user| json!({"name": user.name, "id": user.id.to_string(), "zuid": "70000000001"}));
        let mut details = json!({
            "api_name": api_name, "json_path": at, "more_records": false,
            "duplicate_record": {"id": other.to_string(), "Owner": owner,
                "module": {"api_name": &*store.module.api_name, "id": store.module.id.to_string()}},
        });
        if let Some(fields) = details.as_object_mut().filter(|_| self.flags.duplicate_flat_id) {
            fields.insert("id".to_owned(), json!(other.to_string()));
        }
        Refusal::new(400, "DUPLICATE_DATA", "duplicate data").with(details)
    }

    /// What keeps a live record from being written, if anything does.
    pub(super) fn guarded(&self, no: ModuleNo, id: u64) -> Result<(), Refusal> {
        let Some(row) = self.store(no)?.table.live.get(&id) else { return Ok(()) };
        if row.converted {
            return Err(Refusal::new(400, "CONVERTED_RECORD", "can't update the converted record"));
        }
        match row.guard {
            None => Ok(()),
            Some(Guard::Locked) => Err(Refusal::new(400, "RECORD_LOCKED", "The record is locked")),
            Some(Guard::Blueprint) => Err(Refusal::new(400, "RECORD_IN_BLUEPRINT", "The record is in blue print")),
            Some(Guard::Approval) => Err(Refusal::new(400, "NOT_APPROVED", "record not approved")),
        }
    }

    /// Carries out a checked row and gives the record's id.
    pub(super) fn apply(&mut self, no: ModuleNo, draft: Draft, user: u64, now: i64) -> u64 {
        let created = draft.target.is_none();
        let id = draft.target.unwrap_or_else(|| self.new_id());
        let lag = self.flags.search_lag_ms.max(0);
        let module_name = match self.stores.get(no) {
            Some(store) => store.module.api_name.clone(),
            None => return id,
        };
        let tag_ids = draft.tags.map(|names| self.tags.resolve(&module_name, &names, &mut self.last_id, now));
        let Some(Store { module, table }) = self.stores.get_mut(no) else { return id };
        if created {
            table.insert(Row::new(id, user, now, lag));
        } else {
            table.touch(id, user, now, lag);
        }
        let mut changed = Vec::new();
        for (number, value) in draft.values {
            let told = value.clone();
            if table.set(module, id, number, value) {
                changed.push((number, told));
            }
        }
        if let Some(row) = table.live.get_mut(&id) {
            row.owner = draft.owner.unwrap_or(row.owner);
            if let Some(tags) = tag_ids {
                row.tags = tags;
            }
            row.writes += 1;
            self.tally.writes(row.writes);
        }
        self.tally.ignored_fields += draft.ignored;
        let operation = if created { Operation::Create } else { Operation::Edit };
        self.tally.wrote(&module_name, created);
        self.events.push(Event { module: no, operation, id, changed });
        id
    }

    /// The live record that the first of these fields finds by its value in `data`, and the field that found it.
    pub(super) fn find_duplicate(
        &self,
        no: ModuleNo,
        fields: &[FieldNo],
        data: &Map<String, Value>,
    ) -> Option<(u64, String)> {
        let store = self.stores.get(no)?;
        fields.iter().find_map(|number| {
            let field = store.module.field(*number)?;
            let value = field.clean(data.get(&*field.api_name)?, "", false).ok()??;
            let id = store.table.holders(*number, &Field::index_key(&value)).next()?;
            Some((id, field.api_name.to_string()))
        })
    }
}

pub(super) fn bad_id(api_name: &str, at: &str) -> Refusal {
    Refusal::new(400, "INVALID_DATA", "the id given seems to be invalid")
        .with(json!({"api_name": api_name, "json_path": at}))
}
