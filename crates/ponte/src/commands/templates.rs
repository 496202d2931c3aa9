//! `ponte templates`: what WhatsApp says of the message templates and numbers.

use super::{print_json, when};
use crate::config::Settings;
use crate::logging;
use crate::wiring::{self, WORKSPACE};
use anyhow::bail;
use clap::{Args, Subcommand};
use ponte_domain::ports::account::{Accounts, Kept};
use serde_json::json;
use std::process::ExitCode;

/// Options of `ponte templates`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Only this state: APPROVED, PENDING, REJECTED, PAUSED, DISABLED.
    #[arg(long, global = true)]
    status: Option<String>,
    /// One JSON object a line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// List what was read last.
    List,
    /// Read templates and numbers from WhatsApp now, then list.
    Sync,
}

/// Lists, after reading when asked.
///
/// # Errors
/// When the database can't, or WhatsApp can't be read.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    if matches!(options.what, Some(What::Sync)) {
        logging::start(&settings)?;
        let assembly = wiring::assemble(settings, false).await?;
        let whole = ponte_engine::account::read_now(&assembly.world).await?;
        let kept = assembly.store.account_kept(WORKSPACE, -1).await?.unwrap_or_default();
        assembly.store.close().await;
        show(&kept, &options)?;
        if !whole {
            bail!("not everything could be read from WhatsApp: `ponte check` tells what is wrong");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let store = wiring::open_store(&settings, false, false).await?;
    let kept = store.account_kept(WORKSPACE, -1).await?.unwrap_or_default();
    store.close().await;
    show(&kept, &options)?;
    Ok(ExitCode::SUCCESS)
}

fn show(kept: &Kept, options: &Options) -> anyhow::Result<()> {
    let wanted = |status: &str| options.status.as_deref().is_none_or(|s| s.eq_ignore_ascii_case(status));
    let templates = kept.templates.iter().filter(|t| wanted(&t.status));
    if options.json {
        for t in templates {
            let components: serde_json::Value = serde_json::from_str(&t.components).unwrap_or_default();
            print_json(&json!({ "waba_id": t.waba_id, "name": t.name, "language": t.language, "id": t.id,
                "category": t.category, "status": t.status, "quality": t.quality,
                "rejected_reason": t.rejected_reason, "components": components }))?;
        }
        return Ok(());
    }
    if kept.read.is_empty() {
        println!("nothing was read from WhatsApp yet: `ponte serve` does it at start, `ponte templates sync` now");
    }
    for (waba_id, at) in &kept.read {
        println!("account {waba_id}, read {}", when(*at));
    }
    for n in &kept.numbers {
        let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "?".to_owned());
        println!(
            "  number {}  {}  {} ({})  quality {}  {}  {}",
            n.number,
            text(&n.display),
            text(&n.verified_name),
            text(&n.name_status),
            text(&n.quality),
            text(&n.status),
            text(&n.messaging_limit)
        );
    }
    for t in templates {
        let reason = t.rejected_reason.as_deref().unwrap_or_default();
        println!("  {:<10} {:<15} {:<6} {:<40} {reason}", t.status, t.category, t.language, t.name);
    }
    Ok(())
}
