//! The killer: random moments, random victims, the program started again at once, and how long it took until work went on.
//! May touch: the nodes of the run. Must not touch: anybody else's processes.

use super::Arguments;
use super::load::Load;
use crate::rig::process::Ponte;
use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// A run of kills may take this long, and this much for every kill.
const LIMIT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6));
/// One kill in so many is followed by another while the program is still starting.
const TWICE: u32 = 10;

/// What the kills did.
pub struct Kills {
    /// How many.
    pub kills: u32,
    /// From the kill to the first webhook answered 200 and the first send let in, milliseconds; one for every kill that was
    /// not followed by another before that.
    pub ms: Vec<i64>,
}

pub async fn run(arguments: &Arguments, nodes: &mut [Ponte], load: &Load) -> Result<Kills> {
    let begun = Instant::now();
    let limit = LIMIT.0 + LIMIT.1 * arguments.kills;
    let mut draw = StdRng::seed_from_u64(arguments.seed);
    let mut done = Kills { kills: 0, ms: Vec::new() };
    while done.kills < arguments.kills && begun.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(draw.random_range(200..2_000))).await;
        let victim = draw.random_range(0..nodes.len());
        let Some(node) = nodes.get_mut(victim) else { break };
        let mut killed = Instant::now();
        node.kill()?;
        done.kills += 1;
        node.spawn_again()?;
        if draw.random_range(0..TWICE) == 0 && done.kills < arguments.kills {
            tokio::time::sleep(Duration::from_millis(draw.random_range(0..250))).await;
            killed = Instant::now();
            node.kill()?;
            done.kills += 1;
            node.spawn_again()?;
        }
        let probe = load.probe(killed).await;
        done.ms.push(probe);
        node.ready().await?;
        if done.kills.is_multiple_of(10) {
            let (sent, answered) = load.progress();
            eprintln!(
                "crash: {} kills in {} s, {sent} sends asked, {answered} let in, last recovery {probe} ms",
                done.kills,
                begun.elapsed().as_secs()
            );
        }
    }
    Ok(done)
}
