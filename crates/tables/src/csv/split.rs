//! Finds one record in bytes: where its cells lie and where it ends.
//! Works on bytes of UTF-8, where delimiters, quotes and line ends are never part of another character.
//! Why not a ready-made splitter: the usual ones take every input as good. A quote that isn't closed then swallows what follows,
//! unsaid. Here it is told, with its column.
//! Must not touch: input and output.

use crate::row::Span;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// A whole record.
    Record {
        /// Bytes of text, without the line end.
        text: usize,
        /// Bytes with the line end.
        whole: usize,
        /// Physical lines.
        lines: u64,
    },
    /// The bytes end first. Within a quoted cell, when `quoted`.
    Incomplete { quoted: bool },
    /// A quote isn't closed before the end of the table or the limit of lines.
    NotClosed,
    /// Text after a closing quote.
    AfterQuote,
}

/// Looks for a record at the beginning of `bytes`; `last` when nothing follows them. The cells found go to `cells`; when the
/// record is damaged, the damaged cell is the one after them.
pub(super) fn scan(bytes: &[u8], last: bool, delimiter: u8, max_lines: u64, cells: &mut Vec<Span>) -> Scan {
    cells.clear();
    let mut at = 0;
    let mut breaks = 0;
    loop {
        let open = after_blanks(bytes, at);
        if bytes.get(open) == Some(&b'"') {
            let (close, doubled) = match quoted(bytes, open + 1, last, max_lines, &mut breaks) {
                Ok(found) => found,
                Err(stop) => return stop,
            };
            at = after_blanks(bytes, close + 1);
            match bytes.get(at) {
                None if !last => return Scan::Incomplete { quoted: false },
                None | Some(b'\n' | b'\r') => {}
                Some(b) if *b == delimiter => {}
                Some(_) => return Scan::AfterQuote,
            }
            cells.push(Span { start: open + 1, end: close, doubled });
        } else {
            let rest = bytes.get(at..).unwrap_or_default();
            let found = rest.iter().position(|b| *b == delimiter || *b == b'\n' || *b == b'\r');
            if found.is_none() && !last {
                return Scan::Incomplete { quoted: false };
            }
            let end = at + found.unwrap_or(rest.len());
            cells.push(Span { start: at, end, doubled: false });
            at = end;
        }
        match bytes.get(at) {
            Some(b) if *b == delimiter => at += 1,
            end => {
                let whole = match end {
                    None => at,
                    Some(b'\r') => match bytes.get(at + 1) {
                        None if !last => return Scan::Incomplete { quoted: false },
                        Some(b'\n') => at + 2,
                        _ => at + 1,
                    },
                    Some(_) => at + 1,
                };
                return Scan::Record { text: at, whole, lines: breaks + 1 };
            }
        }
    }
}

/// Looks for the end of a quoted cell. Gives the place of the closing quote, and whether quotes are doubled within.
fn quoted(bytes: &[u8], from: usize, last: bool, max_lines: u64, breaks: &mut u64) -> Result<(usize, bool), Scan> {
    let open = if last { Scan::NotClosed } else { Scan::Incomplete { quoted: true } };
    let mut at = from;
    let mut doubled = false;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = rest.iter().position(|b| matches!(b, b'"' | b'\n' | b'\r')) else { return Err(open) };
        at += found;
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'"'), Some(b'"')) => {
                doubled = true;
                at += 2;
            }
            // What follows decides whether this one is doubled, or whether the line ends in two characters.
            (Some(b'"' | b'\r'), None) if !last => return Err(open),
            (Some(b'"'), _) => return Ok((at, doubled)),
            // The line feed after it is counted.
            (Some(b'\r'), Some(b'\n')) => at += 1,
            _ => {
                *breaks += 1;
                at += 1;
                if *breaks >= max_lines {
                    return Err(Scan::NotClosed);
                }
            }
        }
    }
}

fn after_blanks(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|b| **b == b' ').count()
}

/// Where the first physical line ends: bytes of text, and bytes with the line end. `None` when it ends beyond the bytes.
pub(super) fn line(bytes: &[u8], last: bool) -> Option<(usize, usize)> {
    match bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
        None => last.then_some((bytes.len(), bytes.len())),
        Some(at) => match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\r'), None) if !last => None,
            (Some(b'\r'), Some(b'\n')) => Some((at, at + 2)),
            _ => Some((at, at + 1)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(text: &str) -> Option<Vec<String>> {
        let mut spans = Vec::new();
        match scan(text.as_bytes(), true, b',', 100, &mut spans) {
            Scan::Record { .. } => Some(spans.iter().map(|s| text[s.start..s.end].to_owned()).collect()),
            _ => None,
        }
    }

    #[test]
    fn cells_are_told_apart() {
        for (text, wanted) in [
            ("a,b\nc", vec!["a", "b"]),
            ("a,b\r\nc", vec!["a", "b"]),
            ("a,b\rc", vec!["a", "b"]),
            ("a,", vec!["a", ""]),
            ("", vec![""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("\"a\nb\",c\nd", vec!["a\nb", "c"]),
            ("\"a\"\"b\"", vec!["a\"\"b"]),
            ("\"\",x", vec!["", "x"]),
            ("a, \"b,c\" ,d", vec!["a", "b,c", "d"]),
            ("5\" disk,x", vec!["5\" disk", "x"]),
            ("  a ,b", vec!["  a ", "b"]),
        ] {
            assert_eq!(cells(text).unwrap(), wanted, "{text:?}");
        }
    }

    #[test]
    fn bad_quotes_are_told() {
        let mut spans = Vec::new();
        for (text, wanted, before) in [
            ("a,\"b,c\nd", Scan::NotClosed, 1),
            ("\"a\"b,c", Scan::AfterQuote, 0),
            ("x,y,\"a\" b", Scan::AfterQuote, 2),
        ] {
            assert_eq!(scan(text.as_bytes(), true, b',', 100, &mut spans), wanted, "{text:?}");
            assert_eq!(spans.len(), before, "{text:?}");
        }
        assert_eq!(scan(b"\"a\nb\nc\"", true, b',', 2, &mut spans), Scan::NotClosed);
    }

    proptest! {
        #[test]
        fn a_record_is_the_same_however_much_follows_it(
            text in "[ab,\"\n\r ]{0,12}", more in "[ab,\"\n\r ]{0,6}"
        ) {
            // What is decided with less in view must not change with more in view.
            let (mut short, mut long) = (Vec::new(), Vec::new());
            let all = format!("{text}{more}");
            let first = scan(text.as_bytes(), false, b',', 100, &mut short);
            if !matches!(first, Scan::Incomplete { .. }) {
                prop_assert_eq!(first, scan(all.as_bytes(), false, b',', 100, &mut long));
                prop_assert_eq!(short, long);
            }
        }
    }
}
