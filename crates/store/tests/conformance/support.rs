//! What the bodies share: opening, webhook items, requests of the gate, raw SQL.

use bytes::Bytes;
use ponte_domain::Millis;
use ponte_domain::consent::ConsentSettings;
use ponte_domain::conversation::{Context, Directory, Located, fold, keys_of, send_lane};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::event::{Event, EventCursor, EventKind, NewEvent};
use ponte_domain::identity::{Identity, IdentityKind, Party};
use ponte_domain::ids::{ConversationId, IdSource, MessageId, NumberId, PersonId, WorkspaceId};
use ponte_domain::inbound::{InboundMessage, StatusUpdate, Update, UpdateKind};
use ponte_domain::job::{Class, JobEnd, JobKind, Lane, NewJob};
use ponte_domain::message::{Conversation, MessageHead, NewIdentity, NewMessage, Origin, Person, Phase};
use ponte_domain::ports::store::{
    Admission, AdmitKey, AdmitView, Answer, ClaimedSends, ContactEnd, CrmEnd, IngestCounts, JournalEntry, SendClaim,
    SendEnd, SendLimits, SendSettlement, SendTask, SendWhat, Store,
};
use ponte_domain::rate::Limit;
use ponte_domain::status::{Stamps, Status};
use ponte_store::{Database, Options, SqlStore};
use ponte_testkit::{Place, SeededIds, TestDatabase};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const T0: Millis = 1_700_000_000_000;
pub const W: WorkspaceId = WorkspaceId(1);
pub const NUMBER: &str = "100200300";
pub const LEASE: Millis = 10_000;

pub fn contact_end(person: PersonId, crm_id: &str, hash: &str) -> ContactEnd {
    ContactEnd { person, crm_id: crm_id.into(), hash: hash.into(), base: None, skips: Vec::new() }
}

pub fn number() -> NumberId {
    NUMBER.into()
}

pub fn options(db: &TestDatabase, node: &str) -> Options {
    let database = match db.place() {
        Place::Sqlite(path) => Database::Sqlite(path.clone()),
        Place::Postgres(url) => Database::Postgres(url.clone()),
    };
    Options { database, node: node.into(), serve: false, connections: 6, migrate: true }
}

pub async fn open_as(db: &TestDatabase, node: &str) -> Arc<SqlStore> {
    Arc::new(SqlStore::open(options(db, node), T0).await.expect("the database opens"))
}

pub struct Numbers;

impl Directory for Numbers {
    fn portfolio(&self, _: &str) -> String {
        "portfolio".into()
    }
    fn knows(&self, number: &NumberId) -> bool {
        number.as_str() == NUMBER
    }
}

/// A store, identifiers, a workspace.
#[derive(Clone)]
pub struct World {
    pub store: Arc<SqlStore>,
    pub ids: Arc<SeededIds>,
    pub workspace: WorkspaceId,
}

impl World {
    pub async fn open(db: &TestDatabase) -> Self {
        Self::on(open_as(db, "node-a").await, 1)
    }

    pub fn on(store: Arc<SqlStore>, seed: u64) -> Self {
        Self { store, ids: Arc::new(SeededIds::new(seed)), workspace: W }
    }

    pub async fn ingest_at(&self, now: Millis, updates: &[Update]) -> IngestCounts {
        self.ingest_segments(now, vec![], updates).await
    }

    pub async fn ingest(&self, updates: &[Update]) -> IngestCounts {
        self.ingest_at(T0, updates).await
    }

    pub async fn ingest_segments(&self, now: Millis, segments: Vec<i64>, updates: &[Update]) -> IngestCounts {
        let located: Vec<Located> = updates
            .iter()
            .enumerate()
            .map(|(entry, update)| Located { segment: 1, entry: entry as i64, received_at: 0, update: update.clone() })
            .collect();
        let keys = keys_of(&located, &Numbers);
        let ids = Arc::clone(&self.ids);
        let folding = Arc::new(move |snapshot| {
            fold(
                snapshot,
                &located,
                &Context {
                    now,
                    ids: &*ids,
                    directory: &Numbers,
                    consent: &ConsentSettings::default(),
                    reach: ponte_domain::reach::Settings::default(),
                },
            )
        });
        self.store.ingest(self.workspace, None, segments, keys, folding).await.expect("ingested")
    }

    /// Lets one text in for a person named by WhatsApp id.
    pub async fn queue(&self, to: &str, class: Class) -> MessageId {
        match self.queue_many(&[(to.to_owned(), class, None)], T0).await.remove(0) {
            Answer::Queued { message, .. } => message,
            other => panic!("{other:?}"),
        }
    }

