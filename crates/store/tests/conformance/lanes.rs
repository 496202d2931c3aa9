//! Lanes of any kind: order, leases, fences, twins, dead letters.

use crate::support::{LEASE, T0, W, World, crm_end, crm_job, failure, open_as};
use ponte_domain::ids::{ConnectionId, WorkspaceId};
use ponte_domain::job::{ClaimedLane, JobEnd, JobKind, NewJob};
use ponte_domain::ports::store::Store;
use ponte_testkit::both_engines;

pub fn crm() -> ConnectionId {
    "crm".into()
}

impl World {
    pub async fn take(&self, now: i64, lanes: usize, per_lane: usize) -> Vec<ClaimedLane> {
        self.store.claim_lanes(self.workspace, JobKind::Crm, "crm", now, LEASE, lanes, per_lane).await.unwrap()
    }

    pub async fn end(&self, now: i64, lane: &ClaimedLane, ends: &[JobEnd]) -> u64 {
        let ends = lane.jobs.iter().zip(ends).map(|(job, end)| crm_end(&lane.lane, job.seq, end.clone())).collect();
        self.store.settle_crm(self.workspace, &crm(), now, ends).await.unwrap()
    }
}

pub fn payloads(lane: &ClaimedLane) -> Vec<&str> {
    lane.jobs.iter().map(|j| j.payload.as_str()).collect()
}

both_engines!(several_jobs_of_a_lane_come_in_order, |db| async move {
    let world = World::open(&db).await;
    world.file((0..5).map(|i| crm_job("a", &i.to_string())).collect()).await;
    world.file(vec![crm_job("b", "0")]).await;
    let claimed = world.take(T0, 10, 3).await;
    let mut lanes: Vec<(&str, Vec<&str>)> = claimed.iter().map(|l| (l.lane.key.as_str(), payloads(l))).collect();
    lanes.sort();
    assert_eq!(lanes, [("a", vec!["0", "1", "2"]), ("b", vec!["0"])]);
    let a = claimed.iter().find(|l| l.lane.key == "a").unwrap();
    let error = failure("500");
    world.end(T0 + 1, a, &[JobEnd::Done, JobEnd::Retry(T0 + 100, error), JobEnd::PutBack(T0 + 1)]).await;
    assert!(world.take(T0 + 99, 10, 3).await.is_empty(), "what failed holds up what stands behind it");
    let again = world.take(T0 + 100, 10, 9).await;
    assert_eq!(payloads(&again[0]), ["1", "2", "3", "4"]);
    assert_eq!(again[0].jobs.iter().map(|j| j.failures).collect::<Vec<_>>(), [1, 0, 0, 0]);
    assert!(again[0].jobs.iter().all(|j| !j.begun));
});

both_engines!(a_job_that_waits_is_not_overtaken_in_its_lane, |db| async move {
    let world = World::open(&db).await;
    world.file((0..3).map(|i| crm_job("a", &i.to_string())).collect()).await;
    let claimed = world.take(T0, 1, 3).await;
    let later = JobEnd::Retry(T0 + 100, failure("500"));
    world.end(T0, &claimed[0], &[JobEnd::PutBack(T0), later, JobEnd::PutBack(T0)]).await;
    assert_eq!(payloads(&world.take(T0, 1, 3).await[0]), ["0"]);
});

both_engines!(a_lease_that_runs_out_shows_begun_jobs_and_fences_the_late, |db| async move {
    let world = World::open(&db).await;
    let other = World::on(open_as(&db, "node-b").await, 2);
    world.file(vec![crm_job("a", "0")]).await;
    let lost = world.take(T0, 10, 10).await.remove(0);
    assert!(other.take(T0 + LEASE - 1, 10, 10).await.is_empty());
    let found = other.take(T0 + LEASE, 10, 10).await.remove(0);
    assert!(found.jobs[0].begun && found.jobs[0].begun_at == Some(T0));
    assert_eq!(world.end(T0 + LEASE, &lost, &[JobEnd::Done]).await, 1, "refused and counted");
    assert_eq!(other.end(T0 + LEASE, &found, &[JobEnd::Done]).await, 0);
    assert!(world.store.overview(W, T0).await.unwrap().jobs.is_empty());
    assert_eq!(other.end(T0 + LEASE, &found, &[JobEnd::Done]).await, 1, "twice is once");
});

