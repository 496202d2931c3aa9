//! Meetings of a person and a record, one after the other, as a connection lives them.

use super::*;
use crate::crm::CrmChoice;
use crate::fields::Definition;
use crate::ids::PersonId;
use crate::mapping::{Codec, Direction, Say, Template, defaults};
use crate::profile::{Field, Label};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

/// A person and their record, with what was agreed on.
struct Pair {
    mapping: Mapping,
    names: Vec<String>,
    fields: Fields,
    facts: Facts,
    base: Base,
    record: BTreeMap<String, Value>,
    now: Millis,
}

impl Pair {
    fn new(rules: Vec<Rule>) -> Self {
        Self::with(rules, Fields::default())
    }

    fn with(rules: Vec<Rule>, fields: Fields) -> Self {
        let kind = |name: &str| match name {
            "birth" => CrmKind::Date,
            "optin" | "optout" | "refuses" => CrmKind::Boolean,
            "words" => CrmKind::MultiChoice,
            "state" => CrmKind::Choice,
            _ => CrmKind::Text,
        };
        let field = |name: &String| CrmField {
            choices: if name == "state" {
                ["In", "Out"].map(|w| CrmChoice { value: w.into(), label: w.into() }).into()
            } else {
                Vec::new()
            },
            strict_choices: name == "state",
            ..CrmField::new(name.clone(), kind(name))
        };
        let schema: Vec<CrmField> = rules.iter().flat_map(|r| &r.theirs).map(field).collect();
        let mapping = Mapping::new(rules, &schema, &fields);
        let facts = Facts {
            person: PersonId(Uuid::from_u128(7)),
            profile: Profile::default(),
            whatsapp_name: None,
            phones: vec!["5511987654321".into()],
            wa_id: None,
            user_id: None,
            username: None,
            last_inbound_at: None,
            created_at: 0,
            marketing: None,
            transactional: None,
        };
        let names = mapping.read_fields();
        Self { mapping, names, fields, facts, base: Base::default(), record: BTreeMap::new(), now: 1_000_000 }
    }

    fn meet(&mut self) -> Met {
        self.now += 1_000;
        let record = CrmRecord {
            id: "1".into(),
            person: None,
            modified_at: Some(self.now),
            values: self.names.iter().map(|n| self.record.get(n).cloned().unwrap_or(Value::Null)).collect(),
        };
        let meeting = Meeting {
            mapping: &self.mapping,
            names: &self.names,
            fields: &self.fields,
            country: None,
            source: "crm:main",
            now: self.now,
        };
        let met = meet(meeting, &self.facts, &self.base, &record);
        // As the store and the CRM do it.
        if let Some(profile) = &met.profile {
            self.facts.profile = profile.clone();
        }
        self.facts.phones.extend(met.phones.clone());
        for word in &met.consent {
            let say = Some(Say { granted: word.granted, at: word.at, source: "crm_field".into() });
            match word.kind {
                ScopeKind::Marketing => self.facts.marketing = say,
                ScopeKind::Transactional => self.facts.transactional = say,
            }
        }
        self.record.extend(met.given.values.clone());
        self.base = met.given.base.clone();
        met
    }

    fn set(&mut self, key: &str, value: &str) {
        self.now += 1_000;
        let field = Field { value: value.into(), at: self.now, source: "agent:eva".into() };
        self.facts.profile.fields.insert(key.into(), field);
    }

    fn nothing_more(&mut self) {
        let met = self.meet();
        let calm =
            met.profile.is_none() && met.phones.is_empty() && met.consent.is_empty() && met.given.values.is_empty();
        assert!(calm, "{met:?}");
        assert!(self.mapping.news(&self.facts, &self.base).values.is_empty());
    }
}

fn rule(item: &str, theirs: &str) -> Rule {
    Rule::new(item.parse().unwrap(), theirs)
}

