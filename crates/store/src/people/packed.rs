//! A profile as it stands in its column: `{"o":[[source, at], …],"f":{key:[value, origin], …},"t":[tags]}`. The story of a
//! field (who said it and when) is the same for all fields of one import, so it is written once: a million people are as many
//! bytes less to write as fields times story. An empty profile is the empty text.

use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::profile::{Field, Label, Profile};
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
        let known = origins.iter().position(|(source, at)| *source == field.source && *at == field.at);
        let place = known.unwrap_or_else(|| {
            origins.push((&field.source, field.at));
            origins.len() - 1
        });
        fields.push((key.as_str(), (field.value.as_str(), place)));
    }
    if fields.is_empty() && profile.tags.is_empty() {
        return String::new();
    }
    serde_json::to_string(&Packing { o: origins, f: Fields(fields), t: &profile.tags }).unwrap_or_default()
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
    Ok(Profile { fields, tags: packed.t.into_iter().map(Cow::into_owned).collect(), labels })
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
        ) {
            let sources = ["import:a", "agent:\"x\"", "crm:é"];
            let profile = Profile {
                fields: fields.into_iter().map(|(key, (value, at, source))|
                    (key, Field { value, at, source: sources[source].to_owned() })).collect(),
                tags,
                labels: blocked.then_some(Label::Blocked).into_iter().collect(),
            };
            prop_assert_eq!(unpack(&pack(&profile), &labels(&profile)).unwrap(), profile);
        }

        #[test]
        fn damage_is_told_not_panicked_on(text in ".{0,60}") {
            let _ = unpack(&text, &text);
        }
    }
}
