//! Send lanes: who goes first, what is found after a crash, what a late answer may still do.

use crate::support::{LEASE, T0, W, World, accepted, failure, message_of, open_as, status};
use ponte_domain::error::WINDOW_CLOSED;
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::job::Class;
use ponte_domain::message::Phase;
use ponte_domain::ports::channel::Address;
use ponte_domain::ports::store::{SendEnd, SendWhat, Store};
use ponte_domain::status::Status;
use ponte_testkit::both_engines;

const ANA: &str = "5511999990001";
const BO: &str = "5511999990002";

both_engines!(first_in_first_out_within_a_lane_and_one_at_a_time, |db| async move {
    let world = World::open(&db).await;
    let mut queued = Vec::new();
    for _ in 0..4 {
        queued.push(world.queue(ANA, Class::Reply).await);
    }
    for (i, id) in queued.iter().enumerate() {
        let now = T0 + i as i64;
        let claimed = world.claim(now).await;
        assert_eq!(claimed.tasks.iter().filter_map(message_of).collect::<Vec<_>>(), [*id]);
        assert!(world.claim(now).await.tasks.is_empty(), "the lane is held");
        assert_eq!(world.settle(now, &claimed.tasks[0], accepted(&format!("wamid.{i}"))).await, 0);
    }
    assert!(world.claim(T0 + 10).await.tasks.is_empty());
    assert!(world.store.overview(W, T0).await.unwrap().jobs.is_empty());
});

both_engines!(priority_chooses_between_lanes_never_within_one, |db| async move {
    let world = World::open(&db).await;
    let campaign = world.queue(ANA, Class::Marketing).await;
    let order = world.queue(ANA, Class::Transactional).await;
    let first = world.queue(BO, Class::Reply).await;
    let second = world.queue(BO, Class::Reply).await;
    let claimed = world.claim(T0).await;
    let ids: Vec<_> = claimed.tasks.iter().filter_map(message_of).collect();
    assert_eq!(ids, [first, order, campaign], "most urgent first, one of each lane");
    for task in &claimed.tasks {
        world.settle(T0, task, accepted(&format!("wamid.{}", task.lane.key))).await;
    }
    assert_eq!(world.claim(T0).await.tasks.iter().filter_map(message_of).collect::<Vec<_>>(), [second]);
    let few = world.claim_within(T0 + LEASE, 1, crate::support::unlimited()).await;
    assert!(few.tasks[0].job.begun, "its lease has run out");
});

