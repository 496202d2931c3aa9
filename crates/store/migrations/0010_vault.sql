-- Secrets that the program came to know, encrypted: 12 bytes of nonce, then AES-256-GCM over the secret, bound to workspace and name.
CREATE TABLE secret (
    workspace_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    sealed {bytes} NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);
