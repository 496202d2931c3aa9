//! Search criteria: `((Last_Name:equals:Burns)and(First_Name:starts_with:M))`.
//! May touch: nothing. Must not touch: records.
//! `equals` behaves like "contains" for texts, as Zoho documents it; operators by data type follow the search page.

use super::error::Refusal;
use super::scalar::Scalar;
use super::schema::{Field, FieldNo, Kind, Module};
use super::words;
use serde_json::json;
use std::cmp::Ordering;

/// Values of one `in`.
const MOST_IN: usize = 100;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equals,
    NotEqual,
    StartsWith,
    In,
    GreaterEqual,
    GreaterThan,
    LessEqual,
    LessThan,
    Between,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "equals" => Self::Equals,
            "not_equal" => Self::NotEqual,
            "starts_with" => Self::StartsWith,
            "in" => Self::In,
            "greater_equal" => Self::GreaterEqual,
            "greater_than" => Self::GreaterThan,
            "less_equal" => Self::LessEqual,
            "less_than" => Self::LessThan,
            "between" => Self::Between,
            _ => return None,
        })
    }

    const fn fits(self, kind: Kind) -> bool {
        let ordered = matches!(kind, Kind::Date | Kind::DateTime) || kind.is_number();
        match self {
            Self::Equals | Self::NotEqual => true,
            Self::StartsWith => matches!(
                kind,
                Kind::Text | Kind::TextArea | Kind::Email | Kind::Phone | Kind::Website | Kind::MultiPicklist
            ),
            Self::In => !matches!(kind, Kind::Boolean | Kind::TextArea),
            Self::GreaterEqual | Self::GreaterThan | Self::LessEqual | Self::LessThan | Self::Between => ordered,
        }
    }
}

/// A value to compare with: as it was written, and what it means.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) text: String,
    meaning: Scalar,
}

/// A condition, or several.
#[derive(Debug, Clone)]
pub(super) enum Criteria {
    All(Vec<Self>),
    Any(Vec<Self>),
    Test { field: FieldNo, kind: Kind, operator: Operator, values: Vec<Literal> },
}

impl Criteria {
    /// Reads criteria of at most `most` conditions.
    pub(super) fn parse(text: &str, module: &Module, most: usize) -> Result<Self, Refusal> {
        let mut reader = Reader { rest: text.trim(), module, tests: 0 };
        let criteria = reader.group()?;
        if !reader.rest.trim().is_empty() {
            return Err(malformed("unexpected text after the criteria"));
        }
        if reader.tests > most {
            let message = format!("no of criterium that can be given exceed the limit {most}");
            return Err(Refusal::new(400, "CRITERIA_LIMIT_EXCEEDED", message));
        }
        Ok(criteria)
    }

    /// True when a record's values, asked by field, meet this.
    pub(super) fn holds(&self, value: &impl Fn(FieldNo) -> Option<Scalar>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(value)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(value)),
            Self::Test { field, kind, operator, values } => test(*kind, *operator, value(*field).as_ref(), values),
        }
    }
}

fn malformed(reason: &str) -> Refusal {
    Refusal::new(400, "INVALID_QUERY", "Invalid query formed").with(json!({"reason": reason}))
}

struct Reader<'a> {
    rest: &'a str,
    module: &'a Module,
    tests: usize,
}

impl Reader<'_> {
    fn skip(&mut self, start: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(start) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `(test)`, or `(group and group …)`.
    fn group(&mut self) -> Result<Criteria, Refusal> {
        if !self.skip("(") {
            return Err(malformed("a condition begins with a parenthesis"));
        }
        if !self.rest.trim_start().starts_with('(') {
            return self.test();
        }
        let mut parts = vec![self.group()?];
        let mut all = None;
        loop {
            let and = if self.skip(")") {
                break;
            } else if self.skip("and") {
                true
            } else if self.skip("or") {
                false
            } else {
                return Err(malformed("conditions are joined by and, or"));
            };
            // One level has one joining word.
            if all.is_some_and(|all| all != and) {
                return Err(malformed("and with or needs parentheses"));
            }
            all = Some(and);
            parts.push(self.group()?);
        }
        Ok(if all == Some(false) { Criteria::Any(parts) } else { Criteria::All(parts) })
    }

    fn test(&mut self) -> Result<Criteria, Refusal> {
        self.tests += 1;
        let (name, rest) = self.rest.split_once(':').ok_or_else(|| malformed("a condition is field:operator:value"))?;
        let (operator, rest) = rest.split_once(':').ok_or_else(|| malformed("a condition is field:operator:value"))?;
        let (parts, rest) = value(rest).ok_or_else(|| malformed("a parenthesis is missing"))?;
        self.rest = rest;
        let (number, field) = self.module.named(name.trim()).ok_or_else(|| malformed(&format!("no field {name}")))?;
        let operator = Operator::parse(operator.trim()).filter(|o| o.fits(field.kind)).ok_or_else(|| {
            let details = json!({"operator": operator.trim(), "reason": "invalid operator for the field"});
            Refusal::new(400, "INVALID_QUERY", "Invalid query formed").with(details)
        })?;
        let parts = match operator {
            Operator::In | Operator::Between => parts,
            _ => vec![parts.join(",")],
        };
        if parts.len() > MOST_IN {
            let message = "Only 100 values are allowed in \"IN\" criteria";
            return Err(Refusal::new(400, "INVALID_QUERY", message).with(json!({"param_name": name})));
        }
        if operator == Operator::Between && parts.len() != 2 {
            return Err(malformed("between takes two values"));
        }
        let values: Result<Vec<Literal>, Refusal> = parts.into_iter().map(|text| literal(field, text)).collect();
        Ok(Criteria::Test { field: number, kind: field.kind, operator, values: values? })
    }
}

