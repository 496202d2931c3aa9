//! Reads CSV as people have it: any usual delimiter and encoding, quoted line breaks, damaged rows.
//! May touch: the file it is given, forwards only, after samples were taken.
//! Must not touch: what cells mean.
//! Failure story: memory is bounded by the longest row allowed. After a damaged row, reading goes on in the next physical line
//! after the one where it began. So a quote that isn't closed costs its own row, not those after it; and nothing is passed over
//! unsaid, for the lines of a damaged row of several lines are looked at again as rows of their own.

mod sniff;
mod source;
mod split;

pub(crate) use sniff::names_columns;

use crate::row::{Bad, BadCode, Counts, Row, Span, Step};
use crate::{Error, mapping};
use source::Source;
use split::Scan;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Cells of a bad row are kept up to this many bytes, and this many cells.
const BAD_BYTES: usize = 64 * 1024;
const BAD_CELLS: usize = 1_000;

/// What separates columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(u8);

impl Delimiter {
    /// `,`
    pub const COMMA: Self = Self(b',');
    /// `;`
    pub const SEMICOLON: Self = Self(b';');
    /// Tabulator.
    pub const TAB: Self = Self(b'\t');
    /// `|`
    pub const PIPE: Self = Self(b'|');
    /// Those that are looked for.
    pub const USUAL: [Self; 4] = [Self::COMMA, Self::SEMICOLON, Self::TAB, Self::PIPE];

    /// Any ASCII character that isn't a letter, a digit, a space, a quote or a line end.
    ///
    /// # Errors
    /// It is one of those.
    pub fn new(mark: char) -> Result<Self, Error> {
        let can = mark == '\t' || mark.is_ascii_punctuation() && mark != '"' && mark != '\'';
        u8::try_from(mark).ok().filter(|_| can).map(Self).ok_or(Error::Delimiter(mark))
    }

    /// As a byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// As a character.
    #[must_use]
    pub const fn char(self) -> char {
        self.0 as char
    }
}

/// What to do with rows that have fewer cells than the table has columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShortRows {
    /// They are bad: a line break that should have been quoted looks the same.
    #[default]
    Bad,
    /// The missing cells are empty. Some programs leave out empty cells at the end.
    Fill,
}

/// How to read. What isn't said is guessed from the file.
#[derive(Debug, Clone)]
pub struct Settings {
    /// By the labels of the WHATWG's Encoding Standard: `utf-8`, `windows-1252`, `big5`, `gb18030`, `shift_jis`, `utf-16le`...
    /// A byte order mark goes before it.
    pub encoding: Option<String>,
    /// What separates columns. Goes before a line `sep=;`.
    pub delimiter: Option<Delimiter>,
    /// Whether the first row names the columns.
    pub header: Option<bool>,
    /// Physical lines to pass over at the beginning, such as a title.
    pub skip_lines: u64,
    /// Rows with too few cells.
    pub short_rows: ShortRows,
    /// Where the people are, ISO 3166-1 alpha-2: helps to tell encodings apart.
    pub country: Option<String>,
    /// The longest row, bytes of UTF-8. Default 1 MiB.
    pub max_row: usize,
    /// The most physical lines of one row. Default 1,000: long notes, but no table swallowed by one quote.
    pub max_lines: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            encoding: None,
            delimiter: None,
            header: None,
            skip_lines: 0,
            short_rows: ShortRows::Bad,
            country: None,
            max_row: 1024 * 1024,
            max_lines: 1_000,
        }
    }
}

/// How a file is read: what was said, or else found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// Name of the encoding, as in the WHATWG's Encoding Standard.
    pub encoding: &'static str,
    /// What separates columns.
    pub delimiter: Delimiter,
    /// The first row names the columns.
    pub header: bool,
}

/// Reads a CSV file row by row.
pub struct CsvReader<R = File> {
    source: Source<R>,
    dialect: Dialect,
    settings: Settings,
    header: Vec<String>,
    /// Cells of the record in view.
    cells: Vec<Span>,
    /// The physical line that comes next.
    line: u64,
    total: u64,
    counts: Counts,
}

