//! # Bench
//! Purpose: the figures the project promises, each measured in one run with the limit it is compared with, on the real program
//! with production durability. Load is open-loop: latency counts from the moment a request was due.
//! May touch: what the rig offers. Must not touch: the product's crates, but for `duplicates`, which measures rules of the domain
//! that no program shows.

mod bare;
mod contacts;
mod dispatch;
mod duplicates;
mod ingest;
mod pipeline;
mod raw;
mod storm;
mod sync;

use crate::rig::Engine;
use anyhow::Result;
use std::process::ExitCode;

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Webhooks: how many a second beside a server that checks the signature and drops the body, and how fast at 1,000 a second.
    Ingest(Options),
    /// 5,000 messages a minute from the simulator into the CRM, and API sends to WhatsApp at the same time.
    Pipeline(PipelineOptions),
    /// Sending: 80 and 1,000 a second of one number, and a reply behind a campaign of 100,000.
    Dispatch(Options),
    /// A messy table of a million people, imported and cleaned of duplicates.
    Contacts(contacts::ContactOptions),
    /// Finding duplicates among people of whom it is known who is who; fails under what is promised.
    Duplicates(duplicates::DuplicateOptions),
    /// Both ways with a CRM: everything, nothing, a hundredth changed, and both sides edited while all goes wrong.
    Sync(sync::SyncOptions),
    /// The server that `ingest` compares with.
    #[command(hide = true)]
    BareServer,
}

/// Options of every benchmark.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// On which database.
    #[arg(long, value_enum, default_value = "sqlite")]
    pub database: Engine,
    /// How long the measured part lasts; the default differs by benchmark.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Options of the pipeline.
#[derive(Debug, Clone, clap::Args)]
pub struct PipelineOptions {
    #[command(flatten)]
    pub common: Options,
    /// Calls that the CRM allows in ten seconds; HubSpot's public limit is the default.
    #[arg(long, default_value_t = 190)]
    pub crm_calls_per_10s: u32,
}

/// Runs.
///
/// # Errors
/// When the run itself breaks.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = crate::rig::runtime()?;
    match &arguments.what {
        What::Ingest(options) => runtime.block_on(ingest::run(options)),
        What::Pipeline(options) => runtime.block_on(pipeline::run(options)),
        What::Dispatch(options) => runtime.block_on(dispatch::run(options)),
        What::Contacts(options) => runtime.block_on(contacts::run(options)),
        What::Duplicates(options) => duplicates::run(options),
        What::Sync(options) => runtime.block_on(sync::run(options)),
        What::BareServer => runtime.block_on(bare::serve()),
    }
}
