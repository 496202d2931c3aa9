//! How often values occur among records: what shows that nothing was doubled. One way for all CRMs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often the values of one field occur.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Live records that have a value.
    pub records: u64,
    /// Distinct values.
    pub values: u64,
    /// Records that share their value with another record. 0 proves that nothing was doubled.
    pub sharing: u64,
    /// Most records with one and the same value.
    pub most: u64,
}

impl Duplicates {
    /// Counts the values of the live records that have one.
    pub(crate) fn of(values: impl Iterator<Item = String>) -> Self {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
        Self {
            records: counts.values().sum(),
            values: counts.len() as u64,
            sharing: counts.values().filter(|n| **n > 1).sum(),
            most: counts.values().max().copied().unwrap_or_default(),
        }
    }
}
