//! Counters of what happened.
//! May touch: its own counters. Must not touch: anything else.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What happened so far.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Refused sends by error code.
            pub sends_refused: BTreeMap<u32, u64>,
            /// `failed` statuses by error code.
            pub failed_by_code: BTreeMap<u32, u64>,
            /// Updates waiting to be posted.
            pub webhook_backlog: u64,
            /// Batches being posted or waiting for a retry.
            pub webhook_open_batches: u64,
            /// Milliseconds since start.
            pub uptime_ms: u64,
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub $name: AtomicU64,)*
            refused: Mutex<BTreeMap<u32, u64>>,
            failed: Mutex<BTreeMap<u32, u64>>,
        }

        impl Counters {
            /// The counters as numbers; backlog and uptime are filled in by the caller.
            pub fn read(&self) -> Stats {
                Stats {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    sends_refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                    failed_by_code: self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                    ..Stats::default()
                }
            }

            pub fn clear(&self) {
                $(self.$name.store(0, Ordering::Relaxed);)*
                self.refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        }
    };
}

counters! {
    /// Message sends that arrived (read receipts not counted).
    sends_requested,
    /// Sends answered or meant to be answered with 200.
    sends_accepted,
    /// Accepted sends that carry the `biz_opaque_callback_data` of an earlier accepted one: doubled messages.
    duplicates_by_opaque,
    /// Accepted sends without `biz_opaque_callback_data`.
    sends_without_opaque,
    /// Accepted sends whose answer was withheld or reset on purpose.
    answers_lost,
    /// Sends that were neither accepted nor answered, on purpose.
    sends_dropped,
    /// Top-level fields in sends that the API does not know.
    unknown_fields,
    /// Sends refused for their content (codes 100, 131008, 131009, 132xxx).
    validation_errors,
    /// Calls with a wrong or missing token.
    unauthorized,
    /// Calls answered 503 or refused by an outage.
    refused_by_outage,
    /// Read receipts and typing indicators.
    read_receipts,
    /// Management and media calls.
    other_calls,
    /// Statuses generated.
    statuses_generated,
    /// Statuses whose webhook was answered 200 at least once.
    statuses_acknowledged,
    /// Inbound messages generated.
    inbound_generated,
    /// Inbound messages whose webhook was answered 200 at least once.
    inbound_acknowledged,
    /// Other webhook updates generated (template status, account, raw).
    changes_generated,
    /// Other webhook updates acknowledged.
    changes_acknowledged,
    /// Updates nobody was subscribed to; they are gone, as at Meta.
    updates_unsubscribed,
    /// Updates given up after the retry time.
    updates_given_up,
    /// Updates delivered twice on purpose.
    duplicates_injected,
    /// Webhook POSTs tried.
    webhooks_posted,
    /// Webhook POSTs answered 200.
    webhooks_acknowledged,
    /// Webhook POSTs answered otherwise, timed out or not connected.
    webhooks_failed,
    /// Webhook POSTs answered 401 or 403: the receiver refused the signature.
    invalid_signature_answers,
    /// Webhook POSTs signed wrongly on purpose.
    bad_signatures_sent,
    /// Wrongly signed POSTs that the receiver nevertheless answered with 200.
    bad_signatures_accepted,
    /// Media uploaded.
    media_uploaded,
    /// Media downloaded.
    media_downloaded,
}

impl Counters {
    pub fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn many(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub fn refuse(&self, code: u32) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
        if matches!(code, 100 | 131_008 | 131_009 | 132_000..=132_999) {
            Self::one(&self.validation_errors);
        }
    }

    pub fn fail(&self, code: u32) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }
}
