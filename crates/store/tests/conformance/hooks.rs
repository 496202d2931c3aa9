//! Subscriptions: made once, heard from then on, due when something is ready, and what becomes of them.

use crate::support::{LEASE, T0, W, World, failure, open_as, text};
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::hook::{Delivery, Filter, Hook, HookState, Secret, Selection};
use ponte_domain::ids::{EventId, HookId, IdSource};
use ponte_domain::job::{ClaimedLane, JobEnd, JobKind, NewJob};
use ponte_domain::ports::hooks::{Added, HookChange, HookEnd, HookNews, Hooks, NewHook, Span};
use ponte_domain::ports::people::{NewAudit, People};
use ponte_domain::ports::retention::Retention;
use ponte_domain::ports::store::Store;
use ponte_domain::{DAY, HOUR};
use ponte_testkit::both_engines;

const URL: &str = "https://example.com/in";

fn wish(world: &World, key: Option<&str>) -> NewHook {
    NewHook {
        id: HookId(world.ids.next()),
        target_url: URL.into(),
        events: Selection::new(vec!["message.*".into()]).unwrap(),
        filter: Filter::default(),
        secret: Secret::of([7; 32]),
        created_by: "api:test".into(),
        at: T0,
        idempotency_key: key.map(str::to_owned),
        request_hash: "hash".into(),
    }
}

fn audit(act: &'static str, hook: &Hook) -> NewAudit {
    NewAudit { at: T0, who: "api:test".into(), act, subject: Some(hook.id.to_string()), data: "{}".into() }
}

impl World {
    async fn subscribe(&self) -> Hook {
        match self.store.hook_add(W, wish(self, None), 100).await.unwrap() {
            Added::New(hook) => hook,
            other => panic!("{other:?}"),
        }
    }

    async fn owe(&self, hook: &Hook, lane: &str, n: i64) {
        let job = |i: i64| NewJob {
            kind: JobKind::Hook,
            lane: format!("{}/{lane}", hook.id),
            scope: hook.scope(),
            priority: 0,
            not_before: T0,
            payload: i.to_string(),
            dedup: None,
        };
        self.store.hook_file(W, T0, (0..n).map(job).collect()).await.unwrap();
    }

    async fn claim_hook(&self, hook: &Hook, now: i64) -> Vec<ClaimedLane> {
        self.store.claim_lanes(W, JobKind::Hook, &hook.scope(), now, LEASE, 10, 10).await.unwrap()
    }

    async fn due(&self, now: i64) -> Vec<HookId> {
        self.store.hooks_due(W, now).await.unwrap().into_iter().map(|h| h.id).collect()
    }

    async fn call(&self, hook: &Hook, now: i64, outcomes: &[Result<(), &str>]) -> Option<Hook> {
        let lane = self.claim_hook(hook, now).await.remove(0);
        let ends = lane.jobs.iter().zip(outcomes).map(|(job, outcome)| ended(&lane, job.seq, now, *outcome)).collect();
        let news = HookNews { ends, hold_until: 0, disable_before: now - 5 * DAY, gone: None };
        self.store.hook_settle(W, hook.id, now, news).await.unwrap().0
    }
}

fn ended(lane: &ClaimedLane, seq: i64, now: i64, outcome: Result<(), &str>) -> HookEnd {
    let error = outcome.err().map(str::to_owned);
    HookEnd {
        lane: lane.lane.clone(),
        seq,
        end: error.as_ref().map_or(JobEnd::Done, |code| JobEnd::Retry(now + 1, failure(code))),
        delivery: Some(Delivery {
            number: 0,
            event: EventId::of(now, seq),
            kind: "message.received".into(),
            at: now,
            attempt: 1,
            status: Some(if error.is_some() { 500 } else { 200 }),
            duration_ms: 3,
            error,
        }),
    }
}

