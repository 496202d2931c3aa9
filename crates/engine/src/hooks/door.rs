//! What whoever subscribes may ask: make, change, rotate, remove, look at samples, try out, push again.

use super::worker::call;
use super::{job, told};
use crate::World;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::EventKind;
use ponte_domain::hook::{BadHook, Delivery, Filter, Hook, HookState, Secret, Selection, check_target, example};
use ponte_domain::ids::{EventId, HookId};
use ponte_domain::ports::hooks::{Added, HookChange, NewHook, Span};
use ponte_domain::ports::people::NewAudit;
use ponte_domain::ports::store::Page;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A wish for a subscription.
#[derive(Debug, Clone, Serialize)]
pub struct Wish {
    /// Where events are posted.
    pub target_url: String,
    /// Which events, as words.
    pub events: Vec<String>,
    /// Narrower than that.
    pub filter: Filter,
}

/// What is to be different of a subscription.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Paused or active.
    pub state: Option<HookState>,
    /// Which events, as words.
    pub events: Option<Vec<String>>,
    /// Narrower than that.
    pub filter: Option<Filter>,
    /// Where events are posted.
    pub target_url: Option<String>,
}

/// Why a subscription was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// The wish can't be read.
    #[error(transparent)]
    Invalid(#[from] BadHook),
    /// Nothing is pushed to this address.
    #[error("target_url: {0}")]
    Refused(String),
    /// The store can't.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a subscription. The same key and wish again: the one that was made.
///
/// # Errors
/// When the wish can't be read, its target may not be reached, or the store can't.
pub async fn subscribe(world: &World, wish: Wish, by: &str, key: Option<String>) -> Result<Added, NotMade> {
    let asked = serde_json::to_string(&wish).unwrap_or_default();
    let events = Selection::new(wish.events)?;
    reachable(world, &wish.target_url)?;
    let new = NewHook {
        id: HookId(world.ids.next()),
        target_url: wish.target_url,
        events,
        filter: wish.filter,
        secret: Secret::of(world.chance.secret()),
        created_by: by.to_owned(),
        at: world.clock.now(),
        idempotency_key: key.map(|key| format!("{by}/{key}")),
        request_hash: Sha256::digest(asked.as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect(),
    };
    Ok(world.hooks.hook_add(world.workspace, new, world.settings.hooks.max_subscriptions).await?)
}

fn reachable(world: &World, url: &str) -> Result<(), NotMade> {
    check_target(url)?;
    world.targets.check(url).map_err(NotMade::Refused)
}

fn audit(world: &World, act: &'static str, id: HookId, by: &str, data: &Value) -> NewAudit {
    let (at, who) = (world.clock.now(), by.to_owned());
    NewAudit { at, who, act, subject: Some(id.to_string()), data: data.to_string() }
}

/// Changes a subscription; as it then is. `None`: there is none.
///
/// # Errors
/// As [`subscribe`].
pub async fn change(world: &World, id: HookId, edit: Edit, by: &str) -> Result<Option<Hook>, NotMade> {
    if let Some(url) = &edit.target_url {
        reachable(world, url)?;
    }
    let data = json!({ "state": edit.state, "events": edit.events, "filter": edit.filter,
        "target_url": edit.target_url.is_some() });
    let change = HookChange {
        state: edit.state.map(|state| (state, None)),
        events: edit.events.map(Selection::new).transpose()?,
        filter: edit.filter,
        target_url: edit.target_url,
        secret: None,
    };
    let audit = audit(world, "hooks.change", id, by, &data);
    Ok(world.hooks.hook_change(world.workspace, id, change, audit).await?)
}

/// Makes a paused or disabled subscription active, or pauses one.
///
/// # Errors
/// When the store can't.
pub async fn resume(world: &World, id: HookId, active: bool, by: &str) -> Result<Option<Hook>, NotMade> {
    let state = Some(if active { HookState::Active } else { HookState::Paused });
    change(world, id, Edit { state, ..Edit::default() }, by).await
}

/// Gives a subscription a new secret; the one before signs too for a while.
///
/// # Errors
/// When the store can't.
pub async fn rotate(world: &World, id: HookId, by: &str) -> Result<Option<Hook>, StoreError> {
    let until = world.clock.now() + world.settings.hooks.rotation_ms;
    let change = HookChange { secret: Some((Secret::of(world.chance.secret()), until)), ..HookChange::default() };
    let audit = audit(world, "hooks.rotate", id, by, &json!({}));
    world.hooks.hook_change(world.workspace, id, change, audit).await
}

/// Removes a subscription; false when there was none.
///
/// # Errors
/// When the store can't.
pub async fn remove(world: &World, id: HookId, by: &str) -> Result<bool, StoreError> {
    let audit = audit(world, "hooks.remove", id, by, &json!({}));
    world.hooks.hook_remove(world.workspace, id, audit).await
}

/// What to push again.
#[derive(Debug, Clone, Copy)]
pub struct Replay {
    /// From this time on, our clock.
    pub since: Millis,
    /// Before this time; `None`: until now.
    pub until: Option<Millis>,
    /// After this event: where an earlier call ended.
    pub after: Option<EventId>,
}

/// What pushing again came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Events that will be pushed again.
    pub filed: usize,
    /// There are more: ask again with `after`.
    pub more: bool,
    /// The last event looked at.
    pub after: Option<EventId>,
}

/// Events of one transaction.
const PAGE: i64 = 500;
/// Events that one call looks at: it must end in time for its caller.
const PAGES: usize = 20;

/// Files what a subscription wants of a time once more, under the same `webhook-id`. `None`: there is no such subscription.
///
/// # Errors
/// When the store can't. What was filed before stays filed; asked again, what still waits isn't filed twice.
pub async fn replay(world: &World, id: HookId, wish: Replay, by: &str) -> Result<Option<Replayed>, StoreError> {
    let Some(hook) = world.hooks.hook(world.workspace, id).await? else { return Ok(None) };
    let now = world.clock.now();
    let mut span =
        Span { since: wish.since, until: wish.until.unwrap_or(now + 1), after: wish.after.map(EventId::seq) };
    let mut replayed = Replayed { filed: 0, more: true, after: wish.after };
    for _ in 0..PAGES {
        let events = world.hooks.events_between(world.workspace, span, PAGE).await?;
        let Some(last) = events.last() else {
            replayed.more = false;
            break;
        };
        span.after = Some(last.cursor.seq);
        replayed.after = Some(EventId::of(last.at, last.cursor.seq));
        let wanted = events.iter().filter(|event| hook.wants(event));
        let jobs: Vec<_> = wanted.filter_map(|event| job(&hook, event, now, true)).collect();
        replayed.filed += jobs.len();
        world.hooks.hook_file(world.workspace, now, jobs).await?;
    }
    let data = json!({ "since": span.since, "until": span.until, "filed": replayed.filed });
    world.people.audit(world.workspace, audit(world, "hooks.replay", id, by, &data)).await?;
    Ok(Some(replayed))
}

/// What a test delivery came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The target took it.
    pub taken: bool,
    /// The call.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// Pushes an example to a subscription's target now, whatever its state. It isn't tried again, and says nothing about how the
/// target fares. `None`: there is no such subscription.
///
/// # Errors
/// When the store can't.
pub async fn try_out(world: &World, id: HookId, kind: Option<EventKind>) -> Result<Option<Tried>, StoreError> {
    let Some(hook) = world.hooks.hook(world.workspace, id).await? else { return Ok(None) };
    let wanted = || EventKind::ALL.iter().copied().find(|kind| hook.events.wants(kind.as_str()));
    let kind = kind.or_else(wanted).unwrap_or(EventKind::MessageReceived);
    let event = EventId(world.ids.next());
    let body = example::test(kind, event, world.clock.now());
    let delivery = call(world, &hook, event, &body).await.delivery(event, kind.as_str());
    world.hooks.hook_note(world.workspace, id, delivery.clone()).await?;
    Ok(Some(Tried { taken: delivery.error.is_none(), delivery }))
}

/// What is pushed for these words, newest first: of what happened; while nothing did, well-made examples.
///
/// # Errors
/// When a word means nothing, or the store can't.
pub async fn samples(world: &World, words: Vec<String>, limit: usize) -> Result<Vec<Value>, NotMade> {
    let selection = Selection::new(words)?;
    let wanted: Vec<EventKind> = EventKind::ALL.iter().copied().filter(|kind| selection.wants(kind.as_str())).collect();
    let page = Page { before: None, limit: i64::try_from(limit).unwrap_or(i64::MAX) };
    let mut events = Vec::new();
    for kind in &wanted {
        events.extend(world.store.recent_events(world.workspace, Some(kind.as_str()), page).await?);
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.cursor.seq));
    events.truncate(limit);
    if events.is_empty() {
        return Ok(wanted.into_iter().flat_map(|kind| example::examples(kind, limit)).take(limit).collect());
    }
    let mut told = told(world, &events).await?;
    Ok(events.iter().filter_map(|event| told.remove(&event.cursor.seq)).collect())
}
