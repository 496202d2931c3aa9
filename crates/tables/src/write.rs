//! Writes CSV that programs read back as it was and that a spreadsheet opens without running anything; and the file of rejected
//! rows.
//! May touch: the file it is given.
//! Must not touch: what the cells mean.
//! Failure story: until `finish` the file may end in half a row. `Rejects::checkpoint` makes what was written durable and gives its
//! length; after a death `Rejects::resume` cuts the file to such a length and goes on, so that no row is there twice.
//!
//! Formulas: a spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, whatever quotes are around it. Such a
//! cell gets an apostrophe before it. Not so a cell that is nothing but `+` or `-`, digits and ` ( ) . - / ,`: a phone number or a
//! negative number. It can name no function, no cell, no file and no program; the worst that a spreadsheet does is to show a
//! number. An apostrophe would spoil `+55...` for every other program that reads the file.

use crate::{Bad, Delimiter, Error};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// The columns of a file of rejected rows that come before those of the table.
pub const REJECT_COLUMNS: [&str; 6] =
    ["ponte_line", "ponte_column", "ponte_value", "ponte_code", "ponte_reason", "ponte_suggestion"];

/// The byte order mark by which Excel knows UTF-8.
const MARK: &str = "\u{feff}";
const BUFFER: usize = 128 * 1024;

/// The cell as it may stand in a file that a spreadsheet opens: with an apostrophe before what would be a formula, and before
/// what [`unguard`] would take for such an apostrophe.
#[must_use]
pub fn guard(cell: &str) -> Cow<'_, str> {
    // Most cells are decided by their first byte.
    let plain = cell.bytes().next().is_none_or(|b| b.is_ascii_alphanumeric());
    if !plain && (is_formula(cell) || is_guarded(cell)) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Takes back what [`guard`] did.
#[must_use]
pub fn unguard(cell: &str) -> &str {
    if is_guarded(cell) { cell.get(1..).unwrap_or(cell) } else { cell }
}

/// One or more apostrophes before a formula.
fn is_guarded(cell: &str) -> bool {
    cell.starts_with('\'') && is_formula(cell.trim_start_matches('\''))
}

fn is_formula(cell: &str) -> bool {
    // Blanks before it are passed over by some programs, and full-width signs are taken for the usual ones by some.
    let inner = cell.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let mut rest = inner.chars();
    match rest.next() {
        Some('=' | '@' | '＝' | '＠') => true,
        Some('+' | '-' | '＋' | '－') => !is_number(rest.as_str()),
        _ => false,
    }
}

fn is_number(text: &str) -> bool {
    let inner = |c: char| matches!(c, '0'..='9' | '０'..='９' | ' ' | '(' | ')' | '.' | '-' | '/' | ',');
    text.chars().all(inner) && text.contains(|c: char| matches!(c, '0'..='9' | '０'..='９'))
}

/// How a CSV is written.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// What separates columns.
    pub delimiter: Delimiter,
    /// Begin with the byte order mark, by which Excel knows UTF-8.
    pub mark: bool,
    /// Keep spreadsheets from running formulas; see [`guard`]. Without it cells are written as they are.
    pub guard: bool,
}

impl Default for Style {
    /// Commas, a byte order mark, guarded.
    fn default() -> Self {
        Self { delimiter: Delimiter::COMMA, mark: true, guard: true }
    }
}

/// Writes CSV in UTF-8, row by row.
pub struct CsvWriter<W: Write> {
    out: W,
    style: Style,
    row: Vec<u8>,
    cells: usize,
}

impl<W: Write> CsvWriter<W> {
    /// Begins a table. `out` should be buffered.
    ///
    /// # Errors
    /// It can't be written.
    pub fn new(mut out: W, style: Style) -> Result<Self, Error> {
        if style.mark {
            out.write_all(MARK.as_bytes())?;
        }
        Ok(Self { out, style, row: Vec::new(), cells: 0 })
    }

    /// Writes a row. A row of one empty cell is written as `""`, for an empty line is no row.
    ///
    /// # Errors
    /// It can't be written.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        for cell in cells {
            self.cell(cell);
        }
        self.end()
    }

    fn cell(&mut self, cell: &str) {
        let delimiter = self.style.delimiter.byte();
        if self.cells > 0 {
            self.row.push(delimiter);
        }
        self.cells += 1;
        let cell = if self.style.guard { guard(cell) } else { Cow::Borrowed(cell) };
        let special = |b: u8| b == delimiter || matches!(b, b'"' | b'\n' | b'\r');
        if !cell.bytes().any(special) && !cell.starts_with('\u{feff}') {
            self.row.extend_from_slice(cell.as_bytes());
            return;
        }
        self.row.push(b'"');
        for byte in cell.bytes() {
            if byte == b'"' {
                self.row.push(b'"');
            }
            self.row.push(byte);
        }
        self.row.push(b'"');
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.row.is_empty() {
            self.row.extend_from_slice(b"\"\"");
        }
        self.row.extend_from_slice(b"\r\n");
        self.out.write_all(&self.row)?;
        self.row.clear();
        self.cells = 0;
        Ok(())
    }

    /// Flushes and gives the output back.
    ///
    /// # Errors
    /// It can't be written.
    pub fn into_inner(mut self) -> Result<W, Error> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl CsvWriter<BufWriter<File>> {
    /// Begins a new file; one that is there is emptied.
    ///
    /// # Errors
    /// It can't be made.
    pub fn create(path: &Path, style: Style) -> Result<Self, Error> {
        Self::new(BufWriter::with_capacity(BUFFER, File::create(path)?), style)
    }

    /// Flushes and syncs: the file is whole and durable then.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(self) -> Result<(), Error> {
        self.into_inner()?.get_ref().sync_all()?;
        Ok(())
    }
}

