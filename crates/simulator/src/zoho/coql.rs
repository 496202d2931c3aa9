//! COQL, read: `select id, Last_Name from Contacts where … order by … limit …`.
//! May touch: nothing. Must not touch: records.
//! Left out and said so (501): joins, aggregates, `group by`, sub-queries.

use super::error::Refusal;
use serde_json::json;

/// Rows of a query that names no limit.
const DEFAULT_ROWS: usize = 200;

/// A query as it was written; names are not looked up yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) columns: Vec<String>,
    pub(super) module: String,
    pub(super) filter: Filter,
    /// Column, and whether ascending.
    pub(super) order: Vec<(String, bool)>,
    pub(super) offset: usize,
    pub(super) rows: usize,
}

/// Conditions.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    All(Box<Self>, Box<Self>),
    Any(Box<Self>, Box<Self>),
    Test { column: String, operator: &'static str, values: Vec<Word> },
}

/// A word of a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// A name, a keyword, or a sign.
    Plain(String),
    /// A number, as it was written.
    Number(String),
    /// What stood between quotes.
    Quoted(String),
}

/// Credits of a query, by its limit: 1 up to 200 rows, 2 up to 1,000, 3 beyond.
pub(super) fn credits(query: &str) -> u32 {
    match parse(query).map(|query| query.rows) {
        Ok(0..=200) | Err(_) => 1,
        Ok(201..=1_000) => 2,
        Ok(_) => 3,
    }
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Query, Refusal> {
    let mut reader = Reader { words: split(text)?, at: 0 };
    reader.keyword("select")?;
    let mut columns = Vec::new();
    loop {
        columns.push(reader.column()?);
        if !reader.skip(",") {
            break;
        }
    }
    reader.keyword("from")?;
    let module = reader.name()?;
    if !reader.skip("where") {
        return Err(clause("where"));
    }
    let filter = reader.filter()?;
    if reader.skip("group") {
        return Err(Refusal::not_simulated("group by"));
    }
    let mut order = Vec::new();
    if reader.skip("order") {
        reader.keyword("by")?;
        loop {
            let column = reader.column()?;
            let descending = reader.skip("desc");
            if !descending {
                reader.skip("asc");
            }
            order.push((column, !descending));
            if !reader.skip(",") {
                break;
            }
        }
    }
    let (mut offset, mut rows) = (0, DEFAULT_ROWS);
    if reader.skip("limit") {
        rows = reader.number()?;
        if reader.skip(",") {
            // `limit offset, rows`
            (offset, rows) = (rows, reader.number()?);
        } else if reader.skip("offset") {
            offset = reader.number()?;
        }
    } else if reader.skip("offset") {
        offset = reader.number()?;
    }
    if reader.at < reader.words.len() {
        return Err(reader.unexpected());
    }
    Ok(Query { columns, module, filter, order, offset, rows })
}

fn clause(name: &str) -> Refusal {
    Refusal::new(400, "SYNTAX_ERROR", "missing clause").with(json!({"clause": name}))
}

fn syntax(column: usize, near: &str) -> Refusal {
    let details = json!({"line": 1, "column": column, "near": near});
    Refusal::new(400, "SYNTAX_ERROR", "error occurred while parsing the query").with(details)
}

fn split(text: &str) -> Result<Vec<(usize, Word)>, Refusal> {
    let mut words = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let word = match c {
            c if c.is_whitespace() => continue,
            '\'' | '"' => {
                let mut inside = String::new();
                loop {
                    match rest.next() {
                        None => return Err(syntax(at + 1, "'")),
                        Some((_, '\\')) => inside.extend(rest.next().map(|(_, c)| c)),
                        Some((_, end)) if end == c => break,
                        Some((_, other)) => inside.push(other),
                    }
                }
                Word::Quoted(inside)
            }
            '<' | '>' | '!' => {
                let mut sign = c.to_string();
                if let Some((_, next)) = rest.next_if(|(_, next)| *next == '=' || (c == '<' && *next == '>')) {
                    sign.push(next);
                }
                Word::Plain(sign)
            }
            '=' | ',' | '(' | ')' => Word::Plain(c.to_string()),
            c if c.is_ascii_digit() || c == '-' => {
                let mut number = c.to_string();
                while let Some((_, next)) = rest.next_if(|(_, next)| next.is_ascii_digit() || *next == '.') {
                    number.push(next);
                }
                Word::Number(number)
            }
            c if c.is_alphabetic() || c == '_' || c == '$' => {
                let mut name = c.to_string();
                while let Some((_, next)) = rest.next_if(|(_, n)| n.is_alphanumeric() || "_.$".contains(*n)) {
                    name.push(next);
                }
                Word::Plain(name)
            }
            other => return Err(syntax(at + 1, &other.to_string())),
        };
        words.push((at + 1, word));
    }
    Ok(words)
}

