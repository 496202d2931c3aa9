//! A table in a file, whatever kind of file it is.
//! Must not touch: what cells mean.

use crate::{Counts, CsvReader, Error, Row, Settings, SheetReader, Step};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A table of any kind that can be read.
pub enum Table {
    /// Text.
    Csv(Box<CsvReader>),
    /// A spreadsheet.
    Sheet(Box<SheetReader>),
}

/// How far reading has come. Bytes for text; rows for spreadsheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Passed.
    pub done: u64,
    /// In all; 0 when that isn't known.
    pub total: u64,
}

impl Table {
    /// Opens a file: a spreadsheet by its first bytes and its name, everything else as CSV. `sheet` names a spreadsheet's sheet.
    ///
    /// # Errors
    /// As [`CsvReader::open`] and [`SheetReader::open`].
    pub fn open(path: &Path, sheet: Option<&str>, settings: &Settings) -> Result<Self, Error> {
        let mut first = Vec::new();
        File::open(path)?.take(8).read_to_end(&mut first)?;
        // ZIP (.xlsx, .xlsb, .ods), and OLE compound files (.xls).
        if first.starts_with(b"PK\x03\x04") || first.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            return Ok(Self::Sheet(Box::new(SheetReader::open(path, sheet, settings)?)));
        }
        Ok(Self::Csv(Box::new(CsvReader::open(path, settings)?)))
    }

    /// The names of the columns; see [`CsvReader::header`].
    #[must_use]
    pub fn header(&self) -> &[String] {
        match self {
            Self::Csv(reader) => reader.header(),
            Self::Sheet(reader) => reader.header(),
        }
    }

    /// Reads the next row; see [`CsvReader::next`].
    ///
    /// # Errors
    /// The file can't be read any further.
    pub fn next(&mut self, row: &mut Row) -> Result<Step, Error> {
        match self {
            Self::Csv(reader) => reader.next(row),
            Self::Sheet(reader) => reader.next(row),
        }
    }

    /// How far reading has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self {
            Self::Csv(reader) => Progress { done: reader.position(), total: reader.total() },
            Self::Sheet(reader) => Progress { done: reader.position(), total: reader.total() },
        }
    }

    /// What was passed so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            Self::Csv(reader) => reader.counts(),
            Self::Sheet(reader) => reader.counts(),
        }
    }
}
