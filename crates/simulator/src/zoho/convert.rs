//! Conversion of leads into contacts, accounts and deals.
//! May touch: records of these modules. Must not touch: sockets.
//! Failure story: everything is checked before anything is made; a lead that was converted stays, and can't be written.

use super::Sim;
use super::call::Call;
use super::error::{Answer, Refusal, Reply, success};
use super::schema::{Kind, System, number};
use super::view;
use super::world::{ModuleNo, World, bad_id};
use http::Method;
use serde_json::{Map, Value, json};

/// Fields of a lead that have another name in the contact or the account.
const CONTACT: [(&str, &str); 6] = [
    ("Designation", "Title"),
    ("Street", "Mailing_Street"),
    ("City", "Mailing_City"),
    ("State", "Mailing_State"),
    ("Zip_Code", "Mailing_Zip"),
    ("Country", "Mailing_Country"),
];
const ACCOUNT: [(&str, &str); 7] = [
    ("Company", "Account_Name"),
    ("No_of_Employees", "Employees"),
    ("Street", "Billing_Street"),
    ("City", "Billing_City"),
    ("State", "Billing_State"),
    ("Zip_Code", "Billing_Code"),
    ("Country", "Billing_Country"),
];
/// Fields of an account that a lead has under the same name.
const SHARED_WITH_ACCOUNT: [&str; 6] = ["Phone", "Fax", "Website", "Industry", "Rating", "Annual_Revenue"];

/// Serves `POST /Leads/{id}/actions/convert`.
pub(super) fn serve(sim: &Sim, call: &Call, leads: ModuleNo, segment: &str) -> Answer {
    if call.method != Method::POST {
        return Err(Refusal::wrong_method());
    }
    let now = sim.clock.now_ms();
    let rows = call.rows("data", 1)?;
    let wanted = rows.first().copied().ok_or_else(|| Refusal::mandatory("data", "$.data"))?;
    let mut world = sim.world();
    let id = segment.parse::<u64>().ok().filter(|id| world.home_of(*id) == Some(leads));
    let id = id.ok_or_else(|| Refusal::no_such_id(1))?;
    if world.store(leads)?.table.live.get(&id).is_some_and(|row| row.converted) {
        let refusal = Refusal::new(400, "ID_ALREADY_CONVERTED", "id already converted");
        return Err(refusal.with(json!({"resource_path_index": 1})));
    }
    world.guarded(leads, id)?;
    let outcome = convert(&mut world, leads, id, wanted, now);
    Ok(Reply::rows("data", vec![outcome], 200, 400))
}

fn existing(world: &World, no: ModuleNo, wanted: &Map<String, Value>, key: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = wanted.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    let at = format!("$.data[0].{key}");
    let id = value.get("id").ok_or_else(|| Refusal::mandatory("id", &format!("{at}.id")))?;
    let id = number(id).filter(|id| world.home_of(*id) == Some(no));
    id.map(Some).ok_or_else(|| bad_id("id", &format!("{at}.id")))
}

/// The stored values of a lead by name, as a request would carry them.
fn values(world: &World, leads: ModuleNo, id: u64) -> Result<Map<String, Value>, Refusal> {
    let store = world.store(leads)?;
    let row = store.table.live.get(&id).ok_or_else(|| Refusal::no_such_id(1))?;
    let state = row.snapshot();
    let fields =
        store.module.live().filter(|(number, field)| field.system.is_none() && state.values.get(*number).is_some());
    Ok(fields.map(|(n, field)| (field.api_name.to_string(), view::value(world, store, state, n, field))).collect())
}

fn convert(
    world: &mut World,
    leads: ModuleNo,
    id: u64,
    wanted: &Map<String, Value>,
    now: i64,
) -> Result<Value, Refusal> {
    let no = |name: &str| world.module_no(name).ok_or_else(|| Refusal::no_such_module(0));
    let (contacts, accounts, deals) = (no("Contacts")?, no("Accounts")?, no("Deals")?);
    let lead = values(world, leads, id)?;
    let contact = existing(world, contacts, wanted, "Contacts")?;
    let account = existing(world, accounts, wanted, "Accounts")?;
    let deal = match wanted.get("Deals") {
        None | Some(Value::Null) => None,
        Some(Value::Object(deal)) => Some(world.prepare(deals, None, deal, "$.data[0].Deals")?),
        Some(_) => return Err(Refusal::wrong_type("jsonobject", "Deals", "$.data[0].Deals")),
    };

    let mut data = Map::new();
    let module = &world.store(contacts)?.module;
    for (name, value) in &lead {
        let other = CONTACT.iter().find(|(from, _)| from == name).map_or(name.as_str(), |(_, to)| to);
        if module.named(other).is_some_and(|(_, field)| field.system != Some(System::FullName)) {
            data.insert(other.to_owned(), value.clone());
        }
    }
    let made_contact = match contact {
        Some(_) => None,
        None => Some(world.prepare(contacts, None, &data, "$.data[0].Contacts")?),
    };
    let company = lead.get("Company").and_then(Value::as_str);
    let made_account = match (account, company) {
        (None, Some(_)) => {
            let renamed = ACCOUNT.iter().filter_map(|(from, to)| Some(((*to).to_owned(), lead.get(*from)?.clone())));
            let shared = SHARED_WITH_ACCOUNT.iter().filter_map(|n| Some(((*n).to_owned(), lead.get(*n)?.clone())));
            let data: Map<String, Value> = renamed.chain(shared).collect();
            Some(world.prepare(accounts, None, &data, "$.data[0].Accounts")?)
        }
        _ => None,
    };

    // From here on nothing can fail.
    let user = world.integration();
    let account = account.or_else(|| made_account.map(|draft| world.apply(accounts, draft, user, now)));
    let contact = match (contact, made_contact) {
        (Some(contact), _) => contact,
        (None, Some(draft)) => world.apply(contacts, draft, user, now),
        (None, None) => return Err(Refusal::no_such_id(1)),
    };
    let link = |world: &mut World, no: ModuleNo, id: u64, field: &str, to: u64| {
        if let Some(number) = world.stores.get(no).and_then(|store| store.module.number(field)) {
            world.point(no, number, id, Some(to));
        }
    };
    if let Some(account) = account {
        link(world, contacts, contact, "Account_Name", account);
    }
    let deal = deal.map(|draft| world.apply(deals, draft, user, now));
    if let Some(deal) = deal {
        link(world, deals, deal, "Contact_Name", contact);
        if let Some(account) = account {
            link(world, deals, deal, "Account_Name", account);
        }
    }
    // Notes and tasks go along; lookups that can only point to leads stay.
    for (other, number, from) in world.references(leads, id) {
        let field = world.store(other)?.module.field(number);
        if field.is_some_and(|field| field.kind == Kind::Parent) {
            world.point(other, number, from, Some(contact));
        }
    }
    let lag = world.flags.search_lag_ms.max(0);
    if let Some(row) = world.store_mut(leads)?.table.touch(id, user, now, lag) {
        row.converted = true;
    }
    let shown = |no: ModuleNo, id: Option<u64>| {
        let store = world.stores.get(no)?;
        let row = store.table.live.get(&id?)?;
        Some(json!({"name": view::display_name(store, row), "id": row.id.to_string()}))
    };
    let details = json!({"Contacts": shown(contacts, Some(contact)), "Deals": shown(deals, deal),
                         "Accounts": shown(accounts, account)});
    Ok(success("The record has been converted successfully", details))
}