#[test]
fn a_change_on_either_side_comes_to_the_other_once() {
    let mut pair = Pair::new(vec![rule("email", "mail"), rule("city", "town")]);
    pair.set("email", "ana@example.com");
    pair.record.insert("town".into(), json!("Lisboa"));
    let met = pair.meet();
    assert_eq!(met.given.values, BTreeMap::from([("mail".into(), json!("ana@example.com"))]));
    assert_eq!(met.changed, ["field:city"]);
    let city = &pair.facts.profile.fields["city"];
    assert_eq!((city.value.as_str(), city.source.as_str()), ("Lisboa", "crm:main"));
    pair.nothing_more();
    pair.record.insert("mail".into(), json!("ANA@example.com "));
    pair.nothing_more();
    pair.record.insert("mail".into(), json!("ana@example.org"));
    pair.meet();
    assert_eq!(pair.facts.profile.get("email"), Some("ana@example.org"));
    pair.set("email", "ana@example.net");
    let news = pair.mapping.news(&pair.facts, &pair.base);
    assert_eq!(news.values, BTreeMap::from([("mail".into(), json!("ana@example.net"))]));
    assert!(news.two_way);
    pair.meet();
    pair.nothing_more();
    pair.record.insert("mail".into(), Value::Null);
    pair.meet();
    assert_eq!(pair.facts.profile.get("email"), None);
    pair.nothing_more();
}

#[test]
fn a_value_that_does_not_fit_is_left_out_and_told_and_holds_up_nothing() {
    let mut pair = Pair::new(vec![rule("email", "mail"), rule("city", "town"), rule("lead", "state")]);
    pair.record.extend([("mail".to_owned(), json!("nonsense")), ("town".to_owned(), json!("Porto"))]);
    pair.set("lead", "Sideways");
    let met = pair.meet();
    assert_eq!(pair.facts.profile.get("city"), Some("Porto"));
    let codes: Vec<_> = met.given.skipped.iter().map(|s| (s.item.as_str(), s.reason.code.as_ref())).collect();
    assert_eq!(codes, [("email", "email_invalid"), ("lead", "choice_unknown")]);
    assert!(met.given.values.is_empty() && pair.facts.profile.get("email").is_none());
}

#[test]
fn a_number_is_added_and_another_way_of_writing_it_is_no_other_number() {
    let mut pair = Pair::new(vec![rule("phone", "mobile")]);
    pair.record.insert("mobile".into(), json!("+55 11 8765-4321"));
    pair.nothing_more();
    pair.record.insert("mobile".into(), json!("+886 912 345 678"));
    assert_eq!(pair.meet().phones, ["886912345678"]);
    pair.nothing_more();
    pair.record.insert("mobile".into(), Value::Null);
    pair.base = Base::default();
    assert_eq!(pair.meet().given.values["mobile"], json!("+5511987654321"));
    pair.nothing_more();
}

#[test]
fn a_withdrawal_wins_on_either_side_and_an_opt_in_needs_its_source() {
    let mut pair = Pair::new(vec![rule("consent.marketing", "optin")]);
    pair.record.insert("optin".into(), json!(false));
    let met = pair.meet();
    assert!(met.consent.is_empty(), "a checkbox that nobody touched says nothing");
    pair.record.insert("optin".into(), json!(true));
    let met = pair.meet();
    assert!(met.consent.is_empty());
    assert_eq!(met.given.skipped[0].reason.code, "opt_in_needs_source");
    pair.nothing_more();
    pair.record.insert("optin".into(), json!(false));
    assert_eq!(pair.meet().consent.len(), 1, "unticked: a withdrawal");
    assert!(!pair.facts.marketing.as_ref().unwrap().granted);
    pair.nothing_more();
    // They agree again, here; the CRM is told.
    pair.facts.marketing = Some(Say { granted: true, at: pair.now, source: "reply".into() });
    assert_eq!(pair.meet().given.values["optin"], json!(true));
    // Both change: here they withdraw, there somebody unticks and ticks it again.
    pair.facts.marketing = Some(Say { granted: false, at: pair.now, source: "keyword".into() });
    assert_eq!(pair.meet().given.values["optin"], json!(false));
    pair.nothing_more();

    let stated = Rule { stated_source: Some("signed contract".into()), ..rule("consent.marketing", "state") };
    let values = [("true".to_owned(), "In".to_owned()), ("false".to_owned(), "Out".to_owned())].into();
    let mut pair = Pair::new(vec![Rule { values, ..stated }]);
    pair.record.insert("state".into(), json!("In"));
    let met = pair.meet();
    assert!(met.consent[0].granted && met.consent[0].stated_source.as_deref() == Some("signed contract"));
    pair.record.insert("state".into(), json!("Out"));
    assert!(!pair.meet().consent[0].granted);
    pair.nothing_more();
}

