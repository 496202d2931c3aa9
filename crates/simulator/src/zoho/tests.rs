//! What must stay true of the world whatever is written: indexes tell what a look at all records tells.

use super::config::Config;
use super::coql;
use super::coql_run;
use super::schema::{Field, Kind};
use super::words;
use super::world::{ModuleNo, World};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Something that happens; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    Write { key: u8, phone: u8, account: Option<u8> },
    Change { at: u8, key: u8, phone: Option<u8> },
    Delete { at: u8 },
    Merge { master: u8, loser: u8 },
    Account,
    DropAccount { at: u8 },
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let small = || 0..12_u8;
    prop_oneof![
        4 => (small(), small(), prop::option::of(small())).prop_map(|(key, phone, account)| Step::Write { key, phone, account }),
        3 => (small(), small(), prop::option::of(small())).prop_map(|(at, key, phone)| Step::Change { at, key, phone }),
        1 => small().prop_map(|at| Step::Delete { at }),
        1 => (small(), small()).prop_map(|(master, loser)| Step::Merge { master, loser }),
        1 => Just(Step::Account),
        1 => small().prop_map(|at| Step::DropAccount { at }),
        1 => Just(Step::Wait),
    ]
}

struct Run {
    world: World,
    contacts: ModuleNo,
    accounts: ModuleNo,
    now: i64,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new(&Config::default(), 0);
        let (contacts, accounts) = (world.module_no("Contacts").unwrap(), world.module_no("Accounts").unwrap());
        let mut key = super::schema::plain(world.new_id(), "Key", Kind::Text, 0, None);
        key.unique = true;
        world.stores[contacts].module.add(key);
        Self { world, contacts, accounts, now: 1_000_000 }
    }

    fn pick(&self, no: ModuleNo, at: u8) -> Option<u64> {
        let live = &self.world.stores[no].table.live;
        live.keys().nth(usize::from(at) % live.len().max(1)).copied()
    }

    fn write(&mut self, no: ModuleNo, target: Option<u64>, fields: &Value) {
        let empty = Map::new();
        let fields = fields.as_object().unwrap_or(&empty);
        // A value that is taken refuses the row, and nothing of it is written.
        if let Ok(draft) = self.world.prepare(no, target, fields, "$.data[0]") {
            self.world.apply(no, draft, 1, self.now);
        }
    }

    fn take(&mut self, step: &Step) {
        let (contacts, accounts) = (self.contacts, self.accounts);
        let phone = |phone: u8| format!("+4930 12345{phone:02}");
        match step {
            Step::Write { key, phone: number, account } => {
                let account = account.and_then(|at| self.pick(accounts, at)).map(|id| json!({"id": id.to_string()}));
                let fields = json!({"Last_Name": "x", "Key": format!("k{key}"), "Phone": phone(*number), "Account_Name": account});
                self.write(contacts, None, &fields);
            }
            Step::Change { at, key, phone: number } => {
                let fields = json!({"Key": format!("K{key}"), "Phone": number.map(phone)});
                if let Some(id) = self.pick(contacts, *at) {
                    self.write(contacts, Some(id), &fields);
                }
            }
            Step::Delete { at } => {
                if let Some(id) = self.pick(contacts, *at) {
                    self.world.delete(contacts, id, 1, self.now, false);
                }
            }
            Step::Merge { master, loser } => {
                if let (Some(master), Some(loser)) = (self.pick(contacts, *master), self.pick(contacts, *loser)) {
                    self.world.merge(contacts, master, loser, 1, self.now);
                }
            }
            Step::Account => self.write(accounts, None, &json!({"Account_Name": "same"})),
            Step::DropAccount { at } => {
                if let Some(id) = self.pick(accounts, *at) {
                    self.world.delete(accounts, id, 1, self.now, true);
                }
            }
            Step::Wait => self.now += 1_500,
        }
    }

    fn check(&self) {
        let store = &self.world.stores[self.contacts];
        let (module, table) = (&store.module, &store.table);
        let times: BTreeSet<(i64, u64)> = table.live.values().map(|row| (row.modified_at(), row.id)).collect();
        assert_eq!(times, table.by_modified);
        let number = |name: &str| module.number(name).unwrap();
        for name in ["Key", "Account_Name"] {
            let value = |id: &u64| table.live[id].get(number(name)).map(Field::index_key);
            let keys: BTreeSet<String> = table.live.keys().filter_map(value).collect();
            for key in &keys {
                let scanned: Vec<u64> =
                    table.live.keys().filter(|id| value(id).as_ref() == Some(key)).copied().collect();
                assert_eq!(table.holders(number(name), key).collect::<Vec<_>>(), scanned, "{name} {key}");
                assert!(name != "Key" || scanned.len() == 1, "{key} is unique");
            }
        }
        for row in table.live.values() {
            if let Some(account) = row.get(number("Account_Name")).and_then(Value::as_u64) {
                assert!(self.world.stores[self.accounts].table.live.contains_key(&account), "a lookup leads somewhere");
            }
            if let Some(phone) = row.get(number("Phone")).and_then(Value::as_str) {
                let slots = words::slots(number("Phone"), Kind::Phone, phone);
                assert!(table.candidates(&slots).contains(&row.id), "{phone} is found");
            }
        }
        assert!(table.deleted.keys().all(|id| !table.live.contains_key(id)));
        assert_eq!(table.deleted.len(), table.by_deleted.len());
    }

    /// A query along an index finds what a look at all records finds.
    fn ask(&self, filter: &str, keep: impl Fn(i64, u64) -> bool, by_time: bool) {
        let store = &self.world.stores[self.contacts];
        let order = if by_time { "Modified_Time, id" } else { "id" };
        let query = coql::parse(&format!("select id from Contacts where {filter} order by {order}")).unwrap();
        let found = coql_run::first(store, &query, usize::MAX).unwrap();
        let found: Vec<(i64, u64)> = found.iter().map(|hit| (hit.modified_at, hit.row.id)).collect();
        let live = store.table.live.values().map(|row| (row.modified_at(), row.id));
        let mut scanned: Vec<(i64, u64)> = live.filter(|(at, id)| keep(*at, *id)).collect();
        scanned.sort_by_key(|(at, id)| if by_time { (*at, *id) } else { (0, *id) });
        assert_eq!(found, scanned, "{filter} by {order}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn indexes_tell_what_a_look_at_all_records_tells(steps in prop::collection::vec(step(), 1..80), at in 0..80_i64, nth in 0..20_u8) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step);
        }
        run.check();
        let time = 1_000_000 + at * 1_000;
        let text = super::time::iso(time, 0);
        let id = run.pick(run.contacts, nth).unwrap_or(5);
        for by_time in [true, false] {
            run.ask(&format!("Modified_Time >= '{text}'"), |at, _| at >= time, by_time);
            run.ask(&format!("Modified_Time > '{text}'"), |at, _| at > time, by_time);
            run.ask(&format!("id > {id}"), |_, other| other > id, by_time);
            run.ask(&format!("(Modified_Time = '{text}' and id >= {id})"), |at, other| at == time && other >= id, by_time);
            run.ask(&format!("((Modified_Time = '{text}' and id > {id}) or Modified_Time > '{text}')"),
                    |at, other| (at == time && other > id) || at > time, by_time);
            run.ask(&format!("id in ({id}, 7)"), |_, other| other == id, by_time);
        }
    }
}
