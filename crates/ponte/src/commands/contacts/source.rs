//! Where the rows of an import come from: a table, or the contacts of a CRM read into one.

use super::import::{Options, SAMPLE};
use super::open;
use crate::config::Settings;
use crate::contacts::from_crm;
use crate::wiring;
use anyhow::{Context, Result, bail};
use ponte_domain::ports::vault::Vault;
use ponte_tables::mapping::{ColumnUse, Guess, Mapping, slug};
use ponte_tables::{Delimiter, Settings as Reading, ShortRows, Table};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Where the rows come from.
pub(super) struct Source {
    /// Under which its keys are kept.
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// Where rejected rows go.
    pub(super) rejected: PathBuf,
    is_crm: bool,
    /// Holds the file of a CRM's contacts; gone with the import.
    _folder: Option<tempfile::TempDir>,
}

impl Source {
    pub(super) async fn of(settings: &Settings, options: &Options) -> Result<Self> {
        let (file, default, folder) = match (&options.from_crm, &options.file) {
            (Some(name), _) => {
                let folder = tempfile::tempdir().context("a temporary folder")?;
                let file = folder.path().join(format!("{name}.csv"));
                read_crm(settings, options, name, &file).await?;
                (file, format!("crm:{name}"), Some(folder))
            }
            (None, Some(file)) => {
                let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                (file.clone(), name, None)
            }
            (None, None) => bail!("name a table, or a CRM connection with --from-crm"),
        };
        let name = options.source.clone().unwrap_or(default);
        if name.is_empty() || name.len() > 200 {
            bail!("--source: 1 to 200 characters");
        }
        if folder.is_none() && name.starts_with("crm:") {
            bail!("--source: names with crm: are those of CRM connections");
        }
        let rejected = options.rejected.clone().unwrap_or_else(|| {
            // Beside the table; of a CRM, where the command runs.
            let beside =
                if folder.is_some() { PathBuf::from(file.file_name().unwrap_or_default()) } else { file.clone() };
            let mut name = beside.into_os_string();
            name.push(".rejected.csv");
            name.into()
        });
        Ok(Self { name, file, rejected, is_crm: folder.is_some(), _folder: folder })
    }

    fn reading(&self, options: &Options) -> Result<Reading> {
        Ok(Reading {
            encoding: if self.is_crm { Some("utf-8".to_owned()) } else { options.encoding.clone() },
            delimiter: if self.is_crm {
                Some(Delimiter::COMMA)
            } else {
                options.delimiter.map(Delimiter::new).transpose()?
            },
            header: if self.is_crm { Some(true) } else { options.no_header.then_some(false) },
            short_rows: if options.fill_short_rows { ShortRows::Fill } else { ShortRows::Bad },
            country: options.country.clone(),
            ..Reading::default()
        })
    }

    pub(super) fn table(&self, options: &Options) -> Result<Table> {
        Table::open(&self.file, options.sheet.as_deref(), &self.reading(options)?)
            .with_context(|| self.file.display().to_string())
    }

    /// What the columns seem to be. Of a CRM the record id is the key, whatever else looks like one.
    pub(super) fn mapping(&self, guesses: &[Guess]) -> Mapping {
        let mut mapping = Mapping::from_guesses(guesses);
        if self.is_crm {
            for (place, column) in mapping.columns.iter_mut().enumerate() {
                if column.column == from_crm::KEY {
                    column.used_as = ColumnUse::Key;
                } else if column.used_as == ColumnUse::Key {
                    column.used_as = ColumnUse::Field(slug(&column.column, place));
                }
            }
        }
        mapping
    }
}

async fn read_crm(settings: &Settings, options: &Options, name: &str, to: &Path) -> Result<()> {
    let store = Arc::new(open(settings).await?);
    let vault: Arc<dyn Vault> = Arc::clone(&store) as Arc<dyn Vault>;
    let crms = wiring::crms(settings, &vault)?;
    let Some(connection) = crms.iter().find(|c| c.id.as_str() == name) else {
        let names: Vec<&str> = crms.iter().map(|c| c.id.as_str()).collect();
        bail!("--from-crm {name}: there is no such connection in [crm]; there are: {}", names.join(", "));
    };
    let on = !options.json && std::io::stderr().is_terminal();
    let begun = Instant::now();
    // For a look, and for guessing, the first ones do: a CRM gives a hundred a call.
    let most = (options.preview || options.save_mapping.is_some()).then_some(SAMPLE as u64);
    let rows = from_crm::read(connection.crm.as_ref(), options.fields.as_deref(), most, to, |rows| {
        if on {
            let rate = rows as f64 / begun.elapsed().as_secs_f64().max(0.001);
            eprint!("\r\x1b[Kreading {name}   {rows} contacts   {rate:.0}/s");
        }
    })
    .await?;
    store.close().await;
    if on {
        eprintln!("\r\x1b[K{rows} contacts read from {name}");
    }
    Ok(())
}
