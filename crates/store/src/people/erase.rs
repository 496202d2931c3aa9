//! Erasing a person: identifiers, names, profile, texts, files and records of merges go; what stays is counted, not told: rows
//! of messages with their times and states, and a keyed hash of each identifier, so that a later import or webhook brings
//! nobody back unseen. The hash is keyed with a secret of the database, for phone numbers are few enough to be guessed.
//! The raw journal is scrubbed in portions before and after ([`scrub`]).
//! Failure story: what is looked for in the journal is written down when the erasure begins ([`begin`]) and removed when it
//! ends, for the erasing transaction takes it away everywhere else. Killed anywhere in between, the erasure stays open, and
//! whoever erases again, or the retention of a serving program, goes on with it.

use crate::conn::{Conn, vals};
use crate::content;
use crate::events;
use crate::journal;
use crate::load;
use crate::people::underway;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::ports::people::Erased;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// What replaces a webhook body in which an erased person was named: a body that says nothing.
const SCRUBBED: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;

async fn key(c: &mut Conn, workspace: WorkspaceId) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> =
        c.first("SELECT key FROM erasure_key WHERE workspace_id = $1", vals![workspace.0]).await?;
    Ok(row.map(|(key,)| key))
}

/// A phone number and a WhatsApp id of the same digits are one line: erased as the one, known as the other.
fn digest(key: &str, identity: &Identity) -> String {
    let kind = match identity.kind {
        IdentityKind::Phone | IdentityKind::WaId => "number",
        other => other.as_str(),
    };
    let mut hash = Sha256::new();
    for part in [key, kind, &identity.scope, &identity.value] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether anybody was ever erased.
pub(crate) async fn remembers(c: &mut Conn, workspace: WorkspaceId) -> Result<bool, StoreError> {
    Ok(key(c, workspace).await?.is_some())
}

/// Which of these identifiers belong to somebody who was erased.
pub(crate) async fn known(
    c: &mut Conn,
    workspace: WorkspaceId,
    identities: &HashSet<Identity>,
) -> Result<HashSet<Identity>, StoreError> {
    let Some(key) = key(c, workspace).await? else { return Ok(HashSet::new()) };
    let by_digest: HashMap<String, Vec<&Identity>> = identities.iter().fold(HashMap::new(), |mut all, identity| {
        all.entry(digest(&key, identity)).or_insert_with(Vec::new).push(identity);
        all
    });
    let wanted = by_digest.keys().map(|d| vals![d.as_str()]).collect();
    let rows: Vec<(String,)> = c
        .select_in(
            "SELECT digest FROM erased_identity WHERE workspace_id = $1 AND ",
            &["digest"],
            "",
            vals![workspace.0],
            wanted,
        )
        .await?;
    Ok(rows.iter().filter_map(|(d,)| by_digest.get(d)).flatten().map(|i| (*i).clone()).collect())
}

/// The person and everybody who was merged into them, whatever was merged into those.
pub(crate) async fn family(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
) -> Result<BTreeSet<PersonId>, StoreError> {
    let mut all = BTreeSet::from([person]);
    let mut next = vec![person];
    while let Some(one) = next.pop() {
        let rows: Vec<(Uuid,)> = c
            .all("SELECT id FROM person WHERE workspace_id = $1 AND merged_into = $2", vals![workspace.0, one.0])
            .await?;
        next.extend(rows.into_iter().map(|(id,)| PersonId(id)).filter(|id| all.insert(*id)));
    }
    Ok(all)
}

/// Every identifier these people have or had.
pub(crate) async fn identifiers(
    c: &mut Conn,
    workspace: WorkspaceId,
    family: &BTreeSet<PersonId>,
) -> Result<Vec<Identity>, StoreError> {
    let mut found: BTreeSet<Identity> =
        load::identities_of(c, workspace, family).await?.into_iter().map(|l| l.identity).collect();
    for person in family {
        let past: Vec<(String, String, String)> = c
            .all(
                "SELECT kind, scope, value FROM identity_past WHERE workspace_id = $1 AND person_id = $2",
                vals![workspace.0, person.0],
            )
            .await?;
        found.extend(
            past.into_iter()
                .filter_map(|(kind, scope, value)| Some(Identity { kind: IdentityKind::parse(&kind)?, scope, value })),
        );
    }
    Ok(found.into_iter().collect())
}

/// Begins an erasure, or goes on with one: what to look for in the journal, from now and from before.
pub(crate) async fn begin(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    new_key: &str,
    now: Millis,
) -> Result<Vec<String>, StoreError> {
    let standing: Option<(Option<Uuid>,)> = c
        .first("SELECT merged_into FROM person WHERE workspace_id = $1 AND id = $2", vals![workspace.0, person.0])
        .await?;
    match standing {
        None => return Err(StoreError::NotFound("a person with this id".into())),
        // Alone it would erase nothing: what was theirs is the survivor's.
        Some((Some(into),)) if into != person.0 => {
            let into = PersonId(into);
            return Err(StoreError::NotFound(format!(
                "a person of their own: they are part of {into}, erase that one"
            )));
        }
        Some(_) => {}
    }
    let family = family(c, workspace, person).await?;
    c.exec(
        "INSERT INTO erasure_key (workspace_id, key) VALUES ($1, $2) ON CONFLICT (workspace_id) DO NOTHING",
        vals![workspace.0, new_key],
    )
    .await?;
    let identities = identifiers(c, workspace, &family).await?;
    remember(c, workspace, person, &identities, now).await
}

/// Adds to what an erasure looks for; all of it.
async fn remember(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    identities: &[Identity],
    now: Millis,
) -> Result<Vec<String>, StoreError> {
    let known: Option<(String,)> = c
        .first(
            "SELECT needles FROM open_erasure WHERE workspace_id = $1 AND person_id = $2",
            vals![workspace.0, person.0],
        )
        .await?;
    let mut needles: BTreeSet<String> = match known {
        Some((text,)) => serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("open_erasure.needles".into()))?,
        None => BTreeSet::new(),
    };
    needles.extend(identities.iter().filter_map(Identity::needle).map(str::to_owned));
    let text = serde_json::to_string(&needles).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    c.exec(
        "INSERT INTO open_erasure (workspace_id, person_id, needles, begun_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace_id, person_id) DO UPDATE SET needles = excluded.needles",
        vals![workspace.0, person.0, text, now],
    )
    .await?;
    Ok(needles.into_iter().collect())
}

