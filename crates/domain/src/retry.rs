//! The one retry schedule of every lane: within a second, after thirty seconds, then recorded and tried again, then a
//! person. Pure: chance is a number between 0 and 1. Requirement R17; waits by code: whatsapp-api section 6.2.

use crate::error::{ErrorClass, ThrottleScope};
use crate::{DAY, HOUR, MINUTE, Millis, SECOND};
use serde::{Deserialize, Serialize};

/// How often and how long something is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Level 1: first retry, at most this long after the failure. Milliseconds.
    pub first_ms: Millis,
    /// Level 2: second retry. Milliseconds.
    pub second_ms: Millis,
    /// Level 3: the retries after that, recorded as failing meanwhile. Milliseconds.
    pub later_ms: Vec<Millis>,
    /// Whatever is older than this goes to a person. Milliseconds.
    pub give_up_after_ms: Millis,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_ms: SECOND,
            second_ms: 30 * SECOND,
            later_ms: vec![5 * MINUTE, 15 * MINUTE, HOUR],
            give_up_after_ms: DAY,
        }
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again at this time.
    RetryAt(Millis),
    /// Find out what became of it before anything else happens.
    Settle,
    /// Give it to a person.
    DeadLetter,
}

impl RetryPolicy {
    /// Decides after the `failures`-th failure (1 for the first) of something created at `created_at`.
    /// `chance` in 0..1 spreads the retries.
    #[must_use]
    pub fn decide(&self, class: &ErrorClass, failures: u32, created_at: Millis, now: Millis, chance: f64) -> Verdict {
        if now.saturating_sub(created_at) >= self.give_up_after_ms {
            return match class {
                ErrorClass::UnknownOutcome => Verdict::Settle,
                _ => Verdict::DeadLetter,
            };
        }
        match class {
            ErrorClass::Permanent | ErrorClass::Conflict { .. } => Verdict::DeadLetter,
            ErrorClass::UnknownOutcome => Verdict::Settle,
            ErrorClass::Retryable { after_ms } => self.step(failures, *after_ms, now, chance),
            ErrorClass::Gone => self.step(failures, None, now, chance),
            ErrorClass::Throttled { scope, after_ms } => {
                Verdict::RetryAt(now.saturating_add(throttle_wait(*scope, *after_ms, failures, chance)))
            }
            ErrorClass::Auth | ErrorClass::Configuration => {
                Verdict::RetryAt(now.saturating_add(spread(MINUTE, chance)))
            }
        }
    }

    fn step(&self, failures: u32, after_ms: Option<Millis>, now: Millis, chance: f64) -> Verdict {
        let wait = match failures {
            0 | 1 => {
                let early = self.first_ms.saturating_mul(2) / 5;
                early.saturating_add(part(self.first_ms.saturating_sub(early), chance))
            }
            2 => spread(self.second_ms, chance),
            n => {
                let later = usize::try_from(n.saturating_sub(3)).unwrap_or(usize::MAX);
                match self.later_ms.get(later) {
                    Some(ms) => spread(*ms, chance),
                    None => return Verdict::DeadLetter,
                }
            }
        };
        Verdict::RetryAt(now.saturating_add(wait.max(after_ms.unwrap_or(0))))
    }
}

/// How long a throttled scope waits: what the API asked, or Meta's rule for the scope.
#[must_use]
pub fn throttle_wait(scope: ThrottleScope, after_ms: Option<Millis>, failures: u32, chance: f64) -> Millis {
    if let Some(asked) = after_ms {
        return asked.saturating_add(part(SECOND, chance));
    }
    match scope {
        // "4^X seconds": 1, 4, 16, 64, …
        ThrottleScope::Recipient => SECOND.saturating_mul(4_i64.saturating_pow(failures.saturating_sub(1).min(5))),
        // No retry within 24 hours; growing gaps after that.
        ThrottleScope::RecipientMarketing => DAY.saturating_add(part(HOUR, chance)),
        ThrottleScope::Number | ThrottleScope::Account => {
            let base = SECOND.saturating_mul(2_i64.saturating_pow(failures.saturating_sub(1).min(6)));
            part(base, chance).max(100)
        }
    }
}

/// `ms` give or take a tenth.
fn spread(ms: Millis, chance: f64) -> Millis {
    (ms - ms / 10).saturating_add(part(ms / 5, chance))
}

/// The share `chance` (0..1) of `ms`. Waits are far below 2^52 milliseconds, so nothing is lost on the way.
fn part(ms: Millis, chance: f64) -> Millis {
    (ms as f64 * chance.clamp(0.0, 1.0)) as Millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOON: ErrorClass = ErrorClass::Retryable { after_ms: None };

    fn wait(class: &ErrorClass, failures: u32, chance: f64) -> Option<Millis> {
        match RetryPolicy::default().decide(class, failures, 0, 1000, chance) {
            Verdict::RetryAt(at) => Some(at - 1000),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn three_levels(chance in 0.0f64..1.0) {
            prop_assert!((400..=1000).contains(&wait(&SOON, 1, chance).unwrap()));
            prop_assert!((27_000..=33_000).contains(&wait(&SOON, 2, chance).unwrap()));
            prop_assert!((270_000..=330_000).contains(&wait(&SOON, 3, chance).unwrap()));
            prop_assert_eq!(wait(&SOON, 6, chance), None);
        }

        #[test]
        fn never_before_what_the_api_asked(chance in 0.0f64..1.0, asked in 0i64..100_000, failures in 1u32..5) {
            let class = ErrorClass::Retryable { after_ms: Some(asked) };
            prop_assert!(wait(&class, failures, chance).unwrap() >= asked);
            let class = ErrorClass::Throttled { scope: ThrottleScope::Number, after_ms: Some(asked) };
            prop_assert!(wait(&class, failures, chance).unwrap() >= asked);
        }

        #[test]
        fn a_part_is_a_share(ms in 0i64..10_000_000, chance in 0.0f64..1.0) {
            let got = part(ms, chance);
            prop_assert!(got >= 0 && got <= ms);
        }
    }

    #[test]
    fn what_must_not_be_retried_is_not() {
        assert_eq!(wait(&ErrorClass::Permanent, 1, 0.5), None);
        assert_eq!(RetryPolicy::default().decide(&ErrorClass::UnknownOutcome, 1, 0, 1, 0.5), Verdict::Settle);
        assert_eq!(RetryPolicy::default().decide(&SOON, 1, 0, DAY, 0.5), Verdict::DeadLetter);
    }

    #[test]
    fn pair_rate_backs_off_by_four() {
        let class = ErrorClass::Throttled { scope: ThrottleScope::Recipient, after_ms: None };
        let waits: Vec<_> = (1..=4).map(|n| wait(&class, n, 0.3)).collect();
        assert_eq!(waits, [Some(1000), Some(4000), Some(16_000), Some(64_000)]);
    }
}
