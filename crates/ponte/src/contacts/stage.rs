//! A table read whole and staged: rejected rows in their file, drafts in a temporary file in the order of their first number, so
//! that the database's indexes grow at their ends instead of everywhere. Staging is repeatable: the same file read the same
//! way gives the same order, which is what lets a killed run go on.
//! Memory: 24 bytes a row, and what the readers need.

use super::normalise::{Problem, Rules, Taken};
use anyhow::{Context, Result, anyhow};
use ponte_domain::consent::Action;
use ponte_domain::people::Draft;
use ponte_domain::phone::Line;
use ponte_tables::write::{Reject, Rejects};
use ponte_tables::{Bad, Row, Step, Table};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;

/// What staging found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counted {
    /// Rows of the table, good or bad.
    pub rows: u64,
    /// Rows taken.
    pub accepted: u64,
    /// Rows in the file of rejected rows.
    pub rejected: u64,
    /// Rejected rows by reason's code.
    pub rejected_by_reason: BTreeMap<String, u64>,
    /// Numbers that deserve a look, by kind of line; their rows were taken.
    pub flagged: BTreeMap<String, u64>,
    /// Rows that say something about consent which became an entry of the ledger: confirmed, withdrawn.
    pub consent: BTreeMap<String, u64>,
    /// Rows whose word on consent doesn't count, by reason; it is kept as fields.
    pub consent_kept_as_fields: BTreeMap<String, u64>,
    /// Values that don't fit their field, by field; kept as they were written, their rows were taken.
    pub as_written: BTreeMap<String, u64>,
    /// Rows whose first number an earlier row of the file has too.
    pub repeated_numbers: u64,
}

/// The drafts of a table.
pub struct Staged {
    file: File,
    index: Vec<(u64, u64, u32)>,
    /// What was found.
    pub counted: Counted,
}

/// Rows that are handed over at once.
const BLOCK: usize = 512;
/// Blocks under way between the two threads.
const AHEAD: usize = 4;

/// Reads the table to its end. `rejects`: where rejected rows go; `None` for a look only. Rows are normalised in a thread of
/// their own while this one reads and writes. One, for numbering plans keep patterns for every thread that asks them.
///
/// # Errors
/// The table can't be read any further, or a file can't be written.
pub fn stage(
    table: &mut Table,
    rules: &Rules,
    rejects: Option<&mut Rejects>,
    mut progress: impl FnMut(&Table, &Counted),
) -> Result<Staged> {
    let mut staging = Staging::new(table.header().to_vec(), rejects)?;
    std::thread::scope(|scope| -> Result<()> {
        let (to_normalise, blocks) = sync_channel::<Vec<Raw>>(AHEAD);
        let (normalised, done) = sync_channel(AHEAD);
        scope.spawn(move || {
            for block in blocks {
                if normalised.send(Normalised::of(block, rules)).is_err() {
                    return;
                }
            }
        });
        let stopped = || anyhow!("the rows can't be normalised any further");
        let mut under_way = 0;
        loop {
            let block = read(table)?;
            let at_end = block.is_empty();
            while under_way == AHEAD || (at_end && under_way > 0) {
                staging.take(done.recv().map_err(|_| stopped())??)?;
                under_way -= 1;
                progress(table, &staging.counted);
            }
            if at_end {
                return Ok(());
            }
            to_normalise.send(block).map_err(|_| stopped())?;
            under_way += 1;
        }
    })?;
    let staged = staging.end()?;
    progress(table, &staged.counted);
    Ok(staged)
}

/// A row as it was read.
enum Raw {
    Row(Row),
    Bad(Box<Bad>),
}

/// The next rows, good and bad; none at the end.
fn read(table: &mut Table) -> Result<Vec<Raw>> {
    let (mut block, mut row) = (Vec::with_capacity(BLOCK), Row::new());
    while block.len() < BLOCK {
        match table.next(&mut row)? {
            Step::End => break,
            Step::Row => block.push(Raw::Row(row.clone())),
            Step::Bad(bad) => block.push(Raw::Bad(bad)),
        }
    }
    Ok(block)
}

/// What of a row that was taken is counted.
struct Notes {
    flagged: Vec<Line>,
    consent: Option<Action>,
    consent_kept: Option<&'static str>,
    as_written: Vec<String>,
}

enum Done {
    /// Where the draft sorts, how long its text is, what deserves a look.
    Taken(u64, u32, Notes),
    Rejected(Row, Problem),
    Bad(Box<Bad>),
}

/// A block, normalised.
struct Normalised {
    drafts: Vec<u8>,
    rows: Vec<Done>,
}

impl Normalised {
    fn of(block: Vec<Raw>, rules: &Rules) -> Result<Self> {
        let mut normalised = Self { drafts: Vec::with_capacity(BLOCK * 256), rows: Vec::with_capacity(block.len()) };
        for read in block {
            let done = match read {
                Raw::Bad(bad) => Done::Bad(bad),
                Raw::Row(row) => match rules.read(&row) {
                    Err(problem) => Done::Rejected(row, problem),
                    Ok(Taken { draft, flagged, consent_kept, as_written }) => {
                        let before = normalised.drafts.len();
                        serde_json::to_writer(&mut normalised.drafts, &draft)?;
                        let length = u32::try_from(normalised.drafts.len() - before);
                        let consent = draft.consent.as_ref().map(|said| said.action);
                        let notes = Notes { flagged, consent, consent_kept, as_written };
                        Done::Taken(place(&draft), length.context("a row of more than 4 GiB")?, notes)
                    }
                },
            };
            normalised.rows.push(done);
        }
        Ok(normalised)
    }
}

