//! A rolling window of what was spent: requests, or credits.
//! May touch: its own counters. Must not touch: the clock; the time is passed in.

use std::collections::VecDeque;

/// A rolling window in steps of a hundredth of its width, so that a large limit costs no more than a small one. What
/// falls into one step shares the time of its first.
#[derive(Debug)]
pub(crate) struct Window {
    width_ms: i64,
    step_ms: i64,
    steps: VecDeque<(i64, u32)>,
    total: u32,
}

impl Window {
    pub(crate) fn new(width_ms: i64) -> Self {
        Self { width_ms, step_ms: (width_ms / 100).max(1), steps: VecDeque::new(), total: 0 }
    }

    /// What was spent within the window that ends now.
    pub(crate) fn used(&mut self, now: i64) -> u32 {
        while let Some((_, count)) = self.steps.front().filter(|(at, _)| at + self.width_ms <= now).copied() {
            self.total = self.total.saturating_sub(count);
            self.steps.pop_front();
        }
        self.total
    }

    /// Spends `count` now.
    pub(crate) fn add(&mut self, now: i64, count: u32) {
        self.total = self.total.saturating_add(count);
        match self.steps.back_mut().filter(|(at, _)| now - *at < self.step_ms) {
            Some((_, spent)) => *spent = spent.saturating_add(count),
            None => self.steps.push_back((now, count)),
        }
    }
}
