//! What Zoho allows, known before a call goes out: credits of a rolling day, and calls at the same time. Facts: crm-apis
//! section 3, "Limits and errors": a price for each call, 429 without `Retry-After` for both limits, and
//! `X-API-CREDITS-REMAINING` only once half of the credits are spent.
//! Must not touch: the clock (times are passed in).
//! Failure story: a restart forgets what was spent; the answers' header tells it again. What others of the organisation spend is
//! known only from that header.

use ponte_domain::crm::CrmBudget;
use ponte_domain::{DAY, HOUR, MINUTE, Millis, SECOND};
use std::collections::VecDeque;

/// Spending is kept in slots of this length.
const SLOT: Millis = 5 * MINUTE;
/// What an answer said of the rest is believed for so long; then one call finds out anew.
const BELIEVED: Millis = 15 * MINUTE;
/// Within this time an older answer may come in after a newer one: the lower rest counts.
const OUT_OF_ORDER: Millis = MINUTE;
/// When limits are met for so long, credits are gone rather than places.
const LONG_REFUSED: Millis = 3 * MINUTE;

/// What a call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) credits: u32,
    /// It counts against the smaller limit of calls at the same time.
    pub(super) heavy: bool,
}

impl Price {
    pub(super) const ONE: Self = Self { credits: 1, heavy: false };
    /// A page of deleted records.
    pub(super) const DELETED: Self = Self { credits: 2, heavy: false };
    /// A custom module that is made.
    pub(super) const MODULE: Self = Self { credits: 500, heavy: false };
    pub(super) const SEARCH: Self = Self { credits: 1, heavy: true };

    /// A write of so many rows.
    pub(super) fn rows(rows: usize) -> Self {
        Self { credits: portions(rows, 10), heavy: rows > 10 }
    }

    /// Tags added to or taken from so many records.
    pub(super) fn tags(records: usize) -> Self {
        Self { credits: portions(records, 50), heavy: false }
    }

    /// A query for at most so many rows.
    pub(super) const fn query(rows: usize) -> Self {
        let credits = match rows {
            0..=200 => 1,
            201..=1_000 => 2,
            _ => 3,
        };
        Self { credits, heavy: true }
    }
}

fn portions(count: usize, size: usize) -> u32 {
    u32::try_from(count.div_ceil(size)).unwrap_or(u32::MAX).max(1)
}

/// Credits, pure.
#[derive(Debug)]
pub(super) struct Credits {
    /// All credits of the organisation in 24 hours, when configured.
    limit: Option<u64>,
    percent: u64,
    slots: VecDeque<(Millis, u64)>,
    used: u64,
    in_flight: u64,
    /// When an answer last told the rest, and what is left after all calls that have ended since.
    told: Option<(Millis, i64)>,
    hold_until: Millis,
    /// Limits met in a row, and since when.
    refused: Option<(u32, Millis)>,
    calls: u64,
}

impl Credits {
    pub(super) fn new(limit: Option<u32>, percent: u32) -> Self {
        Self {
            limit: limit.map(u64::from),
            percent: u64::from(percent.clamp(1, 100)),
            slots: VecDeque::new(),
            used: 0,
            in_flight: 0,
            told: None,
            hold_until: Millis::MIN,
            refused: None,
            calls: 0,
        }
    }

    /// Takes a call's credits, or says how long to wait at least.
    pub(super) fn take(&mut self, now: Millis, price: Price) -> Result<(), Millis> {
        self.forget(now);
        if now < self.hold_until {
            return Err(self.hold_until - now);
        }
        let credits = u64::from(price.credits);
        if let Some(limit) = self.limit {
            let ours = limit * self.percent / 100;
            if self.used + credits > ours {
                return Err(self.room_in(now, (self.used + credits).saturating_sub(ours)));
            }
        }
        if let Some((at, left)) = self.told.filter(|(at, _)| now - at < BELIEVED) {
            let after = left - signed(self.in_flight) - signed(credits);
            if after < self.reserve() {
                return Err(at + BELIEVED - now);
            }
        }
        match self.slots.back_mut() {
            Some((start, spent)) if now - *start < SLOT => *spent += credits,
            _ => self.slots.push_back((now, credits)),
        }
        self.used += credits;
        self.in_flight += credits;
        self.calls += 1;
        Ok(())
    }

    /// A call has ended. `left`: what its answer said of the rest. `refused`: a limit was met, nothing was spent.
    pub(super) fn ended(&mut self, now: Millis, price: Price, left: Option<i64>, refused: bool) {
        let credits = u64::from(price.credits);
        self.in_flight = self.in_flight.saturating_sub(credits);
        if refused {
            if let Some((_, spent)) = self.slots.back_mut() {
                let back = credits.min(*spent);
                *spent -= back;
                self.used = self.used.saturating_sub(back);
            }
        } else if let Some((_, rest)) = &mut self.told {
            *rest -= signed(credits);
        }
        if let Some(left) = left {
            let known = self.told.filter(|(at, _)| now - at < OUT_OF_ORDER).map_or(left, |(_, rest)| rest.min(left));
            self.told = Some((now, known));
        }
    }

