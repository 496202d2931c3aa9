//! Identifiers in the platform's shapes. All follow from the seed and a running number, so runs repeat.
//! May touch: nothing. Must not touch: the clock.

use crate::chance::mix;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Which series an id belongs to; two series never share an id.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Series {
    Outbound = 1,
    Inbound = 2,
    Media = 3,
    Template = 4,
    Trace = 5,
    Upload = 6,
}

fn unique(seed: u64, series: Series, number: u64) -> u64 {
    mix(mix(seed).wrapping_add(number.wrapping_mul(8)).wrapping_add(series as u64))
}

/// A message id: `wamid.` and base64 of the peer's id and 18 hexadecimal digits.
pub(crate) fn wamid(seed: u64, series: Series, number: u64, peer: &str) -> String {
    let mut raw = vec![0x1D, 0x18, u8::try_from(peer.len()).unwrap_or(0)];
    raw.extend_from_slice(peer.as_bytes());
    raw.extend_from_slice(&[0x15, 0x02, 0x00, 0x11, 0x18, 0x12]);
    raw.extend_from_slice(format!("{:016X}{:02X}", unique(seed, series, number), seed & 0xFF).as_bytes());
    raw.push(0);
    format!("wamid.{}", STANDARD.encode(raw))
}

/// An object id: 16 digits.
pub(crate) fn object_id(seed: u64, series: Series, number: u64) -> String {
    (1_000_000_000_000_000 + unique(seed, series, number) % 8_999_999_999_999_999).to_string()
}

/// An `fbtrace_id`.
pub(crate) fn trace(seed: u64, number: u64) -> String {
    let bytes = unique(seed, Series::Trace, number).to_be_bytes();
    format!("A{}", STANDARD.encode(bytes).trim_end_matches('=').replace(['+', '/'], "_"))
}

/// The business-scoped user id a telephone number has: country and 17 digits.
pub(crate) fn user_id(seed: u64, wa_id: &str, country: &str) -> String {
    let hash = wa_id.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    format!("{country}.{}", 10_000_000_000_000_000 + mix(hash ^ mix(seed)) % 89_999_999_999_999_999)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_repeat_with_the_seed_and_never_collide() {
        let of = |seed| (0..2_000).map(|n| wamid(seed, Series::Outbound, n, "16505551234")).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        let mut all: HashSet<String> = of(7).into_iter().collect();
        all.extend((0..2_000).map(|n| wamid(7, Series::Inbound, n, "16505551234")));
        assert_eq!(all.len(), 4_000);
        assert!(user_id(1, "5511987654321", "BR").starts_with("BR."));
    }
}
