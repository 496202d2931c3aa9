//! Wake-ups: a hint that there is something to do, here or on another node. The periodic look of every worker is the truth.
//! Failure story: a lost wake-up costs one period, nothing else.

use ponte_domain::Millis;
use ponte_domain::ports::store::Topic;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const CHANNEL: &str = "ponte_wake";
/// Nodes are told at most this often: a notification takes a lock of the whole PostgreSQL cluster.
const SPACING: Duration = Duration::from_millis(10);

/// A counter for every topic; waiting means waiting for it to move.
#[derive(Clone)]
pub(crate) struct Wakes {
    counters: Arc<[watch::Sender<u64>]>,
    others: Option<mpsc::UnboundedSender<Topic>>,
}

impl Wakes {
    pub(crate) fn local() -> Self {
        Self { counters: Topic::ALL.iter().map(|_| watch::channel(1).0).collect(), others: None }
    }

    /// Tells other nodes too, and hears them.
    pub(crate) fn shared(pool: PgPool) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let wakes = Self { others: Some(tell), ..Self::local() };
        tokio::spawn(tell_others(pool.clone(), told));
        tokio::spawn(hear_others(pool, wakes.clone()));
        wakes
    }

    pub(crate) fn wake(&self, topics: &[Topic]) {
        for topic in topics {
            self.wake_here(*topic);
            if let Some(others) = &self.others {
                let _ = others.send(*topic);
            }
        }
    }

    fn wake_here(&self, topic: Topic) {
        if let Some(counter) = self.counter(topic) {
            counter.send_modify(|n| *n += 1);
        }
    }

    fn counter(&self, topic: Topic) -> Option<&watch::Sender<u64>> {
        Topic::ALL.iter().position(|t| *t == topic).and_then(|i| self.counters.get(i))
    }

    pub(crate) async fn wait(&self, topic: Topic, seen: u64, ms: Millis) -> u64 {
        let Some(counter) = self.counter(topic) else { return seen };
        let mut receiver = counter.subscribe();
        let limit = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let _ = tokio::time::timeout(limit, receiver.wait_for(|n| *n != seen)).await;
        *counter.borrow()
    }
}

async fn tell_others(pool: PgPool, mut told: mpsc::UnboundedReceiver<Topic>) {
    let mut topics = Vec::new();
    while told.recv_many(&mut topics, 1024).await > 0 {
        topics.sort_by_key(|t| Topic::ALL.iter().position(|k| k == t));
        topics.dedup();
        let numbers: Vec<String> =
            topics.drain(..).filter_map(|t| Topic::ALL.iter().position(|k| *k == t).map(|i| i.to_string())).collect();
        let _ = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(numbers.join(",")).execute(&pool).await;
        tokio::time::sleep(SPACING).await;
    }
}

async fn hear_others(pool: PgPool, wakes: Wakes) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            while let Ok(notification) = listener.recv().await {
                let numbers = notification.payload().split(',').filter_map(|n| n.parse::<usize>().ok());
                for topic in numbers.filter_map(|n| Topic::ALL.get(n)) {
                    wakes.wake_here(*topic);
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
