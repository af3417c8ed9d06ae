-- What workloads are to leave as versions of datasets, and how versions came to be.

-- An output that goes into a dataset. It waits for its workload's end.
CREATE TABLE publications (
    workload INTEGER NOT NULL,
    entry    INTEGER NOT NULL,              -- which of those that were declared
    path     TEXT    NOT NULL,              -- in the working directory
    dataset  TEXT    NOT NULL,              -- its name: it may not be there yet
    state    TEXT    NOT NULL CHECK (state IN ('waiting', 'made', 'refused', 'dropped')),
    version  INTEGER,                       -- that was made
    why      TEXT    NOT NULL,              -- it is not made, for people
    files    INTEGER NOT NULL DEFAULT 1,    -- whether the run's copy may still lie beside it
    PRIMARY KEY (workload, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX publications_open ON publications (workload) WHERE state = 'waiting' OR files = 1;

-- How a version came to be, where that is known: one that two runs left equal has two. It stays when
-- the workload is removed.
CREATE TABLE origins (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('run', 'import')),
    what    TEXT    NOT NULL,               -- the workload or the source
    actor   TEXT    NOT NULL,
    queue   TEXT    NOT NULL,               -- of whom
    bundle  TEXT,                           -- the files that a run was given: kept as long as this
    detail  TEXT    NOT NULL                -- JSON: all that it takes to do it again
) STRICT;
CREATE INDEX origins_of ON origins (dataset, number);

-- What was read for it.
CREATE TABLE origin_inputs (
    origin  INTEGER NOT NULL REFERENCES origins (id),
    dataset INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    name    TEXT    NOT NULL,               -- of the dataset, should it be gone one day
    PRIMARY KEY (origin, dataset, number, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX origin_inputs_of ON origin_inputs (dataset, number);
