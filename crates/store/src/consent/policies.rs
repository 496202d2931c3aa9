//! What the policy needs to know of many people at once: what stands, whether they were ever in touch, marketing of late, labels.
//! Must not touch: what is allowed. That is the domain's policy.

use super::standings;
use crate::conn::{Conn, vals};
use crate::load::ids;
use ponte_domain::consent::Standings;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::job::Class;
use ponte_domain::policy::Recent;
use ponte_domain::ports::store::PolicyView;
use ponte_domain::profile::Label;
use ponte_domain::{DAY, Millis};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Which of these people wrote, or were reached by a message. For marketing only: nobody else is asked for.
async fn contacted(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<BTreeSet<PersonId>, StoreError> {
    let wrote: Vec<(Uuid,)> = c
        .select_in(
            "SELECT person_id FROM conversation WHERE workspace_id = $1 AND last_inbound_at IS NOT NULL \
             AND ",
            &["person_id"],
            "",
            vals![workspace.0],
            ids(people),
        )
        .await?;
    let mut found: BTreeSet<PersonId> = wrote.into_iter().map(|(id,)| PersonId(id)).collect();
    let others: BTreeSet<PersonId> = people.difference(&found).copied().collect();
    // Not one statement with the first, and CROSS JOIN: both engines then begin with the threads of these people, who never
    // wrote and were sent little, and not with all messages.
    let reached: Vec<(Uuid,)> = c
        .select_in(
            "SELECT n.person_id FROM conversation n CROSS JOIN message m WHERE n.workspace_id = $1 \
             AND m.workspace_id = n.workspace_id AND m.conversation_id = n.id AND m.phase IN ('accepted', 'received') \
             AND ",
            &["n.person_id"],
            "",
            vals![workspace.0],
            ids(&others),
        )
        .await?;
    found.extend(reached.into_iter().map(|(id,)| PersonId(id)));
    Ok(found)
}

/// Marketing messages of late: on their way, taken within a day, taken within a week.
struct Sent(HashMap<PersonId, (i64, i64, i64)>);

const WEEK: Millis = 7 * DAY;
/// A message may wait for days before it is taken: looked for this long after it was let in.
const LOOK_BACK: Millis = 3 * WEEK;

impl Sent {
    pub(crate) async fn read(
        c: &mut Conn,
        workspace: WorkspaceId,
        people: &BTreeSet<PersonId>,
        now: Millis,
    ) -> Result<Self, StoreError> {
        // Counted person by person: joined, a young PostgreSQL takes the partial index for empty and reads all of it.
        let count = |which: &str| {
            format!(
                "(SELECT CAST(COUNT(*) AS BIGINT) FROM message m WHERE m.workspace_id = p.workspace_id \
                 AND m.person_id = p.id AND m.class = 'marketing' AND m.phase <> 'refused' AND m.at > $2 AND {which})"
            )
        };
        let rows: Vec<(Uuid, i64, i64, i64)> = c
            .select_in(
                &format!(
                    "SELECT p.id, {}, {}, {} FROM person p WHERE p.workspace_id = $1 AND ",
                    count("m.phase IN ('queued', 'sending', 'unknown')"),
                    count("m.accepted_at > $3"),
                    count("m.accepted_at > $4")
                ),
                &["p.id"],
                "",
                vals![workspace.0, now - LOOK_BACK, now - DAY, now - WEEK],
                ids(people),
            )
            .await?;
        Ok(Self(rows.into_iter().map(|(id, waiting, day, week)| (PersonId(id), (waiting, day, week))).collect()))
    }

    /// `waiting`: those on their way count too, as they do for one more that wants in; of those that are in, each goes in its
    /// turn.
    pub(crate) fn recent(&self, person: PersonId, waiting: bool) -> Recent {
        let (on_the_way, day, week) = self.0.get(&person).copied().unwrap_or_default();
        let more = if waiting { on_the_way } else { 0 };
        let number = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        Recent { day: number(day + more), week: number(week + more) }
    }
}

/// The labels of those who have any.
async fn labels(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, Vec<Label>>, StoreError> {
    let rows: Vec<(Uuid, String)> = c
        .select_in(
            "SELECT id, labels FROM person WHERE workspace_id = $1 AND labels <> '' AND ",
            &["id"],
            "",
            vals![workspace.0],
            ids(people),
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, words)| (PersonId(id), words.split(',').filter_map(Label::parse).collect()))
        .collect())
}

/// What the policy needs of many people at once: one look for all, one more for what isn't a reply, two more for marketing.
pub(crate) struct Policies {
    standings: HashMap<PersonId, Standings>,
    contacted: BTreeSet<PersonId>,
    sent: Sent,
    labels: HashMap<PersonId, Vec<Label>>,
}

impl Policies {
    pub(crate) async fn read(
        c: &mut Conn,
        workspace: WorkspaceId,
        now: Millis,
        wanted: impl Iterator<Item = (Class, PersonId)>,
    ) -> Result<Self, StoreError> {
        let (mut all, mut begun, mut marketing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (class, person) in wanted {
            all.insert(person);
            if class != Class::Reply {
                begun.insert(person);
            }
            if class == Class::Marketing {
                marketing.insert(person);
            }
        }
        Ok(Self {
            standings: standings(c, workspace, &begun).await?,
            contacted: contacted(c, workspace, &marketing).await?,
            sent: Sent::read(c, workspace, &marketing, now).await?,
            labels: labels(c, workspace, &all).await?,
        })
    }

    /// What is known of one recipient. `wants_in`: the message isn't stored yet.
    pub(crate) fn of(&self, class: Class, person: Option<PersonId>, wants_in: bool) -> PolicyView {
        let marketing = class == Class::Marketing;
        let Some(person) = person else { return PolicyView { contacted: !marketing, ..PolicyView::default() } };
        PolicyView {
            standings: self.standings.get(&person).cloned().unwrap_or_default(),
            labels: self.labels.get(&person).cloned().unwrap_or_default(),
            contacted: !marketing || self.contacted.contains(&person),
            recent: if marketing { self.sent.recent(person, wants_in) } else { Recent::default() },
        }
    }
}
