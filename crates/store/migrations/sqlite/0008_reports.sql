-- What devices say of themselves: the last of each kind. `made` is by the device's clock, `came` by the server's.
CREATE TABLE device_report (
    authority_id TEXT NOT NULL,
    asset TEXT NOT NULL,
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    made BIGINT NOT NULL,
    came BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (authority_id, asset, kind)
);
