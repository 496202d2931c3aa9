//! From a call to what serves it.
//! May touch: nothing. Must not touch: the world.

use super::call::{Call, Family};
use super::error::{Answer, Refusal};
use super::world::ModuleNo;
use super::{Sim, convert, coql_run, list, records, search, settings, tags, watch};
use http::Method;

/// Serves one call of the CRM's API.
pub(super) fn dispatch(sim: &Sim, call: &Call) -> Answer {
    if call.family != Some(Family::Crm) {
        return Err(Refusal::no_such_path());
    }
    match call.segments().as_slice() {
        ["org"] => settings::org(sim, call),
        ["users"] => settings::users(sim, call, None),
        ["users", id] => settings::users(sim, call, Some(id)),
        ["coql"] => coql_run::serve(sim, call),
        ["actions", "watch"] => watch::serve(sim, call),
        ["settings", rest @ ..] => settings::serve(sim, call, rest),
        [name, rest @ ..] => {
            let no = sim.world().module_no(name).ok_or_else(|| Refusal::no_such_module(0))?;
            module(sim, call, no, name, rest)
        }
        [] => Err(Refusal::no_such_path()),
    }
}

fn module(sim: &Sim, call: &Call, no: ModuleNo, name: &str, rest: &[&str]) -> Answer {
    match (&call.method, rest) {
        (&Method::GET, []) => list::many(sim, call, no),
        (&Method::POST, []) => records::insert(sim, call, no),
        (&Method::PUT, []) => records::update(sim, call, no),
        (&Method::DELETE, []) => records::delete(sim, call, no, None),
        (&Method::POST, ["upsert"]) => records::upsert(sim, call, no),
        (&Method::GET, ["search"]) => search::serve(sim, call, no),
        (&Method::GET, ["deleted"]) => list::deleted(sim, call, no),
        (_, ["upsert" | "search" | "deleted"]) => Err(Refusal::wrong_method()),
        (_, ["actions", "count"]) => list::count(sim, call, no),
        (_, ["actions", "add_tags"]) => tags::change(sim, call, no, None, true),
        (_, ["actions", "remove_tags"]) => tags::change(sim, call, no, None, false),
        (_, [id, "actions", "add_tags"]) => tags::change(sim, call, no, Some(id), true),
        (_, [id, "actions", "remove_tags"]) => tags::change(sim, call, no, Some(id), false),
        (_, [id, "actions", "convert"]) if name == "Leads" => convert::serve(sim, call, no, id),
        (&Method::GET, [id]) => list::one(sim, call, no, id),
        (&Method::PUT, [id]) => records::update_one(sim, call, no, id),
        (&Method::DELETE, [id]) => records::delete(sim, call, no, Some(id)),
        (_, [] | [_]) => Err(Refusal::wrong_method()),
        (method, [id, other]) => {
            let other_no = sim.world().module_no(other).ok_or_else(Refusal::no_such_path)?;
            match *method {
                Method::GET => list::related(sim, call, no, id, other_no),
                Method::POST if *other == "Notes" => records::insert_notes(sim, call, no, id, other_no),
                _ => Err(Refusal::wrong_method()),
            }
        }
        _ => Err(Refusal::no_such_path()),
    }
}
