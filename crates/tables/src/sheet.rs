//! Reads spreadsheets: .xlsx and .xlsm row by row, .xls, .xlsb and .ods whole.
//! May touch: the file it is given, on a thread of its own.
//! Must not touch: what cells mean.
//! Failure story: the thread ends when the reader is dropped or the sheet is read; if it fails, the reader says why, and if it
//! panics, that it ended early. Of .xlsx only the shared texts are in memory; of the others the whole sheet is.
//!
//! Values are shown as people typed them: whole numbers without `.0` or exponent, days as `YYYY-MM-DD`, and a number format of
//! zeros (`0000000000`) gives back the zeros at the beginning of a phone.

use crate::row::{Bad, BadCode, Counts, Row, Step};
use crate::{Error, Settings, mapping};
use calamine::{Data, DataRef, ExcelDateTime, Reader, Sheets, Style, Xlsx, open_workbook_auto};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Rows handed over at once, and how many such portions wait.
const PORTION: usize = 512;
const WAITING: usize = 4;
/// Cells beyond this column aren't read: a stray one far to the right would make every row as wide. Excel has 16,384.
const MAX_COLUMNS: usize = 1_000;

type Portion = Result<Vec<Row>, Error>;

/// Reads a sheet row by row.
pub struct SheetReader {
    portions: Receiver<Portion>,
    /// Rows of the portion in hand, the next one last.
    rows: Vec<Row>,
    ended: bool,
    header: Vec<String>,
    sheet: String,
    passed: u64,
    total: u64,
    counts: Counts,
}

impl SheetReader {
    /// Opens a workbook's sheet, the first one unless named, and reads the names of the columns.
    ///
    /// # Errors
    /// The file can't be read, is no spreadsheet, has no such sheet, or the sheet is empty.
    pub fn open(path: &Path, sheet: Option<&str>, settings: &Settings) -> Result<Self, Error> {
        let mut workbook = open_workbook_auto(path).map_err(spoilt)?;
        let names = workbook.sheet_names();
        let name = match sheet {
            None => names.first().cloned().ok_or(Error::Empty)?,
            Some(name) => names
                .iter()
                .find(|n| n.eq_ignore_ascii_case(name))
                .cloned()
                .ok_or_else(|| Error::Sheet { sheet: name.to_owned(), there: names.clone() })?,
        };
        let total = match &mut workbook {
            Sheets::Xlsx(book) => u64::from(book.worksheet_cells_reader(&name).map_err(spoilt)?.dimensions().end.0) + 1,
            _ => 0,
        };
        let (to, portions) = sync_channel(WAITING);
        let thread_name = name.clone();
        std::thread::Builder::new().name("sheet".to_owned()).spawn(move || feed(workbook, &thread_name, &to))?;
        let mut reader = Self {
            portions,
            rows: Vec::new(),
            ended: false,
            header: Vec::new(),
            sheet: name,
            passed: 0,
            total,
            counts: Counts::default(),
        };
        reader.read_header(settings)?;
        Ok(reader)
    }

    fn read_header(&mut self, settings: &Settings) -> Result<(), Error> {
        let mut first = Row::new();
        loop {
            if !self.pull(&mut first)? {
                return Err(Error::Empty);
            }
            if first.line > settings.skip_lines && !first.is_blank() {
                break;
            }
        }
        let cells = || first.cells();
        let named = settings.header.unwrap_or_else(|| crate::csv::names_columns(&cells().collect::<Vec<_>>()));
        if named {
            self.header = mapping::header_names(cells());
        } else {
            self.header = mapping::header_names(std::iter::repeat_n("", first.len()));
            self.rows.push(first);
            self.passed -= 1;
        }
        Ok(())
    }

    /// Reads the next row. After `Step::Row`, `row` holds it; its line is the row's number in the sheet.
    ///
    /// # Errors
    /// The file can't be read any further.
    pub fn next(&mut self, row: &mut Row) -> Result<Step, Error> {
        loop {
            if !self.pull(row)? {
                return Ok(Step::End);
            }
            if row.is_blank() {
                self.counts.empty += 1;
                continue;
            }
            self.counts.rows += 1;
            row.number = self.counts.rows;
            // A sheet has no cells at the end of a row where nothing was typed: that is no damage.
            return match row.fit(self.header.len(), true) {
                Ok(()) => Ok(Step::Row),
                Err(code) => {
                    self.counts.bad += 1;
                    let column = match code {
                        BadCode::TooManyColumns { expected, .. } => Some(expected + 1),
                        _ => None,
                    };
                    let cells = row.cells().map(str::to_owned).collect();
                    Ok(Step::Bad(Box::new(Bad { line: row.line, number: row.number, column, code, cells })))
                }
            };
        }
    }

