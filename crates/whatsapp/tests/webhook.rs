//! Every kind of webhook item, over fixtures; and what no body may do: panic, vanish, hurt its neighbours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{cases, difference, raw, shown};
use ponte_domain::inbound::{Unknown, UpdateKind};
use ponte_whatsapp::webhook::{history_kind, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn fixtures_give_what_they_say() {
    let mut problems = Vec::new();
    for case in cases() {
        let parsed = parse(case.body.to_string().as_bytes(), 1);
        let mut got: Vec<Value> = parsed.updates.iter().map(shown).collect();
        if case.any_order {
            got.sort_by_key(|g| case.expect.iter().position(|e| difference(g, e).is_none()));
        }
        if got.len() != case.expect.len() {
            problems.push(format!("{}: {} updates instead of {}", case.name, got.len(), case.expect.len()));
        }
        for (got, expect) in got.iter().zip(&case.expect) {
            problems.extend(difference(got, expect).map(|d| format!("{}: {d}", case.name)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Pretty printed, with keys in another order: the same updates, but for the raw parts.
#[test]
fn layout_changes_nothing() {
    for case in cases() {
        let compact = parse(case.body.to_string().as_bytes(), 1);
        let pretty = parse(serde_json::to_string_pretty(&case.body).unwrap().as_bytes(), 1);
        let show = |p: &ponte_domain::ports::channel::Parsed| p.updates.iter().map(shown).collect::<Vec<_>>();
        assert_eq!(show(&compact), show(&pretty), "{}", case.name);
    }
}

/// The quick and the thorough reader agree: an unknown scalar in the value sends the body to the thorough one.
#[test]
fn both_readers_agree() {
    for case in cases() {
        let mut odd = case.body.clone();
        for entry in odd.get_mut("entry").and_then(Value::as_array_mut).into_iter().flatten() {
            for change in entry.get_mut("changes").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(value) = change.get_mut("value").and_then(Value::as_object_mut) {
                    value.insert("novelty".into(), json!(1));
                }
            }
        }
        let show = |body: &Value| parse(body.to_string().as_bytes(), 1).updates.iter().map(shown).collect::<Vec<_>>();
        let (mut one, mut two) = (show(&case.body), show(&odd));
        if case.any_order {
            one.sort_by_key(Value::to_string);
            two.sort_by_key(Value::to_string);
        }
        assert_eq!(one, two, "{}", case.name);
    }
}

#[test]
fn raw_parts_are_as_sent_and_always_json() {
    let spaced = r#"{"entry":[{"id":"1","changes":[{"field":"messages","value":{"messages":[ {"id" : "w", "n": 1.50e3,
        "from":"16505551234","type":"text","text":{"body":"\u00e9"}} ]}}]}]}"#;
    let update = &parse(spaced.as_bytes(), 1).updates[0];
    assert!(raw(update).starts_with(r#"{"id" : "w", "n": 1.50e3,"#) && raw(update).ends_with(r#"{"body":"\u00e9"}}"#));
    for body in [&b"not json"[..], b"\xff\xfe", b"", b"{\"entry\":", b"\"\"", b"{} trailing"] {
        let updates = parse(body, 1).updates;
        assert_eq!(updates.len(), 1);
        assert!(matches!(updates[0].kind, UpdateKind::Unknown(_)));
        assert!(serde_json::from_str::<Value>(raw(&updates[0])).is_ok());
    }
}

#[test]
fn broken_letters_cost_one_letter() {
    let body = |text: &str| {
        format!(
            r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messages":[
            {{"id":"w","from":"16505551234","type":"text","text":{{"body":"{text}"}}}}]}}}}]}}]}}"#
        )
    };
    for (text, expected) in
        [(r"cut \ud83d", "cut \u{fffd}"), (r"a\u0000b", "a\u{fffd}b"), (r"ok \ud83d\ude00", "ok 😀")]
    {
        let parsed = parse(body(text).as_bytes(), 1);
        let UpdateKind::Message(message) = &parsed.updates[0].kind else { panic!("{text}: no message") };
        assert_eq!(message.text.as_deref(), Some(expected));
    }
}

#[test]
fn a_thousand_in_one_body_are_a_thousand_out() {
    let bodies: Vec<Value> = cases().into_iter().map(|c| c.body).filter(|b| b["entry"].is_array()).collect();
    let entries: Vec<Value> =
        bodies.iter().cycle().take(1_000).flat_map(|b| b["entry"].as_array().unwrap().clone()).collect();
    let one_by_one: Vec<Value> = entries
        .iter()
        .flat_map(|e| parse(json!({"entry": [e]}).to_string().as_bytes(), 1).updates)
        .map(|u| shown(&u))
        .collect();
    let body = json!({"object": "whatsapp_business_account", "entry": entries}).to_string();
    let together: Vec<Value> = parse(body.as_bytes(), 1).updates.iter().map(shown).collect();
    assert!(together.len() > 1_000);
    assert_eq!(together, one_by_one);
}

