-- Bytes of a segment before it was packed (LZ4 block); 0: body is stored as it is.
ALTER TABLE journal ADD COLUMN raw_size BIGINT NOT NULL DEFAULT 0;
{packed journal.body}
