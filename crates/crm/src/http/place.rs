//! Where something stands in an answer: a JSON pointer (RFC 6901) in which `*` stands for every element, or an expression of the template
//! language over `record` (the row) and `answer` (the whole).
//! Must not touch: anything but values.

use super::template::Templates;
use minijinja::Expression;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Place {
    /// Begins with `/`, or is empty: the whole.
    Pointer(String),
    /// Anything else.
    Expression(String),
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        if text.is_empty() || text.starts_with('/') { Self::Pointer(text) } else { Self::Expression(text) }
    }
}

/// A place that is ready to be looked at many times.
pub(super) enum Lens<'a> {
    Pointer(Vec<String>),
    Expression(Expression<'a, 'a>),
}

impl Place {
    /// Makes it ready.
    ///
    /// # Errors
    /// When the expression can't be read.
    pub(super) fn lens<'a>(&'a self, templates: &'a Templates) -> Result<Lens<'a>, String> {
        Ok(match self {
            Self::Pointer(pointer) => {
                let part = |part: &str| part.replace("~1", "/").replace("~0", "~");
                Lens::Pointer(pointer.split('/').skip(1).map(part).collect())
            }
            Self::Expression(text) => Lens::Expression(templates.expression(text)?),
        })
    }
}

impl Lens<'_> {
    /// What stands there; `null` when nothing does. Several values of a pointer with `*` are a list.
    pub(super) fn look(&self, record: &Value, answer: &Value) -> Value {
        match self {
            Self::Pointer(parts) if parts.iter().any(|p| p == "*") => {
                let mut found = Vec::new();
                every(record, parts, &mut found);
                Value::Array(found.into_iter().cloned().collect())
            }
            Self::Pointer(parts) => step(record, parts).cloned().unwrap_or_default(),
            // What can't be worked out for this record isn't there: an attribute of what is null.
            Self::Expression(expression) => expression
                .eval(json!({"record": record, "answer": answer}))
                .ok()
                .and_then(|value| serde_json::to_value(value).ok())
                .unwrap_or_default(),
        }
    }

    /// What stands there, as text.
    pub(super) fn text(&self, record: &Value, answer: &Value) -> Option<String> {
        text_of(&self.look(record, answer))
    }

    /// Whether what stands there is true: not null, false, 0, empty.
    pub(super) fn truth(&self, record: &Value, answer: &Value) -> bool {
        truthy(&self.look(record, answer))
    }
}

fn step<'v>(value: &'v Value, parts: &[String]) -> Option<&'v Value> {
    parts.iter().try_fold(value, |value, part| match value {
        Value::Object(map) => map.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn every<'v>(value: &'v Value, parts: &[String], found: &mut Vec<&'v Value>) {
    let Some((first, rest)) = parts.split_first() else {
        found.push(value);
        return;
    };
    match (first.as_str(), value) {
        ("*", Value::Array(items)) => items.iter().for_each(|item| every(item, rest, found)),
        ("*", Value::Object(map)) => map.values().for_each(|item| every(item, rest, found)),
        _ => {
            if let Some(value) = step(value, std::slice::from_ref(first)) {
                every(value, rest, found);
            }
        }
    }
}

/// A text or a number that isn't empty.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|t| !t.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Texts and numbers, one or several.
pub(super) fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts_of).collect(),
        one => text_of(one).into_iter().collect(),
    }
}

/// Not null, false, 0, empty.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn look(place: &str, record: &Value) -> Value {
        let templates = Templates::new();
        Place::from(place.to_owned()).lens(&templates).unwrap().look(record, &Value::Null)
    }

    #[test]
    fn pointers_and_expressions_find_what_they_say() {
        let record = json!({"id": 7, "a/b": {"c.": [{"v": 1, "kind": "x"}, {"v": 2, "kind": "y"}]}, "none": null});
        assert_eq!(look("", &record), record);
        assert_eq!(look("/id", &record), json!(7));
        assert_eq!(look("/a~1b/c./1/v", &record), json!(2));
        assert_eq!(look("/a~1b/c./*/v", &record), json!([1, 2]));
        assert_eq!(look("/a~1b/x/*/v", &record), json!([]));
        assert_eq!(look("/id/deeper", &record), Value::Null);
        let first = "record['a/b']['c.'] | selectattr('kind', 'equalto', 'y') | map(attribute='v') | first";
        assert_eq!(look(first, &record), json!(2));
        assert_eq!(look("record.none.deeper.still", &record), Value::Null);
        assert_eq!(look("record.id or record.none", &record), json!(7));
    }

    proptest! {
        #[test]
        fn no_pointer_panics(place in "(/[a-z0-9~*/]{0,6}){0,4}", n in any::<i64>()) {
            let _ = look(&place, &json!({"a": [n, {"b": n}], "*": n}));
        }
    }
}
