//! `ponte hooks`: subscriptions to events.

use super::{print_json, when};
use crate::config::Settings;
use crate::logging;
use crate::wiring::{self, Assembly};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use ponte_domain::Millis;
use ponte_domain::event::EventKind;
use ponte_domain::hook::{Direction, Filter, Hook};
use ponte_domain::ids::{EventId, HookId};
use ponte_domain::ports::hooks::Added;
use ponte_engine::hooks::{self, Replay, Wish};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Options of `ponte hooks`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
    /// JSON instead of text: one object, or one a line for lists.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// Show all subscriptions and how their targets fare.
    List,
    /// Subscribe. Prints the secret that signs; it is shown again only by `rotate`, which makes a new one.
    Add(Add),
    /// Unsubscribe. What is still owed is dropped.
    Remove {
        /// The subscription (sub_…).
        id: HookId,
    },
    /// Keep events back until resumed. None is lost.
    Pause {
        /// The subscription (sub_…).
        id: HookId,
    },
    /// Push again, after a pause or once a disabled target is well.
    Resume {
        /// The subscription (sub_…).
        id: HookId,
    },
    /// Make a new secret. The one before signs too for a while.
    Rotate {
        /// The subscription (sub_…).
        id: HookId,
    },
    /// Show the newest calls with status, duration and error.
    Deliveries {
        /// The subscription (sub_…).
        id: HookId,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: i64,
    },
    /// Push what happened in a time once more, under the same webhook-id.
    Replay(ReplayOptions),
    /// Push an example now, and say what the target answered.
    Test {
        /// The subscription (sub_…).
        id: HookId,
        /// Kind of event; default: the first that the subscription wants.
        #[arg(long, value_parser = |s: &str| EventKind::parse(s).ok_or("no such kind of event; docs/api.md lists them"))]
        event: Option<EventKind>,
    },
}

#[derive(Args)]
struct Add {
    /// Where events are posted.
    url: String,
    /// message.received, message.*, * …; may be given several times.
    #[arg(long = "event", required = true)]
    events: Vec<String>,
    /// Only events of this phone_number_id.
    #[arg(long)]
    number: Option<String>,
    /// Only events of messages in this direction: inbound or outbound.
    #[arg(long, value_parser = direction)]
    direction: Option<Direction>,
}

#[derive(Args)]
struct ReplayOptions {
    /// The subscription (sub_…).
    id: HookId,
    /// From this time on: RFC 3339, or epoch milliseconds.
    #[arg(long, value_parser = time)]
    since: Millis,
    /// Before this time; default: now.
    #[arg(long, value_parser = time)]
    until: Option<Millis>,
}

fn direction(text: &str) -> Result<Direction, &'static str> {
    match text {
        "inbound" => Ok(Direction::Inbound),
        "outbound" => Ok(Direction::Outbound),
        _ => Err("inbound or outbound"),
    }
}

fn time(text: &str) -> Result<Millis, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|e| e.to_string())
}

const BY: &str = "cli";

/// Lists, makes, changes or tries subscriptions.
///
/// # Errors
/// When a target may not be reached, there is no such subscription, or the database can't.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    logging::start(&settings)?;
    let assembly = wiring::assemble(settings, false).await?;
    let done = act(&assembly, options.what, options.json).await;
    assembly.store.close().await;
    done
}

const NONE: &str = "there is no such subscription";

