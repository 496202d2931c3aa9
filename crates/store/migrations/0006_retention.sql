-- When a message's content was forgotten; NULL while it is kept.
ALTER TABLE message ADD COLUMN forgotten_at BIGINT;
CREATE INDEX message_kept ON message (workspace_id, created_at, id) WHERE forgotten_at IS NULL;

-- Whose files are still used.
CREATE INDEX message_content_file ON message_content (workspace_id, media_key) WHERE media_key IS NOT NULL;

-- Files that lost a message: to be removed from where files are kept, unless another message has them.
CREATE TABLE unused_file (
    workspace_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (workspace_id, key)
);

-- Erasures that were begun and not ended, with what to look for in the journal (JSON). Gone with the end of the erasure.
CREATE TABLE open_erasure (
    workspace_id BIGINT NOT NULL,
    person_id {uuid} NOT NULL,
    needles TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, person_id)
);

-- Dead letters that somebody or something put an end to.
CREATE TABLE dead_letter_done (
    workspace_id BIGINT NOT NULL,
    id {uuid} NOT NULL,
    kind TEXT NOT NULL,
    lane_key TEXT NOT NULL,
    scope TEXT NOT NULL,
    payload TEXT NOT NULL,
    message_id {uuid},
    failures BIGINT NOT NULL,
    error TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    died_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    how TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX dead_letter_done_ended ON dead_letter_done (workspace_id, ended_at);

-- By age. With a condition that only the look for old ones names: where PostgreSQL's statistics say that a table is empty, it
-- would take any index that begins with the workspace for a look by key.
CREATE INDEX merge_record_at ON merge_record (workspace_id, merged_at, id) WHERE merged_at > 0;
CREATE INDEX orphan_at ON orphan (workspace_id, at) WHERE at > 0;
-- Who became part of a person, also once the record of the merge is gone.
CREATE INDEX person_merged ON person (workspace_id, merged_into) WHERE merged_into IS NOT NULL;
