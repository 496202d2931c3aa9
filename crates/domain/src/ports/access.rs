//! The port by which a connection gets its right to a CRM: a person is sent to the vendor, says yes, and comes back with a code that
//! is exchanged for tokens.
//! Must not touch: tokens; nothing here shows one.

use crate::Millis;
use crate::error::{CallError, StoreError};
use async_trait::async_trait;
use serde::Serialize;

/// Whether a connection may call its CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// What it signs in with stands in the configuration.
    Configured,
    /// Somebody authorised it.
    Authorised {
        /// When, epoch milliseconds. Another time means another grant.
        since: Millis,
    },
    /// Nobody has authorised it yet, or what was granted was withdrawn at the vendor: it waits and calls nothing.
    Unauthorised {
        /// When the vendor refused what was granted before, epoch milliseconds.
        refused_at: Option<Millis>,
    },
}

impl Standing {
    /// True when the connection may be used.
    #[must_use]
    pub const fn ready(self) -> bool {
        !matches!(self, Self::Unauthorised { .. })
    }

    /// What is wrong and what mends it, in one sentence; `None` when nothing is.
    #[must_use]
    pub fn trouble(self, connection: &str) -> Option<String> {
        match self {
            Self::Configured | Self::Authorised { .. } => None,
            Self::Unauthorised { refused_at: None } => {
                Some(format!("nobody has authorised it yet: run `ponte crm authorize {connection}`"))
            }
            Self::Unauthorised { refused_at: Some(_) } => Some(format!(
                "the CRM no longer takes what was granted (revoked there?): run `ponte crm authorize {connection}`; nothing is lost"
            )),
        }
    }
}

/// What a browser brought back from the vendor.
#[derive(Clone, Default)]
pub struct Callback {
    /// The word that was sent along.
    pub state: Option<String>,
    /// The code to exchange.
    pub code: Option<String>,
    /// The vendor's code for a refusal, such as `access_denied`.
    pub error: Option<String>,
    /// Zoho: the accounts server of the person's data centre.
    pub accounts_server: Option<String>,
}

/// A grant that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Granted {
    /// Scopes that were asked for and not given.
    pub missing_scopes: Vec<String>,
}

/// Why there is no grant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccessError {
    /// The state is wrong, was used before, or is older than ten minutes.
    #[error("this authorisation was begun too long ago, elsewhere, or is used already: begin again")]
    Stale,
    /// The person, or the vendor on their behalf, said no.
    #[error("the CRM says that it was not allowed ({0})")]
    Refused(String),
    /// The vendor did not take the code.
    #[error("{0}")]
    Call(#[from] CallError),
    /// It can't be kept.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// How one connection gets its right to its CRM.
#[async_trait]
pub trait Access: Send + Sync {
    /// Whether it has it. Asks the store, never the vendor.
    ///
    /// # Errors
    /// When the store can't say.
    async fn standing(&self) -> Result<Standing, StoreError>;

    /// Begins: the address at the vendor where a person says yes. Good for ten minutes and one answer; beginning again ends what was
    /// begun before. `redirect_uri`: where the vendor sends the person back to, as registered there.
    ///
    /// # Errors
    /// When the store can't keep it.
    async fn begin(&self, redirect_uri: &str, now: Millis) -> Result<String, AccessError>;

    /// Ends what was begun: exchanges the code and keeps what it gives, durable when this returns.
    ///
    /// # Errors
    /// Why there is no grant. A state of another authorisation spoils nothing.
    async fn finish(&self, callback: Callback, now: Millis) -> Result<Granted, AccessError>;

    /// Exchanges a code that was copied by hand: of what was begun last, or one that the vendor's console made (Zoho's self client).
    ///
    /// # Errors
    /// As [`Access::finish`].
    async fn finish_with(&self, code: &str, now: Millis) -> Result<Granted, AccessError>;

    /// Withdraws the grant at the vendor and forgets it. False when there was none.
    ///
    /// # Errors
    /// When the vendor can't be reached: then nothing is forgotten.
    async fn withdraw(&self) -> Result<bool, AccessError>;
}