async fn act(assembly: &Assembly, what: What, as_json: bool) -> anyhow::Result<ExitCode> {
    let world = &assembly.world;
    let workspace = world.workspace;
    match what {
        What::List => {
            for hook in world.hooks.hooks(workspace).await? {
                show(&hook, as_json)?;
            }
        }
        What::Add(add) => {
            let filter = Filter { number: add.number.map(Into::into), direction: add.direction };
            let wish = Wish { target_url: add.url, events: add.events, filter };
            match hooks::subscribe(world, wish, BY, None).await? {
                Added::New(hook) | Added::Again(hook) => reveal(&hook, as_json)?,
                Added::Full => bail!("there are [hooks] max_subscriptions already"),
                Added::Different => bail!("this key was used before"),
            }
        }
        What::Remove { id } => {
            if !hooks::remove(world, id, BY).await? {
                bail!(NONE);
            }
            said(as_json, &json!({ "removed": id }), &format!("{id} is removed"))?;
        }
        What::Pause { id } => show(&hooks::resume(world, id, false, BY).await?.context(NONE)?, as_json)?,
        What::Resume { id } => show(&hooks::resume(world, id, true, BY).await?.context(NONE)?, as_json)?,
        What::Rotate { id } => reveal(&hooks::rotate(world, id, BY).await?.context(NONE)?, as_json)?,
        What::Deliveries { id, limit } => {
            for d in world.hooks.hook_deliveries(workspace, id, limit).await? {
                let status = d.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
                let error = d.error.as_deref().unwrap_or("taken");
                let line = format!(
                    "{}  {status:<3} {:>6} ms  try {}  {error:<18} {}  {}",
                    when(d.at),
                    d.duration_ms,
                    d.attempt,
                    d.kind,
                    d.event
                );
                said(as_json, &serde_json::to_value(&d)?, &line)?;
            }
        }
        What::Replay(options) => return replay(assembly, options, as_json).await,
        What::Test { id, event } => {
            let tried = hooks::try_out(world, id, event).await?.context(NONE)?;
            let status = tried.delivery.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let error = tried.delivery.error.as_deref().unwrap_or("taken");
            let line = format!("{error}: {status} after {} ms", tried.delivery.duration_ms);
            said(as_json, &serde_json::to_value(&tried)?, &line)?;
            return Ok(if tried.taken { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Replays to the end, in as many steps as it takes.
async fn replay(assembly: &Assembly, options: ReplayOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let (mut filed, mut after): (usize, Option<EventId>) = (0, None);
    loop {
        let wish = Replay { since: options.since, until: options.until, after };
        let step = hooks::replay(&assembly.world, options.id, wish, BY).await?.context(NONE)?;
        filed += step.filed;
        after = step.after;
        if !step.more {
            break;
        }
    }
    said(as_json, &json!({ "filed": filed }), &format!("{filed} events will be pushed again"))?;
    Ok(ExitCode::SUCCESS)
}

fn said(as_json: bool, value: &Value, line: &str) -> anyhow::Result<()> {
    if as_json {
        print_json(value)?;
    } else {
        println!("{line}");
    }
    Ok(())
}

/// A subscription with its secret.
fn reveal(hook: &Hook, as_json: bool) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(hook)?;
    if let Some(map) = value.as_object_mut() {
        map.insert("secret".to_owned(), json!(hook.secrets.current.reveal()));
    }
    said(as_json, &value, &format!("{}\nsecret: {}", lines(hook), hook.secrets.current.reveal()))
}

fn show(hook: &Hook, as_json: bool) -> anyhow::Result<()> {
    said(as_json, &serde_json::to_value(hook)?, &lines(hook))
}

fn lines(hook: &Hook) -> String {
    let mut text =
        format!("{}  {:<8} {}  {}", hook.id, hook.state.as_str(), hook.target_url, hook.events.words().join(" "));
    if let Some(number) = &hook.filter.number {
        text.push_str(&format!("  number {number}"));
    }
    if let Some(direction) = hook.filter.direction {
        text.push_str(&format!("  {direction}"));
    }
    if let Some(reason) = &hook.reason {
        text.push_str(&format!("\n    {reason}"));
    }
    if let Some(since) = hook.failing_since {
        text.push_str(&format!("\n    failing since {}: {} calls in a row", when(since), hook.failures));
    }
    if let Some(at) = hook.delivered_at {
        text.push_str(&format!("\n    last taken {}", when(at)));
    }
    text
}
