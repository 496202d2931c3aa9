//! Both sides are edited while a tenth of the CRM's calls goes wrong in every way, its tokens end, it is away, and the program is
//! killed and started again. Afterwards both sides are read, field by field, without asking the program's own comparison.
//! Failure story: what differs is counted and the first few are shown.

use super::account::{Account, Crm, Terms, Values, phone};
use super::site::{Site, number};
use crate::rig::http::Client;
use crate::rig::process::free_address;
use crate::rig::webhook::PATH;
use crate::rig::{NUMBERS, Place, now_ms};
use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// What both sides hold besides the CRM's text fields.
const ALSO: [&str; 4] = ["id", "name", "phone", "tags"];
/// Tokens end at every so many kills: Zoho gives no more than ten in ten minutes.
const EXPIRE_AT: u32 = 5;
/// How long all may take to run empty once it is calm.
const DRAIN: Duration = Duration::from_secs(600);

/// How much of everything.
pub struct Plan {
    pub people: usize,
    pub outage: Duration,
    pub kills: u32,
    pub seed: u64,
}

/// The last word of each side about one field of one person: when, and what.
#[derive(Debug, Default)]
struct Said {
    crm: Option<(i64, String)>,
    ponte: Option<(i64, String)>,
    /// Nobody knows whether it was taken.
    unsure: bool,
}

