//! Errors that someone decides on: classes of outside calls, errors of the store, and the one table of public codes.
//! Must not touch: texts in other languages (the console translates codes).

use crate::Millis;
use serde::{Deserialize, Serialize};

/// What an adapter found out about a failed outside call. Decided once, by the adapter that knows the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum ErrorClass {
    /// Will fail the same way again: never retried, goes to a person.
    Permanent,
    /// May succeed later. `after_ms`: what the API asked us to wait, when it did.
    Retryable {
        /// Milliseconds to wait at least.
        after_ms: Option<Millis>,
    },
    /// A limit was met: everything in `scope` waits.
    Throttled {
        /// What has to wait.
        scope: ThrottleScope,
        /// Milliseconds to wait at least.
        after_ms: Option<Millis>,
    },
    /// It may have been done: must be settled before it is tried again.
    UnknownOutcome,
    /// The credentials are no longer good: the account waits and someone is told.
    Auth,
    /// Our own set-up is wrong (missing permission, unknown field): waits for someone to mend it.
    Configuration,
    /// The thing at the other end is gone (deleted, merged): drop the link and match again.
    Gone,
    /// It is there already, under the identifier given, when the API says which.
    Conflict {
        /// The identifier of what is there already.
        existing: Option<String>,
    },
}

/// How far a throttle reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleScope {
    /// Only this recipient (Meta 131056).
    Recipient,
    /// Only this one message and recipient, for long (Meta 131049: per-user marketing limit).
    RecipientMarketing,
    /// The business number (Meta 130429, 131048).
    Number,
    /// The whole account or connection.
    Account,
}

/// A failed outside call, ready to be decided on and to be shown. Holds no personal data and no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {title}")]
pub struct CallError {
    /// What to do about it.
    #[serde(flatten)]
    pub class: ErrorClass,
    /// The API's own code (`131047`, `MISSING_SCOPES`), or one of ours (`timeout`, `connect`, `breaker_open`).
    pub code: String,
    /// The API's title or our own sentence.
    pub title: String,
    /// More, when the API says more.
    pub detail: Option<String>,
    /// HTTP status of the answer, when there was one.
    pub http_status: Option<u16>,
    /// The API's trace id (`fbtrace_id`, `correlationId`), for its support.
    pub trace: Option<String>,
}

impl CallError {
    /// An error with a class, a code and a sentence.
    pub fn new(class: ErrorClass, code: impl Into<String>, title: impl Into<String>) -> Self {
        Self { class, code: code.into(), title: title.into(), detail: None, http_status: None, trace: None }
    }

    /// Adds what the API said beyond the title.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }
}

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Not now: database away, disk full, too busy. Nothing was changed.
    #[error("the database can't do this now: {0}")]
    Unavailable(String),
    /// The database took offence at what it was given: the same would be refused again. Nothing was changed.
    #[error("the database refuses this: {0}")]
    Refused(String),
    /// A lease or fence was lost: another node has taken over. Nothing was changed.
    #[error("the lease was lost to another node")]
    LeaseLost,
    /// What the caller named isn't there.
    #[error("not found: {0}")]
    NotFound(String),
    /// The database holds what this version can't read. A bug or a newer schema.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
}

impl From<StoreError> for CallError {
    /// What the database can't do now may be tried again.
    fn from(error: StoreError) -> Self {
        Self::new(ErrorClass::Retryable { after_ms: None }, "store", error.to_string())
    }
}

/// One public error: stable code, HTTP status, and the page that explains it (`docs/errors/CODE.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicCode {
    /// Stable, snake case.
    pub code: &'static str,
    /// HTTP status of an API answer with this code.
    pub status: u16,
    /// One English sentence.
    pub title: &'static str,
}

macro_rules! public_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $title:literal;)*) => {
        $($(#[$doc])* #[doc = $title] pub const $name: PublicCode = PublicCode { code: $code, status: $status, title: $title };)*
        /// Every public code, for the documentation check.
        pub const PUBLIC_CODES: &[PublicCode] = &[$($name),*];
    };
}

public_codes! {
    INVALID_REQUEST = "invalid_request", 400, "The request can't be read or breaks a limit.";
    UNAUTHENTICATED = "unauthenticated", 401, "A valid API key is needed.";
    NOT_FOUND = "not_found", 404, "There is no such thing.";
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "This address doesn't take this method.";
    NUMBER_UNKNOWN = "number_unknown", 404, "No business number with this id is configured.";
    RECIPIENT_UNKNOWN = "recipient_unknown", 404, "The recipient named is not known.";
    RECIPIENT_INVALID = "recipient_invalid", 400, "The recipient is neither a phone number with country code nor a business-scoped user id.";
    IDEMPOTENCY_CONFLICT = "idempotency_conflict", 409, "This idempotency key was used before for a different message.";
    WINDOW_CLOSED = "window_closed", 422, "The 24-hour service window is closed: only an approved template can be sent.";
    OPTED_OUT = "opted_out", 422, "The recipient has stopped marketing messages.";
    MARKETING_NEEDS_TEMPLATE = "marketing_needs_template", 422, "Marketing messages must be approved templates.";
    NUMBER_BLOCKED = "number_blocked", 422, "WhatsApp has restricted this business number.";
    PHONE_REQUIRED = "phone_required", 422, "This message needs a phone number and the recipient has none.";
    CONSENT_MISSING = "consent_missing", 422, "The recipient has not agreed to marketing messages.";
    FIRST_CONTACT = "first_contact", 422, "The first message to somebody can't be marketing.";
    MESSAGES_REFUSED = "messages_refused", 422, "The recipient wants no messages but answers to their own.";
    RECIPIENT_BLOCKED = "recipient_blocked", 422, "The recipient is labelled as blocked and gets nothing.";
    LABEL_FORBIDS_MARKETING = "label_forbids_marketing", 422, "A label on the recipient forbids marketing messages.";
    RECIPIENT_UNREACHABLE = "recipient_unreachable", 422, "The recipient's number is known not to be on WhatsApp.";
    TEMPLATE_NOT_APPROVED = "template_not_approved", 422, "WhatsApp has not approved this template, or has paused it.";
    SENDER_UNNAMED = "sender_unnamed", 422, "The business number has no name that customers see.";
    COUNTRY_RULE = "country_rule", 422, "Marketing messages to the recipient's country are not sent.";
    TOO_FREQUENT = "too_frequent", 422, "The recipient has had enough marketing messages for now.";
    QUIET_HOURS = "quiet_hours", 422, "It is night where the recipient may be: the message waits.";
    HOOK_TARGET_REFUSED = "hook_target_refused", 422, "Events are not pushed to this address.";
    HOOK_LIMIT = "hook_limit", 422, "There are as many subscriptions as are allowed.";
    UPSTREAM_REFUSED = "upstream_refused", 502, "WhatsApp did not take the request.";
    UNAVAILABLE = "unavailable", 503, "Ponte can't store this safely now. Try again.";
    INTERNAL = "internal", 500, "Something went wrong in Ponte itself.";
}