    /// The next row of the sheet, empty or not. `false` at the end.
    fn pull(&mut self, row: &mut Row) -> Result<bool, Error> {
        while self.rows.is_empty() {
            if self.ended {
                return Ok(false);
            }
            match self.portions.recv() {
                Ok(Ok(mut rows)) => {
                    // The last portion is empty: without it the thread ended early.
                    self.ended = rows.is_empty();
                    rows.reverse();
                    self.rows = rows;
                }
                Ok(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                Err(_) => {
                    self.ended = true;
                    return Err(Error::Spreadsheet("reading it ended early".to_owned()));
                }
            }
        }
        let Some(next) = self.rows.pop() else { return Ok(false) };
        self.passed += 1;
        *row = next;
        Ok(true)
    }

    /// The names of the columns, each different; see [`crate::CsvReader::header`].
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The sheet's name.
    #[must_use]
    pub fn sheet(&self) -> &str {
        &self.sheet
    }

    /// Rows passed so far, empty ones included.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.passed
    }

    /// Rows of the sheet as the file says; 0 when it doesn't.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What was passed so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

fn spoilt(error: impl std::fmt::Display) -> Error {
    Error::Spreadsheet(error.to_string())
}

/// Reads the sheet and hands its rows over; an empty portion is the end. A reader that is gone ends it.
fn feed(workbook: Sheets<BufReader<File>>, sheet: &str, to: &SyncSender<Portion>) {
    let mut out = Out { to, rows: Vec::with_capacity(PORTION), gone: false };
    let done = match workbook {
        Sheets::Xlsx(book) => stream(book, sheet, &mut out),
        other => whole(other, sheet, &mut out),
    };
    if done.is_ok() {
        out.hand_over();
    }
    // Nobody may be there to hear it.
    let _ = to.send(done.map(|()| Vec::new()));
}

struct Out<'a> {
    to: &'a SyncSender<Portion>,
    rows: Vec<Row>,
    gone: bool,
}

impl Out<'_> {
    fn push(&mut self, row: Row) {
        self.rows.push(row);
        if self.rows.len() >= PORTION {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if !self.rows.is_empty() {
            let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(PORTION));
            self.gone = self.to.send(Ok(rows)).is_err();
        }
    }
}

fn stream(mut book: Xlsx<BufReader<File>>, sheet: &str, out: &mut Out<'_>) -> Result<(), Error> {
    let mut cells = book.worksheet_cells_reader(sheet).map_err(spoilt)?;
    let zeros: Vec<usize> = cells.styles().iter().map(zeros).collect();
    let mut row = Row::new();
    while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(spoilt)? {
        let (number, column) = cell.get_position();
        let line = u64::from(number) + 1;
        if line != row.line && row.line > 0 {
            out.push(std::mem::take(&mut row));
            if out.gone {
                return Ok(());
            }
        }
        row.line = line;
        let column = column as usize;
        if column < MAX_COLUMNS {
            while row.len() < column {
                row.push("");
            }
            show(cell.get_value(), zeros.get(style).copied().unwrap_or(0), &mut row);
        }
    }
    if row.line > 0 {
        out.push(row);
    }
    Ok(())
}

fn whole(mut book: Sheets<BufReader<File>>, sheet: &str, out: &mut Out<'_>) -> Result<(), Error> {
    let range = book.worksheet_range(sheet).map_err(spoilt)?;
    let (first_row, first_column) = range.start().unwrap_or((0, 0));
    for (cells, line) in range.rows().zip(u64::from(first_row) + 1..) {
        let mut row = Row { line, ..Row::new() };
        for _ in 0..first_column {
            row.push("");
        }
        for cell in cells.iter().take(MAX_COLUMNS) {
            show(&borrowed(cell), 0, &mut row);
        }
        out.push(row);
        if out.gone {
            return Ok(());
        }
    }
    Ok(())
}

fn borrowed(cell: &Data) -> DataRef<'_> {
    match cell {
        Data::Int(n) => DataRef::Int(*n),
        Data::Float(n) => DataRef::Float(*n),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => DataRef::SharedString(text),
        Data::Bool(yes) => DataRef::Bool(*yes),
        Data::DateTime(at) => DataRef::DateTime(*at),
        Data::Error(error) => DataRef::Error(error.clone()),
        _ => DataRef::Empty,
    }
}

/// How many digits a format of zeros shows at least; 0 when it is another format.
fn zeros(style: &Style) -> usize {
    let code = style.number_format.as_ref().map_or("", |f| f.format_code.as_str());
    let all = code.len() > 1 && code.bytes().all(|b| b == b'0');
    if all { code.len().min(32) } else { 0 }
}

fn show(value: &DataRef<'_>, zeros: usize, row: &mut Row) {
    match value {
        DataRef::Empty => row.push(""),
        DataRef::Int(n) => row.push(&format!("{n:0zeros$}")),
        DataRef::Float(n) => row.push(&number(*n, zeros)),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => row.push(text),
        DataRef::SharedString(text) => row.push(text),
        DataRef::Bool(yes) => row.push(if *yes { "true" } else { "false" }),
        DataRef::DateTime(at) => row.push(&moment(*at)),
        DataRef::Error(error) => row.push(&error.to_string()),
    }
}

/// Whole numbers as whole numbers. Rust writes no exponents.
fn number(n: f64, zeros: usize) -> String {
    if n.fract() == 0.0 && n.abs() < 9e15 { format!("{:0zeros$}", n as i64) } else { n.to_string() }
}

fn moment(at: ExcelDateTime) -> String {
    if at.is_duration() {
        return number(at.as_f64(), 0);
    }
    let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
    if at.as_f64().fract() == 0.0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}
