//! # Tables
//! Purpose: tables of people in files. Reads CSV and spreadsheets row by row, guesses what the columns are, writes CSV that is
//! safe to open in a spreadsheet, and makes messy tables to try an import with.
//! May touch: the files it is given.
//! Must not touch: databases, the network, any other crate of this workspace. What a phone number is worth, or who a person
//! is, is decided elsewhere.
//! Failure story: reading changes nothing, so a reader that dies is begun again. A row that can't be read is handed out as a bad
//! row and reading goes on after it. A file that is written is whole only after `finish`.

pub mod csv;
pub mod generate;
pub mod mapping;
pub mod row;
pub mod sheet;
mod table;
pub mod write;

pub use csv::{CsvReader, Delimiter, Dialect, Settings, ShortRows};
pub use row::{Bad, BadCode, Counts, Row, Step};
pub use sheet::SheetReader;
pub use table::{Progress, Table};

/// Why a table can't be read or written at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file can't be read or written.
    #[error("the file can't be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// No row at all.
    #[error("the table is empty")]
    Empty,
    /// The first row, which names the columns, is damaged.
    #[error("line {line}, which names the columns, can't be read: {reason}")]
    Header {
        /// Physical line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody knows this encoding.
    #[error("there is no encoding called {0:?}; known are, for example, utf-8, windows-1252, big5, gb18030, shift_jis")]
    Encoding(String),
    /// Can't separate columns.
    #[error(
        "{0:?} can't separate columns: it must be one ASCII character that is no letter, digit, space, quote or line end"
    )]
    Delimiter(char),
    /// A spreadsheet that can't be read.
    #[error("the spreadsheet can't be read: {0}")]
    Spreadsheet(String),
    /// The workbook has no such sheet.
    #[error("there is no sheet {sheet:?}; there are {there:?}")]
    Sheet {
        /// What was asked for.
        sheet: String,
        /// The sheets there are.
        there: Vec<String>,
    },
}
