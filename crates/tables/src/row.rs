//! A row of a table, and a row that can't be read.
//! Must not touch: what the cells mean.

use std::fmt;

/// One row. Made once and filled again and again, so that reading asks for no memory per cell.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Row {
    pub(crate) text: String,
    pub(crate) cells: Vec<Span>,
    pub(crate) line: u64,
    pub(crate) number: u64,
}

/// Where a cell lies in its row's text, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    /// Quotation marks in it are doubled.
    pub doubled: bool,
}

impl Row {
    /// An empty row to read into.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many cells it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// It has no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The cell of a column, counted from 0, as it stands in the file.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<&str> {
        self.cells.get(column).and_then(|c| self.text.get(c.start..c.end))
    }

    /// All cells, in order.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &str> {
        self.cells.iter().map(|c| self.text.get(c.start..c.end).unwrap_or_default())
    }

    /// The physical line where it begins, from 1. In a spreadsheet: the row's number there.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Which row of data it is, good or bad, from 1; the row of names and empty rows don't count. The same file read with the
    /// same settings gives the same numbers: an interrupted import goes on after the last number it has stored.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
    }

    /// Appends a cell.
    pub(crate) fn push(&mut self, cell: &str) {
        let start = self.text.len();
        self.text.push_str(cell);
        self.cells.push(Span { start, end: self.text.len(), doubled: false });
    }

    /// Has nothing but blanks in it.
    pub(crate) fn is_blank(&self) -> bool {
        self.cells().all(|c| c.trim().is_empty())
    }

    /// Brings the row to `width` cells. Empty ones too many go; missing ones are filled if they may be.
    pub(crate) fn fit(&mut self, width: usize, fill: bool) -> Result<(), BadCode> {
        let has = self.len();
        if has > width {
            let more = self.cells().skip(width).any(|c| !c.trim().is_empty());
            if more {
                return Err(BadCode::TooManyColumns { has, expected: width });
            }
            self.cells.truncate(width);
        } else if has < width {
            if !fill {
                return Err(BadCode::TooFewColumns { has, expected: width });
            }
            let end = self.text.len();
            self.cells.resize(width, Span { start: end, end, doubled: false });
        }
        Ok(())
    }
}

/// Without the cells: they are personal data.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("line", &self.line).field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}

/// What a reader came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The row is filled.
    Row,
    /// A row that can't be read. Reading goes on after it.
    Bad(Box<Bad>),
    /// No more rows.
    End,
}

/// A row that can't be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Bad {
    /// The physical line where it begins, from 1.
    pub line: u64,
    /// Which row of data it is, from 1, in one count with the good ones.
    pub number: u64,
    /// The column where the damage shows, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub code: BadCode,
    /// The cells as well as they can be told apart, undecodable bytes replaced by U+FFFD; at most 64 KiB of them.
    pub cells: Vec<String>,
}

impl Bad {
    /// The damaged cell, empty when there is none.
    #[must_use]
    pub fn value(&self) -> &str {
        self.column.and_then(|c| self.cells.get(c.checked_sub(1)?)).map_or("", String::as_str)
    }
}

/// Without the cells: they are personal data.
impl fmt::Debug for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bad")
            .field("line", &self.line)
            .field("column", &self.column)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCode {
    /// A quoted cell has no end within the limits of a row.
    QuoteNotClosed,
    /// Something other than a delimiter follows a quoted cell.
    TextAfterQuote,
    /// Fewer cells than the table has columns.
    TooFewColumns {
        /// Cells.
        has: usize,
        /// Columns.
        expected: usize,
    },
    /// More cells than the table has columns.
    TooManyColumns {
        /// Cells.
        has: usize,
        /// Columns.
        expected: usize,
    },
    /// Bytes that are no text in the table's encoding.
    NotText,
    /// Longer than a row may be.
    TooLong {
        /// The limit, bytes of text.
        limit: usize,
    },
}

impl BadCode {
    /// Stable text for files and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QuoteNotClosed => "quote_not_closed",
            Self::TextAfterQuote => "text_after_quote",
            Self::TooFewColumns { .. } => "too_few_columns",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::NotText => "not_text",
            Self::TooLong { .. } => "row_too_long",
        }
    }

    /// What can be done about it.
    #[must_use]
    pub const fn suggestion(self) -> &'static str {
        match self {
            Self::QuoteNotClosed => "Close the quotation mark, or double it if it belongs to the text.",
            Self::TextAfterQuote => "Double the quotation marks within the cell, or take away those around it.",
            Self::TooFewColumns { .. } => {
                "Add the missing cells, or put quotation marks around a cell that has a line break. If cells are missing at \
                 the end on purpose, allow short rows."
            }
            Self::TooManyColumns { .. } => "Put quotation marks around a cell that has the delimiter in it.",
            Self::NotText => "Save the file as UTF-8, or name the right encoding.",
            Self::TooLong { .. } => "Look for a missing line end, or raise the limit.",
        }
    }
}

impl fmt::Display for BadCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QuoteNotClosed => f.write_str("a quotation mark is opened and not closed"),
            Self::TextAfterQuote => f.write_str("text follows the closing quotation mark of a cell"),
            Self::TooFewColumns { has, expected } | Self::TooManyColumns { has, expected } => {
                write!(f, "{has} cells where the table has {expected} columns")
            }
            Self::NotText => f.write_str("bytes that are no text in the table's encoding"),
            Self::TooLong { limit } => write!(f, "longer than {limit} bytes"),
        }
    }
}

/// What a reader has passed so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Rows of data, good and bad.
    pub rows: u64,
    /// Bad ones among them.
    pub bad: u64,
    /// Rows with nothing in them; they are passed over.
    pub empty: u64,
    /// Rows that had NUL characters. These carry no text and are left out of the cells.
    pub with_nul: u64,
}
