//! `ponte messages`: messages, newest first.

use super::{print_json, when};
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use clap::Args;
use ponte_domain::ids::{ConversationId, MessageId};
use ponte_domain::ports::store::Store;
use std::process::ExitCode;

/// Options of `ponte messages`.
#[derive(Args)]
pub struct Options {
    /// Only this one.
    #[arg(long)]
    id: Option<MessageId>,
    /// Only of this conversation.
    #[arg(long)]
    conversation: Option<ConversationId>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// Older than this message.
    #[arg(long)]
    before: Option<MessageId>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Lists.
///
/// # Errors
/// When the database can't be read.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(&settings, false, false).await?;
    let found = match options.id {
        Some(id) => store.message(WORKSPACE, id).await?.into_iter().collect(),
        None => store.messages(WORKSPACE, options.conversation, options.limit, options.before).await?,
    };
    store.close().await;
    for message in found {
        if options.json {
            print_json(&message)?;
        } else {
            let arrow = if message.origin.is_inbound() { "<-" } else { "->" };
            println!(
                "{}  {arrow} {:<9} {:<11} {}  {}",
                when(message.at),
                message.state,
                message.kind,
                message.id,
                message.text.as_deref().unwrap_or_default().replace('\n', " ")
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