/// Erasures that were begun before `before` and haven't ended.
pub(crate) async fn open(c: &mut Conn, workspace: WorkspaceId, before: Millis) -> Result<Vec<PersonId>, StoreError> {
    let rows: Vec<(Uuid,)> = c
        .all("SELECT person_id FROM open_erasure WHERE workspace_id = $1 AND begun_at < $2", vals![workspace.0, before])
        .await?;
    Ok(rows.into_iter().map(|(id,)| PersonId(id)).collect())
}

/// Ends an erasure: what it looked for is forgotten too.
pub(crate) async fn end(c: &mut Conn, workspace: WorkspaceId, person: PersonId) -> Result<(), StoreError> {
    c.exec("DELETE FROM open_erasure WHERE workspace_id = $1 AND person_id = $2", vals![workspace.0, person.0]).await?;
    Ok(())
}

pub(crate) async fn erase(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    new_key: &str,
    now: Millis,
) -> Result<Erased, StoreError> {
    // Said again inside: what was learnt of them since it began is looked for too.
    let needles = begin(c, workspace, person, new_key, now).await?;
    let family = family(c, workspace, person).await?;
    let key = key(c, workspace).await?.ok_or_else(|| StoreError::Corrupt("erasure_key".into()))?;
    // Whoever lets a message of theirs in meanwhile comes before this, or after: then they are nobody.
    load::persons(c, workspace, &family).await?;
    let identities = identifiers(c, workspace, &family).await?;
    let digests: BTreeSet<String> = identities.iter().map(|i| digest(&key, i)).collect();
    c.insert_many(
        "INSERT INTO erased_identity (workspace_id, digest, erased_at)",
        "ON CONFLICT (workspace_id, digest) DO NOTHING",
        digests.into_iter().map(|d| vals![workspace.0, d, now]).collect(),
    )
    .await?;
    crate::reach::forget(c, workspace, &identities).await?;
    let mut erased = Erased { people: family.len() as u64, identities: identities.len() as u64, ..Erased::default() };
    for one in &family {
        underway::remove(c, workspace, *one).await?;
        erased.messages += one_person(c, workspace, *one, now).await?;
    }
    nameless(c, workspace, &needles).await?;
    events::append(
        c,
        workspace,
        vec![NewEvent {
            kind: EventKind::PersonErased,
            at: now,
            person: Some(person),
            conversation: None,
            message: None,
            number: None,
            dedup: None,
            data: "{}".to_owned(),
        }],
    )
    .await?;
    Ok(erased)
}

/// What is kept of webhooks that weren't understood, or came before what they are about, names nobody by our id: found by
/// what it says.
async fn nameless(c: &mut Conn, workspace: WorkspaceId, needles: &[String]) -> Result<(), StoreError> {
    for needle in needles {
        for statement in [
            "UPDATE event SET data = '{}' WHERE workspace_id = $1 AND kind = 'webhook.unrecognised' \
             AND data LIKE '%' || $2 || '%'",
            "DELETE FROM orphan WHERE workspace_id = $1 AND news LIKE '%' || $2 || '%'",
        ] {
            c.exec(statement, vals![workspace.0, needle.as_str()]).await?;
        }
    }
    Ok(())
}

/// Removes a person and those merged into them, without a trace: nobody asked to be remembered as erased.
pub(crate) async fn remove(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    now: Millis,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    for one in family(c, workspace, person).await? {
        one_person(c, workspace, one, now).await?;
        removed += c.exec("DELETE FROM person WHERE workspace_id = $1 AND id = $2", vals![workspace.0, one.0]).await?;
    }
    Ok(removed)
}