/// Why a row was rejected.
#[derive(Debug, Clone, Copy)]
pub struct Reject<'a> {
    /// Physical line, from 1.
    pub line: u64,
    /// The column's name, empty when the whole row is meant.
    pub column: &'a str,
    /// The value that is wrong.
    pub value: &'a str,
    /// Stable code.
    pub code: &'a str,
    /// One sentence.
    pub reason: &'a str,
    /// What can be done.
    pub suggestion: &'a str,
}

/// The file of rejected rows: why, then the row as it was. Its first columns are those of [`REJECT_COLUMNS`], which a guessed mapping
/// ignores: once mended, the file can be imported as it is.
pub struct Rejects {
    writer: CsvWriter<BufWriter<File>>,
    rows: u64,
}

impl Rejects {
    /// Begins a new file for a table with these columns.
    ///
    /// # Errors
    /// It can't be made.
    pub fn create(path: &Path, header: &[String], delimiter: Delimiter) -> Result<Self, Error> {
        let mut writer = CsvWriter::create(path, Style { delimiter, ..Style::default() })?;
        writer.row(REJECT_COLUMNS.into_iter().chain(header.iter().map(String::as_str)))?;
        Ok(Self { writer, rows: 0 })
    }

    /// Goes on with a file that was begun, from a length that [`Rejects::checkpoint`] gave. What is behind it is cut off.
    ///
    /// # Errors
    /// It can't be opened, or is shorter than that.
    pub fn resume(path: &Path, length: u64, delimiter: Delimiter) -> Result<Self, Error> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() < length {
            return Err(std::io::Error::other("the file of rejected rows is shorter than it was").into());
        }
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
        let style = Style { delimiter, mark: false, guard: true };
        Ok(Self { writer: CsvWriter::new(BufWriter::with_capacity(BUFFER, file), style)?, rows: 0 })
    }

    /// Writes a rejected row.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write<'a>(&mut self, why: &Reject<'_>, cells: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        self.writer.cell(&why.line.to_string());
        for cell in [why.column, why.value, why.code, why.reason, why.suggestion] {
            self.writer.cell(cell);
        }
        for cell in cells {
            self.writer.cell(cell);
        }
        self.rows += 1;
        self.writer.end()
    }

    /// Writes a row that couldn't be read.
    ///
    /// # Errors
    /// It can't be written.
    pub fn bad(&mut self, bad: &Bad, header: &[String]) -> Result<(), Error> {
        let column = bad.column.and_then(|c| header.get(c.checked_sub(1)?)).map_or("", String::as_str);
        let why = Reject {
            line: bad.line,
            column,
            value: bad.value(),
            code: bad.code.as_str(),
            reason: &bad.code.to_string(),
            suggestion: bad.code.suggestion(),
        };
        self.write(&why, bad.cells.iter().map(String::as_str))
    }

    /// How many rows were written since it was opened.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes what was written durable, and gives the file's length in bytes to resume from.
    ///
    /// # Errors
    /// It can't be written.
    pub fn checkpoint(&mut self) -> Result<u64, Error> {
        self.writer.out.flush()?;
        self.writer.out.get_ref().sync_data()?;
        Ok(self.writer.out.stream_position()?)
    }

    /// Flushes and syncs.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(self) -> Result<(), Error> {
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formulas_get_an_apostrophe_and_numbers_do_not() {
        for cell in
            ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", " =1", "＝1", "+A1", "-", "+55 x", "'=1"]
        {
            assert_eq!(guard(cell), format!("'{cell}"));
        }
        for cell in
            ["+5511987654321", "+55 (11) 98765-4321", "-12.5", "－１２", "a=b", "", "O'Neil", "'quoted'", "0912", "姓"]
        {
            assert_eq!(guard(cell), cell);
        }
    }

    proptest! {
        #[test]
        fn guarding_is_taken_back_and_leaves_no_formula(cell in "['=+@\\-\t a1]{0,6}") {
            let guarded = guard(&cell);
            prop_assert!(!is_formula(&guarded));
            prop_assert_eq!(unguard(&guarded), cell.as_str());
        }
    }
}
