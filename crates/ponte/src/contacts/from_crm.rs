//! Reads all contacts of a CRM into a table, which is then imported like any other: preview, dry run, mapping, rejected rows.
//! May touch: the CRM's reads, the file it is given.
//! Failure story: a page that can't be read is asked for again; given up, nothing was imported.

use anyhow::{Context, Result, bail};
use ponte_domain::crm::CrmField;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::crm::Crm;
use ponte_domain::{Millis, SECOND};
use ponte_tables::write::{CsvWriter, Style};
use serde_json::Value;
use std::borrow::Cow;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

/// Tries of one page.
const TRIES: u32 = 8;
/// Longest wait between them.
const LONGEST_MS: Millis = 60 * SECOND;

/// The column of the record id: the contacts' key.
pub const KEY: &str = "id";

/// Writes every contact of the CRM as a row, or the first `most` and the rest of their page; how many. `wanted`: names of fields,
/// `None` for the usual ones.
///
/// # Errors
/// The CRM can't be read, a field isn't there, or the file can't be written.
pub async fn read(
    crm: &dyn Crm,
    wanted: Option<&[String]>,
    most: Option<u64>,
    to: &Path,
    mut progress: impl FnMut(u64),
) -> Result<u64> {
    let there = patiently(async || crm.contact_fields().await).await?;
    let fields = choose(&there, wanted)?;
    let file = File::create(to).with_context(|| to.display().to_string())?;
    // Read back by us, not by a spreadsheet: cells as they are.
    let style = Style { guard: false, mark: false, ..Style::default() };
    let mut table = CsvWriter::new(BufWriter::with_capacity(1 << 20, file), style)?;
    table.row(std::iter::once(KEY).chain(fields.iter().map(|f| f.label.as_str())))?;
    let names: Vec<String> = fields.iter().map(|f| f.name.clone()).collect();
    let (mut rows, mut after) = (0, None::<String>);
    loop {
        let page = patiently(async || crm.contacts_page(&names, after.as_deref()).await).await?;
        for record in &page.records {
            let cells: Vec<Cow<'_, str>> = record.values.iter().map(cell).collect();
            table.row(std::iter::once(record.id.as_str()).chain(cells.iter().map(AsRef::as_ref)))?;
            rows += 1;
        }
        progress(rows);
        if most.is_some_and(|most| rows >= most) {
            break;
        }
        match page.next {
            Some(next) if Some(&next) != after.as_ref() => after = Some(next),
            Some(_) => bail!("the CRM gives the same page again and again"),
            None => break,
        }
    }
    let mut out = table.into_inner()?;
    std::io::Write::flush(&mut out).with_context(|| to.display().to_string())?;
    Ok(rows)
}

/// A value as a table shows it: several, `;` between them; something with a name, by its name.
fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(items) => Cow::Owned(items.iter().map(cell).collect::<Vec<_>>().join(";")),
        Value::Object(fields) => fields.get("name").map_or_else(|| Cow::Owned(value.to_string()), cell),
        other => Cow::Owned(other.to_string()),
    }
}

fn choose<'a>(there: &'a [CrmField], wanted: Option<&[String]>) -> Result<Vec<&'a CrmField>> {
    let Some(wanted) = wanted else { return Ok(there.iter().filter(|f| f.usual).collect()) };
    let find = |name: &str| there.iter().find(|f| f.name == name);
    let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|name| find(name).is_none()).collect();
    if !missing.is_empty() {
        let names: Vec<&str> = there.iter().map(|f| f.name.as_str()).collect();
        bail!("--fields: the CRM's contacts have no {}; there are {}", missing.join(", "), names.join(", "));
    }
    Ok(wanted.iter().filter_map(|name| find(name)).collect())
}

/// Asks again after what passes by itself.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, CallError>) -> Result<T> {
    let mut tries = 1;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let wait = match &error.class {
            ErrorClass::Retryable { after_ms } => after_ms.unwrap_or(SECOND << tries.min(5)),
            ErrorClass::Throttled { after_ms, .. } => after_ms.unwrap_or(10 * SECOND),
            _ => bail!("the CRM can't be read: {} ({})", error.title, error.code),
        };
        if tries >= TRIES {
            bail!("the CRM can't be read after {tries} tries: {} ({})", error.title, error.code);
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(u64::try_from(wait.min(LONGEST_MS)).unwrap_or(1_000))).await;
    }
}
