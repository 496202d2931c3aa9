//! Limits of sending: the number's rate, one person's, the plan's, people a day, holds.

use crate::support::{NUMBER, T0, W, World, accepted, message_of, text, unlimited};
use ponte_domain::job::Class;
use ponte_domain::ports::store::{SendLimits, Store};
use ponte_domain::rate::Limit;
use ponte_domain::{DAY, HOUR};
use ponte_testkit::both_engines;

async fn queue_people(world: &World, n: usize) {
    let asked: Vec<_> = (0..n).map(|i| (format!("551199{i:06}"), Class::Transactional, None)).collect();
    world.queue_many(&asked, T0).await;
}

both_engines!(a_number_sends_no_faster_than_its_limit, |db| async move {
    let world = World::open(&db).await;
    queue_people(&world, 40).await;
    let limits = SendLimits { number: Limit::new(10, 1, 5), ..unlimited() };
    let first = world.claim_within(T0, 100, limits.clone()).await;
    assert_eq!((first.tasks.len(), first.more), (5, true), "the burst");
    let none = world.claim_within(T0, 100, limits.clone()).await;
    assert_eq!((none.tasks.len(), none.next_at), (0, Some(T0 + 100)));
    let mut sent = 5;
    for step in 1..=20 {
        sent += world.claim_within(T0 + 100 * step, 100, limits.clone()).await.tasks.len();
    }
    assert_eq!(sent, 25, "one every hundred milliseconds");
});

both_engines!(what_was_not_sent_costs_nothing, |db| async move {
    let world = World::open(&db).await;
    world.queue("5511999990001", Class::Reply).await;
    world.queue("5511999990001", Class::Transactional).await;
    let limits = SendLimits { number: Limit::new(1, 60, 2), pair: Limit::new(1, 6, 1), ..unlimited() };
    let claimed = world.claim_within(T0, 100, limits.clone()).await;
    assert_eq!(claimed.tasks.len(), 1, "two lanes of one person: the pair limit lets one through");
    queue_people(&world, 1).await;
    let next = world.claim_within(T0 + 1, 100, limits).await;
    assert_eq!(next.tasks.len(), 1, "the one put back left its unit of the number to another");
});

both_engines!(one_person_is_not_written_to_too_fast, |db| async move {
    let world = World::open(&db).await;
    let mut queued = Vec::new();
    for _ in 0..3 {
        queued.push(world.queue("5511999990001", Class::Reply).await);
    }
    let limits = SendLimits { pair: Limit::new(1, 6, 1), ..unlimited() };
    for (i, id) in queued.iter().enumerate() {
        let now = T0 + 6_000 * i as i64;
        if i > 0 {
            let early = world.claim_within(now - 1, 100, limits.clone()).await;
            assert!(early.tasks.is_empty(), "{early:?}");
        }
        let claimed = world.claim_within(now, 100, limits.clone()).await;
        assert_eq!(claimed.tasks.iter().filter_map(message_of).collect::<Vec<_>>(), [*id]);
        world.settle(now, &claimed.tasks[0], accepted(&format!("wamid.{i}"))).await;
    }
});

both_engines!(the_plan_is_shared_by_all_numbers, |db| async move {
    let world = World::open(&db).await;
    queue_people(&world, 10).await;
    let limits = SendLimits { plan: Some(Limit::new(60, 60, 3)), ..unlimited() };
    let first = world.claim_within(T0, 100, limits.clone()).await;
    assert_eq!((first.tasks.len(), first.more, first.next_at), (3, true, Some(T0 + 1_000)));
    assert_eq!(world.claim_within(T0 + 1_000, 100, limits).await.tasks.len(), 1);
});

both_engines!(people_a_day_are_counted_outside_the_window_only, |db| async move {
    let world = World::open(&db).await;
    queue_people(&world, 5).await;
    world.ingest(&[text("551199000004", "wamid.in", T0 - HOUR)]).await;
    let limits = SendLimits { portfolio_per_day: Some(2), ..unlimited() };
    let first = world.claim_within(T0, 100, limits.clone()).await;
    assert_eq!(first.tasks.len(), 3, "two new people and the one whose window is open");
    for (i, task) in first.tasks.iter().enumerate() {
        world.settle(T0, task, accepted(&format!("wamid.{i}"))).await;
    }
    // Someone counted already may be written to again.
    let again = first.tasks.iter().filter(|t| t.lane.key.ends_with("transactional")).count();
    assert_eq!(again, 3);
    queue_people(&world, 5).await;
    let second = world.claim_within(T0 + 1, 100, limits.clone()).await;
    assert_eq!(second.tasks.len(), 3, "the same three: {second:?}");
    let next_day = world.claim_within(T0 + DAY + HOUR, 100, limits).await;
    assert_eq!(next_day.tasks.iter().filter(|t| !t.job.begun).count(), 2, "a day later two more");
});

both_engines!(a_hold_holds_everything_back_and_only_grows, |db| async move {
    let world = World::open(&db).await;
    queue_people(&world, 2).await;
    world.store.hold(W, NUMBER, T0 + 500).await.unwrap();
    world.store.hold(W, NUMBER, T0 + 100).await.unwrap();
    let held = world.claim(T0 + 499).await;
    assert_eq!((held.tasks.len(), held.next_at), (0, Some(T0 + 500)));
    assert_eq!(world.claim(T0 + 500).await.tasks.len(), 2);
});
