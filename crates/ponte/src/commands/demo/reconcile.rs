//! The reckoning: what the simulators counted against what Ponte stored and what the CRM holds. Pure.
//!
//! Lost: acknowledged, queued or accepted somewhere and then neither there nor on its way nor given to a person. Doubled: there
//! more than once. On its way (a job waits in the database) and given to a person (a dead letter) are counted apart.

use super::gather::{Books, Sent, Stored};
use ponte_domain::message::Phase;
use ponte_domain::status::Status;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Messages of customers stored.
    pub messages_stored: u64,
    /// Messages that the CRM holds a record of.
    pub crm_records_written: u64,
    /// Sends that WhatsApp accepted.
    pub sends_accepted: u64,
    /// Statuses acknowledged and shown in the CRM's record of their message.
    pub statuses_written_back: u64,
    /// What is lost, each with its id.
    pub lost: Vec<String>,
    /// What is there twice, each with its id.
    pub doubled: Vec<String>,
    /// On its way: jobs wait for it in the database.
    pub pending: u64,
    /// Given to a person: a dead letter waits.
    pub given_up: u64,
}

/// Reckons.
pub fn reckon(books: &Books) -> Findings {
    let mut findings = Findings {
        messages_stored: books.stored.iter().filter(|m| m.inbound).count() as u64,
        sends_accepted: books.sent.len() as u64,
        ..Findings::default()
    };
    let mut ledger = Reckoning { books, findings: &mut findings, waiting: books.crm_jobs };
    ledger.inbound();
    ledger.queued();
    ledger.sends();
    ledger.crm();
    ledger.twice();
    findings
}

struct Reckoning<'a> {
    books: &'a Books,
    findings: &'a mut Findings,
    /// CRM jobs not yet matched with what they will write. A lane holds one job per message.
    waiting: u64,
}

