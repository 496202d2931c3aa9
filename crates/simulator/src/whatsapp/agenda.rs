//! Things that happen later: statuses, held-back updates, template decisions. One task and one heap, so that many
//! thousands of pending timers cost little.
//! May touch: its own heap. Must not touch: the wall clock; due times are milliseconds since start.

use super::hooks::Update;
use super::ledger::Status;
use super::status;
use super::world::World;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) enum Event {
    /// A sent message reaches a status.
    Status { index: usize, status: Status },
    /// A held-back update leaves.
    Release(Update),
    /// The review of a template ends.
    Review { waba: usize, template: String },
}

#[derive(Debug)]
struct Due {
    at_ms: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.order) == (other.at_ms, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_ms, self.order).cmp(&(other.at_ms, other.order))
    }
}

/// The heap of pending events.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: Mutex<(BinaryHeap<Reverse<Due>>, u64)>,
    wake: Notify,
}

impl Agenda {
    /// Puts an event at a time since start.
    pub fn put(&self, at_ms: u64, event: Event) {
        let earliest = {
            let mut guard = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
            guard.1 += 1;
            let order = guard.1;
            let earliest = guard.0.peek().is_none_or(|Reverse(first)| at_ms < first.at_ms);
            guard.0.push(Reverse(Due { at_ms, order, event }));
            earliest
        };
        if earliest {
            self.wake.notify_one();
        }
    }

    /// Forgets everything pending.
    pub fn clear(&self) {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner).0.clear();
    }

    fn next_at(&self) -> Option<u64> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner).0.peek().map(|Reverse(due)| due.at_ms)
    }

    fn take_due(&self, now_ms: u64, into: &mut Vec<Event>) {
        let mut guard = self.heap.lock().unwrap_or_else(PoisonError::into_inner);
        while guard.0.peek().is_some_and(|Reverse(due)| due.at_ms <= now_ms) {
            if let Some(Reverse(due)) = guard.0.pop() {
                into.push(due.event);
            }
        }
    }
}

/// Runs until the simulator stops.
pub(crate) async fn run(world: Arc<World>) {
    let mut due = Vec::new();
    loop {
        let pause = match world.agenda.next_at() {
            Some(at) => Duration::from_millis(at.saturating_sub(world.elapsed_ms())),
            None => Duration::from_secs(3_600),
        };
        if !pause.is_zero() {
            tokio::select! {
                () = world.cancel.cancelled() => return,
                () = world.agenda.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        world.agenda.take_due(world.elapsed_ms(), &mut due);
        for event in due.drain(..) {
            match event {
                Event::Status { index, status } => status::reach(&world, index, status),
                Event::Release(update) => world.outbox.push(update),
                Event::Review { waba, template } => super::manage::decide(&world, waba, &template),
            }
        }
        if world.cancel.is_cancelled() {
            return;
        }
        tokio::task::yield_now().await;
    }
}
