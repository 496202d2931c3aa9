//! Subscriptions to events, against real targets: signed, in order, until taken, and never where they must not go.

use crate::rig::{LONG, Rig, Setup, deliver, eventually, options, phone, port, text_body, url};
use crate::target::{Call, Say, Target};
use ponte_testkit::{Engine, Program};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Targets on this machine may be reached, and everything is tried again soon.
fn setup(engine: Engine) -> Setup {
    Setup::on(engine)
        .no_crm()
        .set("egress", "allow_private", "[\"127.0.0.1\"]")
        .set("hooks", "timeout_ms", "2000")
        .set("hooks", "longest_pause_ms", "200")
        .set("hooks.retry", "first_ms", "50")
        .set("hooks.retry", "second_ms", "50")
        .set("hooks.retry", "later_ms", format!("[{}]", ["50"; 200].join(", ")))
}

impl Rig {
    async fn subscribe(&self, target: &Target, events: &[&str]) -> Value {
        let wish = json!({ "target_url": target.url(), "events": events });
        let (status, hook) = self.api("POST", "/api/v1/hooks", Some(&wish)).await;
        assert_eq!(status, 201, "{hook}");
        hook
    }

    async fn hook(&self, hook: &Value) -> (u16, Value) {
        self.api("GET", &path(hook, ""), None).await
    }

    /// `people` people write `each` texts, in turn.
    async fn write(&self, people: usize, each: usize) {
        self.write_from(people, 0, each).await;
    }

    async fn write_from(&self, people: usize, from: usize, each: usize) {
        for n in from..from + each {
            for person in 0..people {
                let body = text_body(&format!("wamid.{person}.{n}"), &phone(person), &format!("{person}/{n:03}"));
                assert_eq!(deliver(&self.program, &body).await.status, 200, "{}", self.tail());
            }
        }
    }
}

fn path(hook: &Value, rest: &str) -> String {
    format!("/api/v1/hooks/{}{rest}", hook["id"].as_str().unwrap())
}

/// The texts that were taken, by person, each once, in the order in which they were first taken.
fn by_person(calls: &[Call]) -> BTreeMap<String, Vec<String>> {
    let mut seen = HashSet::new();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in calls.iter().filter(|call| seen.insert(call.id().to_owned())) {
        let text = call.text();
        all.entry(text.split('/').next().unwrap().to_owned()).or_default().push(text);
    }
    all
}

fn written(people: usize, each: usize) -> BTreeMap<String, Vec<String>> {
    let texts = |person: usize| (0..each).map(|n| format!("{person}/{n:03}")).collect();
    (0..people).map(|person| (person.to_string(), texts(person))).collect()
}

async fn until_taken(target: &Target, n: usize, rig: &Rig) {
    eventually(LONG, &format!("{n} events are taken"), || async {
        let ids: HashSet<String> = target.taken().iter().map(|call| call.id().to_owned()).collect();
        (ids.len() >= n).then_some(())
    })
    .await;
    eventually(LONG, "nothing is owed", || async { (rig.waiting("hook").await == 0).then_some(()) }).await;
}

async fn in_order(engine: Engine) {
    let (rig, target) = (setup(engine).start().await, Target::start().await);
    let hook = rig.subscribe(&target, &["message.received"]).await;
    // Two calls of five fail, in one way or another.
    let mut n = 0;
    target.answers(move |_| {
        n += 1;
        match n % 5 {
            1 => Say::status(500),
            3 => Say { head: "location: /other\r\n".into(), ..Say::status(302) },
            _ => Say::status(200),
        }
    });
    rig.write(6, 10).await;
    until_taken(&target, 60, &rig).await;
    assert_eq!(by_person(&target.taken()), written(6, 10));
    let secret = hook["secret"].as_str().unwrap();
    for call in target.calls() {
        assert!(call.is_signed_by(secret), "{call:?}");
        let told = call.json();
        assert_eq!((told["type"].as_str(), told["id"].as_str()), (Some("message.received"), Some(call.id())));
        assert_eq!(told["data"]["message"]["direction"], "inbound");
        assert_eq!(told["data"]["person"]["whatsapp_name"], "Ana");
    }
    assert_eq!(target.taken().len(), 60, "what was taken isn't pushed again");
    let (_, kept) = rig.api("GET", &path(&hook, "/deliveries?limit=100"), None).await;
    let kept = kept.as_array().unwrap();
    assert!(kept.iter().any(|d| d["error"] == "http_302") && kept.iter().any(|d| d["error"] == "http_500"));
    assert_eq!(kept.len(), target.calls().len().min(100));
}

