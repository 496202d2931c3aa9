//! The consent hook of the send gate: what is known about a person's will, as the policy sees it.
//! The ledger behind it grows in its own module; the policy reads only this.

use crate::Millis;

/// What is known about a person's will at the moment of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsentView {
    /// When the person stopped marketing messages (Meta's preference notice, error 131050); `None` when they didn't, or
    /// resumed since.
    pub marketing_stopped_at: Option<Millis>,
}
