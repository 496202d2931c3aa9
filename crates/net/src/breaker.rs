//! A breaker per connection: after some failures in a row it stays open for a while, then lets one call try; each failed try
//! doubles the pause. Keeps a dead CRM from eating time, connections and the error budget of its API.
//! Must not touch: the clock. Times are passed in.
//! Failure story: a try whose caller dies gives its place back; a late report from before the breaker opened counts nothing.

use ponte_domain::Millis;
use std::sync::{Mutex, PoisonError};

/// When a breaker opens and how long it stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// Failures in a row that open it.
    pub failures: u32,
    /// First pause in milliseconds.
    pub first_pause_ms: Millis,
    /// Longest pause in milliseconds.
    pub max_pause_ms: Millis,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, first_pause_ms: 1_000, max_pause_ms: 60_000 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Millis, pause: Millis },
    Trying { pause: Millis },
}

/// The state machine, pure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerState {
    config: BreakerConfig,
    phase: Phase,
    /// Grows with every change of phase; a report counts only in the generation it was admitted in.
    generation: u64,
}

impl BreakerState {
    /// A closed breaker.
    #[must_use]
    pub const fn new(config: BreakerConfig) -> Self {
        Self { config, phase: Phase::Closed { failures: 0 }, generation: 0 }
    }

    /// Asks to call. Gives the generation to report with, or the milliseconds to wait at least.
    ///
    /// # Errors
    /// The milliseconds to wait, when the breaker is open or its one try is under way.
    pub const fn admit(&mut self, now: Millis) -> Result<u64, Millis> {
        match self.phase {
            Phase::Closed { .. } => Ok(self.generation),
            Phase::Open { until, pause } if now >= until => {
                self.change(Phase::Trying { pause });
                Ok(self.generation)
            }
            Phase::Open { until, .. } => Err(until - now),
            Phase::Trying { .. } => Err(self.config.first_pause_ms),
        }
    }

    /// Reports that the call of this generation went well.
    pub const fn success(&mut self, generation: u64) {
        if generation != self.generation {
            return;
        }
        match self.phase {
            Phase::Closed { .. } => self.phase = Phase::Closed { failures: 0 },
            _ => self.change(Phase::Closed { failures: 0 }),
        }
    }

    /// Reports that the call of this generation failed.
    pub fn failure(&mut self, generation: u64, now: Millis) {
        if generation != self.generation {
            return;
        }
        match self.phase {
            Phase::Closed { failures } if failures + 1 < self.config.failures => {
                self.phase = Phase::Closed { failures: failures + 1 };
            }
            Phase::Closed { .. } => self.open(now, self.config.first_pause_ms),
            Phase::Trying { pause } => self.open(now, pause.saturating_mul(2).min(self.config.max_pause_ms)),
            Phase::Open { .. } => {}
        }
    }

    /// Reports that the call of this generation ended without saying anything (its caller was dropped). A lost try gives its
    /// place to the next caller.
    pub const fn lost(&mut self, generation: u64, now: Millis) {
        if generation != self.generation {
            return;
        }
        if let Phase::Trying { pause } = self.phase {
            self.change(Phase::Open { until: now, pause });
        }
    }

    /// True when calls go through.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    fn open(&mut self, now: Millis, pause: Millis) {
        self.change(Phase::Open { until: now.saturating_add(pause), pause });
    }

    const fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

/// A breaker to share between tasks.
pub struct Breaker {
    target: String,
    clock: crate::Clock,
    state: Mutex<BreakerState>,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Breaker {
    /// A closed breaker; `target` names it in metrics and logs.
    pub fn new(target: impl Into<String>, config: BreakerConfig, clock: crate::Clock) -> Self {
        Self { target: target.into(), clock, state: Mutex::new(BreakerState::new(config)) }
    }

    /// Asks to call. Report with the permit; dropping it without a report counts neither way.
    ///
    /// # Errors
    /// Milliseconds to wait at least, when the breaker is open.
    pub fn admit(&self) -> Result<Permit<'_>, Millis> {
        let now = (self.clock)();
        let generation = self.with(|state| state.admit(now))?;
        Ok(Permit { breaker: self, generation, reported: false })
    }

