//! Search filters, read once and then asked per record.
//! May touch: nothing. Must not touch: the world.

use super::clock::parse_ms;
use super::config::Limits;
use super::error::Refusal;
use super::object::Object;
use super::row::Snapshot;
use super::schema::{Kind, Schema};
use serde::Deserialize;
use serde_json::Value;

/// Filters joined by "and".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    filters: Vec<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    property_name: String,
    operator: Operator,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    high_value: Option<Value>,
    #[serde(default)]
    values: Option<Vec<Value>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operator {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
    Between,
    In,
    NotIn,
    HasProperty,
    NotHasProperty,
    ContainsToken,
    NotContainsToken,
}

/// A value in the order of its property.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) enum Sortable {
    Number(f64),
    Text(String),
}

/// How the values of a property compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Id,
    Moment,
    Number,
    Text,
}

impl Order {
    /// `None` when the property does not exist.
    pub(super) fn of(schema: &Schema, object: Object, name: &str) -> Option<Self> {
        let property = schema.get(object, name)?;
        Some(match property.kind {
            _ if name == "hs_object_id" => Self::Id,
            Kind::Datetime | Kind::Date => Self::Moment,
            Kind::Number => Self::Number,
            Kind::String | Kind::Enumeration | Kind::Bool => Self::Text,
        })
    }

    fn read(self, text: &str) -> Option<Sortable> {
        Some(match self {
            Self::Id => Sortable::Number(text.parse::<u64>().ok()? as f64),
            Self::Number => Sortable::Number(text.parse().ok()?),
            Self::Moment => {
                let day = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10);
                let ms = match day {
                    Some(day) => parse_ms(&format!("{day}T00:00:00Z"))?,
                    None => parse_ms(text)?,
                };
                Sortable::Number(ms as f64)
            }
            Self::Text => Sortable::Text(text.to_lowercase()),
        })
    }

    /// The record's value of `name` in this order.
    pub(super) fn value(self, state: &Snapshot<'_>, object: Object, name: &str) -> Option<Sortable> {
        match self {
            Self::Id => Some(Sortable::Number(state.id as f64)),
            Self::Moment if state.moment(object, name).is_some() => {
                state.moment(object, name).map(|ms| Sortable::Number(ms as f64))
            }
            _ => self.read(state.values.get(name)?),
        }
    }
}

enum Test {
    Compare(Operator, Sortable),
    Between(Sortable, Sortable),
    Among(bool, Vec<Sortable>),
    Present(bool),
    Token(bool, String),
}

struct Compiled {
    name: String,
    order: Order,
    test: Test,
}

/// Filter groups ready to be asked.
pub(super) struct Query {
    groups: Vec<Vec<Compiled>>,
}

impl Query {
    pub(super) fn compile(
        groups: Vec<Group>,
        schema: &Schema,
        object: Object,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let most = groups.iter().map(|g| g.filters.len()).max().unwrap_or_default();
        let total: usize = groups.iter().map(|g| g.filters.len()).sum();
        if groups.len() > limits.search_groups
            || most > limits.search_filters_per_group
            || total > limits.search_filters
        {
            return Err(Refusal::validation(format!(
                "A search has at most {} filter groups, {} filters in each and {} in all.",
                limits.search_groups, limits.search_filters_per_group, limits.search_filters
            )));
        }
        let compile_group = |group: Group| {
            if group.filters.is_empty() {
                return Err(Refusal::validation("A filter group needs at least one filter."));
            }
            group.filters.into_iter().map(|filter| compile(filter, schema, object)).collect()
        };
        Ok(Self { groups: groups.into_iter().map(compile_group).collect::<Result<_, _>>()? })
    }

    /// True when one group agrees in full, or when there is none.
    pub(super) fn matches(&self, state: &Snapshot<'_>, object: Object) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| group.iter().all(|f| f.matches(state, object)))
    }

