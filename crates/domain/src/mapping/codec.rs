//! A CRM's form of a value to our canonical text and back. What a value is depends on the kind of the CRM's field; where that says
//! too little, the rule names a codec.

use super::{Item, Rule};
use crate::crm::{CrmField, CrmKind};
use crate::fields::{self, Fields, Kind};
use crate::phone::{self, Region};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How values are written in the CRM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// As the kind of the CRM's field wants it.
    #[default]
    Auto,
    /// As text, whatever the kind.
    Text,
    /// Yes and no, in these words.
    YesNo {
        /// What stands for yes.
        yes: String,
        /// What stands for no.
        no: String,
    },
    /// Milliseconds since 1970, days as their midnight in UTC.
    EpochMs,
    /// Seconds since 1970, days as their midnight in UTC.
    EpochS,
    /// Several values in one text, with this between them.
    Joined(String),
    /// Several values as a JSON array.
    Array,
    /// Number as dialled at home, without country code.
    NationalPhone,
    /// First names in the first field, the last word in the second; a name of one word goes to the first.
    FirstLast,
    /// First names in the first field, the last word in the second; a name of one word goes to the second, which can't be empty.
    FirstLastRequired,
}

/// Why a value can't be taken or given: a stable code and a sentence, without the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable.
    pub code: Cow<'static, str>,
    /// For people.
    pub text: Cow<'static, str>,
}

pub(super) fn reason(code: &'static str, text: impl Into<Cow<'static, str>>) -> Reason {
    Reason { code: Cow::Borrowed(code), text: text.into() }
}

/// What the CRM says, as plain text; `None` when it says nothing.
pub(super) fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        Value::Array(items) => items.iter().filter_map(plain).collect::<Vec<_>>().join(";"),
        Value::Object(fields) => fields.get("name").or_else(|| fields.get("id")).and_then(plain)?,
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

/// Their values as our canonical text, before the type of our field is looked at.
pub(super) fn decode(rule: &Rule, field: Option<&CrmField>, values: &[&Value]) -> Result<Option<String>, Reason> {
    if matches!(rule.codec, Codec::FirstLast | Codec::FirstLastRequired) {
        let words: Vec<String> = values.iter().filter_map(|v| plain(v)).collect();
        return Ok((!words.is_empty()).then(|| words.join(" ")));
    }
    let Some(value) = values.first() else { return Ok(None) };
    let kind = field.map_or(CrmKind::Other, |f| f.kind);
    let Some(text) = plain(value) else { return Ok(None) };
    let ours = |word: &str| {
        let known = rule.values.iter().find(|(_, theirs)| theirs.as_str() == word);
        known.map_or_else(|| word.to_owned(), |(ours, _)| ours.clone())
    };
    let read = match &rule.codec {
        Codec::YesNo { yes, no } => match text.as_str() {
            t if t == yes => "true".to_owned(),
            t if t == no => "false".to_owned(),
            _ => {
                return Err(reason(
                    "choice_unknown",
                    "The CRM's value is neither the word for yes nor the one for no.",
                ));
            }
        },
        Codec::EpochMs => epoch(&text, 1, kind)?,
        Codec::EpochS => epoch(&text, 1_000, kind)?,
        Codec::Joined(separator) => list(text.split(separator.as_str()), ours),
        Codec::Array => list(items(value).iter().map(String::as_str), ours),
        Codec::Auto if matches!(kind, CrmKind::MultiChoice | CrmKind::Tags) => match value {
            Value::Array(_) => list(items(value).iter().map(String::as_str), ours),
            _ => list(text.split([';', ',']), ours),
        },
        Codec::Auto if kind == CrmKind::Boolean => match text.as_str() {
            "true" | "1" | "yes" => ours("true"),
            "false" | "0" | "no" => ours("false"),
            other => ours(other),
        },
        _ => ours(&text),
    };
    Ok((!read.is_empty()).then_some(read))
}

fn items(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(plain).collect(),
        other => plain(other).into_iter().collect(),
    }
}

