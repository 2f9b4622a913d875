-- What witnesses cosigned of our logs, and what this node, as a witness, cosigned of others'.

-- The latest checkpoint of each log that enough witnesses cosigned.
CREATE TABLE witnessed (
    authority_id TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    note TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (authority_id)
);

-- What was cosigned last of each log: never anything that does not continue it. Of the node, not of an authority.
CREATE TABLE cosigned (
    authority_id TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    root TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (authority_id, origin)
);
