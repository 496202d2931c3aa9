//! Webhook load over connections that are kept: as fast as answers come, or one request at every due moment.
//! Must not touch: anything but the sockets and the prepared requests; it shares the processors with what it loads.

use crate::rig::http::Connection;
use crate::rig::webhook::Pool;
use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What a saturation run came to.
#[derive(Debug, Clone, Copy)]
pub struct Saturation {
    /// Requests answered 200 a second.
    pub per_second: f64,
    /// Requests answered 200.
    pub acknowledged: u64,
}

/// Sends as fast as answers come, for `length` or until the pool is used up. `repeat`: a used-up pool starts over.
pub async fn saturate(
    to: SocketAddr,
    pool: &Arc<Pool>,
    connections: usize,
    length: Duration,
    repeat: bool,
) -> Result<Saturation> {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (pool, next) = (Arc::clone(pool), Arc::clone(&next));
        workers.spawn(async move {
            let mut connection = Connection::open(to).await?;
            let mut acknowledged = 0_u64;
            while begun.elapsed() < length {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let n = if repeat { n % pool.len().max(1) } else { n };
                let Some(request) = pool.get(n) else { break };
                match connection.exchange(request).await? {
                    200 => acknowledged += 1,
                    503 => tokio::time::sleep(Duration::from_millis(2)).await,
                    status => bail!("a webhook was answered {status}"),
                }
            }
            Ok(acknowledged)
        });
    }
    let mut acknowledged = 0;
    while let Some(done) = workers.join_next().await {
        acknowledged += done??;
    }
    Ok(Saturation { per_second: acknowledged as f64 / begun.elapsed().as_secs_f64(), acknowledged })
}

/// Sends `pool` one request every `1 / per_second`, whatever becomes of the earlier ones. Latencies in microseconds, each
/// counted from the moment the request was due; and how many were answered 200.
pub async fn steady(
    to: SocketAddr,
    pool: &Arc<Pool>,
    per_second: f64,
    connections: usize,
) -> Result<(Histogram<u64>, u64)> {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = tokio::time::Instant::now() + Duration::from_millis(100);
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (pool, next) = (Arc::clone(pool), Arc::clone(&next));
        workers.spawn(async move {
            let mut connection = Connection::open(to).await?;
            let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
            let mut acknowledged = 0_u64;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = pool.get(n) else { return anyhow::Ok((latencies, acknowledged)) };
                let due = begun + Duration::from_secs_f64(n as f64 / per_second);
                tokio::time::sleep_until(due).await;
                let status = connection.exchange(request).await?;
                acknowledged += u64::from(status == 200);
                latencies.record(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX).max(1))?;
            }
        });
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let mut acknowledged = 0;
    while let Some(done) = workers.join_next().await {
        let (latencies, count) = done??;
        all.add(latencies)?;
        acknowledged += count;
    }
    Ok((all, acknowledged))
}
