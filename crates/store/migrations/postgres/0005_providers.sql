-- The identity provider of an authority, and which sessions were begun with it.

-- `secret` is sealed with the node's own key. `ca` is the certificate that is trusted for it, where not those of the system.
CREATE TABLE provider (
    authority_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    issuer TEXT COLLATE "C" NOT NULL,
    client TEXT COLLATE "C" NOT NULL,
    secret TEXT COLLATE "C" NOT NULL,
    ca TEXT COLLATE "C",
    recognises TEXT COLLATE "C" NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (authority_id)
);

-- The authority whose provider said who it is; unset for everybody who proved it here.
ALTER TABLE session ADD COLUMN provider TEXT COLLATE "C";
