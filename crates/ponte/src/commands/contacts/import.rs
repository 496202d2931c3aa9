//! `ponte contacts import`.

use super::source::Source;
use super::{note, open};
use crate::adapters::{TimeIds, now};
use crate::commands::print_json;
use crate::config::Settings;
use crate::contacts::import::{Report, Target};
use crate::contacts::normalise::{Rules, StatedConsent, moment};
use crate::contacts::stage::{Counted, Staged, fingerprint, stage};
use crate::wiring::WORKSPACE;
use anyhow::{Context, Result};
use clap::Args;
use ponte_domain::Millis;
use ponte_domain::consent::Scope;
use ponte_domain::phone::Region;
use ponte_domain::ports::people::People;
use ponte_domain::ports::store::Store;
use ponte_store::{Database, SqlStore};
use ponte_tables::mapping::{Guess, Mapping, guess};
use ponte_tables::write::Rejects;
use ponte_tables::{Delimiter, Row, Step, Table};
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Options of `ponte contacts import`.
#[derive(Args)]
pub struct Options {
    /// The table.
    #[arg(required_unless_present = "from_crm")]
    pub(super) file: Option<PathBuf>,
    /// Read the contacts of this CRM connection instead of a table.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "sheet", "encoding", "delimiter", "no_header"])]
    pub(super) from_crm: Option<String>,
    /// Which of the CRM's fields, by their names in its API. Default: who somebody is, and what the business added.
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', requires = "from_crm")]
    pub(super) fields: Option<Vec<String>>,
    /// Name of the source; its keys are kept under it. Default: the file's name.
    #[arg(long)]
    pub(super) source: Option<String>,
    /// Country of numbers without country code, two letters (TW). A country column of the table goes before it.
    #[arg(long)]
    pub(super) country: Option<String>,
    /// Mapping of the columns (TOML); see --save-mapping. Default: guessed.
    #[arg(long, value_name = "FILE")]
    pub(super) mapping: Option<PathBuf>,
    /// Write the guessed mapping to a file, to be edited and given back, and end.
    #[arg(long, value_name = "FILE")]
    pub(super) save_mapping: Option<PathBuf>,
    /// Show how the columns are understood and the first rows, and end.
    #[arg(long)]
    pub(super) preview: bool,
    /// Read and count everything, change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Also replace what an agent or a CRM said.
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Where the consent in the table comes from ("web form 2024, exported from ..."). A yes counts only with it.
    #[arg(long, value_name = "TEXT")]
    pub(super) consent_source: Option<String>,
    /// When it was given, where the table doesn't say it: a day (2024-05-01) or a moment.
    #[arg(long, value_name = "DAY")]
    pub(super) consent_date: Option<String>,
    /// About what: marketing or transactional, alone or with /number/ID or /brand/NAME.
    #[arg(long, default_value = "marketing", value_parser = |s: &str| Scope::parse(s).ok_or("see docs/consent.md for scopes"))]
    pub(super) consent_scope: Scope,
    /// Where rejected rows go. Default: beside the table, with .rejected.csv.
    #[arg(long, value_name = "FILE")]
    pub(super) rejected: Option<PathBuf>,
    /// Sheet of a spreadsheet. Default: the first.
    #[arg(long)]
    pub(super) sheet: Option<String>,
    /// Encoding, such as big5 or windows-1252. Default: found out.
    #[arg(long)]
    pub(super) encoding: Option<String>,
    /// What separates columns. Default: found out.
    #[arg(long)]
    pub(super) delimiter: Option<char>,
    /// The first row is no header.
    #[arg(long)]
    pub(super) no_header: bool,
    /// Rows with too few cells are filled up instead of rejected.
    #[arg(long)]
    pub(super) fill_short_rows: bool,
    /// One JSON object at the end.
    #[arg(long)]
    pub(super) json: bool,
}

/// Rows looked at for guessing.
pub(super) const SAMPLE: usize = 200;
/// Rows of one transaction while no server works on the database. Each writes most pages of the index of the source's keys once, for
/// the rows come in the order of their numbers.
const ALONE: usize = 25_000;
/// Rows of one transaction beside others who write.
const BESIDE_OTHERS: usize = 2_000;

pub async fn run(settings: Settings, options: Options) -> Result<ExitCode> {
    let country = match &options.country {
        Some(code) => Some(
            Region::new(&code.to_uppercase())
                .with_context(|| format!("--country {code}: not a country's two letters, such as TW or BR"))?,
        ),
        None => None,
    };
    let source = Source::of(&settings, &options).await?;
    let Looked { header, samples, guesses } = look(&source, &options)?;
    let mapping = match &options.mapping {
        Some(path) => read_mapping(path)?,
        None => source.mapping(&guesses),
    };
    if let Some(path) = &options.save_mapping {
        let text = toml::to_string_pretty(&mapping)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
        eprintln!(
            "the mapping of {} columns is in {}: edit it and give it with --mapping",
            header.len(),
            path.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let uses = mapping.resolve(&header).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| format!("  {p}")).collect();
        anyhow::anyhow!("the mapping doesn't fit the table:\n{}", lines.join("\n"))
    })?;
    let store = open(&settings).await?;
    let fields = store.fields(WORKSPACE).await?;
    store.close().await;
    let rules = Rules { uses, country, fields, consent: stated(&options)? };
    if options.preview {
        return preview(&source, &options, &guesses, &rules, &samples);
    }
    import(&settings, &options, &source, &rules, &mapping).await
}

