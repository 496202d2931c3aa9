//! Statements with named parameters: `:name` becomes a bind parameter of the database, so that no value is ever part of the text.
//! `{, set}`, `{, columns}` and `{, values}` stand for the mapped fields of a write: names of columns come from the configuration, values
//! are bound. `{contacts}` stands for the statement of that name.
//! Must not touch: values.

use super::Engine;

/// A statement taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
    Fields(Fields),
}

/// In which form mapped fields are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fields {
    /// `, "a" = :a`
    Set,
    /// `, "a"`
    Columns,
    /// `, :a`
    Values,
}

/// A statement as the database gets it, and the names of its parameters, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) sql: String,
    pub(super) names: Vec<String>,
}

/// A mapped field of a write: the name of its column and of its parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) column: String,
    pub(super) name: String,
}

impl Statement {
    /// Takes a text apart. `contacts` stands in for `{contacts}`.
    ///
    /// # Errors
    /// What can't be read, as a sentence.
    pub(super) fn parse(text: &str, contacts: &str, engine: Engine) -> Result<Self, String> {
        let text = text
            .trim()
            .trim_end_matches(';')
            .replace("{contacts}", &format!("({})", contacts.trim().trim_end_matches(';')));
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        let mut reader = Reader { rest: &text, engine, pieces: Vec::new(), plain: String::new() };
        reader.read()?;
        Ok(Self { pieces: reader.pieces })
    }

    /// The names of its parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// True when it says where mapped fields go.
    pub(super) fn takes_fields(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Fields(_))) || self.names().any(|n| n == "fields")
    }

    /// Writes it for the database, with the fields of a write.
    ///
    /// `types`: those of PostgreSQL's parameters, in order. Values are bound as text and cast to them by the database itself.
    pub(super) fn render(&self, engine: Engine, fields: &[Assigned], types: Option<&[String]>) -> Rendered {
        let mut out = Rendered { sql: String::new(), names: Vec::new() };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.sql.push_str(text),
                Piece::Name(name) => out.parameter(engine, name, types),
                Piece::Fields(form) => {
                    for field in fields {
                        out.sql.push_str(", ");
                        if *form != Fields::Values {
                            out.sql.push_str(&engine.quoted(&field.column));
                        }
                        if *form == Fields::Set {
                            out.sql.push_str(" = ");
                        }
                        if *form != Fields::Columns {
                            out.parameter(engine, &field.name, types);
                        }
                    }
                }
            }
        }
        out
    }
}

