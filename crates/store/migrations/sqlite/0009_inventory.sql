-- What each source says of each device, under the source's own name for it, and of which asset it is a part.
CREATE TABLE observation (
    authority_id TEXT NOT NULL,
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    asset TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (authority_id, source, subject)
);
CREATE INDEX observation_by_asset ON observation (authority_id, asset);

-- By what each is told from others.
CREATE TABLE observation_identifier (
    authority_id TEXT NOT NULL,
    identifier TEXT NOT NULL,
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (authority_id, identifier, source, subject)
);
CREATE INDEX observation_identifier_by_subject ON observation_identifier (authority_id, source, subject);

-- What people said of two: that what has the one identifier is what has the other (1), or that it is not (0).
CREATE TABLE judgement (
    authority_id TEXT NOT NULL,
    one TEXT NOT NULL,
    other TEXT NOT NULL,
    same BIGINT NOT NULL,
    PRIMARY KEY (authority_id, one, other)
);

ALTER TABLE asset ADD COLUMN layer TEXT NOT NULL DEFAULT 'device';
ALTER TABLE asset ADD COLUMN owner TEXT;
ALTER TABLE asset ADD COLUMN place TEXT;
ALTER TABLE asset ADD COLUMN district TEXT;
UPDATE asset SET layer = COALESCE(json_extract(body, '$.layer'), 'device');

-- What was known before was said by the sensor, or came to be by enrolment.
INSERT INTO observation (authority_id, source, subject, asset, body)
    SELECT authority_id, CASE WHEN status = 'discovered' THEN 'sensor' ELSE 'enrolment' END, id, id,
        CASE WHEN json_extract(body, '$.mac') IS NULL THEN body ELSE json_set(body, '$.known', json_array(json_object('by', 'mac', 'value', json_extract(body, '$.mac'), 'during', NULL))) END
    FROM asset;
INSERT INTO observation_identifier (authority_id, identifier, source, subject)
    SELECT authority_id, 'mac ' || json_extract(body, '$.mac'), CASE WHEN status = 'discovered' THEN 'sensor' ELSE 'enrolment' END, id
    FROM asset WHERE json_extract(body, '$.mac') IS NOT NULL;