#[test]
fn history_says_who_wrote() {
    assert_eq!(history_kind("business:text"), (true, "text"));
    assert_eq!(history_kind("text"), (false, "text"));
}

/// Bodies from elsewhere, when a folder of them is named: nothing panics, nothing known becomes unknown.
#[test]
fn extra_fixtures_are_understood() {
    let Ok(folder) = std::env::var("PONTE_EXTRA_FIXTURES") else { return };
    let mut files = Vec::new();
    collect(std::path::Path::new(&folder), &mut files);
    let mut unknown = Vec::new();
    let mut total = 0;
    for file in files {
        let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let bodies = match value.as_object() {
            Some(map) if !map.contains_key("entry") => map.values().cloned().collect(),
            _ => vec![value],
        };
        for body in bodies.iter().filter(|b| b["entry"].is_array()) {
            for update in parse(body.to_string().as_bytes(), 1).updates {
                total += 1;
                println!("{}: {}", file.display(), shown(&update));
                // Printed examples hold placeholders in angle brackets instead of people, and some lack the field's name.
                let misprint = |u: &Unknown| {
                    u.raw.contains("\"<") || u.raw.contains("\"[<") || u.reason.contains("names no field")
                };
                if let UpdateKind::Unknown(u) = &update.kind
                    && !misprint(u)
                {
                    unknown.push(format!("{}: {}: {}", file.display(), u.reason, u.raw));
                }
            }
        }
    }
    assert!(total > 0, "no webhook body found");
    assert!(unknown.is_empty(), "{} of {total} unknown:\n{}", unknown.len(), unknown.join("\n"));
}

fn collect(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = "(entry|changes|field|value|id|messages|statuses|contacts|errors|type|text|from|metadata|history|threads|[a-z]{1,4})";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(messages|history|user_preferences|text|edit|system|[ -~]{0,8})".prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(keys, inner, 0..5).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Replaces the `at`-th node of `value`, counted depth first, with `with`.
fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
        *at = usize::MAX;
        return;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|v| {
            if *at != usize::MAX {
                replace(v, at, with)
            }
        }),
        Value::Object(map) => map.values_mut().for_each(|v| {
            if *at != usize::MAX {
                replace(v, at, with)
            }
        }),
        _ => {}
    }
}

proptest! {
    #[test]
    fn any_bytes(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for update in parse(&body, 1).updates {
            prop_assert!(serde_json::from_str::<Value>(raw(&update)).is_ok());
        }
    }

    #[test]
    fn any_value(value in any_json()) {
        for body in [value.clone(), json!({"entry": value}), json!({"entry": [{"changes": [{"field": "messages", "value": value}]}]})] {
            for update in parse(body.to_string().as_bytes(), 1).updates {
                prop_assert!(serde_json::from_str::<Value>(raw(&update)).is_ok());
            }
        }
    }

    #[test]
    fn mutated_fixtures(pick in any::<prop::sample::Index>(), at in 0usize..60, with in any_json()) {
        let all = cases();
        let mut body = pick.get(&all).body.clone();
        replace(&mut body, &mut at.clone(), &with);
        for update in parse(body.to_string().as_bytes(), 1).updates {
            prop_assert!(serde_json::from_str::<Value>(raw(&update)).is_ok());
        }
    }

    #[test]
    fn truncated_fixtures(pick in any::<prop::sample::Index>(), keep in any::<prop::sample::Index>()) {
        let all = cases();
        let body = pick.get(&all).body.to_string();
        prop_assert_eq!(parse(&body.as_bytes()[..keep.index(body.len())], 1).updates.len(), 1);
    }

    /// Whatever stands in the lists, each item comes out once, in order, and good ones stay good.
    #[test]
    fn as_many_out_as_in(items in proptest::collection::vec(any_json(), 0..6), status in any_json()) {
        let good = json!({"id": "wamid.G", "from": "16505551234", "timestamp": "5", "type": "text", "text": {"body": "g"}});
        let mut messages = items.clone();
        messages.push(good);
        let value = json!({"metadata": {"phone_number_id": "1"}, "messages": messages, "statuses": [status]});
        let updates = parse(json!({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).to_string().as_bytes(), 1).updates;
        prop_assert_eq!(updates.len(), messages.len() + 1);
        for (update, item) in updates.iter().zip(&messages) {
            prop_assert_eq!(&serde_json::from_str::<Value>(raw(update)).unwrap(), item);
        }
        let is_good = matches!(&updates[items.len()].kind, UpdateKind::Message(m) if m.text.as_deref() == Some("g"));
        prop_assert!(is_good);
    }
}