impl Counted {
    fn take(&mut self, notes: &Notes) {
        self.accepted += 1;
        for kind in &notes.flagged {
            *self.flagged.entry(kind.as_str().to_owned()).or_default() += 1;
        }
        if let Some(action) = notes.consent {
            *self.consent.entry(action.as_str().to_owned()).or_default() += 1;
        }
        if let Some(why) = notes.consent_kept {
            *self.consent_kept_as_fields.entry(why.to_owned()).or_default() += 1;
        }
        for key in &notes.as_written {
            *self.as_written.entry(key.clone()).or_default() += 1;
        }
    }
}

/// What was staged so far.
struct Staging<'a> {
    out: BufWriter<File>,
    offset: u64,
    index: Vec<(u64, u64, u32)>,
    counted: Counted,
    header: Vec<String>,
    rejects: Option<&'a mut Rejects>,
}

impl<'a> Staging<'a> {
    fn new(header: Vec<String>, rejects: Option<&'a mut Rejects>) -> Result<Self> {
        let out = BufWriter::with_capacity(1 << 20, tempfile::tempfile().context("a temporary file")?);
        Ok(Self { out, offset: 0, index: Vec::new(), counted: Counted::default(), header, rejects })
    }

    fn take(&mut self, block: Normalised) -> Result<()> {
        self.out.write_all(&block.drafts)?;
        for done in block.rows {
            self.counted.rows += 1;
            match done {
                Done::Taken(place, length, notes) => {
                    self.counted.take(&notes);
                    self.index.push((place, self.offset, length));
                    self.offset += u64::from(length);
                }
                Done::Bad(bad) => {
                    self.reject(bad.code.as_str());
                    if let Some(rejects) = self.rejects.as_deref_mut() {
                        rejects.bad(&bad, &self.header)?;
                    }
                }
                Done::Rejected(row, problem) => {
                    self.reject(problem.code);
                    if let Some(rejects) = self.rejects.as_deref_mut() {
                        let column = problem.column.and_then(|c| self.header.get(c)).map_or("", String::as_str);
                        let why = Reject {
                            line: row.line(),
                            column,
                            value: &problem.value,
                            code: problem.code,
                            reason: &problem.reason,
                            suggestion: &problem.suggestion,
                        };
                        rejects.write(&why, row.cells())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn reject(&mut self, code: &str) {
        self.counted.rejected += 1;
        *self.counted.rejected_by_reason.entry(code.to_owned()).or_default() += 1;
    }

    fn end(self) -> Result<Staged> {
        let Self { out, mut index, mut counted, .. } = self;
        index.sort_unstable();
        index.shrink_to_fit();
        counted.repeated_numbers =
            index.windows(2).filter(|w| matches!(w, [a, b] if a.0 == b.0 && a.0 & NO_NUMBER == 0)).count() as u64;
        Ok(Staged { file: out.into_inner().map_err(|e| e.into_error())?, index, counted })
    }
}

const NO_NUMBER: u64 = 1 << 63;

/// Sorts as the text of the first number does: a digit is a nibble, the first one highest. Rows without a number come last.
fn place(draft: &Draft) -> u64 {
    let nibbles = |digits: &str| {
        let mut value = 0_u64;
        for n in 0..15 {
            let digit = digits.as_bytes().get(n).map_or(0, |b| u64::from(b.wrapping_sub(b'0') & 15) + 1);
            value = (value << 4) | digit;
        }
        value
    };
    draft.phones.first().map_or(NO_NUMBER, |digits| nibbles(digits))
}

impl Staged {
    /// How many drafts there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.index.len() as u64
    }

    /// The drafts from number `from` on, at most `n`.
    ///
    /// # Errors
    /// The temporary file can't be read.
    pub fn batch(&self, from: u64, n: usize) -> Result<Vec<Draft>> {
        let from = usize::try_from(from)?;
        let entries = self.index.iter().skip(from).take(n);
        let mut drafts = Vec::with_capacity(n);
        let mut buffer = Vec::new();
        for (_, offset, length) in entries {
            buffer.resize(*length as usize, 0);
            self.file.read_exact_at(&mut buffer, *offset)?;
            drafts.push(serde_json::from_slice(&buffer)?);
        }
        Ok(drafts)
    }
}

/// Of a file and how it is read: the same twice is the same run.
///
/// # Errors
/// The file can't be read.
pub fn fingerprint(path: &Path, how: &str) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(buffer.get(..n).unwrap_or_default());
    }
    hash.update(how.as_bytes());
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_as_the_numbers_text_does() {
        let at = |digits: &str| place(&Draft { phones: vec![digits.into()], ..Draft::default() });
        let mut numbers =
            ["886912345678", "14155550100", "5511987654321", "55119876543", "999999999999999", "1415555010"];
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|w| at(w[0]) < at(w[1])));
        assert!(at("999999999999999") < place(&Draft::default()));
    }
}
