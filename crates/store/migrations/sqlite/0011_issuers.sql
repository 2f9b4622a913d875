-- The revocation list of an issuer whose key is away: signed before it went, or where it is.
ALTER TABLE issuer ADD COLUMN list BLOB;

-- Keys that wait for somebody else to certify them; `body` is the request (PKCS #10).
CREATE TABLE issuer_request (
    authority_id TEXT NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    made BIGINT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (authority_id, id)
);
