//! The gate's transaction: look up, let the pure decision decide, store message, job, events and answer together.

use crate::apply;
use crate::conn::{Conn, vals};
use crate::consent::{self, Policies};
use crate::events;
use crate::lanes;
use crate::load;
use crate::rows::HeadRow;
use ponte_domain::Millis;
use ponte_domain::conversation::restriction_scope;
use ponte_domain::error::StoreError;
use ponte_domain::identity::{Identity, IdentityLink};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::message::MessageHead;
use ponte_domain::ports::store::{AdmitFn, AdmitKey, AdmitView, Answer};
use sqlx::FromRow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

pub(crate) async fn admit(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    keys: &[AdmitKey],
    decide: &AdmitFn,
) -> Result<Vec<Answer>, StoreError> {
    let views = views(c, workspace, now, keys).await?;
    let admissions = Arc::clone(decide)(views);
    let (mut people, mut identities, mut conversations, mut messages, mut jobs, mut happened, mut answers, mut asked) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for admission in admissions {
        people.extend(admission.new_person);
        identities.extend(admission.identities);
        conversations.extend(admission.new_conversation);
        messages.extend(admission.message);
        jobs.extend(admission.job);
        happened.extend(admission.events);
        asked.extend(admission.asked);
        answers.extend(admission.answer);
    }
    apply::people(c, workspace, &people).await?;
    apply::identities(c, workspace, &identities).await?;
    apply::conversations(c, workspace, &conversations).await?;
    apply::messages(c, workspace, &messages, now).await?;
    consent::ask(c, workspace, &asked).await?;
    events::append(c, workspace, happened).await?;
    lanes::enqueue(c, workspace, now, jobs).await?;
    Ok(answers)
}

#[derive(FromRow)]
struct EarlierRow {
    #[sqlx(flatten)]
    head: HeadRow,
    key: String,
    request_hash: Option<String>,
}

async fn views(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    keys: &[AdmitKey],
) -> Result<Vec<AdmitView>, StoreError> {
    let named: BTreeSet<&Identity> = keys.iter().flat_map(|k| &k.identities).collect();
    let links = load::identities(c, workspace, named.into_iter()).await?;
    let owner: HashMap<&Identity, PersonId> = links.iter().map(|l| (&l.identity, l.person)).collect();
    let persons: Vec<Option<PersonId>> =
        keys.iter().map(|k| k.person.or_else(|| k.identities.iter().find_map(|i| owner.get(i).copied()))).collect();
    let wanted: BTreeSet<PersonId> = persons.iter().flatten().copied().collect();
    let mut people: HashMap<PersonId, _> =
        load::persons(c, workspace, &wanted).await?.into_iter().map(|p| (p.id, p)).collect();
    // Who was erased is nobody: what is asked for them is refused and not kept.
    let erased: Vec<(Uuid,)> = c
        .select_in(
            "SELECT id FROM person WHERE workspace_id = $1 AND merged_into = id AND ",
            &["id"],
            "",
            vals![workspace.0],
            keys.iter().filter_map(|k| k.person).map(|p| vals![p.0]).collect(),
        )
        .await?;
    for (id,) in erased {
        people.remove(&PersonId(id));
    }
    let conversations: HashMap<_, _> = load::conversations(c, workspace, &wanted)
        .await?
        .into_iter()
        .map(|n| ((n.number.clone(), n.person), n))
        .collect();
    let mut identities: HashMap<PersonId, Vec<Identity>> = HashMap::new();
    for IdentityLink { identity, person } in load::identities_of(c, workspace, &wanted).await? {
        identities.entry(person).or_default().push(identity);
    }
    let policy =
        Policies::read(c, workspace, now, keys.iter().zip(&persons).filter_map(|(k, p)| Some((k.class, (*p)?))))
            .await?;
    let earlier = earlier(c, workspace, keys).await?;
    let mut blocked = HashMap::new();
    for key in keys {
        if !blocked.contains_key(&key.number) {
            // A hold for pacing ends soon and is the dispatcher's business; only WhatsApp's restriction concerns the gate.
            let until = crate::sends::held_until(c, workspace, &restriction_scope(&key.number)).await?;
            blocked.insert(key.number.clone(), (until > 0).then_some(until));
        }
    }
    Ok(keys
        .iter()
        .zip(persons)
        .map(|(key, person)| AdmitView {
            person: person.and_then(|p| people.get(&p).cloned()),
            identities: person.and_then(|p| identities.get(&p).cloned()).unwrap_or_default(),
            conversation: person.and_then(|p| conversations.get(&(key.number.clone(), p)).cloned()),
            earlier: key.idempotency_key.as_ref().and_then(|k| earlier.get(k).cloned()),
            number_blocked_until: blocked.get(&key.number).copied().flatten(),
            policy: policy.of(key.class, person, true),
        })
        .collect())
}

async fn earlier(
    c: &mut Conn,
    workspace: WorkspaceId,
    keys: &[AdmitKey],
) -> Result<HashMap<String, (MessageHead, Option<String>)>, StoreError> {
    let wanted = keys.iter().filter_map(|k| k.idempotency_key.as_ref()).map(|k| vals![k.as_str()]).collect();
    let rows: Vec<EarlierRow> = c
        .select_in(
            &format!(
                "SELECT {}, i.key, i.request_hash FROM idempotency i JOIN message m ON m.workspace_id = i.workspace_id \
                 AND m.id = i.message_id WHERE i.workspace_id = $1 AND ",
                HeadRow::COLUMNS
            ),
            &["i.key"],
            "",
            vals![workspace.0],
            wanted,
        )
        .await?;
    rows.into_iter().map(|r| Ok((r.key, (r.head.read()?, r.request_hash)))).collect()
}
