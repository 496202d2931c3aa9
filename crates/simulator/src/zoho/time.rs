//! Times as Zoho writes and takes them: whole seconds, with an offset.
//! May touch: nothing. Must not touch: the clock.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

/// `2026-11-23T02:00:00+00:00` at an offset of so many minutes.
pub(super) fn iso(ms: i64, offset_minutes: i32) -> String {
    let offset = Offset::from_seconds(offset_minutes.saturating_mul(60)).unwrap_or(Offset::UTC);
    let zoned = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::fixed(offset));
    let (date, time) = (zoned.date(), zoned.time());
    let (sign, minutes) = (if offset_minutes < 0 { '-' } else { '+' }, offset_minutes.unsigned_abs());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        minutes / 60,
        minutes % 60
    )
}

/// Epoch milliseconds of a date and time as fields take it: seconds, and an offset in digits. Neither fractions nor `Z`.
pub(super) fn parse_field(text: &str) -> Option<i64> {
    let shape = b"0000-00-00T00:00:00+00:00";
    let fits = text.len() == shape.len()
        && text.bytes().zip(shape).all(|(c, s)| match s {
            b'0' => c.is_ascii_digit(),
            b'+' => c == b'+' || c == b'-',
            other => c == *other,
        });
    if fits { parse_any(text) } else { None }
}

/// Epoch milliseconds of any ISO 8601 time: what headers take.
pub(super) fn parse_any(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// True for `2026-11-23`.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{is_date, iso, parse_field};

    #[test]
    fn times_keep_their_second_through_any_offset() {
        for minutes in [0, 330, -480, 60] {
            let text = iso(1_700_000_000_000, minutes);
            assert_eq!(parse_field(&text), Some(1_700_000_000_000), "{text}");
        }
        assert_eq!(iso(0, -90), "1969-12-31T22:30:00-01:30");
    }

    #[test]
    fn fields_take_one_shape_only() {
        for bad in [
            "2026-11-23T02:00:00Z",
            "2026-11-23T02:00:00.000+00:00",
            "2026-11-23 02:00:00+00:00",
            "2026-13-01T00:00:00+00:00",
        ] {
            assert_eq!(parse_field(bad), None, "{bad}");
        }
        assert!(is_date("2026-02-28") && !is_date("2026-02-30") && !is_date("28.02.2026"));
    }
}
