-- Authorities, the people in them, what proves who they are, and how they came in.

-- The tree. Who may see a record is decided by where its authority stands.
CREATE TABLE authority (
    authority_id TEXT NOT NULL,
    parent TEXT,
    name TEXT NOT NULL,
    level TEXT NOT NULL,
    PRIMARY KEY (authority_id)
);

CREATE TABLE person (
    authority_id TEXT NOT NULL,
    id TEXT NOT NULL,
    login TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    made BIGINT NOT NULL,
    PRIMARY KEY (authority_id, id)
);
CREATE UNIQUE INDEX person_by_login ON person (login);
CREATE UNIQUE INDEX person_by_id ON person (id);

-- A role of a person in an authority, which reaches to all below it.
CREATE TABLE holding (
    authority_id TEXT NOT NULL,
    person TEXT NOT NULL,
    role TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (authority_id, person, role)
);
CREATE INDEX holding_by_person ON holding (person);

-- What proves who somebody is. `body` is a hash, a public key, or sealed with the node's own key.
CREATE TABLE credential (
    authority_id TEXT NOT NULL,
    id TEXT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    body TEXT NOT NULL,
    made BIGINT NOT NULL,
    used BIGINT,
    PRIMARY KEY (authority_id, id)
);
CREATE INDEX credential_by_person ON credential (person, kind);
CREATE UNIQUE INDEX credential_by_id ON credential (id);

-- Links and sessions now name a person; those of before named nobody. Whoever was signed in signs in again.
DROP TABLE sign_in_link;
CREATE TABLE sign_in_link (
    authority_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    person TEXT NOT NULL,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    PRIMARY KEY (authority_id, hash)
);
CREATE UNIQUE INDEX sign_in_link_by_hash ON sign_in_link (hash);

DROP TABLE session;
CREATE TABLE session (
    authority_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    person TEXT NOT NULL,
    method TEXT NOT NULL,
    device TEXT NOT NULL,
    place TEXT NOT NULL,
    made BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (authority_id, hash)
);
CREATE UNIQUE INDEX session_by_hash ON session (hash);
CREATE INDEX session_by_person ON session (person);

-- A token holds roles in its authority, and no more of them than the person who made it.
ALTER TABLE token RENAME TO old_token;
CREATE TABLE token (
    authority_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    person TEXT,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    PRIMARY KEY (authority_id, hash)
);
CREATE UNIQUE INDEX token_by_hash ON token (hash);
CREATE INDEX token_by_person ON token (person);
INSERT INTO token (authority_id, hash, name, roles, made, expires)
    SELECT authority_id, hash, name, CASE scope WHEN 'act' THEN 'analyst,operator' ELSE 'auditor' END, made, expires
    FROM old_token;
DROP TABLE old_token;
