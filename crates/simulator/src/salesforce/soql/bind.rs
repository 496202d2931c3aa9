//! The names of a query, looked up: which fields, by which way, and whether a literal fits.
//! May touch: the schema and permissions. Must not touch: records.

use super::lex::refuse;
use super::{Condition, Literal, Operator, Path, Query, Select};
use crate::salesforce::cell::Cell;
use crate::salesforce::error::Refusal;
use crate::salesforce::ids::RecordId;
use crate::salesforce::schema::{Kind, ObjectNo, SObject};
use crate::salesforce::world::World;

/// The furthest parent.
const DEEPEST: usize = 5;
const DAY_MS: i64 = 86_400_000;
/// Rows at most when all or all custom fields are asked for without naming them.
const FIELDS_LIMIT: usize = 200;

/// What a path ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::salesforce) enum Leaf {
    Field(u16, Kind),
    /// A field of whatever record it is (`Who.Name`).
    Any(String),
}

/// A path, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::salesforce) struct Way {
    /// Reference fields on the way, and the names by which they are walked.
    pub(in crate::salesforce) steps: Vec<(u16, String)>,
    pub(in crate::salesforce) leaf: Leaf,
    /// Name in the answer.
    pub(in crate::salesforce) name: String,
}

/// A condition, looked up.
#[derive(Debug, Clone)]
pub(super) enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Compare {
        way: Way,
        operator: Operator,
        values: Vec<Option<Cell>>,
    },
    /// A moment or date from the first to before the second (named spans of days).
    Within {
        way: Way,
        from: Cell,
        to: Cell,
        negated: bool,
    },
}

/// A query, looked up.
#[derive(Debug, Clone)]
pub(in crate::salesforce) struct Bound {
    pub(in crate::salesforce) object: ObjectNo,
    pub(in crate::salesforce) select: Vec<Way>,
    /// The name of a count in the answer; empty for `COUNT()`.
    pub(in crate::salesforce) count: Option<String>,
    pub(super) filter: Option<Test>,
    pub(super) order: Vec<(Way, bool, bool)>,
}

struct Binder<'a> {
    world: &'a World,
    query: &'a Query,
    object: ObjectNo,
    now: i64,
}

impl Bound {
    /// Looks up all names. `tooling` chooses which object types there are.
    pub(in crate::salesforce) fn of(query: &Query, world: &World, tooling: bool, now: i64) -> Result<Self, Refusal> {
        let found = if tooling {
            world.schema.find(&query.object).filter(|(_, object)| object.tooling)
        } else {
            world.visible(&query.object)
        };
        let Some((number, object)) = found else {
            let message = format!(
                "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' \
                 after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
                query.object
            );
            return Err(refuse(&query.text, query.object_at, "INVALID_TYPE", &message));
        };
        let binder = Binder { world, query, object: number, now };
        let mut bound = Self { object: number, select: Vec::new(), count: None, filter: None, order: Vec::new() };
        for select in &query.select {
            match select {
                Select::Field(path) => bound.select.push(binder.way(path)?),
                Select::Fields(which) => bound.select.extend(binder.all(object, which)?),
                Select::Count => bound.count = Some(String::new()),
                Select::CountOf(path, name) => {
                    binder.way(path)?;
                    bound.count = Some(name.clone());
                }
            }
        }
        if bound.count.is_some() && query.select.len() > 1 {
            return Err(Refusal::not_simulated("COUNT together with other fields"));
        }
        for (at, way) in bound.select.iter().enumerate() {
            if bound.select.iter().take(at).any(|earlier| earlier == way) {
                return Err(Refusal::bad("INVALID_FIELD", format!("duplicate field selected: {}", way.name)));
            }
        }
        bound.filter = query.filter.as_ref().map(|filter| binder.test(filter)).transpose()?;
        for order in &query.order {
            let way = binder.way(&order.path)?;
            if matches!(way.leaf, Leaf::Field(_, kind) if !kind.sortable()) {
                let message = format!("field '{}' can not be sorted in a query call", way.name);
                return Err(binder.refuse(&order.path, "INVALID_FIELD", &message));
            }
            bound.order.push((way, order.descending, order.nulls_last));
        }
        Ok(bound)
    }
}

