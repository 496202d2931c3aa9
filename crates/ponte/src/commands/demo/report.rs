//! What the demo says at its end: one JSON object for machines, a summary for people.

use super::reconcile::Findings;
use super::team::Ledger;
use super::words;
use ponte_domain::job::DeadLetter;
use ponte_engine::pulse::{Lags, Pulse};
use ponte_simulator::whatsapp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// All that the end is told from.
pub struct End<'a> {
    pub findings: &'a Findings,
    pub counted: &'a whatsapp::Stats,
    pub pulse: &'a Pulse,
    pub ledger: &'a Ledger,
    pub dead: &'a [DeadLetter],
    pub ran: Duration,
    pub drained: bool,
    pub seed: u64,
}

impl End<'_> {
    fn dead_letters(&self) -> BTreeMap<String, u64> {
        let mut reasons = BTreeMap::new();
        for letter in self.dead {
            *reasons.entry(format!("{} {}", letter.kind.as_str(), letter.error.code)).or_default() += 1;
        }
        reasons
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let (findings, counted, pulse) = (self.findings, self.counted, self.pulse);
        json!({
            "webhooks_acknowledged": counted.webhooks_acknowledged,
            "messages_stored": findings.messages_stored,
            "crm_records_written": findings.crm_records_written,
            "sends_accepted": findings.sends_accepted,
            "statuses_written_back": findings.statuses_written_back,
            "lost": findings.lost.len(),
            "doubled": findings.doubled.len(),
            "pending": findings.pending,
            "given_up": findings.given_up,
            "dead_letters": self.dead_letters(),
            "drained": self.drained,
            "seconds": self.ran.as_secs_f64(),
            "seed": self.seed,
            "simulated": {
                "inbound_generated": counted.inbound_generated, "inbound_acknowledged": counted.inbound_acknowledged,
                "statuses_generated": counted.statuses_generated, "statuses_acknowledged": counted.statuses_acknowledged,
                "webhooks_repeated": counted.duplicates_injected, "answers_lost": counted.answers_lost,
                "sends_refused": counted.sends_refused, "failed_by_code": counted.failed_by_code,
                "read_receipts": counted.read_receipts,
            },
            "team": {
                "queued": self.ledger.queued.len(), "asked_again": self.ledger.asked_again, "receipts": self.ledger.receipts,
                "refused": self.ledger.refused, "unanswered": self.ledger.unanswered,
            },
            "retried": pulse.sends_retried.get(), "unknown": pulse.sends_unknown.get(), "throttled": pulse.throttled.get(),
            "crm_rows_failed": pulse.crm_failures.get(), "media_stored": pulse.media_stored.get(),
            "lag_ms": { "stored": lag(&pulse.to_fold), "crm": lag(&pulse.to_crm), "whatsapp": lag(&pulse.to_whatsapp) },
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let (findings, counted) = (self.findings, self.counted);
        let mut text = format!("{}: {:.0} s of {}\n", words::TITLE, self.ran.as_secs_f64(), words::COMPANY);
        let mut line = |label: &str, what: String| {
            let _ = writeln!(text, "  {label:<24}{what}");
        };
        line(
            "webhooks acknowledged",
            format!("{} ({} repeated on purpose)", counted.webhooks_acknowledged, counted.duplicates_injected),
        );
        line(
            "messages stored",
            format!("{} of {} acknowledged", findings.messages_stored, counted.inbound_acknowledged),
        );
        line(
            "sends accepted",
            format!("{} ({} answers lost on purpose)", findings.sends_accepted, counted.answers_lost),
        );
        line("CRM records", findings.crm_records_written.to_string());
        line(
            "statuses written back",
            format!("{} of {} acknowledged", findings.statuses_written_back, counted.statuses_acknowledged),
        );
        for (name, lags) in words::LAGS.iter().zip([&self.pulse.to_fold, &self.pulse.to_crm, &self.pulse.to_whatsapp]) {
            if let (Some(p50), Some(p95)) = (lags.quantile(0.5), lags.quantile(0.95)) {
                line(name, format!("p50 {p50:.0} ms, p95 {p95:.0} ms"));
            }
        }
        let dead: Vec<String> = self.dead_letters().iter().map(|(reason, n)| format!("{reason} ({n})")).collect();
        line(words::DEAD, if dead.is_empty() { "0".to_owned() } else { dead.join(", ") });
        if findings.pending > 0 {
            line("on their way", findings.pending.to_string());
        }
        let verdict = [(words::LOST, findings.lost.len()), (words::DOUBLED, findings.doubled.len())];
        for (label, n) in verdict {
            line(label, n.to_string());
        }
        if !self.drained {
            let _ = writeln!(text, "  {}", words::NOT_DRAINED);
        }
        text
    }
}

fn lag(lags: &Lags) -> Value {
    json!({ "p50": lags.quantile(0.5), "p95": lags.quantile(0.95) })
}
