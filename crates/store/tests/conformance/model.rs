//! Lanes against a model in memory: whatever is claimed, settled, lost or run out, no lane is handed out twice, every lane
//! keeps its order, nothing that is ready is withheld and nothing is lost.

use crate::lanes::crm;
use crate::support::{LEASE, T0, World, crm_end, crm_job, failure, open_as};
use ponte_domain::ids::WorkspaceId;
use ponte_domain::job::{ClaimedLane, JobEnd};
use ponte_domain::ports::store::Store;
use ponte_testkit::both_engines;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Clone)]
enum Step {
    File {
        lane: u8,
        jobs: u8,
    },
    Claim {
        node: usize,
        lanes: usize,
        per_lane: usize,
    },
    /// Settles one of the claims made so far, also those that ran out or were settled before.
    Settle {
        which: usize,
        ends: Vec<u8>,
    },
    Pass {
        ms: i64,
    },
    Release {
        node: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u8..4, 1u8..4).prop_map(|(lane, jobs)| Step::File { lane, jobs }),
        4 => (0usize..2, 1usize..4, 1usize..4).prop_map(|(node, lanes, per_lane)| Step::Claim { node, lanes, per_lane }),
        4 => (0usize..8, vec(0u8..4, 4)).prop_map(|(which, ends)| Step::Settle { which, ends }),
        3 => (1i64..LEASE).prop_map(|ms| Step::Pass { ms }),
        1 => (0usize..2).prop_map(|node| Step::Release { node }),
    ];
    vec(step, 1..40)
}

#[derive(Debug, Clone)]
struct ModelJob {
    name: String,
    due: i64,
    begun: bool,
    failures: u32,
}

#[derive(Debug, Default)]
struct ModelLane {
    jobs: VecDeque<ModelJob>,
    /// Which claim holds it, by which node, until when.
    held: Option<(usize, usize, i64)>,
    ready_at: i64,
}

struct Model {
    now: i64,
    lanes: BTreeMap<String, ModelLane>,
    claims: Vec<(usize, ClaimedLane)>,
    dead: u64,
    filed: u32,
}

impl Model {
    fn file(&mut self, lane: &str, jobs: u8) -> Vec<String> {
        let entry = self.lanes.entry(lane.to_owned()).or_default();
        if entry.jobs.is_empty() {
            *entry = ModelLane { ready_at: T0, ..ModelLane::default() };
        }
        (0..jobs)
            .map(|_| {
                self.filed += 1;
                let name = format!("{lane}-{}", self.filed);
                entry.jobs.push_back(ModelJob { name: name.clone(), due: T0, begun: false, failures: 0 });
                name
            })
            .collect()
    }

    fn ready(&self) -> usize {
        self.lanes.values().filter(|l| !l.jobs.is_empty() && l.ready_at <= self.now).count()
    }

    fn claimed(&mut self, node: usize, lane: ClaimedLane, per_lane: usize) -> Result<(), TestCaseError> {
        let now = self.now;
        let model = self.lanes.get_mut(&lane.lane.key).expect("a lane that was filed");
        prop_assert!(model.ready_at <= now, "{} was handed out before its time", lane.lane.key);
        prop_assert!(model.held.is_none_or(|(.., until)| until <= now), "{} is held", lane.lane.key);
        let expected: Vec<_> = model.jobs.iter().take_while(|j| j.due <= now).take(per_lane).collect();
        let seen: Vec<_> = lane.jobs.iter().map(|j| (j.payload.clone(), j.begun, j.failures)).collect();
        let wanted: Vec<_> = expected.iter().map(|j| (j.name.clone(), j.begun, j.failures)).collect();
        prop_assert_eq!(&seen, &wanted);
        let n = wanted.len();
        model.jobs.iter_mut().take(n).for_each(|j| j.begun = true);
        model.held = Some((self.claims.len(), node, now + LEASE));
        model.ready_at = now + LEASE;
        self.claims.push((node, lane));
        Ok(())
    }