both_engines!(the_same_key_makes_one_subscription, |db| async move {
    let world = World::open(&db).await;
    let first = world.store.hook_add(W, wish(&world, Some("k")), 2).await.unwrap();
    let Added::New(hook) = first else { panic!("{first:?}") };
    assert_eq!(world.store.hook_add(W, wish(&world, Some("k")), 2).await.unwrap(), Added::Again(hook.clone()));
    let other = NewHook { request_hash: "other".into(), ..wish(&world, Some("k")) };
    assert_eq!(world.store.hook_add(W, other, 2).await.unwrap(), Added::Different);
    assert!(matches!(world.store.hook_add(W, wish(&world, None), 2).await.unwrap(), Added::New(_)));
    assert_eq!(world.store.hook_add(W, wish(&world, None), 2).await.unwrap(), Added::Full);
    assert!(world.store.hook_remove(W, hook.id, audit("hooks.remove", &hook)).await.unwrap());
    assert!(!world.store.hook_remove(W, hook.id, audit("hooks.remove", &hook)).await.unwrap());
    assert_eq!(world.store.hooks(W).await.unwrap().len(), 1);
    assert!(matches!(world.store.hook_add(W, wish(&world, Some("k")), 2).await.unwrap(), Added::New(_)));
    let log = world.store.audit_log(W, Some(&hook.id.to_string()), 10).await.unwrap();
    assert_eq!(log.iter().map(|a| a.act.as_str()).collect::<Vec<_>>(), ["hooks.remove", "hooks.add"]);
});

both_engines!(a_subscription_hears_of_what_comes_after_it, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text("491510000001", "wamid.1", T0)]).await;
    let before = world.events(2).await;
    let hook = world.subscribe().await;
    world.ingest(&[text("491510000001", "wamid.2", T0 + 1)]).await;
    let all = world.events(before.len() + 1).await;
    assert_eq!(all.iter().filter(|e| e.cursor <= hook.start).count(), before.len());
    assert_eq!(world.store.cursor(W, "hooks").await.unwrap(), Some(hook.start));
    // The reader isn't set back, nor ahead, by a second subscription.
    world.subscribe().await;
    assert_eq!(world.store.cursor(W, "hooks").await.unwrap(), Some(hook.start));
});

both_engines!(a_subscription_is_due_when_active_and_something_is_ready, |db| async move {
    let world = World::open(&db).await;
    let (hook, idle) = (world.subscribe().await, world.subscribe().await);
    assert!(world.due(T0).await.is_empty());
    world.owe(&hook, "a", 1).await;
    assert_eq!(world.due(T0).await, [hook.id]);
    let state = async |state| {
        let change = HookChange { state: Some((state, None)), ..HookChange::default() };
        world.store.hook_change(W, hook.id, change, audit("hooks.change", &hook)).await.unwrap().unwrap()
    };
    state(HookState::Paused).await;
    assert!(world.due(T0).await.is_empty());
    state(HookState::Active).await;
    assert_eq!(world.due(T0).await, [hook.id]);
    world.claim_hook(&hook, T0).await;
    assert!(world.due(T0 + LEASE - 1).await.is_empty(), "what is being pushed isn't ready");
    assert_eq!(world.due(T0 + LEASE).await, [hook.id]);
    let hold = HookNews { ends: vec![], hold_until: T0 + 2 * LEASE, disable_before: 0, gone: None };
    world.store.hook_settle(W, hook.id, T0, hold).await.unwrap();
    assert!(world.due(T0 + 2 * LEASE - 1).await.is_empty());
    assert_eq!(world.due(T0 + 2 * LEASE).await, [hook.id]);
    assert_eq!(world.store.hook(W, idle.id).await.unwrap().unwrap().hold_until, 0);
});

both_engines!(a_target_that_takes_nothing_for_days_disables_its_subscription, |db| async move {
    let world = World::open(&db).await;
    let hook = world.subscribe().await;
    world.owe(&hook, "a", 3).await;
    let failing = world.call(&hook, T0, &[Err("http_500"), Ok(()), Err("timeout")]).await.unwrap();
    assert_eq!((failing.failures, failing.failing_since, failing.delivered_at), (1, Some(T0), Some(T0)));
    let still = world.call(&hook, T0 + 5 * DAY - 1, &[Err("http_500")]).await.unwrap();
    assert_eq!((still.state, still.failures, still.failing_since), (HookState::Active, 2, Some(T0)));
    let disabled = world.call(&hook, T0 + 5 * DAY, &[Err("http_500")]).await.unwrap();
    assert_eq!(disabled.state, HookState::Disabled);
    assert!(disabled.reason.is_some());
    assert_eq!(world.kinds().await.iter().filter(|k| *k == "hook.disabled").count(), 1);
    assert!(world.due(T0 + 6 * DAY).await.is_empty());
    let change = HookChange { state: Some((HookState::Active, None)), ..HookChange::default() };
    let resumed = world.store.hook_change(W, hook.id, change, audit("hooks.change", &hook)).await.unwrap().unwrap();
    assert_eq!(
        (resumed.state, resumed.failures, resumed.failing_since, resumed.reason),
        (HookState::Active, 0, None, None)
    );
    assert_eq!(world.due(T0 + 6 * DAY).await, [hook.id], "what gathered before is still owed");
});

