//! Lenient reading of JSON that others write: one wrong field must cost that field only, and what is kept is kept as sent.
//! May touch: values. Must not touch: anything else.
//! Failure story: none. What can't be read is `None`; the raw text stays with the caller.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON object whose values are still text. Keeps repeated keys.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// `None` when `raw` is no object.
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        Self::parse(raw.get())
    }

    /// `None` when `text` is no object or no JSON.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }

    /// The value under `key`, as text; `null` counts as missing. The last one of repeated keys, as most readers do.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.all(key).next_back()
    }

    /// Every value under `key`, `null` left out.
    pub(crate) fn all<'s>(&'s self, key: &'s str) -> impl DoubleEndedIterator<Item = &'a RawValue> + 's {
        self.0.iter().filter(move |(k, v)| k == key && v.get() != "null").map(|(_, v)| *v)
    }

    /// Keys and values as they come.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), *v))
    }

    /// A text or number, as text, not empty.
    pub(crate) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.raw(key).and_then(text)
    }

    /// Like [`Self::text`], owned.
    pub(crate) fn string(&self, key: &str) -> Option<String> {
        self.text(key).map(Cow::into_owned)
    }

    /// An integer, also when written as text.
    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        self.text(key)?.trim().parse().ok()
    }

    /// True for `true` and `"true"`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|raw| matches!(raw.get(), "true" | "\"true\""))
    }

    /// The object under `key`.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        self.raw(key).and_then(Object::read)
    }

    /// The items of the array under `key`; none when there is no array.
    pub(crate) fn list(&self, key: &str) -> Vec<&'a RawValue> {
        self.raw(key).and_then(list).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some(Key(key)) = map.next_key()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The items of an array, as text; `None` when it is none.
pub(crate) fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// A text or a number, as text. `None` for everything else and for the empty text.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' => {
            let inner = json.get(1..json.len().saturating_sub(1))?;
            let text = if inner.contains('\\') { Cow::Owned(unescape(json, inner)) } else { Cow::Borrowed(inner) };
            (!text.is_empty()).then_some(text)
        }
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
        _ => None,
    }
}

/// Resolves escapes. NUL and halves of surrogate pairs, which databases refuse, become U+FFFD.
fn unescape(json: &str, inner: &str) -> String {
    let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| unescape_broken(inner));
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn unescape_broken(inner: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    let mut buffer = [0; 2];
    while let Some(c) = rest.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut buffer));
            continue;
        }
        let unit = match rest.next() {
            Some('n') => u16::from(b'\n'),
            Some('r') => u16::from(b'\r'),
            Some('t') => u16::from(b'\t'),
            Some('b') => 8,
            Some('f') => 12,
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                u16::from_str_radix(&digits, 16).unwrap_or(0xfffd)
            }
            Some(other) => {
                units.extend_from_slice(other.encode_utf16(&mut buffer));
                continue;
            }
            None => 0xfffd,
        };
        units.push(unit);
    }
    String::from_utf16_lossy(&units)
}

/// True when `text` is one JSON value and nothing else.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The raw text of anything, so that it can be embedded in JSON: JSON as it stands, anything else as a JSON string.
pub(crate) fn embeddable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if is_json(&text) {
        return text.into_owned();
    }
    serde_json::Value::String(text.replace('\0', "\u{fffd}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        text(raw).map(Cow::into_owned)
    }

    #[test]
    fn texts_and_numbers_are_texts() {
        assert_eq!(read("\"a\""), Some("a".to_owned()));
        assert_eq!(read("12"), Some("12".to_owned()));
        assert_eq!(read("-1.5"), Some("-1.5".to_owned()));
        assert_eq!(read(r#""a\"\u00e9\n""#), Some("a\"é\n".to_owned()));
        for none in ["\"\"", "null", "true", "{}", "[]"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn halves_of_emoji_and_nul_cost_one_character() {
        assert_eq!(read(r#""a\ud83db""#), Some("a\u{fffd}b".to_owned()));
        assert_eq!(read(r#""\ud83d\ude2e\ude2e\t\/\\""#), Some("😮\u{fffd}\t/\\".to_owned()));
        assert_eq!(read(r#""a\u0000b""#), Some("a\u{fffd}b".to_owned()));
    }

    #[test]
    fn objects_keep_repeated_keys_and_treat_null_as_missing() {
        let object = Object::parse(r#" {"a":1,"b":null,"a":"2","\u0063":true}"#).expect("object");
        assert_eq!(object.integer("a"), Some(2));
        assert_eq!(object.all("a").count(), 2);
        assert!(object.raw("b").is_none());
        assert!(object.flag("c"));
        assert!(Object::parse("[1]").is_none());
        assert!(Object::parse("{").is_none());
    }

    #[test]
    fn anything_can_be_embedded() {
        assert_eq!(embeddable(b"{\"a\": 1}"), "{\"a\": 1}");
        assert_eq!(embeddable(b"no \"json\"\xff"), "\"no \\\"json\\\"\u{fffd}\"");
    }
}
