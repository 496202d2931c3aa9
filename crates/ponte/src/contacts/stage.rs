//! A table read whole and staged: rejected rows in their file, drafts in a temporary file in the order of their first number, so
//! that the database's indexes grow at their ends instead of everywhere. Staging is repeatable: the same file read the same
//! way gives the same order, which is what lets a killed run go on.
//! Memory: 24 bytes a row, and what the readers need.

use super::normalise::Rules;
use anyhow::{Context, Result};
use ponte_domain::people::Draft;
use ponte_tables::{
    Row, Step, Table,
    write::{Reject, Rejects},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

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

/// Reads the table to its end. `rejects`: where rejected rows go; `None` for a look only.
///
/// # Errors
/// The table can't be read any further, or a file can't be written.
pub fn stage(
    table: &mut Table,
    rules: &Rules,
    mut rejects: Option<&mut Rejects>,
    mut progress: impl FnMut(&Table, &Counted),
) -> Result<Staged> {
    let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile().context("a temporary file")?);
    let (mut index, mut offset) = (Vec::new(), 0_u64);
    let (mut counted, mut row, mut line) = (Counted::default(), Row::new(), Vec::new());
    let header = table.header().to_vec();
    loop {
        match table.next(&mut row)? {
            Step::End => break,
            Step::Bad(bad) => {
                counted.rows += 1;
                counted.rejected += 1;
                *counted.rejected_by_reason.entry(bad.code.as_str().to_owned()).or_default() += 1;
                if let Some(rejects) = rejects.as_deref_mut() {
                    rejects.bad(&bad, &header)?;
                }
            }
            Step::Row => {
                counted.rows += 1;
                match rules.read(&row) {
                    Ok(taken) => {
                        counted.accepted += 1;
                        for kind in taken.flagged {
                            *counted.flagged.entry(kind.as_str().to_owned()).or_default() += 1;
                        }
                        if let Some(said) = &taken.draft.consent {
                            *counted.consent.entry(said.action.as_str().to_owned()).or_default() += 1;
                        }
                        if let Some(why) = taken.consent_kept {
                            *counted.consent_kept_as_fields.entry(why.to_owned()).or_default() += 1;
                        }
                        line.clear();
                        serde_json::to_writer(&mut line, &taken.draft)?;
                        out.write_all(&line)?;
                        let length = u32::try_from(line.len()).context("a row of more than 4 GiB")?;
                        index.push((place(&taken.draft), offset, length));
                        offset += u64::from(length);
                    }
                    Err(problem) => {
                        counted.rejected += 1;
                        *counted.rejected_by_reason.entry(problem.code.to_owned()).or_default() += 1;
                        if let Some(rejects) = rejects.as_deref_mut() {
                            let column = problem.column.and_then(|c| header.get(c)).map_or("", String::as_str);
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
        }
        if counted.rows.is_multiple_of(20_000) {
            progress(table, &counted);
        }
    }
    index.sort_unstable();
    counted.repeated_numbers =
        index.windows(2).filter(|w| matches!(w, [a, b] if a.0 == b.0 && a.0 & NO_NUMBER == 0)).count() as u64;
    progress(table, &counted);
    Ok(Staged { file: out.into_inner().map_err(|e| e.into_error())?, index, counted })
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