fn list<'a>(elements: impl Iterator<Item = &'a str>, ours: impl Fn(&str) -> String) -> String {
    let set: BTreeSet<String> = elements.map(str::trim).filter(|e| !e.is_empty()).map(ours).collect();
    set.into_iter().collect::<Vec<_>>().join(";")
}

fn epoch(text: &str, unit: i64, kind: CrmKind) -> Result<String, Reason> {
    let unfit = || reason("moment_unclear", "The CRM's value is no number of seconds or milliseconds since 1970.");
    let number: i64 = text.parse().map_err(|_| unfit())?;
    let moment = Timestamp::from_millisecond(number.saturating_mul(unit)).map_err(|_| unfit())?;
    let text = moment.to_string();
    Ok(match (kind, text.split_once('T')) {
        (CrmKind::Date, Some((day, _))) => day.to_owned(),
        _ => text,
    })
}

/// A decoded text in the canonical form of our item.
pub(super) fn canonical(
    item: &Item,
    text: &str,
    fields: &Fields,
    country: Option<Region>,
) -> Result<Option<String>, Reason> {
    let unfit = |unfit: &fields::Unfit| Reason {
        code: Cow::Borrowed(unfit.code),
        text: Cow::Owned(format!("{} {}", unfit.reason, unfit.suggestion)),
    };
    match item {
        Item::Field(key) => fields.read(key, text, country).map(Some).map_err(|e| unfit(&e.unfit)),
        Item::Tags => Ok(Some(text.to_owned())),
        Item::Label(_) => flag(text).map(|yes| yes.then(|| "true".to_owned())),
        Item::Marketing | Item::Transactional => flag(text).map(|yes| Some(yes.to_string())),
        Item::Phone => match phone::parse(text, country) {
            Ok(read) => Ok(Some(format!("+{}", read.e164))),
            Err(_) => Err(reason(
                "phone_invalid",
                "The CRM's number can't be read: give the connection a country, or write it with its country code.",
            )),
        },
        _ => Ok(Some(text.to_owned())),
    }
}

fn flag(text: &str) -> Result<bool, Reason> {
    fields::read(Kind::Boolean, &[], text, None).map(|yes| yes == "true").map_err(|_| {
        reason("choice_unknown", "The CRM's value is neither a yes nor a no: name its words under values.")
    })
}

/// Our canonical text as their values, one for each of the rule's fields.
pub(super) fn encode(rule: &Rule, fields: &[Option<&CrmField>], value: Option<&str>) -> Result<Vec<Value>, Reason> {
    if matches!(rule.codec, Codec::FirstLast | Codec::FirstLastRequired) {
        return Ok(names(rule, value));
    }
    let field = fields.first().copied().flatten();
    let Some(value) = value else { return Ok(vec![empty(rule, field)]) };
    let kind = field.map_or(CrmKind::Other, |f| f.kind);
    let theirs = |word: &str| rule.values.get(word).cloned().unwrap_or_else(|| word.to_owned());
    let list = || value.split(';').filter(|e| !e.is_empty()).map(theirs);
    let written = match &rule.codec {
        Codec::YesNo { yes, no } => json!(if value == "true" { yes } else { no }),
        Codec::EpochMs => json!(millis(value)?),
        Codec::EpochS => json!(millis(value)?.div_euclid(1_000)),
        Codec::Joined(separator) => json!(list().collect::<Vec<_>>().join(separator)),
        Codec::Array => json!(list().collect::<Vec<_>>()),
        Codec::NationalPhone => {
            let digits = value.trim_start_matches('+');
            json!(phone::national(digits).unwrap_or(digits))
        }
        Codec::Auto => match kind {
            CrmKind::MultiChoice | CrmKind::Tags => {
                let words: Vec<String> = list().collect();
                for word in &words {
                    chosen(field, word)?;
                }
                json!(words)
            }
            CrmKind::Boolean if rule.values.is_empty() => json!(value == "true"),
            CrmKind::Number => number(&theirs(value))?,
            CrmKind::Choice => json!(chosen(field, &theirs(value))?),
            _ => json!(theirs(value)),
        },
        _ => json!(theirs(value)),
    };
    if let (Some(most), Some(text)) = (field.and_then(|f| f.max_chars), written.as_str())
        && text.chars().count() > most
    {
        return Err(reason("too_long", format!("The CRM's field takes at most {most} characters.")));
    }
    Ok(vec![written])
}

