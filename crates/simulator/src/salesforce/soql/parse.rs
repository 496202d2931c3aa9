//! From words to a query.
//! May touch: nothing. Must not touch: the schema.

use super::lex::{Token, refuse, tokens};
use super::{Condition, Literal, Operator, Order, Path, Query, Select};
use crate::salesforce::cell::{parse_date, parse_moment};
use crate::salesforce::error::Refusal;

/// The longest statement, characters.
const LONGEST: usize = 100_000;
/// The furthest offset.
const FURTHEST: usize = 2_000;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
}

/// Reads a query.
pub(in crate::salesforce) fn parse(text: &str) -> Result<Query, Refusal> {
    if text.chars().count() > LONGEST {
        let message = format!("SOQL statements cannot be longer than {LONGEST} characters.");
        return Err(Refusal::bad("MALFORMED_QUERY", message));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0 };
    let query = parser.query()?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.unexpected()),
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at)
    }

    fn malformed(&self, message: &str) -> Refusal {
        refuse(self.text, self.at(), "MALFORMED_QUERY", message)
    }

    fn unexpected(&self) -> Refusal {
        let token = match self.peek() {
            None => return self.malformed("unexpected end of query"),
            Some(Token::Word(word) | Token::Text(word) | Token::Figure(word)) => word.clone(),
            Some(Token::Symbol(symbol)) => (*symbol).to_owned(),
        };
        self.malformed(&format!("unexpected token: '{token}'"))
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        let token = self.tokens.get(self.next + ahead).map(|(_, token)| token);
        matches!(token, Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let there = self.is_word(0, word);
        self.next += usize::from(there);
        there
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        self.next += usize::from(there);
        there
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), Refusal> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn name(&mut self) -> Result<(usize, String), Refusal> {
        match self.tokens.get(self.next) {
            Some((at, Token::Word(word))) => {
                let found = (*at, word.clone());
                self.next += 1;
                Ok(found)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn path(&mut self) -> Result<Path, Refusal> {
        let (at, word) = self.name()?;
        let parts: Vec<String> = word.split('.').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            self.next -= 1;
            return Err(self.unexpected());
        }
        Ok(Path { parts, at })
    }

    fn query(&mut self) -> Result<Query, Refusal> {
        self.expect_word("SELECT")?;
        let mut select = vec![self.selected()?];
        while self.take_symbol(",") {
            select.push(self.selected()?);
        }
        self.expect_word("FROM")?;
        let (object_at, object) = self.name()?;
        let mut query = Query {
            text: self.text.to_owned(),
            object,
            object_at,
            select,
            filter: None,
            order: Vec::new(),
            limit: None,
            offset: 0,
            all_rows: false,
        };
        if self.take_word("WHERE") {
            query.filter = Some(self.condition()?);
        }
        for clause in ["GROUP", "HAVING", "WITH", "USING", "TYPEOF"] {
            if self.is_word(0, clause) {
                return Err(Refusal::not_simulated(&format!("{clause} in a query")));
            }
        }
        if self.take_word("ORDER") {
            self.expect_word("BY")?;
            query.order.push(self.ordering()?);
            while self.take_symbol(",") {
                query.order.push(self.ordering()?);
            }
        }
        if self.take_word("LIMIT") {
            query.limit = Some(self.count()?);
        }
        if self.take_word("OFFSET") {
            query.offset = self.count()?;
            if query.offset > FURTHEST {
                let message = format!("Maximum SOQL offset allowed is {FURTHEST}");
                return Err(Refusal::bad("NUMBER_OUTSIDE_VALID_RANGE", message));
            }
        }
        if self.take_word("ALL") {
            self.expect_word("ROWS")?;
            query.all_rows = true;
        }
        if self.take_word("FOR") && !["VIEW", "REFERENCE", "UPDATE"].iter().any(|word| self.take_word(word)) {
            return Err(self.unexpected());
        }
        Ok(query)
    }

    fn selected(&mut self) -> Result<Select, Refusal> {
        if self.take_symbol("(") {
            return Err(Refusal::not_simulated("A query within a query"));
        }
        let path = self.path()?;
        if !self.take_symbol("(") {
            return Ok(Select::Field(path));
        }
        let function = path.parts.join(".").to_uppercase();
        match function.as_str() {
            "COUNT" if self.take_symbol(")") => Ok(Select::Count),
            "COUNT" => {
                let counted = self.path()?;
                self.expect_symbol(")")?;
                let named = !self.is_word(0, "FROM") && matches!(self.peek(), Some(Token::Word(_)));
                let name = if named { self.name()?.1 } else { "expr0".to_owned() };
                Ok(Select::CountOf(counted, name))
            }
            "FIELDS" => {
                let (_, which) = self.name()?;
                self.expect_symbol(")")?;
                Ok(Select::Fields(which.to_uppercase()))
            }
            _ => Err(Refusal::not_simulated(&format!("{function}() in a query"))),
        }
    }

    fn ordering(&mut self) -> Result<Order, Refusal> {
        let path = self.path()?;
        let descending = self.take_word("DESC");
        if !descending {
            self.take_word("ASC");
        }
        let mut nulls_last = false;
        if self.take_word("NULLS") {
            nulls_last = self.take_word("LAST");
            if !nulls_last {
                self.expect_word("FIRST")?;
            }
        }
        Ok(Order { path, descending, nulls_last })
    }

    fn count(&mut self) -> Result<usize, Refusal> {
        match self.peek() {
            Some(Token::Figure(figure)) => {
                let count = figure.parse().map_err(|_| self.unexpected())?;
                self.next += 1;
                Ok(count)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// AND and OR do not mix without parentheses.
    fn condition(&mut self) -> Result<Condition, Refusal> {
        let first = self.term()?;
        for (word, other) in [("AND", "OR"), ("OR", "AND")] {
            if !self.is_word(0, word) {
                continue;
            }
            let mut all = vec![first];
            while self.take_word(word) {
                all.push(self.term()?);
            }
            if self.is_word(0, other) {
                return Err(self.unexpected());
            }
            return Ok(if word == "AND" { Condition::And(all) } else { Condition::Or(all) });
        }
        Ok(first)
    }

    fn term(&mut self) -> Result<Condition, Refusal> {
        if self.take_word("NOT") {
            return Ok(Condition::Not(Box::new(self.term()?)));
        }
        if self.take_symbol("(") {
            let inner = self.condition()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        if matches!(self.peek(), Some(Token::Symbol("("))) {
            return Err(Refusal::not_simulated(&format!("{}() in a condition", path.parts.join("."))));
        }
        let operator = self.operator()?;
        let list = matches!(operator, Operator::In | Operator::NotIn | Operator::Includes | Operator::Excludes);
        if !list {
            return Ok(Condition::Test { path, operator, values: vec![self.literal()?] });
        }
        self.expect_symbol("(")?;
        if self.is_word(0, "SELECT") {
            return Err(Refusal::not_simulated("A query within a condition"));
        }
        let mut values = vec![self.literal()?];
        while self.take_symbol(",") {
            values.push(self.literal()?);
        }
        self.expect_symbol(")")?;
        Ok(Condition::Test { path, operator, values })
    }

    fn operator(&mut self) -> Result<Operator, Refusal> {
        let symbols = [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (symbol, operator) in symbols {
            if self.take_symbol(symbol) {
                return Ok(operator);
            }
        }
        let words = [
            ("LIKE", Operator::Like),
            ("IN", Operator::In),
            ("INCLUDES", Operator::Includes),
            ("EXCLUDES", Operator::Excludes),
        ];
        for (word, operator) in words {
            if self.take_word(word) {
                return Ok(operator);
            }
        }
        if self.is_word(0, "NOT") && self.is_word(1, "IN") {
            self.next += 2;
            return Ok(Operator::NotIn);
        }
        Err(self.unexpected())
    }

    fn literal(&mut self) -> Result<Literal, Refusal> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Figure(figure)) => figure_literal(figure).ok_or_else(|| self.unexpected())?,
            Some(Token::Word(word)) => match word.to_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                "TODAY" => Literal::Days(0, 1),
                "YESTERDAY" => Literal::Days(1, 1),
                "LAST_N_DAYS" => {
                    self.next += 1;
                    self.expect_symbol(":")?;
                    let days = i64::try_from(self.count()?).unwrap_or(i64::MAX).min(40_000);
                    return Ok(Literal::Days(days, days + 1));
                }
                _ => return Err(self.unexpected()),
            },
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(literal)
    }
}

fn figure_literal(figure: &str) -> Option<Literal> {
    if let Some(date) = parse_date(figure) {
        return Some(Literal::Date(date));
    }
    if let Some(ms) = parse_moment(figure) {
        return Some(Literal::Moment(ms));
    }
    figure.parse().ok().filter(|number: &f64| number.is_finite()).map(Literal::Number)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use proptest::prelude::*;

    fn code(query: &str) -> &'static str {
        parse(query).err().map_or("", |refusal| refusal.code)
    }

    #[test]
    fn what_a_client_asks_is_read_and_what_is_wrong_is_shown() {
        for good in [
            "SELECT Id FROM Contact",
            "select Id, Account.Name from Contact where (Email != null and not Phone like '%1\\_2') or Id in ('a','b') \
             order by SystemModstamp asc nulls last, Id desc limit 5 offset 10",
            "SELECT COUNT() FROM Contact WHERE SystemModstamp >= 2026-11-23T00:00:00Z AND Birthdate < 2000-01-01",
            "SELECT FIELDS(ALL) FROM Contact WHERE CreatedDate = LAST_N_DAYS:3 LIMIT 200",
            "SELECT Id FROM Contact WHERE Tags__c INCLUDES ('a;b','c') ALL ROWS",
        ] {
            assert_eq!(code(good), "", "{good}");
        }
        for bad in [
            "SELECT FROM Contact",
            "SELECT Id Contact",
            "SELECT Id FROM Contact WHERE A = 1 AND B = 2 OR C = 3",
            "SELECT Id FROM Contact WHERE A = 'x",
            "SELECT Id FROM Contact WHERE A = '\\x'",
            "SELECT Id FROM Contact WHERE A == 1",
            "SELECT Id FROM Contact LIMIT ten",
            "SELECT Id FROM Contact; DROP",
            "SELECT Id, FROM Contact",
            "",
        ] {
            assert_eq!(code(bad), "MALFORMED_QUERY", "{bad}");
        }
        assert_eq!(code("SELECT Id FROM Contact OFFSET 2001"), "NUMBER_OUTSIDE_VALID_RANGE");
        assert_eq!(code("SELECT MAX(Id) FROM Contact"), "NOT_SIMULATED");
        let shown = parse("SELECT Id FROM Contact WHERE A ? 1").unwrap_err().message;
        assert!(shown.contains("ERROR at Row:1:Column:32\nunexpected token: '?'"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,60}") {
            let _ = parse(&text);
            let _ = parse(&format!("SELECT Id FROM Contact WHERE {text}"));
        }

        #[test]
        fn a_text_comes_through_its_escapes(text in "[^%_\\PC]{0,30}") {
            let quoted = text.replace('\\', "\\\\").replace('\'', "\\'");
            let query = parse(&format!("SELECT Id FROM A WHERE B = '{quoted}'")).unwrap();
            let wanted = super::Condition::Test {
                path: super::Path { parts: vec!["B".to_owned()], at: 23 },
                operator: super::Operator::Equal,
                values: vec![super::Literal::Text(text)],
            };
            prop_assert_eq!(query.filter, Some(wanted));
        }
    }
}
