//! Sends: claiming within the limits of a number, and settling what became of the calls.
//! Invariants: a message is marked as being sent before the claim is handed out; a unit of a limit is taken in the same
//! transaction; no settlement is applied under an old fence.
//! Failure story: killed after a claim, the lane's lease runs out and the job is found begun: whoever claims it next must find
//! out what became of it before anything is sent.

use crate::address;
use crate::conn::{Conn, vals};
use crate::consent::Policies;
use crate::events;
use crate::lanes::{self, JobRow, Lease};
use crate::limits::{Pairs, People};
use crate::load;
use crate::reach;
use crate::rows::HeadRow;
use ponte_domain::conversation::{News, restriction_scope};
use ponte_domain::error::{CallError, StoreError};
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::identity::Identity;
use ponte_domain::ids::{MessageId, PersonId, WorkspaceId};
use ponte_domain::job::{Class, JobEnd, JobKind, Lane};
use ponte_domain::message::{MessageHead, NewIdentity, Phase};
use ponte_domain::ports::store::{
    ClaimedSends, OutMessage, PolicyView, SendClaim, SendEnd, SendSettlement, SendTask, SendWhat,
};
use ponte_domain::{Millis, SECOND};
use serde_json::json;
use sqlx::FromRow;
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Until when a scope is held back; 0 when it isn't.
pub(crate) async fn held_until(c: &mut Conn, workspace: WorkspaceId, scope: &str) -> Result<Millis, StoreError> {
    Ok(limiter(c, workspace, &format!("hold/{scope}")).await? / 1000)
}

/// Holds a scope back until then, or longer if it was held longer.
pub(crate) async fn hold(c: &mut Conn, workspace: WorkspaceId, scope: &str, until: Millis) -> Result<(), StoreError> {
    keep_limiter(c, workspace, &format!("hold/{scope}"), until.saturating_mul(1000)).await
}

async fn limiter(c: &mut Conn, workspace: WorkspaceId, key: &str) -> Result<i64, StoreError> {
    let lock = if c.is_postgres() { " FOR UPDATE" } else { "" };
    let row: Option<(i64,)> = c
        .first(format!("SELECT tat FROM limiter WHERE workspace_id = $1 AND key = $2{lock}"), vals![workspace.0, key])
        .await?;
    Ok(row.map_or(0, |(tat,)| tat))
}

async fn keep_limiter(c: &mut Conn, workspace: WorkspaceId, key: &str, tat: i64) -> Result<(), StoreError> {
    c.exec(
        "INSERT INTO limiter (workspace_id, key, tat) VALUES ($1, $2, $3) ON CONFLICT (workspace_id, key) \
         DO UPDATE SET tat = CASE WHEN excluded.tat > limiter.tat THEN excluded.tat ELSE limiter.tat END",
        vals![workspace.0, key, tat],
    )
    .await?;
    Ok(())
}

pub(crate) async fn claim(c: &mut Conn, node: &str, claim: &SendClaim) -> Result<ClaimedSends, StoreError> {
    let SendClaim { workspace, number, now, .. } = claim;
    let held = held_until(c, *workspace, number.as_str()).await?;
    if held > *now {
        return Ok(ClaimedSends { next_at: Some(held), ..ClaimedSends::default() });
    }
    let budget = Budget::read(c, claim).await?;
    if budget.granted == 0 {
        return Ok(ClaimedSends { next_at: Some(budget.next_at), more: true, ..ClaimedSends::default() });
    }
    let lease = Lease {
        workspace: *workspace,
        node,
        kind: JobKind::Send,
        scope: number.as_str(),
        now: *now,
        lease_ms: claim.lease_ms,
    };
    let mut leased: Vec<Lane> = Vec::new();
    for priority in 0..3 {
        let room = budget.granted - leased.len() as i64;
        if room > 0 {
            leased.extend(lease.take(c, priority, room).await?);
        }
    }
    let more = leased.len() as i64 == budget.granted;
    let tasks = tasks(c, claim, leased).await?;
    let (tasks, put_back) = within_limits(c, claim, tasks).await?;
    lanes::settle(c, *workspace, *now, put_back).await?;
    let fresh: Vec<&SendTask> = tasks.iter().filter(|t| !t.job.begun).collect();
    budget.spend(c, claim, fresh.len() as i64).await?;
    mark(c, *workspace, *now, &fresh).await?;
    let next_at = if more { Some(budget.next_at) } else { next_ready(c, claim).await? };
    Ok(ClaimedSends { tasks, next_at, more })
}

