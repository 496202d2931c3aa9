//! The pulse: counters and lags for those who watch (demo, status, metrics). Never decides anything.

use ponte_domain::Millis;
use ponte_domain::retention::Kind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $metric:literal;)*) => {
        /// Counters since the program started.
        #[derive(Debug, Default)]
        pub struct Pulse {
            $($(#[$doc])* pub $name: Counter,)*
            /// From a message's arrival here to its record in the CRM.
            pub to_crm: Lags,
            /// From the gate to WhatsApp's acceptance.
            pub to_whatsapp: Lags,
            /// From arrival to being folded.
            pub to_fold: Lags,
            /// Things removed because they were too old, by kind.
            pub forgotten: ByKind,
        }

        impl Pulse {
            /// Every counter with its Prometheus name.
            #[must_use]
            pub fn counters(&self) -> Vec<(&'static str, u64)> {
                vec![$(($metric, self.$name.get())),*]
            }
        }
    };
}

counters! {
    /// Webhook bodies answered 200: durable.
    webhooks_acknowledged = "ponte_webhooks_acknowledged_total";
    /// Webhook bodies refused: unsigned, malformed, too large.
    webhooks_refused = "ponte_webhooks_refused_total";
    /// Webhook bodies answered 503: they could not be made durable.
    webhooks_unavailable = "ponte_webhooks_unavailable_total";
    /// Items of webhooks read.
    updates_read = "ponte_updates_read_total";
    /// Messages added by webhooks.
    messages_stored = "ponte_messages_stored_total";
    /// Items that were not understood: kept and shown.
    unrecognised = "ponte_unrecognised_total";
    /// Messages let in by the gate.
    sends_queued = "ponte_sends_queued_total";
    /// Messages refused by a rule.
    sends_refused = "ponte_sends_refused_total";
    /// Messages taken by WhatsApp.
    sends_accepted = "ponte_sends_accepted_total";
    /// Sends that failed and will be tried again.
    sends_retried = "ponte_sends_retried_total";
    /// Sends whose outcome was unknown.
    sends_unknown = "ponte_sends_unknown_total";
    /// Jobs given up.
    dead_letters = "ponte_dead_letters_total";
    /// Throttles met.
    throttled = "ponte_throttled_total";
    /// Contacts written to CRMs.
    crm_contacts = "ponte_crm_contacts_written_total";
    /// Message records written to CRMs, new or changed.
    crm_messages = "ponte_crm_messages_written_total";
    /// CRM rows that failed.
    crm_failures = "ponte_crm_failures_total";
    /// Events pushed to subscribers and taken.
    hooks_taken = "ponte_hooks_taken_total";
    /// Calls to subscribers that failed.
    hooks_failed = "ponte_hooks_failed_total";
    /// Files stored.
    media_stored = "ponte_media_stored_total";
    /// Settlements refused because another node had taken over.
    fenced = "ponte_fenced_total";
}

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Reads.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for every kind of data that has a period.
#[derive(Debug, Default)]
pub struct ByKind([Counter; Kind::ALL.len()]);

impl ByKind {
    /// Each kind with its counter.
    pub fn all(&self) -> impl Iterator<Item = (Kind, &Counter)> {
        Kind::ALL.iter().copied().zip(&self.0)
    }

    /// Adds to one.
    pub fn add(&self, kind: Kind, n: u64) {
        self.all().filter(|(k, _)| *k == kind).for_each(|(_, counter)| counter.add(n));
    }
}

/// Bounds of the lag buckets, milliseconds: about a quarter apart, from 1 ms to 10 minutes.
const BOUNDS: usize = 64;

/// A histogram of lags.
#[derive(Debug)]
pub struct Lags(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    counts: [u64; BOUNDS],
    sum_ms: u64,
}

impl Default for Lags {
    fn default() -> Self {
        Self(Mutex::new(Buckets { counts: [0; BOUNDS], sum_ms: 0 }))
    }
}

fn bound(i: usize) -> f64 {
    1.25_f64.powi(i32::try_from(i).unwrap_or(i32::MAX))
}

impl Lags {
    /// Takes in one lag, milliseconds.
    pub fn record(&self, ms: Millis) {
        let ms = ms.max(0);
        let place = (0..BOUNDS).find(|i| (ms as f64) <= bound(*i)).unwrap_or(BOUNDS - 1);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = buckets.counts.get_mut(place) {
            *count += 1;
        }
        buckets.sum_ms += u64::try_from(ms).unwrap_or(0);
    }

    /// The lag below which the share `q` (0..1) of all lies, milliseconds; `None` when there are none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = buckets.counts.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = (total as f64 * q).ceil().max(1.0);
        let mut seen = 0.0;
        for (i, count) in buckets.counts.iter().enumerate() {
            seen += *count as f64;
            if seen >= wanted {
                return Some(bound(i));
            }
        }
        None
    }

    /// Upper bounds in seconds with the number of lags up to each, then sum in seconds and count: a Prometheus histogram.
    #[must_use]
    pub fn histogram(&self) -> (Vec<(f64, u64)>, f64, u64) {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        let mut rows = Vec::new();
        for (i, count) in buckets.counts.iter().enumerate() {
            seen += count;
            if i % 4 == 3 {
                rows.push((bound(i) / 1000.0, seen));
            }
        }
        (rows, buckets.sum_ms as f64 / 1000.0, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_quarter() {
        let lags = Lags::default();
        for ms in 1..=1000 {
            lags.record(ms);
        }
        let p50 = lags.quantile(0.5).unwrap();
        assert!((500.0..=640.0).contains(&p50), "{p50}");
        assert_eq!(Lags::default().quantile(0.5), None);
    }
}
