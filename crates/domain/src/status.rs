//! The status ladder of an outbound message. A status never moves backwards, every rung keeps its own time, and order and
//! repetition of updates change nothing. Facts: whatsapp-api section 2.5.

use crate::Millis;
use serde::{Deserialize, Serialize};

/// What WhatsApp reports about a message we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// On WhatsApp's servers.
    Sent,
    /// On the person's phone.
    Delivered,
    /// Seen by the person.
    Read,
    /// Listened to (voice notes).
    Played,
    /// Not delivered.
    Failed,
}

impl Status {
    /// All of them, in order of the ladder.
    pub const ALL: [Self; 5] = [Self::Sent, Self::Delivered, Self::Read, Self::Played, Self::Failed];

    /// Meta's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }

    /// Reads Meta's word; `None` for words this version doesn't know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// When each rung was reached: the earliest time reported for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps {
    /// Accepted by the API (our clock).
    pub accepted: Option<Millis>,
    /// On WhatsApp's servers.
    pub sent: Option<Millis>,
    /// On the person's phone.
    pub delivered: Option<Millis>,
    /// Seen.
    pub read: Option<Millis>,
    /// Listened to.
    pub played: Option<Millis>,
    /// Reported as failed.
    pub failed: Option<Millis>,
}

impl Stamps {
    /// Takes in one report. Returns true when it changed anything.
    pub fn merge(&mut self, status: Status, at: Millis) -> bool {
        let slot = match status {
            Status::Sent => &mut self.sent,
            Status::Delivered => &mut self.delivered,
            Status::Read => &mut self.read,
            Status::Played => &mut self.played,
            Status::Failed => &mut self.failed,
        };
        match slot {
            Some(known) if *known <= at => false,
            _ => {
                *slot = Some(at);
                true
            }
        }
    }

    /// The state to show: the highest rung reached. A failure counts only when nothing says the message arrived;
    /// `failed` after `delivered` is kept, but doesn't undo the delivery.
    #[must_use]
    pub const fn state(&self) -> Option<Status> {
        if self.played.is_some() {
            Some(Status::Played)
        } else if self.read.is_some() {
            Some(Status::Read)
        } else if self.delivered.is_some() {
            Some(Status::Delivered)
        } else if self.failed.is_some() {
            Some(Status::Failed)
        } else if self.sent.is_some() {
            Some(Status::Sent)
        } else {
            None
        }
    }

    /// How many rungs WhatsApp has reported.
    #[must_use]
    pub fn reported(&self) -> u32 {
        [self.sent, self.delivered, self.read, self.played, self.failed].iter().map(|s| u32::from(s.is_some())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reports() -> impl Strategy<Value = Vec<(Status, Millis)>> {
        proptest::collection::vec((prop::sample::select(Status::ALL.to_vec()), 0i64..50), 0..12)
    }

    fn climb(reports: &[(Status, Millis)]) -> Stamps {
        let mut stamps = Stamps::default();
        for (status, at) in reports {
            stamps.merge(*status, *at);
        }
        stamps
    }

    proptest! {
        #[test]
        fn order_and_repetition_change_nothing(reports in reports(), order in any::<u64>()) {
            let mut shuffled = reports.clone();
            shuffled.extend_from_slice(&reports);
            let n = shuffled.len().max(1) as u64;
            for i in 0..shuffled.len() {
                let j = (order.wrapping_mul(i as u64 + 1) % n) as usize;
                shuffled.swap(i, j);
            }
            prop_assert_eq!(climb(&reports), climb(&shuffled));
        }

        #[test]
        fn the_state_never_goes_back(reports in reports()) {
            let rung = |s: Option<Status>| match s { None => 0, Some(Status::Sent) => 1, Some(Status::Failed) => 2,
                Some(Status::Delivered) => 3, Some(Status::Read) => 4, Some(Status::Played) => 5 };
            let mut stamps = Stamps::default();
            let mut before = 0;
            for (status, at) in reports {
                stamps.merge(status, at);
                let now = rung(stamps.state());
                prop_assert!(now >= before);
                before = now;
            }
        }
    }

    #[test]
    fn failure_after_delivery_is_kept_but_not_shown() {
        let stamps = climb(&[(Status::Delivered, 5), (Status::Failed, 9)]);
        assert_eq!(stamps.state(), Some(Status::Delivered));
        assert_eq!(stamps.failed, Some(9));
    }
}
