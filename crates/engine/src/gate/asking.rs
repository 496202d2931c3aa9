//! A question for consent on its way through the gate: what it becomes outside the window, whom it may not reach, and what is
//! kept of it once it is in.

use super::{Room, Wish};
use ponte_domain::Millis;
use ponte_domain::consent::{Action, Entry, OpenRequest, Proof, Scope, ScopeKind, Source};
use ponte_domain::ids::{ConsentId, MessageId, PersonId};
use ponte_domain::job::Class;
use ponte_domain::outbound::Outbound;
use ponte_domain::policy::Question;
use ponte_domain::ports::store::AdmitView;
use ponte_domain::window;

/// What makes a wish a question for consent, or its reminder.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) request: ConsentId,
    pub(crate) scope: Scope,
    /// The text shown inside the window.
    pub(crate) text: String,
    /// What is sent outside the window instead, and the text shown there.
    pub(crate) outside: Option<(Outbound, String)>,
    /// Asked before: nothing is added to the ledger.
    pub(crate) again: bool,
    /// How to ask once more, JSON.
    pub(crate) again_as: String,
    pub(crate) by: String,
}

impl Wish {
    /// A question for consent as it goes out when the window is closed.
    pub(super) fn outside_the_window(&self, view: &AdmitView, now: Millis) -> Option<Self> {
        let asking = self.asking.as_ref()?;
        let (message, text) = asking.outside.clone()?;
        let until = view.conversation.as_ref().and_then(|c| c.last_inbound_at).map(window::closes_at);
        if window::is_open(until, now) {
            return None;
        }
        let asking = Some(Asking { text, ..asking.clone() });
        Some(Self { message, asking, class: Class::Transactional, ..self.clone() })
    }
}

/// Who refused is asked again only while they talk with us, and never reminded.
pub(super) fn refuses_questions(asking: &Asking, q: &Question<'_>) -> bool {
    let standing = match asking.scope.kind {
        ScopeKind::Marketing => q.consent.marketing,
        ScopeKind::Transactional => q.consent.transactional,
    };
    let refused = standing.is_withdrawn() || q.consent.marketing_stopped_at.is_some();
    refused && (asking.again || !window::is_open(q.window_until, q.now))
}

impl Room<'_> {
    /// The word in the ledger and the open question.
    pub(super) fn asked(
        &self,
        wish: &Wish,
        asking: &Asking,
        person: PersonId,
        message: MessageId,
    ) -> (Entry, OpenRequest) {
        let consent = &self.rules.settings.consent;
        let until = self.now + consent.confirm_within_ms;
        let remind_at = Some(self.now + consent.remind_after_ms).filter(|at| *at > self.now && *at < until);
        let proof = Proof {
            text_shown: Some(asking.text.clone()),
            message_id: Some(message),
            user: Some(asking.by.clone()),
            ..Proof::default()
        };
        let entry = Entry {
            id: asking.request,
            person,
            scope: asking.scope.clone(),
            action: Action::Requested,
            source: Source::System,
            proof,
            at: self.now,
            until: Some(until),
            said_by: asking.by.clone(),
        };
        let request = OpenRequest {
            id: asking.request,
            person,
            scope: asking.scope.clone(),
            number: wish.number.clone(),
            asked_at: self.now,
            remind_at,
            expires_at: until,
            message: asking.again_as.clone(),
        };
        (entry, request)
    }
}