impl Rendered {
    /// Every occurrence is a parameter of its own: a database that infers types may give each another one.
    fn parameter(&mut self, engine: Engine, name: &str, types: Option<&[String]>) {
        let kind = types.and_then(|types| types.get(self.names.len()));
        self.names.push(name.to_owned());
        let number = self.names.len();
        match (engine, kind) {
            (Engine::Postgres, Some(kind)) => self.sql.push_str(&format!("CAST(CAST(${number} AS text) AS {kind})")),
            (Engine::Postgres, None) => self.sql.push_str(&format!("${number}")),
            (Engine::MySql | Engine::Sqlite, _) => self.sql.push('?'),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    engine: Engine,
    pieces: Vec<Piece>,
    plain: String,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(first) = self.rest.chars().next() {
            let length = match first {
                '\'' | '"' | '`' => self.quoted(first)?,
                '-' if self.rest.starts_with("--") => self.until("\n"),
                '#' if self.engine == Engine::MySql => self.until("\n"),
                '/' if self.rest.starts_with("/*") => self.comment()?,
                '$' if self.engine == Engine::Postgres => self.dollar()?,
                ':' if self.rest.starts_with("::") => 2,
                ':' if self.name_length() > 0 => {
                    let end = 1 + self.name_length();
                    let name = self.rest.get(1..end).unwrap_or_default().to_owned();
                    self.put(Piece::Name(name), end);
                    continue;
                }
                '{' => {
                    self.macro_call()?;
                    continue;
                }
                '?' if self.engine != Engine::Postgres => {
                    return Err("has a `?`: name the parameter, `:name`".to_owned());
                }
                ';' => return Err("holds several statements: give them as a list".to_owned()),
                other => other.len_utf8(),
            };
            self.take(length);
        }
        let plain = std::mem::take(&mut self.plain);
        self.pieces.push(Piece::Text(plain));
        Ok(())
    }

    fn take(&mut self, length: usize) {
        let (text, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.plain.push_str(text);
        self.rest = rest;
    }

    fn put(&mut self, piece: Piece, length: usize) {
        let plain = std::mem::take(&mut self.plain);
        self.pieces.extend([Piece::Text(plain), piece]);
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    fn name_length(&self) -> usize {
        let name = self.rest.get(1..).unwrap_or_default();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return 0;
        }
        name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len())
    }

    /// A quote that is doubled stands for itself; in MySQL's text a backslash escapes.
    fn quoted(&self, quote: char) -> Result<usize, String> {
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && self.engine == Engine::MySql && quote != '`' {
                chars.next();
            } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
                return Ok(at + c.len_utf8());
            }
        }
        Err(format!("a {quote} isn't closed"))
    }

    fn until(&self, end: &str) -> usize {
        self.rest.find(end).map_or(self.rest.len(), |at| at + end.len())
    }

    fn comment(&self) -> Result<usize, String> {
        self.rest.find("*/").map(|at| at + 2).ok_or_else(|| "a /* isn't closed".to_owned())
    }

    /// PostgreSQL's `$tag$ … $tag$`; a lone `$` is a sign like any other.
    fn dollar(&self) -> Result<usize, String> {
        let inside = self.rest.get(1..).unwrap_or_default();
        if inside.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("has a numbered parameter: name it, `:name`".to_owned());
        }
        let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
        if !inside.get(end..).is_some_and(|rest| rest.starts_with('$')) {
            return Ok(1);
        }
        let tag = self.rest.get(..end + 2).unwrap_or_default();
        let body = self.rest.get(tag.len()..).unwrap_or_default();
        body.find(tag).map(|at| at + 2 * tag.len()).ok_or_else(|| format!("a {tag} isn't closed"))
    }

    fn macro_call(&mut self) -> Result<(), String> {
        let end = self.rest.find('}').ok_or("a { isn't closed")? + 1;
        let call = self.rest.get(..end).unwrap_or_default();
        let form = match call.replace(' ', "").as_str() {
            "{,set}" => Fields::Set,
            "{,columns}" => Fields::Columns,
            "{,values}" => Fields::Values,
            _ => {
                return Err(format!(
                    "{call} is unknown: there are {{contacts}}, {{, set}}, {{, columns}} and {{, values}}"
                ));
            }
        };
        self.put(Piece::Fields(form), end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rendered(text: &str, engine: Engine) -> Rendered {
        let fields = [Assigned { column: "e-mail\"`".into(), name: "field_0".into() }];
        Statement::parse(text, "SELECT 1", engine).unwrap().render(engine, &fields, None)
    }

    #[test]
    fn names_become_parameters_of_the_database() {
        let text =
            "SELECT * FROM {contacts} c WHERE (t, id) > (:t::timestamptz, :id) AND x = ':no' -- :no\nAND t > :t;";
        let postgres = rendered(text, Engine::Postgres);
        assert_eq!(
            postgres.sql,
            "SELECT * FROM (SELECT 1) c WHERE (t, id) > ($1::timestamptz, $2) AND x = ':no' -- :no\nAND t > $3"
        );
        assert_eq!(postgres.names, ["t", "id", "t"]);
        assert!(rendered("SELECT :a, \"::b\", /* :c */ `:d`, :a", Engine::MySql).sql.starts_with("SELECT ?, "));
        assert_eq!(rendered(r"SELECT 'it\'s :no', :yes", Engine::MySql).names, ["yes"]);
        assert_eq!(rendered(r"SELECT 'back\', :yes", Engine::Postgres).names, ["yes"]);
        assert_eq!(rendered("SELECT $x$ :no '$x$, :yes", Engine::Postgres).names, ["yes"]);
        assert_eq!(rendered("SELECT 'it''s :no', :yes", Engine::Sqlite).names, ["yes"]);
    }

    #[test]
    fn fields_go_where_the_statement_says_with_quoted_columns() {
        let update = rendered("UPDATE t SET a = :a{, set} WHERE id = :id", Engine::Postgres);
        assert_eq!(update.sql, "UPDATE t SET a = $1, \"e-mail\"\"`\" = $2 WHERE id = $3");
        assert_eq!(update.names, ["a", "field_0", "id"]);
        let insert = rendered("INSERT INTO t (a{, columns}) VALUES (:a{, values})", Engine::MySql);
        assert_eq!(insert.sql, "INSERT INTO t (a, `e-mail\"```) VALUES (?, ?)");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, engine) in [
            ("", Engine::Sqlite),
            ("SELECT ?", Engine::MySql),
            ("SELECT $1", Engine::Postgres),
            ("SELECT 'x", Engine::Sqlite),
            ("SELECT /* x", Engine::Sqlite),
            ("SELECT {x}", Engine::Sqlite),
            ("SELECT 1; DROP TABLE t", Engine::Sqlite),
            ("SELECT $a$ x", Engine::Postgres),
        ] {
            assert!(Statement::parse(text, "", engine).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_text_without_names_stays_as_it_is(text in "(?s).{0,80}") {
            for engine in [Engine::Postgres, Engine::MySql, Engine::Sqlite] {
                if let Ok(statement) = Statement::parse(&text, "", engine) {
                    let out = statement.render(engine, &[], None);
                    if out.names.is_empty() && !statement.takes_fields() && !text.contains("{contacts}") {
                        prop_assert_eq!(out.sql, text.trim().trim_end_matches(';'));
                    }
                }
            }
        }

        #[test]
        fn what_stands_in_quotes_is_never_a_parameter(inside in "[a-z:?$ ]{0,20}") {
            let text = format!("SELECT '{inside}', :yes");
            let statement = Statement::parse(&text, "", Engine::Sqlite).unwrap();
            prop_assert_eq!(statement.names().collect::<Vec<_>>(), ["yes"]);
        }
    }
}