async fn one_person(c: &mut Conn, workspace: WorkspaceId, person: PersonId, now: Millis) -> Result<u64, StoreError> {
    let who = || vals![workspace.0, person.0];
    let theirs: Vec<(Uuid,)> =
        c.all("SELECT id FROM message WHERE workspace_id = $1 AND person_id = $2", who()).await?;
    let theirs: Vec<Uuid> = theirs.into_iter().map(|(id,)| id).collect();
    let messages = content::forget(c, workspace, &theirs, now).await?;
    // What hasn't gone out yet doesn't go out any more.
    c.exec(
        "UPDATE message SET phase = 'refused', error_code = 'erased', error_title = 'The person was erased.' \
         WHERE workspace_id = $1 AND person_id = $2 AND phase = 'queued'",
        who(),
    )
    .await?;
    for statement in [
        "UPDATE event SET data = '{}', dedup = NULL WHERE workspace_id = $1 AND person_id = $2",
        "UPDATE conversation SET referral = NULL WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM identity WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM identity_past WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM crm_trigger WHERE workspace_id = $1 AND EXISTS (SELECT 1 FROM crm_contact k WHERE k.workspace_id = $1 \
         AND k.person_id = $2 AND k.connection = crm_trigger.connection AND k.crm_id = crm_trigger.crm_id)",
        "DELETE FROM crm_skip WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM crm_contact WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM crm_sending WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_entry WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_state WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_request WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_thanks WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM person_mark WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM duplicate_pair WHERE workspace_id = $1 AND a = $2",
        "DELETE FROM duplicate_pair WHERE workspace_id = $1 AND b = $2",
        "DELETE FROM merge_message WHERE workspace_id = $1 AND merge_id IN (SELECT id FROM merge_record \
         WHERE workspace_id = $1 AND (survivor = $2 OR other = $2))",
        "DELETE FROM merge_record WHERE workspace_id = $1 AND survivor = $2",
        "DELETE FROM merge_record WHERE workspace_id = $1 AND other = $2",
    ] {
        c.exec(statement, who()).await?;
    }
    c.change_many(
        "id",
        "DELETE FROM crm_message WHERE workspace_id = $1 AND message_id IN (SELECT id FROM v)",
        vals![workspace.0],
        theirs.into_iter().map(|id| vals![id]).collect(),
    )
    .await?;
    // The row stays for the messages that point to it. Part of itself, it is nobody in lists, searches and merges.
    c.exec(
        "UPDATE person SET name = NULL, username = NULL, profile = '', labels = '', profile_at = NULL, merged_into = id, \
         changed_at = $3 WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, person.0, now],
    )
    .await?;
    Ok(messages)
}

/// Keys of files that only messages of these people have.
pub(crate) async fn files(
    c: &mut Conn,
    workspace: WorkspaceId,
    family: &BTreeSet<PersonId>,
) -> Result<Vec<String>, StoreError> {
    let mut keys = BTreeSet::new();
    for person in family {
        let rows: Vec<(String,)> = c
            .all(
                "SELECT DISTINCT t.media_key FROM message m JOIN message_content t ON t.workspace_id = m.workspace_id \
                 AND t.message_id = m.id WHERE m.workspace_id = $1 AND m.person_id = $2 AND t.media_key IS NOT NULL",
                vals![workspace.0, person.0],
            )
            .await?;
        keys.extend(rows.into_iter().map(|(key,)| key));
    }
    Ok(keys.into_iter().collect())
}

/// Scrubs the ingested segments after `after`, up to `limit`: bodies that name one of `needles` say nothing afterwards. Gives
/// the last segment looked at, `None` at the end, and how many bodies were scrubbed.
pub(crate) async fn scrub(
    c: &mut Conn,
    workspace: WorkspaceId,
    after: i64,
    needles: &[String],
    limit: i64,
) -> Result<(Option<i64>, u64), StoreError> {
    let segments = journal::read(c, workspace, after, limit).await?;
    let last = segments.last().map(|s| s.seq);
    let mut scrubbed = 0;
    for mut segment in segments {
        let pending: Option<(i64,)> = c
            .first(
                "SELECT seq FROM journal_pending WHERE workspace_id = $1 AND seq = $2",
                vals![workspace.0, segment.seq],
            )
            .await?;
        if pending.is_some() {
            continue;
        }
        let mut changed = 0;
        for entry in &mut segment.entries {
            let text = String::from_utf8_lossy(&entry.body);
            if needles.iter().any(|needle| text.contains(needle.as_str())) {
                entry.body = bytes::Bytes::from_static(SCRUBBED);
                changed += 1;
            }
        }
        if changed > 0 {
            journal::rewrite(c, workspace, segment.seq, &segment.entries).await?;
            scrubbed += changed;
        }
    }
    Ok((last, scrubbed))
}
