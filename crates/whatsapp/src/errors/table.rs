//! Meta's error codes and what each means for us, as data. Facts: whatsapp-api 6.2.

use ponte_domain::error::{ErrorClass, ThrottleScope};
use ponte_domain::{DAY, HOUR, MINUTE, Millis, SECOND};

/// How the fact sheet sorts a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// Retry soon with backoff.
    Retry,
    /// Wait, for the time given where one is known.
    Wait,
    /// Permanent for this message.
    Permanent,
    /// The account, number or its set-up: stop and tell someone.
    Account,
    /// A mistake of the caller or of the configuration.
    Caller,
}

/// What to do, in the domain's words but fit for a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Do {
    Never,
    Again(Option<Millis>),
    Hold(ThrottleScope, Option<Millis>),
    Token,
    Mend,
}

/// One row: a range of codes that mean the same for us.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// First code.
    pub first: i64,
    /// Last code, the same as `first` for a single one.
    pub last: i64,
    /// How the fact sheet sorts it.
    pub letter: Letter,
    todo: Do,
    /// What it means, in our words: holds no personal data, unlike Meta's texts.
    pub meaning: &'static str,
}

impl Row {
    /// What to do about it.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self.todo {
            Never => ErrorClass::Permanent,
            Again(after_ms) => ErrorClass::Retryable { after_ms },
            Hold(scope, after_ms) => ErrorClass::Throttled { scope, after_ms },
            Token => ErrorClass::Auth,
            Mend => ErrorClass::Configuration,
        }
    }
}

/// The row of a code, when it is known.
#[must_use]
pub fn row(code: i64) -> Option<&'static Row> {
    TABLE.iter().find(|row| (row.first..=row.last).contains(&code))
}

use Do::{Again, Hold, Mend, Never, Token};
use Letter::{Account as A, Caller as C, Permanent as P, Retry as R, Wait as W};
use ThrottleScope::{Account as WholeAccount, Number, Recipient, RecipientMarketing};

const fn one(code: i64, letter: Letter, todo: Do, meaning: &'static str) -> Row {
    Row { first: code, last: code, letter, todo, meaning }
}

const fn span(first: i64, last: i64, letter: Letter, todo: Do, meaning: &'static str) -> Row {
    Row { first, last, letter, todo, meaning }
}

