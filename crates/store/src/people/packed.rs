//! A profile as it stands in its column: `{"o":[[source, at], …],"f":{key:[value, origin], …},"t":[tags]}`. The story of a
//! field (who said it and when) is the same for all fields of one import, so it is written once: a million people are as many
//! bytes less to write as fields times story. Decisions are `"d":[[item, origin], …]`. An empty profile is the empty text.

use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::profile::{Decided, Field, Item, Label, Profile};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Packed<'a> {
    #[serde(borrow, default)]
    o: Vec<(Cow<'a, str>, Millis)>,
    #[serde(borrow, default)]
    f: BTreeMap<Cow<'a, str>, (Cow<'a, str>, usize)>,
    #[serde(borrow, default)]
    t: Vec<Cow<'a, str>>,
    #[serde(default)]
    d: Vec<(Item, usize)>,
}

/// The place of a story, written down when it is new.
fn origin<'a>(told: &mut Vec<(&'a str, Millis)>, source: &'a str, at: Millis) -> usize {
    let known = told.iter().position(|(s, t)| *s == source && *t == at);
    known.unwrap_or_else(|| {
        told.push((source, at));
        told.len() - 1
    })
}

/// The same on the way out, without a copy of anything.
#[derive(Serialize)]
struct Packing<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    o: Vec<(&'a str, Millis)>,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    f: Fields<'a>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    t: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    d: Vec<(&'a Item, usize)>,
}

/// Fields, each with the place of its story.
struct Fields<'a>(Vec<(&'a str, (&'a str, usize))>);

impl Fields<'_> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

pub(crate) fn pack(profile: &Profile) -> String {
    let mut origins: Vec<(&str, Millis)> = Vec::new();
    let mut fields = Vec::with_capacity(profile.fields.len());
    for (key, field) in &profile.fields {
        let place = origin(&mut origins, &field.source, field.at);
        fields.push((key.as_str(), (field.value.as_str(), place)));
    }
    let decided: Vec<(&Item, usize)> =
        profile.decided.iter().map(|(item, d)| (item, origin(&mut origins, &d.source, d.at))).collect();
    if fields.is_empty() && profile.tags.is_empty() && decided.is_empty() {
        return String::new();
    }
    let packing = Packing { o: origins, f: Fields(fields), t: &profile.tags, d: decided };
    serde_json::to_string(&packing).unwrap_or_default()
}

pub(crate) fn labels(profile: &Profile) -> String {
    profile.labels.iter().map(|l| l.as_str()).collect::<Vec<_>>().join(",")
}

pub(crate) fn unpack(profile: &str, labels: &str) -> Result<Profile, StoreError> {
    let broken = || StoreError::Corrupt("person.profile".into());
    let labels = labels.split(',').filter_map(Label::parse).collect();
    if profile.is_empty() {
        return Ok(Profile { labels, ..Profile::default() });
    }
    let packed: Packed<'_> = serde_json::from_str(profile).map_err(|_| broken())?;
    let mut fields = BTreeMap::new();
    for (key, (value, origin)) in packed.f {
        let (source, at) = packed.o.get(origin).ok_or_else(broken)?;
        let field = Field { value: value.into_owned(), at: *at, source: source.to_string() };
        fields.insert(key.into_owned(), field);
    }
    let mut decided = BTreeMap::new();
    for (item, origin) in packed.d {
        let (source, at) = packed.o.get(origin).ok_or_else(broken)?;
        decided.insert(item, Decided { at: *at, source: source.to_string() });
    }
    Ok(Profile { fields, tags: packed.t.into_iter().map(Cow::into_owned).collect(), labels, decided })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn profiles_round_trip(
            fields in proptest::collection::btree_map("[a-z_]{1,6}", (".{0,12}", 0i64..3, 0usize..3), 0..6),
            tags in proptest::collection::btree_set(".{1,6}", 0..4),
            blocked in any::<bool>(),
            decided in proptest::collection::vec((0u8..4, 0i64..3, 0usize..3), 0..4),
        ) {
            let sources = ["import:a", "agent:\"x\"", "crm:é"];
            let profile = Profile {
                fields: fields.into_iter().map(|(key, (value, at, source))|
                    (key, Field { value, at, source: sources[source].to_owned() })).collect(),
                tags,
                labels: blocked.then_some(Label::Blocked).into_iter().collect(),
                decided: decided.into_iter().map(|(n, at, source)| {
                    let item = match n {
                        0 => Item::Label(Label::Blocked),
                        n => Item::Tag(format!("t{n}")),
                    };
                    (item, Decided { at, source: sources[source].to_owned() })
                }).collect(),
            };
            prop_assert_eq!(unpack(&pack(&profile), &labels(&profile)).unwrap(), profile);
        }

        #[test]
        fn damage_is_told_not_panicked_on(text in ".{0,60}") {
            let _ = unpack(&text, &text);
        }
    }
}
