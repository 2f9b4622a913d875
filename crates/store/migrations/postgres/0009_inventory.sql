-- What each source says of each device, under the source's own name for it, and of which asset it is a part.
CREATE TABLE observation (
    authority_id TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    asset TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, source, subject)
);
CREATE INDEX observation_by_asset ON observation (authority_id, asset);

-- By what each is told from others.
CREATE TABLE observation_identifier (
    authority_id TEXT COLLATE "C" NOT NULL,
    identifier TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, identifier, source, subject)
);
CREATE INDEX observation_identifier_by_subject ON observation_identifier (authority_id, source, subject);

-- What people said of two: that what has the one identifier is what has the other (1), or that it is not (0).
CREATE TABLE judgement (
    authority_id TEXT COLLATE "C" NOT NULL,
    one TEXT COLLATE "C" NOT NULL,
    other TEXT COLLATE "C" NOT NULL,
    same BIGINT NOT NULL,
    PRIMARY KEY (authority_id, one, other)
);

ALTER TABLE asset ADD COLUMN layer TEXT COLLATE "C" NOT NULL DEFAULT 'device';
ALTER TABLE asset ADD COLUMN owner TEXT COLLATE "C";
ALTER TABLE asset ADD COLUMN place TEXT COLLATE "C";
ALTER TABLE asset ADD COLUMN district TEXT COLLATE "C";
UPDATE asset SET layer = COALESCE((body::json ->> 'layer'), 'device');

-- What was known before was said by the sensor, or came to be by enrolment.
INSERT INTO observation (authority_id, source, subject, asset, body)
    SELECT authority_id, CASE WHEN status = 'discovered' THEN 'sensor' ELSE 'enrolment' END, id, id,
        CASE WHEN (body::json ->> 'mac') IS NULL THEN body ELSE CAST(body::jsonb || jsonb_build_object('known', jsonb_build_array(jsonb_build_object('by', 'mac', 'value', (body::json ->> 'mac'), 'during', NULL))) AS TEXT) END
    FROM asset;
INSERT INTO observation_identifier (authority_id, identifier, source, subject)
    SELECT authority_id, 'mac ' || (body::json ->> 'mac'), CASE WHEN status = 'discovered' THEN 'sensor' ELSE 'enrolment' END, id
    FROM asset WHERE (body::json ->> 'mac') IS NOT NULL;
