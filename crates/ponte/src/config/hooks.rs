//! Checking `[hooks]`.

use super::check::ConfigErrors;
use ponte_domain::retry::RetryPolicy;
use ponte_domain::{HOUR, Millis};
use ponte_engine::settings::HookSettings;
use serde::Deserialize;

/// `[hooks]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHooks {
    max_subscriptions: u32,
    timeout_ms: Millis,
    parallel: usize,
    longest_pause_ms: Millis,
    disable_after_hours: f64,
    rotation_hours: f64,
    retry: RetryPolicy,
}

/// Longest time-out: a lane is leased for two minutes.
const LONGEST: Millis = 60_000;

pub(super) fn check(raw: RawHooks, errors: &mut ConfigErrors) -> HookSettings {
    if !(1..=LONGEST).contains(&raw.timeout_ms) {
        errors.add("[hooks] timeout_ms", format!("is {}", raw.timeout_ms), format!("give 1 to {LONGEST}"));
    }
    if !(1..=256).contains(&raw.parallel) {
        errors.add("[hooks] parallel", format!("is {}", raw.parallel), "give 1 to 256");
    }
    if raw.longest_pause_ms < 1 {
        errors.add("[hooks] longest_pause_ms", format!("is {}", raw.longest_pause_ms), "give at least 1");
    }
    let mut hours = |name: &str, value: f64| {
        if !value.is_finite() || !(0.0..=87_600.0).contains(&value) {
            errors.add(format!("[hooks] {name}"), format!("is {value}"), "give hours, 0 to 87600");
        }
        (value * HOUR as f64) as Millis
    };
    HookSettings {
        max_subscriptions: i64::from(raw.max_subscriptions),
        timeout_ms: raw.timeout_ms,
        parallel: raw.parallel,
        longest_pause_ms: raw.longest_pause_ms,
        disable_after_ms: hours("disable_after_hours", raw.disable_after_hours),
        rotation_ms: hours("rotation_hours", raw.rotation_hours),
        retry: raw.retry,
    }
}