#[test]
fn a_choice_of_out_counts_at_first_sight() {
    let values = [("true".to_owned(), "In".to_owned()), ("false".to_owned(), "Out".to_owned())].into();
    let mut pair = Pair::new(vec![Rule { values, ..rule("consent.marketing", "state") }]);
    pair.facts.marketing = Some(Say { granted: true, at: 1, source: "reply".into() });
    pair.record.insert("state".into(), json!("Out"));
    assert!(!pair.meet().consent[0].granted);
    pair.nothing_more();
}

#[test]
fn our_own_word_whose_answer_was_lost_is_no_change_of_theirs() {
    let mut pair = Pair::new(vec![rule("company", "firm"), rule("city", "town")]);
    pair.set("company", "One");
    pair.meet();
    // It is sent and arrives, but nobody hears of it; then it changes here once more, and something else changes there.
    pair.set("company", "Two");
    let news = pair.mapping.news(&pair.facts, &pair.base);
    pair.base = news.sending;
    pair.record.extend(news.values);
    pair.set("company", "Three");
    pair.now += 60_000;
    pair.record.insert("town".into(), json!("Porto"));
    pair.meet();
    assert_eq!(pair.facts.profile.get("company"), Some("Three"));
    assert_eq!(pair.record["firm"], json!("Three"));
    pair.nothing_more();
}

/// A list of ours in a text of theirs, and a text of ours among their choices: each is one thing for both ways of looking at it.
#[test]
fn a_list_and_a_text_are_no_news_again_whatever_the_crm_makes_of_them() {
    let hobbies = Definition {
        key: "hobbies".into(),
        label: "Hobbies".into(),
        kind: Kind::MultiChoice,
        choices: ["chess", "rowing", "singing"].map(str::to_owned).into(),
        source: "cli:eva".into(),
        changed_at: 0,
    };
    let fields = Fields::new([hobbies]);
    let joined = Rule { codec: Codec::Joined(", ".into()), ..rule("hobbies", "text") };
    let mut pair = Pair::with(vec![joined, rule("lead", "words")], fields);
    pair.set("hobbies", "chess;singing");
    pair.set("lead", "b;a");
    let met = pair.meet();
    assert_eq!(met.given.values["text"], json!("chess, singing"));
    pair.nothing_more();
    let news = pair.mapping.news(&pair.facts, &pair.base);
    assert!(news.values.is_empty(), "{news:?}");
    pair.set("hobbies", "chess");
    let news = pair.mapping.news(&pair.facts, &pair.base);
    pair.base = news.base;
    pair.record.extend(news.values);
    pair.nothing_more();
}

#[test]
fn templates_bring_values_together_and_take_them_apart() {
    let push = Template::parse("{{ value | upper }}").unwrap();
    let pull = Template::parse("{{ value | title }}").unwrap();
    let mut pair = Pair::new(vec![Rule { push: Some(push), pull: Some(pull), ..rule("city", "town") }]);
    pair.set("city", "Lisboa");
    assert_eq!(pair.meet().given.values["town"], json!("LISBOA"));
    pair.nothing_more();
    pair.record.insert("town".into(), json!("PORTO"));
    pair.meet();
    assert_eq!(pair.facts.profile.get("city"), Some("Porto"));
    pair.nothing_more();
}

