-- Subscriptions to events. events: a JSON array of words; filter: a JSON object. start_tx and start_seq: where events begin that it
-- hears of. A removed one stays until what is owed to it is removed.
CREATE TABLE hook (
    workspace_id BIGINT NOT NULL,
    id TEXT NOT NULL,
    target_url TEXT NOT NULL,
    events TEXT NOT NULL,
    filter TEXT NOT NULL,
    secret TEXT NOT NULL,
    old_secret TEXT,
    old_secret_until BIGINT,
    state TEXT NOT NULL,
    reason TEXT,
    created_by TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash TEXT NOT NULL,
    start_tx BIGINT NOT NULL,
    start_seq BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    delivered_at BIGINT,
    hold_until BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX hook_key ON hook (workspace_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The newest calls of each subscription: the slots are used in turn, so there are never more.
CREATE TABLE hook_delivery (
    workspace_id BIGINT NOT NULL,
    hook_id TEXT NOT NULL,
    slot BIGINT NOT NULL,
    number BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    status BIGINT,
    duration_ms BIGINT NOT NULL,
    error TEXT,
    PRIMARY KEY (workspace_id, hook_id, slot)
);
