//! Telling why: what the policy says to a wish, rule by rule, for people, programs and the record of the message.

use super::{SendRequest, facts, prepare};
use crate::World;
use crate::question::Rules;
use ponte_domain::Millis;
use ponte_domain::error::{INVALID_REQUEST, PublicCode, RECIPIENT_UNKNOWN, StoreError};
use ponte_domain::job::Class;
use ponte_domain::policy::{Decision, Looked, Question, decide, explain as explain_rules};
use ponte_domain::ports::store::{Admission, AdmitFn, Answer};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// What the policy would say, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// `allow`, `defer` or `deny`.
    pub decision: &'static str,
    /// The code of a defer or deny.
    pub code: Option<&'static str>,
    /// Until when it would wait, epoch milliseconds.
    pub until: Option<Millis>,
    /// Every rule, in the order in which they decide.
    pub rules: Vec<Looked>,
}

/// A wish that can't be put to the policy at all: the code and more in English.
pub type Unanswerable = (PublicCode, Option<String>);

/// Tells what the gate would say to a wish, and why. Nothing is stored, nothing is sent.
///
/// # Errors
/// When the store can't.
pub async fn explain(world: &World, request: SendRequest) -> Result<Result<Explained, Unanswerable>, StoreError> {
    let request = SendRequest { idempotency_key: None, ..request };
    let (key, wish) = match prepare(world, request, None) {
        Ok(prepared) => prepared,
        Err(Answer::Refused { rule, detail, .. }) => return Ok(Err((rule, detail))),
        Err(_) => return Ok(Err((INVALID_REQUEST, None))),
    };
    let found: Arc<Mutex<Option<Result<Explained, Unanswerable>>>> = Arc::default();
    let (keep, now, rules) = (Arc::clone(&found), world.clock.now(), Rules::of(world));
    let decide: AdmitFn = Arc::new(move |views| {
        let said = views.first().map(|view| {
            if wish.by_id && view.person.is_none() {
                return Err((RECIPIENT_UNKNOWN, None));
            }
            let question = rules.question(&facts(&wish, view, now));
            let (decision, code, until) = match decide(&question) {
                Decision::Allow => ("allow", None, None),
                Decision::Defer(until, code) => ("defer", Some(code.code), Some(until)),
                Decision::Deny(code) => ("deny", Some(code.code), None),
            };
            Ok(Explained { decision, code, until, rules: explain_rules(&question) })
        });
        *keep.lock().unwrap_or_else(PoisonError::into_inner) = said;
        views.iter().map(|_| Admission::default()).collect()
    });
    world.store.admit(world.workspace, now, vec![key], decide).await?;
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    found.map_or_else(|| Err(StoreError::NotFound("the request was not looked at".to_owned())), Ok)
}

/// The decision as it is kept with the message: replies say only that they may go.
pub(super) fn record_of(q: &Question<'_>, decision: Decision) -> Value {
    match decision {
        Decision::Allow if q.class == Class::Reply => json!({ "decision": "allow" }),
        Decision::Allow => {
            let looked = explain_rules(q);
            let unknown: Vec<&str> = looked.iter().filter(|l| l.result == "unknown").map(|l| l.rule).collect();
            json!({ "decision": "allow", "unknown": unknown })
        }
        Decision::Defer(until, code) => json!({ "decision": "defer", "code": code.code, "until": until }),
        Decision::Deny(code) => json!({ "decision": "deny", "code": code.code, "rules": explain_rules(q) }),
    }
}
