//! # Hooks
//! Purpose: pushes what happened to those who subscribed: reads events by cursor, files a job for each subscription that wants
//! one, and works those lanes by calls to the targets. Makes, changes and removes subscriptions; shows samples; pushes again.
//! May touch: the store's events, cursor and hook lanes; the hooks port; messages and people, only to read them; targets.
//! Must not touch: what is told of an event (`ponte_domain::hook::payload`), addresses that the door out refuses.
//! Invariants: cursor and jobs move together, so every event is pushed at least once. Lanes are subscription and person: a
//! person's events come in order. Each subscription has a worker of its own, so a slow target waits alone. A job names an event,
//! and what is told is put together for the call: who was erased meanwhile isn't told of.
//! Failure story: killed between a call and its settlement, the event is pushed again under the same `webhook-id`.

mod door;
mod reader;
mod worker;

pub use door::{
    Edit, NotMade, Replay, Replayed, Tried, Wish, change, remove, replay, resume, rotate, samples, subscribe, try_out,
};
pub use reader::run as run_reader;
pub use worker::run as run_worker;

use crate::World;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::Event;
use ponte_domain::hook::{Hook, payload};
use ponte_domain::ids::{EventId, PersonId};
use ponte_domain::job::{JobKind, NewJob};
use ponte_domain::people::PersonCard;
use ponte_domain::ports::store::MessageView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// What a job is about: an event by its public id, which holds its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Owed {
    event: EventId,
}

/// The job that pushes an event. What is pushed again has lanes of its own, behind: what happens now must not wait for it.
fn job(hook: &Hook, event: &Event, now: Millis, again: bool) -> Option<NewJob> {
    let owed = Owed { event: EventId::of(event.at, event.cursor.seq) };
    let whose = event.person.map_or_else(|| "-".to_owned(), |person| person.0.simple().to_string());
    let scope = hook.scope();
    Some(NewJob {
        kind: JobKind::Hook,
        lane: format!("{scope}/{}{whose}", if again { "again/" } else { "" }),
        scope,
        priority: i64::from(again),
        not_before: now,
        payload: serde_json::to_string(&owed).ok()?,
        dedup: again.then(|| owed.event.to_string()),
    })
}

/// What is told of these events, by their places.
async fn told(world: &World, events: &[Event]) -> Result<HashMap<i64, Value>, StoreError> {
    let mut messages: HashMap<i64, MessageView> = HashMap::new();
    for event in events {
        if let Some(id) = event.message
            && let Some(message) = world.store.message(world.workspace, id).await?
        {
            messages.insert(event.cursor.seq, message);
        }
    }
    // The messages of who was merged are the survivor's.
    let whose = |event: &Event| messages.get(&event.cursor.seq).map(|m| m.person_id).or(event.person);
    let mut ids: Vec<PersonId> = events.iter().filter_map(whose).collect();
    ids.sort_unstable();
    ids.dedup();
    let people: HashMap<PersonId, PersonCard> = if ids.is_empty() {
        HashMap::new()
    } else {
        world.people.cards(world.workspace, &ids).await?.into_iter().map(|card| (card.id, card)).collect()
    };
    Ok(events
        .iter()
        .map(|event| {
            let person = whose(event).and_then(|id| people.get(&id));
            (event.cursor.seq, payload::value(event, messages.get(&event.cursor.seq), person))
        })
        .collect())
}
