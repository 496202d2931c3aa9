-- The journal: webhook bodies as they came, those committed together in one row. See journal.rs for the format of body.
CREATE TABLE journal (
    seq {seq},
    workspace_id BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    body {bytes} NOT NULL
);
CREATE INDEX journal_received ON journal (workspace_id, received_at);

-- Segments not yet ingested. A table of its own, so that marking one doesn't rewrite the body.
CREATE TABLE journal_pending (
    workspace_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, seq)
);

CREATE TABLE event (
    seq {seq},
    tx {tx},
    workspace_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    person_id {uuid},
    conversation_id {uuid},
    message_id {uuid},
    number_id TEXT,
    dedup TEXT,
    data TEXT NOT NULL
);
CREATE INDEX event_order ON event (workspace_id, tx, seq);
CREATE INDEX event_kind ON event (workspace_id, kind, seq);
CREATE UNIQUE INDEX event_dedup ON event (workspace_id, dedup) WHERE dedup IS NOT NULL;

CREATE TABLE cursor_of (
    workspace_id BIGINT NOT NULL,
    reader TEXT NOT NULL,
    tx BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, reader)
);

CREATE TABLE person (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    name TEXT,
    username TEXT,
    marketing_stopped_at BIGINT,
    preference_at BIGINT,
    profile_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

-- Who has an identifier now. One that moved on is in identity_past.
CREATE TABLE identity (
    workspace_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    person_id {uuid} NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, kind, scope, value)
);
CREATE INDEX identity_person ON identity (workspace_id, person_id);

CREATE TABLE identity_past (
    workspace_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    person_id {uuid} NOT NULL,
    since BIGINT NOT NULL,
    ended_at BIGINT NOT NULL
);
CREATE INDEX identity_past_person ON identity_past (workspace_id, person_id);

CREATE TABLE conversation (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    number_id TEXT NOT NULL,
    person_id {uuid} NOT NULL,
    last_inbound_at BIGINT,
    last_message_at BIGINT NOT NULL,
    free_entry_until BIGINT,
    referral TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX conversation_who ON conversation (workspace_id, person_id, number_id);

-- What changes while a message lives; its content is in message_content, so that a status doesn't rewrite the text.
CREATE TABLE message (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    conversation_id {uuid} NOT NULL,
    person_id {uuid} NOT NULL,
    number_id TEXT NOT NULL,
    wamid TEXT,
    origin TEXT NOT NULL,
    class TEXT,
    phase TEXT NOT NULL,
    at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    accepted_at BIGINT,
    sent_at BIGINT,
    delivered_at BIGINT,
    read_at BIGINT,
    played_at BIGINT,
    failed_at BIGINT,
    edited_at BIGINT,
    withdrawn_at BIGINT,
    first_attempt_at BIGINT,
    error_code TEXT,
    error_title TEXT,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX message_wamid ON message (workspace_id, number_id, wamid) WHERE wamid IS NOT NULL;
CREATE INDEX message_thread ON message (workspace_id, conversation_id, id);
CREATE INDEX message_accepted ON message (workspace_id, number_id, accepted_at) WHERE accepted_at IS NOT NULL;

CREATE TABLE message_content (
    workspace_id BIGINT NOT NULL,
    message_id {uuid} NOT NULL,
    kind TEXT NOT NULL,
    body TEXT,
    content TEXT NOT NULL,
    reply_to TEXT,
    forwarded BOOLEAN NOT NULL,
    pricing TEXT,
    media TEXT,
    media_key TEXT,
    media_bytes BIGINT,
    media_type TEXT,
    PRIMARY KEY (workspace_id, message_id)
);

CREATE TABLE idempotency (
    workspace_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    message_id {uuid} NOT NULL,
    request_hash TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, key)
);

CREATE TABLE reaction (
    workspace_id BIGINT NOT NULL,
    number_id TEXT NOT NULL,
    target TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    emoji TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, number_id, target, by_whom)
);

-- News of messages that are not known yet.
CREATE TABLE orphan (
    workspace_id BIGINT NOT NULL,
    number_id TEXT NOT NULL,
    wamid TEXT NOT NULL,
    kind TEXT NOT NULL,
    news TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, number_id, wamid, kind)
);

-- One row per lane that has something to do. ready_at is the later of the head's time and the end of the lease.
CREATE TABLE lane (
    workspace_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    scope TEXT NOT NULL,
    priority BIGINT NOT NULL,
    ready_at BIGINT NOT NULL,
    next_seq BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (workspace_id, kind, key)
);
CREATE INDEX lane_ready ON lane (workspace_id, kind, scope, priority, ready_at);
CREATE INDEX lane_owner ON lane (owner) WHERE owner <> '';

CREATE TABLE job (
    workspace_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    lane_key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    scope TEXT NOT NULL,
    priority BIGINT NOT NULL,
    payload TEXT NOT NULL,
    dedup TEXT,
    message_id {uuid},
    not_before BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    begun_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, kind, lane_key, seq)
);

CREATE TABLE dead_letter (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    kind TEXT NOT NULL,
    lane_key TEXT NOT NULL,
    scope TEXT NOT NULL,
    priority BIGINT NOT NULL,
    payload TEXT NOT NULL,
    message_id {uuid},
    failures BIGINT NOT NULL,
    error TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    died_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX dead_letter_message ON dead_letter (workspace_id, message_id);

-- Rate limiters and holds: one integer each (microseconds).
CREATE TABLE limiter (
    workspace_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    tat BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, key)
);

-- Who was written to outside the window, for the portfolio's limit of people a day; counted in slices of ten minutes.
CREATE TABLE portfolio_person (
    workspace_id BIGINT NOT NULL,
    portfolio TEXT NOT NULL,
    person_id {uuid} NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, portfolio, person_id)
);
CREATE TABLE portfolio_count (
    workspace_id BIGINT NOT NULL,
    portfolio TEXT NOT NULL,
    slice BIGINT NOT NULL,
    people BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, portfolio, slice)
);

CREATE TABLE lease (
    workspace_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    fence BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

CREATE TABLE node (
    id TEXT PRIMARY KEY,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE TABLE crm_contact (
    workspace_id BIGINT NOT NULL,
    connection TEXT NOT NULL,
    person_id {uuid} NOT NULL,
    crm_id TEXT NOT NULL,
    written TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, connection, person_id)
);

CREATE TABLE crm_message (
    workspace_id BIGINT NOT NULL,
    connection TEXT NOT NULL,
    message_id {uuid} NOT NULL,
    crm_id TEXT,
    written TEXT,
    statuses BIGINT NOT NULL,
    uncertain BOOLEAN NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, connection, message_id)
);
