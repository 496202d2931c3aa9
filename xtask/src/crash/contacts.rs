//! Kills imports, cleanings and erasures of people at random moments, round after round on a new database, and compares each
//! with a run that nobody disturbed: the same people, the same rejected rows, merges that can all be undone, nobody half gone.
//! May touch: the program's own commands, the folder of the run. Must not touch: the product's crates.
//! Failure story: what differs is counted by kind, and the folder with databases and tables stays.

use super::Arguments;
use crate::rig::{Place, program};
use anyhow::{Context, Result, bail};
use ponte_tables::generate::messy;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Kills of one command before it may end.
const KILLS_A_COMMAND: u32 = 4;
/// People erased in one round.
const ERASED: usize = 6;
/// No run takes longer, whatever happens.
const LIMIT: Duration = Duration::from_secs(3_600);

/// A database with its configuration.
struct Desk {
    folder: PathBuf,
}

impl Desk {
    async fn new(place: &mut Place, name: &str, table: &[u8]) -> Result<Self> {
        let folder = place.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        let url = place.database().await?;
        let media = folder.join("media");
        let config = format!("[database]\nurl = \"{url}\"\n[storage]\nmedia_dir = \"{}\"\n", media.display());
        std::fs::write(folder.join("ponte.toml"), config)?;
        std::fs::write(folder.join("list.csv"), table)?;
        Ok(Self { folder })
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program()?);
        command.arg("contacts").args(arguments).current_dir(&self.folder).env("PONTE_CONFIG", "ponte.toml");
        command.stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments)?.output()?;
        if !output.status.success() {
            bail!("contacts {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(output)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_slice(&self.run(arguments)?.stdout)?)
    }

    /// Starts a command and kills it at a moment of the first nine tenths of `all`. False when it had ended before.
    async fn killed(&self, arguments: &[&str], draw: &mut StdRng, all: Duration) -> Result<bool> {
        let mut child = self.command(arguments)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        tokio::time::sleep(all.mul_f64(draw.random_range(0.0..0.9))).await;
        let killed = child.try_wait()?.is_none();
        child.kill()?;
        child.wait()?;
        Ok(killed)
    }

    /// Everybody as the export has them.
    fn people(&self) -> Result<Vec<String>> {
        self.run(&["export", "all.csv"])?;
        let text = std::fs::read_to_string(self.folder.join("all.csv"))?;
        // A cell may hold line ends, between quotes.
        let mut rows: Vec<String> = Vec::new();
        for line in text.lines() {
            match rows.last_mut().filter(|row| row.matches('"').count() % 2 == 1) {
                Some(open) => open.extend(["\n", line]),
                None => rows.push(line.to_owned()),
            }
        }
        Ok(rows.into_iter().skip(1).collect())
    }

    fn rejected(&self) -> Result<Vec<u8>> {
        let path = self.folder.join("list.csv.rejected.csv");
        std::fs::read(&path).with_context(|| path.display().to_string())
    }
}

/// Without the id, which stands first, and the time, which stands last: they differ from run to run.
fn nameless(people: &[String]) -> Vec<String> {
    let cut = |line: &String| {
        let line = line.split_once(',').map_or("", |(_, rest)| rest);
        line.rsplit_once(',').map_or(line, |(rest, _)| rest).to_owned()
    };
    let mut lines: Vec<String> = people.iter().map(cut).collect();
    lines.sort();
    lines
}

const IMPORT: [&str; 5] = ["import", "list.csv", "--country", "TW", "--json"];
const CLEAN: [&str; 2] = ["clean", "--json"];

/// What nobody disturbed came to.
struct Calm {
    people: Vec<String>,
    rejected: Vec<u8>,
    merged: u64,
    import: Duration,
    clean: Duration,
    erase: Duration,
}

fn calm(desk: &Desk) -> Result<Calm> {
    let begun = Instant::now();
    desk.run(&IMPORT)?;
    let import = begun.elapsed();
    let people = desk.people()?;
    let begun = Instant::now();
    let merged = desk.json(&CLEAN)?.get("merged").and_then(Value::as_u64).unwrap_or(0);
    let clean = begun.elapsed();
    let first = people.first().and_then(|line| line.split_once(',')).map_or("", |(id, _)| id);
    let begun = Instant::now();
    desk.run(&["erase", first, "--yes"])?;
    Ok(Calm { people: nameless(&people), rejected: desk.rejected()?, merged, import, clean, erase: begun.elapsed() })
}

