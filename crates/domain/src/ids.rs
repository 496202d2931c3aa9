//! Identifiers: ours are typed and prefixed outside (`msg_…`), Meta's are opaque strings that are never derived from one
//! another (whatsapp-api facts 1.2).
//! Must not touch: chance. A new identifier takes its bits from [`IdSource`].

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use uuid::Uuid;

/// The tenant. First in every key of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkspaceId(pub i64);

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An identifier that is written differently from how it is stored could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of this kind: expected `{expected}` followed by 32 hexadecimal digits")]
pub struct BadId {
    /// The prefix that was expected.
    pub expected: &'static str,
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What the text form starts with.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix($prefix)
                    .filter(|rest| rest.len() == 32)
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or(BadId { expected: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

prefixed_id!(
    /// A person, whatever number of identifiers they have.
    PersonId,
    "per_"
);
prefixed_id!(
    /// One person's thread with one of our numbers.
    ConversationId,
    "cnv_"
);
prefixed_id!(
    /// One message, inbound or outbound. Travels in `biz_opaque_callback_data` of every send.
    MessageId,
    "msg_"
);
prefixed_id!(
    /// One media file that came in or goes out.
    MediaId,
    "med_"
);
prefixed_id!(
    /// One job that was given up and waits for a person.
    DeadLetterId,
    "dlt_"
);

prefixed_id!(
    /// One entry of the consent ledger.
    ConsentId,
    "cst_"
);
prefixed_id!(
    /// One subscription to events.
    HookId,
    "sub_"
);
prefixed_id!(
    /// One event, as it is pushed to subscribers. See [`EventId::of`].
    EventId,
    "evt_"
);

impl EventId {
    /// The public identifier of a stored event: its time (epoch milliseconds) and its place. With the time in it, a database that
    /// was restored from a backup gives no second event an identifier that subscribers have seen.
    #[must_use]
    pub const fn of(at: crate::Millis, seq: i64) -> Self {
        Self(Uuid::from_u64_pair(at.cast_unsigned(), seq.cast_unsigned()))
    }

    /// The place of the event with this identifier.
    #[must_use]
    pub const fn seq(self) -> i64 {
        self.0.as_u64_pair().1.cast_signed()
    }
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// The text as given by its owner.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id!(
    /// Meta's `phone_number_id`: one of our business numbers. Inbound updates are routed by it.
    NumberId
);
opaque_id!(
    /// Meta's message id, `wamid.…`.
    Wamid
);
opaque_id!(
    /// Name of a CRM connection, as configured.
    ConnectionId
);

/// Where new identifiers come from. Passed in, so that a run can be repeated.
pub trait IdSource: Send + Sync {
    /// A new identifier, unique, and sorting by time where the source can.
    fn next(&self) -> Uuid;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_refuses_other_kinds() {
        let id = MessageId(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        assert!(id.to_string().parse::<PersonId>().is_err());
        assert!("msg_12".parse::<MessageId>().is_err());
        assert!("msg_{0192b3c4-0000-7000-8000-000000000000}".parse::<MessageId>().is_err());
    }
}
