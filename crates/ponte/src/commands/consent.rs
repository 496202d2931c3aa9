//! `ponte consent`: who may be sent what: look, state, ask, export.

use super::send::{recipient, show as show_answer};
use super::{print_json, when};
use crate::config::Settings;
use crate::logging;
use crate::wiring::{self, Assembly, WORKSPACE};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ponte_domain::consent::{Action, AskTemplate, Draft, Proof, Scope, Source};
use ponte_domain::identity::{IdShape, Identity, IdentityKind, phone_digits, shape_of};
use ponte_domain::ids::PersonId;
use ponte_domain::ports::store::Store;
use ponte_engine::consent::{self, Ask};
use ponte_engine::gate::To;
use std::process::ExitCode;

/// Options of `ponte consent`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show what a person allowed, with every word of the ledger.
    Show {
        /// A person (per_…), a phone number with country code or a user id.
        who: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// State a word of the ledger.
    Record(Record),
    /// Ask a person, inside the window with buttons, outside it with a template.
    Ask(AskOptions),
    /// Print every word of the ledger, one JSON object a line.
    Export,
}

#[derive(Args)]
struct Record {
    /// A person (per_…), a phone number with country code or a user id.
    #[arg(long)]
    to: String,
    /// marketing or transactional, alone or with /number/ID or /brand/NAME.
    #[arg(long, default_value = "marketing", value_parser = |s: &str| Scope::parse(s).ok_or("see docs/consent.md for scopes"))]
    scope: Scope,
    /// confirmed or withdrawn.
    #[arg(long, value_parser = |s: &str| Action::parse(s).ok_or("confirmed or withdrawn"))]
    action: Action,
    /// agent, api, crm_field or import.
    #[arg(long, default_value = "agent", value_parser = |s: &str| Source::parse(s).ok_or("agent, api, crm_field or import"))]
    source: Source,
    /// Why it is to be believed, in words. A confirmation needs it, or --text-shown.
    #[arg(long)]
    proof: Option<String>,
    /// The exact text the person was shown.
    #[arg(long)]
    text_shown: Option<String>,
    /// Where old consent comes from; needed for --source import.
    #[arg(long)]
    stated_source: Option<String>,
    /// When it was said, epoch milliseconds; default: now.
    #[arg(long)]
    at: Option<i64>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct AskOptions {
    /// A person (per_…), a phone number with country code or a user id.
    #[arg(long)]
    to: String,
    /// phone_number_id to ask from; default: the first configured.
    #[arg(long)]
    from: Option<String>,
    /// For what; default: marketing from all numbers.
    #[arg(long, value_parser = |s: &str| Scope::parse(s).ok_or("see docs/consent.md for scopes"))]
    scope: Option<Scope>,
    /// Language of the configured question.
    #[arg(long)]
    language: Option<String>,
    /// Template for outside the window, as JSON: {"name":"may_we","language":"en","text":"May we …?"}.
    #[arg(long)]
    template: Option<String>,
    /// The same key asks once.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Looks, states, asks or exports.
///
/// # Errors
/// When the person isn't known, the statement isn't allowed, or the database can't.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    if let What::Export = options.what {
        return export(settings).await;
    }
    logging::start(&settings)?;
    let assembly = wiring::assemble(settings, false).await?;
    let done = match options.what {
        What::Show { who, json } => show(&assembly, &who, json).await,
        What::Record(record) => state(&assembly, record).await,
        What::Ask(options) => ask(&assembly, options).await,
        What::Export => Ok(ExitCode::SUCCESS),
    };
    assembly.store.close().await;
    done
}

async fn person(assembly: &Assembly, who: &str) -> anyhow::Result<PersonId> {
    if let Ok(id) = who.parse() {
        return Ok(id);
    }
    let identities: Vec<Identity> = match shape_of(who) {
        IdShape::UserId | IdShape::ParentUserId => {
            let kind = if shape_of(who) == IdShape::UserId { IdentityKind::UserId } else { IdentityKind::ParentUserId };
            let scopes = assembly.world.directory.all().map(|n| n.limits.portfolio.clone());
            scopes.map(|scope| Identity { kind, scope, value: who.to_owned() }).collect()
        }
        _ => {
            let value =
                phone_digits(who).context("neither a person, nor a phone number with country code, nor a user id")?;
            let kinds = [IdentityKind::Phone, IdentityKind::WaId];
            kinds.map(|kind| Identity { kind, scope: String::new(), value: value.clone() }).into()
        }
    };
    let found = assembly.world.store.person_by(WORKSPACE, &identities).await?;
    found.context(
        "nobody is known under this: people become known when they write, or when a message is let in for them",
    )
}

async fn show(assembly: &Assembly, who: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let person = person(assembly, who).await?;
    let Some(file) = assembly.world.store.consent_of(WORKSPACE, person).await? else {
        bail!("there is no such person")
    };
    if as_json {
        print_json(&consent::shown(person, &file))?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{person}");
    if let Some(at) = file.marketing_stopped_at {
        println!("  marketing stopped in WhatsApp at {}", when(at));
    }
    for (scope, standing) in &file.standings.0 {
        println!("  {scope}: {}", standing.word());
    }
    if file.standings.0.is_empty() {
        println!("  nothing was ever said");
    }
    for open in &file.open {
        println!(
            "  asked for {} at {}, an answer counts until {}",
            open.scope,
            when(open.asked_at),
            when(open.expires_at)
        );
    }
    for entry in &file.entries {
        println!(
            "{}  {:<9}  {}  by {} ({})",
            when(entry.at),
            entry.action.as_str(),
            entry.scope,
            entry.said_by,
            entry.source.as_str()
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn state(assembly: &Assembly, record: Record) -> anyhow::Result<ExitCode> {
    let person = person(assembly, &record.to).await?;
    let proof = Proof {
        note: record.proof,
        text_shown: record.text_shown,
        stated_source: record.stated_source,
        ..Proof::default()
    };
    let draft = Draft { scope: record.scope, action: record.action, source: Some(record.source), proof, at: record.at };
    let entry = consent::record(&assembly.world, person, draft, Source::Agent, "cli").await?;
    if record.json {
        print_json(&entry)?;
    } else {
        println!("{} {} for {person}: {}", entry.scope, entry.action.as_str(), entry.id);
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(assembly: &Assembly, options: AskOptions) -> anyhow::Result<ExitCode> {
    let template: Option<AskTemplate> =
        options.template.as_deref().map(serde_json::from_str).transpose().context("--template")?;
    let wish = Ask {
        from: options.from.map(Into::into),
        scope: options.scope,
        language: options.language,
        template,
        idempotency_key: options.idempotency_key,
    };
    let to: To = recipient(&options.to);
    show_answer(&consent::ask(&assembly.world, to, wish, "cli").await?, options.json)
}

/// Entries of one page.
const PAGE: i64 = 1_000;

async fn export(settings: Settings) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(&settings, false, false).await?;
    let mut after = None;
    loop {
        let page = store.consent_export(WORKSPACE, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        page.iter().try_for_each(print_json)?;
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