    fn settled(&mut self, which: usize, ends: &[JobEnd]) -> bool {
        let (node, claim) = &self.claims[which];
        let Some(model) = self.lanes.get_mut(&claim.lane.key) else { return false };
        if model.held.is_none_or(|(holder, by, _)| holder != which || by != *node) {
            return false;
        }
        for (job, end) in claim.jobs.iter().zip(ends) {
            let at = model.jobs.iter().position(|j| j.name == job.payload).expect("a claimed job is still there");
            match end {
                JobEnd::Done => drop(model.jobs.remove(at)),
                JobEnd::Dead(_) => {
                    model.jobs.remove(at);
                    self.dead += 1;
                }
                JobEnd::PutBack(due) => {
                    let job = &mut model.jobs[at];
                    (job.due, job.begun) = (*due, false);
                }
                JobEnd::Retry(due, _) => {
                    let job = &mut model.jobs[at];
                    (job.due, job.begun, job.failures) = (*due, false, job.failures + 1);
                }
            }
        }
        model.held = None;
        model.ready_at = model.jobs.front().map_or(0, |j| j.due.max(self.now));
        true
    }
}

async fn run(worlds: &[World; 2], steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model { now: T0, lanes: BTreeMap::new(), claims: vec![], dead: 0, filed: 0 };
    for step in steps {
        match step {
            Step::File { lane, jobs } => {
                let lane = format!("lane{lane}");
                let names = model.file(&lane, jobs);
                worlds[0].file(names.iter().map(|n| crm_job(&lane, n)).collect()).await;
            }
            Step::Claim { node, lanes, per_lane } => {
                let ready = model.ready();
                let claimed = worlds[node].take(model.now, lanes, per_lane).await;
                prop_assert_eq!(claimed.len(), ready.min(lanes), "what is ready is handed out");
                for lane in claimed {
                    model.claimed(node, lane, per_lane)?;
                }
            }
            Step::Settle { which, ends } => {
                if model.claims.is_empty() {
                    continue;
                }
                let which = which % model.claims.len();
                let (node, claim) = model.claims[which].clone();
                let ends: Vec<JobEnd> = ends
                    .iter()
                    .cycle()
                    .take(claim.jobs.len())
                    .map(|end| match end {
                        0 => JobEnd::Done,
                        1 => JobEnd::PutBack(model.now),
                        2 => JobEnd::Retry(model.now + 5_000, failure("500")),
                        _ => JobEnd::Dead(failure("400")),
                    })
                    .collect();
                let all = claim.jobs.iter().zip(&ends).map(|(j, end)| crm_end(&claim.lane, j.seq, end.clone()));
                let all: Vec<_> = all.collect();
                let n = all.len() as u64;
                let world = &worlds[node];
                let lost = world.store.settle_crm(world.workspace, &crm(), model.now, all).await.unwrap();
                let good = model.settled(which, &ends);
                prop_assert_eq!(lost, if good { 0 } else { n }, "claim {} of {:?}", which, claim.lane);
            }
            Step::Pass { ms } => model.now += ms,
            Step::Release { node } => {
                // Of this workspace's lanes only those of the node; other cases have ended.
                worlds[node].store.release_all(model.now).await.unwrap();
                let now = model.now;
                for lane in model.lanes.values_mut().filter(|l| l.held.is_some_and(|(_, by, _)| by == node)) {
                    lane.held = None;
                    lane.ready_at = now;
                }
            }
        }
    }
    let waiting: usize = model.lanes.values().map(|l| l.jobs.len()).sum();
    let overview = worlds[0].store.overview(worlds[0].workspace, T0).await.unwrap();
    prop_assert_eq!(overview.jobs.iter().map(|(_, n)| *n as usize).sum::<usize>(), waiting);
    prop_assert_eq!(overview.dead_letters.iter().map(|(_, n)| *n as u64).sum::<u64>(), model.dead);
    Ok(())
}

both_engines!(lanes_behave_like_the_model, |db| async move {
    let worlds = [World::open(&db).await, World::on(open_as(&db, "node-b").await, 2)];
    let next = std::sync::atomic::AtomicI64::new(100);
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let all = || {
        TestRunner::new(config).run(&steps(), |steps| {
            let workspace = WorkspaceId(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            let worlds = worlds.each_ref().map(|w| World { workspace, ..w.clone() });
            tokio::runtime::Handle::current().block_on(run(&worlds, steps))
        })
    };
    tokio::task::block_in_place(all).unwrap();
});