impl Reckoning<'_> {
    fn lost(&mut self, what: &str, id: &str) {
        self.findings.lost.push(format!("{what}: {id}"));
    }

    /// Every customer message that the simulator was told is safe must be stored.
    fn inbound(&mut self) {
        let stored: HashSet<&str> =
            self.books.stored.iter().filter(|m| m.inbound).filter_map(|m| m.wamid.as_deref()).collect();
        for wamid in self.books.acknowledged.iter().filter(|wamid| !stored.contains(wamid.as_str())) {
            if self.books.journal_waits {
                self.findings.pending += 1;
            } else {
                self.lost("acknowledged to WhatsApp, not stored", wamid);
            }
        }
    }

    /// Every message that the API said is queued must be there.
    fn queued(&mut self) {
        let stored: HashSet<&str> = self.books.stored.iter().map(|m| m.id.as_str()).collect();
        for id in self.books.queued.iter().filter(|id| !stored.contains(id.as_str())) {
            self.lost("queued by the API, not stored", id);
        }
    }

    /// What WhatsApp accepted and what Ponte believes was accepted must be the same.
    fn sends(&mut self) {
        let books = self.books;
        let stored: HashMap<&str, &Stored> =
            books.stored.iter().filter(|m| !m.inbound).map(|m| (m.id.as_str(), m)).collect();
        let sent: HashSet<&str> = books.opaques.iter().map(String::as_str).collect();
        for message in &books.sent {
            let id = message.opaque.as_deref().unwrap_or(&message.wamid);
            match stored.get(id).map(|m| m.phase) {
                Some(Phase::Accepted) => {}
                // Its outcome is being found out; a status will tell.
                Some(Phase::Queued | Phase::Sending | Phase::Unknown) => self.findings.pending += 1,
                Some(Phase::Dead) if message.acknowledged.is_empty() => self.findings.given_up += 1,
                _ => self.lost("accepted by WhatsApp, not known as accepted", id),
            }
        }
        for message in books.stored.iter().filter(|m| !m.inbound) {
            match message.phase {
                Phase::Accepted if !sent.contains(message.id.as_str()) => {
                    self.lost("known as accepted, not with WhatsApp", &message.id);
                }
                Phase::Queued | Phase::Sending | Phase::Unknown if !sent.contains(message.id.as_str()) => {
                    self.findings.pending += 1;
                }
                Phase::Dead => self.findings.given_up += 1,
                _ => {}
            }
        }
    }

    /// Every message has its record, and every status acknowledged shows in it.
    fn crm(&mut self) {
        let books = self.books;
        let sent: HashMap<&str, &Sent> = books.sent.iter().filter_map(|s| Some((s.opaque.as_deref()?, s))).collect();
        let records: HashMap<&str, &str> =
            books.records.iter().map(|r| (r.message.as_str(), r.text.as_str())).collect();
        for message in books.stored.iter().filter(|m| m.belongs_in_crm()) {
            let acknowledged = sent.get(message.id.as_str()).map(|s| s.acknowledged.as_slice()).unwrap_or_default();
            let unknown = acknowledged.iter().find(|status| !message.has(**status));
            if unknown.is_some() && books.journal_waits {
                self.findings.pending += 1;
                continue;
            }
            if let Some(status) = unknown {
                self.lost(&format!("status {} acknowledged, not stored", status.as_str()), &message.id);
                continue;
            }
            let Some(text) = records.get(message.id.as_str()) else {
                self.missing("stored, not in the CRM", &message.id);
                continue;
            };
            self.findings.crm_records_written += 1;
            let shown = acknowledged.iter().filter(|status| message.shows(**status, text)).count();
            self.findings.statuses_written_back += shown as u64;
            if shown < acknowledged.len() {
                self.missing("status stored, not in the CRM's record", &message.id);
            }
        }
    }

    fn missing(&mut self, what: &str, id: &str) {
        if self.books.dead_in_crm.contains(id) {
            self.findings.given_up += 1;
        } else if self.books.events_wait || self.waiting > 0 {
            self.waiting = self.waiting.saturating_sub(1);
            self.findings.pending += 1;
        } else {
            self.lost(what, id);
        }
    }

    fn twice(&mut self) {
        let books = self.books;
        let mut say = |what: &str, ids: Vec<String>| {
            self.findings.doubled.extend(ids.into_iter().map(|id| format!("{what}: {id}")));
        };
        say("sent twice", repeated(books.opaques.iter().cloned()));
        say("two CRM records of one message", repeated(books.records.iter().map(|r| r.message.clone())));
        say("two CRM contacts of one person", repeated(books.contacts.iter().cloned()));
        say("stored twice", repeated(books.stored.iter().filter_map(|m| m.wamid.clone())));
        let stored: HashSet<&str> = books.stored.iter().map(|m| m.id.as_str()).collect();
        let strays = books.records.iter().filter(|r| !stored.contains(r.message.as_str()));
        say("a CRM record of no message", strays.map(|r| r.message.clone()).collect());
    }
}

/// Every value beyond its first.
fn repeated<T: Hash + Eq + Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    let mut extra = Vec::new();
    for value in values {
        match counts.get_mut(&value) {
            Some(n) => {
                *n += 1;
                extra.push(value);
            }
            None => drop(counts.insert(value, 1)),
        }
    }
    extra
}

impl Stored {
    /// Queued and refused messages aren't told to the CRM.
    const fn belongs_in_crm(&self) -> bool {
        matches!(self.phase, Phase::Received | Phase::Accepted | Phase::Dead)
    }

    const fn has(&self, status: Status) -> bool {
        let stamps = &self.stamps;
        match status {
            Status::Sent => stamps.sent.is_some(),
            Status::Delivered => stamps.delivered.is_some(),
            Status::Read => stamps.read.is_some(),
            Status::Played => stamps.played.is_some(),
            Status::Failed => stamps.failed.is_some(),
        }
    }

