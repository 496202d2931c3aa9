//! # Policy
//! Purpose: the policy of the send gate: may this message go to this person now? Asked once to let a message in and once more
//! just before the call. A refusal names its rule; [`explain`] tells every rule. Requirement R11.
//! May touch: the values passed in.
//! Must not touch: how they were found. What isn't known here is said to be unknown, never guessed.
//! Failure story: none. No flag switches a rule off; settings move limits only.

mod places;
mod rules;
mod settings;

pub use places::{Offsets, Place, Places};
pub use settings::{PolicySettings, QuietHours};

use crate::Millis;
use crate::consent::{ScopeKind, Standing, Standings};
use crate::error::PublicCode;
use crate::ids::NumberId;
use crate::job::Class;
use crate::outbound::Outbound;
use crate::profile::Label;
use serde::Serialize;

/// What is known of a person's will, for one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsentView {
    /// When the person stopped marketing messages in WhatsApp (preference notice, error 131050); `None` when they didn't, or
    /// resumed since.
    pub marketing_stopped_at: Option<Millis>,
    /// What the ledger says about marketing from this number.
    pub marketing: Standing,
    /// What the ledger says about transactional messages from this number.
    pub transactional: Standing,
}

impl ConsentView {
    /// What the ledger says for one number and its brand.
    #[must_use]
    pub fn of(stopped_at: Option<Millis>, standings: &Standings, number: &NumberId, brand: Option<&str>) -> Self {
        Self {
            marketing_stopped_at: stopped_at,
            marketing: standings.on(ScopeKind::Marketing, number, brand),
            transactional: standings.on(ScopeKind::Transactional, number, brand),
        }
    }
}

/// What is known of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateFacts {
    /// Approved, and neither paused nor disabled.
    pub approved: bool,
    /// Meta's category is MARKETING, whatever the caller says.
    pub marketing: bool,
}

/// Marketing messages to the person: on their way, or taken by WhatsApp within the time. Without the one asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// In the last 24 hours.
    pub day: u32,
    /// In the last 7 days.
    pub week: u32,
}

/// All that the decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What is to be sent.
    pub message: &'a Outbound,
    /// Why it is sent, as the caller says.
    pub class: Class,
    /// The time of the decision.
    pub now: Millis,
    /// End of the service window, when the person ever wrote.
    pub window_until: Option<Millis>,
    /// What is known of the person's will.
    pub consent: ConsentView,
    /// The person never wrote, and WhatsApp never took a message for them.
    pub first_contact: bool,
    /// The person's labels.
    pub labels: &'a [Label],
    /// What is known of the template; `None`: nothing here.
    pub template: Option<TemplateFacts>,
    /// Whether the number has a name that customers see; `None`: not known here.
    pub sender_named: Option<bool>,
    /// Marketing messages before this one.
    pub recent: Recent,
    /// Where the recipient may be.
    pub place: Place,
    /// The person can be reached by phone number.
    pub has_phone: bool,
    /// WhatsApp restricted the number until then.
    pub number_blocked_until: Option<Millis>,
    /// It asks for consent, in the words that were configured. Meta may call the template of such a question marketing; here it
    /// is what comes before.
    pub asks: bool,
    /// Limits.
    pub settings: &'a PolicySettings,
}

impl Question<'_> {
    /// Marketing by what the caller says, or by what Meta says of the template, unless it asks for consent.
    #[must_use]
    pub fn is_marketing(&self) -> bool {
        self.class == Class::Marketing || (self.template.is_some_and(|t| t.marketing) && !self.asks)
    }

    fn in_window(&self) -> bool {
        crate::window::is_open(self.window_until, self.now)
    }

    fn has_label(&self, label: Label) -> bool {
        self.labels.contains(&label)
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may go.
    Allow,
    /// Not before this time, by this rule.
    Defer(Millis, PublicCode),
    /// It may not go, by this rule.
    Deny(PublicCode),
}

/// What one rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing against it.
    Pass,
    /// The rule isn't about such a message.
    NotAsked,
    /// The rule can't be applied, because this isn't known here.
    Unknown(&'static str),
    /// Not before this time.
    Defer(Millis, PublicCode),
    /// No.
    Deny(PublicCode),
}

/// A rule and what it says, for people and programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// The rule's name.
    pub rule: &'static str,
    /// `pass`, `not_asked`, `unknown`, `defer` or `deny`.
    pub result: &'static str,
    /// The public code of a defer or deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Until when it is deferred, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// A sentence: what the code means, or what isn't known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// Decides. The first rule that says no is final; of those that say later, the latest counts.
#[must_use]
pub fn decide(q: &Question<'_>) -> Decision {
    let mut decision = Decision::Allow;
    for (_, rule) in rules::ALL {
        match rule(q) {
            Finding::Deny(code) => return Decision::Deny(code),
            Finding::Defer(until, code) => {
                let later = !matches!(decision, Decision::Defer(known, _) if known >= until);
                if later {
                    decision = Decision::Defer(until, code);
                }
            }
            Finding::Pass | Finding::NotAsked | Finding::Unknown(_) => {}
        }
    }
    decision
}

/// Every rule with what it says, in the order in which they decide.
#[must_use]
pub fn explain(q: &Question<'_>) -> Vec<Looked> {
    let look = |(name, rule): &(&'static str, rules::Rule)| {
        let (result, code, until, why) = match rule(q) {
            Finding::Pass => ("pass", None, None, None),
            Finding::NotAsked => ("not_asked", None, None, None),
            Finding::Unknown(what) => ("unknown", None, None, Some(what)),
            Finding::Defer(until, code) => ("defer", Some(code), Some(until), Some(code.title)),
            Finding::Deny(code) => ("deny", Some(code), None, Some(code.title)),
        };
        Looked { rule: name, result, code: code.map(|c| c.code), until, why }
    };
    rules::ALL.iter().map(look).collect()
}

#[cfg(test)]
mod tests;