type Edits = HashMap<(usize, &'static str), Said>;

/// Whoever edits on both sides.
struct Hand {
    ids: Vec<String>,
    people: usize,
    /// Fields that are edited, by our names.
    fields: Vec<&'static str>,
    draw: StdRng,
    edits: Edits,
    /// In the CRM, in the program.
    counts: [u64; 2],
    /// What the program said when it last refused one.
    refused: String,
}

impl Hand {
    async fn edits_for(&mut self, length: Duration, account: &mut Account, site: &Site) -> Result<()> {
        let until = Instant::now() + length;
        while Instant::now() < until {
            let (n, at) = (self.draw.random_range(0..self.people), self.draw.random_range(0..self.fields.len()));
            let (Some(field), Some(id)) = (self.fields.get(at).copied(), self.ids.get(n)) else { continue };
            let count: u64 = self.counts.iter().sum();
            let value = match field {
                "email" => format!("new{count}@example.com"),
                "postal_code" => format!("Z{count}"),
                _ => format!("Word {count}"),
            };
            let said = self.edits.entry((n, field)).or_default();
            if self.draw.random_bool(0.5) {
                account.edit(id, &[(field, &value)]).await?;
                said.crm = Some((now_ms(), value));
                self.counts[0] += 1;
                continue;
            }
            let (who, what) = (format!("+{}", phone(n)), format!("{field}={value}"));
            let done = site.ponte.command(&["contacts", "set", &who, &what]).await?;
            if done.status.success() {
                said.ponte = Some((now_ms(), value));
            } else {
                said.unsure = true;
                self.refused = String::from_utf8_lossy(&done.stderr).into_owned();
            }
            self.counts[1] += 1;
        }
        Ok(())
    }
}

/// Runs; figures by name.
pub async fn run(crm: Crm, place: &mut Place, plan: &Plan) -> Result<Value> {
    let listen = free_address()?;
    let own = format!("http://{listen}");
    let terms = Terms { calls_per_10s: 190, tells: Some(own.clone()), token_s: Some(20) };
    let mut account = Account::start(crm, place.folder(), "chaos-crm", &format!("{own}{PATH}"), terms)?;
    let ids = account.fill(0..plan.people).await?;
    let mut site = Site::start(place, "chaos", listen, &account, 1).await?;
    site.ended(None).await?;
    site.idle(DRAIN).await?;
    let mut hand = Hand {
        ids,
        people: plan.people,
        // Languages and countries are words of a list, and websites addresses.
        fields: crm.fields().filter(|field| !matches!(*field, "language" | "country" | "website")).collect(),
        draw: StdRng::seed_from_u64(plan.seed),
        edits: Edits::new(),
        counts: [0; 2],
        refused: String::new(),
    };
    account.storm().await?;
    let begun = Instant::now();
    for kill in 0..plan.kills {
        if kill == plan.kills / 2 {
            // The edits go on while nothing there answers.
            for kind in ["unavailable", "drop"] {
                account.outage(kind).await?;
                hand.edits_for(plan.outage / 2, &mut account, &site).await?;
            }
            account.storm().await?;
        }
        let length = Duration::from_millis(hand.draw.random_range(3_000..9_000));
        hand.edits_for(length, &mut account, &site).await?;
        // Somebody new on each side.
        let new = usize::try_from(kill)?;
        account.fill(plan.people + new..plan.people + new + 1).await?;
        let says = json!([{ "from": { "wa_id": phone(900_000 + new), "name": format!("New {new}") },
            "message": { "type": "text", "body": "hello" }, "phone_number_id": NUMBERS[0] }]);
        Client::new(account.simulators.whatsapp).must("POST", "/_sim/inbound", Some(&says)).await?;
        if kill % EXPIRE_AT == 1 {
            account.expire().await?;
        }
        site.ponte.kill()?;
        site.ponte.spawn_again()?;
        site.ponte.ready().await?;
    }
    let Hand { edits, counts, refused, .. } = hand;
    let seconds = begun.elapsed().as_secs_f64();
    account.calm().await?;
    let (_, limited) = account.calls().await?;
    let drained = site.idle(DRAIN).await?;
    // As an operator would; that there are none to retry is no failure, though the command ends as if it were.
    let letters = site.ponte.command(&["dead-letters", "retry", "--all"]).await?;
    let letters = String::from_utf8_lossy(&letters.stdout).trim().to_owned();
    site.idle(DRAIN).await?;
    let (first, _) = site.sync("reconcile").await?;
    site.idle(DRAIN).await?;
    let (second, _) = site.sync("reconcile").await?;
    site.idle(DRAIN).await?;
    let compared: Vec<&str> = ALSO.into_iter().chain(crm.fields()).collect();
    let found = compare(&compared, &account.records().await?, &site.people().await?, &edits);
    let report = json!({
        "people": plan.people, "seconds": seconds.round(), "edits_in_crm": counts[0], "edits_in_ponte": counts[1],
        "edits_refused": edits.values().filter(|s| s.unsure).count(), "last_refusal": refused.lines().next(),
        "kills": plan.kills, "outage_s": plan.outage.as_secs(), "seconds_until_calm": drained.round(), "crm_429": limited, "dead_letters": letters,
        "repaired_by_first_reconcile": number(&first, "differed")?, "differed_in_second": number(&second, "differed")?,
        "differences_after_chaos": found.differences, "doubled": found.doubled, "dropped": found.dropped,
        "older_edit_won": found.older, "examples": found.examples, "lost": found.lost,
    });
    Ok(report)
}

#[derive(Default)]
struct Found {
    differences: u64,
    doubled: u64,
    dropped: u64,
    /// Both sides agree on the older of two edits that lie more than two minutes apart.
    older: u64,
    examples: Vec<String>,
    /// What was dropped, with the last words of both sides (in the CRM, in the program).
    lost: Vec<String>,
}

impl Found {
    fn example(&mut self, text: String) {
        if self.examples.len() < 12 {
            self.examples.push(text);
        }
    }
}

/// Everything of both sides.
fn compare(fields: &[&str], records: &[(String, Values)], people: &[Values], edits: &Edits) -> Found {
    let mut found = Found::default();
    let mut theirs: BTreeMap<&str, &Values> = BTreeMap::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (id, record) in records {
        let twice = theirs.insert(record.get("phone"), record).is_some();
        if twice || (!record.get("id").is_empty() && !known.insert(record.get("id"))) {
            found.doubled += 1;
            found.example(format!("record {id} is there twice"));
        }
    }
    let mut ours: BTreeMap<&str, &Values> = BTreeMap::new();
    for person in people {
        if ours.insert(person.get("phone"), person).is_some() {
            found.doubled += 1;
            found.example(format!("{} is there twice", person.get("id")));
        }
    }
    for phone in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        let (Some(record), Some(person)) = (theirs.get(*phone), ours.get(*phone)) else {
            found.differences += 1;
            found.example(format!("{phone} is on one side only"));
            continue;
        };
        for &field in fields {
            // Our id is written along with something else, never alone; the link doesn't depend on it. Who only wrote has no name
            // here but the one that WhatsApp shows, which new records are called by.
            let untold = field == "id" && record.get(field).is_empty();
            let shown =
                field == "name" && person.get(field).is_empty() && record.get(field) == person.get("whatsapp_name");
            if record.get(field) != person.get(field) && !untold && !shown {
                found.differences += 1;
                found.example(format!("{phone} {field}: {:?} there, {:?} here", record.get(field), person.get(field)));
            }
        }
    }
    for ((n, field), said) in edits.iter().filter(|(_, said)| !said.unsure) {
        let phone = phone(*n);
        let value = theirs.get(phone.as_str()).map_or("", |record| record.get(field));
        let last = [&said.crm, &said.ponte].map(|side| side.as_ref().map(|(_, value)| value.as_str()));
        if !last.contains(&Some(value)) {
            found.dropped += 1;
            found.lost.push(format!("{phone} {field} is {value:?}, last said {said:?}"));
        }
        if let (Some((at, theirs)), Some((before, ours))) = (&said.crm, &said.ponte) {
            let newer = if at > before { theirs } else { ours };
            found.older += u64::from((at - before).abs() > 120_000 && newer != value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n: usize, city: &str) -> Values {
        Values(BTreeMap::from([("phone".to_owned(), phone(n)), ("city".to_owned(), city.to_owned())]))
    }

    #[test]
    fn what_differs_what_is_there_twice_and_what_is_lost_is_found() {
        let mut edits = Edits::new();
        edits.insert((1, "city"), Said { crm: Some((1, "B".into())), ..Said::default() });
        let records = [("7".to_owned(), of(1, "A")), ("8".to_owned(), of(2, "A")), ("9".to_owned(), of(2, "A"))];
        let found = compare(&["city"], &records, &[of(1, "B"), of(2, "A"), of(3, "C")], &edits);
        assert_eq!((found.differences, found.doubled, found.dropped), (2, 1, 1), "{:?}", found.examples);
        let found = compare(&["city"], &records[..1], &[of(1, "A")], &Edits::new());
        assert_eq!((found.differences, found.doubled, found.dropped), (0, 0, 0), "{:?}", found.examples);
    }
}
