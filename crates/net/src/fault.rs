//! Reads the HTTP client's errors: what failed, and had anything been sent?

use crate::error::NetError;
use crate::policy::Refusal;
use std::error::Error;

/// Carried through the HTTP client from the resolver when every address of a name was refused.
#[derive(Debug, thiserror::Error)]
#[error("refused by the address policy: {0}")]
pub(crate) struct RefusedAddress(pub(crate) Refusal);

pub(crate) fn read(error: &reqwest::Error, sent: bool) -> NetError {
    if let Some(RefusedAddress(why)) = find::<RefusedAddress>(error) {
        return NetError::Refused(*why);
    }
    if error.is_builder() {
        return NetError::Invalid(innermost(error));
    }
    if error.is_dns() {
        return NetError::Dns;
    }
    if error.is_connect() {
        return match find::<rustls::Error>(error) {
            Some(tls) => NetError::Tls(tls.to_string()),
            None if error.is_timeout() => NetError::TimeoutBefore,
            None => NetError::Connect(innermost(error)),
        };
    }
    match (sent, error.is_timeout()) {
        (false, true) => NetError::TimeoutBefore,
        (false, false) => NetError::Connect("closed before anything was sent".to_owned()),
        (true, true) => NetError::TimeoutAfter,
        (true, false) => NetError::Broken(innermost(error)),
    }
}

/// Looks for an error of type `T` in the chain, also inside I/O errors, whose content isn't part of the chain.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The text of the last error of the chain: says what happened without the URL, which the outer ones carry.
fn innermost(error: &reqwest::Error) -> String {
    let mut next = error.source();
    let mut text = "unknown".to_owned();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}
