//! # Ponte
//! Purpose: the program: command line, configuration, wiring.
//! May touch: everything, to put it together.
//! Must not touch: rules of the flow; they live below.

mod adapters;
mod commands;
mod config;
mod connections;
mod contacts;
mod logging;
mod targets;
mod vault;
mod wiring;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Joins WhatsApp with your CRM: receives, keeps, sends and writes back every message, and loses none.
#[derive(Parser)]
#[command(name = "ponte", version, about, max_term_width = 100)]
struct Cli {
    /// Configuration file (TOML). Defaults and environment apply without one; see config.default.toml.
    #[arg(long, short, global = true, env = "PONTE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: webhooks, API, sending, write-back.
    Serve,
    /// Show a company's traffic flowing through, with simulated WhatsApp and CRM, in the terminal.
    Demo(commands::demo::Options),
    /// Run a simulated WhatsApp Cloud API and HubSpot to develop and test against.
    Simulate(commands::simulate::Options),
    /// Send a message through the send gate.
    Send(commands::send::Options),
    /// Read the raw webhook journal again; what was applied before changes nothing.
    Replay(commands::replay::Options),
    /// Look at the raw webhook journal.
    Journal(commands::journal::Options),
    /// List what happened, newest first.
    Events(commands::events::Options),
    /// List messages, newest first.
    Messages(commands::messages::Options),
    /// People: import, export, clean, find and merge duplicates, edit, list, erase, look.
    Contacts(commands::contacts::Options),
    /// CRM connections: where they stand, read now, pause, runs, what was left out, mapping, preview.
    Crm(commands::crm::Options),
    /// Message templates and numbers as WhatsApp has them.
    Templates(commands::templates::Options),
    /// Fields of people with types: list, define, remove.
    Fields(commands::fields::Options),
    /// Who did what.
    Audit(commands::audit::Options),
    /// List, retry or discard jobs that were given up.
    DeadLetters(commands::dead_letters::Options),
    /// Remove what is older than its period, or show what would be.
    Retention(commands::retention::Options),
    /// Bring the database schema up to date.
    Migrate,
    /// Show counts, queues and lags.
    Status(commands::status::Options),
    /// Check the installation: configuration, database, media folder, WhatsApp, CRM.
    Check(commands::check::Options),
    /// Print the documented default configuration.
    Defaults,
    /// Subscriptions to events: list, add, pause, look at deliveries, push again.
    Hooks(commands::hooks::Options),
    /// Show, state, ask for and export what people may be sent.
    Consent(commands::consent::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    ponte_net::install_crypto();
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ponte: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let settings = || -> anyhow::Result<config::Settings> {
        let environment: Vec<(String, String)> = std::env::vars().collect();
        Ok(config::load(cli.config.as_deref(), &environment)?)
    };
    match cli.command {
        Command::Serve => commands::serve::run(settings()?).await,
        Command::Demo(options) => commands::demo::run(options).await,
        Command::Simulate(options) => commands::simulate::run(options).await,
        Command::Send(options) => commands::send::run(settings()?, options).await,
        Command::Replay(options) => commands::replay::run(settings()?, options).await,
        Command::Journal(options) => commands::journal::run(settings()?, options).await,
        Command::Events(options) => commands::events::run(settings()?, options).await,
        Command::Messages(options) => commands::messages::run(settings()?, options).await,
        Command::Contacts(options) => commands::contacts::run(settings()?, options).await,
        Command::Crm(options) => commands::crm::run(settings()?, options).await,
        Command::Templates(options) => commands::templates::run(settings()?, options).await,
        Command::Fields(options) => commands::fields::run(settings()?, options).await,
        Command::Audit(options) => commands::audit::run(settings()?, options).await,
        Command::DeadLetters(options) => commands::dead_letters::run(settings()?, options).await,
        Command::Retention(options) => commands::retention::run(settings()?, options).await,
        Command::Migrate => commands::migrate::run(settings()?).await,
        Command::Status(options) => commands::status::run(settings()?, options).await,
        Command::Check(options) => commands::check::run(settings()?, options).await,
        Command::Hooks(options) => commands::hooks::run(settings()?, options).await,
        Command::Consent(options) => commands::consent::run(settings()?, options).await,
        Command::Defaults => {
            print!("{}", config::DEFAULTS);
            Ok(ExitCode::SUCCESS)
        }
    }
}