#[test]
fn labels_and_tags_follow() {
    let mut pair = Pair::new(vec![
        Rule { conflict: Conflict::Append, ..rule("label.refuses_marketing", "refuses") },
        rule("tags", "words"),
    ]);
    pair.facts.profile.tags.extend(["vip".to_owned(), "old".to_owned()]);
    pair.record.extend([("refuses".to_owned(), json!(true)), ("words".to_owned(), json!(["fair", "old"]))]);
    pair.meet();
    assert!(pair.facts.profile.labels.contains(&Label::RefusesMarketing));
    assert_eq!(pair.record["words"], json!(["fair", "old", "vip"]));
    pair.nothing_more();
    pair.record.insert("words".into(), json!(["fair", "vip"]));
    pair.record.insert("refuses".into(), json!(false));
    pair.meet();
    assert!(!pair.facts.profile.tags.contains("old") && pair.facts.profile.labels.is_empty());
    pair.nothing_more();
}

#[test]
fn default_rules_that_a_crm_does_not_have_are_left_out_and_all_others_hold() {
    let rules = defaults("HubSpot");
    let schema: Vec<CrmField> = ["firstname", "lastname", "email", "phone"]
        .map(|n| CrmField::new(n, CrmKind::Text))
        .into_iter()
        .chain([CrmField { writable: false, ..CrmField::new("company", CrmKind::Text) }])
        .collect();
    let findings = Mapping::check(&rules, &schema, &Fields::default());
    assert!(findings.iter().all(|f| f.level == crate::mapping::Level::LeftOut));
    let mapping = Mapping::new(rules, &schema, &Fields::default());
    let items: Vec<String> = mapping.rules().iter().map(|r| r.item.to_string()).collect();
    assert_eq!(items, ["name", "phone", "email"]);
}

proptest! {
    /// Whatever people do on both sides, after a meeting both have the same and a second one finds nothing.
    #[test]
    fn meetings_converge(steps in proptest::collection::vec((0u8..6, 0usize..4, 0usize..4), 1..20), way in 0usize..4) {
        let conflict = [Conflict::CrmWins, Conflict::PonteWins, Conflict::Newest, Conflict::Append][way];
        let mut pair = Pair::new(vec![
            Rule { conflict, ..rule("company", "firm") },
            Rule { conflict, ..rule("tags", "words") },
            Rule { direction: Direction::ToCrm, ..rule("city", "town") },
            Rule { direction: Direction::FromCrm, ..rule("country", "land") },
        ]);
        let words = ["a", "b", "c", ""];
        for (what, one, two) in steps {
            let text = words[one];
            match what {
                0 if !text.is_empty() => pair.set("company", text),
                1 => { pair.record.insert("firm".into(), json!(text)); }
                2 => { pair.facts.profile.tags = [words[one], words[two]].iter().filter(|w| !w.is_empty()).map(|w| (*w).to_owned()).collect(); }
                3 => { pair.record.insert("words".into(), json!([words[one], words[two]])); }
                4 if !text.is_empty() => pair.set("city", text),
                5 => { pair.record.insert("land".into(), json!(text)); }
                _ => { pair.meet(); }
            }
        }
        pair.meet();
        let theirs = |name: &str| pair.record.get(name).and_then(codec::plain);
        prop_assert_eq!(pair.facts.profile.get("company").map(str::to_owned), theirs("firm"));
        let tags: Vec<String> = pair.facts.profile.tags.iter().cloned().collect();
        let mut there: Vec<String> = theirs("words").unwrap_or_default().split(';').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        there.sort();
        there.dedup();
        prop_assert_eq!(tags, there);
        pair.nothing_more();
    }
}
