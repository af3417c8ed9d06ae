-- What queues have held of devices lately, up to a moment: a start reads only what came after it.

CREATE TABLE recents (
    queue       TEXT    PRIMARY KEY,
    average     INTEGER NOT NULL,               -- thousandths of a device, 20 binary digits behind
    at_ms       INTEGER NOT NULL                -- up to when; the same in all rows
) STRICT, WITHOUT ROWID;

-- What was held after a moment.
CREATE INDEX holdings_ended ON holdings (until_ms) WHERE device IS NOT NULL;
