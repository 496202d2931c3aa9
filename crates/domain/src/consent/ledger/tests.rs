//! What stands after which words.

use super::{Action, Draft, Entry, InvalidEntry, Proof, Scope, ScopeKind, ScopeOf, Source, entry_id, fold};
use crate::HOUR;
use crate::Millis;
use crate::ids::{NumberId, PersonId};
use uuid::Uuid;

const DAY3: Millis = 72 * HOUR;

fn person() -> PersonId {
    PersonId(Uuid::from_u128(1))
}

fn number() -> NumberId {
    "100".into()
}

fn on_number() -> Scope {
    Scope { kind: ScopeKind::Marketing, of: ScopeOf::Number(number()) }
}

fn entry(action: Action, source: Source, at: Millis) -> Entry {
    Entry {
        id: entry_id(&[action.as_str(), source.as_str(), &at.to_string()]),
        person: person(),
        scope: Scope::MARKETING,
        action,
        source,
        proof: Proof::default(),
        at,
        until: None,
        said_by: "test".into(),
    }
}

fn asked(at: Millis) -> Entry {
    let proof = Proof { text_shown: Some("May we?".into()), ..Proof::default() };
    Entry { proof, until: Some(at + DAY3), ..entry(Action::Requested, Source::System, at) }
}

fn proven(at: Millis) -> Entry {
    let proof = Proof { note: Some("signed form 7".into()), ..Proof::default() };
    Entry { proof, ..entry(Action::Confirmed, Source::Agent, at) }
}

fn word(entries: &[Entry]) -> &'static str {
    fold(entries).on(ScopeKind::Marketing, &number(), None).word()
}

#[test]
fn a_yes_counts_in_time_and_only_after_the_question() {
    let yes = |at| entry(Action::Confirmed, Source::Button, at);
    assert_eq!(word(&[]), "none");
    assert_eq!(word(&[asked(10)]), "requested");
    assert_eq!(word(&[asked(10), yes(20)]), "confirmed");
    assert_eq!(word(&[asked(10), yes(10 + DAY3)]), "confirmed");
    assert_eq!(word(&[asked(10), yes(11 + DAY3)]), "requested", "too late");
    assert_eq!(word(&[asked(10), yes(9)]), "requested", "before the question");
    assert_eq!(word(&[yes(20)]), "none", "nobody asked");
    let silent = Entry { proof: Proof::default(), ..asked(10) };
    assert_eq!(word(&[silent, yes(20)]), "requested", "nothing was shown");
}

#[test]
fn a_no_closes_the_question() {
    let yes = entry(Action::Confirmed, Source::Reply, 30);
    let no = entry(Action::Withdrawn, Source::Keyword, 20);
    assert_eq!(word(&[asked(10), no.clone(), yes.clone()]), "withdrawn");
    assert_eq!(word(&[asked(10), no, asked(25), yes]), "confirmed", "asked anew");
}

#[test]
fn at_the_same_time_the_withdrawal_wins() {
    assert_eq!(word(&[proven(20), entry(Action::Withdrawn, Source::Keyword, 20)]), "withdrawn");
    assert_eq!(word(&[proven(21), entry(Action::Withdrawn, Source::Keyword, 20)]), "confirmed");
}

#[test]
fn only_proof_confirms_without_a_question() {
    let bare = |source| entry(Action::Confirmed, source, 5);
    for source in Source::ALL {
        assert_ne!(word(&[bare(*source)]), "confirmed", "{source:?}");
    }
    assert_eq!(word(&[proven(5)]), "confirmed");
    let stated = Proof { stated_source: Some("newsletter form 2024".into()), ..Proof::default() };
    assert_eq!(word(&[Entry { proof: stated.clone(), ..bare(Source::Import) }]), "confirmed");
    assert_eq!(word(&[Entry { proof: stated, ..bare(Source::CrmField) }]), "none");
}

#[test]
fn a_withdrawal_of_everything_covers_a_number_and_a_later_yes_there_lifts_it_there_only() {
    let stop = entry(Action::Withdrawn, Source::Keyword, 20);
    let yes = Entry { scope: on_number(), ..proven(30) };
    let standings = fold(&[proven(5), stop, yes]);
    assert_eq!(standings.on(ScopeKind::Marketing, &number(), None).word(), "confirmed");
    assert_eq!(standings.on(ScopeKind::Marketing, &"200".into(), None).word(), "withdrawn");
    assert_eq!(standings.on(ScopeKind::Transactional, &number(), None).word(), "none");
}

#[test]
fn a_resumption_in_whatsapp_lifts_the_stop_there_and_is_no_opt_in() {
    let stop = |at| entry(Action::Withdrawn, Source::Preference, at);
    let resume = |at| entry(Action::Confirmed, Source::Preference, at);
    assert_eq!(word(&[resume(5)]), "none");
    assert_eq!(word(&[proven(1), stop(5)]), "withdrawn");
    assert_eq!(word(&[proven(1), stop(5), resume(6)]), "confirmed");
    assert_eq!(word(&[stop(5), resume(6)]), "none");
    assert_eq!(word(&[proven(1), entry(Action::Withdrawn, Source::Keyword, 5), resume(6)]), "withdrawn");
}

#[test]
fn what_is_stated_from_outside_is_checked() {
    let draft = |action, source, proof| Draft { scope: Scope::MARKETING, action, source, proof, at: Some(99) };
    let check = |d: Draft| d.check(Uuid::nil(), person(), Source::Api, "api:shop", 50);
    let note = Proof { note: Some("form".into()), ..Proof::default() };
    assert_eq!(check(draft(Action::Confirmed, None, Proof::default())), Err(InvalidEntry::NoProof));
    assert_eq!(check(draft(Action::Requested, None, note.clone())), Err(InvalidEntry::AskInstead));
    let forged = check(draft(Action::Confirmed, Some(Source::Button), note.clone()));
    assert_eq!(forged, Err(InvalidEntry::NotYours("button")));
    let Ok(made) = check(draft(Action::Confirmed, None, note)) else { panic!("refused") };
    assert_eq!((made.at, made.source), (50, Source::Api), "never later than now");
    assert!(check(draft(Action::Withdrawn, Some(Source::Agent), Proof::default())).is_ok(), "a no needs no proof");
}

#[test]
fn scopes_are_read_as_they_are_written() {
    for text in ["marketing", "transactional", "marketing/number/106540352242922", "transactional/brand/shop"] {
        assert_eq!(Scope::parse(text).map(|s| s.to_string()).as_deref(), Some(text));
    }
    for odd in ["", "offers", "marketing/", "marketing/number/", "marketing/100", "marketing/shop/a"] {
        assert_eq!(Scope::parse(odd), None, "{odd}");
    }
}
