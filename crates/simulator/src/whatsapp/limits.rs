//! The platform's rate limits: per number, per pair, per portfolio and day, per account and hour.
//! May touch: its own counters. Must not touch: the clock; times are handed in.

use std::collections::{HashMap, VecDeque};

/// A token bucket. The level counts `1_000 * per_ms` units to the token, so nothing is lost to rounding.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: i64,
    at_ms: i64,
}

impl Bucket {
    /// A full bucket.
    fn full(now_ms: i64, capacity: i64, per_ms: i64) -> Self {
        Self { level: capacity * 1_000 * per_ms.max(1), at_ms: now_ms }
    }

    /// Takes one token if there is one; `thousandths` of a token flow in per `per_ms` milliseconds, up to `capacity` tokens.
    fn take(&mut self, now_ms: i64, capacity: i64, thousandths: i64, per_ms: i64) -> bool {
        let token = 1_000 * per_ms.max(1);
        let gained = (now_ms - self.at_ms).max(0).saturating_mul(thousandths);
        self.level = self.level.saturating_add(gained).min(capacity * token);
        self.at_ms = self.at_ms.max(now_ms);
        let enough = self.level >= token;
        if enough {
            self.level -= token;
        }
        enough
    }
}

/// All limits of the simulated platform.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    numbers: HashMap<usize, Bucket>,
    pairs: HashMap<(usize, usize), Bucket>,
    portfolio: HashMap<String, Recent>,
    management: HashMap<String, VecDeque<i64>>,
    throttle: Option<Bucket>,
}

#[derive(Debug, Default)]
struct Recent {
    users: HashMap<usize, i64>,
    order: VecDeque<(i64, usize)>,
}

const DAY_MS: i64 = 86_400_000;

impl Limits {
    /// One message through a number with `per_s` messages per second.
    pub fn number(&mut self, number: usize, per_s: u32, now_ms: i64) -> bool {
        let rate = i64::from(per_s);
        let bucket = self.numbers.entry(number).or_insert_with(|| Bucket::full(now_ms, rate, 1));
        bucket.take(now_ms, rate, rate, 1)
    }

    /// One accepted send under the injected throttle.
    pub fn throttle(&mut self, per_s: u32, now_ms: i64) -> bool {
        let rate = i64::from(per_s);
        self.throttle.get_or_insert_with(|| Bucket::full(now_ms, rate, 1)).take(now_ms, rate, rate, 1)
    }

    /// One message of a number to a person: `burst` at once, then one per `refill_ms`.
    pub fn pair(&mut self, number: usize, person: usize, burst: u32, refill_ms: i64, now_ms: i64) -> bool {
        let burst = i64::from(burst);
        let bucket = self.pairs.entry((number, person)).or_insert_with(|| Bucket::full(now_ms, burst, refill_ms));
        bucket.take(now_ms, burst, 1_000, refill_ms)
    }

    /// Counts a person written to outside a window; false when the portfolio's limit of different people per rolling
    /// 24 hours is used up.
    pub fn portfolio(&mut self, portfolio: &str, person: usize, limit: usize, now_ms: i64) -> bool {
        let recent = match self.portfolio.get_mut(portfolio) {
            Some(recent) => recent,
            None => self.portfolio.entry(portfolio.to_owned()).or_default(),
        };
        while let Some((at, old)) = recent.order.front().copied()
            && now_ms - at >= DAY_MS
        {
            recent.order.pop_front();
            recent.users.remove(&old);
        }
        if recent.users.contains_key(&person) {
            return true;
        }
        if recent.users.len() >= limit {
            return false;
        }
        recent.users.insert(person, now_ms);
        recent.order.push_back((now_ms, person));
        true
    }

    /// Counts a management call; `Err` holds the minutes until access returns, `Ok` the used percentage.
    pub fn management(&mut self, waba: &str, per_hour: u32, now_ms: i64) -> Result<u32, u32> {
        let calls = match self.management.get_mut(waba) {
            Some(calls) => calls,
            None => self.management.entry(waba.to_owned()).or_default(),
        };
        while calls.front().is_some_and(|at| now_ms - at >= 3_600_000) {
            calls.pop_front();
        }
        if calls.len() >= per_hour as usize {
            let wait = calls.front().map_or(0, |at| 3_600_000 - (now_ms - at));
            return Err(u32::try_from(wait / 60_000 + 1).unwrap_or(60));
        }
        calls.push_back(now_ms);
        Ok(u32::try_from(calls.len() * 100 / (per_hour.max(1) as usize)).unwrap_or(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_borrows_45_and_then_waits_six_seconds_each() {
        let mut limits = Limits::default();
        let granted = (0..60).filter(|_| limits.pair(0, 1, 45, 6_000, 1_000)).count();
        assert_eq!(granted, 45);
        assert!(!limits.pair(0, 1, 45, 6_000, 6_900));
        assert!(limits.pair(0, 1, 45, 6_000, 7_001));
        assert!(!limits.pair(0, 1, 45, 6_000, 7_002));
        assert!(limits.pair(0, 2, 45, 6_000, 7_002), "another person has a bucket of their own");
    }

    #[test]
    fn a_number_gives_its_rate_and_the_portfolio_counts_different_people() {
        let mut limits = Limits::default();
        assert_eq!((0..200).filter(|_| limits.number(0, 80, 5_000)).count(), 80);
        assert_eq!((0..200).filter(|_| limits.number(0, 80, 5_500)).count(), 40);
        assert!(limits.portfolio("p", 1, 2, 0) && limits.portfolio("p", 2, 2, 1) && limits.portfolio("p", 1, 2, 2));
        assert!(!limits.portfolio("p", 3, 2, 3));
        assert!(limits.portfolio("p", 3, 2, DAY_MS + 1));
        assert_eq!(limits.management("w", 1, 0), Ok(100));
        assert_eq!(limits.management("w", 1, 60_000), Err(60));
    }
}
