//! `ponte send`: a message through the send gate, from the command line. A running server sends it.

use super::print_json;
use crate::config::Settings;
use crate::{logging, wiring};
use anyhow::{Context, bail};
use clap::Args;
use ponte_domain::job::Class;
use ponte_domain::message::Origin;
use ponte_domain::outbound::Outbound;
use ponte_domain::ports::store::Answer;
use ponte_engine::gate::{self, SendRequest, To};
use serde_json::json;
use std::process::ExitCode;

/// Options of `ponte send`.
#[derive(Args)]
pub struct Options {
    /// Recipient: a phone number with country code, a user id (US.1349…) or a person (per_…).
    #[arg(long)]
    to: String,
    /// Text to send.
    #[arg(long, conflicts_with = "message", required_unless_present = "message")]
    text: Option<String>,
    /// Any message as JSON, for example '{"type":"template","template":{"name":"order_ok","language":{"code":"en_US"}}}'.
    #[arg(long)]
    message: Option<String>,
    /// phone_number_id to send from; default: the first configured.
    #[arg(long)]
    from: Option<String>,
    /// reply, transactional or marketing.
    #[arg(long, value_parser = |s: &str| Class::parse(s).ok_or("reply, transactional or marketing"))]
    class: Option<Class>,
    /// The same key sends once.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Lets the message in.
///
/// # Errors
/// When it can't be read or stored. A refusal by a rule is no error: exit status 2.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    logging::start(&settings)?;
    let message = match (&options.text, &options.message) {
        (Some(body), _) => Outbound::Text { body: body.clone(), preview_url: false },
        (None, Some(text)) => serde_json::from_str(text).context("--message")?,
        (None, None) => bail!("give --text or --message"),
    };
    let request = SendRequest {
        number: options.from.map(Into::into),
        to: Some(recipient(&options.to)),
        message,
        class: options.class,
        origin: Origin::Api,
        reply_to: None,
        not_before: None,
        idempotency_key: options.idempotency_key,
    };
    let assembly = wiring::assemble(settings, false).await?;
    let answers = gate::admit(&assembly.world, vec![request]).await?;
    assembly.store.close().await;
    let Some(answer) = answers.into_iter().next() else { bail!("the gate gave no answer") };
    show(&answer, options.json)
}

pub(super) fn recipient(text: &str) -> To {
    if let Ok(person) = text.parse() {
        return To::Person(person);
    }
    if text.contains('.') && text.starts_with(|c: char| c.is_ascii_uppercase()) {
        return To::UserId(text.to_owned());
    }
    To::Phone(text.to_owned())
}

pub(super) fn show(answer: &Answer, as_json: bool) -> anyhow::Result<ExitCode> {
    match answer {
        Answer::Queued { message, person, again, .. } => {
            if as_json {
                print_json(&json!({ "id": message, "person_id": person, "state": "queued", "again": again }))?;
            } else {
                println!("queued {message}{}", if *again { " (was let in before)" } else { "" });
            }
            Ok(ExitCode::SUCCESS)
        }
        Answer::Filed => {
            println!("filed");
            Ok(ExitCode::SUCCESS)
        }
        Answer::Refused { rule, message, detail } => {
            if as_json {
                print_json(
                    &json!({ "state": "refused", "code": rule.code, "title": rule.title, "detail": detail, "id": message }),
                )?;
            } else {
                eprintln!("refused: {} ({})", rule.title, rule.code);
                if let Some(detail) = detail {
                    eprintln!("  {detail}");
                }
                eprintln!("  see docs/errors/{}.md", rule.code);
            }
            Ok(ExitCode::from(2))
        }
    }
}
