//! Where the reading of changes stands. A *round* reads everything that changed since the round before began, less an overlap, for CRMs
//! show changes late; between rounds nothing but that beginning is kept.
//! Must not touch: how changes are read.
//! Failure story: a cursor that can't be read is too old: everything is read again.

use ponte_domain::Millis;
use ponte_domain::error::{CallError, ErrorClass};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the reader stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Whatever changed before was told: microseconds by the CRM's clock.
    pub(crate) at: i64,
    /// The round under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) round: Option<Round>,
}

/// A round under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// When it began, by the CRM's clock, microseconds: the next one goes on from here.
    pub(crate) began: i64,
    /// The last row read: its time and id in the CRM's own form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) behind: Option<(Value, Value)>,
    /// The next page, as the paging says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<String>,
    /// Contacts are read; what was deleted is read now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
}

impl Round {
    /// A round that begins now.
    pub(crate) const fn new(began: i64) -> Self {
        Self { began, behind: None, page: None, deleted: false }
    }
}

impl Cursor {
    /// Between rounds.
    pub(crate) const fn resting(at: i64) -> Self {
        Self { at, round: None }
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads it. `kept_ms`: how long the CRM keeps what was deleted, when that is known; an older cursor would miss some.
    ///
    /// # Errors
    /// [`ErrorClass::Gone`]: everything has to be read.
    pub(crate) fn read(text: &str, now_us: i64, kept_ms: Option<Millis>) -> Result<Self, CallError> {
        let Ok(cursor) = serde_json::from_str::<Self>(text) else {
            let title = "the place where reading of changes stood can't be read: everything is read again";
            return Err(CallError::new(ErrorClass::Gone, "cursor_unreadable", title));
        };
        let too_old = |kept: Millis| cursor.at < now_us.saturating_sub(kept.saturating_mul(1_000));
        if kept_ms.is_some_and(too_old) {
            let title = "the last look is longer ago than deletions are kept: everything is read again";
            return Err(CallError::new(ErrorClass::Gone, "cursor_too_old", title));
        }
        Ok(cursor)
    }

    /// What changed from here on is looked for: microseconds.
    pub(crate) const fn floor(&self, overlap_ms: Millis) -> i64 {
        self.at.saturating_sub(overlap_ms.saturating_mul(1_000))
    }

    /// After the round: the next one goes on from its beginning. A clock that was set back doesn't read half the past again.
    pub(crate) fn ended(&self, began: i64) -> Self {
        Self::resting(self.at.max(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was(at in any::<i64>(), began in any::<i64>(), id in ".{0,12}", deleted: bool) {
            let behind = Some((json!(at), json!(id)));
            let cursor = Cursor { at, round: Some(Round { began, behind, page: Some(id), deleted }) };
            prop_assert_eq!(Cursor::read(&cursor.text(), at, None), Ok(cursor));
        }

        #[test]
        fn no_round_goes_back(at in any::<i64>(), began in any::<i64>()) {
            prop_assert!(Cursor::resting(at).ended(began).at >= at);
        }
    }

    #[test]
    fn a_cursor_older_than_what_is_kept_asks_for_everything() {
        let text = Cursor::resting(1_000_000).text();
        assert!(Cursor::read(&text, 2_000_000, Some(1_000)).is_ok());
        let error = Cursor::read(&text, 2_000_001, Some(1_000)).unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Gone, "cursor_too_old"));
        assert_eq!(Cursor::read("{}", 0, None).unwrap_err().class, ErrorClass::Gone);
    }
}
