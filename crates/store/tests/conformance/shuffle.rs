//! Duplicates, order and the cuts between batches change nothing of what is stored in the end.

use crate::support::{Raw, T0, World, by_user_id, inbound, message, status, text};
use ponte_domain::identity::Party;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::inbound::{Edit, Reaction, Update, UpdateKind};
use ponte_domain::status::Status;
use ponte_testkit::{SeededChance, both_engines};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[derive(Debug, Clone)]
enum Step {
    Text { who: u8 },
    Username { who: u8 },
    Edit { of: usize },
    Revoke { of: usize },
    Reaction { of: usize, emoji: bool },
    Status { of: usize, rung: Status },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rung = prop::sample::select(Status::ALL.to_vec());
    let step = prop_oneof![
        3 => (0u8..3).prop_map(|who| Step::Text { who }),
        1 => (0u8..2).prop_map(|who| Step::Username { who }),
        1 => (0usize..6).prop_map(|of| Step::Edit { of }),
        1 => (0usize..6).prop_map(|of| Step::Revoke { of }),
        2 => (0usize..6, any::<bool>()).prop_map(|(of, emoji)| Step::Reaction { of, emoji }),
        3 => (0usize..6, rung).prop_map(|(of, rung)| Step::Status { of, rung }),
    ];
    vec(step, 1..14)
}

/// One edit, one revocation and one status of each rung per message: what WhatsApp sends.
fn updates(steps: &[Step]) -> Vec<Update> {
    let mut said = std::collections::HashSet::new();
    let wamid = |of: usize| format!("wamid.{of}").into();
    steps
        .iter()
        .enumerate()
        .filter_map(|(i, step)| {
            let (id, at) = (format!("wamid.{i}"), T0 + 1000 * i as i64);
            let phone = |who: u8| format!("55119999900{who:02}");
            let mut m = message(by_user_id(&format!("BR.{}", i % 2)), &id, at);
            m.opens_window = i % 3 > 0;
            match step {
                Step::Text { who } => return Some(text(&phone(*who), &id, at)),
                Step::Username { who } => m.party = by_user_id(&format!("BR.{who}")),
                Step::Edit { of } if said.insert(("edit", *of, Status::Sent)) => {
                    let raw = format!("{{\"edit\":{i}}}");
                    m.edit = Some(Edit { target: wamid(*of), text: Some(format!("edit {i}")), raw });
                }
                Step::Revoke { of } if said.insert(("revoke", *of, Status::Sent)) => m.revoke = Some(wamid(*of)),
                Step::Reaction { of, emoji } => {
                    m.reaction = Some(Reaction { target: wamid(*of), emoji: emoji.then(|| format!("e{i}")) });
                }
                Step::Status { of, rung } if said.insert(("status", *of, *rung)) => {
                    let mut update = status(&format!("wamid.{of}"), *rung, at, "", None);
                    // Statuses carry no identifier of their own here: one of an unknown message tells of nobody.
                    if let UpdateKind::Status(s) = &mut update.kind {
                        s.recipient = Party::default();
                    }
                    return Some(update);
                }
                _ => return None,
            }
            Some(inbound(m))
        })
        .collect()
}

/// What is stored, without the identifiers that differ from run to run.
async fn picture(raw: &mut Raw, workspace: WorkspaceId) -> Vec<String> {
    let w = workspace.0;
    let who = |person: &str| {
        format!("(SELECT MIN(x.kind || x.value) FROM identity x WHERE x.workspace_id = {w} AND x.person_id = {person})")
    };
    let n = |column: &str| format!("COALESCE(CAST({column} AS TEXT), '-')");
    let queries = [
        format!(
            "SELECT 'identity ' || i.kind || i.scope || i.value || ' of ' || {} FROM identity i WHERE workspace_id = {w}",
            who("i.person_id")
        ),
        format!(
            "SELECT 'message ' || m.wamid || ' by ' || {} || ' ' || m.origin || m.phase || ' ' || t.kind || COALESCE(t.body, '-') \
             || t.content || ' ' || {} || ' ' || {} || ' ' || {} || ' ' || {} || ' ' || {} || ' ' || {} || ' ' || {} FROM message m \
             JOIN message_content t ON t.workspace_id = m.workspace_id AND t.message_id = m.id WHERE m.workspace_id = {w}",
            who("m.person_id"),
            n("m.sent_at"),
            n("m.delivered_at"),
            n("m.read_at"),
            n("m.played_at"),
            n("m.failed_at"),
            n("m.edited_at"),
            n("m.withdrawn_at")
        ),
        format!(
            "SELECT 'conversation of ' || {} || ' ' || number_id || {} || ' ' || {} FROM conversation c WHERE workspace_id = {w}",
            who("c.person_id"),
            n("last_inbound_at"),
            n("last_message_at")
        ),
        format!(
            "SELECT 'person ' || COALESCE(name, '-') || COALESCE(username, '-') FROM person WHERE workspace_id = {w}"
        ),
        format!("SELECT 'orphan ' || wamid || kind || news FROM orphan WHERE workspace_id = {w}"),
        format!(
            "SELECT 'reaction ' || target || COALESCE(emoji, '-') || CAST(at AS TEXT) FROM reaction WHERE workspace_id = {w}"
        ),
    ];
    let mut lines = Vec::new();
    for query in queries {
        lines.extend(raw.texts(&query).await);
    }
    lines
}

both_engines!(duplicates_and_shuffles_change_nothing, |db| async move {
    let world = World::open(&db).await;
    let raw = tokio::sync::Mutex::new(Raw::open(&db).await);
    let next = std::sync::atomic::AtomicI64::new(10);
    let cases = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let run = || {
        TestRunner::new(cases).run(&(steps(), any::<u64>()), |(steps, seed)| {
            let updates = updates(&steps);
            let (plain, mixed) = tokio::runtime::Handle::current().block_on(async {
                let id = next.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
                let in_order = World { workspace: WorkspaceId(id), ..world.clone() };
                in_order.ingest(&updates).await;
                let shuffled = World { workspace: WorkspaceId(id + 1), ..world.clone() };
                let chance = SeededChance::new(seed);
                let mut all: Vec<Update> = updates.iter().chain(&updates).cloned().collect();
                chance.shuffle(&mut all);
                let mut rest = &all[..];
                while !rest.is_empty() {
                    let n = 1 + usize::try_from(chance.below(rest.len() as u64)).unwrap();
                    shuffled.ingest(&rest[..n]).await;
                    rest = &rest[n..];
                }
                let mut raw = raw.lock().await;
                (picture(&mut raw, in_order.workspace).await, picture(&mut raw, shuffled.workspace).await)
            });
            prop_assert_eq!(plain, mixed);
            Ok(())
        })
    };
    tokio::task::block_in_place(run).unwrap();
});