    /// A limit was met: gives how long nothing goes out. Short and doubling while places may have been missing, long when credits
    /// are gone.
    pub(super) fn refused(&mut self, now: Millis, left: Option<i64>) -> Millis {
        let (times, since) = self.refused.unwrap_or((0, now));
        self.refused = Some((times.saturating_add(1), since));
        let gone = left.is_some_and(|left| left <= 0) || (times > 5 && now - since > LONG_REFUSED);
        let pause = if gone { BELIEVED } else { (SECOND << times.min(5)).min(30 * SECOND) };
        // Those that were under way together met the limit together: that is one meeting, not many.
        if now < self.hold_until && !gone {
            self.refused = Some((times, since));
            return self.hold_until - now;
        }
        self.hold_until = self.hold_until.max(now + pause);
        pause
    }

    /// A call went through: no limit is met.
    pub(super) fn went_through(&mut self) {
        self.refused = None;
    }

    /// Calls and credits as everyone reads them.
    pub(super) fn report(&mut self, now: Millis) -> CrmBudget {
        self.forget(now);
        let told = self.told.map(|(_, left)| left - signed(self.in_flight));
        let counted = self.limit.map(|limit| signed(limit.saturating_sub(self.used)));
        let remaining = [told, counted].into_iter().flatten().min();
        CrmBudget {
            calls: self.calls,
            limit: self.limit,
            remaining: remaining.map(|left| u64::try_from(left).unwrap_or(0)),
            held_until: (self.hold_until > now).then_some(self.hold_until),
        }
    }

    /// Credits that are left to others.
    fn reserve(&self) -> i64 {
        self.limit.map_or(0, |limit| signed(limit * (100 - self.percent) / 100))
    }

    fn forget(&mut self, now: Millis) {
        while let Some((start, spent)) = self.slots.front().copied().filter(|(start, _)| start + DAY + SLOT <= now) {
            self.slots.pop_front();
            self.used = self.used.saturating_sub(spent);
            debug_assert!(start <= now, "slots are in order");
        }
    }

    /// When so many credits will have come back.
    fn room_in(&self, now: Millis, missing: u64) -> Millis {
        let mut back = 0;
        for (start, spent) in &self.slots {
            back += spent;
            if back >= missing {
                return (start + DAY + SLOT - now).max(1);
            }
        }
        HOUR
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_follow_the_list() {
        assert_eq!((Price::rows(1).credits, Price::rows(10).credits, Price::rows(100).credits), (1, 1, 10));
        assert!(!Price::rows(10).heavy && Price::rows(11).heavy);
        assert_eq!((Price::query(200).credits, Price::query(201).credits, Price::query(2_000).credits), (1, 2, 3));
        assert_eq!((Price::tags(50).credits, Price::tags(51).credits), (1, 2));
    }

    #[test]
    fn the_rest_that_an_answer_told_is_not_overdrawn_by_calls_under_way() {
        let mut credits = Credits::new(Some(1_000), 90);
        credits.take(0, Price::ONE).unwrap();
        credits.ended(0, Price::ONE, Some(103), false);
        // A hundred are left to others.
        assert_eq!(credits.take(1, Price::ONE), Ok(()));
        assert_eq!(credits.take(1, Price::ONE), Ok(()));
        assert_eq!(credits.take(1, Price::ONE), Ok(()));
        assert_eq!(credits.take(1, Price::ONE), Err(BELIEVED - 1));
        credits.ended(2, Price::ONE, Some(101), false);
        credits.ended(2, Price::ONE, Some(102), false);
        assert!(credits.take(3, Price::ONE).is_err(), "an older answer that comes late adds nothing");
        assert_eq!(credits.take(BELIEVED + 3, Price::ONE), Ok(()), "then one call finds out anew");
    }

    #[test]
    fn pauses_grow_while_places_are_missing_and_are_long_when_credits_are_gone() {
        let mut credits = Credits::new(None, 100);
        assert_eq!(credits.refused(0, None), SECOND);
        assert_eq!(credits.refused(500, None), 500, "met together with the first");
        assert_eq!(credits.take(999, Price::ONE), Err(1));
        assert_eq!(credits.refused(1_000, None), 2 * SECOND);
        credits.went_through();
        assert_eq!(credits.refused(5_000, None), SECOND);
        assert_eq!(credits.refused(9_000, Some(0)), BELIEVED);
    }

    proptest! {
        #[test]
        fn no_day_ever_holds_more_than_our_share(
            limit in 20u32..500,
            steps in proptest::collection::vec((0i64..2 * HOUR, 1u32..12), 1..400),
        ) {
            let mut credits = Credits::new(Some(limit), 90);
            let (mut now, mut spent): (Millis, Vec<(Millis, u64)>) = (0, Vec::new());
            for (step, price) in steps {
                now += step;
                let price = Price { credits: price, heavy: false };
                match credits.take(now, price) {
                    Ok(()) => {
                        spent.push((now, u64::from(price.credits)));
                        credits.ended(now, price, None, false);
                    }
                    Err(wait) => prop_assert!(wait > 0),
                }
                let inside: u64 = spent.iter().filter(|(at, _)| *at > now - DAY).map(|(_, n)| n).sum();
                prop_assert!(inside <= u64::from(limit) * 90 / 100);
            }
        }

        #[test]
        fn waiting_as_told_always_leads_to_a_turn(limit in 20u32..200, before in 0u32..400) {
            let mut credits = Credits::new(Some(limit), 100);
            let mut now = 0;
            for _ in 0..before {
                now += MINUTE;
                if credits.take(now, Price::ONE).is_ok() {
                    credits.ended(now, Price::ONE, None, false);
                }
            }
            let mut rounds = 0;
            while let Err(wait) = credits.take(now, Price::ONE) {
                now += wait;
                rounds += 1;
                prop_assert!(rounds < 4);
            }
        }
    }
}