    /// Whether the text of the CRM's record names a status. A failure after a delivery is kept, but not shown.
    fn shows(&self, status: Status, text: &str) -> bool {
        let word = match status {
            Status::Sent => "✓ sent",
            Status::Delivered => "✓✓ delivered",
            Status::Read => "👁 read",
            Status::Played => "▶ played",
            Status::Failed if self.stamps.state() != Some(Status::Failed) => return true,
            Status::Failed => "✗ failed",
        };
        text.contains(word)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gather::Record;
    use super::*;
    use ponte_domain::status::Stamps;

    fn inbound(id: &str) -> Stored {
        let wamid = Some(format!("wamid.{id}"));
        Stored { id: id.into(), wamid, inbound: true, phase: Phase::Received, stamps: Stamps::default() }
    }

    fn outbound(id: &str, phase: Phase) -> Stored {
        let stamps = Stamps { sent: Some(1), ..Stamps::default() };
        Stored { id: id.into(), wamid: Some(format!("wamid.{id}")), inbound: false, phase, stamps }
    }

    fn sent(id: &str) -> Sent {
        Sent { opaque: Some(id.into()), wamid: format!("wamid.{id}"), acknowledged: vec![Status::Sent] }
    }

    fn record(id: &str) -> Record {
        Record { message: id.into(), text: "… ✓ sent 2026".into() }
    }

    fn good() -> Books {
        Books {
            acknowledged: vec!["wamid.a".into()],
            queued: HashSet::from(["b".into()]),
            sent: vec![sent("b")],
            journal_waits: false,
            stored: vec![inbound("a"), outbound("b", Phase::Accepted)],
            events_wait: false,
            records: vec![record("a"), record("b")],
            contacts: vec!["p".into()],
            crm_jobs: 0,
            dead_in_crm: HashSet::new(),
            opaques: vec!["b".into()],
        }
    }

    #[test]
    fn all_is_well() {
        let wanted = Findings {
            messages_stored: 1,
            crm_records_written: 2,
            sends_accepted: 1,
            statuses_written_back: 1,
            ..Findings::default()
        };
        assert_eq!(reckon(&good()), wanted);
    }

    #[test]
    fn every_kind_of_loss_is_found() {
        type Loss = (&'static str, fn(&mut Books));
        let losses: [Loss; 7] = [
            ("not stored", |b| b.acknowledged.push("wamid.c".into())),
            ("queued by the API", |b| b.queued.extend(["c".to_owned()])),
            ("not known as accepted", |b| b.sent.push(sent("c"))),
            ("not with WhatsApp", |b| {
                b.sent.clear();
                b.opaques.clear();
            }),
            ("not in the CRM", |b| b.records.truncate(1)),
            ("not stored", |b| b.stored[1].stamps = Stamps::default()),
            ("not in the CRM's record", |b| b.records[1].text.clear()),
        ];
        for (what, lose) in losses {
            let mut books = good();
            lose(&mut books);
            let findings = reckon(&books);
            assert_eq!((findings.lost.len(), findings.doubled.len()), (1, 0), "{what}: {findings:?}");
            assert!(findings.lost[0].contains(what), "{what}: {findings:?}");
        }
    }

    #[test]
    fn every_kind_of_doubling_is_found() {
        let doublings: [fn(&mut Books); 5] = [
            |b| b.opaques.push("b".into()),
            |b| b.records.push(record("a")),
            |b| b.contacts.push("p".into()),
            |b| b.records.push(record("nobody")),
            |b| {
                b.stored.push(Stored { id: "a2".into(), ..inbound("a") });
                b.records.push(record("a2"));
            },
        ];
        for double in doublings {
            let mut books = good();
            double(&mut books);
            let findings = reckon(&books);
            assert_eq!((findings.lost.len(), findings.doubled.len()), (0, 1), "{findings:?}");
        }
    }

    #[test]
    fn in_full_flow_nothing_that_waits_is_lost() {
        let mut books = good();
        books.acknowledged.push("wamid.c".into());
        books.stored[1].stamps = Stamps::default();
        books.records.retain(|r| r.message != "a");
        (books.journal_waits, books.events_wait) = (true, true);
        let findings = reckon(&books);
        assert_eq!((findings.pending, findings.lost.len()), (3, 0), "{findings:?}");
    }

    #[test]
    fn on_its_way_and_given_up_are_not_lost() {
        let mut books = good();
        books.records.clear();
        books.crm_jobs = 1;
        books.dead_in_crm.insert("b".into());
        books.stored.push(outbound("c", Phase::Unknown));
        books.sent.push(sent("c"));
        books.opaques.push("c".into());
        books.stored.push(outbound("d", Phase::Dead));
        books.records.push(record("d"));
        let findings = reckon(&books);
        assert_eq!((findings.pending, findings.given_up), (2, 2), "{findings:?}");
        assert!(findings.lost.is_empty() && findings.doubled.is_empty(), "{findings:?}");
    }
}