    /// The smallest record id that can match: lets a keyset loop start where it left off.
    pub(super) fn first_id(&self) -> u64 {
        let floor = |filter: &Compiled| match (&filter.test, filter.order) {
            (Test::Compare(Operator::Gt | Operator::Gte, Sortable::Number(id)), Order::Id) => Some(*id as u64),
            _ => None,
        };
        self.groups
            .iter()
            .map(|group| group.iter().filter_map(floor).max().unwrap_or_default())
            .min()
            .unwrap_or_default()
    }
}

impl Compiled {
    fn matches(&self, state: &Snapshot<'_>, object: Object) -> bool {
        if let Test::Token(wanted, token) = &self.test {
            let text = state.value(object, &self.name);
            return text.is_some_and(|text| has_token(&text.to_lowercase(), token) == *wanted);
        }
        let Some(value) = self.order.value(state, object, &self.name) else {
            return matches!(self.test, Test::Present(false));
        };
        match &self.test {
            Test::Compare(operator, other) => match operator {
                Operator::Neq => value != *other,
                Operator::Gt => value > *other,
                Operator::Gte => value >= *other,
                Operator::Lt => value < *other,
                Operator::Lte => value <= *other,
                _ => value == *other,
            },
            Test::Between(low, high) => value >= *low && value <= *high,
            Test::Among(wanted, others) => others.contains(&value) == *wanted,
            Test::Present(wanted) => *wanted,
            Test::Token(..) => false,
        }
    }
}

fn compile(filter: Filter, schema: &Schema, object: Object) -> Result<Compiled, Refusal> {
    let name = filter.property_name;
    let order = Order::of(schema, object, &name)
        .ok_or_else(|| Refusal::validation(format!("There was a problem with the request: no property {name}.")))?;
    let read = |value: Option<&Value>| {
        value
            .and_then(plain)
            .and_then(|text| order.read(&text))
            .ok_or_else(|| Refusal::validation(format!("The filter on {name} lacks a value that fits the property.")))
    };
    let test = match filter.operator {
        Operator::HasProperty => Test::Present(true),
        Operator::NotHasProperty => Test::Present(false),
        Operator::Between => Test::Between(read(filter.value.as_ref())?, read(filter.high_value.as_ref())?),
        Operator::In | Operator::NotIn => {
            let values = filter.values.unwrap_or_default();
            if values.is_empty() {
                return Err(Refusal::validation(format!("The filter on {name} needs values.")));
            }
            let values = values.iter().map(|value| read(Some(value))).collect::<Result<_, _>>()?;
            Test::Among(filter.operator == Operator::In, values)
        }
        Operator::ContainsToken | Operator::NotContainsToken => {
            let token = filter.value.as_ref().and_then(plain).filter(|t| !t.is_empty());
            let token = token.ok_or_else(|| Refusal::validation(format!("The filter on {name} needs a token.")))?;
            Test::Token(filter.operator == Operator::ContainsToken, token.to_lowercase())
        }
        operator => Test::Compare(operator, read(filter.value.as_ref())?),
    };
    Ok(Compiled { name, order, test })
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Whole tokens, with `*` at either end of the wanted one.
fn has_token(text: &str, wanted: &str) -> bool {
    let core = wanted.trim_matches('*');
    let (open_start, open_end) = (wanted.starts_with('*'), wanted.ends_with('*'));
    let matches = |token: &str| match (open_start, open_end) {
        (true, true) => token.contains(core),
        (true, false) => token.ends_with(core),
        (false, true) => token.starts_with(core),
        (false, false) => token == core,
    };
    matches(text) || text.split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).any(matches)
}

#[cfg(test)]
mod tests {
    use super::has_token;

    #[test]
    fn tokens_are_whole_unless_opened_by_a_star() {
        assert!(has_token("ana de souza", "souza"));
        assert!(!has_token("ana de souza", "sou"));
        assert!(has_token("ana de souza", "sou*"));
        assert!(has_token("+5511999990000", "*99990000"));
        assert!(has_token("a@example.com", "a@example.com"));
    }
}
