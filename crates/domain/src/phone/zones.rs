//! Time zones of phone numbers, by the longest prefix that is known. Data: libphonenumber's, in `zones.txt`.
//! Must not touch: the clock, or rules of time zones: names only.

use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("zones.txt")));

/// IANA names of the zones in which the holder of a number (E.164 digits without `+`) may be; several where the prefix spans
/// zones, as for mobile phones of large countries. Empty when nothing is known. Nobody takes a phone number's zone for a
/// place: people travel.
#[must_use]
pub fn time_zones(e164: &str) -> &'static [&'static str] {
    TABLE.find(e164)
}

/// Prefixes in ascending order with the index of their zones. Prefixes begin with a digit from 1 to 9, so they are numbers.
struct Table {
    prefixes: Vec<(u32, u16)>,
    zones: Vec<Vec<&'static str>>,
    longest: usize,
}

impl Table {
    /// Lines `zone|zone TAB prefix prefix…`; `#` begins a remark.
    fn read(data: &'static str) -> Self {
        let mut table = Self { prefixes: Vec::new(), zones: Vec::new(), longest: 0 };
        for line in data.lines().filter(|line| !line.starts_with('#')) {
            let Some((zones, prefixes)) = line.split_once('\t') else { continue };
            let Ok(index) = u16::try_from(table.zones.len()) else { continue };
            table.zones.push(zones.split('|').collect());
            for prefix in prefixes.split(' ') {
                table.longest = table.longest.max(prefix.len());
                table.prefixes.extend(prefix.parse().ok().map(|prefix: u32| (prefix, index)));
            }
        }
        table.prefixes.sort_unstable();
        table
    }

    fn find(&self, digits: &str) -> &[&'static str] {
        if digits.starts_with('0') {
            return &[];
        }
        let mut prefix = 0;
        let mut found = None;
        // A short prefix is a smaller number than all that are longer, so each length is a search of its own.
        for digit in digits.bytes().take(self.longest).map_while(|b| char::from(b).to_digit(10)) {
            prefix = prefix * 10 + digit;
            if let Ok(at) = self.prefixes.binary_search_by_key(&prefix, |(prefix, _)| *prefix) {
                found = self.prefixes.get(at);
            }
        }
        found.and_then(|(_, zones)| self.zones.get(usize::from(*zones))).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_prefix_decides() {
        assert_eq!(time_zones("886912345678"), ["Asia/Taipei"]);
        assert_eq!(time_zones("16502530000"), ["America/Los_Angeles"]);
        assert_eq!(time_zones("12125551234"), ["America/New_York"]);
        assert_eq!(time_zones("77012345678"), ["Asia/Almaty", "Asia/Aqtobe"]);
        assert!(time_zones("18005551234").contains(&"America/Chicago"), "a toll-free number");
    }

    #[test]
    fn nothing_is_known_of_what_is_no_number() {
        for odd in ["", "0", "0912345678", "999", "US.1", "+886912345678"] {
            assert_eq!(time_zones(odd), [""; 0], "{odd}");
        }
    }

    #[test]
    fn the_table_is_whole() {
        assert!(TABLE.prefixes.len() > 3_000, "{}", TABLE.prefixes.len());
        assert!(TABLE.prefixes.windows(2).all(|pair| pair[0].0 < pair[1].0), "a prefix stands twice");
        assert!(TABLE.longest <= 9, "a longer prefix doesn't fit 32 bits");
        assert!(TABLE.zones.iter().flatten().all(|zone| zone.contains('/')));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,30}|[0-9]{0,30}") {
            let _ = time_zones(&text);
        }
    }
}
