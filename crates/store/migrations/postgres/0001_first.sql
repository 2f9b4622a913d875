-- Every table carries authority_id and every key begins with it: a row cannot be found without saying whose it is.
-- Moments are microseconds since 1970-01-01T00:00:00Z. `body` is the record as JSON, as the API shows it; the columns
-- beside it are what is searched, sorted and counted. Texts sort by their bytes, as in SQLite.

CREATE TABLE incident (
    authority_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    severity BIGINT NOT NULL,
    confidence BIGINT NOT NULL,
    stages TEXT COLLATE "C" NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    opened BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    closed_at BIGINT,
    closed_by TEXT COLLATE "C",
    closed_reason TEXT COLLATE "C",
    closed_severity BIGINT,
    PRIMARY KEY (authority_id, id)
);
CREATE INDEX incident_by_change ON incident (authority_id, changed);
CREATE INDEX incident_by_last ON incident (authority_id, last);
CREATE INDEX incident_by_state ON incident (authority_id, state, severity);

CREATE TABLE incident_address (
    authority_id TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    incident TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, address, incident)
);
CREATE INDEX incident_address_by_incident ON incident_address (authority_id, incident);

CREATE TABLE asset (
    authority_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    criticality TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    search TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, id)
);
CREATE INDEX asset_by_last_seen ON asset (authority_id, last_seen);

CREATE TABLE asset_address (
    authority_id TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    asset TEXT COLLATE "C" NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (authority_id, address, asset)
);
CREATE INDEX asset_address_by_asset ON asset_address (authority_id, asset);

CREATE TABLE plan (
    authority_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    incident TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    made BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, id)
);
CREATE INDEX plan_by_incident ON plan (authority_id, incident, made);
CREATE INDEX plan_by_status ON plan (authority_id, status, made);

CREATE TABLE command (
    authority_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    plan TEXT COLLATE "C" NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (authority_id, id)
);
CREATE INDEX command_by_plan ON command (authority_id, plan);

CREATE TABLE receipt (
    authority_id TEXT COLLATE "C" NOT NULL,
    command TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    effect TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, command, at, effect)
);

CREATE TABLE journal (
    authority_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, seq, hash)
);

CREATE TABLE exception (
    authority_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    incident TEXT COLLATE "C" NOT NULL,
    made BIGINT NOT NULL,
    until BIGINT NOT NULL,
    revoked BIGINT,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, id)
);
CREATE INDEX exception_by_end ON exception (authority_id, until);

-- What happened in an hour: events, packets, drops. One row per name and hour.
CREATE TABLE counter (
    authority_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    hour BIGINT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (authority_id, name, hour)
);

CREATE TABLE setting (
    authority_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (authority_id, name)
);

-- Sign-in links, sessions and API tokens are kept as SHA-256 of a 256-bit random value: a copy of the database opens no door.
CREATE TABLE sign_in_link (
    authority_id TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    PRIMARY KEY (authority_id, hash)
);

CREATE TABLE session (
    authority_id TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    made BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (authority_id, hash)
);

CREATE TABLE token (
    authority_id TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    scope TEXT COLLATE "C" NOT NULL,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (authority_id, hash)
);

-- Who did or opened what.
CREATE TABLE deed (
    authority_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    what TEXT COLLATE "C" NOT NULL,
    about TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, seq)
);
CREATE INDEX deed_by_about ON deed (authority_id, about);

-- What still has to be told to somebody outside (webhook, syslog), written with the incident itself.
CREATE TABLE outbox (
    authority_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    made BIGINT NOT NULL,
    due BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    error TEXT COLLATE "C",
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, seq)
);
CREATE INDEX outbox_by_due ON outbox (authority_id, channel, due);
