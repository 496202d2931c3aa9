//! What WhatsApp says of a business account: its templates, and the state of its numbers. Read from the API, kept, and asked by
//! the policy. Words of Meta's that may grow stay text.
//! Must not touch: how it is read and kept.

use crate::ids::NumberId;
use crate::policy::TemplateFacts;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// A template in one language, as WhatsApp keeps it (facts 5.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its account.
    pub waba_id: String,
    /// Name: lower-case letters, digits, `_`.
    pub name: String,
    /// Language, with an underscore: `en_US`.
    pub language: String,
    /// Meta's id.
    pub id: String,
    /// `MARKETING`, `UTILITY`, `AUTHENTICATION`.
    pub category: String,
    /// `APPROVED`, `PENDING`, `REJECTED`, `PAUSED`, `DISABLED` …
    pub status: String,
    /// `GREEN`, `YELLOW`, `RED`, `UNKNOWN`.
    pub quality: Option<String>,
    /// Why it was rejected.
    pub rejected_reason: Option<String>,
    /// What it looks like, JSON.
    pub components: String,
}

impl Template {
    /// What the policy needs to know.
    #[must_use]
    pub fn facts(&self) -> TemplateFacts {
        TemplateFacts { approved: self.status == "APPROVED", marketing: self.category == "MARKETING" }
    }
}

/// Webhooks write `en-US` where the API writes `en_US` (facts 2.6).
#[must_use]
pub fn template_language(text: &str) -> String {
    text.replace('-', "_")
}

/// The state of a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberState {
    /// Meta's `phone_number_id`.
    pub number: NumberId,
    /// The number as people write it.
    pub display: Option<String>,
    /// The registered business name that customers see.
    pub verified_name: Option<String>,
    /// `APPROVED`, `AVAILABLE_WITHOUT_REVIEW`, `DECLINED`, `EXPIRED`, `PENDING_REVIEW`, `NONE` …
    pub name_status: Option<String>,
    /// `GREEN`, `YELLOW`, `RED`, `UNKNOWN`.
    pub quality: Option<String>,
    /// `CONNECTED`, `FLAGGED`, `RESTRICTED` …
    pub status: Option<String>,
    /// How many people a day the portfolio may write to first.
    pub messaging_limit: Option<String>,
}

impl NumberState {
    /// Whether customers see who writes: there is a name, and it wasn't turned down. `None` when WhatsApp doesn't tell.
    #[must_use]
    pub fn is_named(&self) -> Option<bool> {
        let name = self.verified_name.as_deref()?;
        let refused = matches!(self.name_status.as_deref(), Some("DECLINED" | "EXPIRED" | "NONE"));
        Some(!name.trim().is_empty() && !refused)
    }
}

/// Everything that is known of the accounts, for quick questions.
#[derive(Debug, Clone, Default)]
pub struct Known {
    read: HashSet<String>,
    templates: HashMap<String, HashMap<(String, String), TemplateFacts>>,
    numbers: HashMap<NumberId, Option<bool>>,
}

impl Known {
    /// From what is kept. `read`: accounts whose templates were read at least once.
    #[must_use]
    pub fn new(read: impl IntoIterator<Item = String>, templates: &[Template], numbers: &[NumberState]) -> Self {
        let mut known = Self { read: read.into_iter().collect(), ..Self::default() };
        for template in templates {
            let key = (template.name.clone(), template.language.clone());
            known.templates.entry(template.waba_id.clone()).or_default().insert(key, template.facts());
        }
        known.numbers = numbers.iter().map(|n| (n.number.clone(), n.is_named())).collect();
        known
    }

    /// What is known of a template. `None` while the account's templates were never read; a template that isn't among them
    /// is not approved.
    #[must_use]
    pub fn template(&self, waba_id: &str, name: &str, language: &str) -> Option<TemplateFacts> {
        if !self.read.contains(waba_id) {
            return None;
        }
        let key = (name.to_owned(), template_language(language));
        let found = self.templates.get(waba_id).and_then(|all| all.get(&key)).copied();
        Some(found.unwrap_or(TemplateFacts { approved: false, marketing: false }))
    }

    /// Whether a number has a name that customers see; `None`: not known.
    #[must_use]
    pub fn is_named(&self, number: &NumberId) -> Option<bool> {
        self.numbers.get(number).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(name: &str, language: &str, status: &str, category: &str) -> Template {
        Template {
            waba_id: "1".into(),
            name: name.into(),
            language: language.into(),
            id: "9".into(),
            category: category.into(),
            status: status.into(),
            quality: None,
            rejected_reason: None,
            components: "[]".into(),
        }
    }

    #[test]
    fn a_template_is_approved_marketing_or_not_there() {
        let all = [template("sale", "en_US", "APPROVED", "MARKETING"), template("code", "en", "PAUSED", "UTILITY")];
        let known = Known::new(["1".to_owned()], &all, &[]);
        let facts = |approved, marketing| Some(TemplateFacts { approved, marketing });
        assert_eq!(known.template("1", "sale", "en_US"), facts(true, true));
        assert_eq!(known.template("1", "sale", "en-US"), facts(true, true));
        assert_eq!(known.template("1", "code", "en"), facts(false, false));
        assert_eq!(known.template("1", "sale", "pt_BR"), facts(false, false), "not in this language");
        assert_eq!(known.template("2", "sale", "en_US"), None, "that account was never read");
    }

    #[test]
    fn a_name_counts_unless_it_was_turned_down() {
        let state = |name: Option<&str>, status: Option<&str>| NumberState {
            number: "5".into(),
            display: None,
            verified_name: name.map(Into::into),
            name_status: status.map(Into::into),
            quality: None,
            status: None,
            messaging_limit: None,
        };
        assert_eq!(state(Some("Shop"), Some("APPROVED")).is_named(), Some(true));
        assert_eq!(state(Some("Shop"), Some("PENDING_REVIEW")).is_named(), Some(true));
        assert_eq!(state(Some("Shop"), Some("DECLINED")).is_named(), Some(false));
        assert_eq!(state(Some(" "), None).is_named(), Some(false));
        assert_eq!(state(None, Some("APPROVED")).is_named(), None);
        let known = Known::new([], &[], &[state(Some("Shop"), None)]);
        assert_eq!((known.is_named(&"5".into()), known.is_named(&"6".into())), (Some(true), None));
    }
}
