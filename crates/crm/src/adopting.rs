//! Records that are being linked to a person right now, so that two people with one number don't both take the same one.
//! Must not touch: anything but ids. Only this process is seen; between nodes the unique field decides.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The records under way.
#[derive(Debug, Default)]
pub(crate) struct Adopting(Mutex<HashSet<String>>);

impl Adopting {
    /// Claims a record until the claim is dropped; `None` when someone else has it.
    pub(crate) fn claim(&self, id: &str) -> Option<Claim<'_>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(id.to_owned()).then(|| Claim { of: self, id: id.to_owned() })
    }
}

/// A record that is being linked.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    of: &'a Adopting,
    id: String,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.of.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::Adopting;

    #[test]
    fn a_record_is_claimed_once_until_it_is_let_go() {
        let adopting = Adopting::default();
        let claim = adopting.claim("7");
        assert!(claim.is_some() && adopting.claim("7").is_none() && adopting.claim("8").is_some());
        drop(claim);
        assert!(adopting.claim("7").is_some());
    }
}