struct Reader {
    words: Vec<(usize, Word)>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.at).map(|(_, word)| word)
    }

    fn unexpected(&self) -> Refusal {
        match self.words.get(self.at) {
            Some((at, Word::Plain(word) | Word::Number(word) | Word::Quoted(word))) => syntax(*at, word),
            None => syntax(self.words.last().map_or(1, |(at, _)| *at), "end of query"),
        }
    }

    fn skip(&mut self, wanted: &str) -> bool {
        let there = matches!(self.peek(), Some(Word::Plain(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(there);
        there
    }

    fn keyword(&mut self, wanted: &'static str) -> Result<(), Refusal> {
        if self.skip(wanted) { Ok(()) } else { Err(clause(wanted)) }
    }

    fn name(&mut self) -> Result<String, Refusal> {
        match self.peek() {
            Some(Word::Plain(word)) if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// The name of a column of the queried module.
    fn column(&mut self) -> Result<String, Refusal> {
        let name = self.name()?;
        if matches!(self.peek(), Some(Word::Plain(word)) if word == "(") {
            return Err(Refusal::not_simulated("An aggregate"));
        }
        if name.contains('.') {
            return Err(Refusal::not_simulated("A join"));
        }
        Ok(name)
    }

    fn number(&mut self) -> Result<usize, Refusal> {
        let number = match self.peek() {
            Some(Word::Number(text)) => text.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(number)
    }

    /// One condition, or two joined by `and`/`or`. More than two need parentheses, as COQL demands.
    fn filter(&mut self) -> Result<Filter, Refusal> {
        let first = self.condition()?;
        let join: fn(Box<Filter>, Box<Filter>) -> Filter = if self.skip("and") {
            Filter::All
        } else if self.skip("or") {
            Filter::Any
        } else {
            return Ok(first);
        };
        let both = join(Box::new(first), Box::new(self.condition()?));
        match self.peek() {
            Some(Word::Plain(word)) if ["and", "or"].iter().any(|join| word.eq_ignore_ascii_case(join)) => {
                Err(self.unexpected())
            }
            _ => Ok(both),
        }
    }

    fn condition(&mut self) -> Result<Filter, Refusal> {
        if self.skip("(") {
            let filter = self.filter()?;
            return if self.skip(")") { Ok(filter) } else { Err(self.unexpected()) };
        }
        let column = self.column()?;
        let not = self.skip("not");
        for (word, plain, negated) in
            [("in", "in", "not in"), ("like", "like", "not like"), ("between", "between", "not between")]
        {
            if self.skip(word) {
                let operator = if not { negated } else { plain };
                let values = match word {
                    "in" => self.listed()?,
                    "like" => vec![self.value()?],
                    _ => {
                        let low = self.value()?;
                        self.keyword("and")?;
                        vec![low, self.value()?]
                    }
                };
                return Ok(Filter::Test { column, operator, values });
            }
        }
        if not {
            return Err(self.unexpected());
        }
        if self.skip("is") {
            let operator = if self.skip("not") { "is not null" } else { "is null" };
            return if self.skip("null") {
                Ok(Filter::Test { column, operator, values: Vec::new() })
            } else {
                Err(self.unexpected())
            };
        }
        for operator in ["=", "!=", "<>", ">=", "<=", ">", "<"] {
            if self.skip(operator) {
                let operator = if operator == "<>" { "!=" } else { operator };
                return Ok(Filter::Test { column, operator, values: vec![self.value()?] });
            }
        }
        Err(self.unexpected())
    }

    fn listed(&mut self) -> Result<Vec<Word>, Refusal> {
        if !self.skip("(") {
            return Err(self.unexpected());
        }
        let mut values = vec![self.value()?];
        while self.skip(",") {
            values.push(self.value()?);
        }
        if self.skip(")") { Ok(values) } else { Err(self.unexpected()) }
    }

    fn value(&mut self) -> Result<Word, Refusal> {
        if matches!(self.peek(), Some(Word::Plain(word)) if word == "(") {
            return Err(Refusal::not_simulated("A sub-query"));
        }
        let word = match self.peek() {
            Some(Word::Plain(word)) if ["true", "false"].iter().all(|flag| !word.eq_ignore_ascii_case(flag)) => None,
            word => word.cloned(),
        };
        let word = word.ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::{credits, parse};

    #[test]
    fn a_query_has_its_clauses_in_order() {
        let query = parse(
            "SELECT id, Last_Name from Contacts where (Modified_Time >= '2026-01-01T00:00:00+00:00' and id > 5) \
             order by Modified_Time, id desc limit 10, 2000",
        )
        .unwrap();
        assert_eq!((query.offset, query.rows, query.order.len()), (10, 2_000, 2));
        assert_eq!((query.order[0].1, query.order[1].1), (true, false));
        let query = parse("select id from Leads where Email is not null limit 5 offset 7").unwrap();
        assert_eq!((query.offset, query.rows), (7, 5));
        for (bad, code) in [
            ("select id from Leads", "SYNTAX_ERROR"),
            ("select from Leads where id > 1", "SYNTAX_ERROR"),
            ("update Leads", "SYNTAX_ERROR"),
            ("select id from Leads where id > 1 limit x", "SYNTAX_ERROR"),
            ("select id from Leads where id > 1 and id < 9 and id != 5", "SYNTAX_ERROR"),
            ("select id from Leads where Last_Name = 'open", "SYNTAX_ERROR"),
            ("select COUNT(id) from Leads where id > 1", "NOT_SIMULATED"),
        ] {
            assert_eq!(parse(bad).map_err(|refusal| refusal.code), Err(code), "{bad}");
        }
        assert!(parse("select id from Leads where ((id > 1 and id < 9) and id != 5)").is_ok());
    }

    #[test]
    fn larger_queries_cost_more() {
        let query = |rows: usize| credits(&format!("select id from Leads where id > 1 limit {rows}"));
        assert_eq!((query(200), query(201), query(1_000), query(1_001)), (1, 2, 2, 3));
    }
}
