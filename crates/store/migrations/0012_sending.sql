-- What was sent to a CRM of people who have no link with a record yet, as hashes (JSON), before it was sent: should the answer be lost,
-- what the record says is known as our own word. Gone as soon as both have met.
CREATE TABLE crm_sending (
    workspace_id BIGINT NOT NULL,
    person_id {uuid} NOT NULL,
    connection TEXT NOT NULL,
    base TEXT NOT NULL,
    PRIMARY KEY (workspace_id, person_id, connection)
);
