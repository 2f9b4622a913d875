-- Sensors on other machines. `number` is that of the last batch of each that was taken, `heard` when it last spoke.
CREATE TABLE sensor (
    authority_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    program TEXT NOT NULL,
    number BIGINT NOT NULL,
    shed BIGINT NOT NULL,
    heard BIGINT NOT NULL,
    PRIMARY KEY (authority_id, id)
);

-- Whose plan and whose journal it is: empty for the sensor of the node itself.
ALTER TABLE plan ADD COLUMN sensor TEXT NOT NULL DEFAULT '';
ALTER TABLE journal ADD COLUMN sensor TEXT NOT NULL DEFAULT '';