both_engines!(what_is_taken_ends_a_row_of_failures, |db| async move {
    let world = World::open(&db).await;
    let hook = world.subscribe().await;
    world.owe(&hook, "a", 1).await;
    world.call(&hook, T0, &[Err("timeout")]).await;
    let well = world.call(&hook, T0 + 1, &[Ok(())]).await.unwrap();
    assert_eq!((well.failures, well.failing_since, well.attempts), (0, None, 2));
});

both_engines!(the_newest_calls_are_kept_and_no_more, |db| async move {
    let world = World::open(&db).await;
    let hook = world.subscribe().await;
    for round in 0..25 {
        world.owe(&hook, "a", 5).await;
        world.call(&hook, T0 + round, &[Ok(()); 5]).await;
    }
    let kept = world.store.hook_deliveries(W, hook.id, 1_000).await.unwrap();
    assert_eq!(kept.iter().map(|d| d.number).collect::<Vec<_>>(), (26..=125).rev().collect::<Vec<_>>());
    let note = Delivery { kind: "hook.test".into(), error: Some("timeout".into()), status: None, ..kept[0].clone() };
    world.store.hook_note(W, hook.id, note).await.unwrap();
    let newest = world.store.hook_deliveries(W, hook.id, 1).await.unwrap().remove(0);
    assert_eq!((newest.number, newest.kind.as_str(), newest.status), (126, "hook.test", None));
});

both_engines!(a_target_that_is_gone_takes_its_subscription_and_all_it_was_owed_along, |db| async move {
    let world = World::open(&db).await;
    let (hook, other) = (world.subscribe().await, world.subscribe().await);
    world.owe(&hook, "a", 3).await;
    world.owe(&hook, "b", 1).await;
    world.owe(&other, "a", 1).await;
    let lane = world.claim_hook(&hook, T0).await.remove(0);
    let dead = HookEnd { end: JobEnd::Dead(failure("x")), ..ended(&lane, lane.jobs[0].seq, T0, Err("x")) };
    let news = HookNews { ends: vec![dead], hold_until: 0, disable_before: 0, gone: None };
    world.store.hook_settle(W, hook.id, T0, news).await.unwrap();
    let event = NewEvent {
        kind: EventKind::HookRemoved,
        at: T0,
        person: None,
        conversation: None,
        message: None,
        number: None,
        dedup: None,
        data: "{}".into(),
    };
    let gone = Some((audit("hooks.remove", &hook), event));
    let news = HookNews { ends: vec![], hold_until: 0, disable_before: 0, gone };
    assert_eq!(world.store.hook_settle(W, hook.id, T0, news.clone()).await.unwrap().0, None);
    assert_eq!(world.store.hook_settle(W, hook.id, T0, news).await.unwrap().0, None, "twice is once");
    assert_eq!(world.kinds().await, ["hook.removed"]);
    assert_eq!(world.store.hook(W, hook.id).await.unwrap(), None);
    assert!(world.store.cursor(W, "hooks").await.unwrap().is_some(), "the other still hears");
    let purge = async |now| {
        let mut rounds = 0;
        while world.store.hooks_purge(W, 1, now).await.unwrap() {
            rounds += 1;
        }
        rounds
    };
    // Three jobs, one a portion, and one more portion for each lane that is then empty.
    assert_eq!(purge(T0).await, 5);
    // A reader that had found the subscription before files for it once more.
    world.owe(&hook, "late", 1).await;
    assert_eq!(purge(T0 + 1).await, 2);
    assert_eq!(purge(T0 + HOUR).await, 1, "the subscription itself");
    assert!(world.store.dead_letters(W, 10).await.unwrap().is_empty());
    assert_eq!(world.store.overview(W, T0).await.unwrap().jobs, [("hook".to_owned(), 1)], "the other's");
    assert!(world.store.hook_deliveries(W, hook.id, 10).await.unwrap().is_empty());
    assert_eq!(world.due(T0).await, [other.id]);
});