/// How many messages the number and the plan allow now.
struct Budget {
    granted: i64,
    next_at: Millis,
    number_tat: i64,
    plan_tat: i64,
}

impl Budget {
    async fn read(c: &mut Conn, claim: &SendClaim) -> Result<Self, StoreError> {
        let wanted = i64::try_from(claim.max).unwrap_or(i64::MAX);
        let number_tat = limiter(c, claim.workspace, &number_key(claim)).await?;
        let by_number = claim.limits.number.take(number_tat, claim.now, wanted);
        let (mut granted, mut next_at, mut plan_tat) = (by_number.granted, by_number.next_at, 0);
        if let Some(plan) = &claim.limits.plan {
            plan_tat = limiter(c, claim.workspace, PLAN).await?;
            let by_plan = plan.take(plan_tat, claim.now, wanted);
            granted = granted.min(by_plan.granted);
            next_at = next_at.max(by_plan.next_at);
        }
        Ok(Self { granted, next_at, number_tat, plan_tat })
    }

    async fn spend(&self, c: &mut Conn, claim: &SendClaim, spent: i64) -> Result<(), StoreError> {
        if spent == 0 {
            return Ok(());
        }
        let tat = claim.limits.number.take(self.number_tat, claim.now, spent).tat;
        keep_limiter(c, claim.workspace, &number_key(claim), tat).await?;
        if let Some(plan) = &claim.limits.plan {
            keep_limiter(c, claim.workspace, PLAN, plan.take(self.plan_tat, claim.now, spent).tat).await?;
        }
        Ok(())
    }
}

const PLAN: &str = "plan";

fn number_key(claim: &SendClaim) -> String {
    format!("number/{}", claim.number)
}

/// When the next lane of the number is ready, for the sleeper.
async fn next_ready(c: &mut Conn, claim: &SendClaim) -> Result<Option<Millis>, StoreError> {
    let mut next: Option<Millis> = None;
    for priority in 0..3_i64 {
        let row: Option<(Option<i64>,)> = c
            .first(
                "SELECT MIN(ready_at) FROM lane WHERE workspace_id = $1 AND kind = 'send' AND scope = $2 AND priority = $3",
                vals![claim.workspace.0, claim.number.as_str(), priority],
            )
            .await?;
        next = [next, row.and_then(|(at,)| at)].into_iter().flatten().min();
    }
    Ok(next)
}

#[derive(FromRow)]
struct OutRow {
    #[sqlx(flatten)]
    head: HeadRow,
    kind: String,
    body: Option<String>,
    content: String,
    reply_to: Option<String>,
    first_attempt_at: Option<Millis>,
    last_inbound_at: Option<Millis>,
    marketing_stopped_at: Option<Millis>,
}

/// What each leased lane has at its head.
async fn tasks(c: &mut Conn, claim: &SendClaim, leased: Vec<Lane>) -> Result<Vec<SendTask>, StoreError> {
    let mut heads = lanes::heads(c, claim.workspace, JobKind::Send, &leased).await?;
    let ids: BTreeSet<Uuid> = heads.values().filter_map(|h| h.message_id).collect();
    let mut messages = out_messages(c, claim, &ids).await?;
    let mut tasks = Vec::with_capacity(leased.len());
    let mut empty = Vec::new();
    for lane in leased {
        let Some(row) = heads.remove(&lane.key) else {
            empty.push(lane);
            continue;
        };
        let mut job = JobRow::job(&row);
        let what = match row.message_id {
            None => SendWhat::Receipt,
            Some(id) => messages.remove(&id).map_or(SendWhat::Missing, |m| SendWhat::Message(Box::new(m))),
        };
        // Doing a receipt twice changes nothing: nobody has to find out what became of it.
        job.begun = job.begun && !matches!(what, SendWhat::Receipt);
        if let (SendWhat::Message(m), Some(begun_at)) = (&what, job.begun_at.filter(|_| job.begun)) {
            let reported = later_ones_reported(c, claim, begun_at, m).await?;
            tasks.push(SendTask { lane, job, what: with_report(what, reported) });
            continue;
        }
        tasks.push(SendTask { lane, job, what });
    }
    lanes::close(c, claim.workspace, claim.now, &empty).await?;
    Ok(tasks)
}

