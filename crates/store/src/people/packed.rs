//! A profile as it stands in its column: `{"o":[[source, at], …],"f":{key:[value, origin], …},"t":[tags]}`. The story of a
//! field (who said it and when) is the same for all fields of one import, so it is written once: a million people are as many
//! bytes less to write as fields times story. An empty profile is the empty text.

use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::profile::{Field, Label, Profile};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    o: Vec<(Cow<'a, str>, Millis)>,
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    f: BTreeMap<Cow<'a, str>, (Cow<'a, str>, usize)>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    t: Vec<Cow<'a, str>>,
}

pub(crate) fn pack(profile: &Profile) -> String {
    let mut packed = Packed { o: Vec::new(), f: BTreeMap::new(), t: Vec::new() };
    for (key, field) in &profile.fields {
        let known = packed.o.iter().position(|(source, at)| *source == field.source && *at == field.at);
        let origin = known.unwrap_or_else(|| {
            packed.o.push((Cow::Borrowed(&field.source), field.at));
            packed.o.len() - 1
        });
        packed.f.insert(Cow::Borrowed(key), (Cow::Borrowed(&field.value), origin));
    }
    packed.t.extend(profile.tags.iter().map(|t| Cow::Borrowed(t.as_str())));
    if packed.f.is_empty() && packed.t.is_empty() {
        return String::new();
    }
    serde_json::to_string(&packed).unwrap_or_default()
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
