-- Who issues certificates, which there are, and how devices come to theirs.

-- `key` is the private key as encrypted PKCS #8, or where else it is kept; unset while it is kept elsewhere. `number` rises with
-- each change of what is revoked, in the transaction of the change: it is the number of the revocation list. `base` is the
-- number on which deltas build.
CREATE TABLE issuer (
    authority_id TEXT NOT NULL,
    id TEXT NOT NULL,
    parent TEXT,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    key TEXT,
    bounds TEXT NOT NULL,
    begins BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    state TEXT NOT NULL,
    number BIGINT NOT NULL,
    base BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (authority_id, id)
);
CREATE UNIQUE INDEX issuer_by_id ON issuer (id);

-- `number` is the issuer's at the last change of `state`, `listed` the one at which it first was revoked. `alone`: it was suspended
-- by itself, and not with its asset.
CREATE TABLE certificate (
    authority_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    asset TEXT,
    subject TEXT NOT NULL,
    profile TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    begins BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    changed BIGINT NOT NULL,
    number BIGINT NOT NULL,
    listed BIGINT,
    alone BIGINT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (authority_id, issuer, serial)
);
CREATE UNIQUE INDEX certificate_by_fingerprint ON certificate (fingerprint);
CREATE INDEX certificate_by_asset ON certificate (authority_id, asset);
CREATE INDEX certificate_by_key ON certificate (key);
CREATE INDEX certificate_by_listed ON certificate (issuer, listed);
CREATE INDEX certificate_by_ends ON certificate (ends);

-- The names in certificates: of those that are good, one name is one asset's.
CREATE TABLE certificate_name (
    authority_id TEXT NOT NULL,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    PRIMARY KEY (authority_id, name, issuer, serial)
);
CREATE INDEX certificate_name_by_name ON certificate_name (name);

-- A token is good once: `key` is the key that was certified with it.
CREATE TABLE enrolment_token (
    authority_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    profile TEXT NOT NULL,
    asset TEXT,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    key TEXT,
    PRIMARY KEY (authority_id, hash)
);
CREATE UNIQUE INDEX enrolment_token_by_hash ON enrolment_token (hash);

-- Those who asked without proof, and wait for a person.
CREATE TABLE enrolment (
    authority_id TEXT NOT NULL,
    id TEXT NOT NULL,
    subject TEXT NOT NULL,
    profile TEXT NOT NULL,
    asset TEXT,
    key TEXT NOT NULL,
    place TEXT NOT NULL,
    asked BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    state TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (authority_id, id)
);

-- Makers whose devices come with a certificate.
CREATE TABLE maker (
    authority_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    profile TEXT NOT NULL,
    made BIGINT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (authority_id, id)
);
