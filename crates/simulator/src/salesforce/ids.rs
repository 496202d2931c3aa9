//! Record ids: fifteen characters that tell upper from lower case, and three more that make them safe where case is lost.
//! May touch: nothing. Must not touch: records.

use std::fmt;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
/// What follows the three characters of the object type: the place of the org.
const POD: &[u8; 3] = b"5g0";

/// A record id without its check characters. The order is the order of creation within one object type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordId([u8; 15]);

impl RecordId {
    /// The `serial`-th record of the object type with this key prefix.
    pub(super) fn new(prefix: [u8; 3], serial: u64) -> Self {
        let mut text = [b'0'; 15];
        let mut rest = serial;
        for (place, byte) in text.iter_mut().enumerate().rev() {
            *byte = match place {
                0..3 => prefix.get(place).copied().unwrap_or(b'0'),
                3..6 => POD.get(place - 3).copied().unwrap_or(b'0'),
                _ => {
                    let digit = DIGITS.get((rest % 62) as usize).copied().unwrap_or(b'0');
                    rest /= 62;
                    digit
                }
            };
        }
        Self(text)
    }

    /// Reads 15 characters, or 18 whose case may have been lost on the way.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let mut id: [u8; 15] = text.as_bytes().get(..15)?.try_into().ok()?;
        match text.len() {
            15 => Some(Self(id)),
            18 => {
                let check: Vec<u8> = text.bytes().skip(15).map(|b| b.to_ascii_uppercase()).collect();
                for (chunk, check) in id.chunks_mut(5).zip(&check) {
                    let bits = CHECK.iter().position(|c| c == check)?;
                    for (place, byte) in chunk.iter_mut().enumerate() {
                        *byte =
                            if bits >> place & 1 == 1 { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
                    }
                }
                let id = Self(id);
                (id.check().as_slice() == check.as_slice()).then_some(id)
            }
            _ => None,
        }
    }

    /// The key prefix of the object type.
    pub(super) fn prefix(&self) -> [u8; 3] {
        let [a, b, c, ..] = self.0;
        [a, b, c]
    }

    fn check(&self) -> [u8; 3] {
        let mut check = [b'A'; 3];
        for (chunk, check) in self.0.chunks(5).zip(check.iter_mut()) {
            let upper = chunk.iter().enumerate().filter(|(_, b)| b.is_ascii_uppercase());
            let bits = upper.fold(0_usize, |bits, (place, _)| bits | 1 << place);
            *check = CHECK.get(bits).copied().unwrap_or(b'A');
        }
        check
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, check) = (self.0, self.check());
        f.write_str(std::str::from_utf8(&id).unwrap_or_default())?;
        f.write_str(std::str::from_utf8(&check).unwrap_or_default())
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::RecordId;

    #[test]
    fn check_characters_are_salesforces() {
        // The pair of the documentation of 15 and 18 characters.
        let id = RecordId::parse("001A0000006Vm9r").unwrap();
        assert_eq!(id.to_string(), "001A0000006Vm9rIAC");
        assert_eq!(RecordId::parse("001a0000006vm9rIAC"), Some(id), "lost case is mended");
        assert_eq!(RecordId::parse("001A0000006Vm9rIAD"), None);
        assert_eq!(RecordId::parse("001A0000006Vm9"), None);
        assert!(RecordId::new(*b"003", 61) < RecordId::new(*b"003", 62));
        assert_eq!(RecordId::new(*b"003", 62).prefix(), *b"003");
    }
}
