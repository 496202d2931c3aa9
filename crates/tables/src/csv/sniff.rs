//! Guesses encoding, delimiter and header of a CSV file from samples of it.
//! Must not touch: more of the file than the samples.

use super::source::Source;
use super::split::{self, Scan};
use super::{Delimiter, Settings};
use crate::Error;
use crate::mapping::{values, words};
use crate::row::Span;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::io::{self, Read, Seek, SeekFrom};

/// Read from the beginning.
const HEAD: usize = 256 * 1024;
/// Read at places further on: names without accents may fill the beginning of a sorted table.
const PIECE: usize = 64 * 1024;
const PIECES: u64 = 4;
/// Records looked at.
const RECORDS: usize = 200;

/// What was found out from the beginning of the file.
pub(super) struct Sniffed {
    pub encoding: &'static Encoding,
    /// Length of the byte order mark.
    pub mark: usize,
    pub delimiter: u8,
    /// The first line is Excel's `sep=;`.
    pub separator_line: bool,
    pub header: bool,
    /// The number of columns that most records have.
    pub columns: usize,
    /// Bytes of the file.
    pub total: u64,
}

/// Looks at samples; leaves the input somewhere.
pub(super) fn sniff<R: Read + Seek>(input: &mut R, settings: &Settings) -> Result<Sniffed, Error> {
    let total = input.seek(SeekFrom::End(0))?;
    input.seek(SeekFrom::Start(0))?;
    let head = take(input, HEAD)?;
    let (encoding, mark) = match (&settings.encoding, Encoding::for_bom(&head)) {
        // A byte order mark is a fact; a name can be wrong.
        (_, Some((encoding, mark))) => (encoding, mark),
        (Some(name), None) => (Encoding::for_label(name.as_bytes()).ok_or_else(|| Error::Encoding(name.clone()))?, 0),
        (None, None) => (detect(input, &head, total, settings.country.as_deref())?, 0),
    };
    let whole = total <= HEAD as u64;
    let mut source = Source::new(head.get(mark..).unwrap_or_default(), encoding, 0);
    while !source.is_last() {
        source.more()?;
    }
    let mut text = source.window();
    for _ in 0..settings.skip_lines {
        let Some((_, next)) = split::line(text, whole) else { break };
        text = text.get(next..).unwrap_or_default();
    }
    let named = separator_line(text);
    if named.is_some() {
        let next = split::line(text, whole).map_or(0, |(_, next)| next);
        text = text.get(next..).unwrap_or_default();
    }
    let delimiter = settings.delimiter.or(named).unwrap_or_else(|| delimiter(text, whole));
    let mut records = records(text, whole, delimiter.byte(), settings.max_lines);
    let header = settings.header.unwrap_or_else(|| has_header(&records));
    let columns = if records.is_empty() { 0 } else { usual_width(records.drain(..).map(|r| r.len())).0 };
    Ok(Sniffed { encoding, mark, delimiter: delimiter.byte(), separator_line: named.is_some(), header, columns, total })
}

fn take(input: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut sample = Vec::new();
    input.by_ref().take(bytes as u64).read_to_end(&mut sample)?;
    Ok(sample)
}

/// Excel's first line that names the delimiter.
pub(super) fn separator_line(text: &[u8]) -> Option<Delimiter> {
    let (end, _) = split::line(text.get(..16.min(text.len())).unwrap_or_default(), true)?;
    let line = std::str::from_utf8(text.get(..end)?).ok()?.trim_end_matches([',', ';']);
    let line = if line.ends_with('=') { std::str::from_utf8(text.get(..end)?).ok()? } else { line };
    let line = line.trim_matches('"');
    let (word, mark) = line.split_at_checked(4)?;
    let mut marks = mark.chars();
    match (word.eq_ignore_ascii_case("sep="), marks.next(), marks.next()) {
        (true, Some(mark), None) => Delimiter::new(mark).ok(),
        _ => None,
    }
}

fn detect<R: Read + Seek>(
    input: &mut R,
    head: &[u8],
    total: u64,
    country: Option<&str>,
) -> Result<&'static Encoding, Error> {
    if let Some(wide) = wide(head) {
        return Ok(wide);
    }
    let mut samples = vec![head.to_vec()];
    if total > HEAD as u64 {
        for n in 1..=PIECES {
            input.seek(SeekFrom::Start((total / (PIECES + 1) * n).max(HEAD as u64)))?;
            let piece = take(input, PIECE)?;
            // From line to line, so that no character is cut.
            let begin = piece.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
            let end = piece.iter().rposition(|b| *b == b'\n').unwrap_or(piece.len());
            samples.push(piece.get(begin..end).unwrap_or_default().to_vec());
        }
    }
    let (mut good, mut bad) = (0, 0);
    for sample in &samples {
        let (g, b) = utf8(sample);
        good += g;
        bad += b;
    }
    // One damaged row doesn't make another encoding of it: others reach no ten true sequences for one false by chance.
    if good >= bad * 10 {
        return Ok(UTF_8);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    for sample in &samples {
        detector.feed(sample, false);
    }
    detector.feed(b"\n", true);
    let country = country.filter(|c| c.bytes().all(|b| b.is_ascii_alphabetic())).map(str::to_ascii_lowercase);
    Ok(detector.guess(country.as_deref().map(str::as_bytes), Utf8Detection::Deny))
}

