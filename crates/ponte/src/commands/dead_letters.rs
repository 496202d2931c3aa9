//! `ponte dead-letters`: jobs that were given up and wait for a person.

use super::{print_json, when};
use crate::adapters::now;
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use clap::{Args, Subcommand};
use ponte_domain::ids::DeadLetterId;
use ponte_domain::job::DeadLetter;
use ponte_domain::ports::store::Store;
use serde_json::json;
use std::process::ExitCode;

/// Options of `ponte dead-letters`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List them, newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 100)]
        limit: i64,
        /// Those that ended instead, with how.
        #[arg(long)]
        done: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Put one, or all, back to work.
    Retry(Which),
    /// Forget one, or all, for good.
    Discard(Which),
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The dead letter.
    id: Option<DeadLetterId>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

/// Lists, retries or discards.
///
/// # Errors
/// When the database can't.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(&settings, false, false).await?;
    let done = match options.what {
        What::List { limit, done: false, json } => {
            for letter in store.dead_letters(WORKSPACE, limit).await? {
                if json {
                    print_json(&letter)?;
                } else {
                    println!("{}", lines(&letter, &format!("due {}", when(letter.due_at))));
                }
            }
            None
        }
        What::List { limit, done: true, json } => {
            for ended in store.ended_dead(WORKSPACE, limit).await? {
                if json {
                    print_json(&ended)?;
                } else {
                    println!("{}", lines(&ended.letter, &format!("{} {}", ended.how.as_str(), when(ended.ended_at))));
                }
            }
            None
        }
        What::Retry(which) => Some(("retried", store.retry_dead(WORKSPACE, which.id, now()).await?)),
        What::Discard(which) => Some(("discarded", store.discard_dead(WORKSPACE, which.id, now()).await?)),
    };
    store.close().await;
    let Some((verb, n)) = done else { return Ok(ExitCode::SUCCESS) };
    print_json(&json!({ verb: n }))?;
    Ok(if n == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn lines(letter: &DeadLetter, then: &str) -> String {
    format!(
        "{}  {}  {:<5} {} after {} failures: {}\n    {then}  {}",
        letter.id,
        when(letter.died_at),
        letter.kind.as_str(),
        letter.error.code,
        letter.failures,
        letter.error.title,
        letter.message.map_or_else(|| letter.payload.clone(), |m| m.to_string())
    )
}
