//! # Demo
//! Purpose: `ponte demo`: a company's believable traffic through the real program, between simulated WhatsApp and HubSpot, with
//! a live view; at the end everything is counted and reconciled.
//! May touch: simulators, a folder of its own, loopback ports, the terminal.
//! Must not touch: any real system.
//! Failure story: Ctrl-C stops the traffic, lets everything drain and counts; pressed again it counts at once. Whatever ends
//! it gives the terminal back. When something was lost or doubled the folder stays, to be looked into.

mod api;
mod gather;
mod phrases;
mod reconcile;
mod report;
mod sample;
mod screen;
mod stage;
mod team;
mod view;
mod words;

use super::print_json;
use super::serve::stop_asked;
use api::Api;
use clap::Args;
use ponte_simulator::whatsapp::{Traffic, TrafficConfig};
use report::End;
use sample::Sampler;
use screen::Screen;
use stage::{Folder, Stage};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use team::{Ledger, Team};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use view::{Look, Signposts};

/// Options of `ponte demo`.
#[derive(Args)]
pub struct Options {
    /// Stop after this long, for example 20s or 2m; else Ctrl-C stops it.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    length: Option<Duration>,
    /// Messages that customers start on their own, a minute.
    #[arg(long, value_name = "MESSAGES_A_MINUTE", default_value_t = 240.0, value_parser = rate)]
    rate: f64,
    /// People, words and trouble follow from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of calls that go wrong, 0 to 0.3: errors, lost answers, repeated and overtaking webhooks, a CRM with hiccups.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    faults: f64,
    /// Where Ponte listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Keep database, files, log and configuration in this folder; else they go with the demo.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// No live view; the last line on standard output is one JSON object with what was counted.
    #[arg(long)]
    json: bool,
}

