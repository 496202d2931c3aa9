//! How long a decision takes: the longest way through the rules, and the explanation with every rule.
//! The issue asks for less than 5 microseconds.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{Criterion, criterion_group, criterion_main};
use ponte_domain::consent::{Action, Entry, Proof, Scope, Source, entry_id, fold};
use ponte_domain::ids::{NumberId, PersonId};
use ponte_domain::job::Class;
use ponte_domain::outbound::Outbound;
use ponte_domain::policy::{
    ConsentView, Offsets, Place, PolicySettings, Question, Recent, TemplateFacts, decide, explain,
};
use std::hint::black_box;

fn policy(c: &mut Criterion) {
    let message = Outbound::Template {
        template: serde_json::json!({ "name": "offer", "language": { "code": "en" }, "components": [
            { "type": "body", "parameters": [{ "type": "text", "text": "Ana" }] } ] }),
    };
    let entries: Vec<Entry> = (0..8)
        .map(|n| Entry {
            id: entry_id(&[&n.to_string()]),
            person: PersonId(uuid::Uuid::nil()),
            scope: Scope::MARKETING,
            action: if n % 2 == 0 { Action::Withdrawn } else { Action::Confirmed },
            source: Source::Agent,
            proof: Proof { note: Some("form".into()), ..Proof::default() },
            at: n,
            until: None,
            said_by: "bench".into(),
        })
        .collect();
    let standings = fold(&entries);
    let number: NumberId = "106540352242922".into();
    let settings = PolicySettings::default();
    let now = 20_000 * 86_400_000 + 12 * 3_600_000;
    let question = |place| Question {
        message: &message,
        class: Class::Marketing,
        now,
        window_until: None,
        consent: ConsentView::of(None, &standings, &number, Some("shop")),
        first_contact: false,
        labels: &[],
        template: Some(TemplateFacts { approved: true, marketing: true }),
        sender_named: Some(true),
        recent: Recent { day: 0, week: 3 },
        place,
        has_phone: true,
        number_blocked_until: None,
        asks: false,
        settings: &settings,
    };
    let place = Place::new(Some("DE"), Some(Offsets { west: 60, east: 60 }));
    // With what the gate works out for the question: the standing on the number.
    c.bench_function("policy decision", |b| {
        b.iter(|| decide(&question(black_box(place))));
    });
    c.bench_function("policy explanation", |b| {
        b.iter(|| explain(&question(black_box(place))));
    });
    c.bench_function("ledger fold of 8 entries", |b| b.iter(|| fold(black_box(&entries))));
}

criterion_group!(benches, policy);
criterion_main!(benches);
