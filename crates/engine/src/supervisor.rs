//! # Supervisor
//! Purpose: starts every worker, starts one that panicked again, and stops them in an order that drains.
//! Must not touch: what the workers do.

use crate::World;
use crate::connection::Connection;
use crate::dispatch::CpuMeter;
use crate::receive::Receiver;
use crate::{
    account, consent, dispatch, hooks, housekeeping, ingest, media, news, pull, push, retention, trigger, writeback,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running workers.
pub struct Engine {
    world: World,
    stop: CancellationToken,
    workers: TaskTracker,
}

impl Engine {
    /// Starts all workers.
    #[must_use]
    pub fn start(world: World, receiver: Option<Arc<Receiver>>, crms: Vec<Connection>, cpu: CpuMeter) -> Self {
        let engine = Self { stop: CancellationToken::new(), workers: TaskTracker::new(), world };
        engine.keep("housekeeping", housekeeping::run);
        let readers: Vec<String> = crms.iter().map(|crm| writeback::reader(&crm.id)).collect();
        engine.keep("retention", move |world, stop| retention::run(world, readers.clone(), stop));
        engine.keep("ingest", move |world, stop| ingest::run(world, receiver.clone(), stop));
        engine.keep("account", account::run);
        engine.keep("consent", consent::run);
        engine.keep("media", media::run);
        engine.keep("hooks reader", hooks::run_reader);
        engine.keep("hooks", hooks::run_worker);
        let numbers: Vec<_> = engine.world.directory.all().cloned().collect();
        for number in numbers {
            let cpu = Arc::clone(&cpu);
            engine.keep("dispatch", move |world, stop| dispatch::run(world, number.clone(), Arc::clone(&cpu), stop));
        }
        for crm in crms {
            let id = crm.id.clone();
            engine.keep("write-back reader", move |world, stop| writeback::run_reader(world, id.clone(), stop));
            let read = crm.clone();
            let told = crm.clone();
            engine.keep("news", move |world, stop| news::run(world, told.clone(), stop));
            let asked = crm.clone();
            engine.keep("triggers", move |world, stop| trigger::run(world, asked.clone(), stop));
            let push = crm.clone();
            engine.keep("push", move |world, stop| push::run(world, push.clone(), stop));
            engine.keep("pull", move |world, stop| pull::run(world, read.clone(), stop));
            engine.keep("write-back", move |world, stop| writeback::run_worker(world, crm.clone(), stop));
        }
        engine.workers.close();
        engine
    }

    /// Runs a worker and, should it panic, runs it again: a bug in one room must not end the others.
    fn keep<F>(&self, name: &'static str, mut worker: impl FnMut(World, CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (world, stop) = (self.world.clone(), self.stop.clone());
        self.workers.spawn(async move {
            while !stop.is_cancelled() {
                let run = tokio::spawn(worker(world.clone(), stop.clone()));
                if run.await.is_err() {
                    tracing::error!(worker = name, "a worker panicked and is started again");
                    world.clock.sleep_ms(1_000).await;
                }
            }
        });
    }

    /// Stops claiming, waits for what is under way, gives back what is held.
    pub async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(Duration::from_secs(30), self.workers.wait()).await.is_err() {
            tracing::warn!("some workers did not stop in time");
        }
        if let Err(error) = self.world.store.release_all(self.world.clock.now()).await {
            tracing::warn!(error = %error, "leases could not be given back: they run out by themselves");
        }
    }
}
