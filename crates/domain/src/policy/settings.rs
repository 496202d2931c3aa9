//! The policy's limits. They can be moved, not switched off by any caller.

use super::places::Offsets;
use crate::{MINUTE, Millis};

/// Limits of the policy. The configuration file has the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    /// Marketing messages to one person in 24 hours.
    pub marketing_per_day: u32,
    /// Marketing messages to one person in 7 days.
    pub marketing_per_week: u32,
    /// When marketing waits, by the recipient's clock; `None`: never.
    pub quiet: Option<QuietHours>,
    /// Countries (ISO 3166-1 alpha-2) to which no marketing is sent. WhatsApp delivers none to US numbers since 2025-04-01
    /// (facts 8).
    pub no_marketing_to: Vec<String>,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            marketing_per_day: 1,
            marketing_per_week: 4,
            quiet: QuietHours::new(21 * 60, 8 * 60),
            no_marketing_to: vec!["US".to_owned()],
        }
    }
}

/// A part of the day, in minutes after midnight by the recipient's clock; may pass midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: u16,
    until: u16,
}

const DAY_MINUTES: i64 = 24 * 60;

impl QuietHours {
    /// `None` when the two are the same (no quiet hours) or no times of a day.
    #[must_use]
    pub fn new(from: u16, until: u16) -> Option<Self> {
        let within = |minute: u16| i64::from(minute) < DAY_MINUTES;
        (from != until && within(from) && within(until)).then_some(Self { from, until })
    }

    const fn length(self) -> i64 {
        (self.until as i64 - self.from as i64).rem_euclid(DAY_MINUTES)
    }

    /// When a recipient at one of these offsets may be written to, if not now: once it is quiet at none of them. Where the
    /// offsets lie so far apart that it always is at one of them, the middle counts.
    #[must_use]
    pub fn quiet_until(self, now: Millis, offsets: Offsets) -> Option<Millis> {
        let awake = DAY_MINUTES - self.length();
        let (west, east) = match (i64::from(offsets.west), i64::from(offsets.east)) {
            (west, east) if east - west < awake => (west, east),
            (west, east) => (i64::midpoint(west, east), i64::midpoint(west, east)),
        };
        // Minutes since quiet began where the day is furthest ahead: from then until it ends furthest behind.
        let ahead = now.div_euclid(MINUTE) + east;
        let since = (ahead - i64::from(self.from)).rem_euclid(DAY_MINUTES);
        let whole = self.length() + (east - west);
        (since < whole).then(|| now - now.rem_euclid(MINUTE) + (whole - since) * MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DAY, HOUR};
    use proptest::prelude::*;

    const NIGHT: Option<QuietHours> = Some(QuietHours { from: 21 * 60, until: 8 * 60 });

    fn at(hour: i64) -> Millis {
        20_000 * DAY + hour * HOUR
    }

    fn until(hour: i64, west: i16, east: i16) -> Option<Millis> {
        NIGHT.and_then(|n| n.quiet_until(at(hour), Offsets { west, east }))
    }

    #[test]
    fn the_night_lasts_until_it_has_ended_everywhere() {
        assert_eq!(until(12, 0, 0), None);
        assert_eq!(until(22, 0, 0), Some(at(32)));
        assert_eq!(until(3, 0, 0), Some(at(8)));
        assert_eq!(until(8, 0, 0), None);
        assert_eq!(until(21, 0, 0), Some(at(32)));
        // Noon in Greenwich is evening in Auckland and early morning in Honolulu.
        assert_eq!(until(12, 12 * 60, 12 * 60), Some(at(20)));
        assert_eq!(until(12, -10 * 60, -10 * 60), Some(at(18)));
        // Eight in the east of a country of four hours: it is four in the west.
        assert_eq!(until(8, -240, 0), Some(at(12)));
        assert_eq!(until(12, -240, 0), None);
    }

    #[test]
    fn the_same_time_twice_is_no_quiet_hours() {
        assert_eq!(QuietHours::new(60, 60), None);
        assert_eq!(QuietHours::new(60, 24 * 60), None);
    }

    proptest! {
        #[test]
        fn what_waits_may_go_when_the_wait_ends(now in 0i64..100 * DAY, from in 0u16..1440, until in 0u16..1440,
            west in -720i16..840, wide in 0i16..1600) {
            let Some(hours) = QuietHours::new(from, until) else { return Ok(()) };
            let offsets = Offsets { west, east: west + wide };
            if let Some(end) = hours.quiet_until(now, offsets) {
                prop_assert!(end > now && end - now <= DAY);
                prop_assert_eq!(hours.quiet_until(end, offsets), None);
            }
        }
    }
}
