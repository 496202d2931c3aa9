//! Points in time as CRMs of all kinds write them: ISO 8601 with and without a zone, counts of seconds to microseconds, and objects of
//! parts. Inside they are microseconds since 1970-01-01T00:00:00Z, so that no cursor loses what a database keeps.
//! Must not touch: anything but values.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use ponte_domain::Millis;
use serde::Deserialize;
use serde_json::{Value, json};

/// How points in time are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// `2026-11-23T02:30:00.000Z`.
    #[default]
    Iso,
    /// `2026-11-23 02:30:00.000000`, in the connection's zone.
    Space,
    /// Seconds since 1970.
    S,
    /// Milliseconds since 1970.
    Ms,
    /// Microseconds since 1970.
    Us,
}

/// How a connection writes times, and whose clock times without a zone show.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    pub(crate) form: TimeForm,
    pub(crate) zone: TimeZone,
}

impl Times {
    /// A point in time, from microseconds.
    pub(crate) fn write_us(&self, us: i64) -> Value {
        let Ok(at) = Timestamp::from_microsecond(us) else { return json!(us) };
        match self.form {
            TimeForm::Iso if us % 1_000 == 0 => json!(format!("{at:.3}")),
            TimeForm::Iso => json!(format!("{at:.6}")),
            TimeForm::Space => json!(format!("{:.6}", Zoned::new(at, self.zone.clone()).datetime()).replace('T', " ")),
            TimeForm::S => json!(us.div_euclid(1_000_000)),
            TimeForm::Ms => json!(us.div_euclid(1_000)),
            TimeForm::Us => json!(us),
        }
    }

    /// A point in time, from milliseconds.
    pub(crate) fn write(&self, at: Millis) -> Value {
        self.write_us(at.saturating_mul(1_000))
    }

    /// Reads a point in time, as microseconds.
    pub(crate) fn read_us(&self, value: &Value) -> Option<i64> {
        let number = |n: i64| match self.form {
            TimeForm::S => n.checked_mul(1_000_000),
            TimeForm::Ms => n.checked_mul(1_000),
            TimeForm::Us => Some(n),
            _ => of_magnitude(n),
        };
        match value {
            Value::Number(n) => n.as_i64().and_then(number).or_else(|| fraction(n.as_f64()?, self.form)),
            Value::String(text) => match text.trim().parse::<i64>() {
                Ok(n) => number(n),
                Err(_) => of_text(text.trim(), &self.zone),
            },
            Value::Object(_) => of_parts(value, &self.zone),
            _ => None,
        }
    }

    /// Reads a point in time, as milliseconds.
    pub(crate) fn read(&self, value: &Value) -> Option<Millis> {
        self.read_us(value).map(|us| us.div_euclid(1_000))
    }
}

/// Between the years 1973 and 5138 the size of a count tells its unit.
fn of_magnitude(n: i64) -> Option<i64> {
    match n.unsigned_abs() {
        0..100_000_000_000 => n.checked_mul(1_000_000),
        100_000_000_000..100_000_000_000_000 => n.checked_mul(1_000),
        _ => Some(n),
    }
}

/// A count with a fraction; without a unit said it is of seconds.
fn fraction(n: f64, form: TimeForm) -> Option<i64> {
    let us = match form {
        TimeForm::Ms => n * 1_000.0,
        TimeForm::Us => n,
        _ => n * 1_000_000.0,
    };
    (us.abs() < 9e18).then_some(us as i64)
}

fn of_text(text: &str, zone: &TimeZone) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_microsecond());
    }
    let local =
        text.parse::<DateTime>().ok().or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(Default::default())))?;
    Some(zone.to_ambiguous_timestamp(local).compatible().ok()?.as_microsecond())
}

/// `{"year": 2026, "month": 11, …}`, as Tryton's JSON-RPC writes it (crm-apis section 9).
fn of_parts(value: &Value, zone: &TimeZone) -> Option<i64> {
    let part = |name: &str| value.get(name).map_or(Some(0), Value::as_i64);
    let small = |name: &str| i8::try_from(part(name)?).ok();
    let year = i16::try_from(value.get("year")?.as_i64()?).ok()?;
    let nanos = i32::try_from(part("microsecond")?.checked_mul(1_000)?).ok()?;
    let local =
        DateTime::new(year, small("month")?, small("day")?, small("hour")?, small("minute")?, small("second")?, nanos)
            .ok()?;
    Some(zone.to_ambiguous_timestamp(local).compatible().ok()?.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_us(value: &Value) -> Option<i64> {
        Times { form: TimeForm::Iso, zone: TimeZone::UTC }.read_us(value)
    }

    const AT: i64 = 1_795_401_000_123_456;

    #[test]
    fn every_way_of_writing_the_same_instant_is_read_the_same() {
        let parts = json!({"__class__": "datetime", "year": 2026, "month": 11, "day": 23, "hour": 2, "minute": 30,
                           "second": 0, "microsecond": 123_456});
        for written in [
            json!("2026-11-23T02:30:00.123456Z"),
            json!("2026-11-23T03:30:00.123456+01:00"),
            json!("2026-11-23 02:30:00.123456"),
            json!("2026-11-23T02:30:00.123456"),
            json!(AT),
            json!(AT.to_string()),
            json!(1_795_401_000.123_456),
            parts,
        ] {
            assert_eq!(read_us(&written), Some(AT), "{written}");
        }
        assert_eq!(read_us(&json!(1_795_401_000_123_i64)), Some(AT - 456));
        assert_eq!(read_us(&json!(1_795_401_000)), Some(AT - 123_456));
        assert_eq!(read_us(&json!("2026-11-23")), Some(1_795_392_000_000_000));
        for other in [json!(null), json!("soon"), json!(true), json!({"year": "x"}), json!([])] {
            assert_eq!(read_us(&other), None, "{other}");
        }
    }

    #[test]
    fn a_time_without_zone_is_read_by_the_connections_clock() {
        let times = Times { form: TimeForm::Space, zone: TimeZone::get("America/New_York").unwrap() };
        assert_eq!(times.read_us(&json!("2026-11-22 21:30:00.123456")), Some(AT));
        assert_eq!(times.write_us(AT), json!("2026-11-22 21:30:00.123456"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(us in 1_000_000_000_000_000i64..4_000_000_000_000_000, form in 0usize..5) {
            let form = [TimeForm::Iso, TimeForm::Space, TimeForm::S, TimeForm::Ms, TimeForm::Us][form];
            let times = Times { form, zone: TimeZone::UTC };
            let unit = match form { TimeForm::S => 1_000_000, TimeForm::Ms => 1_000, _ => 1 };
            prop_assert_eq!(times.read_us(&times.write_us(us)), Some(us - us % unit));
        }

        #[test]
        fn nothing_panics(text in ".{0,30}", n in any::<i64>(), f in any::<f64>()) {
            let _ = (read_us(&json!(text)), read_us(&json!(n)), read_us(&json!(f)));
            let _ = Times { form: TimeForm::Space, zone: TimeZone::UTC }.write_us(n);
        }
    }
}
