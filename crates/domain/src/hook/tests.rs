//! The rules of subscriptions and of what is pushed.

use super::*;
use crate::event::{Event, EventCursor};
use proptest::prelude::*;
use serde_json::json;

fn selection(words: &[&str]) -> Result<Selection, BadHook> {
    Selection::new(words.iter().map(|w| (*w).to_owned()).collect())
}

#[test]
fn words_mean_kinds_families_or_all() {
    let one = selection(&["message.received"]).unwrap();
    assert!(one.wants("message.received") && !one.wants("message.status"));
    let family = selection(&["message.*", "person.changed"]).unwrap();
    assert!(family.wants("message.status") && family.wants("person.changed") && !family.wants("person.created"));
    let all = selection(&["*"]).unwrap();
    assert!(EventKind::ALL.iter().all(|kind| all.wants(kind.as_str())));
}

#[test]
fn a_word_that_means_nothing_is_refused() {
    for bad in ["message.recieved", "mess*", "message*", "", "orders.*", "**"] {
        assert!(matches!(selection(&[bad]), Err(BadHook::UnknownEvent(_))), "{bad}");
    }
    assert_eq!(selection(&[]), Err(BadHook::Events));
    assert_eq!(selection(&["*"; 65]), Err(BadHook::Events));
}

#[test]
fn a_filter_narrows_what_can_be_told_apart_and_lets_the_rest_pass() {
    let (ours, other) = (NumberId::from("1"), NumberId::from("2"));
    let filter = Filter { number: Some(ours.clone()), direction: Some(Direction::Inbound) };
    assert!(filter.passes("message.received", Some(&ours)));
    assert!(!filter.passes("message.received", Some(&other)));
    assert!(!filter.passes("message.status", Some(&ours)));
    assert!(filter.passes("person.changed", None));
    assert!(Filter::default().passes("message.status", Some(&other)));
}

#[test]
fn targets_are_web_addresses_without_secrets_in_them() {
    for good in ["https://example.com/x?y=1", "http://10.0.0.1:8080", "https://hooks.zapier.com/hooks/standard/1/a/"] {
        assert_eq!(check_target(good), Ok(()), "{good}");
    }
    let long = format!("https://example.com/{}", "x".repeat(MAX_TARGET));
    for bad in
        ["", "ftp://example.com", "https://", "https:///x", "https://u:p@example.com", "https://a b", long.as_str()]
    {
        assert!(check_target(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_a_target_asks_to_wait_is_read_in_both_forms() {
    // 1994-11-06T08:49:37Z, the example of the specification.
    let at = 784_111_777_000;
    assert_eq!(retry_after_ms("120", 0), Some(120_000));
    assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", at - 5_000), Some(5_000));
    assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", at + 5_000), Some(0));
    assert_eq!(retry_after_ms("soon", 0), None);
    assert_eq!(retry_after_ms("-1", 0), None);
}

#[test]
fn a_secret_signs_until_its_time_and_no_longer() {
    let secrets = Secrets { current: Secret::of([1; 32]), previous: Some((Secret::of([2; 32]), 100)) };
    assert_eq!(secrets.at(99).count(), 2);
    assert_eq!(secrets.at(100).collect::<Vec<_>>(), [&secrets.current]);
}

fn event(kind: &str, data: &str) -> Event {
    Event {
        cursor: EventCursor { tx: 3, seq: 7 },
        kind: kind.to_owned(),
        at: 1_767_605_400_123,
        person: None,
        conversation: None,
        message: None,
        number: Some("1".into()),
        data: serde_json::value::RawValue::from_string(data.to_owned()).unwrap(),
    }
}

#[test]
fn the_envelope_is_what_receivers_were_promised() {
    let pushed = payload::value(&event("account.notice", r#"{"event":"x"}"#), None, None);
    assert_eq!(
        pushed,
        json!({ "type": "account.notice", "id": "evt_0000019b8d7df23b0000000000000007",
            "timestamp": "2026-01-05T09:30:00.123Z",
            "data": { "person_id": null, "conversation_id": null, "message_id": null, "number_id": "1", "message": null,
                "person": null, "change": { "event": "x" } } })
    );
}

#[test]
fn an_example_of_a_message_is_whole() {
    let pushed = example::examples(EventKind::MessageReceived, 1).remove(0);
    let data = &pushed["data"];
    assert_eq!(data["message"]["direction"], "inbound");
    assert_eq!(data["message"]["text"], "Do you have these in size 38?");
    assert_eq!(data["person"]["phone"], "+5511987654321");
    assert_eq!(data["person"]["fields"]["language"], "pt-BR");
    assert_eq!(data["person"]["id"], data["person_id"]);
    let sent = example::examples(EventKind::MessageStatus, 1).remove(0);
    assert_eq!(
        (&sent["data"]["message"]["direction"], &sent["data"]["message"]["state"]),
        (&json!("outbound"), &json!("delivered"))
    );
}

#[test]
fn examples_have_the_shape_of_what_is_pushed_and_ids_of_their_own() {
    for kind in EventKind::ALL {
        let all = example::examples(*kind, 3);
        let mut ids: Vec<_> = all.iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((all.len(), ids.len()), (3, 3), "{kind:?}");
        assert!(all.iter().all(|e| e["type"] == kind.as_str() && e["data"].is_object()), "{kind:?}");
    }
}

proptest! {
    #[test]
    fn the_place_of_an_event_is_found_by_its_id(at in 0i64.., seq in 0i64..) {
        let id = EventId::of(at, seq);
        prop_assert_eq!(id.seq(), seq);
        prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
    }

    #[test]
    fn a_family_wants_what_begins_like_it(kind in proptest::sample::select(EventKind::ALL)) {
        let family = format!("{}.*", kind.as_str().split('.').next().unwrap());
        prop_assert!(selection(&[&family]).unwrap().wants(kind.as_str()));
    }
}
