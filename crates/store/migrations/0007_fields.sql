-- Fields that somebody defined. choices: a JSON array.
CREATE TABLE field_definition (
    workspace_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    label TEXT NOT NULL,
    type TEXT NOT NULL,
    choices TEXT NOT NULL,
    source TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, key)
);

-- By what people are listed: tags, labels, values of defined fields. Worked out from the profile.
CREATE TABLE person_mark (
    workspace_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    person_id {uuid} NOT NULL,
    PRIMARY KEY (workspace_id, kind, value, person_id)
);
CREATE INDEX person_mark_person ON person_mark (workspace_id, person_id);

-- Phone lines to which sends failed: the evidence (JSON), the last sign of life, since when they count as dead.
CREATE TABLE phone_reach (
    workspace_id BIGINT NOT NULL,
    line TEXT NOT NULL,
    failures TEXT NOT NULL,
    alive_at BIGINT,
    dead_at BIGINT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, line)
);

-- Labels of people who are there already. Tags stand in packed profiles: theirs are worked out at the next change of the person.
INSERT INTO person_mark (workspace_id, kind, value, person_id) SELECT workspace_id, 'label', 'refuses_marketing', id FROM person
    WHERE merged_into IS NULL AND ',' || labels || ',' LIKE '%,refuses_marketing,%';
INSERT INTO person_mark (workspace_id, kind, value, person_id) SELECT workspace_id, 'label', 'blocked', id FROM person
    WHERE merged_into IS NULL AND ',' || labels || ',' LIKE '%,blocked,%';
INSERT INTO person_mark (workspace_id, kind, value, person_id) SELECT workspace_id, 'label', 'employee', id FROM person
    WHERE merged_into IS NULL AND ',' || labels || ',' LIKE '%,employee,%';
INSERT INTO person_mark (workspace_id, kind, value, person_id) SELECT workspace_id, 'label', 'test', id FROM person
    WHERE merged_into IS NULL AND ',' || labels || ',' LIKE '%,test,%';
INSERT INTO person_mark (workspace_id, kind, value, person_id) SELECT workspace_id, 'label', 'unreachable', id FROM person
    WHERE merged_into IS NULL AND ',' || labels || ',' LIKE '%,unreachable,%';
