-- The consent ledger: words of people about what they may be sent. Only added to.
CREATE TABLE consent_entry (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    person_id {uuid} NOT NULL,
    scope TEXT NOT NULL,
    action TEXT NOT NULL,
    source TEXT NOT NULL,
    proof TEXT NOT NULL,
    at BIGINT NOT NULL,
    until BIGINT,
    said_by TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX consent_entry_person ON consent_entry (workspace_id, person_id, at);

-- What stands, worked out from the entries in the transaction that added one.
CREATE TABLE consent_state (
    workspace_id BIGINT NOT NULL,
    person_id {uuid} NOT NULL,
    scope TEXT NOT NULL,
    confirmed_at BIGINT,
    withdrawn_at BIGINT,
    requested_at BIGINT,
    PRIMARY KEY (workspace_id, person_id, scope)
);

-- Questions that wait for an answer. due_at: when to remind, then when the question runs out.
CREATE TABLE consent_request (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    person_id {uuid} NOT NULL,
    number_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    remind_at BIGINT,
    due_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX consent_request_person ON consent_request (workspace_id, person_id);
CREATE INDEX consent_request_due ON consent_request (workspace_id, due_at);

-- Acknowledgements owed for withdrawals.
CREATE TABLE consent_thanks (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    person_id {uuid} NOT NULL,
    number_id TEXT NOT NULL,
    language TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX consent_thanks_person ON consent_thanks (workspace_id, person_id);

-- How often somebody was sent marketing of late, without reading their other messages.
CREATE INDEX message_marketing ON message (workspace_id, person_id, at) WHERE class = 'marketing' AND phase <> 'refused';

-- Stops in WhatsApp that were known before there was a ledger.
INSERT INTO consent_entry (workspace_id, id, person_id, scope, action, source, proof, at, until, said_by)
    SELECT workspace_id, id, id, 'marketing', 'withdrawn', 'preference', '{}', marketing_stopped_at, NULL, 'whatsapp'
    FROM person WHERE marketing_stopped_at IS NOT NULL;
INSERT INTO consent_state (workspace_id, person_id, scope, confirmed_at, withdrawn_at, requested_at)
    SELECT workspace_id, id, 'marketing', NULL, marketing_stopped_at, NULL
    FROM person WHERE marketing_stopped_at IS NOT NULL;
