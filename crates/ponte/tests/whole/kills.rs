//! Killed (SIGKILL) at random moments while it imports, merges, erases: nothing is half done, nothing is lost, and the same
//! command ends what was begun. Moments come from a seed, which is printed; `PONTE_TEST_SEED` gives another.

use crate::desk::{Desk, beside_a_server, killed, store};
use crate::rig::{LONG, NUMBER, Rig, Setup, deliver, envelope, eventually, phone, seconds, text_body, value_of};
use ponte_domain::ids::WorkspaceId;
use ponte_domain::people::PersonCard;
use ponte_domain::ports::people::People;
use ponte_domain::ports::store::Store;
use ponte_simulator::whatsapp::{CustomerKind, CustomerMessage};
use ponte_store::SqlStore;
use ponte_tables::generate::messy;
use ponte_testkit::{Engine, Raw, SeededChance, TestDatabase, both_engines};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const W: WorkspaceId = WorkspaceId(1);
/// Enough for several transactions of an import beside a server (2,000 rows each) and of merges (200 each).
const ROWS: u64 = 6_000;
const KILLS: usize = 3;

/// Random moments.
struct Moments(SeededChance);

impl Moments {
    fn new() -> Self {
        let seed = std::env::var("PONTE_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_124);
        println!("PONTE_TEST_SEED={seed}");
        Self(SeededChance::new(seed))
    }

    /// One within the first nine tenths of `all`.
    fn within(&self, all: Duration) -> Duration {
        let at = Duration::from_micros(self.0.below(u64::try_from(all.as_micros() * 9 / 10).unwrap()));
        println!("killed after {at:?} of {all:?}");
        at
    }
}

fn list(rows: u64) -> Vec<u8> {
    let mut text = Vec::new();
    messy(rows, 7, &mut text).unwrap();
    text
}

/// Everybody, without what differs from run to run: ids and times.
async fn everybody(store: &SqlStore) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.people(W, after, 5_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        all.extend(page.iter().map(told));
    }
    all.sort();
    all
}

fn told(card: &PersonCard) -> String {
    let fields: Vec<_> = card.profile.fields.iter().map(|(key, f)| (key, &f.value, &f.source)).collect();
    format!("{:?} {fields:?} {:?} {:?}", card.identities, card.profile.tags, card.profile.labels)
}

both_engines!(a_killed_import_goes_on_to_the_same_people_the_same_counts_and_the_same_rejected_rows, |db| async move {
    let rows = list(ROWS);
    let args = ["import", "list.csv", "--country", "TW", "--json"];
    let calm_db = TestDatabase::of(db.engine()).await.unwrap();
    let calm_lock = beside_a_server(&calm_db);
    let calm = Desk::new(&calm_db);
    calm.file("list.csv", &rows);
    let begun = Instant::now();
    calm.good(&args).await;
    let took = begun.elapsed();
    drop(calm_lock);

    let moments = Moments::new();
    let desk = Desk::new(&db);
    desk.file("list.csv", &rows);
    assert_eq!(desk.ponte(&["migrate"]).await.code, 0);
    let lock = beside_a_server(&db);
    let mut kills = 0;
    while kills < KILLS && !desk.killed(&args, moments.within(took)).await {
        kills += 1;
        let nobody = "SELECT value FROM identity i WHERE NOT EXISTS (SELECT 1 FROM person p WHERE p.id = i.person_id)";
        let half = Raw::connect(&db).await.unwrap().column(nobody).await.unwrap();
        assert!(half.is_empty(), "identifiers of nobody: {half:?}");
    }
    println!("{kills} kills");
    desk.good(&args).await;
    drop(lock);

    let (killed, whole) = (store(&db).await, store(&calm_db).await);
    let (a, b) = (everybody(&killed).await, everybody(&whole).await);
    assert_eq!(a.len(), b.len());
    assert!(a == b, "not the same people: {:?}", a.iter().zip(&b).find(|(a, b)| a != b));
    // The first run to end is the one that was killed; one more may have found that there was nothing left to do.
    let run = killed.import_runs(W, 10).await.unwrap().pop().unwrap();
    let other = whole.import_runs(W, 10).await.unwrap().pop().unwrap();
    assert!(run.finished_at.is_some() && run.fingerprint == other.fingerprint);
    assert_eq!(
        (run.applied, run.created, run.updated, run.unchanged, run.erased),
        (other.applied, other.created, other.updated, other.unchanged, other.erased)
    );
    assert_eq!(desk.read("list.csv.rejected.csv"), calm.read("list.csv.rejected.csv"));
});

/// What merges change and undoing gives back, row by row.
async fn rows(db: &TestDatabase) -> Vec<String> {
    let all = Raw::connect(db).await.unwrap().everything().await.unwrap();
    let of = ["person ", "identity ", "identity_past ", "conversation ", "message ", "crm_contact ", "consent_entry "];
    all.into_iter().filter(|row| of.iter().any(|table| row.starts_with(table))).collect()
}