fn stated(options: &Options) -> Result<StatedConsent> {
    let at = match &options.consent_date {
        None => None,
        Some(text) => Some(
            moment(text, false)
                .with_context(|| format!("--consent-date {text}: write it as 2024-05-01 or 2024-05-01T10:00:00Z"))?,
        ),
    };
    let source = options.consent_source.as_deref().map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned);
    Ok(StatedConsent { scope: options.consent_scope.clone(), source, at })
}

/// What a first look at the table tells.
struct Looked {
    header: Vec<String>,
    samples: Vec<Vec<String>>,
    guesses: Vec<Guess>,
}

/// The header, the first rows, and what the columns seem to be.
fn look(source: &Source, options: &Options) -> Result<Looked> {
    let mut table = source.table(options)?;
    let header = table.header().to_vec();
    let (mut samples, mut row) = (Vec::new(), Row::new());
    while samples.len() < SAMPLE {
        match table.next(&mut row)? {
            Step::Row => samples.push(row.cells().map(str::to_owned).collect()),
            Step::Bad(_) => {}
            Step::End => break,
        }
    }
    let guesses = guess(&header, &samples);
    Ok(Looked { header, samples, guesses })
}

fn read_mapping(path: &Path) -> Result<Mapping> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

fn preview(
    source: &Source,
    options: &Options,
    guesses: &[Guess],
    rules: &Rules,
    samples: &[Vec<String>],
) -> Result<ExitCode> {
    let columns: Vec<_> = guesses
        .iter()
        .zip(&rules.uses)
        .map(|(g, used)| json!({ "column": g.column, "use": used.to_string(), "confidence": g.confidence, "reason": g.reason }))
        .collect();
    let mut table = source.table(options)?;
    let (mut rows, mut row) = (Vec::new(), Row::new());
    while rows.len() < 10 {
        match table.next(&mut row)? {
            Step::End => break,
            Step::Bad(bad) => rows.push(json!({ "line": bad.line, "rejected": bad.code.as_str() })),
            Step::Row => rows.push(match rules.read(&row) {
                Ok(taken) => json!({ "line": row.line(), "taken": taken.draft }),
                Err(p) => json!({ "line": row.line(), "rejected": p.code, "value": p.value, "reason": p.reason,
                    "suggestion": p.suggestion }),
            }),
        }
    }
    if options.json {
        print_json(&json!({ "columns": columns, "rows": rows }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (g, used) in guesses.iter().zip(&rules.uses) {
        let example = samples
            .iter()
            .filter_map(|s| s.get(guesses.iter().position(|o| o.column == g.column)?))
            .find(|c| !c.is_empty());
        println!(
            "{:<24} {:<22} {:>3} %  {}   e.g. {}",
            g.column,
            used.to_string(),
            g.confidence,
            g.reason,
            example.map_or("", String::as_str)
        );
    }
    println!();
    for row in rows {
        println!("{row}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn import(
    settings: &Settings,
    options: &Options,
    source: &Source,
    rules: &Rules,
    mapping: &Mapping,
) -> Result<ExitCode> {
    let begun = Instant::now();
    let how = serde_json::to_string(&json!([
        mapping,
        rules.country,
        rules.fields.defined().collect::<Vec<_>>(),
        options.overwrite,
        options.sheet,
        options.encoding,
        options.delimiter,
        options.no_header,
        options.fill_short_rows,
        rules.consent.scope,
        rules.consent.source,
        rules.consent.at
    ]))?;
    let mut told = Told::new(options.json);
    let mut table = source.table(options)?;
    let path = &source.rejected;
    let mut rejects = if options.dry_run {
        None
    } else {
        Some(Rejects::create(path, table.header(), Delimiter::COMMA).with_context(|| path.display().to_string())?)
    };
    let staged = stage(&mut table, rules, rejects.as_mut(), |table, counted| told.reading(table, counted))?;
    if let Some(rejects) = rejects {
        rejects.finish()?;
    }
    let report = apply(settings, options, source, &how, &staged, &mut told).await?;
    told.end();
    let rejected = (!options.dry_run && report.counted.rejected > 0).then_some(path.as_path());
    show(options, &source.name, &report, begun.elapsed(), rejected)
}

async fn apply(
    settings: &Settings,
    options: &Options,
    source: &Source,
    how: &str,
    staged: &Staged,
    told: &mut Told,
) -> Result<Report> {
    let store = open(settings).await?;
    let target = Target {
        people: &store,
        workspace: WORKSPACE,
        source: source.name.clone(),
        overwrite: options.overwrite,
        ids: Arc::new(TimeIds),
        now,
        batch: if is_alone(&settings.database, &store, now()).await? { ALONE } else { BESIDE_OTHERS },
    };
    let report = if options.dry_run {
        target.look(staged, |done, all| told.applying(done, all)).await?
    } else {
        let mark = fingerprint(&source.file, how)?;
        target.apply(staged, &mark, |done, all| told.applying(done, all)).await?
    };
    if !options.dry_run {
        let data = json!({ "run": report.run, "source": source.name, "rows": report.counted.rows, "created": report.created,
            "updated": report.updated, "rejected": report.counted.rejected });
        note(&store, "contacts.import", Some(source.name.clone()), data).await?;
    }
    store.close().await;
    Ok(report)
}

/// True when no server works on this database: larger transactions keep nobody waiting then.
async fn is_alone(database: &Database, store: &SqlStore, now: Millis) -> Result<bool> {
    let Database::Sqlite(path) = database else { return Ok(store.nodes(now).await? == 0) };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    Ok(match std::fs::File::open(&name) {
        Ok(file) => file.try_lock().is_ok(),
        Err(_) => true,
    })
}

fn show(options: &Options, source: &str, report: &Report, took: Duration, rejected: Option<&Path>) -> Result<ExitCode> {
    let seconds = took.as_secs_f64();
    let rate = report.counted.rows as f64 / seconds.max(0.001);
    if options.json {
        let mut all = serde_json::to_value(report)?;
        if let Some(all) = all.as_object_mut() {
            all.insert("source".into(), source.into());
            all.insert("dry_run".into(), options.dry_run.into());
            all.insert("seconds".into(), ((seconds * 100.0).round() / 100.0).into());
            all.insert("rows_per_s".into(), rate.round().into());
            all.insert("rejected_file".into(), rejected.map(|p| p.display().to_string()).into());
        }
        print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    let c = &report.counted;
    let would = if options.dry_run { "would be " } else { "" };
    println!("{source}: {} rows in {seconds:.1} s ({rate:.0} a second)", c.rows);
    if report.resumed_after > 0 {
        println!("  went on after {} rows that an earlier run had applied", report.resumed_after);
    }
    println!("  {:>9}  {would}created", report.created);
    println!("  {:>9}  {would}changed", report.updated);
    println!("  {:>9}  known, nothing new", report.unchanged);
    if report.erased > 0 {
        println!(
            "  {:>9}  kept out: their people were erased (lines {:?} …)",
            report.erased,
            report.erased_lines.iter().take(5).collect::<Vec<_>>()
        );
    }
    println!("  {:>9}  rejected", c.rejected);
    for (reason, n) in &c.rejected_by_reason {
        println!("    {n:>9}  {reason}");
    }
    for (action, n) in &c.consent {
        println!("  {n:>9}  rows {would}entries of the consent ledger: {action}");
    }
    for (why, n) in &c.consent_kept_as_fields {
        println!("  {n:>9}  {}", consent_hint(why));
    }
    println!("  {:>9}  rows repeat a number of the table", c.repeated_numbers);
    for (kind, n) in &c.flagged {
        println!("  {n:>9}  numbers are {kind}: taken, and worth a look");
    }
    for (key, n) in &c.as_written {
        println!("  {n:>9}  values of {key} don't fit: kept as {key}_as_written");
    }
    if let Some(path) = rejected {
        println!("  rejected rows, with reasons: {}\n  mend them there and import that file", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What somebody can do about consent that doesn't count.
fn consent_hint(why: &str) -> &'static str {
    match why {
        "consent_without_source" => {
            "rows say yes without a source, kept as fields only: state it with --consent-source"
        }
        "consent_without_date" => "rows say yes without a day that can be told, kept as fields only: --consent-date",
        _ => "rows say neither yes nor no to consent, kept as fields only",
    }
}

/// Progress on standard error, where somebody looks.
struct Told {
    begun: Instant,
    last: Instant,
    on: bool,
}

impl Told {
    fn new(quiet: bool) -> Self {
        let now = Instant::now();
        Self { begun: now, last: now, on: !quiet && std::io::stderr().is_terminal() }
    }

    fn due(&mut self) -> bool {
        let due = self.on && self.last.elapsed() > Duration::from_millis(200);
        if due {
            self.last = Instant::now();
        }
        due
    }

    fn reading(&mut self, table: &Table, counted: &Counted) {
        if self.due() {
            let p = table.progress();
            eprint!(
                "\r\x1b[Kreading    {}   {} rows, {} rejected",
                share(p.done, p.total),
                counted.rows,
                counted.rejected
            );
        }
    }

    fn applying(&mut self, done: u64, all: u64) {
        if self.due() {
            let seconds = self.begun.elapsed().as_secs_f64();
            let rate = done as f64 / seconds.max(0.001);
            let left = (all.saturating_sub(done)) as f64 / rate.max(1.0);
            eprint!("\r\x1b[Kapplying   {}   {done} of {all}, {rate:.0} a second, {left:.0} s left", share(done, all));
        }
    }

    fn end(&self) {
        if self.on {
            eprint!("\r\x1b[K");
        }
    }
}

fn share(done: u64, all: u64) -> String {
    if all == 0 { "      ".into() } else { format!("{:>4.0} %", done as f64 * 100.0 / all as f64) }
}
