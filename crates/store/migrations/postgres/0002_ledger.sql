-- Decisions: each is a leaf of its authority's Merkle log (C2SP tlog-tiles), written with the change that it decides.

-- The record of who did what, which nothing proved.
DROP TABLE deed;

-- `body` is the leaf, byte for byte; the columns beside it are what is searched and shown.
CREATE TABLE leaf (
    authority_id TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    deed TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (authority_id, number)
);

-- What a leaf is about, such as `incident:inc-0123456789abcdef`.
CREATE TABLE leaf_about (
    authority_id TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (authority_id, subject, number)
);

-- What opens the commitments of a leaf. With it goes what a leaf says of a person; the leaf stays.
CREATE TABLE opening (
    authority_id TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    part TEXT COLLATE "C" NOT NULL,
    person TEXT COLLATE "C",
    salt BYTEA NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, number, part)
);
CREATE INDEX opening_by_person ON opening (person);

-- Hashes, 32 bytes each, up to 256; the last one of a level grows.
CREATE TABLE tile (
    authority_id TEXT COLLATE "C" NOT NULL,
    level BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    PRIMARY KEY (authority_id, level, number)
);

-- The latest signed checkpoint of each log.
CREATE TABLE checkpoint (
    authority_id TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    root TEXT COLLATE "C" NOT NULL,
    note TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id)
);
