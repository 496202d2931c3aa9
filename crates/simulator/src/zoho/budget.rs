//! Prices of calls, the credits of a rolling day, and calls at the same time.
//! May touch: its own counters. Must not touch: the clock; the time is passed in.
//! Prices: Zoho's API limits page. Which calls are heavy is published in words only ("bulk updates, queries, lead
//! conversion"); the list here reads it widely, so that a client that respects it is safe.

use super::call::{Call, Family};
use super::config::Limits;
use super::coql;
use super::error::Refusal;
use crate::window::Window;
use http::Method;
use serde_json::Value;

const DAY_MS: i64 = 86_400_000;
/// Rows that one credit pays for in a write.
const ROWS_PER_CREDIT: usize = 10;
/// Records that one credit pays for in a change of tags.
const TAGGED_PER_CREDIT: usize = 50;

/// What a call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) credits: u32,
    pub(super) heavy: bool,
}

/// The price of a call, told from the request alone: it is taken before anything is done.
pub(super) fn price(call: &Call) -> Price {
    let light = |credits| Price { credits, heavy: false };
    let per = |count: usize, size: usize| u32::try_from(count.div_ceil(size)).unwrap_or(u32::MAX);
    if call.family != Some(Family::Crm) {
        return light(0);
    }
    match (&call.method, call.segments().as_slice()) {
        (&Method::POST, ["coql"]) => {
            let query = call.json().ok().and_then(|body| body.get("select_query")).and_then(Value::as_str);
            Price { credits: coql::credits(query.unwrap_or_default()), heavy: true }
        }
        (&Method::POST, ["settings", "modules"]) => light(500),
        (_, ["settings", ..] | ["actions", ..] | ["org"] | ["users", ..]) => light(1),
        (&Method::GET, [_, "deleted"]) => light(2),
        (&Method::GET, [_, "search"]) => Price { credits: 1, heavy: true },
        (&Method::GET, [_]) if call.query.get("cvid").is_some() => light(3),
        (&Method::POST, ["Leads", _, "actions", "convert"]) => Price { credits: 5, heavy: true },
        (&Method::POST, [_, "actions", "add_tags" | "remove_tags"]) => {
            light(per(call.row_count("ids"), TAGGED_PER_CREDIT))
        }
        (&Method::POST | &Method::PUT, [_, ..]) => {
            let rows = call.row_count("data");
            Price { credits: per(rows, ROWS_PER_CREDIT), heavy: rows > ROWS_PER_CREDIT }
        }
        _ => light(1),
    }
}

/// The counters of the organisation.
#[derive(Debug)]
pub(super) struct Budget {
    day: Window,
    active: u32,
    heavy: u32,
    /// Most calls that were under way at once.
    pub(super) most_active: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { day: Window::new(DAY_MS), active: 0, heavy: 0, most_active: 0 }
    }

    /// Takes a call in, or refuses it: a refused call costs nothing.
    pub(super) fn enter(&mut self, price: Price, limits: &Limits, now: i64) -> Result<(), Refusal> {
        let over = self.day.used(now).saturating_add(price.credits) > limits.credits
            || self.active >= limits.concurrency
            || (price.heavy && self.heavy >= limits.heavy_concurrency);
        if over {
            return Err(Refusal::throttled());
        }
        self.day.add(now, price.credits);
        self.active += 1;
        self.most_active = self.most_active.max(self.active);
        self.heavy += u32::from(price.heavy);
        Ok(())
    }

    /// Lets a call out that was taken in.
    pub(super) fn leave(&mut self, price: Price) {
        self.active = self.active.saturating_sub(1);
        self.heavy = self.heavy.saturating_sub(u32::from(price.heavy));
    }

    pub(super) fn spent(&mut self, now: i64) -> u32 {
        self.day.used(now)
    }

    /// Spends credits for nothing: what other apps of the organisation use up.
    pub(super) fn burn(&mut self, credits: u32, now: i64) {
        self.day.add(now, credits);
    }

    /// What `X-API-CREDITS-REMAINING` shows; absent until half of the credits are spent.
    pub(super) fn shown(&mut self, limits: &Limits, now: i64) -> Option<u32> {
        let spent = self.day.used(now);
        (spent >= limits.credits.div_ceil(2)).then(|| limits.credits.saturating_sub(spent))
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Limits, Price};

    #[test]
    fn credits_come_back_after_a_day_and_places_at_once() {
        let limits = Limits { credits: 10, concurrency: 2, heavy_concurrency: 1, ..Limits::default() };
        let (light, heavy) = (Price { credits: 2, heavy: false }, Price { credits: 2, heavy: true });
        let mut budget = Budget::new();
        assert!(budget.enter(heavy, &limits, 0).is_ok());
        assert!(budget.enter(heavy, &limits, 0).is_err(), "one heavy call at a time");
        assert_eq!(budget.shown(&limits, 0), None);
        assert!(budget.enter(light, &limits, 0).is_ok());
        assert!(budget.enter(light, &limits, 0).is_err(), "two calls at a time");
        budget.leave(heavy);
        budget.leave(light);
        budget.burn(5, 0);
        assert_eq!(budget.shown(&limits, 0), Some(1));
        assert!(budget.enter(light, &limits, 86_399_999).is_err(), "the day is not over");
        assert!(budget.enter(light, &limits, 86_400_000).is_ok());
    }
}