/// UTF-16 without a byte order mark: every other byte of Western text is NUL.
fn wide(head: &[u8]) -> Option<&'static Encoding> {
    let (mut even, mut odd) = (0_usize, 0_usize);
    for (n, byte) in head.iter().enumerate() {
        if *byte == 0 {
            if n % 2 == 0 { even += 1 } else { odd += 1 }
        }
    }
    let many = head.len() / 5;
    match (even > many, odd > many) {
        (false, true) if even * 10 < odd => Some(UTF_16LE),
        (true, false) if odd * 10 < even => Some(UTF_16BE),
        _ => None,
    }
}

/// Characters beyond ASCII that are right UTF-8, and places that are not UTF-8. A character cut at the end counts as neither.
fn utf8(mut bytes: &[u8]) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    loop {
        let (valid, skip, damaged) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, bytes.len(), false),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok());
                let skip = error.valid_up_to() + error.error_len().unwrap_or(bytes.len());
                (valid.unwrap_or_default(), skip, error.error_len().is_some())
            }
        };
        good += valid.chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(damaged);
        bytes = bytes.get(skip..).unwrap_or_default();
        if bytes.is_empty() {
            return (good, bad);
        }
    }
}

/// The delimiter with which most records have the same, large number of columns.
fn delimiter(text: &[u8], whole: bool) -> Delimiter {
    let mut best = (Delimiter::COMMA, 0.0);
    for candidate in Delimiter::USUAL {
        let rows = records(text, whole, candidate.byte(), 1_000);
        let (width, times) = usual_width(rows.iter().map(Vec::len));
        if width < 2 {
            continue;
        }
        let share = times as f64 / rows.len().max(1) as f64;
        // The row of names has no delimiter that isn't one.
        let first = if rows.first().map(Vec::len) == Some(width) { 1.0 } else { 0.3 };
        let score = share * share * width.min(12) as f64 * first;
        if score > best.1 {
            best = (candidate, score);
        }
    }
    best.0
}

/// The commonest number of columns, and how many rows have it. Of two equally common ones, the larger.
fn usual_width(widths: impl Iterator<Item = usize>) -> (usize, usize) {
    let mut times = std::collections::BTreeMap::new();
    for width in widths {
        *times.entry(width).or_insert(0) += 1;
    }
    times.into_iter().max_by_key(|(width, times)| (*times, *width)).unwrap_or((0, 0))
}

/// The first records that can be read and aren't empty.
fn records(text: &[u8], whole: bool, delimiter: u8, max_lines: u64) -> Vec<Vec<String>> {
    let (mut rest, mut found, mut cells) = (text, Vec::new(), Vec::<Span>::new());
    while found.len() < RECORDS && !rest.is_empty() {
        let skip = match split::scan(rest, whole, delimiter, max_lines, &mut cells) {
            Scan::Record { text: length, whole, .. } => {
                if rest.get(..length).is_some_and(|r| !r.trim_ascii().is_empty()) {
                    let cell = |c: &Span| String::from_utf8_lossy(rest.get(c.start..c.end).unwrap_or_default()).into();
                    found.push(cells.iter().map(cell).collect());
                }
                whole
            }
            Scan::Incomplete { .. } => break,
            Scan::NotClosed | Scan::AfterQuote => {
                // A damaged first row stays in its place, without cells.
                if found.is_empty() {
                    found.push(Vec::new());
                }
                match split::line(rest, whole) {
                    Some((_, next)) => next,
                    None => break,
                }
            }
        };
        rest = rest.get(skip..).unwrap_or_default();
    }
    found
}

/// Whether the first row names the columns: it knows a usual name, or nothing in it looks like a value.
fn has_header(records: &[Vec<String>]) -> bool {
    records.first().is_none_or(|first| names_columns(first))
}

/// Whether a first row names the columns.
pub(crate) fn names_columns(first: &[impl AsRef<str>]) -> bool {
    let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
    if first.iter().any(|cell| words::is_known(cell)) {
        return true;
    }
    !first.iter().any(|cell| values::is_phone(cell) || values::is_email(cell) || values::is_date(cell))
        && !first.iter().any(|cell| !cell.trim().is_empty() && cell.trim().bytes().all(|b| b.is_ascii_digit()))
}
