//! The words of a query.
//! May touch: nothing. Must not touch: what they mean.

use crate::salesforce::error::Refusal;

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name or keyword, with its dots.
    Word(String),
    Text(String),
    /// A number, a date or a time.
    Figure(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 11] = ["!=", "<>", "<=", ">=", "<", ">", "=", "(", ")", ",", ":"];

/// A refusal that shows the place, as the real one does.
pub(super) fn refuse(query: &str, at: usize, code: &'static str, message: &str) -> Refusal {
    let from = query.char_indices().map(|(i, _)| i).take_while(|i| i + 40 < at).last().unwrap_or(0);
    let shown: String = query.get(from..).unwrap_or_default().chars().take(80).collect();
    let column = query.get(..at).map_or(0, |before| before.chars().count()) + 1;
    let caret = format!("{:>width$}", "^", width = query.get(from..at).map_or(0, |s| s.chars().count()) + 1);
    Refusal::bad(code, format!("\n{shown}\n{caret}\nERROR at Row:1:Column:{column}\n{message}"))
}

/// The words and where they stand.
pub(super) fn tokens(query: &str) -> Result<Vec<(usize, Token)>, Refusal> {
    let mut found = Vec::new();
    let mut rest = query;
    let malformed = |at, message: &str| refuse(query, at, "MALFORMED_QUERY", message);
    while let Some(first) = rest.chars().next() {
        let at = query.len() - rest.len();
        let (token, length) = if first.is_whitespace() {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        } else if first == '\'' {
            let (text, length) = quoted(rest).map_err(|message| malformed(at, message))?;
            (Token::Text(text), length)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
            (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length)
        } else if first.is_ascii_digit() || ((first == '-' || first == '+') && rest.len() > 1) {
            let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '+' | '-');
            let length = rest.find(|c: char| !inside(c)).unwrap_or(rest.len());
            (Token::Figure(rest.get(..length).unwrap_or_default().to_owned()), length)
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else {
            return Err(malformed(at, &format!("unexpected token: '{first}'")));
        };
        found.push((at, token));
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(found)
}

/// A quoted text with its escapes undone. `\%` and `\_` stay, for LIKE.
fn quoted(rest: &str) -> Result<(String, usize), &'static str> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Ok((text, at + 1)),
            '\\' => match letters.next().map(|(_, escaped)| escaped) {
                Some('n' | 'N') => text.push('\n'),
                Some('r' | 'R') => text.push('\r'),
                Some('t' | 'T') => text.push('\t'),
                Some('b' | 'B') => text.push('\u{8}'),
                Some('f' | 'F') => text.push('\u{c}'),
                Some(plain @ ('"' | '\'' | '\\')) => text.push(plain),
                Some(wild @ ('_' | '%')) => text.extend(['\\', wild]),
                _ => return Err("Illegal character sequence in string literal: a backslash and what cannot follow it"),
            },
            other => text.push(other),
        }
    }
    Err("line 1, unterminated string literal")
}
