//! What of the consent flow can be set, with its defaults. The configuration file has the reasons.

use super::words::Words;
use crate::account::template_language;
use crate::outbound::Outbound;
use crate::{HOUR, Millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The words of a question inside the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskTexts {
    /// The question: the exact text shown is kept as proof.
    pub text: String,
    /// Button that agrees, at most 20 characters.
    pub yes: String,
    /// Button that refuses, at most 20 characters.
    pub no: String,
}

/// A template of yours that asks outside the window: two quick-reply buttons, yes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskTemplate {
    /// Name at Meta's.
    pub name: String,
    /// Language code at Meta's, `en_US`.
    pub language: String,
    /// Its text, word for word: kept as proof, because Ponte doesn't know it otherwise.
    pub text: String,
}

/// Settings of the consent flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentSettings {
    /// Words that withdraw and confirm.
    pub words: Words,
    /// How long an answer to a question counts, milliseconds.
    pub confirm_within_ms: Millis,
    /// When to ask once more, milliseconds after the question; 0: never.
    pub remind_after_ms: Millis,
    /// What a person who withdrew by a word is answered, by language; no text, no answer. `en` stands in for what is missing.
    pub acknowledge: BTreeMap<String, String>,
    /// The question inside the window, by language.
    pub ask: BTreeMap<String, AskTexts>,
    /// The question outside the window; `None`: nobody is asked there.
    pub ask_template: Option<AskTemplate>,
}

impl Default for ConsentSettings {
    fn default() -> Self {
        let acknowledge =
            [("en", "You will get no more offers from us. Answers and news about your orders still reach you.")];
        let ask = AskTexts {
            text: "May we send you offers on WhatsApp? You can stop them at any time by writing STOP.".to_owned(),
            yes: "Yes, please".to_owned(),
            no: "No, thanks".to_owned(),
        };
        Self {
            words: Words::default(),
            confirm_within_ms: 72 * HOUR,
            remind_after_ms: 24 * HOUR,
            acknowledge: acknowledge.map(|(l, t)| (l.to_owned(), t.to_owned())).into(),
            ask: [("en".to_owned(), ask)].into(),
            ask_template: None,
        }
    }
}

impl ConsentSettings {
    /// Whether a message is the configured question for outside the window: the one template that may be of the category
    /// MARKETING without an opt-in. Any other would be a way around it.
    #[must_use]
    pub fn asks_with(&self, message: &Outbound) -> bool {
        let asked = self.ask_template.as_ref().map(|t| (t.name.as_str(), template_language(&t.language)));
        asked.is_some() && asked == message.template_key().map(|(name, language)| (name, template_language(language)))
    }

    /// The acknowledgement in this language, else in English; `None` when none is wanted.
    #[must_use]
    pub fn acknowledgement(&self, language: &str) -> Option<&str> {
        let found = self.acknowledge.get(language).or_else(|| self.acknowledge.get("en"));
        found.map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    /// The question in this language, else in English.
    #[must_use]
    pub fn question(&self, language: &str) -> Option<&AskTexts> {
        self.ask.get(language).or_else(|| self.ask.get("en"))
    }
}
