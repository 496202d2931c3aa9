//! Every type with what it takes and what it refuses, and what must hold for all of them.

use super::{Definition, DefinitionError, Fields, Kind, as_written, keep, read, recheck};
use crate::phone::Region;
use crate::profile::{Field, Profile};
use proptest::prelude::*;

fn choices() -> Vec<String> {
    ["Gold", "Silver plus", "Ü"].map(str::to_owned).to_vec()
}

fn value(kind: Kind, text: &str) -> Option<String> {
    read(kind, &choices(), text, Region::new("TW")).ok()
}

fn definition(key: &str, kind: Kind) -> Definition {
    let choices = if matches!(kind, Kind::Choice | Kind::MultiChoice) { choices() } else { Vec::new() };
    Definition { key: key.into(), label: String::new(), kind, choices, source: "cli:eva".into(), changed_at: 1 }
}

#[test]
fn each_type_has_one_form_for_what_is_written_in_many() {
    for (kind, text, wanted) in [
        (Kind::Text, "  as it is ", Some("as it is")),
        (Kind::Text, "  ", None),
        (Kind::Number, "1234.50", Some("1234.5")),
        (Kind::Number, "1.234,5", Some("1234.5")),
        (Kind::Number, "1,234.5", Some("1234.5")),
        (Kind::Number, "1 234 567", Some("1234567")),
        (Kind::Number, "1.234.567", Some("1234567")),
        (Kind::Number, "−007", Some("-7")),
        (Kind::Number, "-0,0", Some("0")),
        (Kind::Number, ".5", Some("0.5")),
        (Kind::Number, "1,234", None),
        (Kind::Number, "1.2.3", None),
        (Kind::Number, "12 €", None),
        (Kind::Number, "8.86912E+11", None),
        (Kind::Number, ".", None),
        (Kind::Date, "31/12/1985", Some("1985-12-31")),
        (Kind::Date, "03/04/1990", None),
        (Kind::Moment, "2026-01-31T08:00:00+08:00", Some("2026-01-31T00:00:00Z")),
        (Kind::Moment, "2026-01-31 08:00:00.250Z", Some("2026-01-31T08:00:00.25Z")),
        (Kind::Moment, "2026-01-31 08:00", None),
        (Kind::Boolean, "Yes", Some("true")),
        (Kind::Boolean, "0", Some("false")),
        (Kind::Boolean, "maybe", None),
        (Kind::Choice, " silver  PLUS", Some("Silver plus")),
        (Kind::Choice, "ü", Some("Ü")),
        (Kind::Choice, "Bronze", None),
        (Kind::MultiChoice, "ü, gold ; gold", Some("Gold;Ü")),
        (Kind::MultiChoice, "gold, bronze", None),
        (Kind::MultiChoice, ";", None),
        (Kind::Email, "Ana@Example.COM", Some("ana@example.com")),
        (Kind::Email, "a@b", None),
        (Kind::Email, "a b@c.de", None),
        (Kind::Phone, "0912-345-678", Some("+886912345678")),
        (Kind::Phone, "12", None),
        (Kind::Url, "Example.com/Path", Some("https://example.com/Path")),
        (Kind::Url, "HTTP://example.com:8080?q=1", Some("http://example.com:8080?q=1")),
        (Kind::Url, "javascript:alert(1)", None),
        (Kind::Url, "https://", None),
        (Kind::Url, "not a page", None),
    ] {
        assert_eq!(value(kind, text).as_deref(), wanted, "{kind:?} {text:?}");
    }
}

#[test]
fn days_that_can_be_told_and_days_that_can_not() {
    for (text, want) in [
        ("1990-02-28", Some("1990-02-28")),
        ("31/12/1985", Some("1985-12-31")),
        ("12/31/1985", Some("1985-12-31")),
        ("5.6.1970", Some("1970-06-05")),
        ("1984年3月7日", Some("1984-03-07")),
        ("2001-05-06 00:00:00", Some("2001-05-06")),
        ("03/04/1990", None),
        ("31/02/1990", None),
        ("soon", None),
    ] {
        assert_eq!(value(Kind::Date, text).as_deref(), want, "{text}");
    }
}

#[test]
fn the_error_says_what_where_and_how_to_mend_it() {
    let fields = Fields::new([definition("plan", Kind::Choice)]);
    let error = fields.read("plan", "Bronze", None).unwrap_err();
    assert_eq!(error.to_string(), "plan: It is none of the choices. Take one of: Gold, Silver plus, Ü.");
    assert_eq!(error.unfit.code, "not_a_choice");
}