#[tokio::test]
async fn each_persons_events_come_in_order_whatever_fails() {
    in_order(Engine::Sqlite).await;
}

#[tokio::test]
async fn each_persons_events_come_in_order_whatever_fails_on_postgres() {
    in_order(Engine::Postgres).await;
}

#[tokio::test]
async fn a_target_that_was_away_gets_everything_once_it_is_back() {
    let (rig, mut target) = (setup(Engine::Sqlite).start().await, Target::start().await);
    let hook = rig.subscribe(&target, &["message.received"]).await;
    target.go_away().await;
    rig.write(10, 5).await;
    eventually(LONG, "it is seen to fail", || async {
        (rig.hook(&hook).await.1["failures"].as_i64().unwrap() >= 8).then_some(())
    })
    .await;
    let calls_while_away = rig.hook(&hook).await.1["attempts"].as_i64().unwrap();
    assert!(calls_while_away < 50, "one lane is tried, not all: {calls_while_away} calls");
    target.come_back().await;
    until_taken(&target, 50, &rig).await;
    assert_eq!(by_person(&target.taken()), written(10, 5));
    let (_, well) = rig.hook(&hook).await;
    assert_eq!(
        (&well["state"], &well["failures"], &well["failing_since"]),
        (&json!("active"), &json!(0), &Value::Null)
    );
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

#[tokio::test]
async fn a_target_that_says_it_is_gone_loses_its_subscription() {
    let (rig, target, other) = (setup(Engine::Sqlite).start().await, Target::start().await, Target::start().await);
    let hook = rig.subscribe(&target, &["message.received"]).await;
    rig.subscribe(&other, &["hook.*"]).await;
    target.answers(|_| Say::status(410));
    rig.write(3, 4).await;
    eventually(LONG, "it is removed", || async { (rig.hook(&hook).await.0 == 404).then_some(()) }).await;
    until_taken(&other, 1, &rig).await;
    let told = other.taken().remove(0).json();
    assert_eq!((told["type"].as_str(), &told["data"]["change"]["hook"]), (Some("hook.removed"), &hook["id"]));
    assert_eq!(rig.api("DELETE", &path(&hook, ""), None).await.0, 204, "gone is as good as removed");
    let calls = target.calls().len();
    rig.write(1, 1).await;
    assert_eq!(rig.api("GET", "/api/v1/hooks", None).await.1.as_array().unwrap().len(), 1);
    let audit = rig.cli(&["audit", "--json"]).await.lines();
    assert!(audit.iter().any(|a| a["act"] == "hooks.remove" && a["who"] == "system" && a["subject"] == hook["id"]));
    assert_eq!(target.calls().len(), calls, "nothing more is pushed");
}

#[tokio::test]
async fn events_are_not_pushed_to_inside_addresses() {
    let target = Target::start().await;
    let rig = setup(Engine::Sqlite).set("egress", "allow_private", "[]").start().await;
    let port = target.address.port();
    for bad in [
        format!("http://127.0.0.1:{port}/"),
        "http://[::1]/".into(),
        "https://10.0.0.8/in".into(),
        "http://2130706433/".into(),
    ] {
        let wish = json!({ "target_url": bad, "event": "*" });
        let (status, problem) = rig.api("POST", "/api/v1/hooks", Some(&wish)).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("hook_target_refused")), "{bad}: {problem}");
    }
    // A name tells nothing until it is looked up, which is done for every call.
    let wish = json!({ "target_url": format!("http://localhost:{port}/"), "event": "*" });
    let (status, hook) = rig.api("POST", "/api/v1/hooks", Some(&wish)).await;
    assert_eq!(status, 201, "{hook}");
    let (status, tried) = rig.api("POST", &path(&hook, "/test"), None).await;
    assert_eq!((status, &tried["taken"], &tried["error"]), (200, &json!(false), &json!("egress_refused")), "{tried}");
    assert!(target.calls().is_empty());
}