both_engines!(a_killed_cleaning_has_whole_merges_only_and_all_of_them_can_be_undone, |db| async move {
    let moments = Moments::new();
    let desk = Desk::new(&db);
    desk.file("list.csv", &list(ROWS));
    desk.good(&["import", "list.csv", "--country", "TW", "--json"]).await;
    let before = rows(&db).await;
    // How long it takes, and how many there are, is found out on another database.
    let calm_db = TestDatabase::of(db.engine()).await.unwrap();
    let calm = Desk::new(&calm_db);
    calm.file("list.csv", &list(ROWS));
    calm.good(&["import", "list.csv", "--country", "TW", "--json"]).await;
    let begun = Instant::now();
    let wanted = calm.good(&["clean", "--json"]).await.json()["merged"].as_u64().unwrap();
    let took = begun.elapsed();
    assert!(wanted > 200, "more than one transaction of merges: {wanted}");
    let mut kills = 0;
    while kills < KILLS && !desk.killed(&["clean", "--json"], moments.within(took)).await {
        kills += 1;
        let mut raw = Raw::connect(&db).await.unwrap();
        for (wrong, sql) in [
            (
                "merged without a record",
                "SELECT CAST(p.id AS TEXT) FROM person p WHERE p.merged_into IS NOT NULL AND NOT EXISTS \
                 (SELECT 1 FROM merge_record m WHERE m.other = p.id AND m.undone_at IS NULL)",
            ),
            (
                "a record without a merge",
                "SELECT CAST(m.id AS TEXT) FROM merge_record m WHERE NOT EXISTS \
                 (SELECT 1 FROM person p WHERE p.id = m.other AND p.merged_into = m.survivor)",
            ),
            (
                "identifiers left behind",
                "SELECT i.value FROM identity i JOIN person p ON p.id = i.person_id WHERE p.merged_into IS NOT NULL",
            ),
        ] {
            let found = raw.column(sql).await.unwrap();
            assert!(found.is_empty(), "{wrong}: {found:?}");
        }
    }
    desk.good(&["clean", "--json"]).await;
    let store = store(&db).await;
    let merges = store.merges(W, None, 100_000).await.unwrap();
    println!("{kills} kills, {} merges", merges.len());
    assert!(merges.len() as u64 >= wanted, "none is lost: {} of {wanted}", merges.len());
    let identities = |all: &[String]| all.iter().filter(|row| row.starts_with("identity ")).count();
    assert_eq!(identities(&rows(&db).await), identities(&before), "every identifier is somebody's");
    for merge in merges {
        store.unmerge(W, 1, "test", merge.id).await.unwrap();
    }
    let after = rows(&db).await;
    assert!(after == before, "not as before: {:?}", after.iter().zip(&before).find(|(a, b)| a != b));
});

/// Writes, sends a picture, and stands in a list, all under words that stand nowhere else.
struct Customer {
    n: usize,
    id: String,
}

impl Customer {
    fn words(&self) -> [String; 4] {
        let n = self.n;
        [phone(n), format!("Wilhelmina-{n:03}"), format!("secret-{n:03}"), format!("mina{n:03}@example.com")]
    }
}

const EACH: usize = 12;

/// People who wrote, with their files, while others wrote a lot.
async fn customers(rig: &Rig, n: usize) -> Vec<Customer> {
    let mut list = "id,name,phone,email\n".to_owned();
    for i in 0..n {
        list.push_str(&format!("k{i},Wilhelmina-{i:03},+{},mina{i:03}@example.com\n", phone(i)));
        let name = format!("Wilhelmina-{i:03}");
        let kind = CustomerKind::Image { caption: Some(format!("secret-{i:03} picture")) };
        rig.graph.customer_sends(CustomerMessage::from_phone(&phone(i), &name, kind)).await.unwrap();
    }
    for round in 0..EACH {
        let messages: Vec<Value> = (0..n)
            .map(|i| {
                let body = format!("secret-{i:03} {round}");
                json!({"from": phone(i), "id": format!("wamid.{i}.{round}"), "timestamp": seconds().to_string(),
                       "type": "text", "text": {"body": body}})
            })
            .collect();
        for message in messages {
            let from = message["from"].clone();
            let contacts = json!([{"profile": {"name": "Mina"}, "wa_id": from}]);
            let body = envelope(value_of(NUMBER, json!({"contacts": contacts, "messages": [message]})));
            assert_eq!(deliver(&rig.program, &body).await.status, 200);
        }
        for other in 0..10 {
            let body = text_body(&format!("wamid.other.{round}.{other}"), &phone(900 + other), "hello");
            assert_eq!(deliver(&rig.program, &body).await.status, 200);
        }
    }
    std::fs::write(rig.program.folder().join("list.csv"), list).unwrap();
    let imported = rig.cli(&["contacts", "import", "list.csv", "--json"]).await;
    assert_eq!((imported.code, imported.json()["updated"].as_u64()), (0, Some(n as u64)), "{imported:?}");
    eventually(LONG, "all is stored, files too", || async {
        let messages = rig.messages().await;
        let files = messages.iter().filter(|m| m["media_key"].is_string()).count();
        (messages.len() == n * (EACH + 1) + EACH * 10 && files == n).then_some(())
    })
    .await;
    let mut all = Vec::new();
    for i in 0..n {
        let shown = rig.cli(&["contacts", "show", &format!("+{}", phone(i)), "--json"]).await.json();
        all.push(Customer { n: i, id: shown["id"].as_str().unwrap().to_owned() });
    }
    all
}

