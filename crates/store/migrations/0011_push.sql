-- Everybody who has no record there is being written to a CRM: by which run, and behind whom it goes on.
ALTER TABLE crm_sync ADD COLUMN push_run {uuid};
ALTER TABLE crm_sync ADD COLUMN push_after {uuid};
