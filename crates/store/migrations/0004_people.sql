-- What is known of a person (fields, tags; see people/packed.rs), the labels as words between commas, into whom they were merged.
ALTER TABLE person ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN labels TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE person ADD COLUMN merged_into {uuid};

-- One run of an import: how far it is, so that a killed one goes on, and its report.
CREATE TABLE import_run (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    applied BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    erased BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    finished_at BIGINT,
    report TEXT,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX import_run_started ON import_run (workspace_id, started_at);

-- Two people who may be one. a is the lower id.
CREATE TABLE duplicate_pair (
    workspace_id BIGINT NOT NULL,
    a {uuid} NOT NULL,
    b {uuid} NOT NULL,
    score BIGINT NOT NULL,
    reasons TEXT NOT NULL,
    state TEXT NOT NULL,
    found_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    PRIMARY KEY (workspace_id, a, b)
);
CREATE INDEX duplicate_pair_b ON duplicate_pair (workspace_id, b);
CREATE INDEX duplicate_pair_open ON duplicate_pair (workspace_id, state, score);

-- A merge, with what both sides were (JSON), so that it can be undone whole.
CREATE TABLE merge_record (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    survivor {uuid} NOT NULL,
    other {uuid} NOT NULL,
    merged_at BIGINT NOT NULL,
    merged_by TEXT NOT NULL,
    score BIGINT NOT NULL,
    reasons TEXT NOT NULL,
    before TEXT NOT NULL,
    undone_at BIGINT,
    undone_by TEXT,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX merge_record_survivor ON merge_record (workspace_id, survivor);
CREATE INDEX merge_record_other ON merge_record (workspace_id, other);

-- Messages that a merge moved, and the conversation they came from.
CREATE TABLE merge_message (
    workspace_id BIGINT NOT NULL,
    merge_id {uuid} NOT NULL,
    message_id {uuid} NOT NULL,
    conversation_id {uuid} NOT NULL,
    PRIMARY KEY (workspace_id, merge_id, message_id)
);

-- That somebody with this identifier asked to be erased: a keyed hash, not the identifier.
CREATE TABLE erased_identity (
    workspace_id BIGINT NOT NULL,
    digest TEXT NOT NULL,
    erased_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, digest)
);
CREATE TABLE erasure_key (
    workspace_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (workspace_id)
);

-- Who did what: append-only.
CREATE TABLE audit (
    seq {seq},
    workspace_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT,
    data TEXT NOT NULL
);
CREATE INDEX audit_order ON audit (workspace_id, seq);
CREATE INDEX audit_subject ON audit (workspace_id, subject);
CREATE INDEX event_person ON event (workspace_id, person_id, seq);
CREATE INDEX message_person ON message (workspace_id, person_id);
CREATE INDEX crm_contact_person ON crm_contact (workspace_id, person_id, connection);