/// Checkboxes know no empty.
fn empty(rule: &Rule, field: Option<&CrmField>) -> Value {
    match (&rule.codec, field.map(|f| f.kind)) {
        (Codec::YesNo { no, .. }, _) => json!(no),
        (Codec::Auto, Some(CrmKind::Boolean)) if matches!(rule.item, Item::Label(_)) => json!(false),
        (Codec::Array, _) | (Codec::Auto, Some(CrmKind::MultiChoice | CrmKind::Tags)) => json!([]),
        _ => Value::Null,
    }
}

fn names(rule: &Rule, value: Option<&str>) -> Vec<Value> {
    let words: Vec<&str> = value.unwrap_or_default().split_whitespace().collect();
    let text = |words: &[&str]| if words.is_empty() { Value::Null } else { Value::from(words.join(" ")) };
    match words.as_slice() {
        [only] if rule.codec == Codec::FirstLastRequired => vec![Value::Null, Value::from(*only)],
        [only] => vec![Value::from(*only), Value::Null],
        [first @ .., last] => vec![text(first), Value::from(*last)],
        [] => vec![Value::Null, Value::Null],
    }
}

/// The choice that a word means, by value or by what people see.
fn chosen(field: Option<&CrmField>, word: &str) -> Result<String, Reason> {
    let Some(field) = field.filter(|f| f.strict_choices) else { return Ok(word.to_owned()) };
    let folded = word.to_lowercase();
    let found = field.choices.iter().find(|c| c.value == word).or_else(|| {
        field.choices.iter().find(|c| c.value.to_lowercase() == folded || c.label.to_lowercase() == folded)
    });
    found.map(|c| c.value.clone()).ok_or_else(|| {
        let text = "The CRM's field has no such choice: add it there, or name the words under values.";
        reason("choice_unknown", text)
    })
}

fn number(text: &str) -> Result<Value, Reason> {
    let read = text.parse::<i64>().map(Value::from).ok();
    let read = read.or_else(|| text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number));
    read.ok_or_else(|| reason("number_invalid", "This is no number, and the CRM's field takes nothing else."))
}

