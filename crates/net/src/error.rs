//! What went wrong on the way, and the one place that decides what it means for a call.
//! Failure story: the difference that matters is whether anything can have reached the other side. When in doubt, it has.

use crate::policy::Refusal;
use ponte_domain::error::{CallError, ErrorClass};

/// A call that got no usable answer. Texts hold no URL, no header and no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The address policy doesn't allow it. Nothing was sent.
    #[error("refused by the address policy: {0}")]
    Refused(Refusal),
    /// The request itself can't be made (bad URL, header or body). Nothing was sent.
    #[error("the request can't be made: {0}")]
    Invalid(String),
    /// The name could not be resolved. Nothing was sent.
    #[error("the host name could not be resolved")]
    Dns,
    /// No connection. Nothing was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// No secured connection (certificate, protocol). Nothing was sent.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// Time was up before anything was sent.
    #[error("time was up before the request was sent")]
    TimeoutBefore,
    /// Time was up after the request was, or may have been, sent.
    #[error("time was up after the request was sent")]
    TimeoutAfter,
    /// The connection broke after the request was, or may have been, sent.
    #[error("the connection broke after the request was sent: {0}")]
    Broken(String),
    /// The answer is larger than allowed. The request was carried out.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More redirects than allowed, or one that isn't followed (from https to http, without a target).
    #[error("a redirect was not followed: {0}")]
    Redirect(String),
}

impl NetError {
    /// True when the other side can't have acted on the request.
    #[must_use]
    pub const fn nothing_sent(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Invalid(_) | Self::Dns | Self::Connect(_) | Self::Tls(_) | Self::TimeoutBefore => {
                true
            }
            Self::TimeoutAfter | Self::Broken(_) | Self::TooLarge { .. } | Self::Redirect(_) => false,
        }
    }

    /// Short stable word: the code of the [`CallError`] and the metric label.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "egress_refused",
            Self::Invalid(_) => "request_invalid",
            Self::Dns => "dns",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::TimeoutBefore => "connect_timeout",
            Self::TimeoutAfter => "timeout",
            Self::Broken(_) => "connection_broken",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Redirect(_) => "redirect",
        }
    }
}

/// What a failed transport means for a call that changes something: nothing sent is safe to try again, anything later has an
/// unknown outcome.
#[must_use]
pub fn classify_transport(error: &NetError) -> CallError {
    let class = match error {
        NetError::Refused(_) | NetError::Invalid(_) => ErrorClass::Configuration,
        NetError::Dns | NetError::Connect(_) | NetError::Tls(_) | NetError::TimeoutBefore => {
            ErrorClass::Retryable { after_ms: None }
        }
        NetError::TimeoutAfter | NetError::Broken(_) | NetError::TooLarge { .. } | NetError::Redirect(_) => {
            ErrorClass::UnknownOutcome
        }
    };
    CallError::new(class, error.code(), error.to_string())
}

/// The same for a call that changes nothing, or that changes nothing more when repeated: it may simply be tried again, except
/// for an answer that will be too large or redirected every time.
#[must_use]
pub fn classify_read(error: &NetError) -> CallError {
    let mut call = classify_transport(error);
    if call.class == ErrorClass::UnknownOutcome {
        call.class = match error {
            NetError::TooLarge { .. } | NetError::Redirect(_) => ErrorClass::Permanent,
            _ => ErrorClass::Retryable { after_ms: None },
        };
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_follows_from_what_was_sent() {
        let all = [
            NetError::Refused(Refusal::Loopback),
            NetError::Invalid("x".into()),
            NetError::Dns,
            NetError::Connect("x".into()),
            NetError::Tls("x".into()),
            NetError::TimeoutBefore,
            NetError::TimeoutAfter,
            NetError::Broken("x".into()),
            NetError::TooLarge { limit: 1 },
            NetError::Redirect("x".into()),
        ];
        for error in all {
            let unknown = classify_transport(&error).class == ErrorClass::UnknownOutcome;
            assert_eq!(unknown, !error.nothing_sent(), "{error:?}");
            assert_ne!(classify_read(&error).class, ErrorClass::UnknownOutcome, "{error:?}");
        }
        assert_eq!(classify_transport(&NetError::Dns).class, ErrorClass::Retryable { after_ms: None });
        assert_eq!(classify_transport(&NetError::Refused(Refusal::Private)).class, ErrorClass::Configuration);
        assert_eq!(classify_read(&NetError::TooLarge { limit: 1 }).class, ErrorClass::Permanent);
    }
}