both_engines!(the_reader_of_the_last_subscription_goes_with_it, |db| async move {
    let world = World::open(&db).await;
    let hook = world.subscribe().await;
    world.store.hook_remove(W, hook.id, audit("hooks.remove", &hook)).await.unwrap();
    assert!(world.store.cursors(W).await.unwrap().is_empty(), "else no event would ever be too old");
    world.ingest(&[text("491510000001", "wamid.1", T0)]).await;
    world.events(2).await;
    let next = world.subscribe().await;
    assert!(next.start > hook.start);
    assert_eq!(world.store.cursor(W, "hooks").await.unwrap(), Some(next.start));
});

both_engines!(a_call_under_a_lost_lease_is_kept_and_ends_nothing, |db| async move {
    let world = World::open(&db).await;
    let other = World::on(open_as(&db, "node-b").await, 2);
    let hook = world.subscribe().await;
    world.owe(&hook, "a", 1).await;
    let lost = world.claim_hook(&hook, T0).await.remove(0);
    let found = other.claim_hook(&hook, T0 + LEASE).await.remove(0);
    assert!(found.jobs[0].begun);
    let news = |lane: &ClaimedLane| HookNews {
        ends: vec![ended(lane, lane.jobs[0].seq, T0, Ok(()))],
        hold_until: 0,
        disable_before: 0,
        gone: None,
    };
    assert_eq!(world.store.hook_settle(W, hook.id, T0 + LEASE, news(&lost)).await.unwrap().1, 1);
    assert_eq!(other.store.hook_settle(W, hook.id, T0 + LEASE, news(&found)).await.unwrap().1, 0);
    assert_eq!(world.store.hook_deliveries(W, hook.id, 10).await.unwrap().len(), 2, "both calls were made");
    assert!(world.store.overview(W, T0).await.unwrap().jobs.is_empty());
});

both_engines!(a_rotated_secret_keeps_the_one_before, |db| async move {
    let world = World::open(&db).await;
    let hook = world.subscribe().await;
    let change = HookChange { secret: Some((Secret::of([8; 32]), T0 + DAY)), ..HookChange::default() };
    let rotated = world.store.hook_change(W, hook.id, change, audit("hooks.rotate", &hook)).await.unwrap().unwrap();
    assert_eq!(rotated.secrets.current, Secret::of([8; 32]));
    assert_eq!(rotated.secrets.previous, Some((Secret::of([7; 32]), T0 + DAY)));
    assert_eq!(world.store.hooks(W).await.unwrap(), [rotated]);
});

both_engines!(events_of_a_time_are_found_in_order_and_page_by_page, |db| async move {
    let world = World::open(&db).await;
    for hour in 0..48 {
        world.ingest_at(T0 + hour * HOUR, &[text("491510000001", &format!("wamid.{hour}"), T0)]).await;
    }
    let span = Span { since: T0 + 10 * HOUR, until: T0 + 20 * HOUR, after: None };
    let found = world.store.events_between(W, span, 1_000).await.unwrap();
    let hours: Vec<i64> = found.iter().map(|e| (e.at - T0) / HOUR).collect();
    assert_eq!(hours, (10..20).collect::<Vec<_>>());
    let page = world.store.events_between(W, span, 4).await.unwrap();
    let after = page.last().map(|e| e.cursor.seq);
    let rest = world.store.events_between(W, Span { after, ..span }, 1_000).await.unwrap();
    assert_eq!((page.len(), rest.len()), (4, 6));
    for (since, until) in [(T0 - DAY, T0), (T0 + 3 * DAY, T0 + 4 * DAY), (T0, T0)] {
        assert!(world.store.events_between(W, Span { since, until, after: None }, 10).await.unwrap().is_empty());
    }
    let places: Vec<i64> = found.iter().map(|e| e.cursor.seq).chain([999_999]).collect();
    assert_eq!(world.store.events_at(W, &places).await.unwrap().len(), found.len());
});