async fn killed(engine: Engine) {
    let (mut rig, target) = (setup(engine).start().await, Target::start().await);
    rig.subscribe(&target, &["message.received"]).await;
    target.answers(|_| Say { after: Duration::from_millis(15), ..Say::status(200) });
    for round in 1..=4 {
        rig.write_from(8, (round - 1) * 6, 6).await;
        eventually(LONG, "some of it is taken", || async {
            (target.taken().len() >= (round - 1) * 48 + 12).then_some(())
        })
        .await;
        rig.program.kill().unwrap();
        rig.program.restart().await.unwrap();
    }
    until_taken(&target, 8 * 24, &rig).await;
    assert_eq!(by_person(&target.taken()), written(8, 24));
    let mut told: HashMap<String, Value> = HashMap::new();
    for call in target.calls() {
        let before = told.insert(call.id().to_owned(), call.json());
        assert!(before.is_none_or(|b| b == call.json()), "a repetition says the same under the same id");
    }
    let repeated = target.taken().len() - told.len();
    println!("{repeated} events were pushed again after 4 kills");
}

#[tokio::test]
async fn killed_in_the_middle_nothing_is_lost_and_repetitions_can_be_told() {
    killed(Engine::Sqlite).await;
}

#[tokio::test]
async fn killed_in_the_middle_nothing_is_lost_and_repetitions_can_be_told_postgres() {
    killed(Engine::Postgres).await;
}

#[tokio::test]
async fn two_nodes_push_every_event_once() {
    let (setup_a, setup_b, target) = (setup(Engine::Postgres), setup(Engine::Postgres), Target::start().await);
    let rig = setup_a.start().await;
    let second_port = port();
    let config = setup_b.config(second_port, &url(rig.db.place()), &rig.graph, &rig.hubspot);
    let second = Program::start(options(second_port, config, Vec::new())).await.unwrap();
    rig.subscribe(&target, &["message.received"]).await;
    for n in 0..10 {
        for person in 0..10 {
            let body = text_body(&format!("wamid.{person}.{n}"), &phone(person), &format!("{person}/{n:03}"));
            let to = if n % 2 == 0 { &rig.program } else { &second };
            assert_eq!(deliver(to, &body).await.status, 200);
        }
    }
    until_taken(&target, 100, &rig).await;
    assert_eq!(target.calls().len(), 100, "each once");
    assert_eq!(by_person(&target.taken()), written(10, 10));
    drop(second);
}

#[tokio::test]
async fn a_target_that_answers_slowly_holds_up_no_other() {
    let (rig, slow, quick) = (setup(Engine::Sqlite).start().await, Target::start().await, Target::start().await);
    slow.answers(|_| Say { after: Duration::from_secs(60), ..Say::status(200) });
    let waits = rig.subscribe(&slow, &["message.received"]).await;
    rig.subscribe(&quick, &["message.received"]).await;
    rig.write(10, 10).await;
    eventually(Duration::from_secs(15), "the quick one has all", || async {
        (quick.taken().len() == 100).then_some(())
    })
    .await;
    eventually(LONG, "the slow one's calls run out of time", || async {
        (rig.hook(&waits).await.1["failures"].as_i64().unwrap() > 0).then_some(())
    })
    .await;
    let (_, kept) = rig.api("GET", &path(&waits, "/deliveries"), None).await;
    assert_eq!((&kept[0]["error"], &kept[0]["status"]), (&json!("timeout"), &Value::Null), "{kept}");
    assert!(slow.taken().is_empty());
}