both_engines!(twins_that_wait_are_one_and_twins_that_began_are_two, |db| async move {
    let world = World::open(&db).await;
    let twin = |payload: &str| NewJob { dedup: Some("contact".into()), ..crm_job("a", payload) };
    world.file(vec![twin("0"), twin("1"), crm_job("a", "2")]).await;
    world.file(vec![twin("3")]).await;
    let claimed = world.take(T0, 1, 10).await;
    assert_eq!(payloads(&claimed[0]), ["0", "2"]);
    world.file(vec![twin("4")]).await;
    world.end(T0, &claimed[0], &[JobEnd::Done, JobEnd::Done]).await;
    let next = world.take(T0, 1, 10).await;
    assert_eq!(payloads(&next[0]), ["4"], "one that began may have missed the news");
});

both_engines!(scopes_priorities_holds_and_tenants, |db| async move {
    let world = World::open(&db).await;
    let job = |lane: &str, scope: &str, priority| NewJob { scope: scope.into(), priority, ..crm_job(lane, lane) };
    world.file(vec![job("low", "crm", 2), job("high", "crm", 0), job("else", "other", 0)]).await;
    assert_eq!(world.store.scopes(W, JobKind::Crm).await.unwrap(), ["crm", "other"]);
    assert!(world.store.scopes(W, JobKind::Send).await.unwrap().is_empty());
    world.store.hold(W, "other", T0 + 50).await.unwrap();
    let held = world.store.claim_lanes(W, JobKind::Crm, "other", T0 + 49, LEASE, 10, 10).await.unwrap();
    assert!(held.is_empty());
    assert_eq!(world.store.claim_lanes(W, JobKind::Crm, "other", T0 + 50, LEASE, 10, 10).await.unwrap().len(), 1);
    assert_eq!(world.take(T0, 1, 1).await[0].lane.key, "high");
    let tenant = World { workspace: WorkspaceId(2), ..world.clone() };
    assert!(tenant.take(T0, 10, 10).await.is_empty());
    assert_eq!(world.take(T0, 10, 1).await[0].lane.key, "low");
});

both_engines!(an_urgent_job_lifts_its_lane_and_keeps_its_place_in_it, |db| async move {
    let world = World::open(&db).await;
    let job = |lane: &str, payload: &str, priority| NewJob { priority, ..crm_job(lane, payload) };
    world.file(vec![job("a", "a0", 1), job("b", "b0", 2), job("b", "b1", 0)]).await;
    let first = world.take(T0, 1, 1).await;
    assert_eq!(payloads(&first[0]), ["b0"]);
});

both_engines!(a_job_given_up_lets_the_next_go_and_comes_back_behind_it, |db| async move {
    let world = World::open(&db).await;
    world.file(vec![crm_job("a", "0"), crm_job("a", "1")]).await;
    let claimed = world.take(T0, 1, 1).await;
    world.end(T0, &claimed[0], &[JobEnd::Dead(failure("MISSING_SCOPES"))]).await;
    assert_eq!(world.store.dead_letters(W, 10).await.unwrap()[0].payload, "0");
    assert_eq!(world.store.retry_dead(W, None, T0 + 1).await.unwrap(), 1);
    assert_eq!(payloads(&world.take(T0 + 1, 1, 10).await[0]), ["1", "0"]);
});

both_engines!(a_node_that_ends_gives_back_what_it_holds, |db| async move {
    let world = World::open(&db).await;
    let other = World::on(open_as(&db, "node-b").await, 2);
    world.file(vec![crm_job("a", "0"), crm_job("b", "0")]).await;
    let kept = other.take(T0, 1, 1).await;
    world.take(T0, 1, 1).await;
    world.store.release_all(T0 + 1).await.unwrap();
    let again = other.take(T0 + 1, 10, 1).await;
    assert_eq!(again.len(), 1, "not what the other node holds");
    assert_ne!(again[0].lane.key, kept[0].lane.key);
    assert!(again[0].jobs[0].begun, "its outcome is unknown");
});
