-- The revocation list of an issuer whose key is away: signed before it went, or where it is.
ALTER TABLE issuer ADD COLUMN list BYTEA;

-- Keys that wait for somebody else to certify them; `body` is the request (PKCS #10).
CREATE TABLE issuer_request (
    authority_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    made BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (authority_id, id)
);
