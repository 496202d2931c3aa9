//! The org's calls of a day: what the answers said last, and what went out since. Facts: crm-apis section 2, Limits: a rolling window
//! of 24 hours for all users together, told with each answer (`Sforce-Limit-Info: api-usage=10018/100000`).
//! Must not touch: the clock (passed in).

use ponte_domain::{HOUR, MINUTE, Millis, SECOND};
use std::sync::{Mutex, PoisonError};

/// How often one call looks whether there is room again. Salesforce doesn't say when there will be.
const LOOK_MS: Millis = 15 * MINUTE;

/// The rules, pure.
#[derive(Debug)]
pub(super) struct Allowance {
    percent: u64,
    /// Used and allowed, as told last.
    told: Option<(u64, u64)>,
    /// Calls under way: the answers will count them.
    open: u64,
    held_until: Millis,
}

impl Allowance {
    pub(super) const fn new(percent: u32) -> Self {
        let percent = if percent == 0 || percent > 100 { 100 } else { percent };
        Self { percent: percent as u64, told: None, open: 0, held_until: Millis::MIN }
    }

    /// Counts a call that is about to go out, or says how long to wait.
    pub(super) fn take(&mut self, now: Millis) -> Result<(), Millis> {
        if now < self.held_until {
            return Err(self.held_until - now);
        }
        if let Some((used, limit)) = self.told {
            let ours = limit.saturating_mul(self.percent) / 100;
            let spent = used.saturating_add(self.open);
            if spent >= ours && self.open > 0 {
                // Their answers will tell whether there is room.
                return Err(SECOND);
            }
            if used >= limit {
                // Nothing is left. What was told is worth an hour: the window rolls on.
                self.told = Some((limit.saturating_sub(1), limit));
                self.held_until = now.saturating_add(HOUR);
                return Err(HOUR);
            }
            if spent >= ours {
                // The rest is others': one call looks whether there is room again.
                self.held_until = now.saturating_add(LOOK_MS);
            }
        }
        self.open += 1;
        Ok(())
    }

    /// A call ended, whatever came of it.
    pub(super) fn end(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Takes in what an answer said.
    pub(super) fn told(&mut self, used: u64, limit: u64) {
        let room = used < limit.saturating_mul(self.percent) / 100;
        self.told = Some((used, limit));
        if room {
            self.held_until = Millis::MIN;
        }
    }

    /// Salesforce said that the day's calls are used up.
    pub(super) fn spent(&mut self, now: Millis) {
        self.held_until = self.held_until.max(now.saturating_add(HOUR));
    }
}

/// An allowance to share between tasks.
pub(super) struct Day(Mutex<Allowance>);

/// A call that counts as open until this is dropped.
pub(super) struct Open<'a>(&'a Day);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.with(Allowance::end);
    }
}

impl Day {
    pub(super) const fn new(percent: u32) -> Self {
        Self(Mutex::new(Allowance::new(percent)))
    }

    pub(super) fn take(&self, now: Millis) -> Result<Open<'_>, Millis> {
        self.with(|day| day.take(now)).map(|()| Open(self))
    }

    pub(super) fn told(&self, used: u64, limit: u64) {
        self.with(|day| day.told(used, limit));
    }

    pub(super) fn spent(&self, now: Millis) {
        self.with(|day| day.spent(now));
    }

    /// Limit, rest, and until when nothing goes out.
    pub(super) fn shown(&self, now: Millis) -> (Option<u64>, Option<u64>, Option<Millis>) {
        self.with(|day| {
            let held = (day.held_until > now).then_some(day.held_until);
            (day.told.map(|(_, limit)| limit), day.told.map(|(used, limit)| limit.saturating_sub(used)), held)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Allowance) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `api-usage=10018/100000`, perhaps among others.
pub(super) fn usage(header: &str) -> Option<(u64, u64)> {
    let pairs = header.split([',', ';']).filter_map(|pair| pair.trim().split_once('='));
    let (_, numbers) = pairs.into_iter().find(|(name, _)| name.trim() == "api-usage")?;
    let (used, limit) = numbers.split_once('/')?;
    Some((used.trim().parse().ok()?, limit.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_header_is_read_in_its_forms() {
        assert_eq!(usage("api-usage=10018/100000"), Some((10_018, 100_000)));
        assert_eq!(usage("api-usage=25/5000; per-app-api-usage=17/250(appName=sample)"), Some((25, 5_000)));
        assert_eq!(usage("per-app-api-usage=17/250(appName=sample)"), None);
        assert_eq!(usage("api-usage=x/1"), None);
    }

    #[test]
    fn the_others_share_stays_theirs_and_one_call_looks_again() {
        let mut day = Allowance::new(80);
        day.take(0).unwrap();
        day.told(80, 100);
        day.end();
        assert_eq!(day.take(0), Ok(()), "one looks");
        assert_eq!(day.take(1), Err(LOOK_MS - 1), "and no other");
        day.told(81, 100);
        day.end();
        assert_eq!(day.take(LOOK_MS), Ok(()));
        day.told(50, 100);
        day.end();
        assert_eq!(day.take(LOOK_MS), Ok(()), "there is room again");
        day.end();
        day.spent(LOOK_MS);
        assert_eq!(day.take(LOOK_MS + 5), Err(HOUR - 5));
    }

    proptest! {
        /// The org allows so much in a window of a day; others use it, too; answers come later than calls.
        #[test]
        fn no_call_goes_out_that_the_known_budget_forbids(
            limit in 10u64..200,
            percent in 10u32..=100,
            steps in proptest::collection::vec((0i64..40 * MINUTE, 0u8..4), 1..300),
        ) {
            let mut day = Allowance::new(percent);
            let (mut now, mut known, mut known_at, mut open, mut times) = (0, 0, 0, 0u64, Vec::<i64>::new());
            for (step, kind) in steps {
                now += step;
                times.retain(|at| at + 24 * HOUR > now);
                match kind {
                    0 if open > 0 => {
                        open -= 1;
                        (known, known_at) = ((times.len() as u64).saturating_sub(open), now);
                        day.told(known, limit);
                        day.end();
                    }
                    3 => times.push(now),
                    _ => if day.take(now).is_ok() {
                        let old = now - known_at >= HOUR;
                        prop_assert!(known + open < limit || old, "known {known} open {open} limit {limit}");
                        open += 1;
                        times.push(now);
                    }
                }
            }
        }
    }
}
