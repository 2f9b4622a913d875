-- The identity provider of an authority, and which sessions were begun with it.

-- `secret` is sealed with the node's own key. `ca` is the certificate that is trusted for it, where not those of the system.
CREATE TABLE provider (
    authority_id TEXT NOT NULL,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    client TEXT NOT NULL,
    secret TEXT NOT NULL,
    ca TEXT,
    recognises TEXT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (authority_id)
);

-- The authority whose provider said who it is; unset for everybody who proved it here.
ALTER TABLE session ADD COLUMN provider TEXT;
