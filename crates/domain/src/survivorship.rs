//! # Survivorship
//! Purpose: what is left when two people become one: who stays, and which value of each field.
//! May touch: values.
//! Must not touch: the store; conversations, consent and links follow by its verbs. Undo keeps both sides as they were and
//! needs nothing from here.
//! Failure story: none. A merge is shown as [`Choice`]s before it is made.

use crate::Millis;
use crate::ids::PersonId;
use crate::profile::{Field, Profile, core};
use serde::{Deserialize, Serialize};
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// Which value of a field stays. An empty value never stays beside one that isn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// What was said last.
    Newest,
    /// The longest, counted in letters and digits.
    MostComplete,
    /// What a CRM says; of two the newer.
    CrmWins,
    /// What the surviving person has. The one rule for which it matters who survives.
    KeepSurvivor,
}

/// Rules by field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// By the key of the field.
    pub per_field: BTreeMap<String, Rule>,
    /// For all others.
    pub default: Rule,
}

impl Default for Rules {
    /// Names and notes: the most complete. Owner: as the CRM says. All else: the newest.
    fn default() -> Self {
        let of = |field: &str, rule| (field.to_owned(), rule);
        Self {
            per_field: BTreeMap::from([
                of(core::NAME, Rule::MostComplete),
                of(core::NOTE, Rule::MostComplete),
                of(core::OWNER, Rule::CrmWins),
            ]),
            default: Rule::Newest,
        }
    }
}

impl Rules {
    /// The rule for a field.
    #[must_use]
    pub fn rule(&self, field: &str) -> Rule {
        self.per_field.get(field).copied().unwrap_or(self.default)
    }
}

/// One of the two people of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who stays.
    Survivor,
    /// Who becomes part of the survivor.
    Other,
}

/// What decides who stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// When the person became known, epoch milliseconds.
    pub created_at: Millis,
    /// A CRM has a record of the person.
    pub has_crm_link: bool,
    /// When the last message came or went, epoch milliseconds; `None` without a conversation.
    pub last_message_at: Option<Millis>,
    /// Fields with a value.
    pub fields: usize,
    /// Breaks ties.
    pub id: PersonId,
}

/// Orders people by who stays: `Less` stays. A CRM link first (others hold on to it), then a conversation, then who has been
/// known longer, who spoke last, who has more fields, and the lower id. Total, so that it doesn't matter in which order
/// people are looked at.
#[must_use]
pub fn survivor(a: &Facts, b: &Facts) -> Ordering {
    let key = |f: &Facts| {
        (
            !f.has_crm_link,
            f.last_message_at.is_none(),
            f.created_at,
            Reverse(f.last_message_at),
            Reverse(f.fields),
            f.id,
        )
    };
    key(a).cmp(&key(b))
}

/// What became of one field: the line of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The key of the field.
    pub field: String,
    /// Whose value stays. The survivor's when both are the same.
    pub kept: Side,
    /// The value that stays.
    pub value: String,
    /// The other side's value, when it is another one.
    pub lost: Option<String>,
    /// By which rule.
    pub rule: Rule,
}

/// What a merge makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The survivor's profile after it.
    pub profile: Profile,
    /// What became of each field that either side has, by key.
    pub choices: Vec<Choice>,
}

/// Merges two profiles. Tags and labels are united: a label that forbids is never lost. For every rule but
/// [`Rule::KeepSurvivor`] the content is the same whoever survives and in whatever order several are merged.
#[must_use]
pub fn merge(kept: &Profile, other: &Profile, rules: &Rules) -> Outcome {
    let mut profile = Profile {
        fields: BTreeMap::new(),
        tags: kept.tags.union(&other.tags).cloned().collect(),
        labels: kept.labels.union(&other.labels).copied().collect(),
        decided: BTreeMap::new(),
    };
    let mut choices = Vec::new();
    let only_other = other.fields.keys().filter(|key| !kept.fields.contains_key(*key));
    for key in kept.fields.keys().chain(only_other) {
        let rule = rules.rule(key);
        let (side, field, lost) = match (kept.fields.get(key), other.fields.get(key)) {
            (Some(a), Some(b)) if better(rule, a, b) => (Side::Survivor, a, Some(b)),
            (Some(a), Some(b)) => (Side::Other, b, Some(a)),
            (Some(a), None) => (Side::Survivor, a, None),
            (None, Some(b)) => (Side::Other, b, None),
            (None, None) => continue,
        };
        let lost = lost.filter(|l| l.value != field.value);
        let same = lost.is_none() && kept.fields.contains_key(key);
        choices.push(Choice {
            field: key.clone(),
            kept: if same { Side::Survivor } else { side },
            value: field.value.clone(),
            lost: lost.map(|l| l.value.clone()),
            rule,
        });
        profile.fields.insert(key.clone(), field.clone());
    }
    choices.sort_by(|a, b| a.field.cmp(&b.field));
    decided(&mut profile, kept, other);
    Outcome { profile, choices }
}