    /// Lets texts in: to, class, idempotency key.
    pub async fn queue_many(&self, asked: &[(String, Class, Option<String>)], now: Millis) -> Vec<Answer> {
        let keys = asked
            .iter()
            .map(|(to, class, key)| AdmitKey {
                number: number(),
                identities: vec![wa_id(to)],
                person: None,
                idempotency_key: key.clone(),
                class: *class,
            })
            .collect();
        let (asked, ids) = (asked.to_vec(), Arc::clone(&self.ids));
        let decide = Arc::new(move |views: Vec<AdmitView>| {
            asked.iter().zip(views).map(|((to, class, key), view)| let_in(&*ids, now, to, *class, key, view)).collect()
        });
        self.store.admit(self.workspace, now, keys, decide).await.expect("admitted")
    }

    pub async fn claim(&self, now: Millis) -> ClaimedSends {
        self.claim_within(now, 100, unlimited()).await
    }

    pub async fn claim_within(&self, now: Millis, max: usize, limits: SendLimits) -> ClaimedSends {
        let claim = SendClaim {
            workspace: self.workspace,
            number: number(),
            now,
            lease_ms: LEASE,
            max,
            limits,
            working_since: 0,
        };
        self.store.claim_sends(claim).await.expect("claimed")
    }

    /// Settles one; how many were refused for a lost fence.
    pub async fn settle(&self, now: Millis, task: &SendTask, end: SendEnd) -> u64 {
        let settlement = SendSettlement { lane: task.lane.clone(), seq: task.job.seq, message: message_of(task), end };
        self.store.settle_sends(self.workspace, now, vec![settlement]).await.expect("settled")
    }

    pub async fn phase(&self, id: MessageId) -> Phase {
        self.store.message(self.workspace, id).await.unwrap().expect("the message is stored").phase
    }

    /// Files jobs as a reader of events would.
    pub async fn file(&self, jobs: Vec<NewJob>) {
        let lease = self.store.lease(self.workspace, "reader", T0, LEASE).await.unwrap().expect("nobody else reads");
        self.store.advance(self.workspace, lease, "reader", EventCursor::default(), jobs).await.expect("filed");
    }