fn with_report(what: SendWhat, reported: bool) -> SendWhat {
    match what {
        SendWhat::Message(mut m) => {
            m.later_ones_reported = reported;
            SendWhat::Message(m)
        }
        other => other,
    }
}

async fn later_ones_reported(
    c: &mut Conn,
    claim: &SendClaim,
    begun_at: Millis,
    m: &OutMessage,
) -> Result<bool, StoreError> {
    // A report that is in the journal and not yet read may be about this one.
    let unread: Option<(Option<i64>,)> = c
        .first("SELECT MIN(received_at) FROM journal_pending WHERE workspace_id = $1", vals![claim.workspace.0])
        .await?;
    if unread.and_then(|(oldest,)| oldest).is_some_and(|oldest| oldest < claim.now - SECOND) {
        return Ok(false);
    }
    // Templates can be held back by name and are then reported hours later (facts 5.6): only later ones of the same name tell
    // anything about them. The body of a template is its name.
    let row: Option<(i64,)> = c
        .first(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT m.id FROM message m JOIN message_content t \
             ON t.workspace_id = m.workspace_id AND t.message_id = m.id WHERE m.workspace_id = $1 AND m.number_id = $2 \
             AND m.accepted_at > $3 AND (m.sent_at IS NOT NULL OR m.delivered_at IS NOT NULL) AND m.id <> $4 \
             AND CASE WHEN $5 = '' THEN t.kind <> 'template' ELSE t.kind = 'template' AND t.body = $5 END LIMIT 3) AS later",
            vals![
                claim.workspace.0,
                claim.number.as_str(),
                begun_at.max(claim.working_since),
                m.head.id.0,
                m.template.as_deref().unwrap_or_default()
            ],
        )
        .await?;
    Ok(row.is_some_and(|(n,)| n >= 3))
}

async fn out_messages(
    c: &mut Conn,
    claim: &SendClaim,
    ids: &BTreeSet<Uuid>,
) -> Result<HashMap<Uuid, OutMessage>, StoreError> {
    let rows: Vec<OutRow> = c
        .select_in(
            &format!(
                "SELECT {}, t.kind, t.body, t.content, t.reply_to, m.first_attempt_at, n.last_inbound_at, p.marketing_stopped_at \
                 FROM message m JOIN message_content t ON t.workspace_id = m.workspace_id AND t.message_id = m.id \
                 JOIN conversation n ON n.workspace_id = m.workspace_id AND n.id = m.conversation_id \
                 JOIN person p ON p.workspace_id = m.workspace_id AND p.id = m.person_id \
                 WHERE m.workspace_id = $1 AND ",
                HeadRow::COLUMNS
            ), &["m.id"],
            "",
            vals![claim.workspace.0],
            ids.iter().map(|id| vals![*id]).collect(),
        )
        .await?;
    let mut messages = HashMap::with_capacity(rows.len());
    let mut people = BTreeSet::new();
    let restricted = held_until(c, claim.workspace, &restriction_scope(&claim.number)).await?;
    for row in rows {
        let head = row.head.read()?;
        people.insert(head.person);
        messages.insert(
            head.id.0,
            OutMessage {
                head,
                template: row.body.filter(|_| row.kind == "template"),
                content: row.content,
                reply_to: row.reply_to,
                to: None,
                last_inbound_at: row.last_inbound_at,
                marketing_stopped_at: row.marketing_stopped_at,
                policy: PolicyView::default(),
                number_blocked_until: (restricted > claim.now).then_some(restricted),
                first_attempt_at: row.first_attempt_at,
                later_ones_reported: false,
            },
        );
    }
    let mut addresses: HashMap<PersonId, Vec<Identity>> = HashMap::new();
    for link in load::identities_of(c, claim.workspace, &people).await? {
        addresses.entry(link.person).or_default().push(link.identity);
    }
    let dead = address::dead_lines(c, claim.workspace, &addresses).await?;
    // As it stands now: a withdrawal since the message was let in counts.
    let wanted = messages.values().map(|m| (looked_up_as(m), m.head.person));
    let policy = Policies::read(c, claim.workspace, claim.now, wanted).await?;
    for message in messages.values_mut() {
        let known = addresses.get(&message.head.person).map(Vec::as_slice).unwrap_or_default();
        message.to = address::choose(known, &claim.limits.portfolio, &dead);
        message.policy = policy.of(looked_up_as(message), Some(message.head.person), false);
    }
    Ok(messages)
}