#[derive(Default)]
struct Tally {
    import: u32,
    clean: u32,
    erase: u32,
    rounds: u32,
    merges_undone: usize,
    wrong: Vec<String>,
}

impl Tally {
    const fn kills(&self) -> u32 {
        self.import + self.clean + self.erase
    }

    fn check(&mut self, right: bool, what: &str) {
        if !right {
            self.wrong.push(format!("round {}: {what}", self.rounds));
        }
    }
}

/// Rounds until there were enough kills; the report, and whether all was well.
///
/// # Errors
/// When a command fails that nobody killed.
pub async fn run(arguments: &Arguments, place: &mut Place) -> Result<(Value, bool)> {
    let begun = Instant::now();
    let mut table = Vec::new();
    messy(arguments.rows, arguments.seed, &mut table)?;
    let mut draw = StdRng::seed_from_u64(arguments.seed);
    let calm = calm(&Desk::new(place, "calm", &table).await?)?;
    let mut tally = Tally::default();
    while tally.kills() < arguments.kills && tally.wrong.is_empty() && begun.elapsed() < LIMIT {
        tally.rounds += 1;
        let name = format!("round{}", tally.rounds);
        let desk = Desk::new(place, &name, &table).await?;
        round(&desk, &calm, &mut draw, &mut tally).await?;
        eprintln!("crash: {} kills in {} s", tally.kills(), begun.elapsed().as_secs());
        if tally.wrong.is_empty() && !arguments.keep {
            std::fs::remove_dir_all(place.folder().join(name))?;
        }
    }
    let good = tally.wrong.is_empty() && tally.kills() >= arguments.kills;
    let report = json!({
        "database": arguments.database, "what": "contacts", "rows": arguments.rows, "seed": arguments.seed,
        "kills": tally.kills(), "kills_import": tally.import, "kills_clean": tally.clean, "kills_erase": tally.erase,
        "rounds": tally.rounds, "merges_undone": tally.merges_undone, "wrong": tally.wrong,
    });
    Ok((report, good))
}

async fn round(desk: &Desk, calm: &Calm, draw: &mut StdRng, tally: &mut Tally) -> Result<()> {
    tally.import += kill(desk, &IMPORT, draw, calm.import).await?;
    desk.run(&IMPORT)?;
    let before = desk.people()?;
    tally.check(nameless(&before) == calm.people, "other people than without kills");
    tally.check(desk.rejected()? == calm.rejected, "other rejected rows than without kills");

    tally.clean += kill(desk, &CLEAN, draw, calm.clean).await?;
    desk.run(&CLEAN)?;
    let merges = desk.run(&["merges", "--json", "--limit", "1000000"])?.stdout;
    let merges: Vec<Value> = serde_json::Deserializer::from_slice(&merges).into_iter().collect::<Result<_, _>>()?;
    tally.check(merges.len() as u64 >= calm.merged, "merges are missing");
    for merge in &merges {
        desk.run(&["unmerge", merge.get("id").and_then(Value::as_str).unwrap_or_default()])?;
    }
    tally.merges_undone += merges.len();
    tally.check(desk.people()? == before, "undoing all merges doesn't give back what was before");

    let mut left = before;
    for _ in 0..ERASED.min(left.len()) {
        let line = left.swap_remove(draw.random_range(0..left.len()));
        let id = line.split_once(',').map_or("", |(id, _)| id);
        tally.erase += u32::from(desk.killed(&["erase", id, "--yes"], draw, calm.erase).await?);
        let there = desk.people()?;
        tally.check(there.contains(&line) || !there.iter().any(|l| l.starts_with(id)), "somebody is half gone");
        desk.run(&["erase", id, "--yes"])?;
    }
    left.sort();
    let mut there = desk.people()?;
    there.sort();
    tally.check(there == left, "an erasure took somebody else, or not enough");
    Ok(())
}

/// Kills a command again and again, until it ends before its kill.
async fn kill(desk: &Desk, arguments: &[&str], draw: &mut StdRng, all: Duration) -> Result<u32> {
    let mut kills = 0;
    while kills < KILLS_A_COMMAND && desk.killed(arguments, draw, all).await? {
        kills += 1;
    }
    Ok(kills)
}
