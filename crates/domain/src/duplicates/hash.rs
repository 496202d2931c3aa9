//! Stable 64-bit hashes for blocking keys: FNV-1a, then the finaliser of MurmurHash3 so that the upper bits are good as well.
//! Must not change: keys are stored. A test holds known values.

/// A hash being built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
    /// Starts with the kind of what is hashed, so that a city and a company of one spelling differ.
    pub(super) const fn of(kind: u8) -> Self {
        Self(0xcbf2_9ce4_8422_2325).byte(kind)
    }

    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |h, b| h.byte(*b))
    }

    pub(super) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// The hash. Never 0: 0 says "nothing" elsewhere.
    pub(super) const fn end(self) -> u64 {
        let mut h = self.0;
        h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^= h >> 33;
        if h == 0 { 1 } else { h }
    }

    /// The upper half of it. Never 0.
    pub(super) fn end32(self) -> u32 {
        u32::try_from(self.end() >> 32).unwrap_or_default().max(1)
    }
}