#[tokio::test]
async fn a_target_that_asks_to_wait_is_left_alone_for_so_long() {
    let (rig, target) = (setup(Engine::Sqlite).start().await, Target::start().await);
    let hook = rig.subscribe(&target, &["message.received"]).await;
    let mut first = true;
    target.answers(move |_| {
        let busy = std::mem::take(&mut first);
        if busy { Say { head: "retry-after: 2\r\n".into(), ..Say::status(429) } } else { Say::status(200) }
    });
    rig.write(1, 1).await;
    eventually(LONG, "it is asked", || async { (!target.calls().is_empty()).then_some(()) }).await;
    rig.write_from(5, 1, 1).await;
    until_taken(&target, 6, &rig).await;
    let calls = target.calls();
    assert_eq!(calls.len(), 7);
    let waited = calls[1].at - calls[0].at;
    assert!(waited >= Duration::from_millis(1_950), "only {waited:?}");
    let (_, kept) = rig.api("GET", &path(&hook, "/deliveries"), None).await;
    assert!(kept.as_array().unwrap().iter().any(|d| d["status"] == 429 && d["error"] == "http_429"), "{kept}");
}

#[tokio::test]
async fn a_target_that_takes_nothing_for_too_long_is_disabled_with_notice() {
    let (rig, target, other) = (
        setup(Engine::Sqlite).set("hooks", "disable_after_hours", "0.0003").start().await,
        Target::start().await,
        Target::start().await,
    );
    let hook = rig.subscribe(&target, &["message.received"]).await;
    rig.subscribe(&other, &["hook.disabled"]).await;
    target.answers(|_| Say::status(500));
    rig.write(2, 2).await;
    until_taken_only(&other, 1).await;
    assert_eq!(other.taken()[0].json()["data"]["change"]["hook"], hook["id"]);
    let listed = rig.cli(&["hooks", "list"]).await;
    assert!(listed.out.contains("disabled") && listed.out.contains("took nothing"), "{listed:?}");
    rig.write_from(2, 2, 1).await;
    target.answers(|_| Say::status(200));
    let resumed = rig.cli(&["hooks", "resume", hook["id"].as_str().unwrap(), "--json"]).await;
    assert_eq!(resumed.json()["state"], "active", "{resumed:?}");
    until_taken(&target, 4, &rig).await;
    assert_eq!(by_person(&target.taken()), written(2, 2), "what happened while it was disabled isn't gathered");
    let again = json!({ "since": 0 });
    let (status, filed) = rig.api("POST", &path(&hook, "/replay"), Some(&again)).await;
    assert_eq!((status, &filed["filed"], &filed["more"]), (202, &json!(6), &json!(false)), "{filed}");
    until_taken(&target, 6, &rig).await;
}

async fn until_taken_only(target: &Target, n: usize) {
    eventually(LONG, "it is told", || async { (target.taken().len() >= n).then_some(()) }).await;
}

#[tokio::test]
async fn what_is_paused_is_kept_and_comes_in_order_once_resumed() {
    let (rig, target) = (setup(Engine::Sqlite).start().await, Target::start().await);
    let hook = rig.subscribe(&target, &["message.received"]).await;
    let state = async |state: &str| rig.api("PATCH", &path(&hook, ""), Some(&json!({ "state": state }))).await;
    assert_eq!(state("paused").await.1["state"], "paused");
    rig.write(3, 3).await;
    eventually(LONG, "all of it is owed", || async { (rig.waiting("hook").await == 9).then_some(()) }).await;
    assert!(target.calls().is_empty());
    assert_eq!(state("removed").await.0, 400);
    assert_eq!(state("active").await.1["state"], "active");
    until_taken(&target, 9, &rig).await;
    assert_eq!(by_person(&target.taken()), written(3, 3));
}

#[tokio::test]
async fn who_was_erased_meanwhile_is_not_told_of() {
    let (rig, target) = (setup(Engine::Sqlite).start().await, Target::start().await);
    let hook = rig.subscribe(&target, &["message.*", "person.*"]).await;
    let state = async |state: &str| rig.api("PATCH", &path(&hook, ""), Some(&json!({ "state": state }))).await;
    state("paused").await;
    rig.write(2, 1).await;
    eventually(LONG, "it is owed", || async { (rig.waiting("hook").await == 4).then_some(()) }).await;
    let erased = rig.cli(&["contacts", "erase", &format!("+{}", phone(0)), "--yes"]).await;
    assert_eq!(erased.code, 0, "{erased:?}");
    eventually(LONG, "that alone is owed of them", || async { (rig.waiting("hook").await == 3).then_some(()) }).await;
    state("active").await;
    until_taken(&target, 3, &rig).await;
    let told = target.taken();
    assert!(told.iter().any(|call| call.json()["type"] == "person.erased"));
    for secret in ["0/000".to_owned(), phone(0)] {
        assert!(told.iter().all(|call| !call.body.contains(&secret)), "{secret} is told of");
    }
    assert!(told.iter().any(|call| call.body.contains("1/000") && call.body.contains(&phone(1))));
}