fn literal(field: &Field, text: String) -> Result<Literal, Refusal> {
    let meaning = Scalar::parse(field, &text).ok_or_else(|| {
        let details = json!({"expected_data_type": field.kind.name(), "reason": "invalid value for the field"});
        Refusal::new(400, "INVALID_QUERY", "Invalid query formed").with(details)
    })?;
    Ok(Literal { text, meaning })
}

/// The parts of a value up to its closing parenthesis; a backslash takes the next character as it is.
fn value(text: &str) -> Option<(Vec<String>, &str)> {
    let mut parts = vec![String::new()];
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        let taken = match c {
            ')' => return Some((parts, text.get(at + 1..)?)),
            ',' => {
                parts.push(String::new());
                continue;
            }
            '\\' => characters.next()?.1,
            other => other,
        };
        parts.last_mut()?.push(taken);
    }
    None
}

fn test(kind: Kind, operator: Operator, stored: Option<&Scalar>, values: &[Literal]) -> bool {
    let compared = |value: &Literal| stored.and_then(|stored| stored.compare(&value.meaning));
    let first = values.first();
    let ordered = |wanted: fn(Ordering) -> bool| first.and_then(compared).is_some_and(wanted);
    match operator {
        Operator::Equals | Operator::In => values.iter().any(|value| equals(kind, stored, value)),
        Operator::NotEqual => !values.iter().any(|value| equals(kind, stored, value)),
        Operator::StartsWith => match (stored, first) {
            (Some(Scalar::Text(text)), Some(value)) => text.to_lowercase().starts_with(&value.text.to_lowercase()),
            (Some(Scalar::List(list)), Some(value)) => list.iter().any(|entry| entry.starts_with(&value.text)),
            _ => false,
        },
        Operator::GreaterEqual => ordered(Ordering::is_ge),
        Operator::GreaterThan => ordered(Ordering::is_gt),
        Operator::LessEqual => ordered(Ordering::is_le),
        Operator::LessThan => ordered(Ordering::is_lt),
        Operator::Between => ordered(Ordering::is_ge) && values.last().and_then(compared).is_some_and(Ordering::is_le),
    }
}

fn equals(kind: Kind, stored: Option<&Scalar>, value: &Literal) -> bool {
    match (kind, stored) {
        (Kind::Phone, Some(Scalar::Text(text))) => words::phone_matches(text, &value.text),
        (Kind::Text | Kind::TextArea | Kind::Email | Kind::Website, Some(Scalar::Text(text))) => {
            words::contains(&words::words(text), &words::words(&value.text))
        }
        (_, stored) => stored.and_then(|stored| stored.compare(&value.meaning)) == Some(Ordering::Equal),
    }
}

#[cfg(test)]
mod tests {
    use super::{Criteria, Module, Scalar};

    fn found(criteria: &str, name: &str) -> Result<bool, &'static str> {
        let mut ids = 0;
        let modules = Module::built_in(&mut ids, 0);
        let contacts = modules.iter().find(|module| &*module.api_name == "Contacts").unwrap();
        let last_name = contacts.number("Last_Name").unwrap();
        let criteria = Criteria::parse(criteria, contacts, 10).map_err(|refusal| refusal.code)?;
        Ok(criteria.holds(&|number| (number == last_name).then(|| Scalar::Text(name.to_owned()))))
    }

    #[test]
    fn values_are_escaped_by_a_backslash() {
        assert_eq!(found(r"(Last_Name:equals:Burns\,B)", "Burns,B"), Ok(true));
        assert_eq!(found(r"(Last_Name:equals:K\))", "K)"), Ok(true));
        assert_eq!(found("(Last_Name:in:Patricia,Boyle)", "Boyle"), Ok(true));
    }

    #[test]
    fn groups_join_by_one_word() {
        assert_eq!(found("((Last_Name:starts_with:Bo)and(Last_Name:not_equal:Bond))", "Boyle"), Ok(true));
        assert_eq!(found("((Last_Name:equals:A)or((Last_Name:equals:Boyle)and(Email:equals:x)))", "Boyle"), Ok(false));
        for bad in [
            "Last_Name:equals:A",
            "(Last_Name:equals:A",
            "(Last_Name:resembles:A)",
            "(Last_Name:greater_than:A)",
            "(Nonsense:equals:A)",
            "((Last_Name:equals:A)and(Last_Name:equals:B)or(Last_Name:equals:C))",
            "(Modified_Time:greater_than:2026-01-01)",
            "((Last_Name:equals:A)(Last_Name:equals:B))",
        ] {
            assert_eq!(found(bad, "A"), Err("INVALID_QUERY"), "{bad}");
        }
        let many = ["(Last_Name:equals:A)"; 11].join("or");
        assert_eq!(found(&format!("({many})"), "A"), Err("CRITERIA_LIMIT_EXCEEDED"));
    }
}