/// A template may go outside the window: the ledger is asked, whatever class it was given.
fn looked_up_as(m: &OutMessage) -> Class {
    let class = m.head.class.unwrap_or(Class::Reply);
    if m.template.is_some() { class.max(Class::Transactional) } else { class }
}

type PutBack = Vec<(Lane, i64, JobEnd)>;

/// Takes a unit of the pair limit and, outside the window, of the portfolio's people for each; what has to wait is put back.
async fn within_limits(
    c: &mut Conn,
    claim: &SendClaim,
    tasks: Vec<SendTask>,
) -> Result<(Vec<SendTask>, PutBack), StoreError> {
    let mut pairs = Pairs::read(c, claim, &tasks).await?;
    let mut people = People::read(c, claim).await?;
    let (mut may, mut wait) = (Vec::with_capacity(tasks.len()), Vec::new());
    for task in tasks {
        let blocked_until = match &task.what {
            SendWhat::Message(m) if !task.job.begun && m.head.phase != Phase::Accepted => {
                match people.take(c, claim, m).await? {
                    Some(until) => Some(until),
                    None => pairs.take(&claim.limits.pair, m.head.person, claim.now),
                }
            }
            _ => None,
        };
        match blocked_until {
            Some(until) => wait.push((task.lane, task.job.seq, JobEnd::PutBack(until))),
            None => may.push(task),
        }
    }
    pairs.keep(c, claim).await?;
    Ok((may, wait))
}

/// `sending` is written before any call.
async fn mark(c: &mut Conn, workspace: WorkspaceId, now: Millis, tasks: &[&SendTask]) -> Result<(), StoreError> {
    let jobs: Vec<(String, i64)> = tasks.iter().map(|t| (t.lane.key.clone(), t.job.seq)).collect();
    lanes::begin(c, workspace, JobKind::Send, now, &jobs).await?;
    let ids = tasks
        .iter()
        .filter_map(|t| match &t.what {
            SendWhat::Message(m) if m.head.phase == Phase::Queued => Some(vals![m.head.id.0]),
            _ => None,
        })
        .collect();
    c.change_many(
        "id",
        "UPDATE message SET phase = 'sending', first_attempt_at = COALESCE(first_attempt_at, $2) FROM v \
         WHERE message.workspace_id = $1 AND message.id = v.id",
        vals![workspace.0, now],
        ids,
    )
    .await?;
    Ok(())
}

pub(crate) async fn settle(
    c: &mut Conn,
    workspace: WorkspaceId,
    node: &str,
    now: Millis,
    settlements: &[SendSettlement],
) -> Result<u64, StoreError> {
    let held = lanes::fenced(c, workspace, node, settlements.iter().map(|s| &s.lane)).await?;
    let (ours, lost): (Vec<_>, Vec<_>) = settlements.iter().partition(|s| lanes::is_ours(&held, &s.lane));
    let mut heads = heads_of(c, workspace, settlements.iter().filter_map(|s| s.message)).await?;
    let mut settling = Settling { workspace, now, changed: Vec::new(), events: Vec::new(), ends: Vec::new() };
    for settlement in ours {
        let head = settlement.message.and_then(|id| heads.remove(&id));
        settling.one(c, settlement, head).await?;
    }
    // A lane that was taken over in the meantime: that WhatsApp took the message is still true and must not be forgotten.
    for settlement in &lost {
        if let SendEnd::Accepted { wamid, .. } = &settlement.end
            && let Some(mut head) = settlement.message.and_then(|id| heads.remove(&id))
            && matches!(head.phase, Phase::Sending | Phase::Unknown | Phase::Queued | Phase::Dead)
        {
            head.phase = Phase::Accepted;
            head.wamid = head.wamid.or_else(|| wamid.clone().map(Into::into));
            head.stamps.accepted = head.stamps.accepted.or(Some(now));
            head.error = None;
            settling.adopt_orphans(c, &mut head).await?;
            // A dead letter of it would send it twice when somebody puts it back.
            crate::apply::settled(c, workspace, std::slice::from_ref(&head), now).await?;
            settling.event(EventKind::MessageAccepted, &head, json!({ "settled_by": "late answer" }));
            settling.changed.push(head);
        }
    }
    settling.changed.sort_by_key(|m| m.id);
    crate::apply::changed_messages(c, workspace, &settling.changed).await?;
    events::append(c, workspace, settling.events).await?;
    lanes::settle(c, workspace, now, settling.ends).await?;
    Ok(lost.len() as u64)
}