#[tokio::test]
async fn what_happened_is_pushed_again_under_the_same_ids() {
    let (rig, target) = (setup(Engine::Sqlite).start().await, Target::start().await);
    rig.write(2, 3).await;
    rig.stored("wamid.1.2").await;
    let hook = rig.subscribe(&target, &["message.received"]).await;
    rig.write_from(2, 3, 2).await;
    until_taken(&target, 4, &rig).await;
    assert!(target.taken().iter().all(|call| call.text().ends_with("/003") || call.text().ends_with("/004")));
    let first: HashSet<String> = target.calls().iter().map(|call| call.id().to_owned()).collect();
    let ran =
        rig.cli(&["hooks", "replay", hook["id"].as_str().unwrap(), "--since", "2020-01-01T00:00:00Z", "--json"]).await;
    assert_eq!(ran.json()["filed"], 10, "also what happened before it subscribed: {ran:?}");
    until_taken(&target, 10, &rig).await;
    assert_eq!(target.calls().len(), 14);
    let all: HashSet<String> = target.calls().iter().map(|call| call.id().to_owned()).collect();
    assert!(all.len() == 10 && all.is_superset(&first));
    let nothing = json!({ "since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z" });
    assert_eq!(rig.api("POST", &path(&hook, "/replay"), Some(&nothing)).await.1["filed"], 0);
    let unreadable = json!({ "since": "yesterday" });
    assert_eq!(rig.api("POST", &path(&hook, "/replay"), Some(&unreadable)).await.0, 400);
}