/// The files in the folder are those of messages, no more and no less. Some customers send the same picture.
async fn files_are_those_of_messages(rig: &Rig) {
    let mut wanted: Vec<String> =
        rig.messages().await.iter().filter_map(|m| m["media_key"].as_str().map(str::to_owned)).collect();
    let mut there = Vec::new();
    for folder in std::fs::read_dir(rig.program.folder().join("media")).unwrap() {
        let folder = folder.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            there.push(format!("{}{}", folder.file_name().display(), file.unwrap().file_name().display()));
        }
    }
    wanted.sort();
    wanted.dedup();
    there.sort();
    assert_eq!(there, wanted);
}

async fn killed_erasures(engine: Engine) {
    let moments = Moments::new();
    let mut rig = Setup::on(engine).no_crm().start().await;
    let all = customers(&rig, 10).await;
    let (calm, rest) = all.split_first().unwrap();
    let begun = Instant::now();
    assert_eq!(rig.cli(&["contacts", "erase", &calm.id, "--yes"]).await.code, 0);
    let took = begun.elapsed();
    files_are_those_of_messages(&rig).await;
    let (kept, erased) = rest.split_last().unwrap();
    let mut kills = 0;
    let config = rig.config();
    for customer in erased {
        let args = ["contacts", "erase", &customer.id, "--yes", "--config", &config];
        kills += usize::from(!killed(&args, rig.program.folder(), &[], moments.within(took)).await);
        let [number, name, secret, email] = customer.words();
        let all = Raw::connect(&rig.db).await.unwrap().everything().await.unwrap();
        let rows = |table: &str, word: &str| {
            all.iter().filter(|row| row.starts_with(&format!("{table} ")) && row.contains(word)).count()
        };
        let there = [
            rows("message_content", &secret),
            rows("person", &name),
            rows("person", &email),
            rows("identity", &number).min(1),
        ];
        let whole = there == [EACH + 1, 1, 1, 1];
        assert!(whole || there == [0; 4], "neither whole nor gone: {there:?}");
        println!("{}, {} open", if whole { "whole" } else { "gone" }, rows("open_erasure", ""));
        let again = rig.cli(&["contacts", "erase", &customer.id, "--yes", "--json"]).await;
        assert_eq!(again.code, 0, "{again:?}");
    }
    println!("{kills} kills of {}", erased.len());
    files_are_those_of_messages(&rig).await;
    let audit = rig.cli(&["audit", "--json"]).await.lines();
    for customer in std::iter::once(calm).chain(erased) {
        assert!(audit.iter().any(|a| a["act"] == "contacts.erase" && a["subject"] == customer.id.as_str()));
    }
    rig.program.terminate(LONG).await.unwrap();
    let mut everything = Raw::connect(&rig.db).await.unwrap().everything().await.unwrap();
    let store = store(&rig.db).await;
    for segment in store.journal_read(W, 0, 100_000).await.unwrap() {
        everything.extend(segment.entries.iter().map(|e| format!("body {}", String::from_utf8_lossy(&e.body))));
    }
    let named = |customer: &Customer| -> Vec<&String> {
        let words = customer.words();
        everything.iter().filter(|row| words.iter().any(|word| row.contains(word.as_str()))).collect()
    };
    assert!(named(kept).len() > EACH * 2, "who wasn't erased is found in bodies and texts");
    for customer in std::iter::once(calm).chain(erased) {
        let left = named(customer);
        assert!(left.is_empty(), "{} is still named: {left:#?}", customer.n);
    }
}

#[tokio::test]
async fn a_killed_erasure_leaves_a_person_whole_or_gone_and_the_next_one_leaves_nothing() {
    killed_erasures(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_killed_erasure_leaves_a_person_whole_or_gone_and_the_next_one_leaves_nothing_postgres() {
    killed_erasures(Engine::Postgres).await;
}
