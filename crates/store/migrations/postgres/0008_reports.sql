-- What devices say of themselves: the last of each kind. `made` is by the device's clock, `came` by the server's.
CREATE TABLE device_report (
    authority_id TEXT COLLATE "C" NOT NULL,
    asset TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    made BIGINT NOT NULL,
    came BIGINT NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority_id, asset, kind)
);