both_engines!(a_claim_says_what_goes_to_whom, |db| async move {
    let world = World::open(&db).await;
    let id = world.queue(ANA, Class::Reply).await;
    world.ingest(&[crate::support::text(ANA, "wamid.in", T0 - 7)]).await;
    let claimed = world.claim(T0 + 3).await;
    let SendWhat::Message(m) = &claimed.tasks[0].what else { panic!("{claimed:?}") };
    assert_eq!((m.head.id, &m.to), (id, &Some(Address::Phone(ANA.into()))));
    assert_eq!(m.last_inbound_at, Some(T0 - 7));
    assert_eq!(m.content, r#"{"type":"text","body":"hello"}"#);
    assert_eq!(world.phase(id).await, Phase::Sending, "written before any call");
});

both_engines!(after_a_crash_the_lease_runs_out_and_the_job_is_found_begun, |db| async move {
    let world = World::open(&db).await;
    let other = World::on(open_as(&db, "node-b").await, 2);
    let id = world.queue(ANA, Class::Reply).await;
    let lost = world.claim(T0).await.tasks.remove(0);
    assert!(!lost.job.begun);
    assert!(other.claim(T0 + LEASE - 1).await.tasks.is_empty());
    let found = other.claim(T0 + LEASE).await.tasks.remove(0);
    assert!(found.job.begun && found.job.begun_at == Some(T0) && found.lane.fence > lost.lane.fence);
    // The first node is alive after all. Its failure says nothing now; that WhatsApp took it does.
    assert_eq!(world.settle(T0 + LEASE + 1, &lost, SendEnd::Retry(T0, failure("500"))).await, 1);
    assert_eq!(world.phase(id).await, Phase::Sending);
    assert_eq!(world.settle(T0 + LEASE + 2, &lost, accepted("wamid.1")).await, 1, "refused and counted");
    let seen = world.store.message(W, id).await.unwrap().unwrap();
    assert_eq!((seen.phase, seen.wamid.as_deref()), (Phase::Accepted, Some("wamid.1")));
    // Whatever the second node decided without knowing it must not undo it.
    assert_eq!(other.settle(T0 + LEASE + 3, &found, SendEnd::Dead(failure("timeout"))).await, 0);
    assert_eq!(world.phase(id).await, Phase::Accepted);
    assert!(world.store.dead_letters(W, 10).await.unwrap().is_empty());
    assert_eq!(world.kinds().await.iter().filter(|k| *k == "message.accepted").count(), 1);
});

both_engines!(a_late_yes_takes_in_early_statuses_and_voids_a_dead_letter, |db| async move {
    let world = World::open(&db).await;
    let other = World::on(open_as(&db, "node-b").await, 2);
    let id = world.queue(ANA, Class::Reply).await;
    let lost = world.claim(T0).await.tasks.remove(0);
    world.ingest(&[status("wamid.1", Status::Delivered, T0 + 5, ANA, None)]).await;
    let found = other.claim(T0 + LEASE).await.tasks.remove(0);
    other.settle(T0 + LEASE, &found, SendEnd::Dead(failure("timeout"))).await;
    assert_eq!(world.phase(id).await, Phase::Dead);
    world.settle(T0 + LEASE + 1, &lost, accepted("wamid.1")).await;
    let seen = world.store.message(W, id).await.unwrap().unwrap();
    assert_eq!((seen.phase, seen.stamps.delivered), (Phase::Accepted, Some(T0 + 5)));
    assert!(world.store.dead_letters(W, 10).await.unwrap().is_empty(), "a revival would send it twice");
});

both_engines!(an_answer_within_the_lease_of_a_later_life_of_the_lane_is_refused, |db| async move {
    let world = World::open(&db).await;
    world.queue(ANA, Class::Reply).await;
    let first = world.claim(T0).await.tasks.remove(0);
    world.settle(T0, &first, SendEnd::Drop).await;
    // The lane was removed. A new one of the same name begins: same place in it, another fence.
    world.queue_many(&[(ANA.into(), Class::Reply, None)], T0 + 1).await;
    let second = world.claim(T0 + 1).await.tasks.remove(0);
    assert_eq!(second.lane.key, first.lane.key);
    assert!(second.lane.fence > first.lane.fence);
    assert_eq!(world.settle(T0 + 2, &first, SendEnd::Drop).await, 1);
    assert_eq!(world.settle(T0 + 2, &second, accepted("wamid.2")).await, 0);
});

both_engines!(retry_put_back_unknown_and_refused, |db| async move {
    let world = World::open(&db).await;
    let id = world.queue(ANA, Class::Reply).await;
    let task = world.claim(T0).await.tasks.remove(0);
    world.settle(T0, &task, SendEnd::PutBack(T0 + 100)).await;
    assert_eq!(world.phase(id).await, Phase::Queued);
    let waiting = world.claim(T0 + 99).await;
    assert!(waiting.tasks.is_empty() && waiting.next_at == Some(T0 + 100), "{waiting:?}");
    let task = world.claim(T0 + 100).await.tasks.remove(0);
    assert_eq!((task.job.failures, task.job.begun), (0, false), "nothing was counted");
    world.settle(T0 + 101, &task, SendEnd::Retry(T0 + 200, failure("500"))).await;
    let task = world.claim(T0 + 200).await.tasks.remove(0);
    assert_eq!((task.job.failures, task.job.begun), (1, false));
    world.settle(T0 + 201, &task, SendEnd::Unknown(T0 + 300, failure("timeout"))).await;
    assert_eq!(world.phase(id).await, Phase::Unknown);
    assert!(world.claim(T0 + 299).await.tasks.is_empty());
    let task = world.claim(T0 + 300).await.tasks.remove(0);
    assert!(task.job.begun, "somebody has to find out first");
    let SendWhat::Message(m) = &task.what else { panic!() };
    assert_eq!(m.first_attempt_at, Some(T0));
    world.settle(T0 + 301, &task, SendEnd::Refused(WINDOW_CLOSED)).await;
    let seen = world.store.message(W, id).await.unwrap().unwrap();
    assert_eq!((seen.phase, seen.error.unwrap().0), (Phase::Refused, "window_closed".to_owned()));
    let kinds = world.kinds().await;
    let story: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(story, ["message.queued", "message.retrying", "message.unknown", "message.refused"]);
});

both_engines!(a_lane_that_waits_starves_no_other, |db| async move {
    let world = World::open(&db).await;
    let mut stuck = Vec::new();
    for i in 0..30 {
        stuck.push(world.queue(&format!("55119999911{i:02}"), Class::Reply).await);
    }
    let claimed = world.claim(T0).await;
    for task in &claimed.tasks {
        world.settle(T0, task, SendEnd::Retry(T0 + 60_000, failure("500"))).await;
    }
    let fresh = world.queue(ANA, Class::Marketing).await;
    let claimed = world.claim_within(T0 + 1, 5, crate::support::unlimited()).await;
    assert_eq!(claimed.tasks.iter().filter_map(message_of).collect::<Vec<_>>(), [fresh]);
    // And the same behind the same person: another class is another lane.
    let reply = world.queue("5511999991100", Class::Transactional).await;
    let claimed = world.claim(T0 + 2).await;
    assert_eq!(claimed.tasks.iter().filter_map(message_of).collect::<Vec<_>>(), [reply]);
});

both_engines!(dead_letters_are_kept_revived_and_discarded, |db| async move {
    let world = World::open(&db).await;
    let (a, b) = (world.queue(ANA, Class::Reply).await, world.queue(BO, Class::Reply).await);
    for task in world.claim(T0).await.tasks {
        world.settle(T0 + 5, &task, SendEnd::Dead(failure("131026"))).await;
    }
    assert_eq!((world.phase(a).await, world.phase(b).await), (Phase::Dead, Phase::Dead));
    let letters = world.store.dead_letters(W, 10).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!((letters[0].failures, letters[0].error.code.as_str(), letters[0].died_at), (1, "131026", T0 + 5));
    assert_eq!(world.store.overview(W, T0).await.unwrap().dead_letters, [("send".to_owned(), 2)]);
    let [revived, discarded] = [letters[0].id, letters[1].id];
    assert_eq!(world.store.retry_dead(W, Some(revived), T0 + 9).await.unwrap(), 1);
    assert_eq!(world.store.retry_dead(W, Some(revived), T0 + 9).await.unwrap(), 0, "once");
    let claimed = world.claim(T0 + 9).await;
    let id = message_of(&claimed.tasks[0]).unwrap();
    assert!([a, b].contains(&id));
    assert_eq!((claimed.tasks.len(), claimed.tasks[0].job.failures), (1, 0));
    world.settle(T0 + 10, &claimed.tasks[0], accepted("wamid.1")).await;
    assert_eq!(world.phase(id).await, Phase::Accepted);
    assert_eq!(world.store.discard_dead(W, Some(discarded), T0).await.unwrap(), 1);
    assert_eq!(world.store.discard_dead(W, None, T0).await.unwrap(), 0);
});

both_engines!(identifiers_of_the_answer_are_remembered, |db| async move {
    let world = World::open(&db).await;
    world.queue(ANA, Class::Reply).await;
    let task = world.claim(T0).await.tasks.remove(0);
    let user = Identity { kind: IdentityKind::UserId, scope: "portfolio".into(), value: "BR.9".into() };
    let known = crate::support::wa_id(ANA);
    let end = SendEnd::Accepted { wamid: Some("wamid.1".into()), identities: vec![user, known], held: None };
    world.settle(T0, &task, end).await;
    world
        .ingest(&[crate::support::inbound(crate::support::message(crate::support::by_user_id("BR.9"), "wamid.2", T0))])
        .await;
    assert_eq!(world.store.overview(W, T0).await.unwrap().people, 1);
});