/// The newest decision of those that agree with what became of it.
fn decided(profile: &mut Profile, kept: &Profile, other: &Profile) {
    let mut all = BTreeMap::new();
    for side in [kept, other] {
        for (item, decision) in &side.decided {
            if side.has(item) == profile.has(item) && all.get(item).is_none_or(|known| *known < decision) {
                all.insert(item, decision);
            }
        }
    }
    profile.decided = all.into_iter().map(|(item, decision)| (item.clone(), decision.clone())).collect();
}

/// True when `a` (the survivor's) stays. But for [`Rule::KeepSurvivor`] a total order of fields: whatever ties is decided by
/// the rest, at last by the value and its source.
fn better(rule: Rule, a: &Field, b: &Field) -> bool {
    let said = |f: &Field| !f.value.trim().is_empty();
    let length = |f: &Field| f.value.chars().filter(|c| c.is_alphanumeric()).count();
    let newest = |a: &Field, b: &Field| {
        let key = |f: &Field| (f.at, length(f));
        key(a).cmp(&key(b)).then_with(|| a.value.cmp(&b.value)).then_with(|| a.source.cmp(&b.source))
    };
    let crm = |f: &Field| f.source.starts_with("crm:");
    let order = said(a).cmp(&said(b)).then_with(|| match rule {
        Rule::Newest => newest(a, b),
        Rule::MostComplete => length(a).cmp(&length(b)).then_with(|| newest(a, b)),
        Rule::CrmWins => crm(a).cmp(&crm(b)).then_with(|| newest(a, b)),
        Rule::KeepSurvivor => Ordering::Equal,
    });
    order.is_ge()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Decided, Item, Label};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn field(value: &str, at: Millis, source: &str) -> Field {
        Field { value: value.into(), at, source: source.into() }
    }

    fn profile(fields: &[(&str, Field)]) -> Profile {
        Profile { fields: fields.iter().map(|(k, f)| ((*k).to_owned(), f.clone())).collect(), ..Profile::default() }
    }

    fn facts(id: u128) -> Facts {
        Facts {
            created_at: 100,
            has_crm_link: false,
            last_message_at: None,
            fields: 1,
            id: PersonId(Uuid::from_u128(id)),
        }
    }

    #[test]
    fn each_rule_keeps_what_it_says() {
        let a = profile(&[("city", field("Recife", 1, "crm:a"))]);
        let b = profile(&[("city", field("Rio de Janeiro", 2, "import:x"))]);
        let c = profile(&[("city", field("Olinda", 3, "agent:y"))]);
        for (rule, kept, other, wanted) in [
            (Rule::Newest, &a, &b, "Rio de Janeiro"),
            (Rule::Newest, &b, &c, "Olinda"),
            (Rule::MostComplete, &b, &c, "Rio de Janeiro"),
            (Rule::CrmWins, &b, &a, "Recife"),
            (Rule::CrmWins, &b, &c, "Olinda"),
            (Rule::KeepSurvivor, &b, &c, "Rio de Janeiro"),
        ] {
            let rules = Rules { per_field: BTreeMap::new(), default: rule };
            assert_eq!(merge(kept, other, &rules).profile.get("city"), Some(wanted), "{rule:?}");
        }
    }

    #[test]
    fn the_preview_says_what_stays_and_what_is_lost() {
        let kept = profile(&[("city", field("Recife", 5, "agent:a")), ("note", field("vip", 1, "agent:a"))]);
        let other = profile(&[("city", field("Olinda", 9, "crm:b")), ("email", field("a@b.c", 1, "crm:b"))]);
        let choices = merge(&kept, &other, &Rules::default()).choices;
        let line = |field: &str, kept, value: &str, lost: Option<&str>, rule| Choice {
            field: field.into(),
            kept,
            value: value.into(),
            lost: lost.map(Into::into),
            rule,
        };
        assert_eq!(
            choices,
            [
                line("city", Side::Other, "Olinda", Some("Recife"), Rule::Newest),
                line("email", Side::Other, "a@b.c", None, Rule::Newest),
                line("note", Side::Survivor, "vip", None, Rule::MostComplete),
            ]
        );
    }

    #[test]
    fn an_empty_value_never_wins() {
        let kept = profile(&[("city", field(" ", 9, "crm:a"))]);
        let other = profile(&[("city", field("Recife", 1, "import:x"))]);
        for rule in [Rule::Newest, Rule::MostComplete, Rule::CrmWins, Rule::KeepSurvivor] {
            let rules = Rules { per_field: BTreeMap::new(), default: rule };
            assert_eq!(merge(&kept, &other, &rules).profile.get("city"), Some("Recife"), "{rule:?}");
        }
    }

    #[test]
    fn who_stays_has_a_crm_link_then_a_conversation_then_age() {
        let plain = facts(1);
        let talking = Facts { last_message_at: Some(500), created_at: 400, ..facts(2) };
        let linked = Facts { has_crm_link: true, created_at: 900, ..facts(3) };
        let older = Facts { created_at: 50, ..facts(4) };
        for (a, b) in [(linked, talking), (talking, older), (older, plain), (plain, facts(9))] {
            assert_eq!((survivor(&a, &b), survivor(&b, &a)), (Ordering::Less, Ordering::Greater), "{a:?} {b:?}");
        }
    }

    #[test]
    fn rules_are_read_as_they_are_written_in_settings() {
        let rules: Rules =
            serde_json::from_str(r#"{"per_field":{"email":"crm_wins"},"default":"most_complete"}"#).unwrap();
        assert_eq!((rules.rule("email"), rules.rule("x")), (Rule::CrmWins, Rule::MostComplete));
    }

    fn some_field() -> impl Strategy<Value = Field> {
        (prop_oneof!["[ab]{0,3}", Just(" ".to_owned())], 0..4_i64, prop_oneof!["crm:[ab]", "agent:[ab]"])
            .prop_map(|(value, at, source)| Field { value, at, source })
    }

    fn some_profile() -> impl Strategy<Value = Profile> {
        let labels = proptest::collection::btree_set(proptest::sample::select(&Label::ALL[..]), 0..3);
        let fields = proptest::collection::btree_map("[a-d]", some_field(), 0..4);
        let item = prop_oneof![
            "[a-d]".prop_map(Item::Field),
            "[xyz]".prop_map(Item::Tag),
            proptest::sample::select(&Label::ALL[..]).prop_map(Item::Label),
        ];
        let decision = (0..4_i64, "agent:[ab]").prop_map(|(at, source)| Decided { at, source });
        let decided = proptest::collection::btree_map(item, decision, 0..4);
        (fields, proptest::collection::btree_set("[xyz]", 0..3), labels, decided).prop_map(
            |(fields, tags, labels, decided)| {
                let mut profile = Profile { fields, tags, labels, decided };
                // Of a field only its absence is decided here; what it is has its own story.
                let fields = profile.fields.clone();
                profile.decided.retain(|item, _| !matches!(item, Item::Field(key) if fields.contains_key(key)));
                profile
            },
        )
    }

    fn fair_rules() -> impl Strategy<Value = Rules> {
        let rule = || proptest::sample::select(vec![Rule::Newest, Rule::MostComplete, Rule::CrmWins]);
        (proptest::collection::btree_map("[a-d]", rule(), 0..3), rule())
            .prop_map(|(per_field, default)| Rules { per_field, default })
    }

    proptest! {
        #[test]
        fn the_order_of_merges_changes_no_content(a in some_profile(), b in some_profile(), c in some_profile(), rules in fair_rules()) {
            let two = |x: &Profile, y: &Profile| merge(x, y, &rules).profile;
            let wanted = two(&two(&a, &b), &c);
            for (x, y, z) in [(&a, &c, &b), (&b, &a, &c), (&b, &c, &a), (&c, &a, &b), (&c, &b, &a)] {
                prop_assert_eq!(&two(&two(x, y), z), &wanted);
                prop_assert_eq!(&two(x, &two(y, z)), &wanted);
            }
        }

        #[test]
        fn merging_the_same_again_changes_nothing(a in some_profile(), b in some_profile(), rules in fair_rules()) {
            let once = merge(&a, &b, &rules).profile;
            prop_assert_eq!(&merge(&once, &b, &rules).profile, &once);
            prop_assert_eq!(&merge(&a, &a, &rules).profile, &a);
        }

        #[test]
        fn nothing_that_forbids_is_lost_and_every_field_is_told(a in some_profile(), b in some_profile(), rules in fair_rules()) {
            let outcome = merge(&a, &b, &rules);
            prop_assert!(a.labels.union(&b.labels).all(|l| outcome.profile.labels.contains(l)));
            prop_assert!(a.tags.union(&b.tags).all(|t| outcome.profile.tags.contains(t)));
            let told: Vec<&String> = outcome.choices.iter().map(|c| &c.field).collect();
            prop_assert_eq!(told, outcome.profile.fields.keys().collect::<Vec<_>>());
            for choice in &outcome.choices {
                let of = |p: &Profile| p.get(&choice.field).map(str::to_owned);
                let (from, beside) = match choice.kept {
                    Side::Survivor => (of(&a), of(&b)),
                    Side::Other => (of(&b), of(&a)),
                };
                prop_assert_eq!(from.as_ref(), Some(&choice.value));
                prop_assert_eq!(choice.lost.clone(), beside.filter(|v| *v != choice.value));
            }
        }

        #[test]
        fn who_stays_is_one_order(of in proptest::collection::vec((0..3_i64, any::<bool>(), proptest::option::of(0..3_i64), 0..3_usize), 3)) {
            let facts: Vec<Facts> = of.iter().zip(0..).map(|((created_at, has_crm_link, last_message_at, fields), id)| Facts {
                created_at: *created_at, has_crm_link: *has_crm_link, last_message_at: *last_message_at, fields: *fields,
                id: PersonId(Uuid::from_u128(id)),
            }).collect();
            let less = |a: usize, b: usize| survivor(&facts[a], &facts[b]) == Ordering::Less;
            prop_assert!(less(0, 1) != less(1, 0));
            prop_assert!(!(less(0, 1) && less(1, 2)) || less(0, 2));
        }
    }
}