async fn heads_of(
    c: &mut Conn,
    workspace: WorkspaceId,
    ids: impl Iterator<Item = MessageId>,
) -> Result<HashMap<MessageId, MessageHead>, StoreError> {
    let ids: BTreeSet<MessageId> = ids.collect();
    let lock = if c.is_postgres() { " ORDER BY m.id FOR UPDATE" } else { "" };
    let rows: Vec<HeadRow> = c
        .select_in(
            &format!("SELECT {} FROM message m WHERE m.workspace_id = $1 AND ", HeadRow::COLUMNS),
            &["m.id"],
            lock,
            vals![workspace.0],
            ids.iter().map(|id| vals![id.0]).collect(),
        )
        .await?;
    rows.into_iter().map(|r| r.read().map(|h| (h.id, h))).collect()
}

struct Settling {
    workspace: WorkspaceId,
    now: Millis,
    changed: Vec<MessageHead>,
    events: Vec<NewEvent>,
    ends: PutBack,
}

impl Settling {
    async fn one(&mut self, c: &mut Conn, s: &SendSettlement, head: Option<MessageHead>) -> Result<(), StoreError> {
        let end = match (&s.end, head) {
            (SendEnd::Drop | SendEnd::AlreadyAccepted, _) => JobEnd::Done,
            (SendEnd::Accepted { wamid, identities, held }, Some(head)) => {
                self.accepted(c, head, wamid.clone(), identities, held.as_deref()).await?;
                JobEnd::Done
            }
            (SendEnd::Accepted { .. } | SendEnd::Refused(_), None) => JobEnd::Done,
            (SendEnd::Refused(rule), Some(head)) => {
                self.failed(head, Phase::Refused, EventKind::MessageRefused, rule.code, rule.title);
                JobEnd::Done
            }
            (SendEnd::PutBack(at), head) => {
                self.back_to_queue(head);
                JobEnd::PutBack(*at)
            }
            (SendEnd::Retry(at, error), head) => {
                if let Some(head) = self.back_to_queue(head) {
                    let data = json!({ "code": error.code, "title": error.title, "at": at });
                    self.event(EventKind::MessageRetrying, &head, data);
                }
                JobEnd::Retry(*at, error.clone())
            }
            (SendEnd::Unknown(at, error), head) => {
                self.unknown(c, s, head, *at, error).await?;
                return Ok(());
            }
            (SendEnd::Dead(error) | SendEnd::Undeliverable(error, ..), head) => {
                // A status may have proved it accepted while we made up our mind.
                match head {
                    Some(head) if head.phase == Phase::Accepted => JobEnd::Done,
                    Some(head) => {
                        if let SendEnd::Undeliverable(_, digits, rules) = &s.end {
                            let told =
                                reach::refused(c, self.workspace, self.now, &head, &error.code, digits, *rules).await?;
                            self.events.extend(told);
                        }
                        self.failed(head, Phase::Dead, EventKind::MessageDead, &error.code, &error.title);
                        JobEnd::Dead(error.clone())
                    }
                    None => JobEnd::Dead(error.clone()),
                }
            }
        };
        self.ends.push((s.lane.clone(), s.seq, end));
        Ok(())
    }

