//! # Consent
//! Purpose: the ledger of what people allowed and withdrew, what follows from it for one message, and the words and buttons by
//! which people say so. Pure.
//! May touch: the values passed in.
//! Must not touch: how the ledger is kept, when anyone is asked. Whether a message may go is the policy's business.
//! Failure story: none. Entries are a set: in whatever order and however often they come, the same stands in the end.

mod ledger;
mod settings;
mod words;

pub use ledger::{
    Action, Draft, Entry, InvalidEntry, OpenRequest, Proof, Scope, ScopeKind, ScopeOf, Source, Standing, Standings,
    Thanks, entry_id, fold,
};
pub use settings::{AskTemplate, AskTexts, ConsentSettings};
pub use words::{Button, Said, Words, button_id, button_of, is_question};
