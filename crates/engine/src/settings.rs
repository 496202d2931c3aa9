//! Limits and schedules, as data. Every number has its reason here and stands in the configuration file.

use ponte_domain::consent::ConsentSettings;
use ponte_domain::policy::PolicySettings;
use ponte_domain::reach;
use ponte_domain::retention::Periods;
use ponte_domain::retry::RetryPolicy;
use ponte_domain::survivorship;
use ponte_domain::{DAY, MINUTE, Millis, SECOND};

/// Limits and schedules of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// When sends are tried again (R17).
    pub send_retry: RetryPolicy,
    /// When CRM writes are tried again.
    pub crm_retry: RetryPolicy,
    /// When file fetches are tried again. Meta keeps a file for 7 days.
    pub media_retry: RetryPolicy,
    /// First rate of calls, a second (R16).
    pub start_per_second: f64,
    /// Share of all processors from which dispatch slows down (R16).
    pub cpu_ceiling: f64,
    /// Calls under way at once for one number.
    pub max_in_flight: usize,
    /// How long a send lane is leased: longer than a call with all that follows. Milliseconds.
    pub send_lease_ms: Millis,
    /// When a send of unknown outcome is looked at again. Milliseconds.
    pub unknown_look_ms: Millis,
    /// A send of unknown outcome is sent again no earlier than this, and only when WhatsApp has meanwhile reported on later
    /// messages of the number. Milliseconds.
    pub unknown_settle_ms: Millis,
    /// A send of unknown outcome that nothing settles goes to a person after this. Milliseconds.
    pub unknown_give_up_ms: Millis,
    /// Updates folded in one transaction.
    pub ingest_chunk: usize,
    /// Rows of one CRM batch, and batches at once.
    pub crm_batch: usize,
    /// CRM batches under way at once, per connection.
    pub crm_parallel: usize,
    /// Files fetched at once.
    pub media_parallel: usize,
    /// Subscriptions to events.
    pub hooks: HookSettings,
    /// How long data is kept, by kind.
    pub retention: Periods,
    /// The consent flow.
    pub consent: ConsentSettings,
    /// The policy's limits.
    pub policy: PolicySettings,
    /// When a phone line counts as dead.
    pub reach: reach::Settings,
    /// What survives when two people become one.
    pub survivorship: survivorship::Rules,
}

/// Limits and schedules of subscriptions to events.
#[derive(Debug, Clone, PartialEq)]
pub struct HookSettings {
    /// Subscriptions there may be.
    pub max_subscriptions: i64,
    /// How long a target may take to answer. Milliseconds.
    pub timeout_ms: Millis,
    /// Calls under way at once to one target.
    pub parallel: usize,
    /// When a call is tried again.
    pub retry: RetryPolicy,
    /// A target that fails again and again is tried once in so long at least. Milliseconds.
    pub longest_pause_ms: Millis,
    /// A target that took nothing for so long has its subscription disabled. Milliseconds.
    pub disable_after_ms: Millis,
    /// How long the secret before signs too after a rotation. Milliseconds.
    pub rotation_ms: Millis,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            max_subscriptions: 100,
            timeout_ms: 10 * SECOND,
            parallel: 8,
            // The waits that the Standard Webhooks specification gives as an example, for about five days.
            retry: RetryPolicy {
                first_ms: SECOND,
                second_ms: 30 * SECOND,
                later_ms: [5, 30, 120, 300, 600, 840, 1200, 1440, 1440, 1440].map(|m| m * MINUTE).into(),
                give_up_after_ms: 5 * DAY,
            },
            longest_pause_ms: MINUTE,
            disable_after_ms: 5 * DAY,
            rotation_ms: DAY,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            send_retry: RetryPolicy::default(),
            // A CRM may be away for a day and more without anyone having to lift a finger afterwards.
            crm_retry: RetryPolicy {
                later_ms: [5, 15, 60, 120, 240, 360, 480, 480, 480, 480, 480, 480].map(|m| m * MINUTE).into(),
                give_up_after_ms: 3 * DAY,
                ..RetryPolicy::default()
            },
            media_retry: RetryPolicy {
                later_ms: vec![5 * MINUTE, 60 * MINUTE, 360 * MINUTE, DAY, 2 * DAY],
                give_up_after_ms: 6 * DAY,
                ..RetryPolicy::default()
            },
            start_per_second: 50.0,
            cpu_ceiling: 0.70,
            max_in_flight: 512,
            send_lease_ms: 20 * SECOND,
            unknown_look_ms: 5 * SECOND,
            unknown_settle_ms: 60 * SECOND,
            unknown_give_up_ms: 15 * MINUTE,
            ingest_chunk: 200,
            crm_batch: 100,
            crm_parallel: 2,
            media_parallel: 4,
            hooks: HookSettings::default(),
            retention: Periods::default(),
            consent: ConsentSettings::default(),
            policy: PolicySettings::default(),
            reach: reach::Settings::default(),
            survivorship: survivorship::Rules::default(),
        }
    }
}