    /// All events, at least so many: on PostgreSQL they show once older transactions of the whole server have ended.
    pub async fn events(&self, at_least: usize) -> Vec<Event> {
        let begun = Instant::now();
        loop {
            let found = self.store.events_after(self.workspace, EventCursor::default(), 10_000).await.unwrap();
            if found.len() >= at_least {
                return found;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{} of {at_least} events", found.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn kinds(&self) -> Vec<String> {
        let page = ponte_domain::ports::store::Page { before: None, limit: 1000 };
        let mut events = self.store.recent_events(self.workspace, None, page).await.unwrap();
        events.reverse();
        events.into_iter().map(|e| e.kind).collect()
    }
}

fn let_in(ids: &dyn IdSource, now: Millis, to: &str, class: Class, key: &Option<String>, view: AdmitView) -> Admission {
    if let Some((head, _)) = view.earlier {
        let answer =
            Answer::Queued { message: head.id, person: head.person, conversation: head.conversation, again: true };
        return Admission { answer: Some(answer), ..Admission::default() };
    }
    let mut admission = Admission::default();
    let person = view.person.map_or_else(
        || {
            let id = PersonId(ids.next());
            admission.new_person = Some(person(id, now));
            admission.identities = vec![NewIdentity { identity: wa_id(to), person: id, at: now }];
            id
        },
        |p| p.id,
    );
    let conversation = view.conversation.map_or_else(
        || {
            let id = ConversationId(ids.next());
            admission.new_conversation = Some(conversation(id, person, now));
            id
        },
        |c| c.id,
    );
    let id = MessageId(ids.next());
    admission.message = Some(outbound(id, conversation, person, class, key.clone(), now));
    admission.job = Some(NewJob {
        kind: JobKind::Send,
        lane: send_lane(&number(), person, class),
        scope: NUMBER.into(),
        priority: class.priority(),
        not_before: now,
        payload: "{}".into(),
        dedup: Some(id.to_string()),
    });
    admission.events.push(NewEvent {
        kind: EventKind::MessageQueued,
        at: now,
        person: Some(person),
        conversation: Some(conversation),
        message: Some(id),
        number: Some(number()),
        dedup: None,
        data: "{}".into(),
    });
    admission.answer = Some(Answer::Queued { message: id, person, conversation, again: false });
    admission
}

pub fn person(id: PersonId, now: Millis) -> Person {
    Person {
        id,
        name: None,
        username: None,
        marketing_stopped_at: None,
        preference_at: None,
        profile_at: None,
        unreachable: ponte_domain::profile::Unreachable::No,
        created_at: now,
    }
}

pub fn conversation(id: ConversationId, person: PersonId, now: Millis) -> Conversation {
    Conversation {
        id,
        number: number(),
        person,
        last_inbound_at: None,
        last_message_at: now,
        free_entry_until: None,
        referral: None,
        created_at: now,
    }
}

fn outbound(
    id: MessageId,
    conversation: ConversationId,
    person: PersonId,
    class: Class,
    key: Option<String>,
    now: Millis,
) -> NewMessage {
    NewMessage {
        head: MessageHead {
            id,
            conversation,
            person,
            number: number(),
            wamid: None,
            origin: Origin::Api,
            class: Some(class),
            phase: Phase::Queued,
            stamps: Stamps::default(),
            at: now,
            created_at: now,
            edited_at: None,
            withdrawn_at: None,
            error: None,
        },
        kind: "text".into(),
        text: Some("hello".into()),
        content: r#"{"type":"text","body":"hello"}"#.into(),
        reply_to: None,
        forwarded: false,
        media: None,
        request_hash: key.as_ref().map(|k| format!("hash of {k}")),
        idempotency_key: key,
    }
}

pub fn wa_id(digits: &str) -> Identity {
    Identity { kind: IdentityKind::WaId, scope: String::new(), value: digits.into() }
}

pub fn by_wa_id(digits: &str) -> Party {
    Party { wa_id: Some(digits.into()), name: Some(format!("name of {digits}")), ..Party::default() }
}

pub fn by_user_id(user: &str) -> Party {
    Party { user_id: Some(user.into()), username: Some(format!("@{user}")), ..Party::default() }
}

pub fn message(party: Party, wamid: &str, at: Millis) -> InboundMessage {
    InboundMessage {
        wamid: wamid.to_owned().into(),
        party,
        at,
        kind: "text".into(),
        text: Some(format!("text of {wamid}")),
        media: None,
        reply_to: None,
        forwarded: false,
        reaction: None,
        edit: None,
        revoke: None,
        system: None,
        group_id: None,
        referral: None,
        shared_phone: None,
        errors: vec![],
        opens_window: true,
        raw: format!(r#"{{"id":"{wamid}"}}"#),
    }
}

pub fn inbound(m: InboundMessage) -> Update {
    update(m.at, UpdateKind::Message(Box::new(m)))
}

pub fn text(from: &str, wamid: &str, at: Millis) -> Update {
    inbound(message(by_wa_id(from), wamid, at))
}

pub fn update(at: Millis, kind: UpdateKind) -> Update {
    Update { waba_id: "waba".into(), number: Some(number()), field: "messages".into(), at: Some(at), kind }
}

pub fn status(wamid: &str, rung: Status, at: Millis, to: &str, opaque: Option<String>) -> Update {
    update(
        at,
        UpdateKind::Status(Box::new(StatusUpdate {
            wamid: wamid.to_owned().into(),
            status: Some(rung),
            at,
            recipient: Party { wa_id: Some(to.into()), ..Party::default() },
            opaque,
            group_participant: None,
            pricing: None,
            free_entry_until: None,
            errors: vec![],
            raw: "{}".into(),
        })),
    )
}

pub fn unlimited() -> SendLimits {
    let limit = Limit::new(1_000_000, 1, 1_000_000);
    SendLimits { number: limit, plan: None, pair: limit, portfolio: "portfolio".into(), portfolio_per_day: None }
}

pub fn message_of(task: &SendTask) -> Option<MessageId> {
    match &task.what {
        SendWhat::Message(m) => Some(m.head.id),
        _ => None,
    }
}

pub fn accepted(wamid: &str) -> SendEnd {
    SendEnd::Accepted { wamid: Some(wamid.into()), identities: vec![], held: None }
}

pub fn failure(code: &str) -> CallError {
    CallError::new(ErrorClass::Retryable { after_ms: None }, code, "it failed")
}

/// A job in a lane of a CRM connection.
pub fn crm_job(lane: &str, payload: &str) -> NewJob {
    NewJob {
        kind: JobKind::Crm,
        lane: lane.into(),
        scope: "crm".into(),
        priority: 1,
        not_before: T0,
        payload: payload.into(),
        dedup: None,
    }
}

pub fn crm_end(lane: &Lane, seq: i64, end: JobEnd) -> CrmEnd {
    CrmEnd { lane: lane.clone(), seq, contact: None, contact_gone: None, message: None, message_uncertain: None, end }
}

pub fn entry(text: &str, at: Millis) -> JournalEntry {
    JournalEntry { received_at: at, body: Bytes::copy_from_slice(text.as_bytes()) }
}

/// A second connection beside the store.
pub struct Raw(ponte_testkit::Raw);

impl Raw {
    pub async fn open(db: &TestDatabase) -> Self {
        Self(ponte_testkit::Raw::connect(db).await.unwrap())
    }

    pub async fn run(&mut self, sql: &str) {
        self.0.execute(sql).await.unwrap();
    }

    /// The first column of every row, which must be text; sorted.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        self.0.column(sql).await.unwrap()
    }

    pub async fn everything(&mut self) -> Vec<String> {
        self.0.everything().await.unwrap()
    }
}