fn millis(text: &str) -> Result<i64, Reason> {
    let day = || text.parse::<Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
    let moment = text.parse::<Timestamp>().ok().or_else(day);
    moment
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| reason("moment_unclear", "This is no point in time, and the CRM's field takes nothing else."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crm::CrmChoice;
    use proptest::prelude::*;

    fn field(kind: CrmKind) -> CrmField {
        CrmField::new("f", kind)
    }

    fn both(rule: &Rule, kind: CrmKind, value: &str) -> Option<String> {
        let field = field(kind);
        let field = CrmField { strict_choices: false, ..field };
        let written = encode(rule, &[Some(&field)], Some(value)).unwrap();
        decode(rule, Some(&field), &written.iter().collect::<Vec<_>>()).unwrap()
    }

    fn rule(codec: Codec) -> Rule {
        Rule { codec, ..Rule::new(Item::Field("x".into()), "f") }
    }

    #[test]
    fn each_kind_is_written_as_it_is_read() {
        for (codec, kind, value) in [
            (Codec::Auto, CrmKind::Text, "Ana"),
            (Codec::Auto, CrmKind::Number, "1234.5"),
            (Codec::Auto, CrmKind::Number, "-7"),
            (Codec::Auto, CrmKind::Boolean, "true"),
            (Codec::Auto, CrmKind::Boolean, "false"),
            (Codec::Auto, CrmKind::Date, "1990-12-31"),
            (Codec::EpochMs, CrmKind::Date, "1990-12-31"),
            (Codec::EpochMs, CrmKind::Moment, "2026-01-31T08:00:00Z"),
            (Codec::EpochS, CrmKind::Moment, "2026-01-31T08:00:00Z"),
            (Codec::Auto, CrmKind::MultiChoice, "a;b"),
            (Codec::Joined("|".into()), CrmKind::Text, "a;b"),
            (Codec::Array, CrmKind::Other, "a;b"),
            (Codec::YesNo { yes: "S".into(), no: "N".into() }, CrmKind::Text, "false"),
        ] {
            assert_eq!(both(&rule(codec.clone()), kind, value).as_deref(), Some(value), "{codec:?} {kind:?}");
        }
        assert_eq!(encode(&rule(Codec::Auto), &[Some(&field(CrmKind::Number))], Some("7")).unwrap(), [json!(7)]);
        assert_eq!(encode(&rule(Codec::NationalPhone), &[None], Some("+886912345678")).unwrap(), [json!("912345678")]);
    }

    #[test]
    fn other_words_go_both_ways_and_unknown_choices_are_refused() {
        let mut rule = rule(Codec::Auto);
        rule.values.insert("true".into(), "Opted in".into());
        let mut field = field(CrmKind::Choice);
        field.choices = vec![CrmChoice { value: "Opted in".into(), label: "Yes".into() }];
        assert_eq!(encode(&rule, &[Some(&field)], Some("true")).unwrap(), [json!("Opted in")]);
        assert_eq!(encode(&rule, &[Some(&field)], Some("YES")).unwrap(), [json!("Opted in")]);
        assert_eq!(encode(&rule, &[Some(&field)], Some("no")).unwrap_err().code, "choice_unknown");
        assert_eq!(decode(&rule, Some(&field), &[&json!("Opted in")]).unwrap().as_deref(), Some("true"));
    }

    #[test]
    fn nothing_is_cut_off() {
        let field = CrmField { max_chars: Some(3), ..field(CrmKind::Text) };
        assert_eq!(encode(&rule(Codec::Auto), &[Some(&field)], Some("four")).unwrap_err().code, "too_long");
        assert!(encode(&rule(Codec::Auto), &[Some(&field)], Some("王小明")).is_ok());
    }

    #[test]
    fn names_in_two_parts() {
        let split = |codec: Codec, name: &str| {
            let rule = Rule { theirs: vec!["f".into(), "l".into()], ..rule(codec) };
            let parts = encode(&rule, &[None, None], Some(name)).unwrap();
            let back = decode(&rule, None, &parts.iter().collect::<Vec<_>>()).unwrap();
            assert_eq!(back.as_deref(), Some(name));
            parts
        };
        assert_eq!(split(Codec::FirstLast, "Ana Maria Lima"), [json!("Ana Maria"), json!("Lima")]);
        assert_eq!(split(Codec::FirstLast, "王小明"), [json!("王小明"), Value::Null]);
        assert_eq!(split(Codec::FirstLastRequired, "王小明"), [Value::Null, json!("王小明")]);
    }

    proptest! {
        #[test]
        fn no_value_of_a_crm_panics(text in ".{0,60}", number: i64, kind in 0usize..4) {
            let value = match kind { 0 => json!(text), 1 => json!(number), 2 => json!([text, number]), _ => json!({"id": text}) };
            for codec in [Codec::Auto, Codec::EpochMs, Codec::EpochS, Codec::Array, Codec::Joined(",".into()), Codec::FirstLast] {
                for kind in [CrmKind::Text, CrmKind::Number, CrmKind::Boolean, CrmKind::MultiChoice, CrmKind::Date, CrmKind::Other] {
                    let _ = decode(&rule(codec.clone()), Some(&field(kind)), &[&value]);
                    let _ = encode(&rule(codec.clone()), &[Some(&field(kind))], Some(&text));
                }
            }
        }
    }
}