#[test]
fn core_fields_have_their_types_and_others_are_text() {
    let fields = Fields::default();
    let read = |key: &str, text: &str| fields.read(key, text, None).ok();
    assert_eq!(read("email", "A@b.co").as_deref(), Some("a@b.co"));
    assert_eq!(read("birthday", "03/04/1990"), None);
    assert_eq!(read("country", "tw").as_deref(), Some("TW"));
    assert_eq!(read("country", "Taiwan").as_deref(), Some("Taiwan"));
    assert_eq!(read("shoe_size", "43½").as_deref(), Some("43½"));
}

#[test]
fn definitions_that_make_no_sense_are_refused_with_the_reason() {
    let ok = definition("plan", Kind::Choice);
    assert_eq!(ok.check(), Ok(()));
    assert_eq!(definition("email", Kind::Email).check(), Ok(()), "a core field with its own type");
    let with = |change: fn(&mut Definition)| {
        let mut d = definition("plan", Kind::Choice);
        change(&mut d);
        d.check().unwrap_err()
    };
    assert_eq!(with(|d| d.key = "Plan".into()), DefinitionError::Key("Plan".into()));
    assert_eq!(with(|d| d.key = "k".repeat(60)), DefinitionError::Key("k".repeat(60)));
    assert_eq!(with(|d| d.key = "plan_as_written".into()), DefinitionError::Reserved);
    assert_eq!(with(|d| d.key = "email".into()), DefinitionError::CoreKind { key: "email".into(), kind: Kind::Email });
    assert_eq!(with(|d| d.choices.clear()), DefinitionError::NoChoices);
    assert_eq!(with(|d| d.kind = Kind::Date), DefinitionError::ChoicesOf(Kind::Date));
    assert_eq!(with(|d| d.choices.push("gold".into())), DefinitionError::ChoiceTwice("gold".into()));
    assert_eq!(with(|d| d.choices.push("a  b".into())), DefinitionError::Choice("a  b".into()));
    assert_eq!(
        with(|d| {
            d.kind = Kind::MultiChoice;
            d.choices.push("a,b".into());
        }),
        DefinitionError::Choice("a,b".into())
    );
}

fn some_kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(&Kind::ALL[..])
}

fn some_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,30}",
        "[-+]?[0-9., ]{1,12}",
        "[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}",
        "(https?://)?[a-z.]{1,12}(/[a-z]{0,4})?",
        "[a-z]{1,3}@[a-z]{1,3}\\.[a-z]{1,3}",
        "(gold|Silver plus|ü|x)([;,|] ?(gold|ü|x))?",
        "20[0-9]{2}-0[1-9]-[012][1-8]T0[0-9]:00:00(Z|\\+08:00)",
        "\\+?[0-9]{6,14}",
        Just("yes".to_owned()),
    ]
}

fn all_texts(profile: &Profile) -> String {
    profile.fields.values().map(|f| f.value.clone()).collect::<Vec<_>>().join("\n")
}

proptest! {
    #[test]
    fn the_canonical_form_is_read_as_itself(kind in some_kind(), text in some_text()) {
        if let Some(once) = value(kind, &text) {
            prop_assert_eq!(value(kind, &once), Some(once));
        }
    }

    #[test]
    fn a_value_is_kept_whether_it_fits_or_not(kind in some_kind(), text in some_text()) {
        let fields = Fields::new([definition("x", kind)]);
        let (key, kept, fits) = keep(&fields, "x", &text, None);
        prop_assert_eq!(fits, key == "x");
        if !fits {
            prop_assert_eq!((key, kept.as_str()), (as_written("x"), text.trim()));
        }
    }

    #[test]
    fn changing_the_type_back_and_forth_loses_nothing(kinds in proptest::collection::vec(some_kind(), 1..6), text in some_text(), aside in some_text()) {
        let field = |value: &str| Field { value: value.trim().to_owned(), at: 5, source: "agent:eva".into() };
        let mut profile = Profile::default();
        profile.fields.insert("x".into(), field(&text));
        if !aside.trim().is_empty() {
            profile.fields.insert(as_written("x"), field(&aside));
        }
        let before = profile.fields.values().filter(|f| !f.value.is_empty()).count();
        for kind in kinds {
            let fields = Fields::new([definition("x", kind)]);
            if let Some(changed) = recheck(&profile, "x", &fields) {
                // Either in canonical form, or word for word; beside one that was there, both.
                let moved = profile.get("x").is_some() && changed.get("x").is_none();
                if moved {
                    let word_for_word = profile.fields.values().all(|f| all_texts(&changed).contains(&f.value));
                    prop_assert!(word_for_word);
                }
                prop_assert!(!changed.fields.is_empty() || before == 0);
                prop_assert!(changed.fields.values().all(|f| f.source == "agent:eva" && f.at == 5));
                prop_assert_eq!(recheck(&changed, "x", &fields), None, "looking again changes nothing");
                profile = changed;
            }
        }
    }
}