    async fn accepted(
        &mut self,
        c: &mut Conn,
        mut head: MessageHead,
        wamid: Option<String>,
        identities: &[Identity],
        held: Option<&str>,
    ) -> Result<(), StoreError> {
        let known = load::identities(c, self.workspace, identities.iter()).await?;
        let new: HashSet<Identity> =
            identities.iter().filter(|i| known.iter().all(|k| k.identity != **i)).cloned().collect();
        // Erased while the call was under way: the answer brings nobody back.
        if !new.is_empty() && crate::people::known_as_erased(c, self.workspace, &new).await?.is_empty() {
            let new: Vec<NewIdentity> =
                new.into_iter().map(|identity| NewIdentity { identity, person: head.person, at: self.now }).collect();
            crate::apply::identities(c, self.workspace, &new).await?;
        }
        let by_status = head.phase == Phase::Accepted;
        head.phase = Phase::Accepted;
        if head.wamid.is_none() {
            head.wamid = wamid.map(Into::into);
        }
        head.stamps.accepted = head.stamps.accepted.or(Some(self.now));
        head.error = None;
        self.adopt_orphans(c, &mut head).await?;
        if !by_status {
            self.event(EventKind::MessageAccepted, &head, json!({ "held": held }));
        }
        self.changed.push(head);
        Ok(())
    }

    /// Statuses that came before the answer and did not carry our id.
    async fn adopt_orphans(&mut self, c: &mut Conn, head: &mut MessageHead) -> Result<(), StoreError> {
        let Some(wamid) = head.wamid.clone() else { return Ok(()) };
        let key = vals![self.workspace.0, head.number.as_str(), wamid.as_str()];
        let rows: Vec<(String, Millis)> = c
            .all("SELECT news, at FROM orphan WHERE workspace_id = $1 AND number_id = $2 AND wamid = $3", key.clone())
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for (news, at) in rows {
            if let Ok(News::Status { status, error, .. }) = serde_json::from_str(&news)
                && head.stamps.merge(status, at)
            {
                head.error = error.or_else(|| head.error.take());
                self.event(EventKind::MessageStatus, head, json!({ "status": status, "at": at }));
            }
        }
        c.exec("DELETE FROM orphan WHERE workspace_id = $1 AND number_id = $2 AND wamid = $3", key).await?;
        Ok(())
    }

    fn back_to_queue(&mut self, head: Option<MessageHead>) -> Option<MessageHead> {
        let mut head = head?;
        if !matches!(head.phase, Phase::Sending | Phase::Unknown) {
            return None;
        }
        head.phase = Phase::Queued;
        self.changed.push(head.clone());
        Some(head)
    }

    async fn unknown(
        &mut self,
        c: &mut Conn,
        s: &SendSettlement,
        head: Option<MessageHead>,
        at: Millis,
        error: &CallError,
    ) -> Result<(), StoreError> {
        if let Some(mut head) = head
            && head.phase == Phase::Sending
        {
            head.phase = Phase::Unknown;
            self.event(EventKind::MessageUnknown, &head, json!({ "code": error.code, "look_again_at": at }));
            self.changed.push(head);
        }
        // The job stays begun: whoever claims it next has to find out first.
        c.exec(
            "UPDATE job SET not_before = $5 WHERE workspace_id = $1 AND kind = $2 AND lane_key = $3 AND seq = $4",
            vals![self.workspace.0, s.lane.kind.as_str(), s.lane.key.as_str(), s.seq, at],
        )
        .await?;
        lanes::close(c, self.workspace, self.now, std::slice::from_ref(&s.lane)).await
    }

    fn failed(&mut self, mut head: MessageHead, phase: Phase, kind: EventKind, code: &str, title: &str) {
        if head.phase == Phase::Accepted {
            return;
        }
        head.phase = phase;
        head.error = Some((code.to_owned(), title.to_owned()));
        self.event(kind, &head, json!({ "code": code, "title": title }));
        self.changed.push(head);
    }

    fn event(&mut self, kind: EventKind, head: &MessageHead, data: serde_json::Value) {
        self.events.push(NewEvent {
            kind,
            at: self.now,
            person: Some(head.person),
            conversation: Some(head.conversation),
            message: Some(head.id),
            number: Some(head.number.clone()),
            dedup: None,
            data: data.to_string(),
        });
    }
}
