-- What both sides last agreed on, item by item (JSON of hashes); NULL: they never met. Since when the record is gone from the CRM.
ALTER TABLE crm_contact ADD COLUMN base TEXT;
ALTER TABLE crm_contact ADD COLUMN gone_at BIGINT;

-- Where reading from each connection stands.
CREATE TABLE crm_sync (
    workspace_id BIGINT NOT NULL,
    connection TEXT NOT NULL,
    position TEXT,
    page TEXT,
    run_id {uuid},
    wanted TEXT,
    next_at BIGINT,
    paused_at BIGINT,
    paused_by TEXT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, connection)
);

CREATE TABLE crm_run (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    finished_at BIGINT,
    seen BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    told BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    gone BIGINT NOT NULL,
    differed BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    lag_ms BIGINT,
    error TEXT,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX crm_run_time ON crm_run (workspace_id, connection, started_at);

-- Records of which something was left out, with the reasons (JSON). Gone as soon as everything fits.
CREATE TABLE crm_skip (
    workspace_id BIGINT NOT NULL,
    connection TEXT NOT NULL,
    crm_id TEXT NOT NULL,
    person_id {uuid},
    at BIGINT NOT NULL,
    skips TEXT NOT NULL,
    PRIMARY KEY (workspace_id, connection, crm_id)
);
CREATE INDEX crm_skip_time ON crm_skip (workspace_id, at);

-- What triggers found in records last: the key while the condition holds, empty while it doesn't. A row without a record says since
-- when the trigger is known: before that everything was read once.
CREATE TABLE crm_trigger (
    workspace_id BIGINT NOT NULL,
    connection TEXT NOT NULL,
    name TEXT NOT NULL,
    crm_id TEXT NOT NULL,
    found TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, connection, name, crm_id)
);