impl CsvReader<File> {
    /// Opens a file, takes samples, and reads the names of the columns.
    ///
    /// # Errors
    /// The file can't be read, is empty, or its first row is damaged; the settings name an unknown encoding.
    pub fn open(path: &Path, settings: &Settings) -> Result<Self, Error> {
        Self::new(File::open(path)?, settings)
    }
}

impl<R: Read + Seek> CsvReader<R> {
    /// As [`CsvReader::open`], for anything that can be read.
    ///
    /// # Errors
    /// As [`CsvReader::open`].
    pub fn new(mut input: R, settings: &Settings) -> Result<Self, Error> {
        let found = sniff::sniff(&mut input, settings)?;
        let delimiter = Delimiter(found.delimiter);
        input.seek(SeekFrom::Start(found.mark as u64))?;
        let mut reader = Self {
            source: Source::new(input, found.encoding, found.mark as u64),
            dialect: Dialect { encoding: found.encoding.name(), delimiter, header: found.header },
            settings: Settings { max_row: settings.max_row.max(1), ..settings.clone() },
            header: Vec::new(),
            cells: Vec::new(),
            line: 1,
            total: found.total,
            counts: Counts::default(),
        };
        for _ in 0..settings.skip_lines.saturating_add(u64::from(found.separator_line)) {
            reader.skip_line()?;
        }
        reader.read_header(found.columns)?;
        Ok(reader)
    }

    fn read_header(&mut self, columns: usize) -> Result<(), Error> {
        if !self.dialect.header {
            if columns == 0 {
                return Err(Error::Empty);
            }
            self.header = mapping::header_names(std::iter::repeat_n("", columns));
            return Ok(());
        }
        let mut row = Row::new();
        match self.record(&mut row)? {
            Step::Row => self.header = mapping::header_names(row.cells()),
            Step::Bad(bad) => return Err(Error::Header { line: bad.line, reason: bad.code.to_string() }),
            Step::End => return Err(Error::Empty),
        }
        self.counts = Counts::default();
        Ok(())
    }

    /// Reads the next row. After `Step::Row`, `row` holds it; else `row` is of no use.
    ///
    /// # Errors
    /// The file can't be read. A damaged row is no error: it is `Step::Bad`.
    pub fn next(&mut self, row: &mut Row) -> Result<Step, Error> {
        self.record(row)
    }