/// Runs. Fails when anything was lost or doubled.
///
/// # Errors
/// When something needed at start isn't there, or the books can't be read.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut folder = Folder::open(options.keep.as_deref())?;
    eprintln!("{}: {}", words::TITLE, words::STARTING);
    let stage = stage::set(&folder, options.listen, options.seed, options.faults).await?;
    let team = Team::start(Api::new(stage.running.address, &stage.key)?, options.seed);
    let traffic = customers(&stage, &options);
    let begun = Instant::now();
    let sampler = Sampler::new(stage.running.world.clone(), team.ledger());
    let mut show = Show::open(&options, sampler, signposts(&stage, &folder)).await?;
    show.during(wait(options.length)).await?;
    let ran = begun.elapsed();
    for crowd in traffic {
        crowd.stop();
    }
    show.draining = true;
    let (ledger, drained) = show.during(drain(&stage, team)).await?;
    show.close();
    let passed = tell(&options, &stage, &ledger, ran, drained, &mut folder).await?;
    let Stage { whatsapp, crm, running, .. } = stage;
    whatsapp.shutdown().await;
    running.stop().await;
    crm.shutdown().await;
    if folder.stays() {
        eprintln!("{} {}", words::KEPT, folder.path().display());
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Customers of two countries' numbers: the Brazilian one, and the other for everyone else.
fn customers(stage: &Stage, options: &Options) -> Vec<Traffic> {
    let crowd = |number: usize, languages: &[&str], part: f64| TrafficConfig {
        customers: 300,
        messages_per_minute: options.rate * part,
        languages: languages.iter().map(|&l| l.to_owned()).collect(),
        // Each crowd hears of every message read: together they answer a third.
        reply_share: 0.17,
        seed: options.seed,
        phone_number_id: stage.numbers.get(number).cloned(),
        ..TrafficConfig::default()
    };
    let everyone = crowd(0, &["en", "es", "zh-TW", "de"], 0.7);
    let brazil = crowd(1, &["pt-BR"], 0.3);
    [everyone, brazil].into_iter().map(|crowd| Traffic::believable(&stage.whatsapp, crowd)).collect()
}

/// Until the time is over, or someone asks.
async fn wait(length: Option<Duration>) -> anyhow::Result<()> {
    let over = async {
        match length {
            Some(length) => tokio::time::sleep(length).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => Ok(()),
        asked = stop_asked() => asked,
    }
}

/// The team goes home, and what moves comes to rest, unless someone asks again.
async fn drain(stage: &Stage, team: Team) -> anyhow::Result<(Ledger, bool)> {
    let ledger = team.stop().await;
    let drained = tokio::select! {
        drained = gather::rest(stage) => drained,
        asked = stop_asked() => asked.map(|()| false)?,
    };
    let ledger = std::mem::take(&mut *ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok((ledger, drained))
}

/// Counts, reconciles, says it. False when something was lost or doubled.
async fn tell(
    options: &Options,
    stage: &Stage,
    ledger: &Ledger,
    ran: Duration,
    drained: bool,
    folder: &mut Folder,
) -> anyhow::Result<bool> {
    let dead = gather::dead_letters(stage).await?;
    let books = gather::books(stage, ledger, &dead).await?;
    let findings = reconcile::reckon(&books);
    let passed = findings.lost.is_empty() && findings.doubled.is_empty();
    for (word, ids) in [(words::LOST, &findings.lost), (words::DOUBLED, &findings.doubled)] {
        ids.iter().for_each(|id| eprintln!("{word}: {id}"));
    }
    if !passed {
        folder.keep();
    }
    let counted = stage.whatsapp.stats();
    let pulse = &stage.running.world.pulse;
    let (findings, counted, dead, seed) = (&findings, &counted, dead.as_slice(), options.seed);
    let end = End { findings, counted, pulse, ledger, dead, ran, drained, seed };
    if options.json {
        print_json(&end.json())?;
    } else {
        print!("{}", end.text());
    }
    Ok(passed)
}

fn signposts(stage: &Stage, folder: &Folder) -> Signposts {
    let ponte = format!("http://{}", stage.running.address);
    let config = stage.config.display();
    let (graph, crm) = (stage.whatsapp.base_url(), stage.crm.base_url());
    let lines = [
        ("health", format!("{ponte}/readyz  {ponte}/metrics")),
        ("simulators", format!("{graph}/_sim/  {crm}/_sim/")),
        ("API", format!("curl -H 'Authorization: Bearer {}' {ponte}/api/v1/messages", stage.key)),
        ("look", format!("ponte -c {config} status  (or events)")),
        ("files", format!("{}/  ponte.db  ponte.log  media/", folder.path().display())),
    ];
    Signposts { lines: lines.into_iter().map(|(label, what)| (label.to_owned(), what)).collect() }
}

const REDRAW: Duration = Duration::from_millis(250);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How what happens is shown: on a terminal, or a line now and then.
struct Show {
    sampler: Sampler,
    signposts: Signposts,
    screen: Option<Screen>,
    /// Lines go to standard error, because standard output is for the JSON object.
    json: bool,
    draining: bool,
}

impl Show {
    async fn open(options: &Options, sampler: Sampler, signposts: Signposts) -> anyhow::Result<Self> {
        let live = !options.json && screen::can_redraw();
        let screen = if live { Some(Screen::open().await) } else { None };
        let show = Self { sampler, signposts, screen, json: options.json, draining: false };
        if show.screen.is_none() {
            show.signposts.lines.iter().for_each(|(label, what)| show.say(&format!("{label:<11}{what}")));
        }
        Ok(show)
    }

    fn say(&self, line: &str) {
        if self.json { eprintln!("{line}") } else { println!("{line}") }
    }

    /// Shows until `work` is done; gives its result.
    async fn during<T>(&mut self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let mut resized = signal(SignalKind::window_change())?;
        let mut beat = tokio::time::interval(if self.screen.is_some() { REDRAW } else { LINE_EVERY });
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = beat.tick() => self.show().await,
                _ = resized.recv() => {
                    if let Some(screen) = &mut self.screen {
                        screen.measure().await;
                    }
                }
            }
        }
    }

    async fn show(&mut self) {
        let Some(screen) = &self.screen else {
            let line = view::plain_line(self.sampler.take(0).await);
            return self.say(&line);
        };
        let (columns, rows) = screen.size();
        let look = Look { columns, rows, color: screen::colors(), draining: self.draining };
        let lines = view::ticker_lines(look, &self.signposts);
        let sample = self.sampler.take(lines).await;
        screen.draw(&view::frame(sample, &self.signposts, crate::adapters::now(), look));
    }

    /// Gives the terminal back.
    fn close(self) {
        drop(self.screen);
    }
}

/// `20s`, `2m`, `1h`, or seconds.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        other => return Err(format!("{other:?} is no unit: write 20s, 2m or 1h")),
    };
    let n: u64 = digits.parse().map_err(|_| "write a whole number and s, m or h, for example 20s".to_owned())?;
    let seconds = n.checked_mul(unit).filter(|s| (1..=604_800).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(|| "from 1s to 168h".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=60_000.0).contains(&rate) { Ok(rate) } else { Err("from 1 to 60000".to_owned()) }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=0.3).contains(&share) { Ok(share) } else { Err("from 0 to 0.3".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(time("20s"), Ok(Duration::from_secs(20)));
        assert_eq!((time("2m"), time("7")), (Ok(Duration::from_secs(120)), Ok(Duration::from_secs(7))));
        for wrong in ["", "s", "0s", "2d", "1.5s", "99999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(share("0.31").is_err() && share("NaN").is_err() && rate("0").is_err());
    }
}
