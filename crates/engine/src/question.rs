//! The question to the policy, put the same way when a message is let in and once more just before the call.
//! Must not touch: the answer.

use crate::World;
use crate::directory::Numbers;
use crate::settings::Settings;
use ponte_domain::account::Known;
use ponte_domain::ids::NumberId;
use ponte_domain::job::Class;
use ponte_domain::outbound::Outbound;
use ponte_domain::policy::{ConsentView, Place, Places, Question};
use ponte_domain::ports::store::PolicyView;
use ponte_domain::{Millis, window};
use std::sync::Arc;

/// What the policy is told beside what is stored.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) settings: Arc<Settings>,
    directory: Arc<Numbers>,
    known: Arc<Known>,
    places: Arc<dyn Places>,
}

/// What is stored, and what is wanted.
pub(crate) struct Facts<'a> {
    pub(crate) message: &'a Outbound,
    pub(crate) class: Class,
    pub(crate) now: Millis,
    pub(crate) number: &'a NumberId,
    pub(crate) last_inbound_at: Option<Millis>,
    pub(crate) marketing_stopped_at: Option<Millis>,
    pub(crate) policy: &'a PolicyView,
    /// Digits of the recipient's phone number or WhatsApp id.
    pub(crate) phone: Option<&'a str>,
    pub(crate) number_blocked_until: Option<Millis>,
    /// It asks for consent.
    pub(crate) asks: bool,
}

impl Rules {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            settings: Arc::clone(&world.settings),
            directory: Arc::clone(&world.directory),
            known: world.accounts.known(),
            places: Arc::clone(&world.places),
        }
    }

    pub(crate) fn question<'a>(&'a self, facts: &Facts<'a>) -> Question<'a> {
        let number = self.directory.get(facts.number);
        let brand = number.and_then(|n| n.brand.as_deref());
        let template = facts.message.template_key().zip(number);
        let PolicyView { standings, labels, contacted, recent } = facts.policy;
        Question {
            message: facts.message,
            class: facts.class,
            now: facts.now,
            window_until: facts.last_inbound_at.map(window::closes_at),
            consent: ConsentView::of(facts.marketing_stopped_at, standings, facts.number, brand),
            first_contact: !contacted,
            labels,
            template: template.and_then(|((name, language), n)| self.known.template(&n.waba_id, name, language)),
            sender_named: self.known.is_named(facts.number),
            recent: *recent,
            place: facts.phone.map_or_else(Place::default, |digits| self.places.place_of(digits, facts.now)),
            has_phone: facts.phone.is_some(),
            number_blocked_until: facts.number_blocked_until,
            asks: facts.asks && self.settings.consent.asks_with(facts.message),
            settings: &self.settings.policy,
        }
    }
}