#[tokio::test]
async fn the_api_is_what_rest_hooks_ask_for() {
    let (rig, target) = (setup(Engine::Sqlite).start().await, Target::start().await);
    // Samples while nothing happened: an array of well-made examples.
    let (_, samples) = rig.api("GET", "/api/v1/hooks/samples?event=message.received&limit=3", None).await;
    let samples = samples.as_array().unwrap();
    assert_eq!(samples.len(), 3);
    let example = &samples[0];
    assert!(example["id"].as_str().unwrap().starts_with("evt_") && example["data"]["person"]["phone"].is_string());
    // One word, and the name that Make uses for the address; a key makes it once.
    let wish = json!({ "url": target.url(), "event": "message.*", "filter": { "direction": "inbound" } });
    let key = [("idempotency-key", "once")];
    let (status, hook) = rig.api_with("POST", "/api/v1/hooks", Some(&wish), &key).await;
    assert_eq!((status, &hook["created_by"]), (201, &json!("api:test")));
    let (status, again) = rig.api_with("POST", "/api/v1/hooks", Some(&wish), &key).await;
    assert_eq!((status, &again["id"], &again["secret"]), (200, &hook["id"], &hook["secret"]));
    let other = json!({ "url": target.url(), "event": "*" });
    let (status, problem) = rig.api_with("POST", "/api/v1/hooks", Some(&other), &key).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("idempotency_conflict")));
    let (status, shown) = rig.hook(&hook).await;
    assert_eq!((status, shown.get("secret")), (200, None), "a secret is shown once");
    for (bad, part) in [
        (json!({ "target_url": target.url() }), "events"),
        (json!({ "target_url": target.url(), "event": "message.recieved" }), "message.recieved"),
        (json!({ "target_url": "example.com", "event": "*" }), "target_url"),
        (json!({ "target_url": target.url(), "event": "*", "colour": "red" }), "colour"),
        (json!({ "target_url": target.url(), "event": "*", "events": ["*"] }), "not both"),
    ] {
        let (status, problem) = rig.api("POST", "/api/v1/hooks", Some(&bad)).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
    // A test delivery is marked, signed, and told of.
    let (status, tried) = rig.api("POST", &path(&hook, "/test"), Some(&json!({ "event": "message.received" }))).await;
    assert_eq!((status, &tried["taken"], &tried["status"]), (200, &json!(true), &json!(204)), "{tried}");
    let call = target.calls().remove(0);
    assert!(call.is_signed_by(hook["secret"].as_str().unwrap()) && call.json()["test"] == true);
    // What is pushed has the shape of the samples, and the samples are of what happened.
    rig.write(1, 2).await;
    until_taken(&target, 3, &rig).await;
    let (_, samples) = rig.api("GET", "/api/v1/hooks/samples?event=message.received&limit=2", None).await;
    let pushed: Vec<Value> = target.calls().iter().skip(1).rev().map(Call::json).collect();
    assert_eq!(samples, json!(pushed), "newest first");
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for part in ["/data", "/data/message", "/data/person"] {
        assert_eq!(keys(pushed[0].pointer(part).unwrap()), keys(example.pointer(part).unwrap()), "{part}");
    }
    // Outbound messages are not for this one.
    rig.text(&phone(0), "an answer").await;
    // Rotation: both secrets sign.
    let (_, rotated) = rig.api("POST", &path(&hook, "/rotate-secret"), None).await;
    assert!(rotated["previous_secret_until"].is_i64() && rotated["secret"] != hook["secret"]);
    rig.write_from(1, 2, 1).await;
    until_taken(&target, 4, &rig).await;
    let call = target.calls().pop().unwrap();
    assert_eq!(call.text(), "0/002");
    assert!([&hook, &rotated].iter().all(|h| call.is_signed_by(h["secret"].as_str().unwrap())));
    // Unsubscribed.
    assert_eq!(rig.api("DELETE", &path(&hook, ""), None).await.0, 204);
    assert_eq!(rig.hook(&hook).await.0, 404);
    assert_eq!(rig.api("PATCH", &path(&hook, ""), Some(&json!({ "state": "paused" }))).await.0, 404);
    assert_eq!(rig.api("GET", "/api/v1/hooks", None).await.1, json!([]));
}

#[tokio::test]
async fn subscriptions_are_limited_and_kept_from_strangers() {
    let (rig, target) =
        (setup(Engine::Sqlite).set("hooks", "max_subscriptions", "1").start().await, Target::start().await);
    rig.subscribe(&target, &["*"]).await;
    let wish = json!({ "target_url": target.url(), "event": "*" });
    let (status, problem) = rig.api("POST", "/api/v1/hooks", Some(&wish)).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("hook_limit")));
    for path in ["/api/v1/hooks", "/api/v1/hooks/samples"] {
        assert_eq!(rig.program.get(path).await.unwrap().status, 401, "{path}");
    }
}

#[tokio::test]
async fn the_command_line_does_it_all() {
    let (rig, target) = (setup(Engine::Sqlite).start().await, Target::start().await);
    let url = target.url();
    let added =
        rig.cli(&["hooks", "add", &url, "--event", "message.*", "--direction", "inbound", "--json"]).await.json();
    let id = added["id"].as_str().unwrap();
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(rig.cli(&["hooks", "test", id]).await.code, 0);
    rig.write(1, 1).await;
    until_taken(&target, 2, &rig).await;
    let shown = rig.cli(&["hooks", "deliveries", id, "--json"]).await.lines();
    assert!(shown.len() == 2 && shown.iter().all(|d| d["status"] == 204), "{shown:?}");
    assert_eq!(rig.cli(&["hooks", "pause", id, "--json"]).await.json()["state"], "paused");
    let listed = rig.cli(&["hooks", "list", "--json"]).await;
    assert!(listed.lines().len() == 1 && !listed.out.contains("whsec_"));
    assert_eq!(rig.cli(&["hooks", "remove", id]).await.code, 0);
    assert_ne!(rig.cli(&["hooks", "remove", id]).await.code, 0);
    assert_ne!(rig.cli(&["hooks", "add", "http://10.0.0.1/", "--event", "*"]).await.code, 0);
}