    /// The names of the columns, each different: a name that comes again has its number behind it, one that is missing is
    /// `column N`.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// How the file is read.
    #[must_use]
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Bytes of the file passed so far; for encodings other than UTF-8 a close estimate.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.source.position()
    }

    /// Bytes of the file.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What was passed so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn record(&mut self, row: &mut Row) -> Result<Step, Error> {
        loop {
            let limit = self.settings.max_row;
            let window = self.source.window();
            let all = window.len() <= limit;
            let view = window.get(..window.len().min(limit + 1)).unwrap_or_default();
            let last = all && self.source.is_last();
            if last && view.is_empty() {
                return Ok(Step::End);
            }
            let found =
                split::scan(view, last, self.dialect.delimiter.byte(), self.settings.max_lines, &mut self.cells);
            match found {
                Scan::Record { text, whole, lines } => match self.take(row, text, whole, lines) {
                    None => {}
                    Some(Ok(())) => return Ok(Step::Row),
                    Some(Err((code, column))) => {
                        let bad = self.bad(code, column, text, false);
                        self.pass(whole, lines);
                        return Ok(Step::Bad(Box::new(bad)));
                    }
                },
                Scan::Incomplete { .. } if all => self.source.more()?,
                Scan::Incomplete { quoted: false } => return self.damaged(BadCode::TooLong { limit }),
                Scan::Incomplete { quoted: true } | Scan::NotClosed => return self.damaged(BadCode::QuoteNotClosed),
                Scan::AfterQuote => return self.damaged(BadCode::TextAfterQuote),
            }
        }
    }

    /// Fills the row from the record in view and passes over it. `None`: nothing in it. An error leaves the record in view.
    fn take(
        &mut self,
        row: &mut Row,
        text: usize,
        whole: usize,
        lines: u64,
    ) -> Option<Result<(), (BadCode, Option<usize>)>> {
        let bytes = self.source.window().get(..text).unwrap_or_default();
        let record = match std::str::from_utf8(bytes) {
            Ok(record) => record,
            Err(error) => {
                let column = self.cells.iter().position(|c| error.valid_up_to() < c.end).map(|n| n + 1);
                return Some(Err((BadCode::NotText, column)));
            }
        };
        row.clear();
        row.text.push_str(record);
        row.cells.extend_from_slice(&self.cells);
        if self.cells.iter().any(|c| c.doubled) {
            for cell in row.cells.iter_mut().filter(|c| c.doubled) {
                let plain = record.get(cell.start..cell.end).unwrap_or_default().replace("\"\"", "\"");
                let start = row.text.len();
                row.text.push_str(&plain);
                *cell = Span { start, end: row.text.len(), doubled: false };
            }
        }
        if bytes.contains(&0) {
            let plain: Vec<String> = row.cells().map(|c| c.replace('\0', "")).collect();
            row.clear();
            plain.iter().for_each(|c| row.push(c));
            self.counts.with_nul += 1;
        }
        if row.is_blank() {
            self.counts.empty += 1;
            self.pass(whole, lines);
            return None;
        }
        // The row of names decides how many columns there are.
        if !self.header.is_empty() {
            let fill = self.settings.short_rows == ShortRows::Fill;
            if let Err(code) = row.fit(self.header.len(), fill) {
                let column = match code {
                    BadCode::TooManyColumns { expected, .. } => Some(expected + 1),
                    _ => None,
                };
                return Some(Err((code, column)));
            }
        }
        self.counts.rows += 1;
        row.line = self.line;
        row.number = self.counts.rows;
        self.pass(whole, lines);
        Some(Ok(()))
    }

    /// A record whose end can't be known: its first physical line is the bad row.
    fn damaged(&mut self, code: BadCode) -> Result<Step, Error> {
        let column = Some(self.cells.len() + 1);
        let limit = self.settings.max_row;
        while split::line(self.source.window(), self.source.is_last()).is_none()
            && self.source.window().len() <= limit
            && !self.source.is_last()
        {
            self.source.more()?;
        }
        let text = split::line(self.source.window(), self.source.is_last()).map_or(limit, |(text, _)| text.min(limit));
        let bad = self.bad(code, column, text, true);
        self.skip_line()?;
        Ok(Step::Bad(Box::new(bad)))
    }

    /// Tells a bad row from the first bytes in view. `plainly`: quotes mean nothing.
    fn bad(&mut self, code: BadCode, column: Option<usize>, text: usize, plainly: bool) -> Bad {
        let bytes = self.source.window().get(..text.min(BAD_BYTES)).unwrap_or_default();
        let tell = |b: &[u8]| String::from_utf8_lossy(b).replace('\0', "");
        let cells = if plainly {
            let delimiter = self.dialect.delimiter.byte();
            bytes.split(|b| *b == delimiter).take(BAD_CELLS).map(tell).collect()
        } else {
            let cells = self.cells.iter().take(BAD_CELLS);
            let plain = |c: &Span| {
                let text = tell(bytes.get(c.start..c.end).unwrap_or_default());
                if c.doubled { text.replace("\"\"", "\"") } else { text }
            };
            cells.map(plain).collect()
        };
        self.counts.rows += 1;
        self.counts.bad += 1;
        Bad { line: self.line, number: self.counts.rows, column, code, cells }
    }

    fn pass(&mut self, bytes: usize, lines: u64) {
        self.source.consume(bytes);
        self.line += lines;
    }

    /// Passes over a physical line of any length.
    fn skip_line(&mut self) -> Result<(), Error> {
        loop {
            let last = self.source.is_last();
            if let Some((_, next)) = split::line(self.source.window(), last) {
                self.pass(next, u64::from(next > 0));
                return Ok(());
            }
            // A carriage return at the end stays: a line feed may follow.
            let seen = self.source.window().len();
            let keep = usize::from(self.source.window().last() == Some(&b'\r'));
            self.source.consume(seen - keep);
            self.source.more()?;
        }
    }
}
