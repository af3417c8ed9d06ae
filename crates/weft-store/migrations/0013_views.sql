-- Views: datasets that the server makes of another one, each version of it of a version of that.

CREATE TABLE data_views (
    dataset INTEGER PRIMARY KEY REFERENCES datasets (id),
    source  INTEGER NOT NULL,               -- it stays when all of that is forgotten
    files   TEXT,                           -- a pattern of paths; NULL: all that are there
    recipe  TEXT    NOT NULL,               -- JSON: what of each file, as weft-view reads it
    made_by TEXT    NOT NULL,               -- whose rights are asked for each version
    sample  INTEGER NOT NULL                -- 1: of workloads that declared it; found by nobody else
) STRICT;
CREATE INDEX data_views_of ON data_views (source);

-- What became of a version of the source.
CREATE TABLE data_view_versions (
    dataset  INTEGER NOT NULL REFERENCES data_views (dataset),
    source   INTEGER NOT NULL,              -- the number of the source's version
    state    TEXT    NOT NULL CHECK (state IN ('waiting', 'made')),
    version  INTEGER,                       -- that was made; where nothing of it differs, one before
    why      TEXT    NOT NULL,              -- it waits, for people
    left_out TEXT    NOT NULL,              -- JSON: files that are not in it, and why
    PRIMARY KEY (dataset, source),
    CHECK ((state = 'made') = (version IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX data_view_versions_open ON data_view_versions (dataset, source) WHERE state = 'waiting';

-- Origins know a kind more.
CREATE TABLE origins_13 (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('run', 'import', 'view')),
    what    TEXT    NOT NULL,               -- the workload, the source or the view
    actor   TEXT    NOT NULL,
    queue   TEXT    NOT NULL,               -- of whom
    bundle  TEXT,                           -- the files that a run was given: kept as long as this
    detail  TEXT    NOT NULL                -- JSON: all that it takes to do it again
) STRICT;
CREATE TABLE origin_inputs_13 (
    origin  INTEGER NOT NULL REFERENCES origins_13 (id),
    dataset INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    name    TEXT    NOT NULL,               -- of the dataset, should it be gone one day
    PRIMARY KEY (origin, dataset, number, name)
) STRICT, WITHOUT ROWID;
INSERT INTO origins_13 SELECT * FROM origins;
INSERT INTO origin_inputs_13 SELECT * FROM origin_inputs;
DROP TABLE origin_inputs;
DROP TABLE origins;
ALTER TABLE origins_13 RENAME TO origins;
ALTER TABLE origin_inputs_13 RENAME TO origin_inputs;
CREATE INDEX origins_of ON origins (dataset, number);
CREATE INDEX origin_inputs_of ON origin_inputs (dataset, number);

-- And requests another thing that takes two people: that a view is less sensitive than its source.
CREATE TABLE data_requests_13 (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset    INTEGER,
    name       TEXT    NOT NULL,                -- as it was asked for
    asks       TEXT    NOT NULL CHECK (asks IN ('access', 'keep', 'end', 'lower')),
    asker      TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    days       INTEGER NOT NULL,                -- of access; to keep what ended; 0 of others
    version    INTEGER,                         -- of an end: this version alone
    tier       TEXT,                            -- of a view: this one, in the place of the one it has
    asked_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,                -- nobody decides on it after this
    approved   INTEGER,                         -- NULL: nobody has decided
    decided_by TEXT,
    decided_at INTEGER,
    due_at     INTEGER,                         -- what was approved is done from then on, not before
    done_at    INTEGER,
    CHECK ((approved IS NULL) = (decided_by IS NULL)),
    CHECK (decided_by IS NULL OR approved = 0 OR decided_by <> asker),
    CHECK ((asks = 'lower') = (tier IS NOT NULL))
) STRICT;
INSERT INTO data_requests_13
SELECT id, dataset, name, asks, asker, why, days, version, NULL, asked_at, expires_at, approved,
       decided_by, decided_at, due_at, done_at FROM data_requests;
DROP TABLE data_requests;
ALTER TABLE data_requests_13 RENAME TO data_requests;
CREATE INDEX data_requests_of ON data_requests (dataset);
CREATE INDEX data_requests_by ON data_requests (asker);
