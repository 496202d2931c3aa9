//! Erasing a person: identifiers, names, profile, texts, files and records of merges go; what stays is counted, not told: rows
//! of messages with their times and states, and a keyed hash of each identifier, so that a later import or webhook brings
//! nobody back unseen. The hash is keyed with a secret of the database, for phone numbers are few enough to be guessed.
//! The raw journal is scrubbed in portions before and after ([`scrub`]).
//! Failure story: the erasure is one transaction. Killed before it, the journal is scrubbed and nothing else is gone: begin again.

use crate::conn::{Conn, vals};
use crate::events;
use crate::journal;
use crate::load;
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
            .all(
                "SELECT other FROM merge_record WHERE workspace_id = $1 AND survivor = $2 AND undone_at IS NULL",
                vals![workspace.0, one.0],
            )
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

pub(crate) async fn erase(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    new_key: &str,
    now: Millis,
) -> Result<Erased, StoreError> {
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
    let key = key(c, workspace).await?.ok_or_else(|| StoreError::Corrupt("erasure_key".into()))?;
    let identities = identifiers(c, workspace, &family).await?;
    let digests: BTreeSet<String> = identities.iter().map(|i| digest(&key, i)).collect();
    c.insert_many(
        "INSERT INTO erased_identity (workspace_id, digest, erased_at)",
        "ON CONFLICT (workspace_id, digest) DO NOTHING",
        digests.into_iter().map(|d| vals![workspace.0, d, now]).collect(),
    )
    .await?;
    let mut erased = Erased { people: family.len() as u64, identities: identities.len() as u64, ..Erased::default() };
    for one in &family {
        erased.messages += one_person(c, workspace, *one, now).await?;
    }
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

async fn one_person(c: &mut Conn, workspace: WorkspaceId, person: PersonId, now: Millis) -> Result<u64, StoreError> {
    let who = || vals![workspace.0, person.0];
    let theirs = "(SELECT id FROM message WHERE workspace_id = $1 AND person_id = $2)";
    let messages = c
        .exec(
            format!(
                "UPDATE message_content SET body = NULL, content = '{{\"erased\":true}}', reply_to = NULL, media = NULL, \
                 media_key = NULL, media_bytes = NULL, media_type = NULL, pricing = NULL \
                 WHERE workspace_id = $1 AND message_id IN {theirs}"
            ),
            who(),
        )
        .await?;
    // What hasn't gone out yet doesn't go out any more.
    c.exec(
        "UPDATE message SET phase = 'refused', error_code = 'erased', error_title = 'The person was erased.' \
         WHERE workspace_id = $1 AND person_id = $2 AND phase = 'queued'",
        who(),
    )
    .await?;
    for statement in [
        "DELETE FROM orphan WHERE workspace_id = $1 AND (number_id, wamid) IN (SELECT number_id, wamid FROM message \
         WHERE workspace_id = $1 AND person_id = $2 AND wamid IS NOT NULL)",
        "DELETE FROM reaction WHERE workspace_id = $1 AND (number_id, target) IN (SELECT number_id, wamid FROM message \
         WHERE workspace_id = $1 AND person_id = $2 AND wamid IS NOT NULL)",
        "UPDATE event SET data = '{}', dedup = NULL WHERE workspace_id = $1 AND person_id = $2",
        "UPDATE conversation SET referral = NULL WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM identity WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM identity_past WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM crm_contact WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_entry WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_state WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_request WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM consent_thanks WHERE workspace_id = $1 AND person_id = $2",
        "DELETE FROM duplicate_pair WHERE workspace_id = $1 AND a = $2",
        "DELETE FROM duplicate_pair WHERE workspace_id = $1 AND b = $2",
        "DELETE FROM merge_message WHERE workspace_id = $1 AND merge_id IN (SELECT id FROM merge_record \
         WHERE workspace_id = $1 AND (survivor = $2 OR other = $2))",
        "DELETE FROM merge_record WHERE workspace_id = $1 AND survivor = $2",
        "DELETE FROM merge_record WHERE workspace_id = $1 AND other = $2",
    ] {
        c.exec(statement, who()).await?;
    }
    c.exec(format!("DELETE FROM crm_message WHERE workspace_id = $1 AND message_id IN {theirs}"), who()).await?;
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

/// Whether any message still has this file.
pub(crate) async fn file_is_used(c: &mut Conn, workspace: WorkspaceId, file: &str) -> Result<bool, StoreError> {
    let row: Option<(i64,)> = c
        .first(
            "SELECT CAST(1 AS BIGINT) FROM message_content WHERE workspace_id = $1 AND media_key = $2 LIMIT 1",
            vals![workspace.0, file],
        )
        .await?;
    Ok(row.is_some())
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