    /// True when calls go through.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.with(|state| state.is_closed())
    }

    fn with<T>(&self, change: impl FnOnce(&mut BreakerState) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.is_closed();
        let result = change(&mut state);
        let after = state.is_closed();
        drop(state);
        if before != after {
            tracing::warn!(target: "ponte::net", to = %self.target, closed = after, "breaker changed");
            metrics::gauge!("ponte_egress_breaker_open", "target" => self.target.clone()).set(if after {
                0.0
            } else {
                1.0
            });
        }
        result
    }
}

/// Leave to make one call.
#[derive(Debug)]
#[must_use = "a permit that isn't reported counts neither as success nor as failure"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    reported: bool,
}

impl Permit<'_> {
    /// The other side answered like someone in good health.
    pub fn success(mut self) {
        self.reported = true;
        self.breaker.with(|state| state.success(self.generation));
    }

    /// The other side didn't answer, or with a fault of its own.
    pub fn failure(mut self) {
        self.reported = true;
        let now = (self.breaker.clock)();
        self.breaker.with(|state| state.failure(self.generation, now));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.reported {
            let now = (self.breaker.clock)();
            self.breaker.with(|state| state.lost(self.generation, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    const CONFIG: BreakerConfig = BreakerConfig { failures: 3, first_pause_ms: 100, max_pause_ms: 1_000 };

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let mut state = BreakerState::new(CONFIG);
        for good in [false, false, true, false, false] {
            let generation = state.admit(0).unwrap();
            if good { state.success(generation) } else { state.failure(generation, 0) }
        }
        assert!(state.is_closed());
        let generation = state.admit(0).unwrap();
        state.failure(generation, 0);
        assert_eq!(state.admit(40), Err(60));
    }

    #[test]
    fn one_try_and_growing_pauses() {
        let mut state = BreakerState::new(CONFIG);
        (0..3).for_each(|_| {
            let generation = state.admit(0).unwrap();
            state.failure(generation, 0);
        });
        let mut now = 0;
        for pause in [100, 200, 400, 800, 1_000, 1_000] {
            assert_eq!(state.admit(now + pause - 1), Err(1));
            now += pause;
            let generation = state.admit(now).unwrap();
            assert!(state.admit(now).is_err(), "only one try");
            state.failure(generation, now);
        }
        let generation = state.admit(now + 1_000).unwrap();
        state.success(generation);
        assert!(state.is_closed());
    }

    #[test]
    fn a_dropped_try_gives_its_place_back_and_late_reports_count_nothing() {
        let now = Arc::new(AtomicI64::new(0));
        let clock = now.clone();
        let breaker = Breaker::new("t", CONFIG, Arc::new(move || clock.load(Ordering::SeqCst)));
        let early = breaker.admit().unwrap();
        (0..3).for_each(|_| breaker.admit().unwrap().failure());
        early.success();
        assert!(!breaker.is_closed(), "a call from before can't close it");
        now.store(100, Ordering::SeqCst);
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().success();
        assert!(breaker.is_closed());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(Millis),
        Admit,
        Report(usize, u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0i64..2_000).prop_map(Step::Wait),
            Just(Step::Admit),
            (0usize..8, 0u8..3).prop_map(|(i, how)| Step::Report(i, how)),
        ];
        proptest::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn never_stuck_and_never_two_tries(steps in steps()) {
            let (mut state, mut now, mut flying) = (BreakerState::new(CONFIG), 0, Vec::new());
            for step in steps {
                match step {
                    Step::Wait(ms) => now += ms,
                    Step::Admit => {
                        let closed = state.is_closed();
                        match state.admit(now) {
                            Ok(generation) => {
                                if !closed {
                                    prop_assert!(state.admit(now).is_err());
                                }
                                flying.push(generation);
                            }
                            Err(wait) => {
                                prop_assert!(!closed);
                                prop_assert!((1..=CONFIG.max_pause_ms).contains(&wait));
                            }
                        }
                    }
                    Step::Report(i, how) if i < flying.len() => {
                        let generation = flying.swap_remove(i);
                        match how {
                            0 => state.success(generation),
                            1 => state.failure(generation, now),
                            _ => state.lost(generation, now),
                        }
                    }
                    Step::Report(..) => {}
                }
            }
            // When everyone in flight has reported and the longest pause is over, a call is let through again.
            for generation in flying {
                state.lost(generation, now);
            }
            prop_assert!(state.admit(now + CONFIG.max_pause_ms).is_ok());
        }
    }
}
