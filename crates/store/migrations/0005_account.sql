-- What WhatsApp says of the business accounts. due_at: when an account is read again.
CREATE TABLE account (
    workspace_id BIGINT NOT NULL,
    waba_id TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    read_at BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, waba_id)
);

CREATE TABLE template (
    workspace_id BIGINT NOT NULL,
    waba_id TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    meta_id TEXT NOT NULL,
    category TEXT NOT NULL,
    status TEXT NOT NULL,
    quality TEXT,
    rejected_reason TEXT,
    components TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, waba_id, name, language)
);

CREATE TABLE number_state (
    workspace_id BIGINT NOT NULL,
    number_id TEXT NOT NULL,
    waba_id TEXT NOT NULL,
    display TEXT,
    verified_name TEXT,
    name_status TEXT,
    quality TEXT,
    status TEXT,
    messaging_limit TEXT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, number_id)
);

-- Whose a CRM's record is.
CREATE INDEX crm_contact_record ON crm_contact (workspace_id, connection, crm_id);