/// Every code of the fact sheet. Rows don't overlap.
pub const TABLE: &[Row] = &[
    one(0, A, Token, "the access token can't be used"),
    one(1, R, Again(None), "unknown error or bad request"),
    one(2, R, Again(None), "the service is overloaded"),
    one(3, A, Mend, "the app lacks a capability or permission"),
    one(4, W, Hold(WholeAccount, None), "the app's request limit is reached"),
    one(10, A, Mend, "a permission is missing or was removed"),
    one(33, A, Mend, "the business number is unknown or was deleted"),
    one(100, P, Never, "a parameter is invalid"),
    one(190, A, Token, "the access token is invalid or has expired"),
    span(200, 299, A, Mend, "a permission is missing, or the account isn't assigned to the token"),
    one(368, A, Mend, "the account is restricted for breaking a policy"),
    one(613, W, Hold(Number, None), "too many requests for permission to call"),
    one(80007, W, Hold(WholeAccount, None), "the account's request limit is reached"),
    one(130403, P, Never, "the person is blocked by the business"),
    one(130429, R, Hold(Number, None), "the number's throughput is reached"),
    one(130472, P, Never, "the person is part of an experiment of Meta's"),
    one(130497, P, Never, "the account may not write to people in this country"),
    one(131000, R, Again(None), "something went wrong at Meta's"),
    one(131005, A, Mend, "access denied: a permission is missing"),
    one(131008, P, Never, "a required parameter is missing"),
    one(131009, P, Never, "a parameter has an invalid value"),
    one(131016, R, Again(None), "a service is unavailable"),
    one(131020, P, Never, "the group has no other member"),
    one(131021, P, Never, "recipient and sender are the same"),
    one(131026, P, Never, "the message can't be delivered to this person"),
    one(131030, C, Never, "the recipient is not on the list of the test number"),
    one(131031, A, Mend, "the account is locked"),
    one(131037, A, Mend, "the number's display name isn't approved"),
    one(131041, P, Never, "the group is unknown"),
    one(131042, A, Mend, "there is a problem with the payment method"),
    one(131044, A, Mend, "there is a problem with the payment method"),
    one(131045, A, Mend, "the number isn't registered rightly"),
    one(131047, P, Never, "the 24-hour window is closed"),
    one(131048, W, Hold(Number, Some(4 * HOUR)), "the number sends too much that is reported as spam"),
    one(131049, W, Hold(RecipientMarketing, Some(DAY)), "the person has received enough marketing for now"),
    one(131050, P, Never, "the person has stopped marketing messages"),
    one(131051, P, Never, "the message type is not supported"),
    one(131052, P, Never, "the file could not be downloaded"),
    one(131053, P, Never, "the file could not be uploaded"),
    one(131055, C, Never, "not allowed on the Marketing Messages API"),
    one(131056, W, Hold(Recipient, None), "too many messages to this person in a short time"),
    one(131057, R, Again(Some(60 * SECOND)), "the number is under maintenance"),
    one(131059, C, Never, "the paging cursor is invalid"),
    one(131060, P, Never, "the message is not available"),
    one(131061, C, Never, "this template needs the Marketing Messages API"),
    one(131062, P, Never, "this template needs a phone number"),
    one(131063, C, Never, "marketing through this API is switched off"),
    one(131064, W, Never, "the limit for templates of a wrong category is reached"),
    span(131201, 131207, P, Never, "the group can't be written to"),
    one(131208, W, Hold(Number, None), "too many requests about groups"),
    span(131209, 131215, P, Never, "the group can't be written to"),
    one(132000, P, Never, "the number of template parameters is wrong"),
    one(132001, P, Never, "the template doesn't exist in this language or isn't approved"),
    one(132005, P, Never, "the template with its parameters is too long"),
    one(132007, P, Never, "the template breaks a content policy"),
    one(132008, P, Never, "a template parameter has a wrong value"),
    one(132012, P, Never, "a template parameter has a wrong format"),
    one(132015, P, Never, "the template is paused"),
    one(132016, P, Never, "the template is disabled"),
    one(132018, P, Never, "a template parameter is invalid"),
    one(132021, C, Never, "the template name is taken"),
    one(132068, P, Never, "the flow is blocked"),
    one(132069, W, Again(Some(HOUR)), "the flow is throttled"),
    one(133000, C, Never, "the number's deregistration is half done"),
    one(133004, R, Again(None), "the registration server is unavailable"),
    one(133005, C, Never, "the PIN is wrong"),
    one(133006, C, Never, "the number must be verified before it is registered"),
    span(133008, 133009, W, Again(Some(HOUR)), "too many or too fast guesses of the PIN"),
    one(133010, A, Mend, "the number isn't registered"),
    one(133015, W, Again(Some(5 * MINUTE)), "the number was deleted a moment ago"),
    one(133016, W, Again(Some(72 * HOUR)), "the number was registered or deregistered too often"),
    one(134011, A, Mend, "the payments terms aren't accepted"),
    one(134100, C, Never, "not a marketing template"),
    one(134101, W, Again(Some(10 * MINUTE)), "the template isn't synchronised yet"),
    one(134102, A, Mend, "the Marketing Messages API isn't available to this account"),
    one(135000, P, Never, "a parameter is wrong"),
    one(136024, C, Never, "the number is verified already"),
    one(137000, P, Never, "the person's identity key has changed"),
    span(138000, 138018, P, Never, "calls are not supported"),
    span(139000, 139004, C, Never, "the flow can't be managed like this"),
    span(139100, 139101, P, Never, "the block list could not be changed"),
    span(139102, 139103, R, Again(None), "the block list is busy"),
    span(147001, 147005, C, Never, "the username can't be used"),
    span(200005, 200007, C, Never, "template insights aren't available"),
    one(2388001, C, Never, "the number can't be migrated"),
    one(2388012, C, Never, "the number can't be migrated"),
    one(2388019, P, Never, "the account has as many templates as it may"),
    one(2388040, P, Never, "a part of the template is too long"),
    one(2388047, P, Never, "the template's header is wrong"),
    one(2388072, P, Never, "the template's body is wrong"),
    one(2388073, P, Never, "the template's footer is wrong"),
    one(2388091, C, Never, "the number can't be migrated"),
    one(2388093, C, Never, "the number can't be migrated"),
    one(2388103, C, Never, "the number can't be migrated"),
    one(2388293, P, Never, "the template has too many parameters for its length"),
    one(2388299, P, Never, "a template may not start or end with a parameter"),
    one(2494100, R, Again(None), "the number is being migrated"),
    span(2593107, 2593109, P, Never, "the history can't be synchronised"),
];