impl Binder<'_> {
    fn refuse(&self, path: &Path, code: &'static str, message: &str) -> Refusal {
        refuse(&self.query.text, path.at, code, message)
    }

    fn no_column(&self, path: &Path, name: &str, object: &str) -> Refusal {
        let message = format!(
            "No such column '{name}' on entity '{object}'. If you are attempting to use a custom field, be sure to append the \
             '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
        );
        self.refuse(path, "INVALID_FIELD", &message)
    }

    fn way(&self, path: &Path) -> Result<Way, Refusal> {
        let Some((last, parents)) = path.parts.split_last() else { return Err(self.no_column(path, "", "")) };
        if parents.len() > DEEPEST {
            return Err(self.refuse(path, "INVALID_FIELD", "SOQL relationships may go at most 5 levels up."));
        }
        let mut at = self.object;
        let mut steps = Vec::new();
        for (depth, name) in parents.iter().enumerate() {
            let Some(object) = self.world.schema.get(at) else { break };
            // The object's own name may stand before its fields.
            if depth == 0 && name.eq_ignore_ascii_case(&object.name) {
                continue;
            }
            let found = object.relationship(name).filter(|(no, _)| self.world.access.reads(at, *no));
            let Some((no, field)) = found else {
                let message = format!(
                    "Didn't understand relationship '{name}' in field path. If you are attempting to use a \
                                       custom relationship, be sure to append the '__r' after the custom relationship name."
                );
                return Err(self.refuse(path, "INVALID_FIELD", &message));
            };
            steps.push((no, name.clone()));
            match field.reference_to.as_slice() {
                [one] => match self.world.schema.find(one) {
                    Some((number, _)) => at = number,
                    None => return Err(self.no_column(path, name, &object.name)),
                },
                _ if depth + 1 == parents.len() => {
                    // A record of several possible types shows what all have.
                    let common = ["Id", "Name", "Type", "FirstName", "LastName", "Email", "Phone", "Title"];
                    return match common.into_iter().find(|name| name.eq_ignore_ascii_case(last)) {
                        Some(name) => Ok(Way { steps, leaf: Leaf::Any(name.to_owned()), name: name.to_owned() }),
                        None => Err(self.no_column(path, last, "Name")),
                    };
                }
                _ => return Err(self.refuse(path, "INVALID_FIELD", "A polymorphic relationship ends the path.")),
            }
        }
        let object = self.world.schema.get(at);
        let found = object.and_then(|o| o.find(last)).filter(|(no, _)| self.world.access.reads(at, *no));
        match found {
            Some((no, field)) => Ok(Way { steps, leaf: Leaf::Field(no, field.kind), name: field.name.clone() }),
            None => Err(self.no_column(path, last, object.map_or("", |object| &object.name))),
        }
    }

    fn all(&self, object: &SObject, which: &str) -> Result<Vec<Way>, Refusal> {
        if which != "STANDARD" && self.query.limit.is_none_or(|limit| limit > FIELDS_LIMIT) {
            let message = format!("The SOQL FIELDS function must have a LIMIT of at most {FIELDS_LIMIT}");
            return Err(Refusal::bad("MALFORMED_QUERY", message));
        }
        let readable = object.fields().filter(|(no, _)| self.world.access.reads(self.object, *no));
        let wanted = readable.filter(|(_, field)| which == "ALL" || (which == "CUSTOM") == field.custom);
        let ways = wanted.map(|(no, field)| Way {
            steps: Vec::new(),
            leaf: Leaf::Field(no, field.kind),
            name: field.name.clone(),
        });
        Ok(ways.collect())
    }

    fn test(&self, condition: &Condition) -> Result<Test, Refusal> {
        let all = |parts: &[Condition]| parts.iter().map(|part| self.test(part)).collect::<Result<Vec<_>, _>>();
        match condition {
            Condition::And(parts) => Ok(Test::And(all(parts)?)),
            Condition::Or(parts) => Ok(Test::Or(all(parts)?)),
            Condition::Not(inner) => Ok(Test::Not(Box::new(self.test(inner)?))),
            Condition::Test { path, operator, values } => self.compare(path, *operator, values),
        }
    }

    fn compare(&self, path: &Path, operator: Operator, values: &[Literal]) -> Result<Test, Refusal> {
        let way = self.way(path)?;
        let kind = match &way.leaf {
            Leaf::Field(_, kind) => *kind,
            Leaf::Any(name) if name == "Id" => Kind::Id,
            Leaf::Any(_) => Kind::Text,
        };
        let name = &way.name;
        if kind == Kind::LongText {
            let message = format!("field '{name}' can not be filtered in a query call");
            return Err(self.refuse(path, "INVALID_FIELD", &message));
        }
        let fits = match operator {
            Operator::Like => kind.is_text() && kind != Kind::Multipicklist,
            Operator::Includes | Operator::Excludes => kind == Kind::Multipicklist,
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                !matches!(kind, Kind::Boolean | Kind::Multipicklist)
            }
            _ => true,
        };
        if !fits {
            let message = format!("invalid operator on {} field", kind.names().0);
            return Err(self.refuse(path, "INVALID_QUERY_FILTER_OPERATOR", &message));
        }
        if let [Literal::Days(back, span)] = values {
            return self.days(path, way, kind, operator, *back, *span);
        }
        let values = values.iter().map(|value| self.literal(path, &way, kind, value)).collect::<Result<_, _>>()?;
        Ok(Test::Compare { way, operator, values })
    }

    fn days(
        &self,
        path: &Path,
        way: Way,
        kind: Kind,
        operator: Operator,
        back: i64,
        span: i64,
    ) -> Result<Test, Refusal> {
        let start = (self.now.div_euclid(DAY_MS) - back) * DAY_MS;
        let cell = |ms: i64| match kind {
            Kind::DateTime => Some(Cell::Moment(ms)),
            Kind::Date => {
                let day = jiff::Timestamp::from_millisecond(ms).ok()?;
                Some(Cell::Date(day.to_zoned(jiff::tz::TimeZone::UTC).date()))
            }
            _ => None,
        };
        let (Some(from), Some(to)) = (cell(start), cell(start + span * DAY_MS)) else {
            return Err(self.mistyped(path, &way.name, kind, "must not be a date"));
        };
        let compare = |operator, value: Cell| Test::Compare { way: way.clone(), operator, values: vec![Some(value)] };
        Ok(match operator {
            Operator::Equal | Operator::NotEqual => {
                Test::Within { way, from, to, negated: operator == Operator::NotEqual }
            }
            Operator::Greater => compare(Operator::GreaterOrEqual, to),
            Operator::LessOrEqual => compare(Operator::Less, to),
            other => compare(other, from),
        })
    }

    fn mistyped(&self, path: &Path, name: &str, kind: Kind, how: &str) -> Refusal {
        let wanted = if kind == Kind::DateTime { "dateTime" } else { kind.names().0 };
        let message = format!("value of filter criterion for field '{name}' must be of type {wanted} and {how}");
        self.refuse(path, "INVALID_FIELD", &message)
    }

    fn literal(&self, path: &Path, way: &Way, kind: Kind, literal: &Literal) -> Result<Option<Cell>, Refusal> {
        let cell = match literal {
            Literal::Null => return Ok(None),
            Literal::Text(text) if kind.is_id() => match RecordId::parse(text) {
                Some(id) => Cell::Id(id),
                None if text.is_empty() => return Ok(None),
                None => {
                    let message = format!("invalid ID field: {text}");
                    return Err(self.refuse(path, "INVALID_QUERY_FILTER_OPERATOR", &message));
                }
            },
            Literal::Text(text) if kind.is_text() => {
                // An empty text is the same as none.
                if text.is_empty() {
                    return Ok(None);
                }
                Cell::text(text)
            }
            Literal::Text(_) => return Err(self.mistyped(path, &way.name, kind, "should not be enclosed in quotes")),
            Literal::Number(number) if kind.is_number() => Cell::Number(*number),
            Literal::Bool(truth) if kind == Kind::Boolean => Cell::Bool(*truth),
            Literal::Date(date) if kind == Kind::Date => Cell::Date(*date),
            Literal::Moment(ms) if kind == Kind::DateTime => Cell::Moment(*ms),
            _ if kind.is_text() || kind.is_id() => {
                return Err(self.mistyped(path, &way.name, kind, "should be enclosed in quotes"));
            }
            _ => return Err(self.mistyped(path, &way.name, kind, "is of another type")),
        };
        Ok(Some(cell))
    }
}
